-- How often a workflow may still be run again by itself, from what failed.
CREATE TABLE reruns (
    pipeline_id INTEGER NOT NULL REFERENCES pipelines (id) ON DELETE CASCADE,
    workflow TEXT NOT NULL,
    remaining INTEGER NOT NULL,
    PRIMARY KEY (pipeline_id, workflow)
) STRICT, WITHOUT ROWID;
