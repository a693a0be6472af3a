//! The recorder of all that is measured, and what each of its series means.

use std::convert::Infallible;
use std::time::Duration;

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram, gauge};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use metrics_process::Collector;
use server::MetricsText;

use crate::error::Failure;

/// How often what was measured is put into its buckets where nobody asks for it: until then each
/// measurement takes room.
const UPKEEP: Duration = Duration::from_secs(5);

/// From a lookup in memory to a job of hours, in seconds.
const BUCKETS: [f64; 17] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0,
    600.0, 3600.0,
];

/// The recorder of this process.
#[derive(Clone, Debug)]
pub struct Recorder {
    handle: PrometheusHandle,
    process: Collector,
}

impl Recorder {
    /// Installs it, once in a process.
    ///
    /// # Errors
    /// Where there is one already.
    pub fn install() -> Result<Self, Failure> {
        let failed = |error| Failure::unable(format_args!("can't keep metrics: {error}"));
        let handle = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &BUCKETS)
            .and_then(PrometheusBuilder::install_recorder)
            .map_err(failed)?;
        describe();
        gauge!("popsicle_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
        let process = Collector::default();
        process.describe();
        Ok(Self { handle, process })
    }

    /// What `/metrics` shows.
    pub fn text(&self) -> MetricsText {
        let Self { handle, process } = self.clone();
        MetricsText::new(move || {
            process.collect();
            handle.render()
        })
    }

    /// Keeps it small for as long as it is polled.
    pub async fn keep(self) -> Infallible {
        let mut upkeep = tokio::time::interval(UPKEEP);
        loop {
            upkeep.tick().await;
            self.handle.run_upkeep();
        }
    }
}

fn describe() {
    for (name, help) in [
        (
            "popsicle_webhooks_total",
            "Deliveries of forges, by what came of them",
        ),
        (
            "popsicle_pipelines_total",
            "How often a pipeline came to have a status",
        ),
        (
            "popsicle_jobs_total",
            "How often a job came to have a status",
        ),
        (
            "popsicle_http_requests_total",
            "Answered requests, by route and status",
        ),
        (
            "popsicle_report_deliveries_total",
            "Reports to forges, by what became of each try",
        ),
    ] {
        describe_counter!(name, help);
    }
    describe_counter!(
        "popsicle_log_bytes_total",
        Unit::Bytes,
        "Bytes of job output that were stored"
    );
    for (name, help) in [
        (
            "popsicle_pipelines_current",
            "Pipelines that have not ended, by status",
        ),
        ("popsicle_jobs_current", "Jobs that wait for room or run"),
        ("popsicle_reports_waiting", "Reports that no forge has yet"),
        (
            "popsicle_stream_listeners",
            "Open streams of logs, jobs and events",
        ),
        ("popsicle_build_info", "Always 1; the version is a label"),
    ] {
        describe_gauge!(name, help);
    }
    for (name, help) in [
        (
            "popsicle_http_request_seconds",
            "From a request to the head of its answer",
        ),
        (
            "popsicle_store_transaction_seconds",
            "From the begin of a write transaction to its durable end",
        ),
        (
            "popsicle_job_queue_seconds",
            "From a job's being queued to its claim",
        ),
        (
            "popsicle_job_duration_seconds",
            "From a job's claim to its attempt's end",
        ),
        (
            "popsicle_pipeline_preparation_seconds",
            "From the first look at a pipeline to its stored jobs",
        ),
    ] {
        describe_histogram!(name, Unit::Seconds, help);
    }
}
