-- Workflows and jobs of groups of which only one runs at a time, and whose turn it is: see turn.rs.
CREATE TABLE turns (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    pipeline_id INTEGER NOT NULL REFERENCES pipelines (id) ON DELETE CASCADE,
    workflow TEXT NOT NULL,
    -- Empty for the workflow as a whole.
    job_name TEXT NOT NULL,
    -- Among whom: a project, or empty for the whole server.
    scope TEXT NOT NULL,
    group_name TEXT NOT NULL,
    -- Whether it ends what came before it, rather than waiting for that.
    cancels INTEGER NOT NULL,
    -- `waits`, `has` or `over`.
    turn TEXT NOT NULL,
    UNIQUE (pipeline_id, workflow, job_name)
) STRICT;

CREATE INDEX turns_taken ON turns (scope, group_name) WHERE turn = 'has';
CREATE INDEX turns_canceling ON turns (scope, group_name, pipeline_id) WHERE turn <> 'over' AND cancels;
CREATE INDEX turns_open ON turns (scope, group_name, pipeline_id) WHERE turn <> 'over';
