//! What is measured where it is stored: whoever installed a recorder gets it, and no one else pays for it.

use std::time::Duration;

use metrics::{counter, histogram};
use model::{Event, EventBody, Status};
use sqlx::SqlitePool;

use crate::{Result, Store};

/// From a job's being queued to its claim.
pub(crate) const QUEUED: &str = "popsicle_job_queue_seconds";
/// From a job's claim to its attempt's end.
pub(crate) const RAN: &str = "popsicle_job_duration_seconds";
/// From the first look at a pipeline to its stored jobs.
pub(crate) const PREPARED: &str = "popsicle_pipeline_preparation_seconds";

/// A transaction is durable.
pub(crate) fn committed(took: Duration, events: &[Event], spans: &[(&'static str, f64)]) {
    histogram!("popsicle_store_transaction_seconds").record(took);
    for (name, seconds) in spans {
        histogram!(*name).record(*seconds);
    }
    for event in events {
        match &event.body {
            EventBody::Pipeline { status, .. } => {
                counter!("popsicle_pipelines_total", "status" => status.as_str()).increment(1);
            }
            EventBody::Job { status, .. } => {
                counter!("popsicle_jobs_total", "status" => status.as_str()).increment(1);
            }
            EventBody::Step { .. } => {}
        }
    }
}

/// What became of one delivery to a forge.
pub(crate) fn reported(result: &'static str) {
    counter!("popsicle_report_deliveries_total", "result" => result).increment(1);
}

/// Text was added to a job's log.
pub(crate) fn logged(bytes: usize) {
    counter!("popsicle_log_bytes_total").increment(bytes as u64);
}

/// How much of what is stored waits or is under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Census {
    /// Pipelines that have not ended, by how far they are.
    pub pipelines: Vec<(Status, u64)>,
    /// Jobs that wait for a runner or have one, by which it is.
    pub jobs: Vec<(Status, u64)>,
    /// Reports that no forge has yet.
    pub reports: u64,
}

impl Store {
    /// Counts what waits and what is under way. Quick whatever has ended: each count has an index.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn census(&self) -> Result<Census> {
        let count = async |sql: &'static str| -> Result<u64> {
            let readers: &SqlitePool = self.readers();
            let count: i64 = sqlx::query_scalar(sql).fetch_one(readers).await?;
            Ok(count.unsigned_abs())
        };
        Ok(Census {
            pipelines: vec![
                (
                    Status::Queued,
                    count("SELECT COUNT(*) FROM pipelines WHERE status = 'queued'").await?,
                ),
                (
                    Status::Running,
                    count("SELECT COUNT(*) FROM pipelines WHERE status = 'running'").await?,
                ),
                (
                    Status::OnHold,
                    count("SELECT COUNT(*) FROM pipelines WHERE status = 'on_hold'").await?,
                ),
            ],
            jobs: vec![
                (
                    Status::Queued,
                    count("SELECT COUNT(*) FROM jobs WHERE status = 'queued'").await?,
                ),
                (
                    Status::Running,
                    count("SELECT COUNT(*) FROM jobs WHERE status = 'running'").await?,
                ),
            ],
            reports: count("SELECT COUNT(*) FROM reports WHERE settled_at IS NULL").await?,
        })
    }
}
