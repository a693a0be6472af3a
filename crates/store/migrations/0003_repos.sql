-- Repositories that are hosted here. The folder's name is kept rather than its whole path, so that the
-- folder of all repositories can be moved.
CREATE TABLE repos (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    path TEXT NOT NULL,
    description TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

-- To some file systems, names that differ in case alone are the same.
CREATE UNIQUE INDEX repos_of_name ON repos (lower(name));
