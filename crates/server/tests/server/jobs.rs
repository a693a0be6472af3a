//! `/jobs`: jobs as clients see them that follow one by its UUID.

use model::Status;
use reqwest::Method;
use serde_json::{Value, json};

use crate::world::{Answer, Ci, Pieces, one_job};

#[tokio::test]
async fn a_job_goes_from_queued_over_running_to_completed() {
    let ci = Ci::start().await;
    let gate = ci.gate("gate");
    let pipeline = ci
        .push(&one_job(&format!("cat {}", gate.path.display())))
        .await;
    ci.until(pipeline, |status| status == Status::Running).await;
    let uuid = ci.job(pipeline).await.uuid;
    let running = ci.get(&format!("/jobs/{uuid}")).await.json();
    assert_eq!(running["job_id"], uuid.to_string());
    assert_eq!(running["status"], "running");
    assert_eq!(running["success"], Value::Null);
    assert!(running["start_time"].is_string());
    assert_eq!(running["end_time"], Value::Null);

    gate.open().await;
    ci.until(pipeline, Status::is_ended).await;
    let completed = ci.get(&format!("/api/jobs/{uuid}")).await.json();
    assert_eq!(completed["status"], "completed");
    assert_eq!(completed["success"], true);
    assert!(completed["end_time"].is_string());
    assert_eq!(ci.get("/jobs").await.json(), json!([completed]));
}

#[tokio::test]
async fn lists_of_jobs_come_in_pages() {
    let ci = Ci::start().await;
    for _ in 0..3 {
        ci.run(&one_job("true")).await;
    }
    let first = ci.get("/jobs?limit=2").await;
    assert_eq!(first.json().as_array().unwrap().len(), 2);
    let next = first
        .header("link")
        .trim_end_matches("; rel=\"next\"")
        .trim_matches(['<', '>']);
    let second = ci.get(next).await;
    assert_eq!(second.json().as_array().unwrap().len(), 1);
    assert_eq!(second.header("link"), "");
    assert_ne!(first.json()[1], second.json()[0]);
    ci.get("/jobs?limit=201").await.refuses(400, "`limit`");
}

#[tokio::test]
async fn unknown_jobs_are_not_found() {
    let ci = Ci::start().await;
    let unknown = "/jobs/550e8400-e29b-41d4-a716-446655440000";
    ci.get(unknown)
        .await
        .refuses(404, "550e8400-e29b-41d4-a716-446655440000");
    ci.get(&format!("{unknown}/stream"))
        .await
        .refuses(404, "550e8400");
    ci.send(Method::DELETE, unknown)
        .await
        .refuses(404, "550e8400");
    ci.get("/jobs/nonsense").await.refuses(404, "`nonsense`");
}

#[tokio::test]
async fn a_deleted_job_is_canceled() {
    let ci = Ci::start().await;
    let gate = ci.gate("gate");
    let pipeline = ci
        .push(&one_job(&format!("cat {}", gate.path.display())))
        .await;
    ci.until(pipeline, |status| status == Status::Running).await;
    let path = format!("/jobs/{}", ci.job(pipeline).await.uuid);
    let answer = ci.send(Method::DELETE, &path).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(ci.until(pipeline, Status::is_ended).await, Status::Canceled);
    let canceled = ci.get(&path).await.json();
    assert_eq!(
        (&canceled["status"], &canceled["success"]),
        (&json!("completed"), &json!(false))
    );
    ci.send(Method::DELETE, &path).await.refuses(409, "");
}

#[tokio::test]
async fn a_stream_replays_waits_and_completes() {
    let ci = Ci::start().await;
    let gate = ci.gate("gate");
    let command = format!(
        "echo first; cat {}; printf 'zw\\303'; printf '\\266lf\\n'",
        gate.path.display()
    );
    let pipeline = ci.push(&one_job(&command)).await;
    let uuid = ci.job(pipeline).await.uuid;
    let path = format!("/jobs/{uuid}/stream?from_beginning=true");
    let mut stream = Pieces::of(ci.request(Method::GET, &path)).await;
    assert_eq!(stream.header("content-type"), "text/event-stream");
    let first = stream.up_to("\n\n").await;
    assert_eq!(first, "data: {\"type\":\"log\",\"data\":\"first\\n\"}\n\n");

    // Who comes now and wants no replay gets only what is new.
    let mut late = Pieces::of(ci.request(Method::GET, &format!("/jobs/{uuid}/stream"))).await;
    gate.open().await;
    let complete = "data: {\"type\":\"complete\",\"success\":true}\n\n";
    for stream in [&mut stream, &mut late] {
        let rest = stream.up_to(complete).await;
        assert!(rest.ends_with(complete));
        assert_eq!(text_of(&rest), "zwölf\n");
    }
    assert_eq!(stream.rest().await, "");

    let replay = ci.get(&path).await.text;
    assert_eq!(text_of(&replay), "first\nzwölf\n");
    let no_replay = ci.get(&format!("/jobs/{uuid}/stream")).await.text;
    assert_eq!(no_replay, complete);
    ci.get(&format!("/jobs/{uuid}/stream?from_beginning=maybe"))
        .await
        .refuses(400, "`from_beginning`");
}

#[tokio::test]
async fn a_stream_of_a_failed_job_says_so() {
    let ci = Ci::start().await;
    let pipeline = ci.push(&one_job("exit 1")).await;
    let uuid = ci.job(pipeline).await.uuid;
    let stream = ci.get(&format!("/jobs/{uuid}/stream")).await.text;
    assert!(
        stream.ends_with("data: {\"type\":\"complete\",\"success\":false}\n\n"),
        "{stream}"
    );
}

#[tokio::test]
async fn who_goes_away_disturbs_nothing() {
    let ci = Ci::start().await;
    let gate = ci.gate("gate");
    let command = format!("echo first; cat {}", gate.path.display());
    let pipeline = ci.push(&one_job(&command)).await;
    let uuid = ci.job(pipeline).await.uuid;
    let path = format!("/jobs/{uuid}/stream?from_beginning=true");
    let mut stream = Pieces::of(ci.request(Method::GET, &path)).await;
    stream.up_to("first").await;
    drop(stream);
    gate.open().await;
    assert_eq!(ci.until(pipeline, Status::is_ended).await, Status::Success);
}

#[tokio::test]
async fn an_approval_lets_the_rest_go_on() {
    let ci = Ci::start().await;
    let config = json!({
        "version": 2.1,
        "jobs": {"deploy": {"machine": true, "steps": [{"run": "echo deployed"}]}},
        "workflows": {"main": {"jobs": [
            {"hold": {"type": "approval"}},
            {"deploy": {"requires": ["hold"]}},
        ]}},
    });
    let pipeline = ci.push(&config.to_string()).await;
    ci.until(pipeline, |status| status == Status::OnHold).await;
    let jobs = ci.get(&format!("/pipelines/{pipeline}")).await.json()["jobs"].clone();
    let id_of = |name: &str| {
        let job = jobs
            .as_array()
            .unwrap()
            .iter()
            .find(|job| job["job_name"] == name);
        job.unwrap()["id"].as_i64().unwrap()
    };
    let approve = |job: i64| format!("/pipelines/{pipeline}/jobs/{job}/approve");
    ci.send(Method::POST, &approve(id_of("deploy")))
        .await
        .refuses(409, "blocked");
    let answer = ci.send(Method::POST, &approve(id_of("hold"))).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.json()["status"], "success");
    assert_eq!(ci.until(pipeline, Status::is_ended).await, Status::Success);
    Answer::of(ci.request(Method::POST, &approve(id_of("hold"))))
        .await
        .refuses(409, "success");
}

/// All that the log messages of a stream hold.
fn text_of(stream: &str) -> String {
    stream
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line.strip_prefix("data: ")?).ok())
        .filter(|message| message["type"] == "log")
        .map(|message| message["data"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn a_failed_job_is_retried_in_its_pipeline() {
    let ci = Ci::start().await;
    let gate = ci.gate("gate");
    // Fails at first, and well once there is a file.
    let mark = gate.path.with_extension("mark");
    let command = format!(
        "echo try; test -e {0} || {{ touch {0}; exit 3; }}",
        mark.display()
    );
    let pipeline = ci.push(&one_job(&command)).await;
    assert_eq!(ci.until(pipeline, Status::is_ended).await, Status::Failure);
    let job = ci.job(pipeline).await;
    let path = format!("/pipelines/{pipeline}/jobs/{}", job.id);

    let answer = ci.send(Method::POST, &format!("/api{path}/retry")).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.json()["job_name"], "build");
    assert_eq!(ci.until(pipeline, Status::is_ended).await, Status::Success);
    assert_eq!(ci.job(pipeline).await.state.attempt(), 2);
    for query in ["?attempt=1", "?attempt=2", ""] {
        let log = ci.get(&format!("{path}/log{query}")).await;
        assert_eq!(log.text, "try\n", "{query}");
    }
    let steps = ci.get(&format!("{path}/steps?attempt=1")).await.json();
    assert_eq!(steps[0]["exit_code"], 3, "{steps}");

    ci.send(Method::POST, &format!("{path}/retry"))
        .await
        .refuses(409, "job `build` went well");
    let other = ci.push_nothing().await;
    ci.send(
        Method::POST,
        &format!("/pipelines/{other}/jobs/{}/retry", job.id),
    )
    .await
    .refuses(404, "has no job");
}
