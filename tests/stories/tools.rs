//! What a job can ask of the server from inside, wherever it runs.

use super::docker::remote_docker;
use crate::world::{Ci, Image, Repo, has_docker, has_machine_jobs};

/// A job that halts in its second step, as a user that may be anyone.
fn halting(place: &str) -> Repo {
    Repo::with_config(&format!(
        "
version: 2.1
jobs:
  build:
    {place}
    steps:
      - run: echo one
      - run: circleci-agent step halt; echo two
      - run: echo three
      - run: {{command: echo four, when: always}}
      - store_artifacts: {{path: nothing}}
workflows: {{main: {{jobs: [build]}}}}
"
    ))
}

async fn halts(ci: Ci, place: &str) {
    let repo = halting(place);
    let id = ci.push(&repo).await;
    assert_eq!(ci.settled(id).await, "pipeline success\n  build  success");
    let log = ci.log(id, "build").await;
    assert!(log.ends_with("one\ntwo\n"), "{log}");
    let job = ci.job(id, "build").await["id"].to_string();
    let steps = ci.get(&format!("/pipelines/{id}/jobs/{job}/steps")).await;
    let steps = steps.json();
    let statuses: Vec<&str> = steps
        .as_array()
        .expect("a list")
        .iter()
        .map(|step| step["status"].as_str().unwrap_or_default())
        .collect();
    let expected = ["success", "success", "skipped", "skipped", "skipped"];
    assert_eq!(statuses, expected);
    ci.until_clean().await;
}

#[tokio::test]
async fn a_machine_job_halts() {
    if !has_machine_jobs().await {
        return;
    }
    halts(Ci::start().await, "machine: true").await;
}

#[tokio::test]
async fn a_docker_job_halts_whoever_it_runs_as_and_wherever_its_daemon_is() {
    if !has_docker() {
        return;
    }
    let image = Image::busybox();
    let place = format!("docker: [{{image: '{}', user: '1234'}}]", image.name);
    halts(Ci::start().await.with_docker(), &place).await;
    if let Some(remote) = remote_docker().await {
        let settings = [("POPSICLE_DOCKER_HOST", remote.as_str())];
        halts(Ci::start_with(&settings).await.with_docker(), &place).await;
    }
}

/// A job that finds its tests, and runs its share of them.
fn testing(place: &str) -> Repo {
    Repo::with(&[
        ("tests/b_test.sh", "echo b\n"),
        ("tests/deep/a_test.sh", "echo a\n"),
        ("tests/deep/helper.sh", "echo no\n"),
        (
            ".popsicle/ci.yml",
            &format!(
                "
version: 2.1
jobs:
  build:
    {place}
    steps:
      - checkout
      - run: circleci tests glob 'tests/**/*_test.sh' | circleci tests split
      - run: circleci tests glob 'tests/**/*_test.sh' | circleci tests split --total 2
      - run:
          command: |
            circleci tests glob 'tests/**/*_test.sh' |
              circleci tests run --command='xargs -n 1 sh' --verbose
workflows: {{main: {{jobs: [build]}}}}
"
            ),
        ),
    ])
}

async fn finds_its_tests(ci: Ci, place: &str) {
    let repo = testing(place);
    let id = ci.push(&repo).await;
    let settled = ci.settled(id).await;
    let log = ci.log(id, "build").await;
    assert_eq!(settled, "pipeline success\n  build  success", "{log}");
    let (b, a) = ("tests/b_test.sh\n", "tests/deep/a_test.sh\n");
    let expected = format!("\n{b}{a}{b}circleci: node 0 of 1 runs:\n{b}{a}b\na\n");
    assert!(log.ends_with(&expected), "{log}");
    ci.until_clean().await;
}

#[tokio::test]
async fn a_machine_job_finds_and_splits_its_tests() {
    if !has_machine_jobs().await {
        return;
    }
    finds_its_tests(Ci::start().await, "machine: true").await;
}

#[tokio::test]
async fn a_docker_job_finds_and_splits_its_tests() {
    if !has_docker() {
        return;
    }
    let image = Image::busybox();
    let place = format!("docker: [{{image: '{}'}}]", image.name);
    finds_its_tests(Ci::start().await.with_docker(), &place).await;
}
