//! `/metrics`: what a server counts, as Prometheus reads it.

use crate::world::{Ci, Repo, has_machine_jobs};

const CONFIG: &str = "
version: 2.1
jobs:
  build:
    machine: true
    steps: [run: echo hello]
  deploy:
    machine: true
    steps: [run: exit 3]
workflows: {main: {jobs: [build, deploy: {requires: [build]}]}}
";

/// The value of a series, or 0 where there is none yet.
fn value(text: &str, series: &str) -> f64 {
    text.lines()
        .find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
        .unwrap_or_default()
}

#[tokio::test]
async fn a_pipeline_moves_the_counters() {
    if !has_machine_jobs().await {
        return;
    }
    let ci = Ci::start().await;
    let before = ci.get("/metrics").await.text();
    assert_eq!(
        value(&before, "popsicle_pipelines_total{status=\"failure\"}"),
        0.0
    );
    let repo = Repo::with_config(CONFIG);
    let id = ci.push(&repo).await;
    ci.settled(id).await;
    let answer = ci.get("/api/metrics").await;
    assert_eq!(answer.code, 200);
    let text = answer.text();
    for (series, expected) in [
        (
            "popsicle_webhooks_total{forge=\"github\",result=\"accepted\"}",
            1.0,
        ),
        ("popsicle_pipelines_total{status=\"queued\"}", 1.0),
        ("popsicle_pipelines_total{status=\"failure\"}", 1.0),
        ("popsicle_jobs_total{status=\"success\"}", 1.0),
        ("popsicle_jobs_total{status=\"failure\"}", 1.0),
        ("popsicle_job_queue_seconds_count", 2.0),
        ("popsicle_job_duration_seconds_count", 2.0),
        ("popsicle_pipeline_preparation_seconds_count", 1.0),
        ("popsicle_jobs_current{status=\"running\"}", 0.0),
        ("popsicle_pipelines_current{status=\"queued\"}", 0.0),
        ("popsicle_stream_listeners", 0.0),
    ] {
        assert_eq!(value(&text, series), expected, "{series} in\n{text}");
    }
    for series in [
        "popsicle_http_requests_total{method=\"POST\",route=\"/webhook\",status=\"200\"}",
        "popsicle_http_request_seconds_count{method=\"POST\",route=\"/webhook\"}",
        "popsicle_store_transaction_seconds_count",
        "process_resident_memory_bytes",
        "process_start_time_seconds",
    ] {
        assert!(value(&text, series) > 0.0, "{series} in\n{text}");
    }
    assert!(value(&text, "popsicle_log_bytes_total") >= 6.0, "{text}");
    assert!(text.contains("popsicle_build_info{version="), "{text}");
    assert!(
        text.contains("# TYPE popsicle_job_duration_seconds histogram"),
        "{text}"
    );
    assert!(!text.contains("octo"), "no project is named:\n{text}");

    // An address that leads nowhere is no series of its own.
    ci.get("/no/such/place").await;
    let text = ci.get("/metrics").await.text();
    assert!(!text.contains("/no/such"), "{text}");
    ci.until_clean().await;
}
