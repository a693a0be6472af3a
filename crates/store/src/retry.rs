//! Gives a job that ended without success another attempt, in the same pipeline.

use model::{JobId, Preparation, Timestamp};

use crate::change::Change;
use crate::{Job, Result, Store, StoreError};

impl Store {
    /// Queues a job that failed, met a fault or was canceled for its next attempt; what was skipped because
    /// of it waits for that, and its pipeline goes on. What earlier attempts left stays.
    ///
    /// # Errors
    /// Where there is no such job, where it has not ended or went well, where what it requires did not end as
    /// required, or where its pipeline's plan is gone.
    pub async fn retry_job(&self, id: JobId, now: Timestamp) -> Result<Job> {
        let mut change = Change::of_job(self, id, now).await?;
        let pipeline = change.pipeline().id;
        let has_plan: bool =
            sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM plans WHERE pipeline_id = $1)")
                .bind(pipeline.0)
                .fetch_one(change.connection())
                .await?;
        match change.pipeline().preparation {
            Preparation::Planned { .. } if has_plan => {}
            Preparation::Planned { .. } => return Err(StoreError::PlanGone(pipeline)),
            // It was given up: whatever became of its jobs, it can't go on.
            Preparation::Waiting | Preparation::Preparing { .. } | Preparation::Ended { .. } => {
                let status = change.pipeline().status;
                return Err(StoreError::AlreadyEnded { pipeline, status });
            }
        }
        change.retry(id).await?;
        let jobs = change.store().await?.jobs;
        jobs.into_iter()
            .find(|job| job.id == id)
            .ok_or_else(|| StoreError::not_found("job", &id))
    }
}
