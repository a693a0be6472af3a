//! Where code comes from, and what happens if it does not.

use std::net::TcpListener;

use insta::assert_snapshot;
use serde_json::json;

use crate::world::{Ci, Repo, Webhook, has_machine_jobs};

/// Says which ref git checked out.
const SHOW: &str = "
version: 2.1
jobs:
  build:
    machine: true
    steps:
      - checkout
      - run: git log -1 --format=%s; echo \"branch=$CIRCLE_BRANCH tag=$CIRCLE_TAG\"
workflows: {main: {jobs: [build: {filters: {tags: {only: /.*/}}}]}}
";

#[tokio::test]
async fn code_that_is_not_to_be_had_ends_the_pipeline_with_a_reason() {
    let mut ci = Ci::start().await;
    let repo = Repo::with_config(SHOW);
    let lost = repo.head();
    repo.rewrite_history("Second thoughts");
    let from = |url: &str| {
        let mut payload = repo.push();
        payload["repository"]["clone_url"] = json!(url);
        payload
    };
    let cases = [
        ("unreachable", from("http://127.0.0.1:1/octo/repo.git")),
        ("missing", from("file:///nonexistent/octo/repo.git")),
        ("pushed away", repo.push_of("refs/heads/main", &lost)),
    ];
    let mut told = Vec::new();
    for (name, payload) in cases {
        let id = ci.deliver(&Webhook::new("push", &payload)).await.pipeline();
        let settled = ci
            .settled(id)
            .await
            .replace(&lost, "COMMIT")
            .replace(&lost[..7], "COMMIT");
        // What git says besides is not ours.
        let ours = settled.split(": fatal:").next().unwrap_or_default();
        told.push(format!("{name}: {}", ours.replace(&repo.url(), "REPO")));
        ci.assert_alive();
    }
    assert_snapshot!(told.join("\n"), @"
    unreachable: pipeline failure  (could not reach `http://127.0.0.1:1/octo/repo.git`
    missing: pipeline failure  (there is no git repository at `file:///nonexistent/octo/repo.git`, or it may not be read
    pushed away: pipeline failure  (commit COMMIT is no longer in `REPO` under `refs/heads/main`: it was force-pushed away or deleted before it could be fetched)
    ");
}

#[tokio::test]
async fn code_that_does_not_come_in_time_ends_the_pipeline_with_a_reason() {
    let mut ci = Ci::start_with(&[("POPSICLE_FETCH_TIMEOUT", "1s")]).await;
    // The system takes connections for it, and nobody ever answers.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = silent.local_addr().expect("a listener has an address");
    let mut payload = Repo::with_config(SHOW).push();
    payload["repository"]["clone_url"] = json!(format!("http://{address}/octo/repo.git"));
    let id = ci.deliver(&Webhook::new("push", &payload)).await.pipeline();
    let settled = ci.settled(id).await;
    assert_snapshot!(settled.replace(&address.to_string(), "SILENT"), @"pipeline failure  (fetching `http://SILENT/octo/repo.git` took longer than 1 s and was stopped; POPSICLE_FETCH_TIMEOUT says how long it may take)");
    ci.assert_alive();
}

#[tokio::test]
async fn a_branch_named_like_an_option_is_a_branch() {
    if !has_machine_jobs().await {
        return;
    }
    let ci = Ci::start().await;
    let repo = Repo::with_config(SHOW);
    repo.branch("--upload-pack=x");
    let id = ci.push(&repo).await;
    assert_eq!(ci.settled(id).await, "pipeline success\n  build  success");
    assert!(
        ci.log(id, "build")
            .await
            .ends_with("First\nbranch=--upload-pack=x tag=\n")
    );
    let listed = ci
        .cli(&["list", "--branch=--upload-pack=x"])
        .await
        .success();
    assert!(
        listed.contains(" on --upload-pack=x] status: SUCCESS"),
        "{listed}"
    );
}

#[tokio::test]
async fn a_tag_is_built_at_its_commit() {
    if !has_machine_jobs().await {
        return;
    }
    let ci = Ci::start().await;
    let repo = Repo::with_config(SHOW);
    let object = repo.tag("v1.0");
    assert_ne!(
        object,
        repo.head(),
        "an annotated tag is an object of its own"
    );
    let id = ci
        .deliver(&Webhook::new(
            "push",
            &repo.push_of("refs/tags/v1.0", &object),
        ))
        .await
        .pipeline();
    assert_eq!(ci.settled(id).await, "pipeline success\n  build  success");
    assert!(
        ci.log(id, "build")
            .await
            .ends_with("First\nbranch= tag=v1.0\n")
    );
    let pipeline = ci.pipeline(id).await;
    assert_eq!(
        (&pipeline["tag"], &pipeline["trigger"]),
        (&json!("v1.0"), &json!("tag"))
    );
    assert_eq!(pipeline["commit_sha"], json!(repo.head()));
}

#[tokio::test]
async fn each_push_brings_its_own_commit() {
    if !has_machine_jobs().await {
        return;
    }
    let ci = Ci::start().await;
    let repo = Repo::with_config(SHOW);
    let first = repo.push();
    repo.commit("Second", &[("new.txt", "new")]);
    let second = repo.push();
    // Out of order, and at once, over one mirror.
    let (second, first) = (Webhook::new("push", &second), Webhook::new("push", &first));
    let (second, first) = tokio::join!(ci.deliver(&second), ci.deliver(&first));
    for (id, subject) in [(second.pipeline(), "Second"), (first.pipeline(), "First")] {
        assert_eq!(ci.settled(id).await, "pipeline success\n  build  success");
        assert!(
            ci.log(id, "build")
                .await
                .ends_with(&format!("{subject}\nbranch=main tag=\n"))
        );
    }
}

#[tokio::test]
async fn a_pipeline_can_be_asked_for() {
    if !has_machine_jobs().await {
        return;
    }
    let ci = Ci::start().await;
    let repo = Repo::with_config(SHOW);
    let asked = ci
        .post(
            "/pipelines",
            &json!({"project": "octo/repo", "url": repo.url(), "ref": "main"}),
        )
        .await;
    assert_eq!(asked.code, 201, "{}", asked.text());
    assert_eq!(ci.settled(1).await, "pipeline success\n  build  success");
    assert_eq!(ci.pipeline(1).await["commit_sha"], json!(repo.head()));

    // Its address is known by now.
    repo.commit("Second", &[]);
    let asked = ci
        .post(
            "/pipelines",
            &json!({"project": "octo/repo", "ref": "main"}),
        )
        .await;
    assert_eq!(asked.code, 201, "{}", asked.text());
    assert_eq!(ci.settled(2).await, "pipeline success\n  build  success");
    assert!(ci.log(2, "build").await.contains("Second\n"));

    let none = ci
        .post(
            "/pipelines",
            &json!({"project": "octo/repo", "ref": "none"}),
        )
        .await;
    assert_eq!(none.code, 201, "{}", none.text());
    let settled = ci.settled(3).await.replace(&repo.url(), "REPO");
    assert_snapshot!(settled, @"pipeline failure  (`REPO` has no `refs/heads/none`: it does not exist or was deleted)");
}
