//! Steps: how far each command of an attempt is, and where its output lies in the attempt's log.

use std::collections::HashMap;

use model::{EventBody, JobId, StepState, Timestamp};
use sqlx::{Sqlite, SqliteConnection};

use crate::{Result, Store, json};

/// One step of an attempt, once it began or was passed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Its place in the job, from 0.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// How far it is.
    pub state: StepState,
    /// Where its output begins in the attempt's log, in bytes; of one that runs in the background, where it
    /// began.
    pub log_start: u64,
    /// Where its output ends, in bytes: at once for one that runs in the background, whose output has a log
    /// of its own. None while it runs, and if it was cut off by its attempt's end: its output then goes to
    /// the log's end.
    pub log_end: Option<u64>,
}

/// What became of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepChange {
    /// Its place in the job, from 0.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// How far it is now.
    pub state: StepState,
    /// Where its output begins in the attempt's log, in bytes.
    pub log_start: u64,
    /// Where its output ends, in bytes, once it does.
    pub log_end: Option<u64>,
}

#[derive(sqlx::FromRow)]
struct Row {
    step_index: i64,
    step_name: String,
    state: String,
    log_start: i64,
    log_end: Option<i64>,
}

impl Store {
    /// Stores what became of steps of a running attempt, in one transaction.
    ///
    /// A step only goes forward: what would take it back, or only repeats what is stored, changes and
    /// tells nothing. So output that is read twice, as after a crash, does no harm.
    ///
    /// # Errors
    /// Where that attempt is not running.
    pub async fn record_steps(
        &self,
        job: JobId,
        attempt: u32,
        changes: &[StepChange],
        now: Timestamp,
    ) -> Result<()> {
        let mut write = self.write().await?;
        let pipeline = write.running(job, attempt).await?;
        let stored = find(write.connection(), job, attempt).await?;
        let mut steps: HashMap<u32, Step> =
            stored.into_iter().map(|step| (step.index, step)).collect();
        let mut events = Vec::new();
        for change in changes {
            let before = steps.get(&change.index).map(|step| &step.state);
            if !goes_forward(before, &change.state) {
                continue;
            }
            let step = Step {
                index: change.index,
                name: change.name.clone(),
                state: change.state.clone(),
                log_start: change.log_start,
                log_end: change.log_end,
            };
            upsert(write.connection(), job, attempt, &step).await?;
            events.push(event(job, attempt, &step));
            steps.insert(step.index, step);
        }
        write.record(pipeline, now, events).await?;
        write.commit().await
    }

    /// The steps of an attempt that began or were passed over, in order.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn steps(&self, job: JobId, attempt: u32) -> Result<Vec<Step>> {
        find(self.readers(), job, attempt).await
    }
}

/// Ends the steps that still run when their attempt ends; returns what is to be told of them.
pub(crate) async fn close(
    database: &mut SqliteConnection,
    job: JobId,
    attempt: u32,
    at: Timestamp,
    exit_code: impl Fn(u32) -> i32,
) -> Result<Vec<EventBody>> {
    let mut events = Vec::new();
    for mut step in find(&mut *database, job, attempt).await? {
        let StepState::Running { since } = step.state else {
            continue;
        };
        step.state = StepState::Ended {
            since,
            at,
            exit_code: exit_code(step.index),
        };
        upsert(database, job, attempt, &step).await?;
        events.push(event(job, attempt, &step));
    }
    Ok(events)
}

fn goes_forward(before: Option<&StepState>, after: &StepState) -> bool {
    match (before, after) {
        (None, _) => true,
        (Some(StepState::Running { .. }), StepState::Ended { .. } | StepState::Skipped) => true,
        (Some(StepState::Running { .. }), StepState::Running { .. })
        | (Some(StepState::Ended { .. } | StepState::Skipped), _) => false,
    }
}

fn event(job: JobId, attempt: u32, step: &Step) -> EventBody {
    EventBody::Step {
        job,
        attempt,
        index: step.index,
        name: step.name.clone(),
        step: step.state.clone(),
    }
}

async fn find<'e>(
    database: impl sqlx::Executor<'e, Database = Sqlite>,
    job: JobId,
    attempt: u32,
) -> Result<Vec<Step>> {
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT step_index, step_name, state, log_start, log_end FROM steps \
         WHERE job_id = $1 AND attempt = $2 ORDER BY step_index",
    )
    .bind(job.0)
    .bind(attempt)
    .fetch_all(database)
    .await?;
    rows.into_iter()
        .map(|row| {
            let of = || format!("step {} of job {job}", row.step_index);
            Ok(Step {
                index: json::count(row.step_index),
                state: json::read(&row.state, "state", of)?,
                log_start: json::count(row.log_start),
                log_end: row.log_end.map(json::count),
                name: row.step_name,
            })
        })
        .collect()
}

async fn upsert(
    database: &mut SqliteConnection,
    job: JobId,
    attempt: u32,
    step: &Step,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO steps \
         (job_id, attempt, step_index, step_name, status, state, log_start, log_end) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
         ON CONFLICT (job_id, attempt, step_index) DO UPDATE SET \
         status = excluded.status, state = excluded.state, log_end = excluded.log_end",
    )
    .bind(job.0)
    .bind(attempt)
    .bind(step.index)
    .bind(&step.name)
    .bind(step.state.status().as_str())
    .bind(json::write(&step.state))
    .bind(json::offset(step.log_start))
    .bind(step.log_end.map(json::offset))
    .execute(database)
    .await?;
    Ok(())
}
