//! Jobs: what each is and how far it is, one by one or as lists.

use model::{
    InvalidName, JobId, JobSpec, JobState, JobUuid, PipelineId, Readiness, Requirement, RunnerId,
    Timestamp, WorkflowSpec,
};
use sqlx::{Sqlite, SqliteConnection};

use crate::page::List;
use crate::{Page, Paged, Pipeline, Result, Store, StoreError, json};

/// One job of a pipeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Its number, over the whole server.
    pub id: JobId,
    /// Its name towards clients that follow it.
    pub uuid: JobUuid,
    /// Its pipeline.
    pub pipeline: PipelineId,
    /// Its workflow's name.
    pub workflow: String,
    /// Its name; no two of a workflow have the same.
    pub name: String,
    /// The names of the jobs of its workflow that have to end first.
    pub requires: Vec<String>,
    /// How far it is.
    pub state: JobState,
    /// When it was stored.
    pub created: Timestamp,
}

/// A job, and what its neighbours have to know of it.
pub(crate) struct Member {
    pub(crate) job: Job,
    pub(crate) requires: Vec<Requirement>,
    pub(crate) readiness: Readiness,
}

macro_rules! columns {
    () => {
        "id, uuid, pipeline_id, workflow, job_name, requires, readiness, state, created_at"
    };
}
pub(crate) use columns;

/// A job as its row has it.
#[derive(sqlx::FromRow)]
pub(crate) struct Row {
    pub(crate) id: i64,
    uuid: String,
    pipeline_id: i64,
    workflow: String,
    job_name: String,
    requires: String,
    readiness: i64,
    state: String,
    created_at: i64,
}

impl TryFrom<Row> for Member {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self> {
        let of = || format!("job {}", row.id);
        let requires: Vec<Requirement> = json::read(&row.requires, "requirements", of)?;
        Ok(Self {
            job: Job {
                id: JobId(row.id),
                uuid: json::word(&row.uuid, "UUID", of)?,
                pipeline: PipelineId(row.pipeline_id),
                requires: requires
                    .iter()
                    .map(|requirement| requirement.job.clone())
                    .collect(),
                state: json::read(&row.state, "state", of)?,
                created: Timestamp::from_millis(row.created_at),
                workflow: row.workflow,
                name: row.job_name,
            },
            requires,
            readiness: readiness(row.readiness, of)?,
        })
    }
}

fn code_of(readiness: Readiness) -> i64 {
    match readiness {
        Readiness::Runs => 0,
        Readiness::WaitsForApproval => 1,
        Readiness::Passes => 2,
    }
}

fn readiness(code: i64, of: impl FnOnce() -> String) -> Result<Readiness> {
    match code {
        0 => Ok(Readiness::Runs),
        1 => Ok(Readiness::WaitsForApproval),
        2 => Ok(Readiness::Passes),
        _ => {
            let cause = InvalidName::new("readiness", &code.to_string(), "it is none of 0, 1, 2");
            Err(StoreError::corrupt("readiness", of(), cause))
        }
    }
}

impl TryFrom<Row> for Job {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self> {
        Member::try_from(row).map(|member| member.job)
    }
}

impl Store {
    /// One job.
    ///
    /// # Errors
    /// Where there is no such job.
    pub async fn job(&self, id: JobId) -> Result<Job> {
        sqlx::query_as::<_, Row>(concat!("SELECT ", columns!(), " FROM jobs WHERE id = $1"))
            .bind(id.0)
            .fetch_optional(self.readers())
            .await?
            .ok_or_else(|| StoreError::not_found("job", &id))?
            .try_into()
    }

    /// One job, by the name that clients follow it by.
    ///
    /// # Errors
    /// Where there is no such job.
    pub async fn job_by_uuid(&self, uuid: JobUuid) -> Result<Job> {
        sqlx::query_as::<_, Row>(concat!("SELECT ", columns!(), " FROM jobs WHERE uuid = $1"))
            .bind(uuid.to_string())
            .fetch_optional(self.readers())
            .await?
            .ok_or_else(|| StoreError::not_found("job", &uuid))?
            .try_into()
    }

    /// A pipeline's jobs, in the order of its plan; none before it is planned, or if there is no such
    /// pipeline.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn jobs_of(&self, pipeline: PipelineId) -> Result<Vec<Job>> {
        let members = members(self.readers(), pipeline).await?;
        Ok(members.into_iter().map(|member| member.job).collect())
    }

    /// All jobs, newest first; without those that can't be read.
    ///
    /// # Errors
    /// Where the cursor is none of this list's.
    pub async fn jobs(&self, page: &Page) -> Result<Paged<Job>> {
        let rows: Vec<Row> = sqlx::query_as(concat!(
            "SELECT ",
            columns!(),
            " FROM jobs WHERE id < $1 ORDER BY id DESC LIMIT $2"
        ))
        .bind(page.below(List::Jobs)?)
        .bind(page.more())
        .fetch_all(self.readers())
        .await?;
        Ok(Paged::cut(rows, page, List::Jobs, |row| row.id).read())
    }
}

/// A pipeline's jobs, in the order of its plan.
pub(crate) async fn members<'e>(
    database: impl sqlx::Executor<'e, Database = Sqlite>,
    pipeline: PipelineId,
) -> Result<Vec<Member>> {
    let rows: Vec<Row> = sqlx::query_as(concat!(
        "SELECT ",
        columns!(),
        " FROM jobs WHERE pipeline_id = $1 ORDER BY id"
    ))
    .bind(pipeline.0)
    .fetch_all(database)
    .await?;
    rows.into_iter().map(TryInto::try_into).collect()
}

/// Stores a new job of a pipeline's workflow.
pub(crate) async fn insert(
    database: &mut SqliteConnection,
    (pipeline, workflow): (&Pipeline, &WorkflowSpec),
    (spec, uuid): (&JobSpec, JobUuid),
    state: JobState,
    now: Timestamp,
) -> Result<Member> {
    let columns = Columns::of(&state);
    let id: i64 = sqlx::query_scalar(
        "INSERT INTO jobs (uuid, pipeline_id, workflow, job_name, requires, readiness, spec, \
         created_at, status, state, queued_at, start_time, end_time, repo, priority) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) RETURNING id",
    )
    .bind(uuid.to_string())
    .bind(pipeline.id.0)
    .bind(&workflow.name)
    .bind(&spec.name)
    .bind(json::write(&spec.requires))
    .bind(code_of(Readiness::of(&spec.kind)))
    .bind(json::write(spec))
    .bind(now.as_millis())
    .bind(columns.status)
    .bind(columns.state)
    .bind(columns.queued_at)
    .bind(columns.start_time)
    .bind(columns.end_time)
    .bind(pipeline.trigger.repo.as_str())
    .bind(workflow.priority)
    .fetch_one(database)
    .await?;
    Ok(Member {
        job: Job {
            id: JobId(id),
            uuid,
            pipeline: pipeline.id,
            workflow: workflow.name.clone(),
            name: spec.name.clone(),
            requires: spec
                .requires
                .iter()
                .map(|requirement| requirement.job.clone())
                .collect(),
            state,
            created: now,
        },
        requires: spec.requires.clone(),
        readiness: Readiness::of(&spec.kind),
    })
}

/// Writes a job's state.
pub(crate) async fn update(
    database: &mut SqliteConnection,
    id: JobId,
    state: &JobState,
) -> Result<()> {
    let columns = Columns::of(state);
    sqlx::query(
        "UPDATE jobs SET status = $2, state = $3, runner_id = $4, queued_at = $5, \
         start_time = $6, end_time = $7 WHERE id = $1",
    )
    .bind(id.0)
    .bind(columns.status)
    .bind(columns.state)
    .bind(columns.runner.map(|runner| runner.0))
    .bind(columns.queued_at)
    .bind(columns.start_time)
    .bind(columns.end_time)
    .execute(database)
    .await?;
    Ok(())
}

/// A state as its columns have it: the whole, and what lists and queues look at.
struct Columns {
    status: &'static str,
    state: String,
    runner: Option<RunnerId>,
    queued_at: Option<i64>,
    start_time: Option<i64>,
    end_time: Option<i64>,
}

impl Columns {
    fn of(state: &JobState) -> Self {
        let (runner, queued) = match state {
            JobState::Queued { since, .. } => (None, Some(*since)),
            JobState::Running { on, .. } => (Some(*on), None),
            JobState::Blocked | JobState::OnHold | JobState::Ended { .. } => (None, None),
        };
        Self {
            status: state.status().as_str(),
            state: json::write(state),
            runner,
            queued_at: queued.map(Timestamp::as_millis),
            start_time: state.started().map(Timestamp::as_millis),
            end_time: state.ended().map(Timestamp::as_millis),
        }
    }
}
