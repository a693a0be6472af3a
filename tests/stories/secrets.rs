//! Secrets: set by a person, had by the job, told by nobody.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use insta::assert_snapshot;
use serde_json::{Value, json};

use super::forge::pull_request_from_a_fork;
use crate::world::{Ci, Repo, Webhook, has_machine_jobs};

const VALUE: &str = "hunter2-hunter2-hunter2";
/// Of [`VALUE`], by `sha256sum`.
const HASH: &str = "ae71c4cdf5d73596";

fn printing(commands: &str) -> Repo {
    Repo::with_config(&format!(
        "
version: 2.1
jobs:
  build:
    machine: true
    steps:
      - run: |
{commands}
workflows: {{main: {{jobs: [build]}}}}
"
    ))
}

#[tokio::test]
async fn a_job_has_its_projects_secret_and_its_log_does_not() {
    if !has_machine_jobs().await {
        return;
    }
    let ci = Ci::start().await;
    let repo = printing(
        "          echo \"it is $TOKEN.\"
          printf '%s' \"$TOKEN\" | sha256sum | cut -c 1-16
          printf '%s' \"${TOKEN%???}\"; sleep 0.2; printf '%s\\n' \"${TOKEN#\"${TOKEN%???}\"}\"
          printf '%s' \"$TOKEN\" | base64
          tr '\\0' '\\n' < /proc/1/environ | grep TOKEN",
    );
    let set = ["secret", "set", "TOKEN", "--repo", &repo.name];
    let told = ci.cli_with(&set, &format!("{VALUE}\n")).await.success();
    assert!(told.starts_with("TOKEN xxxxter2 (set 20"), "{told}");
    let listed = ci
        .cli(&["secret", "list", "--repo", &repo.name, "--json"])
        .await;
    let listed: Value = serde_json::from_str(&listed.success()).expect("it tells JSON");
    assert_eq!(listed[0]["hint"], "xxxxter2");

    let id = ci.push(&repo).await;
    assert_eq!(ci.settled(id).await, "pipeline success\n  build  success");
    assert_snapshot!(ci.log(id, "build").await.replace(HASH, "HASH"), @r"
    it is ********.
    HASH
    ********
    ********
    TOKEN=********
    ");
    ci.until_clean().await;

    // Neither the server's files nor its own log tell it, and its key is its own.
    let data = ci.data();
    let mut folders = vec![data.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("the data can be read") {
            let path = entry.expect("the data can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.is_file() {
                let bytes = fs::read(&path).expect("the data can be read");
                let held = bytes
                    .windows(VALUE.len())
                    .any(|part| part == VALUE.as_bytes());
                assert!(!held, "{}", path.display());
            }
        }
    }
    assert!(!ci.server_log().contains(VALUE), "{}", ci.server_log());
    let key = fs::metadata(data.join("secrets-key")).expect("a key was made");
    assert_eq!(key.permissions().mode() & 0o777, 0o600);

    let delete = ["secret", "delete", "TOKEN", "--repo", &repo.name];
    assert_eq!(ci.cli(&delete).await.success(), "");
    let again = ci.cli(&delete).await;
    assert_eq!(again.code, Some(2));
    assert_eq!(
        again.stderr,
        "error: there is no variable `TOKEN` of project `octo/repo`\n"
    );
}

#[tokio::test]
async fn a_server_that_was_killed_in_mid_job_is_followed_by_one_that_masks_the_same() {
    if !has_machine_jobs().await {
        return;
    }
    let mut ci = Ci::start().await;
    let repo = printing(
        "          echo \"before $TOKEN\"
          printf '%s' \"${TOKEN%????????}\"; sleep 1; printf '%s\\n' \"${TOKEN#\"${TOKEN%????????}\"}\"
          echo \"after $TOKEN\"",
    );
    let set = ["secret", "set", "TOKEN", "--repo", &repo.name];
    ci.cli_with(&set, VALUE).await.success();
    let id = ci.push(&repo).await;
    ci.until_log(id, "build", "before ********").await;
    ci.cli_with(&set, "quite another value").await.success();
    ci.kill();
    ci.restart().await;
    assert_eq!(ci.settled(id).await, "pipeline success\n  build  success");
    assert_eq!(ci.job(id, "build").await["attempt"], 1);
    assert_snapshot!(ci.log(id, "build").await, @"
    before ********
    ********
    after ********
    ");
    ci.until_clean().await;
}

#[tokio::test]
async fn a_pull_request_from_a_fork_has_none() {
    if !has_machine_jobs().await {
        return;
    }
    let ci = Ci::start().await;
    let repo = printing("          echo \"token: ${TOKEN-unset}\"");
    let set = ["secret", "set", "TOKEN", "--repo", &repo.name];
    ci.cli_with(&set, VALUE).await.success();
    let head = repo.head();
    repo.git(&["update-ref", "refs/pull/7/head", &head]);
    let payload = pull_request_from_a_fork(&repo, 7, &head);
    let id = ci
        .deliver(&Webhook::new("pull_request", &payload))
        .await
        .pipeline();
    assert_eq!(ci.settled(id).await, "pipeline success\n  build  success");
    assert_snapshot!(ci.log(id, "build").await, @"
    this pull request comes from a fork: its jobs get no secrets of the project and of contexts
    token: unset
    ");
    // Nor does it where somebody runs it again.
    let rerun = ci
        .post(&format!("/pipelines/{id}/rerun"), &json!({}))
        .await
        .json();
    let again = rerun["id"].as_u64().expect("a pipeline has a number");
    ci.settled(again).await;
    assert!(ci.log(again, "build").await.contains("token: unset"));
}

#[tokio::test]
async fn contexts_are_made_filled_and_kept_to_projects() {
    let ci = Ci::start().await;
    let made = ci.cli(&["context", "create", "aws"]).await.success();
    assert_eq!(made, "aws: 0 variables, for all projects\n");
    let set = ci
        .cli_with(&["context", "set", "aws", "KEY"], VALUE)
        .await
        .success();
    assert!(set.starts_with("KEY xxxxter2 (set 20"), "{set}");
    let only = ["context", "restrict", "aws", "--project", "octo/repo"];
    assert_eq!(
        ci.cli(&only).await.success(),
        "aws: 1 variable, for octo/repo\n"
    );
    assert_eq!(ci.cli(&["context", "restrict", "aws"]).await.code, Some(2));
    let shown = ci
        .cli(&["context", "show", "aws", "--json"])
        .await
        .success();
    let shown: Value = serde_json::from_str(&shown).expect("it tells JSON");
    assert_eq!(shown[0]["name"], "KEY");

    let empty = ci.cli(&["context", "set", "aws", "KEY"]).await;
    assert_eq!(empty.code, Some(2));
    assert_eq!(
        empty.stderr,
        "error: value \"(hidden)\" is not valid: it is empty\nhint: pipe the value in, or type it where it is asked for\n"
    );
    ci.cli(&["context", "unset", "aws", "KEY"]).await.success();
    ci.cli(&["context", "delete", "aws"]).await.success();
    assert_eq!(ci.cli(&["context", "list"]).await.stderr, "no contexts\n");
}
