//! Canceling: what waits ends at once, what runs as soon as it has stopped, and nothing stays behind.

use insta::assert_snapshot;
use serde_json::json;

use crate::world::{Ci, Repo, has_machine_jobs, processes_with, unique, until};

/// `build` says `ready` and goes on for ever; its first line can keep it from ending when asked.
fn endless(first_line: &str, mark: &str) -> Repo {
    Repo::with_config(&format!(
        "
version: 2.1
jobs:
  build:
    machine: true
    steps:
      - checkout
      - run: |
          {first_line}
          echo ready
          # {mark}
          while :; do sh -c 'sleep 5; : {mark}'; done
  deploy:
    machine: true
    steps: [run: echo deployed]
workflows:
  main:
    jobs:
      - build
      - deploy: {{requires: [build]}}
"
    ))
}

async fn until_gone(mark: &str) {
    until("the job's processes are gone", async || {
        processes_with(mark).is_empty().then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_job_that_runs_is_stopped_and_leaves_nothing() {
    if !has_machine_jobs().await {
        return;
    }
    let ci = Ci::start().await;
    let mark = unique();
    let repo = endless(":", &mark);
    let id = ci.push(&repo).await;
    ci.until_log(id, "build", "ready").await;
    until("the mark tells the job's processes", async || {
        (!processes_with(&mark).is_empty()).then_some(())
    })
    .await;

    let told = ci.cli(&["cancel", "1"]).await.success();
    assert!(told.starts_with("#1 ["), "{told}");
    assert_snapshot!(ci.settled(id).await, @"
    pipeline canceled
      build   canceled  (canceled on request)
      deploy  canceled  (canceled on request)
    ");
    assert!(ci.log(id, "build").await.contains("ready\n"));
    until_gone(&mark).await;
    ci.until_clean().await;

    let again = ci.cli(&["cancel", "1"]).await;
    assert_ne!(again.code, Some(0));
    assert_snapshot!(again.stderr, @"error: pipeline 1 has already ended: canceled");
    assert_ne!(ci.cli(&["cancel", "2"]).await.code, Some(0));
}

#[tokio::test]
async fn a_job_that_does_not_listen_is_killed() {
    if !has_machine_jobs().await {
        return;
    }
    let ci = Ci::start().await;
    let mark = unique();
    let repo = endless("trap '' TERM INT HUP", &mark);
    let id = ci.push(&repo).await;
    ci.until_log(id, "build", "ready").await;
    let canceled = ci
        .post(&format!("/pipelines/{id}/cancel"), &json!({}))
        .await;
    assert!(canceled.code < 300, "{}", canceled.text());
    assert_snapshot!(ci.settled(id).await, @"
    pipeline canceled
      build   canceled  (canceled on request)
      deploy  canceled  (canceled on request)
    ");
    until_gone(&mark).await;
    ci.until_clean().await;
}

#[tokio::test]
async fn a_cancel_is_not_forgotten_when_the_server_dies_right_after() {
    if !has_machine_jobs().await {
        return;
    }
    let mut ci = Ci::start().await;
    let mark = unique();
    let repo = endless("trap '' TERM", &mark);
    let id = ci.push(&repo).await;
    ci.until_log(id, "build", "ready").await;
    ci.cli(&["cancel", "1"]).await.success();
    ci.kill();
    ci.restart().await;
    assert_snapshot!(ci.settled(id).await, @"
    pipeline canceled
      build   canceled  (canceled on request)
      deploy  canceled  (canceled on request)
    ");
    until_gone(&mark).await;
    ci.until_clean().await;
}
