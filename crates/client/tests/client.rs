//! The client against servers that answer well, badly, or not at all.

#![allow(clippy::unwrap_used, reason = "a test that fails should panic")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use api::{Limit, LogQuery, PageQuery, PipelineQuery};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::RawQuery;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse};
use axum::routing::{get, post};
use client::{Client, ClientError};
use futures_util::{StreamExt, stream};
use model::{EventId, JobId, PipelineId, RerunFrom};

const SSE: [(header::HeaderName, &str); 1] = [(header::CONTENT_TYPE, "text/event-stream")];
const JSON: (header::HeaderName, &str) = (header::CONTENT_TYPE, "application/json");

async fn serve(router: Router) -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    Client::new(&format!("http://{address}")).unwrap()
}

fn pipeline(id: i64) -> String {
    format!(
        r#"{{"id":{id},"repo":"octo/repo","commit_sha":null,"branch":"main","tag":null,
            "status":"queued","trigger":"push","author":null,"message":null,
            "created_at":"2024-06-01T12:00:00Z","start_time":null,"end_time":null,"reason":null,
            "pull_request":null,"rerun_of":null,"a_key_of_tomorrow":1}}"#
    )
}

fn event(id: i64) -> String {
    format!(
        "id: {id}\ndata: {{\"id\":{id},\"at\":\"2024-06-01T12:00:00Z\",\"pipeline\":1,\"type\":\"pipeline\",\"status\":\"running\"}}\n\n"
    )
}

#[tokio::test]
async fn lists_are_asked_for_by_page() {
    let list = |RawQuery(query): RawQuery| async move {
        assert_eq!(query.as_deref(), Some("branch=a%26b&limit=2"));
        let next = "</pipelines?cursor=c1&limit=2>; rel=\"next\"";
        let body = format!("[{},{}]", pipeline(2), pipeline(1));
        ([JSON, (header::LINK, next)], body)
    };
    let client = serve(Router::new().route("/pipelines", get(list))).await;
    let query = PipelineQuery {
        branch: Some("a&b".into()),
        limit: Limit::new(2),
        ..PipelineQuery::default()
    };
    let page = client.pipelines(&query).await.unwrap();
    assert_eq!(page.items.len(), 2);
    assert_eq!(page.items[0].id, PipelineId(2));
    assert_eq!(page.next.unwrap().0, "c1");
}

#[tokio::test]
async fn short_lists_come_whole() {
    let list = |RawQuery(query): RawQuery| async move {
        let runner = |id: i64| {
            format!(
                r#"[{{"id":{id},"host":"build-{id}","active":true,"labels":[],"last_seen":null,
                    "busy":0,"capacity":1}}]"#
            )
        };
        match query.as_deref() {
            Some("limit=200") => {
                let next = "</runners?limit=200&cursor=n1>; rel=\"next\"";
                ([JSON, (header::LINK, next)], runner(1)).into_response()
            }
            Some("limit=200&cursor=n1") => ([JSON], runner(2)).into_response(),
            other => panic!("{other:?}"),
        }
    };
    let client = serve(Router::new().route("/runners", get(list))).await;
    let hosts = client.runners().await.unwrap().into_iter();
    assert_eq!(
        hosts.map(|runner| runner.host).collect::<Vec<_>>(),
        ["build-1", "build-2"]
    );
}

#[tokio::test]
async fn deeds_are_sent_as_json() {
    let rerun = |body: String| async move {
        assert_eq!(body, r#"{"from":"failed"}"#);
        (StatusCode::CREATED, [JSON], pipeline(9))
    };
    let client = serve(Router::new().route("/pipelines/7/rerun", post(rerun))).await;
    let new = client.rerun(PipelineId(7), RerunFrom::Failed).await;
    assert_eq!(new.unwrap().id, PipelineId(9));
}

#[tokio::test]
async fn a_webhook_is_delivered_byte_for_byte() {
    let receive = |headers: HeaderMap, body: String| async move {
        assert_eq!(body, r#"{"a" : 1}"#);
        assert_eq!(headers["x-github-event"], "push");
        match headers["x-hub-signature-256"].to_str().unwrap() {
            "sha256=1" => ([JSON], r#"{"status":"queued","pipeline_id":7}"#),
            _ => (
                [JSON],
                r#"{"status":"ignored","reason":"it says [skip ci]"}"#,
            ),
        }
    };
    let client = serve(Router::new().route("/webhook", post(receive))).await;
    let send = |signature| client.send_webhook("push", signature, r#"{"a" : 1}"#.to_owned());
    assert_eq!(send("sha256=1").await.unwrap(), PipelineId(7));
    let error = send("sha256=2").await.unwrap_err();
    assert_eq!(error.to_string(), "it says [skip ci]");
}

#[tokio::test]
async fn the_servers_own_error_is_passed_on() {
    let missing = || async {
        let body = r#"{"error":{"code":"not_found","message":"there is no pipeline 7"}}"#;
        (StatusCode::NOT_FOUND, [JSON], body)
    };
    let client = serve(Router::new().fallback(missing)).await;
    let error = client.pipeline(PipelineId(7)).await.unwrap_err();
    assert!(error.is_not_found());
    assert_eq!(error.to_string(), "there is no pipeline 7");
}

#[tokio::test]
async fn who_is_no_popsicle_server_is_told_apart() {
    let router = Router::new()
        .route("/healthz", get(|| async { Html("<h1>hello</h1>") }))
        .route("/runners", get(|| async { axum::Json(5) }))
        .route("/projects", get(|| async { StatusCode::BAD_GATEWAY }));
    let client = serve(router).await;
    let told = client.health().await.unwrap_err().to_string();
    assert!(told.contains("text/html"), "{told}");
    let error = client.runners().await.unwrap_err();
    assert!(matches!(error, ClientError::NotPopsicle { .. }), "{error}");
    let error = client.readiness().await.unwrap_err();
    assert!(matches!(error, ClientError::NotPopsicle { .. }), "{error}");
    let error = client.projects(&PageQuery::default()).await.unwrap_err();
    assert!(error.is_passing(), "{error}");
}

#[tokio::test]
async fn nobody_there_is_said_with_the_address() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    // A port that was free a moment ago.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let client = Client::new(&format!("http://{address}")).unwrap();
    let error = client.health().await.unwrap_err();
    let told = error.to_string();
    assert!(told.contains(&address.to_string()), "{told}");
    assert!(told.contains("refused"), "{told}");
    assert!(error.hint().unwrap().contains("popsicle serve"));
}

#[tokio::test]
async fn a_log_comes_as_it_was_written() {
    let log = |RawQuery(query): RawQuery| async move {
        let parts: Vec<Result<Bytes, std::io::Error>> = if query.is_none() {
            vec![
                Ok(Bytes::from_static(b"a\xff")),
                Ok(Bytes::from_static(b"\x1b[1mb\n")),
            ]
        } else {
            assert_eq!(query.as_deref(), Some("step=1&tail=3"));
            vec![
                Ok(Bytes::from_static(b"c")),
                Err(std::io::Error::other("gone")),
            ]
        };
        let body = Body::from_stream(stream::iter(parts));
        ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], body)
    };
    let client = serve(Router::new().route("/pipelines/1/jobs/2/log", get(log))).await;

    let all = LogQuery::default();
    let mut stream = client.log(PipelineId(1), JobId(2), &all).await.unwrap();
    let mut bytes = Vec::new();
    while let Some(more) = stream.next().await.unwrap() {
        bytes.extend_from_slice(&more);
    }
    assert_eq!(bytes, b"a\xff\x1b[1mb\n");

    let part = LogQuery {
        step: Some(1),
        tail: Some(3),
        ..LogQuery::default()
    };
    let read = async {
        let mut stream = client.log(PipelineId(1), JobId(2), &part).await?;
        while stream.next().await?.is_some() {}
        Ok::<(), ClientError>(())
    };
    let error = read.await.expect_err("a broken log must not look whole");
    assert!(error.is_passing(), "{error}");
}

#[tokio::test]
async fn a_followed_log_goes_on_where_the_connection_broke() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let log = move |RawQuery(query): RawQuery| {
        let call = counted.fetch_add(1, Ordering::SeqCst);
        let query = query.unwrap_or_default();
        let answer = move |attempt: u32, start: u64, text: &'static str, breaks: bool| {
            let mut parts = vec![Ok(Bytes::from_static(text.as_bytes()))];
            if breaks {
                parts.push(Err(std::io::Error::other("gone")));
            }
            let headers = [
                (header::CONTENT_TYPE.as_str(), "text/plain".to_owned()),
                (api::LOG_ATTEMPT, attempt.to_string()),
                (api::LOG_START, start.to_string()),
            ];
            // What came before the break is on its way by then.
            let parts = stream::iter(parts).then(async |part| {
                tokio::task::yield_now().await;
                part
            });
            let body = Body::from_stream(parts);
            (headers, body).into_response()
        };
        async move {
            match (call, query.as_str()) {
                (0, "follow=true&tail=2") => answer(1, 10, "one\n", true),
                (1, "follow=true&from=14") => StatusCode::SERVICE_UNAVAILABLE.into_response(),
                (2, "follow=true&from=14") => answer(1, 14, "two\n", true),
                // The job has another attempt by now.
                (3, "follow=true&from=18") => answer(2, 18, "", false),
                (4, "follow=true") => answer(2, 0, "again\n", false),
                other => panic!("{other:?}"),
            }
        }
    };
    let client = serve(Router::new().route("/pipelines/1/jobs/2/log", get(log))).await;
    let tail = LogQuery {
        follow: Some(true),
        tail: Some(2),
        ..LogQuery::default()
    };
    let mut stream = client.log(PipelineId(1), JobId(2), &tail).await.unwrap();
    let mut bytes = Vec::new();
    let read = async {
        while let Some(more) = stream.next().await.unwrap() {
            bytes.extend_from_slice(&more);
        }
    };
    tokio::time::timeout(Duration::from_secs(20), read)
        .await
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&bytes), "one\ntwo\nagain\n");
    assert_eq!(calls.load(Ordering::SeqCst), 5);
}

#[tokio::test]
async fn events_go_on_where_the_connection_broke() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let events = move |headers: HeaderMap| {
        let call = counted.fetch_add(1, Ordering::SeqCst);
        async move {
            let last = headers
                .get("last-event-id")
                .map(|id| id.to_str().unwrap().to_owned());
            match call {
                0 => {
                    assert_eq!(last, None);
                    (
                        SSE,
                        format!(": hi\n\n{}{}data: {{\"half", event(1), event(2)),
                    )
                        .into_response()
                }
                1 => StatusCode::SERVICE_UNAVAILABLE.into_response(),
                // Told from too early on: the second one is not told twice.
                _ => {
                    assert_eq!(last.as_deref(), Some("2"));
                    (SSE, format!("{}{}", event(2), event(3))).into_response()
                }
            }
        }
    };
    let client = serve(Router::new().route("/events", get(events))).await;
    let mut stream = client.events(None).await.unwrap();
    for id in 1..=3 {
        let next = tokio::time::timeout(Duration::from_secs(20), stream.next()).await;
        assert_eq!(next.unwrap().unwrap().id, EventId(id));
    }
    assert_eq!(calls.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_server_that_refuses_is_not_asked_again() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let events = move || {
        let call = counted.fetch_add(1, Ordering::SeqCst);
        async move {
            match call {
                0 => (SSE, "id: 4\n\n").into_response(),
                _ => (
                    StatusCode::FORBIDDEN,
                    [JSON],
                    r#"{"error":{"code":"forbidden","message":"not you"}}"#,
                )
                    .into_response(),
            }
        }
    };
    let client = serve(Router::new().route("/events", get(events))).await;
    let mut stream = client.events(None).await.unwrap();
    let next = tokio::time::timeout(Duration::from_secs(20), stream.next()).await;
    assert_eq!(next.unwrap().unwrap_err().to_string(), "not you");
    assert_eq!(calls.load(Ordering::SeqCst), 2);
}
