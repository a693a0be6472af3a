//! Workflows that run again by themselves from what failed (`max_auto_reruns`), a few times each.

use model::{JobId, Outcome, PipelineId, Plan};
use sqlx::SqliteConnection;

use crate::{Job, Result};

/// Stores how often each workflow of a plan may run again.
pub(crate) async fn insert(
    database: &mut SqliteConnection,
    pipeline: PipelineId,
    plan: &Plan,
) -> Result<()> {
    let granted = plan.workflows.iter().filter(|w| w.max_auto_reruns > 0);
    for workflow in granted {
        sqlx::query("INSERT INTO reruns (pipeline_id, workflow, remaining) VALUES ($1, $2, $3)")
            .bind(pipeline.0)
            .bind(&workflow.name)
            .bind(workflow.max_auto_reruns)
            .execute(&mut *database)
            .await?;
    }
    Ok(())
}

/// The jobs that failed, of a workflow that ended so; none while it goes on, or if somebody canceled a job
/// of it.
pub(crate) fn failed<'a>(workflow: impl Iterator<Item = &'a Job>) -> Vec<JobId> {
    let mut failed = Vec::new();
    for job in workflow {
        match job.state.outcome() {
            Some(Outcome::Failure(_) | Outcome::Error(_)) => failed.push(job.id),
            Some(Outcome::Success | Outcome::Skipped { .. }) => {}
            Some(Outcome::Canceled(_)) | None => return Vec::new(),
        }
    }
    failed
}

/// Uses up one of the workflow's reruns, if it has one left.
pub(crate) async fn take(
    database: &mut SqliteConnection,
    pipeline: PipelineId,
    workflow: &str,
) -> Result<bool> {
    let taken = sqlx::query(
        "UPDATE reruns SET remaining = remaining - 1 \
         WHERE pipeline_id = $1 AND workflow = $2 AND remaining > 0",
    )
    .bind(pipeline.0)
    .bind(workflow)
    .execute(database)
    .await?;
    Ok(taken.rows_affected() > 0)
}
