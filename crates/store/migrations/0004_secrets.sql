-- Named sets of variables for jobs that ask for them.
CREATE TABLE contexts (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    -- JSON: the names of the projects that may use it; every project may where this is null.
    projects TEXT,
    created_at INTEGER NOT NULL
) STRICT;

-- The variables of projects and of contexts.
CREATE TABLE secrets (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    -- Whose it is: one of the two.
    repo TEXT,
    context_id INTEGER REFERENCES contexts (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    -- Its value, encrypted (store::Keyring says how), and with which key.
    sealed BLOB NOT NULL,
    key_id TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    CHECK ((repo IS NULL) <> (context_id IS NULL))
) STRICT;

CREATE UNIQUE INDEX secrets_of_project ON secrets (repo, name) WHERE repo IS NOT NULL;
CREATE UNIQUE INDEX secrets_of_context ON secrets (context_id, name) WHERE context_id IS NOT NULL;
CREATE INDEX secrets_of_key ON secrets (key_id);
