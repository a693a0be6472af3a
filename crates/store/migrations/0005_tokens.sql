-- What opens the API. Only a hash of each secret is kept.
CREATE TABLE tokens (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    -- read, write, admin or runner.
    scope TEXT NOT NULL,
    -- Whose it is, where the scope is runner.
    runner_id INTEGER REFERENCES runners (id) ON DELETE CASCADE,
    -- SHA-256 of the secret, in hexadecimal digits.
    hash TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    last_used_at INTEGER,
    expires_at INTEGER,
    revoked_at INTEGER
) STRICT;

CREATE INDEX tokens_of_runner ON tokens (runner_id);
