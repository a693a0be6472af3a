-- What jobs keep. The files themselves are blobs, found by their digests.

-- For people.
CREATE TABLE artifacts (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    job_id INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    node_index INTEGER NOT NULL,
    path TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    digest TEXT NOT NULL,
    UNIQUE (job_id, attempt, node_index, path),
    FOREIGN KEY (job_id, attempt) REFERENCES attempts (job_id, attempt) ON DELETE CASCADE
) STRICT;

CREATE INDEX artifacts_in_order ON artifacts (job_id, attempt, id);
CREATE INDEX artifacts_of_blob ON artifacts (digest);

-- What tests said of themselves, one a row.
CREATE TABLE test_results (
    job_id INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    -- Counts up within an attempt, failures before all others: see test_result.rs.
    place INTEGER NOT NULL,
    node_index INTEGER NOT NULL,
    step_index INTEGER NOT NULL,
    result TEXT NOT NULL,
    classname TEXT NOT NULL,
    test_name TEXT NOT NULL,
    file TEXT,
    duration_us INTEGER,
    message TEXT,
    PRIMARY KEY (job_id, attempt, place),
    FOREIGN KEY (job_id, attempt) REFERENCES attempts (job_id, attempt) ON DELETE CASCADE
) STRICT;

-- For the later jobs of a workflow.
CREATE TABLE workspace_layers (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    job_id INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    attempt INTEGER NOT NULL,
    step_index INTEGER NOT NULL,
    size_bytes INTEGER NOT NULL,
    digest TEXT NOT NULL,
    UNIQUE (job_id, attempt, step_index)
) STRICT;

CREATE INDEX workspace_layers_of_blob ON workspace_layers (digest);

-- For later jobs of a project that ask for a key.
CREATE TABLE caches (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    repo TEXT NOT NULL,
    -- Who reads it: empty for all of the project, else the pull request of a fork that saved it.
    scope TEXT NOT NULL,
    key TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    used_at INTEGER NOT NULL,
    UNIQUE (repo, scope, key)
) STRICT;

CREATE INDEX caches_by_use ON caches (used_at, id);

CREATE TABLE cache_parts (
    cache_id INTEGER NOT NULL REFERENCES caches (id) ON DELETE CASCADE,
    place INTEGER NOT NULL,
    -- Where it is laid out, as the config that saved it has it.
    path TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    digest TEXT NOT NULL,
    PRIMARY KEY (cache_id, place)
) STRICT;

CREATE INDEX cache_parts_of_blob ON cache_parts (digest);
