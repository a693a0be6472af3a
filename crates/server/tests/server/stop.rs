//! How the server ends.

use model::Status;
use reqwest::Method;

use crate::world::{Ci, PATIENCE, Pieces, one_job};

#[tokio::test]
async fn a_stop_breaks_streams_off_and_leaves_jobs_alone() {
    let mut ci = Ci::start().await;
    let gate = ci.gate("gate");
    let pipeline = ci
        .push(&one_job(&format!(
            "echo first; cat {}",
            gate.path.display()
        )))
        .await;
    let job = ci.job(pipeline).await;
    let log = format!("/pipelines/{pipeline}/jobs/{}/log?follow=true", job.id);
    let mut log = Pieces::of(ci.request(Method::GET, &log)).await;
    log.up_to("first\n").await;
    let stream = format!("/jobs/{}/stream?from_beginning=true", job.uuid);
    let mut stream = Pieces::of(ci.request(Method::GET, &stream)).await;
    stream.up_to("first").await;
    let mut events = Pieces::of(ci.request(Method::GET, "/events")).await;
    events.up_to("\n\n").await;

    ci.stop.cancel();
    // Nothing but its end says that a log is whole.
    assert_eq!(log.until_it_breaks().await, "");
    assert!(!stream.rest().await.contains("complete"));
    assert_eq!(events.rest().await, "");
    tokio::time::timeout(PATIENCE, &mut ci.serving)
        .await
        .expect("the server ends in time")
        .unwrap()
        .unwrap();

    // The job never knew.
    gate.open().await;
    assert_eq!(ci.until(pipeline, Status::is_ended).await, Status::Success);
}
