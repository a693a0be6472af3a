-- What a job is handed out by: its project's share, then its priority, then its age. Both are known from its
-- pipeline and its plan; here they are found without reading those.
ALTER TABLE jobs ADD COLUMN repo TEXT NOT NULL DEFAULT '';
ALTER TABLE jobs ADD COLUMN priority INTEGER NOT NULL DEFAULT 0;
UPDATE jobs SET repo = (SELECT repo FROM pipelines WHERE pipelines.id = jobs.pipeline_id);

DROP INDEX jobs_queued;
CREATE INDEX jobs_queued ON jobs (repo, priority DESC, queued_at, id) WHERE status = 'queued';
CREATE INDEX jobs_running_of_repo ON jobs (repo) WHERE status = 'running';
