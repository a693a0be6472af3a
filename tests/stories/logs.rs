//! Reading logs over HTTP: as they grow, from their end, and in parts.

use crate::world::{Answered, Ci, Repo, has_machine_jobs};

#[tokio::test]
async fn a_follower_sees_lines_as_they_come_and_the_end() {
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
    steps:
      - run: |
          i=0
          while [ $i -lt 40 ]; do i=$((i+1)); echo \"line $i\"; sleep 0.05; done
workflows: {main: {jobs: [build]}}
",
    );
    let id = ci.push(&repo).await;
    ci.until_job(id, "build", "running").await;
    let path = ci.log_path(id, "build").await;
    let mut answer = ci
        .request(&format!("{path}?follow=true"))
        .send()
        .await
        .expect("the server answers");
    assert_eq!(answer.status(), 200);

    let (mut seen, mut while_running) = (Vec::new(), false);
    while let Some(chunk) = answer.chunk().await.expect("the stream ends well") {
        seen.extend_from_slice(&chunk);
        while_running |= ci.pipeline(id).await["status"] == "running";
    }
    assert!(while_running, "lines came before the job's end");
    let expected: String = (1..=40).map(|number| format!("line {number}\n")).collect();
    assert_eq!(String::from_utf8_lossy(&seen), expected);
    assert_eq!(ci.settled(id).await, "pipeline success\n  build  success");
    assert_eq!(ci.log(id, "build").await, expected);
}

#[tokio::test]
async fn the_command_follows_too() {
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
    steps: [run: 'echo one; sleep 1; echo two']
workflows: {main: {jobs: [build]}}
",
    );
    let id = ci.push(&repo).await;
    ci.until_job(id, "build", "running").await;
    let (told, watched) = tokio::join!(
        ci.cli(&["logs", "1", "build", "--follow"]),
        ci.cli(&["watch", "1"])
    );
    assert_eq!(
        told.success(),
        "--- Log for pipeline 1, job \"build\" ---\none\ntwo\n"
    );
    assert_eq!(watched.code, Some(0), "{watched:?}");
    assert!(watched.stdout.contains("build  success"), "{watched:?}");
}

#[tokio::test]
async fn parts_of_a_log_can_be_asked_for() {
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
    steps:
      - run: echo one; echo two
      - run: echo three; printf four
workflows: {main: {jobs: [build]}}
",
    );
    let id = ci.push(&repo).await;
    assert_eq!(ci.settled(id).await, "pipeline success\n  build  success");
    let path = ci.log_path(id, "build").await;
    let whole = "one\ntwo\nthree\nfour";
    assert_eq!(ci.get(&path).await.text(), whole);
    for (query, expected) in [
        ("tail=1", "four"),
        ("tail=3", "two\nthree\nfour"),
        ("tail=99", whole),
        ("tail=0", ""),
        ("step=0", "one\ntwo\n"),
        ("step=1", "three\nfour"),
        ("step=1&tail=1", "four"),
        ("follow=true", whole),
        ("follow=true&tail=1", "four"),
    ] {
        let answer = ci.get(&format!("{path}?{query}")).await;
        assert_eq!(
            (answer.code, answer.text().as_str()),
            (200, expected),
            "{query}"
        );
    }
    for (range, code, expected, content_range) in [
        ("bytes=4-6", 206, "two", Some("bytes 4-6/18")),
        ("bytes=14-", 206, "four", Some("bytes 14-17/18")),
        ("bytes=-4", 206, "four", Some("bytes 14-17/18")),
        (
            "bytes=4-999",
            206,
            "two\nthree\nfour",
            Some("bytes 4-17/18"),
        ),
        ("bytes=18-", 416, "", Some("bytes */18")),
        ("lines=1-2", 200, whole, None),
    ] {
        let asked = ci
            .request(&path)
            .header("Range", range)
            .send()
            .await
            .expect("the server answers");
        let answer = Answered::read(asked).await;
        assert_eq!(answer.code, code, "{range}");
        assert_eq!(answer.header("content-range"), content_range, "{range}");
        if code < 400 {
            assert_eq!(answer.text(), expected, "{range}");
        }
    }
    // A job of another pipeline is not this one's.
    ci.push(&repo).await;
    ci.settled(2).await;
    let job = ci.job(2, "build").await["id"].clone();
    assert_eq!(
        ci.get(&format!("/pipelines/1/jobs/{job}/log")).await.code,
        404
    );
    assert_eq!(
        ci.get(&format!("/pipelines/2/jobs/{job}/log?tail=some"))
            .await
            .code,
        400
    );
    assert_eq!(
        ci.get(&format!("/pipelines/2/jobs/{job}/log?step=9"))
            .await
            .code,
        404
    );
}
