//! `/runners`

use reqwest::Method;
use serde_json::{Value, json};

use crate::world::{Answer, Ci};

#[tokio::test]
async fn runners_come_change_and_go() {
    let ci = Ci::start().await;
    let own = ci.get("/runners").await.json();
    assert_eq!(own.as_array().unwrap().len(), 1, "the server itself: {own}");
    assert_eq!(
        (&own[0]["host"], &own[0]["active"]),
        (&json!("localhost"), &json!(true))
    );
    assert_eq!(
        (&own[0]["busy"], &own[0]["capacity"]),
        (&json!(0), &json!(4))
    );

    let answer = ci
        .post("/runners", &json!({"host": "build-1.example.com"}))
        .await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    let runner = answer.json();
    assert_eq!(runner["host"], "build-1.example.com");
    assert_eq!(
        (&runner["active"], &runner["labels"]),
        (&json!(true), &json!([]))
    );
    assert_eq!(
        (&runner["last_seen"], &runner["capacity"]),
        (&Value::Null, &json!(1))
    );
    let path = format!("/runners/{}", runner["id"]);
    assert_eq!(answer.header("location"), path);
    assert_eq!(
        ci.get("/api/runners")
            .await
            .json()
            .as_array()
            .unwrap()
            .len(),
        2
    );

    let change =
        async |change: Value| Answer::of(ci.request(Method::PATCH, &path).json(&change)).await;
    let changed = change(json!({"active": false, "labels": ["gpu", "arm64", "gpu"]}))
        .await
        .json();
    assert_eq!(
        (&changed["active"], &changed["labels"]),
        (&json!(false), &json!(["arm64", "gpu"]))
    );
    assert_eq!(change(json!({"capacity": 8})).await.json()["active"], false);
    change(json!({"capacity": 0}))
        .await
        .refuses(400, "`capacity`");
    change(json!({"labels": ["a b"]}))
        .await
        .refuses(400, "`labels`");
    change(json!({"host": "x"})).await.refuses(400, "`host`");

    let removed = ci.send(Method::DELETE, &path).await;
    assert_eq!((removed.status.as_u16(), removed.text.as_str()), (204, ""));
    ci.send(Method::DELETE, &path).await.refuses(404, "runner");
    change(json!({"active": true})).await.refuses(404, "runner");
    let own = format!("/runners/{}", own[0]["id"]);
    ci.send(Method::DELETE, &own)
        .await
        .refuses(409, "this server itself");
}

#[tokio::test]
async fn runners_come_in_pages() {
    let ci = Ci::start().await;
    for number in 1..=3 {
        let new = json!({"host": format!("build-{number}")});
        assert_eq!(ci.post("/runners", &new).await.status, 201);
    }
    let mut path = "/runners?limit=3".to_owned();
    let mut pages = Vec::new();
    loop {
        let page = ci.get(&path).await;
        let hosts = page.json();
        let hosts = hosts.as_array().unwrap().iter();
        pages.push(hosts.map(|one| one["host"].clone()).collect::<Vec<_>>());
        match page.header("link").split_once('>') {
            Some((next, _)) => path = next.trim_start_matches('<').to_owned(),
            None => break,
        }
    }
    assert_eq!(
        pages,
        [vec!["localhost", "build-1", "build-2"], vec!["build-3"]]
    );
    for (query, names) in [
        ("limit=0", "`limit`"),
        ("x=y", "`x`"),
        ("cursor=p1", "`p1`"),
    ] {
        ci.get(&format!("/runners?{query}"))
            .await
            .refuses(400, names);
    }
}

#[tokio::test]
async fn a_host_that_can_not_be_is_refused() {
    let ci = Ci::start().await;
    assert_eq!(
        ci.post("/runners", &json!({"host": "10.0.0.7"}))
            .await
            .status,
        201
    );
    ci.post("/runners", &json!({"host": "10.0.0.7"}))
        .await
        .refuses(409, "`10.0.0.7`");
    for host in ["", "a b", "-x", "http://x", "a/b", "a\nb"] {
        ci.post("/runners", &json!({"host": host}))
            .await
            .refuses(400, "host");
    }
    ci.post("/runners", &json!({})).await.refuses(400, "`host`");
    ci.post("/runners", &json!({"host": 7}))
        .await
        .refuses(400, "`host`");
    ci.post("/runners", &json!({"host": "x", "token": "y"}))
        .await
        .refuses(400, "`token`");
    let malformed = ci
        .request(Method::POST, "/runners")
        .header("Content-Type", "application/json")
        .body("{\"host\": ");
    Answer::of(malformed).await.refuses(400, "JSON");
    let form = ci.request(Method::POST, "/runners").body("host=x");
    Answer::of(form).await.refuses(415, "application/json");
    let huge = json!({"host": "x".repeat(2 << 20)});
    ci.post("/runners", &huge)
        .await
        .refuses(413, "1048576 bytes");
}
