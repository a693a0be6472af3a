//! What a job may use at most, and what becomes of one that wants more.

use crate::world::{Ci, Image, Repo, can_limit, docker_can_limit, has_docker, has_machine_jobs};

/// Takes a gigabyte of memory: a shell keeps the whole of a variable.
const HUNGRY: &str = "x=0123456789abcdef; for i in $(seq 26); do x=$x$x; done";

const OVER_ITS_MEMORY: &str =
    "pipeline failure\n  build  failure  (the job used more memory than it may)";

/// A job of one step, in a shell that gives up where it can't fork.
fn one_job(place: &str, command: &str) -> Repo {
    Repo::with_config(&format!(
        "
version: 2.1
jobs:
  build:
    {place}
    steps:
      - run: {{name: Eat, command: '{command}', shell: sh -e}}
workflows: {{main: {{jobs: [build]}}}}
"
    ))
}

#[tokio::test]
async fn a_job_over_its_memory_ends_for_that_reason() {
    if !has_machine_jobs().await || !can_limit("memory").await {
        return;
    }
    let ci = Ci::start_with(&[("POPSICLE_JOB_MEMORY", "64MiB")]).await;
    let repo = one_job("machine: true", HUNGRY);
    let id = ci.push(&repo).await;
    assert_eq!(ci.settled(id).await, OVER_ITS_MEMORY);
    let repo = one_job("machine: true", "echo small");
    let id = ci.push(&repo).await;
    assert_eq!(ci.settled(id).await, "pipeline success\n  build  success");
    ci.until_clean().await;
}

#[tokio::test]
async fn a_container_over_its_memory_ends_for_that_reason() {
    if !has_docker() || !docker_can_limit() {
        return;
    }
    let image = Image::busybox();
    let ci = Ci::start_with(&[("POPSICLE_JOB_MEMORY", "64MiB")])
        .await
        .with_docker();
    let place = format!("docker: [{{image: '{}'}}]", image.name);
    let repo = one_job(&place, HUNGRY);
    let id = ci.push(&repo).await;
    assert_eq!(ci.settled(id).await, OVER_ITS_MEMORY);
    ci.until_clean().await;
}

#[tokio::test]
async fn a_fork_bomb_ends_with_its_job() {
    if !has_machine_jobs().await || !can_limit("pids").await {
        return;
    }
    let ci = Ci::start_with(&[("POPSICLE_JOB_PIDS", "30")]).await;
    let bomb = "for i in $(seq 100); do sleep 600 & done";
    let repo = one_job("machine: true", bomb);
    let id = ci.push(&repo).await;
    assert!(ci.settled(id).await.starts_with("pipeline failure"));
    assert!(ci.log(id, "build").await.contains("fork"));
    ci.until_clean().await;
}
