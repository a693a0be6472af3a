//! `/builds`

use std::fs;
use std::path::Path;

use model::{PipelineId, Status};
use serde_json::{Value, json};

use crate::world::{Ci, git, nowhere, one_job};

/// A hosted repository `demo` with a config on `main`, pushed by its path; the commit's id.
async fn pushed(ci: &Ci, config: &str) -> String {
    let made = ci.post("/repos", &json!({"name": "demo"})).await;
    let path = made.json()["path"].as_str().unwrap().to_owned();
    let work = ci.folder.path().join("work");
    fs::create_dir_all(work.join(".popsicle")).unwrap();
    fs::write(work.join(".popsicle/ci.yml"), config).unwrap();
    git(&work, &["init", "-q", "-b", "main"]);
    commit(&work, "First");
    git(&work, &["push", "-q", &path, "main"]);
    git(&work, &["rev-parse", "HEAD"]).trim().to_owned()
}

fn commit(work: &Path, message: &str) {
    git(work, &["add", "."]);
    git(work, &["commit", "-q", "--allow-empty", "-m", message]);
}

fn id_of(build: &Value) -> PipelineId {
    PipelineId(build["id"].as_i64().unwrap())
}

#[tokio::test]
async fn a_build_is_a_pipeline() {
    let ci = Ci::start_with(|settings| {
        settings.public_url = Some("http://localhost:1/".parse().unwrap());
    })
    .await;
    let sha = pushed(&ci, &one_job("echo hello")).await;
    let body = json!({"repo": "demo", "commit": sha, "branch": "main", "author": "octocat"});
    let made = ci.post("/api/builds", &body).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let build = made.json();
    let id = id_of(&build);
    assert_eq!(build["status"], "queued");
    assert_eq!(build["author"], "octocat");
    assert_eq!(
        build["url"],
        json!(format!("http://localhost:1/ui/pipelines/{id}"))
    );
    let log = ci.get(&format!("/builds/{id}/logs?follow=true")).await;
    let expected = format!("--- Log for pipeline {id}, job \"build\" ---\nhello\n");
    assert_eq!(log.text, expected);
    assert_eq!(ci.until(id, Status::is_ended).await, Status::Success);
    assert_eq!(ci.get(&format!("/builds/{id}/logs")).await.text, expected);

    let shown = ci.get(&format!("/builds/{id}")).await.json();
    assert_eq!(shown["status"], "success");
    assert_eq!(
        (&shown["retry_count"], &shown["max_retries"]),
        (&json!(0), &json!(2))
    );
    assert!(shown["started_at"].is_string() && shown["finished_at"].is_string());
    assert_eq!(ci.get("/builds?repo=demo").await.json(), json!([shown]));
    assert_eq!(ci.get("/builds?branch=other").await.json(), json!([]));
    let pipeline = ci.get(&format!("/pipelines/{id}")).await.json();
    assert_eq!(pipeline["trigger"], "git_push");
    assert_eq!(pipeline["message"], "First");
    assert_eq!(
        ci.get("/pipelines?trigger=git_push")
            .await
            .json()
            .as_array()
            .unwrap()
            .len(),
        1
    );
    // Whose code is where, is known without a pipeline too.
    let asked = ci
        .post("/pipelines", &json!({"repo": "demo", "ref": "main"}))
        .await;
    assert_eq!(asked.status, 201, "{}", asked.text);
}

#[tokio::test]
async fn a_build_is_asked_for_once_a_delivery() {
    let ci = Ci::start().await;
    let sha = pushed(&ci, &one_job("true")).await;
    let ask = |branch: &str, delivery: &str| json!({"repo": "demo", "commit": sha, "branch": branch, "delivery": delivery});
    let first = ci.post("/builds", &ask("main", "1/refs/heads/main")).await;
    let again = ci.post("/builds", &ask("main", "1/refs/heads/main")).await;
    assert_eq!((first.status.as_u16(), again.status.as_u16()), (201, 200));
    assert_eq!(id_of(&first.json()), id_of(&again.json()));
    let tag = ci
        .post("/builds", &ask("refs/tags/v1", "1/refs/tags/v1"))
        .await;
    assert_eq!(
        (&tag.json()["branch"], &tag.json()["tag"]),
        (&Value::Null, &json!("v1"))
    );
    let builds = ci.get("/builds").await.json();
    assert_eq!(builds.as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn what_can_not_be_built_is_refused_or_ignored() {
    let ci = Ci::start().await;
    pushed(&ci, &one_job("true")).await;
    let work = ci.folder.path().join("work");
    commit(&work, "Docs [skip ci]");
    git(&work, &["push", "-q", "../repos/demo.git", "main"]);
    let skipped = git(&work, &["rev-parse", "HEAD"]).trim().to_owned();
    let ask = |repo: &str, commit: &str, branch: &str| json!({"repo": repo, "commit": commit, "branch": branch});
    let answer = ci.post("/builds", &ask("demo", &skipped, "main")).await;
    assert_eq!(answer.status, 202);
    assert_eq!(answer.json()["status"], "ignored");
    let missing = nowhere().sha;
    ci.post("/builds", &ask("demo", &missing, "main"))
        .await
        .refuses(400, &missing);
    ci.post("/builds", &ask("none", &skipped, "main"))
        .await
        .refuses(404, "none");
    ci.post("/builds", &ask("a/b", &skipped, "main"))
        .await
        .refuses(400, "`repo`");
    ci.post("/builds", &ask("demo", "HEAD", "main"))
        .await
        .refuses(400, "`commit`");
    ci.post("/builds", &ask("demo", &skipped, "a b"))
        .await
        .refuses(400, "`branch`");
    ci.get("/builds/1").await.refuses(404, "1");
    ci.get("/builds/1/logs").await.refuses(404, "1");

    let lost = ci.push_nothing().await;
    let build = ci.get(&format!("/builds/{lost}")).await.json();
    assert_eq!(build["status"], "failed");
    assert_eq!(
        ci.get(&format!("/builds/{lost}/logs?follow=true"))
            .await
            .text,
        ""
    );
}
