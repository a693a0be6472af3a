//! Stored values that can't be read, by a bug or by somebody's hand: they must not keep everybody else
//! from going on, nor their own pipeline from ending.
//!
//! Who takes up a pipeline and can't read it ends it with an error, reason and all. That is the one
//! change of a status that does not go through `model::advance`: there is no state to go on from.

use std::error::Error;

use model::{
    CommitState, CommitStatus, EventBody, Fault, FaultKind, JobId, JobState, JobUuid, Outcome,
    OutcomeKind, PipelineId, PipelineState, Preparation, Status, Timestamp,
};

use crate::write::Write;
use crate::{Job, Result, Store, StoreError, attempt, change, job, json, pipeline, turn};

impl StoreError {
    /// Whether a stored value can't be read.
    pub(crate) fn is_unreadable(&self) -> bool {
        matches!(self, Self::Corrupt { .. })
    }
}

/// How a job ends of which something can't be read.
pub(crate) fn outcome(error: &StoreError) -> Outcome {
    Outcome::Error(Fault {
        kind: FaultKind::Storage,
        message: reason(error),
    })
}

fn reason(error: &StoreError) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

/// Ends a pipeline with an error, and all its jobs that have not ended.
pub(crate) async fn give_up(
    store: &Store,
    id: PipelineId,
    error: &StoreError,
    now: Timestamp,
) -> Result<()> {
    let mut write = store.write().await?;
    let status: Option<String> = sqlx::query_scalar("SELECT status FROM pipelines WHERE id = $1")
        .bind(id.0)
        .fetch_optional(write.connection())
        .await?;
    let status = status.ok_or_else(|| StoreError::not_found("pipeline", &id))?;
    end_jobs(&mut write, id, error, now).await?;
    turn::give_back(write.connection(), id).await?;
    if !status.parse().is_ok_and(Status::is_ended) {
        end_pipeline(&mut write, id, error, now).await?;
    }
    write.commit().await?;
    tracing::error!(
        pipeline = id.0,
        reason = reason(error),
        "pipeline ended, as it can't be read"
    );
    Ok(())
}

async fn end_jobs(
    write: &mut Write,
    pipeline: PipelineId,
    error: &StoreError,
    now: Timestamp,
) -> Result<()> {
    #[derive(sqlx::FromRow)]
    struct Open {
        id: i64,
        uuid: String,
        workflow: String,
        job_name: String,
        is_running: bool,
        start_time: Option<i64>,
        created_at: i64,
        attempts: i64,
    }
    let open: Vec<Open> = sqlx::query_as(
        "SELECT id, uuid, workflow, job_name, status = 'running' AS is_running, start_time, \
           created_at, \
           (SELECT COALESCE(MAX(attempt), 0) FROM attempts WHERE job_id = jobs.id) AS attempts \
         FROM jobs WHERE pipeline_id = $1 \
         AND status IN ('blocked', 'on_hold', 'queued', 'running') ORDER BY id",
    )
    .bind(pipeline.0)
    .fetch_all(write.connection())
    .await?;
    let mut events = Vec::new();
    for row in open {
        let attempts = json::count(row.attempts);
        let uuid: Option<JobUuid> = row.uuid.parse().ok();
        let job = Job {
            id: JobId(row.id),
            uuid: uuid.unwrap_or(JobUuid(Default::default())),
            pipeline,
            workflow: row.workflow,
            name: row.job_name,
            requires: Vec::new(),
            state: JobState::Ended {
                outcome: outcome(error),
                at: now,
                started: json::moment(row.start_time),
                attempts,
            },
            created: Timestamp::from_millis(row.created_at),
        };
        job::update(write.connection(), job.id, &job.state).await?;
        if row.is_running {
            match attempt::close(write.connection(), &job, attempts, now).await {
                Ok(steps) => events.extend(steps),
                // Its attempt has ended all the same; only steps are left as they are.
                Err(error) if error.is_unreadable() => {}
                Err(error) => return Err(error),
            }
        }
        // Nobody can follow a job that has no readable name.
        if uuid.is_some() {
            events.push(change::event(&job));
        }
    }
    write.record(pipeline, now, events).await
}

async fn end_pipeline(
    write: &mut Write,
    id: PipelineId,
    error: &StoreError,
    now: Timestamp,
) -> Result<()> {
    let reason = reason(error);
    let preparation = Preparation::Ended {
        outcome: OutcomeKind::Error,
        reason: reason.clone(),
        at: now,
    };
    let state = PipelineState::Ended(OutcomeKind::Error);
    sqlx::query(
        "UPDATE pipelines SET status = $2, reason = $3, stage = $4, preparation = $5, \
         end_time = $6 WHERE id = $1",
    )
    .bind(id.0)
    .bind(state.status().as_str())
    .bind(&reason)
    .bind(pipeline::stage(&preparation))
    .bind(json::write(&preparation))
    .bind(now.as_millis())
    .execute(write.connection())
    .await?;
    // Whoever was told that it goes on is told that it does not: what has to be known for that is in
    // what was told, whatever else can't be read.
    let told = CommitStatus::of(&preparation, state, &[]);
    sqlx::query(
        "INSERT INTO reports (forge, repo, commit_sha, workflow, pipeline_id, state, description, \
           created_at, due_at) \
         SELECT forge, repo, commit_sha, workflow, pipeline_id, $2, $3, $4, $4 FROM reports \
         WHERE state = $5 AND id IN \
           (SELECT MAX(id) FROM reports WHERE pipeline_id = $1 GROUP BY workflow)",
    )
    .bind(id.0)
    .bind(told.state.as_str())
    .bind(&told.description)
    .bind(now.as_millis())
    .bind(CommitState::Pending.as_str())
    .execute(write.connection())
    .await?;
    let ended = EventBody::Pipeline {
        status: state.status(),
        reason: Some(reason),
    };
    write.record(id, now, vec![ended]).await
}
