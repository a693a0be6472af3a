//! `/pipelines`

use model::Status;
use reqwest::Method;
use serde_json::json;

use crate::world::{Answer, Ci, REPO, nowhere, one_job};

#[tokio::test]
async fn a_pipeline_and_its_jobs_are_shown() {
    let ci = Ci::start().await;
    let pipeline = ci.run(&one_job("echo hello")).await;
    for prefix in ["", "/api"] {
        let shown = ci
            .get(&format!("{prefix}/pipelines/{pipeline}"))
            .await
            .json();
        assert_eq!(shown["status"], "success");
        assert_eq!(shown["reason"], json!(null));
        assert!(shown["start_time"].as_str().unwrap().ends_with('Z'));
        assert!(shown["end_time"].as_str().unwrap().ends_with('Z'));
        let jobs = shown["jobs"].as_array().unwrap();
        assert_eq!(jobs.len(), 1);
        assert_eq!(jobs[0]["job_name"], "build");
        assert_eq!(jobs[0]["status"], "success");
        assert_eq!(jobs[0]["attempt"], 1);
        assert_eq!(jobs[0]["exit_code"], 0);
        assert_eq!(jobs[0]["requires"], json!([]));
        assert!(jobs[0].get("log").is_none());
    }
}

#[tokio::test]
async fn a_failure_says_why() {
    let ci = Ci::start().await;
    let pipeline = ci.push(&one_job("exit 3")).await;
    let status = ci.until(pipeline, Status::is_ended).await;
    let shown = ci.get(&format!("/pipelines/{pipeline}")).await.json();
    assert_eq!(status, Status::Failure, "{shown}");
    assert_eq!(shown["jobs"][0]["exit_code"], 3);
    assert!(
        shown["jobs"][0]["reason"]
            .as_str()
            .unwrap()
            .contains("exit code 3")
    );

    let lost = ci.push_nothing().await;
    let shown = ci.get(&format!("/pipelines/{lost}")).await.json();
    assert!(
        shown["reason"]
            .as_str()
            .is_some_and(|reason| !reason.is_empty()),
        "{shown}"
    );
    assert_eq!(shown["jobs"], json!([]));
}

#[tokio::test]
async fn lists_are_filtered_and_come_in_pages() {
    let ci = Ci::start().await;
    for branch in ["main", "main", "topic", "main", "main"] {
        let mut push = Ci::push_of(&nowhere());
        push["ref"] = format!("refs/heads/{branch}").into();
        let answer = Answer::of(ci.delivery("push", push.to_string().as_bytes())).await;
        assert_eq!(answer.status, 200);
    }
    let mut path = "/api/pipelines?branch=main&limit=3&trigger=push".to_owned();
    let mut pages = Vec::new();
    loop {
        let page = ci.get(&path).await;
        let ids: Vec<i64> = page
            .json()
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["id"].as_i64().unwrap())
            .collect();
        pages.push(ids);
        let Some(next) = page.header("link").strip_suffix("; rel=\"next\"") else {
            assert_eq!(page.header("link"), "");
            break;
        };
        path = next.trim_matches(['<', '>']).to_owned();
        assert!(
            path.starts_with("/api/pipelines?branch=main&limit=3&trigger=push&cursor="),
            "{path}"
        );
    }
    assert_eq!(pages, [vec![5, 4, 2], vec![1]]);

    let count = async |query: &str| {
        let answer = ci.get(&format!("/pipelines?{query}")).await;
        answer
            .json()
            .as_array()
            .unwrap_or_else(|| panic!("{}", answer.text))
            .len()
    };
    assert_eq!(count("").await, 5);
    assert_eq!(count("repo=octo/repo").await, 5);
    assert_eq!(count("repo=octo/other").await, 0);
    assert_eq!(count("trigger=api").await, 0);
    assert_eq!(count("status=success").await, 0);
}

#[tokio::test]
async fn a_query_that_can_not_be_is_named() {
    let ci = Ci::start().await;
    for (query, names) in [
        ("limit=0", "`limit`"),
        (
            "limit=abc",
            "`limit` is not valid: it must be a number from 1 to 200",
        ),
        ("limit=1000", "`limit`"),
        ("limit=-1", "`limit`"),
        ("status=done", "`status`"),
        (
            "status=done",
            "`blocked`, `on_hold`, `queued`, `running`, `success`, `failure`",
        ),
        ("trigger=cron", "`push`, `tag`, `pull_request`"),
        ("repo=a/../b", "`repo`"),
        ("cursor=nonsense", "`nonsense`"),
        ("limit=1&limit=2", "`limit`"),
        ("statsu=success", "`statsu`"),
    ] {
        ci.get(&format!("/pipelines?{query}"))
            .await
            .refuses(400, names);
    }
}

#[tokio::test]
async fn what_does_not_exist_is_not_found() {
    let ci = Ci::start().await;
    ci.get("/pipelines/7").await.refuses(404, "pipeline 7");
    ci.get("/pipelines/0").await.refuses(404, "pipeline 0");
    ci.get("/pipelines/abc").await.refuses(404, "`abc`");
    ci.get("/pipelines/99999999999999999999")
        .await
        .refuses(404, "99999999999999999999");
    ci.send(Method::POST, "/pipelines/7/cancel")
        .await
        .refuses(404, "pipeline 7");
    ci.send(Method::POST, "/pipelines/7/rerun")
        .await
        .refuses(404, "pipeline 7");
}

#[tokio::test]
async fn a_running_pipeline_is_canceled_once() {
    let ci = Ci::start().await;
    let gate = ci.gate("gate");
    let pipeline = ci
        .push(&one_job(&format!("cat {}", gate.path.display())))
        .await;
    ci.until(pipeline, |status| status == Status::Running).await;
    let path = format!("/pipelines/{pipeline}/cancel");
    let answer = ci.send(Method::POST, &path).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.json()["id"], pipeline.0);
    assert_eq!(ci.until(pipeline, Status::is_ended).await, Status::Canceled);
    ci.send(Method::POST, &path).await.refuses(409, "ended");
}

#[tokio::test]
async fn a_rerun_is_a_new_pipeline() {
    let ci = Ci::start().await;
    let first = ci.run(&one_job("true")).await;
    let path = format!("/pipelines/{first}/rerun");
    let answer = ci.send(Method::POST, &path).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    assert_eq!(answer.header("location"), "/pipelines/2");
    assert_eq!(answer.json()["rerun_of"], first.0);
    let second = model::PipelineId(answer.json()["id"].as_i64().unwrap());
    assert_eq!(ci.until(second, Status::is_ended).await, Status::Success);

    let answer = ci.post(&path, &json!({"from": "start"})).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    ci.post(&path, &json!({"from": "failed"}))
        .await
        .refuses(409, "failed");
    ci.post(&path, &json!({"from": "middle"}))
        .await
        .refuses(400, "`from`");
    ci.post(&path, &json!({"form": "start"}))
        .await
        .refuses(400, "`form`");
    let no_json = ci.request(Method::POST, &path).body("from=start");
    Answer::of(no_json).await.refuses(415, "application/json");
}

#[tokio::test]
async fn what_still_runs_is_not_rerun() {
    let ci = Ci::start().await;
    let gate = ci.gate("gate");
    let pipeline = ci
        .push(&one_job(&format!("cat {}", gate.path.display())))
        .await;
    ci.until(pipeline, |status| status == Status::Running).await;
    let path = format!("/pipelines/{pipeline}/rerun");
    ci.send(Method::POST, &path).await.refuses(409, "running");
    gate.open().await;
    ci.until(pipeline, Status::is_ended).await;
}

#[tokio::test]
async fn somebody_asks_for_a_pipeline() {
    let ci = Ci::start().await;
    let commit = ci.commit(&one_job("echo asked for"));
    let asked = json!({"repo": "octo/asked", "url": commit.url, "ref": "main"});
    let answer = ci.post("/pipelines", &asked).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    assert_eq!(answer.header("location"), "/pipelines/1");
    assert_eq!(answer.json()["trigger"], "api");
    assert_eq!(answer.json()["branch"], "main");
    let pipeline = model::PipelineId(1);
    let status = ci.until(pipeline, Status::is_ended).await;
    let shown = ci.get("/pipelines/1").await;
    assert_eq!(status, Status::Success, "{}", shown.text);
    assert_eq!(shown.json()["commit_sha"], commit.sha);

    // The second time, everybody knows where its code is.
    let asked = json!({"project": "octo/asked", "sha": commit.sha});
    let answer = ci.post("/pipelines", &asked).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    assert_eq!(
        ci.until(model::PipelineId(2), Status::is_ended).await,
        Status::Success
    );
}

#[tokio::test]
async fn a_forge_hears_of_what_is_asked_for_of_its_projects() {
    let ci = Ci::start().await;
    let pushed = ci.push_nothing().await;
    let commit = nowhere();
    let asked = json!({"repo": REPO, "sha": commit.sha});
    assert_eq!(ci.post("/pipelines", &asked).await.status, 201);
    let elsewhere = json!({"repo": REPO, "sha": commit.sha, "url": commit.url});
    assert_eq!(ci.post("/pipelines", &elsewhere).await.status, 201);
    let mut told = Vec::new();
    for id in pushed.0..=pushed.0 + 2 {
        let pipeline = ci.engine.store().pipeline(model::PipelineId(id)).await;
        told.push(pipeline.unwrap().trigger.forge);
    }
    let github = Some(model::ForgeKind::Github);
    assert_eq!(told, [github, github, None]);
}

#[tokio::test]
async fn asking_for_what_can_not_be_is_refused() {
    let ci = Ci::start().await;
    let url = "https://example.com/octo/repo.git";
    for (asked, names) in [
        (json!({"repo": REPO, "ref": "main"}), "`url`"),
        (json!({"repo": REPO, "url": url}), "`ref`"),
        (
            json!({"repo": "a/../b", "url": url, "ref": "main"}),
            "`repo`",
        ),
        (json!({"url": url, "ref": "main"}), "`repo`"),
        (
            json!({"repo": REPO, "url": "ext::sh -c x", "ref": "main"}),
            "`url`",
        ),
        (json!({"repo": REPO, "url": "-x", "ref": "main"}), "`url`"),
        (json!({"repo": REPO, "url": url, "ref": "a..b"}), "`ref`"),
        (
            json!({"repo": REPO, "url": url, "ref": "refs/pull/1/head"}),
            "`ref`",
        ),
        (json!({"repo": REPO, "url": url, "sha": "a1b2c3d"}), "`sha`"),
        (
            json!({"repo": REPO, "url": url, "branch": "main"}),
            "`branch`",
        ),
        (json!([]), "expected"),
    ] {
        ci.post("/pipelines", &asked).await.refuses(400, names);
    }
    assert_eq!(ci.get("/pipelines").await.json(), json!([]));
}
