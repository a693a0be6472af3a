//! Attempts: each execution of a job, who had it and how it ended.

use std::collections::HashMap;

use model::{
    EventBody, Failure, JobEvent, JobId, JobSpec, JobState, Outcome, OutcomeKind, PipelineId,
    RunnerId, Timestamp,
};
use sqlx::{QueryBuilder, Sqlite, SqliteConnection};

use crate::{Job, Result, Store, StoreError, json, step};

/// One execution of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Which: 1, 2, 3 …
    pub number: u32,
    /// Who has or had it; none once that runner was removed.
    pub runner: Option<RunnerId>,
    /// The name of the executor that runs it, once one does.
    pub executor: Option<String>,
    /// When it began.
    pub started: Timestamp,
    /// How it ended; none while it runs.
    pub end: Option<AttemptEnd>,
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptEnd {
    /// When.
    pub at: Timestamp,
    /// How its job ended with it; none if it was lost and the job goes on with another.
    pub outcome: Option<OutcomeKind>,
    /// The exit code that decided it, where one did.
    pub exit_code: Option<i32>,
    /// Why, where it did not end in success.
    pub reason: Option<String>,
}

const LOST: &str = "lost";

type Row = (
    i64,
    Option<i64>,
    Option<String>,
    i64,
    Option<i64>,
    Option<String>,
    Option<i32>,
    Option<String>,
);

impl Store {
    /// How often a job of each of these pipelines was tried again, at most; those with none are left out.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn retries_of(&self, pipelines: &[PipelineId]) -> Result<HashMap<PipelineId, u32>> {
        if pipelines.is_empty() {
            return Ok(HashMap::new());
        }
        let mut query = QueryBuilder::<Sqlite>::new(
            "SELECT jobs.pipeline_id, MAX(attempts.attempt) - 1 FROM jobs \
             JOIN attempts ON attempts.job_id = jobs.id WHERE jobs.pipeline_id IN (",
        );
        let mut ids = query.separated(", ");
        for pipeline in pipelines {
            ids.push_bind(pipeline.0);
        }
        query.push(") AND attempts.attempt > 1 GROUP BY jobs.pipeline_id");
        let rows: Vec<(i64, i64)> = query.build_query_as().fetch_all(self.readers()).await?;
        Ok(rows
            .into_iter()
            .map(|(id, retries)| (PipelineId(id), json::count(retries)))
            .collect())
    }

    /// A job's attempts, in order; none before the first, or if there is no such job.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn attempts(&self, job: JobId) -> Result<Vec<Attempt>> {
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT attempt, runner_id, executor, start_time, end_time, outcome, exit_code, reason \
             FROM attempts WHERE job_id = $1 ORDER BY attempt",
        )
        .bind(job.0)
        .fetch_all(self.readers())
        .await?;
        rows.into_iter().map(|row| read(job, row)).collect()
    }

    /// Says which executor runs a job's attempt, so that a later server knows whom to ask.
    ///
    /// # Errors
    /// Where that attempt is not running.
    pub async fn set_executor(&self, job: JobId, attempt: u32, executor: &str) -> Result<()> {
        let mut write = self.write().await?;
        let updated = sqlx::query(
            "UPDATE attempts SET executor = $3 \
             WHERE job_id = $1 AND attempt = $2 AND end_time IS NULL",
        )
        .bind(job.0)
        .bind(attempt)
        .bind(executor)
        .execute(write.connection())
        .await?
        .rows_affected();
        if updated == 0 {
            return Err(StoreError::NotRunning { job, attempt });
        }
        write.commit().await
    }
}

/// Lets a job's attempts follow its state: opens one that was claimed, closes one that ended. Returns
/// what is to be told of its steps.
pub(crate) async fn follow(
    database: &mut SqliteConnection,
    job: &Job,
    before: &JobState,
    event: &JobEvent,
) -> Result<Vec<EventBody>> {
    match event {
        JobEvent::Claim { by, at } => {
            sqlx::query(
                "INSERT INTO attempts (job_id, attempt, runner_id, start_time) \
                 VALUES ($1, $2, $3, $4)",
            )
            .bind(job.id.0)
            .bind(job.state.attempt())
            .bind(by.0)
            .bind(at.as_millis())
            .execute(database)
            .await?;
            Ok(Vec::new())
        }
        JobEvent::Finish { at, .. } | JobEvent::Lose { at } => {
            close(database, job, before.attempt(), *at).await
        }
        JobEvent::Ready { .. }
        | JobEvent::Hold
        | JobEvent::Pass { .. }
        | JobEvent::Approve { .. }
        | JobEvent::Skip { .. }
        | JobEvent::Cancel { .. }
        | JobEvent::Retry { .. }
        | JobEvent::Reopen => Ok(Vec::new()),
    }
}

/// Whether a job whose last attempt did not go well gets another of itself. One that can't be read does
/// not.
pub(crate) async fn tries_again(database: &mut SqliteConnection, job: JobId) -> Result<bool> {
    let (spec, failures): (String, i64) = sqlx::query_as(
        "SELECT spec, (SELECT COUNT(*) FROM attempts \
           WHERE job_id = jobs.id AND outcome IN ('failure', 'error')) FROM jobs WHERE id = $1",
    )
    .bind(job.0)
    .fetch_one(database)
    .await?;
    let spec: Option<JobSpec> = json::read(&spec, "spec", || format!("job {job}")).ok();
    Ok(spec.is_some_and(|spec| spec.tries_again(json::count(failures))))
}

/// Closes an attempt of a job that ended or goes on with another. Returns what is to be told of its steps.
pub(crate) async fn close(
    database: &mut SqliteConnection,
    job: &Job,
    attempt: u32,
    at: Timestamp,
) -> Result<Vec<EventBody>> {
    let outcome = job.state.outcome();
    sqlx::query(
        "UPDATE attempts SET end_time = $3, outcome = $4, exit_code = $5, reason = $6 \
         WHERE job_id = $1 AND attempt = $2",
    )
    .bind(job.id.0)
    .bind(attempt)
    .bind(at.as_millis())
    .bind(outcome.map_or(LOST, |outcome| outcome.kind().status().as_str()))
    .bind(outcome.and_then(Outcome::exit_code))
    .bind(outcome.and_then(Outcome::reason))
    .execute(&mut *database)
    .await?;
    step::close(database, job.id, attempt, at, |index| {
        exit_code(outcome, index)
    })
    .await
}

/// What a step is said to have ended with that was running when its attempt ended.
fn exit_code(outcome: Option<&Outcome>, index: u32) -> i32 {
    /// 128 + SIGKILL, as a shell has it.
    const KILLED: i32 = 137;
    match outcome {
        Some(Outcome::Success) => 0,
        Some(Outcome::Failure(Failure::Exit { exit_code })) => *exit_code,
        Some(Outcome::Failure(Failure::Step {
            index: failed,
            exit_code,
            ..
        })) if *failed == index => *exit_code,
        Some(
            Outcome::Failure(
                Failure::Step { .. }
                | Failure::Start { .. }
                | Failure::OutOfMemory
                | Failure::Silent { .. }
                | Failure::TimedOut { .. }
                | Failure::LogTooLong { .. },
            )
            | Outcome::Error(_)
            | Outcome::Canceled(_)
            | Outcome::Skipped { .. },
        )
        | None => KILLED,
    }
}

fn read(job: JobId, row: Row) -> Result<Attempt> {
    let (attempt, runner, executor, started, ended, outcome, exit_code, reason) = row;
    let end = match (json::moment(ended), outcome) {
        (Some(at), Some(word)) => Some(AttemptEnd {
            at,
            outcome: read_outcome(job, &word)?,
            exit_code,
            reason,
        }),
        (None, _) | (_, None) => None,
    };
    Ok(Attempt {
        number: json::count(attempt),
        runner: runner.map(RunnerId),
        executor,
        started: Timestamp::from_millis(started),
        end,
    })
}

fn read_outcome(job: JobId, word: &str) -> Result<Option<OutcomeKind>> {
    const KINDS: [OutcomeKind; 5] = [
        OutcomeKind::Success,
        OutcomeKind::Failure,
        OutcomeKind::Error,
        OutcomeKind::Canceled,
        OutcomeKind::Skipped,
    ];
    if word == LOST {
        return Ok(None);
    }
    let kind = KINDS
        .into_iter()
        .find(|kind| kind.status().as_str() == word);
    match kind {
        Some(kind) => Ok(Some(kind)),
        None => Err(StoreError::corrupt(
            "outcome of an attempt",
            format!("job {job}"),
            format!("there is no outcome `{word}`"),
        )),
    }
}
