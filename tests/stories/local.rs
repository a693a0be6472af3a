//! `popsicle run`: a directory's pipeline, here and now.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use insta::assert_snapshot;

use crate::world::{
    Ci, Image, Repo, cli_in, containers, has_docker, has_machine_jobs, processes_with, unique,
};

const TWO_WORKFLOWS: &str = "
version: 2.1
jobs:
  build:
    machine: true
    steps:
      - checkout
      - run: {name: Read, command: 'cat note.txt && echo changed > note.txt && touch made'}
  check:
    machine: true
    steps: [run: {name: Check, command: 'seq 1 30; echo broken >&2; exit 7'}]
workflows:
  good:
    jobs: [build]
  bad:
    jobs:
      - build
      - check: {requires: [build]}
";

#[tokio::test]
async fn a_workflow_behind_a_condition_can_be_chosen() {
    if !has_machine_jobs().await {
        return;
    }
    let repo = Repo::with_config(
        "
version: 2.1
parameters: {deploy: {type: boolean, default: false}}
jobs: {build: {machine: true, steps: [run: 'true']}}
workflows:
  ci: {jobs: [build]}
  deploy: {when: << pipeline.parameters.deploy >>, jobs: [build]}
",
    );
    let chosen = ["run", "--workflow", "deploy", "--param", "deploy=true"];
    cli_in(repo.path(), &chosen).await.success();
    let unknown = cli_in(repo.path(), &["run", "--workflow", "depoly"]).await;
    assert_eq!(unknown.code, Some(2), "{unknown:?}");
}

/// Every file below a folder, with its content.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).expect("the folder can be read") {
        let path = entry.expect("the folder can be read").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.insert(
                path.display().to_string(),
                fs::read(&path).expect("the file can be read"),
            );
        }
    }
    found
}

/// Each `(0.3s` becomes `(TIME`.
fn without_times(text: &str) -> String {
    let mut plain = String::new();
    for part in text.split_inclusive('(') {
        let digits = part
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(0);
        if digits > 0 && part[digits..].starts_with('s') {
            plain.push_str("TIME");
            plain.push_str(&part[digits + 1..]);
        } else {
            plain.push_str(part);
        }
    }
    plain
}

#[tokio::test]
async fn the_result_is_the_exit_code() {
    if !has_machine_jobs().await {
        return;
    }
    let repo = Repo::with(&[
        (".popsicle/ci.yml", TWO_WORKFLOWS),
        ("note.txt", "committed\n"),
    ]);
    // As it is on disk, whatever git knows of it.
    repo.write("note.txt", b"not committed yet\n");
    let before = files(repo.path());

    let good = cli_in(repo.path(), &["run", "--workflow", "good"]).await;
    assert_eq!(good.code, Some(0), "{good:?}");
    assert_snapshot!(without_times(&good.stdout), @"
    build  running
    build  ✓ Checkout code (TIME)
    build  ✓ Read (TIME)
    build  success
    success (TIME)
    ");
    let shown = cli_in(repo.path(), &["run", "--workflow", "good", "--verbose"]).await;
    assert!(shown.stdout.contains("not committed yet"), "{shown:?}");

    let bad = cli_in(repo.path(), &["run", "--workflow", "bad"]).await;
    assert_eq!(bad.code, Some(1), "{bad:?}");
    assert_snapshot!(without_times(&bad.stdout), @r#"
    build  running
    build  ✓ Checkout code (TIME)
    build  ✓ Read (TIME)
    build  success
    check  running
    check  ✗ Check (TIME, exit code 7)
    check  failure: step "Check" ended with exit code 7

    check, step "Check":
      12
      13
      14
      15
      16
      17
      18
      19
      20
      21
      22
      23
      24
      25
      26
      27
      28
      29
      30
      broken

    failure (TIME)
    "#);

    let one = cli_in(repo.path(), &["run", "--workflow", "bad", "--job", "check"]).await;
    assert_eq!(one.code, Some(1), "{one:?}");
    assert!(
        one.stdout.contains("check") && !one.stdout.contains("build"),
        "{one:?}"
    );

    assert_eq!(files(repo.path()), before, "the folder is as it was");
}

#[tokio::test]
async fn what_is_not_there_is_named() {
    let repo = Repo::with_config(TWO_WORKFLOWS);
    let mut told = Vec::new();
    for args in [
        &["run", "--workflow", "god"][..],
        &["run", "--job", "biuld"],
        &["run", "nowhere"],
    ] {
        let refused = cli_in(repo.path(), args).await;
        assert_eq!(refused.code, Some(2), "{refused:?}");
        told.push(format!(
            "{}{}",
            without_times(&refused.stdout),
            refused.stderr
        ));
    }
    assert_snapshot!(told.join("\n"), @"
    error: there is no workflow `god`
    hint: there is `bad`, `good`

    error: there is no job `biuld`
    hint: there is `build`, `check`

    error: can't use `nowhere`: No such file or directory (os error 2)
    ");
}

#[tokio::test]
async fn a_config_with_errors_is_shown_them() {
    let repo = Repo::with_config(
        "version: 2.1\njobs:\n  build:\n    machine: true\n    steps: [chekout]\nworkflows: {main: {jobs: [build]}}\n",
    );
    let refused = cli_in(repo.path(), &["run"]).await;
    assert!(refused.code.is_some_and(|code| code > 0), "{refused:?}");
    assert_snapshot!(without_times(&format!("{}{}", refused.stdout, refused.stderr)), @"
    error: there is no step `chekout`
      .popsicle/ci.yml:5:13
    5 │     steps: [chekout]
      │             ^^^^^^^ did you mean `checkout`?
    failure (TIME)
    ");

    let none = Repo::with(&[("README.md", "nothing here")]);
    let refused = cli_in(none.path(), &["run"]).await;
    assert!(refused.code.is_some_and(|code| code > 0), "{refused:?}");
    let told = format!("{}{}", refused.stdout, refused.stderr);
    assert!(told.contains("popsicle init"), "{told}");
}

#[tokio::test]
async fn it_leaves_a_server_s_jobs_alone() {
    if !has_machine_jobs().await || !has_docker() {
        return;
    }
    let image = Image::busybox();
    let ci = Ci::start().await.with_docker();
    let mark = unique();
    let repo = Repo::with_config(&format!(
        "
version: 2.1
jobs:
  native:
    machine: true
    steps: [run: 'echo ready; sh -c \"sleep 600; : {mark}\"']
  docker:
    docker: [{{image: '{}'}}]
    steps: [run: echo ready; sleep 600]
workflows: {{main: {{jobs: [native, docker]}}}}
",
        image.name
    ));
    let id = ci.push(&repo).await;
    ci.until_log(id, "native", "ready").await;
    ci.until_log(id, "docker", "ready").await;

    // With the server's own settings, as somebody on that machine would have them.
    let quick = Repo::with_config(&format!(
        "
version: 2.1
jobs:
  native:
    machine: true
    steps: [run: 'true']
  docker:
    docker: [{{image: '{}'}}]
    steps: [run: 'true']
workflows: {{main: {{jobs: [native, docker]}}}}
",
        image.name
    ));
    let path = quick.path().display().to_string();
    let run = ci
        .cli(&[
            "run",
            &path,
            "--namespace",
            &ci.namespace,
            "--data-dir",
            &ci.data().display().to_string(),
        ])
        .await;
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(
        !processes_with(&mark).is_empty(),
        "the server's job runs still"
    );
    assert_eq!(
        containers(&ci.namespace).len(),
        1,
        "and so does its container"
    );
    ci.until_job(id, "native", "running").await;
    ci.until_job(id, "docker", "running").await;
    ci.cli(&["cancel", "1"]).await.success();
    ci.settled(id).await;
    ci.until_clean().await;
}
