//! A push, to its green dot.

use insta::assert_snapshot;
use serde_json::Value;

use crate::world::{Ci, Repo, TOKEN, Webhook, has_machine_jobs, root, until};

const THREE_JOBS: &str = "
version: 2.1
jobs:
  build:
    machine: true
    steps:
      - checkout
      - run: cat greeting.txt
      - run:
          name: Build
          command: echo \"built $CIRCLE_BRANCH\"
  lint:
    machine: true
    steps:
      - checkout
      - run: echo linted
  deploy:
    machine: true
    steps:
      - run: echo deployed
workflows:
  version: 2
  main:
    jobs:
      - build
      - lint
      - deploy:
          requires: [build, lint]
";

#[tokio::test]
async fn a_push_ends_as_a_green_commit_with_its_logs() {
    if !has_machine_jobs().await {
        return;
    }
    let ci = Ci::start().await;
    let repo = Repo::empty("octo/repo");
    let sha = repo.commit(
        "Greet",
        &[
            (".circleci/config.yml", THREE_JOBS),
            ("greeting.txt", "hello\n"),
        ],
    );

    let id = ci.push(&repo).await;
    assert_eq!(id, 1);
    assert_snapshot!(ci.settled(id).await, @"
    pipeline success
      build   success
      lint    success
      deploy  success
    ");
    assert!(ci.log(id, "build").await.ends_with("hello\nbuilt main\n"));
    assert!(ci.log(id, "lint").await.ends_with("linted\n"));
    assert_eq!(ci.log(id, "deploy").await, "deployed\n");

    // What the forge heard.
    until("the forge hears of the end", async || {
        ci.github.told(&sha).contains("success").then_some(())
    })
    .await;
    assert_snapshot!(ci.github.told(&sha), @"
    pending ci/popsicle: queued
    pending ci/popsicle: running
    success ci/popsicle: 3 jobs succeeded
    ");
    for status in ci.github.statuses() {
        assert_eq!(status.repo, "octo/repo");
        let address = status
            .target_url
            .split_once("/ui/")
            .expect("it links to the pipeline's page");
        assert_eq!(address.1, "pipelines/1");
        assert!(
            address
                .0
                .ends_with(ci.url().rsplit(':').next().expect("the address has a port"))
        );
    }
    assert_eq!(ci.github.strangers(), 0);

    // What people see.
    let listed = ci.cli(&["list"]).await.success();
    let short = &sha[..7];
    assert_eq!(
        without_times(&listed),
        format!("#1 [octo/repo @ {short} on main] status: SUCCESS (started T finished T)\n")
    );
    let deploy = ci.cli(&["logs", "1", "deploy"]).await.success();
    assert_eq!(
        deploy,
        "--- Log for pipeline 1, job \"deploy\" ---\ndeployed\n"
    );
    let build = ci.cli(&["logs", "1", "build"]).await.success();
    assert!(
        build.starts_with("--- Log for pipeline 1, job \"build\" ---\n"),
        "{build}"
    );
    let step = ci
        .cli(&["logs", "1", "build", "--step", "Build"])
        .await
        .success();
    assert!(step.ends_with("---\nbuilt main\n"), "{step}");
    let watched = ci.cli(&["watch", "1"]).await;
    assert_eq!(watched.code, Some(0), "{watched:?}");

    // Without a terminal nobody can be asked which of them.
    let unnamed = ci.cli(&["logs", "1"]).await;
    assert_eq!((unnamed.code, unnamed.stdout.as_str()), (Some(2), ""));
    for job in ["build", "lint", "deploy"] {
        assert!(unnamed.stderr.contains(job), "{}", unnamed.stderr);
    }
    ci.until_clean().await;
}

/// Each `2024-06-01T12:00:00Z` becomes `T`.
fn without_times(text: &str) -> String {
    let is_time =
        |word: &str| word.len() == 20 && word.ends_with('Z') && word.as_bytes()[10] == b'T';
    let mut plain = String::new();
    for word in text.split_inclusive([' ', ')', '\n']) {
        let (body, end) = word.split_at(word.len() - 1);
        plain.push_str(if is_time(body) { "T" } else { body });
        plain.push_str(end);
    }
    plain
}

#[tokio::test]
async fn jobs_that_do_not_need_each_other_run_at_once() {
    if !has_machine_jobs().await {
        return;
    }
    let ci = Ci::start().await;
    let repo = Repo::with_config(
        "
version: 2.1
jobs:
  one: &wait
    machine: true
    steps:
      - run: echo started; sleep 600
  two: *wait
workflows:
  main:
    jobs: [one, two]
",
    );
    let id = ci.push(&repo).await;
    ci.until_log(id, "one", "started").await;
    ci.until_log(id, "two", "started").await;
    ci.until_job(id, "one", "running").await;
    ci.until_job(id, "two", "running").await;
    ci.cli(&["cancel", "1"]).await.success();
    ci.settled(id).await;
}

#[tokio::test]
async fn each_file_brings_its_workflows_to_the_same_pipeline() {
    if !has_machine_jobs().await {
        return;
    }
    let ci = Ci::start().await;
    let file = |workflow: &str, command: &str| {
        format!(
            "version: 2.1\njobs:\n  check:\n    machine: true\n    steps:\n      - run: {command}\nworkflows:\n  {workflow}:\n    jobs: [check]\n"
        )
    };
    let repo = Repo::with(&[
        (".popsicle/lint.yml", &file("lint", "echo linted")),
        (".popsicle/test.yaml", &file("test", "echo tested; exit 3")),
        (".popsicle/notes.txt", "not a config"),
        // Not looked at beside the others.
        (".circleci/config.yml", &file("other", "exit 1")),
    ]);
    let id = ci.push(&repo).await;
    assert_snapshot!(ci.settled(id).await, @r#"
    pipeline failure
      lint/check  success
      test/check  failure  (step "echo tested; exit 3" ended with exit code 3)
    "#);
    until("the forge hears of the end", async || {
        let told = ci.github.told(&repo.head());
        (told.matches("failure").count() >= 2 && told.contains("success")).then_some(())
    })
    .await;
    let mut last: Vec<String> = Vec::new();
    for status in ci.github.statuses() {
        last.retain(|line| !line.starts_with(&format!("{}: ", status.context)));
        last.push(format!(
            "{}: {} {}",
            status.context, status.state, status.description
        ));
    }
    last.sort();
    assert_snapshot!(last.join("\n"), @r#"
    ci/popsicle/lint: success 1 job succeeded
    ci/popsicle/test: failure check failed: step "echo tested; exit 3" ended with exit code 3
    ci/popsicle: failure check failed: step "echo tested; exit 3" ended with exit code 3
    "#);

    // Two jobs have the same name: each is found by its workflow's.
    let log = ci.cli(&["logs", "1", "lint/check"]).await.success();
    assert!(log.ends_with("linted\n"), "{log}");
    assert_eq!(ci.cli(&["logs", "1", "check"]).await.code, Some(2));
}

#[tokio::test]
async fn a_payload_that_github_sent_starts_a_pipeline() {
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
    steps: [checkout, run: git log --format=%s]
workflows:
  main:
    jobs: [build]
",
    );
    repo.branch("master");
    let recorded = root().join("crates/forge/tests/payloads/push_branch.json");
    let recorded = std::fs::read(recorded).expect("the payload was recorded");
    let mut payload: Value = serde_json::from_slice(&recorded).expect("GitHub sends JSON");
    payload["repository"]["clone_url"] = repo.url().into();
    payload["after"] = repo.head().into();
    payload["head_commit"]["id"] = repo.head().into();

    let id = ci.deliver(&Webhook::new("push", &payload)).await.pipeline();
    assert_snapshot!(ci.settled(id).await, @"
    pipeline success
      build  success
    ");
    let pipeline = ci.pipeline(id).await;
    assert_eq!(pipeline["repo"], "Codertocat/Hello-World");
    assert_eq!(pipeline["branch"], "master");
    assert_eq!(pipeline["trigger"], "push");
    assert_eq!(pipeline["commit_sha"], repo.head());
    assert!(ci.log(id, "build").await.ends_with("First\n"));
}

#[tokio::test]
async fn jobs_are_told_what_they_run_for_and_no_more() {
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
    environment:
      COLOUR: green
    steps:
      - run:
          name: Look
          environment: {SHAPE: 'a \"round\" $thing'}
          command: |
            echo \"$CI $CIRCLECI $CIRCLE_JOB $CIRCLE_BRANCH $CIRCLE_SHA1\"
            echo \"$CIRCLE_PROJECT_USERNAME/$CIRCLE_PROJECT_REPONAME by $CIRCLE_USERNAME\"
            echo \"$COLOUR and $SHAPE\"
            echo 'export CARRIED=over' >> \"$BASH_ENV\"
      - run: echo \"carried $CARRIED\"
      - run: env
workflows:
  main:
    jobs: [build]
",
    );
    let id = ci.push(&repo).await;
    ci.settled(id).await;
    let log = ci.log(id, "build").await;
    let sha = repo.head();
    let expected = format!(
        "true true build main {sha}\nocto/repo by octocat\ngreen and a \"round\" $thing\ncarried over\n"
    );
    assert!(log.starts_with(&expected), "{log}");
    assert!(
        !log.contains(TOKEN) && !log.contains(crate::world::SECRET),
        "{log}"
    );
}
