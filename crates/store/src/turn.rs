//! Groups of which only one runs at a time: the workflows of a project that have one `concurrency` group,
//! and the jobs of the whole server that have one `serial-group`. A group of jobs (`job-groups`) that has one
//! takes its turn as a whole, from the first of its jobs that runs to the end of the last.
//!
//! What waits for its turn is queued as anything else is; it is not handed out. Those that wait come in the
//! order in which they were queued.

use std::collections::BTreeMap;

use model::{
    CancelReason, JobEvent, JobState, PipelineId, Plan, Timestamp, Trigger, Turn, WorkflowSpec,
};
use sqlx::SqliteConnection;

use crate::change::Change;
use crate::job::Member;
use crate::{Job, Result, Store};

/// That a queued job need not wait for its turn: a condition on a row of `jobs`.
macro_rules! is_free {
    () => {
        "NOT EXISTS (SELECT 1 FROM turns AS own JOIN turns AS other \
           ON other.scope = own.scope AND other.group_name = own.group_name \
           AND other.turn = 'has' AND other.id <> own.id \
         WHERE own.pipeline_id = jobs.pipeline_id AND own.workflow = jobs.workflow \
           AND (own.job_name IN ('', jobs.job_name) OR own.job_name LIKE '%/' \
             AND own.job_name = substr(jobs.job_name, 1, length(own.job_name))))"
    };
}
pub(crate) use is_free;

/// The scope of what is shared by the whole server; no project has that name.
const EVERYWHERE: &str = "";

impl Store {
    /// Cancels the workflows that a newer pipeline's are to end (`cancel-in-progress`). Returns those of their
    /// jobs that run: who runs them must stop them.
    ///
    /// # Errors
    /// Where the database can't be written.
    pub async fn cancel_superseded(&self, now: Timestamp) -> Result<Vec<Job>> {
        let superseded: Vec<(i64, String, i64)> = sqlx::query_as(
            "SELECT older.pipeline_id, older.workflow, MAX(newer.pipeline_id) \
             FROM turns AS newer JOIN turns AS older \
               ON older.scope = newer.scope AND older.group_name = newer.group_name \
               AND older.pipeline_id < newer.pipeline_id \
             WHERE newer.turn <> 'over' AND newer.cancels AND older.turn <> 'over' \
             GROUP BY older.pipeline_id, older.workflow",
        )
        .fetch_all(self.readers())
        .await?;
        let mut running = Vec::new();
        for (pipeline, workflow, by) in superseded {
            let reason = CancelReason::Superseded { by: PipelineId(by) };
            let mut change = match Change::begin(self, PipelineId(pipeline), now).await {
                // It has ended with that.
                Err(error) if error.is_unreadable() || error.is_not_found() => continue,
                begun => begun?,
            };
            let cancel = JobEvent::Cancel { reason, at: now };
            change.apply_to_workflow(&workflow, &cancel).await?;
            let jobs = change.store().await?.jobs;
            running.extend(jobs.into_iter().filter(|job| {
                job.workflow == workflow && matches!(job.state, JobState::Running { .. })
            }));
        }
        Ok(running)
    }
}

/// Stores who of a plan shares a group with others.
pub(crate) async fn insert(
    database: &mut SqliteConnection,
    (pipeline, trigger): (PipelineId, &Trigger),
    plan: &Plan,
) -> Result<()> {
    let fork = trigger.pull_request.as_ref();
    let fork = fork.filter(|pull_request| pull_request.from_fork);
    // What a fork asks for is anyone's wish: it holds up and cancels nobody but itself.
    let (project, everywhere) = match fork {
        Some(fork) => {
            let own = format!("{} pull/{}", trigger.repo, fork.number);
            (own.clone(), own)
        }
        None => (trigger.repo.to_string(), EVERYWHERE.to_owned()),
    };
    // Neither has a space: no group that a config names is among these.
    let succession = plan.succession.as_ref();
    let succession = succession.map(|line| format!("{project} {line}"));
    for workflow in &plan.workflows {
        let group = match (&workflow.concurrency, &succession) {
            (Some(own), _) => Some((project.as_str(), &*own.group, own.cancel_in_progress)),
            (None, Some(line)) => Some((line.as_str(), &*workflow.name, true)),
            (None, None) => None,
        };
        if let Some(group) = group {
            insert_one(database, (pipeline, workflow, ""), group).await?;
        }
        for (unit, group) in serial_units(workflow) {
            let group = (everywhere.as_str(), group, false);
            insert_one(database, (pipeline, workflow, unit), group).await?;
        }
    }
    Ok(())
}

/// What of a workflow takes turns in `serial-group`s: a job by its name, or all jobs of a group of jobs by
/// what their names begin with, `deploy/`.
fn serial_units(workflow: &WorkflowSpec) -> BTreeMap<&str, &str> {
    let serial = workflow.jobs.iter().filter_map(|job| {
        let group = job.build()?.serial_group.as_deref()?;
        Some((job.name.as_str(), group))
    });
    let of_jobs: BTreeMap<&str, &str> = serial.collect();
    let mut units = BTreeMap::new();
    for (name, group) in &of_jobs {
        let together = name.find('/').map(|at| &name[..=at]);
        // All of a group of jobs have what the group has; others that are called alike may differ.
        let is_one = |together: &str| {
            let mut alike = of_jobs
                .iter()
                .filter(|(name, _)| name.starts_with(together));
            alike.all(|(_, other)| other == group)
        };
        let unit = together.filter(|together| is_one(together));
        units.insert(unit.unwrap_or(name), *group);
    }
    units
}

async fn insert_one(
    database: &mut SqliteConnection,
    (pipeline, workflow, job): (PipelineId, &WorkflowSpec, &str),
    (scope, group, cancels): (&str, &str, bool),
) -> Result<()> {
    sqlx::query(
        "INSERT INTO turns (pipeline_id, workflow, job_name, scope, group_name, cancels, turn) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(pipeline.0)
    .bind(&workflow.name)
    .bind(job)
    .bind(scope)
    .bind(group)
    .bind(cancels)
    .bind(word(Turn::Waits))
    .execute(database)
    .await?;
    Ok(())
}

/// Lets the turns of a pipeline follow the states of its jobs.
pub(crate) async fn follow(
    database: &mut SqliteConnection,
    pipeline: PipelineId,
    members: &[Member],
) -> Result<()> {
    let turns: Vec<(i64, String, String, String)> =
        sqlx::query_as("SELECT id, workflow, job_name, turn FROM turns WHERE pipeline_id = $1")
            .bind(pipeline.0)
            .fetch_all(&mut *database)
            .await?;
    for (id, workflow, job, stored) in turns {
        let own = members
            .iter()
            .map(|member| &member.job)
            .filter(|member| member.workflow == workflow && is_of(&member.name, &job));
        let next = word(read(&stored).next(own.map(|job| &job.state)));
        if next != stored {
            sqlx::query("UPDATE turns SET turn = $2 WHERE id = $1")
                .bind(id)
                .bind(next)
                .execute(&mut *database)
                .await?;
        }
    }
    Ok(())
}

/// Whether a job takes its turn under that name: the workflow's, its own, or that of its group.
fn is_of(job: &str, unit: &str) -> bool {
    unit.is_empty() || job == unit || unit.ends_with('/') && job.starts_with(unit)
}

/// A pipeline that can't be read is in nobody's way.
pub(crate) async fn give_back(database: &mut SqliteConnection, pipeline: PipelineId) -> Result<()> {
    sqlx::query("UPDATE turns SET turn = $2 WHERE pipeline_id = $1")
        .bind(pipeline.0)
        .bind(word(Turn::Over))
        .execute(database)
        .await?;
    Ok(())
}

fn word(turn: Turn) -> &'static str {
    match turn {
        Turn::Waits => "waits",
        Turn::Has => "has",
        Turn::Over => "over",
    }
}

fn read(word: &str) -> Turn {
    match word {
        "has" => Turn::Has,
        "over" => Turn::Over,
        _ => Turn::Waits,
    }
}
