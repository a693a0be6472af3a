//! `/events`

use engine::{SystemWorld, World};
use model::{Origin, Status, Trigger, TriggerKind};
use reqwest::{Method, RequestBuilder};
use serde_json::Value;

use crate::world::{Answer, Ci, PATIENCE, Pieces, REPO, nowhere, one_job};

/// More than the server reads from the store at once.
const MANY: usize = 600;

/// Listens, and gives the place where that begins, which is told at once.
async fn listen(request: RequestBuilder) -> (i64, Pieces) {
    let mut stream = Pieces::of(request).await;
    let message = stream.up_to("\n\n").await;
    let place = message.trim_end().strip_prefix("id: ");
    (place.unwrap().parse().unwrap(), stream)
}

/// One message: its id and its data.
async fn next(stream: &mut Pieces) -> (i64, Value) {
    let message = stream.up_to("\n\n").await;
    let field = |name: &str| {
        let line = message.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("no {name:?} in {message:?}"))
    };
    (
        field("id: ").parse().unwrap(),
        serde_json::from_str(field("data: ")).unwrap(),
    )
}

#[tokio::test]
async fn every_change_is_told_as_it_happens() {
    let ci = Ci::start().await;
    let (_, mut stream) = listen(ci.request(Method::GET, "/events")).await;
    assert_eq!(stream.header("content-type"), "text/event-stream");
    let pipeline = ci.run(&one_job("echo hello")).await;
    let mut words = Vec::new();
    loop {
        let (id, event) = next(&mut stream).await;
        assert_eq!(event["id"], id);
        assert_eq!(event["pipeline"], pipeline.0);
        assert!(event["at"].as_str().unwrap().ends_with('Z'));
        let word = event["status"]
            .as_str()
            .or(event["step"]["state"].as_str())
            .unwrap();
        words.push(format!("{} {word}", event["type"].as_str().unwrap()));
        if event["type"] == "pipeline" && word == "success" {
            break;
        }
    }
    assert_eq!(words[0], "pipeline queued");
    for expected in [
        "job queued",
        "job running",
        "step running",
        "step ended",
        "job success",
    ] {
        assert!(
            words.iter().any(|word| word == expected),
            "no {expected:?} in {words:?}"
        );
    }
}

#[tokio::test]
async fn who_comes_back_misses_nothing_and_hears_nothing_twice() {
    let ci = Ci::start().await;
    let (_, mut stream) = listen(ci.request(Method::GET, "/events")).await;
    ci.push_nothing().await;
    let (mut last, _) = next(&mut stream).await;
    drop(stream);

    // More than one batch of the store's happens meanwhile, and it goes on while it is replayed.
    let triggers = vec![nothing(); MANY];
    let now = SystemWorld.now();
    ci.engine
        .store()
        .create_pipelines(&triggers, now)
        .await
        .unwrap();
    let back = ci
        .request(Method::GET, "/events")
        .header("Last-Event-ID", last.to_string());
    let (begin, mut stream) = listen(back).await;
    assert_eq!(begin, last);
    let push = Ci::push_of(&nowhere()).to_string();
    let newest = Answer::of(ci.delivery("push", push.as_bytes()))
        .await
        .json();
    loop {
        let (id, event) = next(&mut stream).await;
        assert_eq!(id, last + 1);
        last = id;
        if event["pipeline"] == newest["pipeline_id"] {
            break;
        }
    }
    assert!(last > 600, "{last}");
}

/// A trigger whose code is nowhere.
fn nothing() -> Trigger {
    Trigger {
        kind: TriggerKind::Api,
        repo: REPO.parse().unwrap(),
        origin: Origin::Git { url: nowhere().url },
        commit: Some(nowhere().sha.parse().unwrap()),
        git_ref: None,
        base: None,
        author: None,
        message: None,
        pull_request: None,
        rerun: None,
        forge: None,
        parameters: std::collections::BTreeMap::new(),
        delivery: None,
    }
}

#[tokio::test]
async fn all_of_it_can_be_had_from_the_first() {
    let ci = Ci::start().await;
    ci.push_nothing().await;
    let (_, mut stream) = listen(ci.request(Method::GET, "/api/events?after=0")).await;
    assert_eq!(next(&mut stream).await.0, 1);
    assert_eq!(next(&mut stream).await.0, 2);
    let (_, mut second) = listen(ci.request(Method::GET, "/events?after=1")).await;
    assert_eq!(next(&mut second).await.0, 2);

    // An id that is still to come was another server's: only what is new is told.
    let (_, mut other) = listen(ci.request(Method::GET, "/events?after=99999")).await;
    let new = ci.push_nothing().await;
    assert_eq!(next(&mut other).await.1["pipeline"], new.0);
}

#[tokio::test]
async fn who_is_cut_off_before_anything_changes_misses_nothing() {
    let ci = Ci::start().await;
    ci.push_nothing().await;
    let (begin, stream) = listen(ci.request(Method::GET, "/events")).await;
    drop(stream);
    let missed = ci.push_nothing().await;
    let back = ci
        .request(Method::GET, "/events")
        .header("Last-Event-ID", begin.to_string());
    let (_, mut stream) = listen(back).await;
    let (id, event) = next(&mut stream).await;
    assert_eq!((id, &event["pipeline"]), (begin + 1, &missed.0.into()));
}

#[tokio::test]
async fn followers_leave_room_for_others() {
    let ci = Ci::start_with(|settings| settings.followers = 1).await;
    let pipeline = ci.run(&one_job("true")).await;
    let job = ci.job(pipeline).await;
    let (_, stream) = listen(ci.request(Method::GET, "/events")).await;
    let follow = format!("/pipelines/{pipeline}/jobs/{}/log?follow=true", job.id);
    for path in ["/events", &follow, &format!("/jobs/{}/stream", job.uuid)] {
        let busy = ci.get(path).await;
        busy.refuses(503, "try again");
        assert_eq!(busy.header("retry-after"), "5");
    }
    assert_eq!(ci.get("/pipelines").await.status, 200);

    drop(stream);
    let room = async { while ci.get(&follow).await.status != 200 {} };
    tokio::time::timeout(PATIENCE, room).await.unwrap();

    // A place is kept for as long as the job goes on.
    let gate = ci.gate("gate");
    let pipeline = ci
        .push(&one_job(&format!(
            "echo first; cat {}",
            gate.path.display()
        )))
        .await;
    let job = ci.job(pipeline).await;
    for path in [
        format!("/jobs/{}/stream?from_beginning=true", job.uuid),
        format!("/pipelines/{pipeline}/jobs/{}/log?follow=true", job.id),
    ] {
        let open = async {
            loop {
                let request = ci.request(Method::GET, &path);
                let response = request.send().await.unwrap();
                if response.status() == 200 {
                    return Pieces::from(response);
                }
            }
        };
        let mut stream = tokio::time::timeout(PATIENCE, open).await.unwrap();
        stream.up_to("first").await;
        ci.get("/events").await.refuses(503, "try again");
    }
    gate.open().await;
    ci.until(pipeline, Status::is_ended).await;
}

#[tokio::test]
async fn a_place_that_can_not_be_is_named() {
    let ci = Ci::start().await;
    let request = ci
        .request(Method::GET, "/events")
        .header("Last-Event-ID", "x");
    Answer::of(request).await.refuses(400, "`Last-Event-ID`");
    ci.get("/events?after=x").await.refuses(400, "`after`");
}
