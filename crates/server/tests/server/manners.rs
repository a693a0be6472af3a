//! What holds for every address: shapes of errors, headers, who may ask for what.

use model::Status;
use reqwest::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use url::Url;

use crate::world::{Answer, Ci, PATIENCE, nowhere};

#[tokio::test]
async fn unknown_addresses_and_methods_are_errors_of_the_same_shape() {
    let ci = Ci::start().await;
    ci.get("/nothing").await.refuses(404, "`/nothing`");
    ci.get("/api/nothing/at/all")
        .await
        .refuses(404, "`/api/nothing/at/all`");
    let put = ci.send(Method::PUT, "/pipelines").await;
    put.refuses(405, "PUT");
    assert_eq!(put.header("allow"), "GET,HEAD,POST");
    ci.get("/webhook").await.refuses(405, "GET");
    ci.send(Method::DELETE, "/api/pipelines/1")
        .await
        .refuses(405, "DELETE");
}

/// The table itself, so that no route of it can be forgotten here.
const TABLE: &str = include_str!("../../src/router.rs");

#[tokio::test]
async fn every_address_of_the_api_is_there_under_both_roots() {
    let ci = Ci::start().await;
    let mut paths: Vec<&str> = TABLE
        .split(".route(")
        .skip(1)
        .filter_map(|route| route.split('"').nth(1))
        .filter(|path| {
            let others = ["/ui/", "/assets/", "/git/"];
            *path != "/" && !others.iter().any(|other| path.starts_with(other))
        })
        .collect();
    paths.sort_unstable();
    assert!(paths.len() > 15, "{paths:?}");
    for path in paths {
        let path = path.replace("{*repo}", "octo/repo").replace(['{', '}'], "");
        // No route has this method: what is there says which it has, and what is not is not found.
        let asked = async |root: &str| {
            let answer = ci.send(Method::TRACE, &format!("{root}{path}")).await;
            answer.refuses(405, &path);
            answer.header("allow").to_owned()
        };
        let (plain, below) = (asked("").await, asked("/api").await);
        assert!(!plain.is_empty(), "{path}");
        assert_eq!(plain, below, "{path}");
    }
}

#[tokio::test]
async fn every_answer_has_an_id_and_tells_browsers_to_be_careful() {
    let ci = Ci::start().await;
    for path in ["/", "/pipelines", "/nothing", "/healthz"] {
        let answer = ci.get(path).await;
        assert!(!answer.header("x-request-id").is_empty(), "{path}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("x-frame-options"), "DENY");
        assert!(
            answer
                .header("content-security-policy")
                .starts_with("default-src 'none'")
        );
    }
    let named = ci
        .request(Method::GET, "/healthz")
        .header("X-Request-Id", "mine-7");
    assert_eq!(Answer::of(named).await.header("x-request-id"), "mine-7");
}

#[tokio::test]
async fn a_page_of_another_site_may_not_act() {
    let ci = Ci::start_with(|settings| {
        settings.public_url = Some(Url::parse("https://ci.example.com").unwrap());
    })
    .await;
    let pipeline = ci.push_nothing().await;
    let path = format!("/pipelines/{pipeline}/rerun");
    let post = || ci.request(Method::POST, &path);
    Answer::of(post().header("Origin", "https://evil.example"))
        .await
        .refuses(403, "another site");
    Answer::of(post().header("Origin", "null"))
        .await
        .refuses(403, "another site");
    Answer::of(post().header("Sec-Fetch-Site", "cross-site"))
        .await
        .refuses(403, "another site");
    assert_eq!(
        ci.get("/pipelines").await.json().as_array().unwrap().len(),
        1
    );

    let own = format!("http://{}", ci.address);
    assert_eq!(Answer::of(post().header("Origin", own)).await.status, 201);
    ci.until(model::PipelineId(2), Status::is_ended).await;
    assert_eq!(
        Answer::of(post().header("Sec-Fetch-Site", "same-origin"))
            .await
            .status,
        201
    );
    assert_eq!(
        Answer::of(post().header("Origin", "https://ci.example.com"))
            .await
            .status,
        201
    );
    let read = ci
        .request(Method::GET, "/pipelines")
        .header("Sec-Fetch-Site", "cross-site");
    assert_eq!(Answer::of(read).await.status, 200);
}

#[tokio::test]
async fn a_foreign_name_is_not_ours_but_for_forges() {
    let ci = Ci::start().await;
    let foreign = ci
        .request(Method::GET, "/pipelines")
        .header("Host", "evil.example");
    Answer::of(foreign).await.refuses(421, "evil.example");
    let ours = ci
        .request(Method::GET, "/pipelines")
        .header("Host", "localhost:5000");
    assert_eq!(Answer::of(ours).await.status, 200);
    let mut nameless = TcpStream::connect(ci.address).await.unwrap();
    let asked = nameless.write_all(b"GET /healthz HTTP/1.0\r\n\r\n");
    asked.await.unwrap();
    let mut answer = String::new();
    let read = nameless.read_to_string(&mut answer);
    tokio::time::timeout(PATIENCE, read).await.unwrap().unwrap();
    assert!(answer.starts_with("HTTP/1.0 200 "), "{answer}");
    let body = Ci::push_of(&nowhere()).to_string();
    let tunnel = ci
        .delivery("push", body.as_bytes())
        .header("Host", "tunnel.example");
    assert_eq!(Answer::of(tunnel).await.status, 200);
}

#[tokio::test]
async fn the_first_page_says_what_this_is_and_trusts_nobody() {
    let ci = Ci::start().await;
    let empty = ci.get("/").await;
    assert_eq!(empty.header("content-type"), "text/html; charset=utf-8");
    assert!(empty.text.contains("CI/CD server"));
    assert!(empty.text.contains("/webhook"));

    let mut push = Ci::push_of(&nowhere());
    push["head_commit"]["message"] = "<script>alert(1)</script> & more\nsecond line".into();
    push["ref"] = "refs/heads/<b>".into();
    Answer::of(ci.delivery("push", push.to_string().as_bytes())).await;
    let page = ci.get("/").await.text;
    assert!(
        page.contains("&lt;script&gt;alert(1)&lt;/script&gt; &amp; more"),
        "{page}"
    );
    assert!(page.contains("&lt;b&gt;"));
    assert!(!page.contains("<script") && !page.contains("<b>") && !page.contains("second line"));
    assert!(page.contains("href=\"/ui/pipelines/1\""));
    let style = ci.get("/assets/style.css").await;
    assert_eq!(style.header("content-type"), "text/css; charset=utf-8");
}

#[tokio::test]
async fn health_is_told() {
    let ci = Ci::start().await;
    let alive = ci.get("/healthz").await.json();
    assert_eq!(alive["status"], "ok");
    assert!(alive["version"].is_string());
    let ready = ci.get("/readyz").await;
    assert_eq!(ready.status, 200);
    let expected = serde_json::json!({"ready": true, "store": true, "engine": true});
    assert_eq!(ready.json(), expected);

    ci.engine.store().close().await;
    let broken = ci.get("/readyz").await;
    assert_eq!(
        (broken.status.as_u16(), &broken.json()["store"]),
        (503, &false.into())
    );
    assert_eq!(ci.get("/healthz").await.status, 200);
    let answer = ci.get("/pipelines").await;
    answer.refuses(500, "log");
    assert!(
        !answer.text.contains("sqlx") && !answer.text.contains("pool"),
        "{}",
        answer.text
    );
}
