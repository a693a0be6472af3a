//! What forges send.

use model::Status;
use reqwest::Method;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::world::{Answer, Ci, PATIENCE, REPO, nowhere, one_job, sign};

fn push() -> serde_json::Value {
    Ci::push_of(&nowhere())
}

#[tokio::test]
async fn a_push_is_answered_with_its_stored_pipeline() {
    let ci = Ci::start().await;
    let body = push().to_string();
    for (pipeline, door) in [(1, "/webhook"), (2, "/hooks/github"), (3, "/api/webhook")] {
        let request = ci
            .request(Method::POST, door)
            .header("X-GitHub-Event", "push")
            .header("X-Hub-Signature-256", sign(body.as_bytes()))
            .body(body.clone());
        let answer = Answer::of(request).await;
        assert_eq!(answer.status, 200, "{door}: {}", answer.text);
        assert_eq!(
            answer.json(),
            json!({"status": "queued", "pipeline_id": pipeline})
        );
    }
    let pipeline = ci.get("/pipelines/1").await.json();
    assert_eq!(pipeline["repo"], REPO);
    assert_eq!(pipeline["commit_sha"], nowhere().sha);
    assert_eq!(pipeline["branch"], "main");
    assert_eq!(pipeline["trigger"], "push");
    assert_eq!(pipeline["author"], "octocat");
    assert_eq!(pipeline["message"], "Say hello");
}

#[tokio::test]
async fn a_repeated_delivery_gets_the_first_ones_pipeline() {
    let ci = Ci::start().await;
    let body = push().to_string();
    for _ in 0..3 {
        let request = ci
            .delivery("push", body.as_bytes())
            .header("X-GitHub-Delivery", "72d3162e-cc78-11e3-81ab-4c9367dc0958");
        assert_eq!(Answer::of(request).await.json()["pipeline_id"], 1);
    }
    assert_eq!(
        ci.get("/pipelines").await.json().as_array().unwrap().len(),
        1
    );
}

#[tokio::test]
async fn what_starts_nothing_is_answered_with_the_reason() {
    let ci = Ci::start().await;
    let answer = Answer::of(ci.delivery("ping", br#"{"zen": "Keep it logically awesome."}"#)).await;
    assert_eq!(
        (answer.status.as_u16(), answer.json()),
        (200, json!({"status": "pong"}))
    );

    let mut deleted = push();
    deleted["deleted"] = true.into();
    let mut skipped = push();
    skipped["head_commit"]["message"] = "Fix a typo [skip ci]".into();
    let never_run = json!({
        "action": "rerequested",
        "check_suite": {"head_sha": nowhere().sha},
        "repository": {"full_name": REPO},
    });
    for (event, body, reason) in [
        ("push", deleted, "deleted"),
        ("push", skipped, "skip CI"),
        ("issues", json!({}), "issues"),
        ("check_suite", never_run, "no pipeline"),
    ] {
        let answer = Answer::of(ci.delivery(event, body.to_string().as_bytes())).await;
        assert_eq!(answer.status, 202, "{}", answer.text);
        assert_eq!(answer.json()["status"], "ignored");
        let told = answer.json()["reason"].as_str().unwrap().to_owned();
        assert!(told.contains(reason), "{told}");
    }
    assert_eq!(ci.get("/pipelines").await.json(), json!([]));
}

#[tokio::test]
async fn a_rerequested_check_runs_the_commit_again() {
    let ci = Ci::start().await;
    let first = ci.push_nothing().await;
    let body = json!({
        "action": "rerequested",
        "check_suite": {"head_sha": nowhere().sha},
        "repository": {"full_name": REPO},
    });
    let answer = Answer::of(ci.delivery("check_suite", body.to_string().as_bytes())).await;
    assert_eq!(answer.json(), json!({"status": "queued", "pipeline_id": 2}));
    let rerun = ci.get("/pipelines/2").await.json();
    assert_eq!(rerun["rerun_of"], first.0);
    assert_eq!(rerun["trigger"], "rerun");
}

#[tokio::test]
async fn a_rerequested_check_whose_pipeline_runs_is_that_pipeline() {
    let ci = Ci::start().await;
    let gate = ci.gate("gate");
    let commit = ci.commit(&one_job(&format!("cat {}", gate.path.display())));
    let push = Ci::push_of(&commit).to_string();
    Answer::of(ci.delivery("push", push.as_bytes())).await;
    let body = json!({
        "action": "rerequested",
        "check_suite": {"head_sha": commit.sha},
        "repository": {"full_name": REPO},
    });
    let answer = Answer::of(ci.delivery("check_suite", body.to_string().as_bytes())).await;
    assert_eq!(answer.json(), json!({"status": "queued", "pipeline_id": 1}));
    gate.open().await;
    ci.until(model::PipelineId(1), Status::is_ended).await;
}

#[tokio::test]
async fn who_can_not_sign_is_not_heard() {
    let ci = Ci::start().await;
    let body = push().to_string();
    let unsigned = || {
        ci.request(Method::POST, "/webhook")
            .header("X-GitHub-Event", "push")
            .body(body.clone())
    };
    Answer::of(unsigned())
        .await
        .refuses(401, "X-Hub-Signature-256");
    let other = sign(b"another body");
    Answer::of(unsigned().header("X-Hub-Signature-256", other))
        .await
        .refuses(401, "does not match");
    Answer::of(unsigned().header("X-Hub-Signature-256", "sha256=7"))
        .await
        .refuses(401, "64");
    Answer::of(unsigned().header("X-Hub-Signature", "sha1=7"))
        .await
        .refuses(401, "SHA-1");
    assert_eq!(ci.get("/pipelines").await.json(), json!([]));
}

#[tokio::test]
async fn what_can_not_be_read_is_named() {
    let ci = Ci::start().await;
    Answer::of(ci.delivery("push", b"{\"ref\": "))
        .await
        .refuses(400, "JSON");
    Answer::of(ci.delivery("push", b""))
        .await
        .refuses(400, "JSON");
    Answer::of(ci.delivery("push", b"\xff\xfe"))
        .await
        .refuses(400, "JSON");

    let without = |field: &str| {
        let mut body = push();
        body.as_object_mut().unwrap().remove(field);
        body.to_string()
    };
    for field in ["after", "ref", "repository"] {
        Answer::of(ci.delivery("push", without(field).as_bytes()))
            .await
            .refuses(400, field);
    }
    for name in ["octo/..", "octo/a b", "octo/a\"b", "octo/a\nb"] {
        let mut body = push();
        body["repository"]["full_name"] = name.into();
        let answer = Answer::of(ci.delivery("push", body.to_string().as_bytes())).await;
        answer.refuses(400, "repository.full_name");
    }
    let no_event = ci
        .request(Method::POST, "/webhook")
        .header("X-Hub-Signature-256", sign(b"{}"))
        .body("{}");
    Answer::of(no_event).await.refuses(400, "X-GitHub-Event");
    assert_eq!(ci.get("/pipelines").await.json(), json!([]));
}

#[tokio::test]
async fn a_branch_that_looks_like_an_option_is_a_branch() {
    let ci = Ci::start().await;
    let mut body = push();
    body["ref"] = "refs/heads/--upload-pack=x".into();
    Answer::of(ci.delivery("push", body.to_string().as_bytes())).await;
    assert_eq!(
        ci.get("/pipelines/1").await.json()["branch"],
        "--upload-pack=x"
    );
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_whether_it_says_so_or_not() {
    let ci = Ci::start_with(|settings| settings.webhook_limit_bytes = 1000).await;
    let body = vec![b' '; 1001];
    Answer::of(ci.delivery("push", &body))
        .await
        .refuses(413, "1000 bytes");

    let pieces = body
        .chunks(100)
        .map(|piece| Ok::<_, std::io::Error>(piece.to_vec()));
    let pieces: Vec<_> = pieces.collect();
    let unannounced = reqwest::Body::wrap_stream(futures_util::stream::iter(pieces));
    let request = ci
        .request(Method::POST, "/webhook")
        .header("X-Hub-Signature-256", sign(&body))
        .body(unannounced);
    Answer::of(request).await.refuses(413, "1000 bytes");

    let fitting = vec![b' '; 1000];
    Answer::of(ci.delivery("push", &fitting))
        .await
        .refuses(400, "JSON");
}

#[tokio::test]
async fn twenty_five_mebibytes_are_taken_and_not_one_byte_more() {
    let ci = Ci::start().await;
    let mut body = push().to_string().into_bytes();
    body.resize(25 << 20, b' ');
    assert_eq!(Answer::of(ci.delivery("push", &body)).await.status, 200);
    body.push(b' ');
    Answer::of(ci.delivery("push", &body))
        .await
        .refuses(413, "26214400 bytes");
}

#[tokio::test]
async fn who_can_not_sign_is_refused_before_the_body_is_kept() {
    let ci = Ci::start_with(|settings| {
        settings.webhook_limit_bytes = 1000;
        settings.bodies_limit_bytes = 10;
    })
    .await;
    // Neither its own limit nor that of all bodies together is looked at.
    let body = vec![b' '; 1001];
    let unsigned = || ci.request(Method::POST, "/webhook").body(body.clone());
    Answer::of(unsigned())
        .await
        .refuses(401, "X-Hub-Signature-256");
    Answer::of(unsigned().header("X-Hub-Signature", "sha1=7"))
        .await
        .refuses(401, "SHA-1");
    Answer::of(unsigned().header("X-Hub-Signature-256", "sha256=7"))
        .await
        .refuses(401, "64");
}

#[tokio::test]
async fn bodies_that_are_read_at_once_have_a_limit_together() {
    let ci = Ci::start_with(|settings| settings.bodies_limit_bytes = 100).await;
    let small = || ci.delivery("push", b"{}");
    Answer::of(small()).await.refuses(400, "missing");

    // Somebody sends all but the last byte of as much as fits.
    let mut stream = TcpStream::connect(ci.address).await.unwrap();
    let head = format!(
        "POST /webhook HTTP/1.1\r\nHost: localhost\r\nX-Hub-Signature-256: {}\r\n\
         Content-Length: 100\r\n\r\n",
        sign(b"")
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&[b' '; 99]).await.unwrap();
    let until = async |status: u16| {
        let wait = async {
            loop {
                let answer = Answer::of(small()).await;
                if answer.status == status {
                    return answer;
                }
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.unwrap()
    };
    let busy = until(503).await;
    busy.refuses(503, "try again");
    assert_eq!(busy.header("retry-after"), "5");
    drop(stream);
    until(400).await;
}

#[tokio::test]
async fn a_server_that_stops_asks_to_come_again() {
    let ci = Ci::start().await;
    let body = push().to_string();
    ci.stop_engine().await;
    let answer = Answer::of(ci.delivery("push", body.as_bytes())).await;
    answer.refuses(503, "try again");
    assert_eq!(answer.header("retry-after"), "5");
}
