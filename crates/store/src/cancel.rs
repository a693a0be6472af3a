//! Ends pipelines and jobs before their time. What runs is only marked: its runner stops it, then says so.

use model::{
    CancelReason, JobEvent, JobId, JobState, OutcomeKind, PipelineId, Preparation, Timestamp,
};

use crate::change::Change;
use crate::{Job, Result, Store, StoreError};

impl Store {
    /// Cancels every job of a pipeline that has not ended, or the pipeline's preparation. Returns the
    /// jobs that run: who runs them must stop them.
    ///
    /// # Errors
    /// Where there is no such pipeline, or it has ended.
    pub async fn cancel_pipeline(
        &self,
        id: PipelineId,
        reason: CancelReason,
        now: Timestamp,
    ) -> Result<Vec<Job>> {
        let mut change = Change::begin(self, id, now).await?;
        let status = change.pipeline().status;
        if status.is_ended() {
            return Err(StoreError::AlreadyEnded {
                pipeline: id,
                status,
            });
        }
        match change.pipeline().preparation {
            Preparation::Waiting | Preparation::Preparing { .. } => {
                change.prepare(Preparation::Ended {
                    outcome: OutcomeKind::Canceled,
                    reason: reason.to_string(),
                    at: now,
                });
            }
            Preparation::Planned { .. } | Preparation::Ended { .. } => {
                change
                    .apply_to_all(&JobEvent::Cancel { reason, at: now })
                    .await?;
            }
        }
        let jobs = change.store().await?.jobs;
        Ok(jobs.into_iter().filter(is_running).collect())
    }

    /// Cancels one job. If it is running still in the answer, who runs it must stop it.
    ///
    /// # Errors
    /// Where there is no such job, or it has ended.
    pub async fn cancel_job(&self, id: JobId, reason: CancelReason, now: Timestamp) -> Result<Job> {
        self.advance_job(id, JobEvent::Cancel { reason, at: now })
            .await
    }
}

fn is_running(job: &Job) -> bool {
    match job.state {
        JobState::Running { .. } => true,
        JobState::Blocked | JobState::OnHold | JobState::Queued { .. } | JobState::Ended { .. } => {
            false
        }
    }
}
