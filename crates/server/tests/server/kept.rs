//! What a job keeps: `/pipelines/{pipeline}/jobs/{job}/artifacts` and `/tests`.

use model::{PipelineId, Status};
use reqwest::Method;
use serde_json::json;
use store::{TestOutcome, TestResult};

use crate::world::{Answer, Ci, one_job};

/// A pipeline whose job kept what `keep` stored while it ran; the address of the job.
async fn kept(ci: &Ci, keep: impl AsyncFnOnce(&store::Job)) -> (PipelineId, String) {
    let gate = ci.gate("gate");
    let pipeline = ci
        .push(&one_job(&format!("cat {}", gate.path.display())))
        .await;
    ci.until(pipeline, |status| status == Status::Running).await;
    let job = ci.job(pipeline).await;
    keep(&job).await;
    gate.open().await;
    ci.until(pipeline, Status::is_ended).await;
    (pipeline, format!("/pipelines/{pipeline}/jobs/{}", job.id))
}

/// The address in `Link: <…>; rel="next"`; none on the last page.
fn next(answer: &Answer) -> Option<String> {
    let link = answer.header("link").strip_suffix("; rel=\"next\"")?;
    Some(link.trim_matches(['<', '>']).to_owned())
}

#[tokio::test]
async fn artifacts_come_in_pages_and_as_bytes() {
    let ci = Ci::start().await;
    let names = ["a.txt", "sub/\u{fc} b?.bin", "z.css"];
    let policies = ["same-origin", "same-origin", "cross-origin"];
    let (_, job) = kept(&ci, async |job| {
        let artifacts = names.map(|name| {
            let blob = ci.engine.blobs().keep(&mut name.as_bytes()).unwrap();
            (name.to_owned(), blob)
        });
        let store = ci.engine.store();
        store.add_artifacts(job.id, 1, 0, &artifacts).await.unwrap();
    })
    .await;

    let first = ci.get(&format!("{job}/artifacts?limit=2")).await;
    let second = ci.get(&next(&first).unwrap()).await;
    assert_eq!(next(&second), None);
    let all = ci.get(&format!("/api{job}/artifacts")).await.json();
    assert_eq!(
        all,
        json!([first.json()[0], first.json()[1], second.json()[0]])
    );
    assert_eq!(
        all[0],
        json!({
            "path": "a.txt",
            "node_index": 0,
            "size_bytes": 5,
            "sha256": "18b7cb099a9ea3f50ba899b5ba81e0d377a5f3b16f8f6eeb8b3e58cd4692b993",
            "url": format!("{job}/artifacts/a.txt?attempt=1&node_index=0"),
        })
    );
    for (place, name) in names.into_iter().enumerate() {
        let url = all[place]["url"].as_str().unwrap();
        let file = ci.get(url).await;
        assert_eq!(file.text, name);
        let policy = file.header("cross-origin-resource-policy");
        assert_eq!(policy, policies[place], "{name}");
        assert_eq!(file.header("content-length"), name.len().to_string());
        let part = ci
            .request(Method::GET, &format!("/api{url}"))
            .header("Range", "bytes=-2");
        let part = Answer::of(part).await;
        assert_eq!(part.status, 206);
        assert_eq!(part.text, name[name.len() - 2..]);
    }
    let beyond = ci
        .request(Method::GET, &format!("{job}/artifacts/a.txt"))
        .header("Range", "bytes=5-");
    Answer::of(beyond).await.refuses(416, "");
    ci.get(&format!("{job}/artifacts/b.txt"))
        .await
        .refuses(404, "`b.txt`");
    ci.get(&format!("{job}/artifacts/a.txt?node_index=1"))
        .await
        .refuses(404, "`a.txt`");
}

#[tokio::test]
async fn test_results_come_in_pages_and_failures_first() {
    let ci = Ci::start().await;
    let test = |name: &str, outcome, message: Option<&str>| TestResult {
        classname: "suite".into(),
        name: name.into(),
        file: Some("tests/suite.rs".into()),
        outcome,
        duration_us: Some(1_500),
        message: message.map(Into::into),
    };
    let tests = [
        test("well", TestOutcome::Success, None),
        test("left out", TestOutcome::Skipped, None),
        test("broken", TestOutcome::Failure, Some("1 is not 2")),
    ];
    let (_, job) = kept(&ci, async |job| {
        let store = ci.engine.store();
        let set = store.set_test_results((job.id, 1), (0, 0), &tests);
        set.await.unwrap();
    })
    .await;

    let first = ci.get(&format!("{job}/tests?limit=1")).await;
    assert_eq!(
        first.json(),
        json!([{
            "classname": "suite",
            "name": "broken",
            "file": "tests/suite.rs",
            "result": "failure",
            "duration_us": 1_500,
            "message": "1 is not 2",
        }])
    );
    let mut names = Vec::new();
    let mut page = Some(format!("/api{job}/tests?limit=1&attempt=1"));
    while let Some(path) = page {
        let answer = ci.get(&path).await;
        names.push(answer.json()[0]["name"].as_str().unwrap().to_owned());
        page = next(&answer);
    }
    assert_eq!(names, ["broken", "left out", "well"]);
}

#[tokio::test]
async fn a_jobs_page_shows_what_it_keeps() {
    let ci = Ci::start().await;
    let test = |name: &str, outcome| TestResult {
        classname: String::new(),
        name: name.into(),
        file: None,
        outcome,
        duration_us: None,
        message: Some("<1> is not 2".into()),
    };
    let (_, job) = kept(&ci, async |job| {
        let blob = ci.engine.blobs().keep(&mut "x".as_bytes()).unwrap();
        let store = ci.engine.store();
        let artifacts = [("out/<a>.txt".to_owned(), blob)];
        store.add_artifacts(job.id, 1, 0, &artifacts).await.unwrap();
        let tests = [
            test("broken", TestOutcome::Failure),
            test("left out", TestOutcome::Skipped),
        ];
        let set = store.set_test_results((job.id, 1), (0, 0), &tests);
        set.await.unwrap();
    })
    .await;
    let page = ci.get(&format!("/ui{job}")).await.text;
    let link = format!("<a href=\"{job}/artifacts/out/%3Ca%3E.txt?attempt=1&amp;node_index=0\">");
    for part in [
        link.as_str(),
        "out/&lt;a&gt;.txt",
        "1 failed, 1 skipped, 0 passed",
        "broken",
        "&lt;1&gt; is not 2",
    ] {
        assert!(page.contains(part), "{part} is not in {page}");
    }
    assert!(!page.contains("left out"));
}

#[tokio::test]
async fn what_is_kept_is_found_where_it_belongs_alone() {
    let ci = Ci::start().await;
    let (pipeline, job) = kept(&ci, async |_| {}).await;
    let other = ci.push_nothing().await;
    for what in ["artifacts", "artifacts/a.txt", "tests"] {
        let path = format!("{job}/{what}");
        let elsewhere = path.replace(
            &format!("/pipelines/{pipeline}/"),
            &format!("/pipelines/{other}/"),
        );
        ci.get(&elsewhere).await.refuses(404, "");
        ci.get(&format!("{path}?attempt=2"))
            .await
            .refuses(404, "attempt 2");
        ci.get(&format!("{path}?attempts=1"))
            .await
            .refuses(400, "attempts");
    }
    for what in ["artifacts", "tests"] {
        let path = format!("{job}/{what}");
        assert_eq!(ci.get(&path).await.json(), json!([]));
        ci.get(&format!("{path}?limit=201"))
            .await
            .refuses(400, "`limit`");
        ci.get(&format!("{path}?cursor=p1"))
            .await
            .refuses(400, "cursor");
    }
}
