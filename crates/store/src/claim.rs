//! Who runs which job, and what happens to it there.

use model::{JobEvent, JobId, JobSpec, PipelineId, RunnerId, Timestamp};

use crate::change::Change;
use crate::{
    Job, Pipeline, Result, Store, StoreError, job, json, pipeline, runner, turn, unreadable,
};

/// A job that a runner has, with all that it needs to run it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The job; running.
    pub job: Job,
    /// What it does.
    pub spec: JobSpec,
    /// Its pipeline.
    pub pipeline: Pipeline,
}

/// Each project with a queued job is looked up by itself, so that a claim costs the same however long its
/// queue is: SQLite has no other way to skip to an index's next project.
const CLAIM: &str = concat!(
    "WITH RECURSIVE waiting (repo) AS ( \
       SELECT MIN(repo) FROM jobs WHERE status = 'queued' \
       UNION ALL \
       SELECT (SELECT MIN(repo) FROM jobs WHERE status = 'queued' AND repo > waiting.repo) \
       FROM waiting WHERE waiting.repo IS NOT NULL), \
     shares (repo, running) AS ( \
       SELECT repo, (SELECT COUNT(*) FROM jobs WHERE status = 'running' AND repo = waiting.repo) \
       FROM waiting WHERE repo IS NOT NULL) \
     UPDATE jobs SET status = 'running', runner_id = $1 WHERE id = ( \
       SELECT next.id FROM shares JOIN jobs AS next ON next.id = ( \
         SELECT id FROM jobs WHERE status = 'queued' AND repo = shares.repo AND ",
    turn::is_free!(),
    "    ORDER BY priority DESC, queued_at, id LIMIT 1) \
       WHERE EXISTS (SELECT 1 FROM runners WHERE runners.id = $1 AND active) \
       AND ($2 IS NULL OR shares.running < $2) \
       ORDER BY shares.running, next.queued_at, next.id LIMIT 1) \
     RETURNING id, pipeline_id, spec",
);

impl Store {
    /// Hands a job whose turn it is to a runner, if there is one and the runner is active: of the project
    /// that runs the fewest jobs, so that a long queue of one holds up no other; of its jobs the one with the
    /// highest priority; of several such the longest-queued. A project that runs `most_of_project` jobs gets
    /// no further one.
    ///
    /// A job that can't be read is ended with an error, and the next one is handed out.
    ///
    /// # Errors
    /// Where the database can't be written.
    pub async fn claim_job(
        &self,
        by: RunnerId,
        most_of_project: Option<u32>,
        now: Timestamp,
    ) -> Result<Option<Claim>> {
        loop {
            let mut write = self.write().await?;
            let claimed: Option<(i64, i64, String)> = sqlx::query_as(CLAIM)
                .bind(by.0)
                .bind(most_of_project)
                .fetch_optional(write.connection())
                .await?;
            let Some((id, pipeline, spec)) = claimed else {
                return Ok(None);
            };
            runner::seen(write.connection(), by, now).await?;
            let id = JobId(id);
            let mut change = match Change::within(self, write, PipelineId(pipeline), now).await {
                Err(error) if error.is_unreadable() => continue,
                taken => taken?,
            };
            change.apply(id, JobEvent::Claim { by, at: now }).await?;
            match read_spec(&spec, id) {
                Ok(spec) => {
                    let stored = change.store().await?;
                    return Ok(Some(Claim {
                        job: one(stored.jobs, id)?,
                        spec,
                        pipeline: stored.pipeline,
                    }));
                }
                Err(error) => {
                    let outcome = unreadable::outcome(&error);
                    change
                        .apply(id, JobEvent::Finish { outcome, at: now })
                        .await?;
                    change.store().await?;
                }
            }
        }
    }

    /// The jobs that a runner has, longest-stored first. One that can't be read is ended with an error:
    /// nobody could go on with it.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn running_jobs(&self, runner: RunnerId, now: Timestamp) -> Result<Vec<Claim>> {
        let rows: Vec<WithSpec> = sqlx::query_as(concat!(
            "SELECT spec, ",
            job::columns!(),
            " FROM jobs WHERE status = 'running' AND runner_id = $1 ORDER BY id"
        ))
        .bind(runner.0)
        .fetch_all(self.readers())
        .await?;
        let mut claims = Vec::with_capacity(rows.len());
        for row in rows {
            let id = JobId(row.job.id);
            match self.read_claim(row).await {
                Ok(claim) => claims.push(claim),
                Err(error) if error.is_unreadable() => {
                    let outcome = unreadable::outcome(&error);
                    let finish = JobEvent::Finish { outcome, at: now };
                    match self.advance_job(id, finish).await {
                        // Its end is stored, by this or by somebody else.
                        Ok(_) | Err(StoreError::Corrupt { .. } | StoreError::Illegal(_)) => {}
                        Err(error) => return Err(error),
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(claims)
    }

    async fn read_claim(&self, WithSpec { job, spec }: WithSpec) -> Result<Claim> {
        let job = Job::try_from(job)?;
        Ok(Claim {
            spec: read_spec(&spec, job.id)?,
            pipeline: pipeline::find(self.readers(), job.pipeline).await?,
            job,
        })
    }

    /// Something happened to a job: stores it, and all that follows from it for the jobs that require it
    /// and for its pipeline.
    ///
    /// # Errors
    /// Where there is no such job, or the event can't happen in its state. Where something of its pipeline
    /// can't be read, all of that has ended then.
    pub async fn advance_job(&self, id: JobId, event: JobEvent) -> Result<Job> {
        let mut change = Change::of_job(self, id, moment(&event)?).await?;
        change.apply(id, event).await?;
        one(change.store().await?.jobs, id)
    }
}

#[derive(sqlx::FromRow)]
struct WithSpec {
    #[sqlx(flatten)]
    job: job::Row,
    spec: String,
}

/// When it happened; only for what happens outside the store.
fn moment(event: &JobEvent) -> Result<Timestamp> {
    match event {
        JobEvent::Approve { at }
        | JobEvent::Finish { at, .. }
        | JobEvent::Lose { at }
        | JobEvent::Cancel { at, .. } => Ok(*at),
        JobEvent::Ready { .. }
        | JobEvent::Hold
        | JobEvent::Pass { .. }
        | JobEvent::Skip { .. }
        | JobEvent::Claim { .. }
        | JobEvent::Retry { .. }
        | JobEvent::Reopen => Err(StoreError::OwnEvent),
    }
}

fn one(jobs: Vec<Job>, id: JobId) -> Result<Job> {
    jobs.into_iter()
        .find(|job| job.id == id)
        .ok_or_else(|| StoreError::not_found("job", &id))
}

fn read_spec(spec: &str, id: JobId) -> Result<JobSpec> {
    json::read(spec, "spec", || format!("job {id}"))
}
