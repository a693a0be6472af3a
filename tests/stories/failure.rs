//! A job that fails stops what needs it, and nothing else; and it can be run again.

use insta::assert_snapshot;
use serde_json::json;

use crate::world::{Ci, Repo, has_machine_jobs, until};

/// `test` fails; `deploy` needs it, `docs` does not.
const FAILING: &str = "
version: 2.1
jobs:
  build:
    machine: true
    steps: [run: echo built]
  test:
    machine: true
    steps:
      - run:
          name: Unit tests
          command: echo 'one is not two'; exit 3
      - run: echo never
      - run:
          name: Tidy up
          when: always
          command: echo tidied
      - run:
          name: Explain
          when: on_fail
          command: echo explained
  deploy:
    machine: true
    steps: [run: echo deployed]
  announce:
    machine: true
    steps: [run: echo announced]
  docs:
    machine: true
    steps: [run: echo documented]
workflows:
  main:
    jobs:
      - build
      - test: {requires: [build]}
      - deploy: {requires: [test]}
      - announce: {requires: [deploy]}
      - docs: {requires: [build]}
";

#[tokio::test]
async fn a_failed_job_stops_what_needs_it_and_can_be_run_again() {
    if !has_machine_jobs().await {
        return;
    }
    let ci = Ci::start().await;
    let repo = Repo::with_config(FAILING);
    let id = ci.push(&repo).await;
    assert_snapshot!(ci.settled(id).await, @r#"
    pipeline failure
      build     success
      test      failure  (step "Unit tests" ended with exit code 3)
      deploy    skipped  (it requires `test`, which did not end as required)
      announce  skipped  (it requires `deploy`, which did not end as required)
      docs      success
    "#);
    assert_eq!(
        ci.log(id, "test").await,
        "one is not two\ntidied\nexplained\n"
    );
    assert_eq!(ci.job(id, "test").await["exit_code"], 3);
    let sha = repo.head();
    until("the forge hears of the end", async || {
        ci.github.told(&sha).contains("failure").then_some(())
    })
    .await;
    let told = ci.github.told(&sha);
    let last = told.lines().last().unwrap_or_default();
    assert_snapshot!(last, @r#"failure ci/popsicle: test failed: step "Unit tests" ended with exit code 3"#);
    let watched = ci.cli(&["watch", "1"]).await;
    assert_eq!(watched.code, Some(1), "{watched:?}");

    // One job again, in the same pipeline.
    let retried = ci.cli(&["retry", "1", "test", "--watch"]).await;
    assert_eq!(retried.code, Some(1), "{retried:?}");
    assert_eq!(ci.job(id, "test").await["attempt"], 2);
    assert_eq!(ci.job(id, "build").await["attempt"], 1);
    assert_eq!(ci.job(id, "deploy").await["status"], "skipped");
    let refused = ci.cli(&["retry", "1", "deploy"]).await;
    assert_eq!(refused.code, Some(2));
    assert_snapshot!(refused.stderr, @"error: job `deploy` was skipped because of `test`; retry that one");

    // What went well is not done again.
    let rerun = ci.cli(&["rerun", "1", "--from", "failed"]).await.success();
    assert!(rerun.starts_with("#2 [octo/repo @ "), "{rerun}");
    assert_snapshot!(ci.settled(2).await, @r#"
    pipeline failure
      test      failure  (step "Unit tests" ended with exit code 3)
      deploy    skipped  (it requires `test`, which did not end as required)
      announce  skipped  (it requires `deploy`, which did not end as required)
    "#);
    assert_eq!(ci.pipeline(2).await["rerun_of"], 1);
    assert_eq!(ci.pipeline(2).await["trigger"], "rerun");

    // All of it, over the API.
    let answer = ci
        .post("/api/pipelines/1/rerun", &json!({"from": "start"}))
        .await;
    assert_eq!(answer.code, 201, "{}", answer.text());
    assert_eq!(answer.json()["id"], 3);
    assert_eq!(ci.settled(3).await, ci.settled(1).await);

    let unknown = ci.cli(&["rerun", "77"]).await;
    assert_ne!(unknown.code, Some(0));
    assert!(unknown.stderr.contains("77"), "{}", unknown.stderr);
    ci.until_clean().await;
}

#[tokio::test]
async fn a_pipeline_that_went_well_has_nothing_that_failed_to_rerun() {
    if !has_machine_jobs().await {
        return;
    }
    let ci = Ci::start().await;
    let repo = Repo::with_config(
        "
version: 2.1
jobs:
  build:
    machine: true
    steps: [run: 'true']
workflows: {main: {jobs: [build]}}
",
    );
    let id = ci.push(&repo).await;
    assert_snapshot!(ci.settled(id).await, @"
    pipeline success
      build  success
    ");
    let refused = ci.cli(&["rerun", "1", "--from", "failed"]).await;
    assert_eq!(refused.stdout, "");
    assert_snapshot!(refused.stderr, @"error: pipeline 1 can't be run again: none of its jobs failed; rerun it from its start");
    let refused = ci
        .post("/pipelines/1/rerun", &json!({"from": "failed"}))
        .await;
    assert_snapshot!(refused.error(), @"409 conflict: pipeline 1 can't be run again: none of its jobs failed; rerun it from its start");
}

#[tokio::test]
async fn a_job_that_takes_too_long_is_ended() {
    if !has_machine_jobs().await {
        return;
    }
    let ci = Ci::start_with(&[("POPSICLE_JOB_TIMEOUT", "2s")]).await;
    let repo = Repo::with_config(
        "
version: 2.1
jobs:
  build:
    machine: true
    steps: [run: echo waiting; sleep 600]
workflows: {main: {jobs: [build]}}
",
    );
    let id = ci.push(&repo).await;
    assert_snapshot!(ci.settled(id).await, @"
    pipeline failure
      build  failure  (the job took longer than its limit of 2 s)
    ");
    assert!(ci.log(id, "build").await.starts_with("waiting\n"));
    ci.until_clean().await;
}

#[tokio::test]
async fn a_step_that_writes_nothing_is_ended_and_what_follows_a_failure_runs() {
    if !has_machine_jobs().await {
        return;
    }
    let ci = Ci::start().await;
    let repo = Repo::with_config(
        "
version: 2.1
jobs:
  build:
    machine: true
    steps:
      - run: {name: Hang, command: echo waiting; sleep 600, no_output_timeout: 1s}
      - run: echo never
      - run: {command: echo tidied, when: always}
workflows: {main: {jobs: [build]}}
",
    );
    let id = ci.push(&repo).await;
    assert_snapshot!(ci.settled(id).await, @r#"
    pipeline failure
      build  failure  (step "Hang" wrote nothing for its limit of 1 s)
    "#);
    let log = ci.log(id, "build").await;
    assert!(
        log.contains("waiting\n\nerror: step \"Hang\" wrote nothing"),
        "{log}"
    );
    assert!(log.ends_with("tidied\n"), "{log}");
    ci.until_clean().await;
}
