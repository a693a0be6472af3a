//! `/pipelines/{pipeline}/jobs/{job}/log`

use std::io::{Read, Write};
use std::net::TcpStream;

use model::Status;
use reqwest::Method;
use serde_json::json;

use crate::world::{Answer, Ci, PATIENCE, Pieces, many_steps, one_job};

/// Runs a job, and gives the path of its log.
async fn log_of(ci: &Ci, config: &str) -> String {
    let pipeline = ci.run(config).await;
    let job = ci.job(pipeline).await.id;
    format!("/pipelines/{pipeline}/jobs/{job}/log")
}

#[tokio::test]
async fn a_log_is_plain_text_whole_or_in_part() {
    let ci = Ci::start().await;
    let path = log_of(&ci, &one_job("printf 'one\\ntwo\\nthree\\nfour\\n'")).await;
    let whole = ci.get(&path).await;
    assert_eq!(whole.status, 200);
    assert_eq!(whole.header("content-type"), "text/plain; charset=utf-8");
    assert_eq!(whole.header("accept-ranges"), "bytes");
    assert_eq!(whole.text, "one\ntwo\nthree\nfour\n");
    assert_eq!(whole.header("content-length"), "19");
    assert_eq!(ci.get(&format!("/api{path}")).await.text, whole.text);

    let head = ci.send(Method::HEAD, &path).await;
    assert_eq!(
        (head.header("content-length"), head.text.as_str()),
        ("19", "")
    );

    for (query, expected) in [
        ("tail=2", "three\nfour\n"),
        ("tail=0", ""),
        ("tail=99", whole.text.as_str()),
        ("attempt=1", whole.text.as_str()),
        ("follow=true", whole.text.as_str()),
        ("follow=true&tail=1", "four\n"),
        ("follow=false&tail=1", "four\n"),
    ] {
        assert_eq!(
            ci.get(&format!("{path}?{query}")).await.text,
            expected,
            "{query}"
        );
    }
}

#[tokio::test]
async fn ranges_of_bytes_are_given() {
    let ci = Ci::start().await;
    let path = log_of(&ci, &one_job("printf 0123456789")).await;
    let part = async |query: &str, range: &str| {
        let request = ci
            .request(Method::GET, &format!("{path}?{query}"))
            .header("Range", range);
        Answer::of(request).await
    };
    for (range, content_range, text) in [
        ("bytes=2-4", "bytes 2-4/10", "234"),
        ("bytes=7-", "bytes 7-9/10", "789"),
        ("bytes=-2", "bytes 8-9/10", "89"),
        ("bytes=0-99", "bytes 0-9/10", "0123456789"),
    ] {
        let answer = part("", range).await;
        assert_eq!(answer.status, 206, "{range}");
        assert_eq!(answer.header("content-range"), content_range);
        assert_eq!(answer.header("content-length"), text.len().to_string());
        assert_eq!(answer.text, text);
    }
    let beyond = part("", "bytes=10-").await;
    beyond.refuses(416, "10 bytes");
    assert_eq!(beyond.header("content-range"), "bytes */10");
    for all in ["bytes=4-2", "bytes=0-1,3-4", "lines=1-2", "nonsense"] {
        let answer = part("", all).await;
        assert_eq!(
            (answer.status.as_u16(), answer.text.as_str()),
            (200, "0123456789"),
            "{all}"
        );
    }
}

#[tokio::test]
async fn a_step_has_its_part_of_the_log() {
    let ci = Ci::start().await;
    let path = log_of(
        &ci,
        &many_steps(&["echo first", "true", "printf 'third\\nstep\\n'"]),
    )
    .await;
    for (query, expected) in [
        ("step=0", "first\n"),
        ("step=1", ""),
        ("step=2", "third\nstep\n"),
        ("step=2&tail=1", "step\n"),
        ("step=0&tail=9", "first\n"),
    ] {
        assert_eq!(
            ci.get(&format!("{path}?{query}")).await.text,
            expected,
            "{query}"
        );
    }
    let third = ci
        .request(Method::GET, &format!("{path}?step=2"))
        .header("Range", "bytes=-5");
    let third = Answer::of(third).await;
    assert_eq!(third.header("content-range"), "bytes 6-10/11");
    assert_eq!(third.text, "step\n");
    ci.get(&format!("{path}?step=3"))
        .await
        .refuses(404, "step 3");

    let first = ci.get(&path.replace("/log", "/steps?limit=2")).await;
    assert_eq!(first.json().as_array().unwrap().len(), 2);
    let next = first.header("link").trim_end_matches("; rel=\"next\"");
    let second = ci.get(next.trim_matches(['<', '>'])).await;
    assert_eq!(second.json()[0]["index"], 2);
    assert_eq!(second.header("link"), "");
    let steps = ci.get(&path.replace("/log", "/steps")).await.json();
    let steps = steps.as_array().unwrap();
    assert_eq!(steps.len(), 3);
    assert_eq!(steps[2]["index"], 2);
    assert_eq!(steps[2]["status"], "success");
    assert_eq!(steps[2]["exit_code"], 0);
    assert_eq!(
        steps[2]["log_end"].as_u64().unwrap() - steps[2]["log_start"].as_u64().unwrap(),
        11
    );
}

#[tokio::test]
async fn what_is_not_there_or_makes_no_sense_is_named() {
    let ci = Ci::start().await;
    let path = log_of(&ci, &one_job("echo hello")).await;
    let other = ci.push_nothing().await;
    let job = path.trim_end_matches("/log").rsplit('/').next().unwrap();
    ci.get(&format!("/pipelines/{other}/jobs/{job}/log"))
        .await
        .refuses(404, "has no job");
    ci.get(&format!("/pipelines/{other}/jobs/{job}/steps"))
        .await
        .refuses(404, "has no job");
    ci.get("/pipelines/1/jobs/99/log")
        .await
        .refuses(404, "job 99");
    ci.get("/pipelines/1/jobs/build/log")
        .await
        .refuses(404, "`build`");
    for (status, query, names) in [
        (404, "attempt=2", "attempt 2"),
        (404, "attempt=0", "attempt 0"),
        (400, "tail=-1", "`tail`"),
        (400, "tail=many", "`tail`"),
        (400, "step=x", "`step`"),
        (400, "follow=maybe", "`follow`"),
        (400, "follow=true&step=0", "`step`"),
        (400, "folow=true", "`folow`"),
    ] {
        ci.get(&format!("{path}?{query}"))
            .await
            .refuses(status, names);
    }
}

#[tokio::test]
async fn a_follower_reads_as_it_grows_to_its_end() {
    let ci = Ci::start().await;
    let gate = ci.gate("gate");
    let gate_path = gate.path.display();
    let config = many_steps(&["echo first", &format!("cat {gate_path}; echo second")]);
    let pipeline = ci.push(&config).await;
    let job = ci.job(pipeline).await.id;
    let path = format!("/pipelines/{pipeline}/jobs/{job}/log?follow=true");
    let mut plain = Pieces::of(ci.request(Method::GET, &path)).await;
    assert_eq!(plain.up_to("first\n").await, "first\n");

    // So far and no further: who does not follow gets what there is.
    let now = ci
        .get(&format!("/pipelines/{pipeline}/jobs/{job}/log"))
        .await;
    assert_eq!(now.text, "first\n");
    gate.open().await;
    assert_eq!(plain.rest().await, "second\n");
    assert_eq!(ci.until(pipeline, Status::is_ended).await, Status::Success);
}

#[tokio::test]
async fn a_follower_that_was_cut_off_goes_on_where_it_was() {
    let ci = Ci::start().await;
    let path = log_of(&ci, &one_job("printf 'one\\ntwo\\nthree\\n'")).await;
    for (query, start, expected) in [
        ("follow=true", "0", "one\ntwo\nthree\n"),
        ("follow=true&tail=1", "8", "three\n"),
        ("follow=true&from=6", "6", "o\nthree\n"),
        ("follow=true&from=14", "14", ""),
    ] {
        let answer = ci.get(&format!("{path}?{query}")).await;
        assert_eq!(answer.text, expected, "{query}");
        assert_eq!(answer.header(api::LOG_START), start, "{query}");
        assert_eq!(answer.header(api::LOG_ATTEMPT), "1");
    }
    for query in ["from=6", "follow=true&from=6&tail=1", "follow=true&from=x"] {
        ci.get(&format!("{path}?{query}"))
            .await
            .refuses(400, "`from`");
    }
}

#[tokio::test]
async fn a_follower_of_a_waiting_job_waits() {
    let ci = Ci::start().await;
    let gate = ci.gate("gate");
    let waits = format!("cat {}", gate.path.display());
    let config = json!({
        "version": 2.1,
        "jobs": {
            "first": {"machine": true, "steps": [{"run": waits}]},
            "second": {"machine": true, "steps": [{"run": "echo at last"}]},
        },
        "workflows": {"main": {"jobs": ["first", {"second": {"requires": ["first"]}}]}},
    });
    let pipeline = ci.push(&config.to_string()).await;
    let second = ci.job(pipeline).await;
    assert_eq!(
        (second.name.as_str(), second.state.status()),
        ("second", Status::Blocked)
    );
    let path = format!("/pipelines/{pipeline}/jobs/{}/log", second.id);
    assert_eq!(ci.get(&path).await.text, "");
    let follower = Pieces::of(ci.request(Method::GET, &format!("{path}?follow=true"))).await;
    gate.open().await;
    assert_eq!(follower.rest().await, "at last\n");
}

#[tokio::test]
async fn logs_are_compressed_for_who_asks() {
    let ci = Ci::start().await;
    let path = log_of(
        &ci,
        &one_job("for i in 1 2 3 4 5 6 7 8 9; do echo hello hello; done"),
    )
    .await;
    for encoding in ["gzip", "zstd"] {
        let request = || {
            ci.request(Method::GET, &path)
                .header("Accept-Encoding", encoding)
        };
        let whole = request().send().await.unwrap();
        assert_eq!(whole.headers()["content-encoding"], encoding);
        assert!(whole.bytes().await.unwrap().len() < 100);
        let part = Answer::of(request().header("Range", "bytes=0-99")).await;
        assert_eq!(part.header("content-encoding"), "");
        assert_eq!(part.text.len(), 100);
    }
}

#[tokio::test]
async fn a_compressed_stream_holds_nothing_back() {
    let ci = Ci::start().await;
    let gate = ci.gate("gate");
    let waits = format!("echo first; cat {}", gate.path.display());
    let pipeline = ci.push(&one_job(&waits)).await;
    let job = ci.job(pipeline).await.id;
    let path = format!("/pipelines/{pipeline}/jobs/{job}/log?follow=true");
    let request = ci
        .request(Method::GET, &path)
        .header("Accept-Encoding", "gzip");
    let mut response = request.send().await.unwrap();
    assert_eq!(response.headers()["content-encoding"], "gzip");

    // The job is not over before somebody opens its gate, so what comes now was not held back.
    let mut gunzip = flate2::write::GzDecoder::new(Vec::new());
    while gunzip.get_ref() != b"first\n" {
        let chunk = tokio::time::timeout(PATIENCE, response.chunk()).await;
        let chunk = chunk.expect("the first line comes in time").unwrap();
        gunzip
            .write_all(&chunk.expect("the stream goes on"))
            .unwrap();
        gunzip.flush().unwrap();
    }
    gate.open().await;
    ci.until(pipeline, Status::is_ended).await;
}

#[tokio::test]
async fn a_slow_reader_gets_all_and_disturbs_nobody() {
    const LINES: usize = 400_000;
    let ci = Ci::start().await;
    let path = log_of(&ci, &one_job(&format!("seq 1 {LINES}"))).await;
    let (address, asked) = (ci.address, path.clone());
    let (begun, has_begun) = tokio::sync::oneshot::channel();
    let (go_on, may_go_on) = std::sync::mpsc::channel();
    let reader = tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let request = format!("GET {asked} HTTP/1.0\r\nHost: localhost\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = vec![0; 1000];
        stream.read_exact(&mut answer).unwrap();
        begun.send(()).unwrap();
        may_go_on.recv_timeout(PATIENCE).unwrap();
        stream.read_to_end(&mut answer).unwrap();
        String::from_utf8(answer).unwrap()
    });
    has_begun.await.unwrap();
    assert_eq!(
        ci.get(&format!("{path}?tail=1")).await.text,
        format!("{LINES}\n")
    );
    ci.run(&one_job("echo another")).await;
    go_on.send(()).unwrap();
    let answer = reader.await.unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    assert_eq!(body.lines().count(), LINES);
    assert!(body.ends_with(&format!("\n{LINES}\n")));
}
