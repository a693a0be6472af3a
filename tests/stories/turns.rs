//! Who waits for whom, and whom a newer push ends.

use insta::assert_snapshot;

use crate::world::{Ci, Repo, has_machine_jobs};

/// A workflow `main` with these lines, whose job goes on for ever.
fn waiting(lines: &str) -> Repo {
    Repo::with_config(&format!(
        "
version: 2.1
jobs:
  build: {{machine: true, steps: [run: 'echo ready; while :; do sleep 0.1; done']}}
workflows:
  main:
    {lines}
    jobs: [build]
"
    ))
}

#[tokio::test]
async fn a_push_ends_what_runs_for_earlier_ones_of_its_branch_where_that_is_set() {
    if !has_machine_jobs().await {
        return;
    }
    let ci = Ci::start_with(&[
        ("POPSICLE_CANCEL_REDUNDANT", "*,!release"),
        ("POPSICLE_MAX_JOBS", "4"),
    ])
    .await;
    let repo = waiting("description: endless");
    let first = ci.push(&repo).await;
    ci.until_log(first, "build", "ready").await;
    repo.branch("release");
    let release = ci.push(&repo).await;
    ci.until_log(release, "build", "ready").await;
    repo.commit("again", &[("a", "b")]);
    let kept = ci.push(&repo).await;
    ci.until_log(kept, "build", "ready").await;

    repo.git(&["checkout", "-q", "main"]);
    repo.commit("more", &[("c", "d")]);
    let second = ci.push(&repo).await;
    assert_snapshot!(ci.settled(first).await, @r"
    pipeline canceled
      build  canceled  (superseded by pipeline 4)
    ");
    ci.until_log(second, "build", "ready").await;
    for id in [release, kept] {
        assert_eq!(ci.job(id, "build").await["status"], "running");
    }
}

#[tokio::test]
async fn one_of_a_concurrency_group_runs_at_a_time_across_a_kill_of_the_server() {
    if !has_machine_jobs().await {
        return;
    }
    let mut ci = Ci::start_with(&[("POPSICLE_MAX_JOBS", "4")]).await;
    let repo = waiting("concurrency: deploy-<< pipeline.git.branch >>");
    let first = ci.push(&repo).await;
    ci.until_log(first, "build", "ready").await;
    let second = ci.push(&repo).await;
    ci.until_job(second, "build", "queued").await;
    repo.branch("other");
    let other = ci.push(&repo).await;
    ci.until_log(other, "build", "ready").await;
    ci.kill();
    ci.restart().await;
    assert_eq!(ci.job(second, "build").await["status"], "queued");
    assert_eq!(ci.job(first, "build").await["status"], "running");
    ci.cli(&["cancel", &first.to_string()]).await.success();
    ci.until_log(second, "build", "ready").await;
}
