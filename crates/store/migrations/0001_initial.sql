-- Times are milliseconds since the Unix epoch. Where a column holds JSON, it is the model's own type,
-- and the columns beside it are what lists filter and sort by.

CREATE TABLE pipelines (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    repo TEXT NOT NULL,
    commit_sha TEXT,
    branch TEXT,
    tag TEXT,
    trigger_kind TEXT NOT NULL,
    -- JSON: model::Trigger, all of it.
    cause TEXT NOT NULL,
    status TEXT NOT NULL,
    reason TEXT,
    -- The preparation's word (waiting, preparing, planned, ended), and JSON: model::Preparation.
    stage TEXT NOT NULL,
    preparation TEXT NOT NULL,
    warnings TEXT,
    created_at INTEGER NOT NULL,
    start_time INTEGER,
    end_time INTEGER
) STRICT;

CREATE INDEX pipelines_of_repo ON pipelines (repo, id);
CREATE INDEX pipelines_of_commit ON pipelines (commit_sha, repo, id);
CREATE INDEX pipelines_of_repo_and_branch ON pipelines (repo, branch, id);
CREATE INDEX pipelines_of_repo_by_end ON pipelines (repo, end_time, status);
CREATE INDEX pipelines_of_branch ON pipelines (branch, id);
CREATE INDEX pipelines_of_status ON pipelines (status, id);
CREATE INDEX pipelines_of_trigger ON pipelines (trigger_kind, id);
CREATE INDEX pipelines_waiting ON pipelines (id) WHERE stage = 'waiting';
CREATE INDEX pipelines_preparing ON pipelines (id) WHERE stage = 'preparing';

-- A forge's own name for an event that it sent: two with the same make one pipeline.
CREATE TABLE deliveries (
    forge TEXT NOT NULL,
    id TEXT NOT NULL,
    pipeline_id INTEGER NOT NULL REFERENCES pipelines (id) ON DELETE CASCADE,
    PRIMARY KEY (forge, id)
) STRICT;

CREATE INDEX deliveries_of_pipeline ON deliveries (pipeline_id);

-- Apart from the pipelines, so that lists of those don't carry them.
CREATE TABLE plans (
    pipeline_id INTEGER PRIMARY KEY REFERENCES pipelines (id) ON DELETE CASCADE,
    -- JSON: model::Plan.
    plan TEXT NOT NULL
) STRICT;

CREATE TABLE runners (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    host TEXT NOT NULL UNIQUE,
    active INTEGER NOT NULL,
    -- Whether it is the server itself.
    local INTEGER NOT NULL,
    -- JSON: a list of texts.
    labels TEXT NOT NULL,
    capacity INTEGER NOT NULL,
    last_seen INTEGER,
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE jobs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    uuid TEXT NOT NULL UNIQUE,
    pipeline_id INTEGER NOT NULL REFERENCES pipelines (id) ON DELETE CASCADE,
    workflow TEXT NOT NULL,
    job_name TEXT NOT NULL,
    -- JSON: a list of model::Requirement.
    requires TEXT NOT NULL,
    needs_approval INTEGER NOT NULL,
    -- JSON: model::JobSpec.
    spec TEXT NOT NULL,
    status TEXT NOT NULL,
    -- JSON: model::JobState.
    state TEXT NOT NULL,
    runner_id INTEGER REFERENCES runners (id) ON DELETE SET NULL,
    created_at INTEGER NOT NULL,
    queued_at INTEGER,
    start_time INTEGER,
    end_time INTEGER,
    UNIQUE (pipeline_id, workflow, job_name)
) STRICT;

CREATE INDEX jobs_of_pipeline ON jobs (pipeline_id, id);
CREATE INDEX jobs_queued ON jobs (queued_at, id) WHERE status = 'queued';
CREATE INDEX jobs_running ON jobs (runner_id, id) WHERE status = 'running';

CREATE TABLE attempts (
    job_id INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    attempt INTEGER NOT NULL,
    runner_id INTEGER REFERENCES runners (id) ON DELETE SET NULL,
    executor TEXT,
    start_time INTEGER NOT NULL,
    end_time INTEGER,
    -- How it ended: an outcome's word, or `lost`.
    outcome TEXT,
    exit_code INTEGER,
    reason TEXT,
    PRIMARY KEY (job_id, attempt)
) STRICT;

CREATE INDEX attempts_of_runner ON attempts (runner_id);

CREATE TABLE steps (
    job_id INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    step_index INTEGER NOT NULL,
    step_name TEXT NOT NULL,
    status TEXT NOT NULL,
    -- JSON: model::StepState.
    state TEXT NOT NULL,
    -- Where its output is in the attempt's log, in bytes.
    log_start INTEGER NOT NULL,
    log_end INTEGER,
    PRIMARY KEY (job_id, attempt, step_index),
    FOREIGN KEY (job_id, attempt) REFERENCES attempts (job_id, attempt) ON DELETE CASCADE
) STRICT;

CREATE TABLE events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    pipeline_id INTEGER NOT NULL REFERENCES pipelines (id) ON DELETE CASCADE,
    -- JSON: model::EventBody.
    body TEXT NOT NULL
) STRICT;

CREATE INDEX events_of_pipeline ON events (pipeline_id, id);

-- The outbox: what forges are to be told of commits.
CREATE TABLE reports (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    forge TEXT NOT NULL,
    repo TEXT NOT NULL,
    commit_sha TEXT NOT NULL,
    -- Empty for the pipeline as a whole.
    workflow TEXT NOT NULL,
    pipeline_id INTEGER NOT NULL REFERENCES pipelines (id) ON DELETE CASCADE,
    state TEXT NOT NULL,
    description TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    due_at INTEGER NOT NULL,
    tries INTEGER NOT NULL DEFAULT 0,
    error TEXT,
    -- What became of it (delivered, superseded, dropped), and when; neither while it waits.
    fate TEXT,
    settled_at INTEGER
) STRICT;

CREATE INDEX reports_of_pipeline ON reports (pipeline_id, workflow, id);
CREATE INDEX reports_of_scope ON reports (forge, repo, commit_sha, workflow, id);
CREATE INDEX reports_waiting ON reports (forge, repo, commit_sha, workflow, id, due_at)
    WHERE settled_at IS NULL;
