//! What a person sees in a browser.

use std::process::Stdio;

use axum::Router;
use axum::http::header::CONTENT_SECURITY_POLICY;
use axum::response::Html;
use axum::routing::get;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::time::timeout;

use crate::world::{Ci, PATIENCE, Repo, skip};

/// A page as Chromium sees it.
struct Seen {
    /// What it is made of, after all is loaded.
    dom: String,
    /// What the console says: errors, and what was kept from loading.
    console: Vec<String>,
    /// The addresses of all that the page asked for.
    requests: Vec<String>,
    /// A picture of it, as PNG.
    picture: Vec<u8>,
}

/// Opens the page `/` there; none if there is no browser.
async fn open(origin: &str) -> Option<Seen> {
    let home = tempfile::tempdir().expect("a temporary folder can be made");
    let path = |name: &str| home.path().join(name);
    let mut browser = Command::new("chromium");
    browser
        .args(["--headless", "--no-sandbox", "--disable-gpu"])
        .args(["--disable-quic", "--no-first-run", "--no-proxy-server"])
        .args(["--disable-background-networking", "--disable-sync"])
        .arg("--disable-component-update")
        // What the browser asks for on its own account does not leave the machine.
        .arg("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1")
        .arg(format!("--user-data-dir={}", path("profile").display()))
        .arg(format!("--log-net-log={}", path("net.json").display()))
        .arg(format!("--screenshot={}", path("page.png").display()))
        .args(["--enable-logging=stderr", "--dump-dom"])
        .arg(format!("{origin}/"))
        .env("HOME", home.path())
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let ended = timeout(PATIENCE, browser.output()).await;
    let Ok(output) = ended.expect("the browser ends") else {
        skip("there is no `chromium`");
        return None;
    };
    let talk = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{talk}");
    let console = talk.lines().filter(|line| line.contains(":CONSOLE"));
    let net = std::fs::read(path("net.json")).expect("the browser logs its requests");
    Some(Seen {
        dom: String::from_utf8_lossy(&output.stdout).into_owned(),
        console: console.map(str::to_owned).collect(),
        requests: requests(origin, &net),
        picture: std::fs::read(path("page.png")).expect("the browser takes a picture"),
    })
}

/// What a page of that origin asked for, out of the log of all that the browser did.
fn requests(origin: &str, net: &[u8]) -> Vec<String> {
    let log: Value = serde_json::from_slice(net).expect("the browser's log is JSON");
    let start = &log["constants"]["logEventTypes"]["URL_REQUEST_START_JOB"];
    assert!(start.is_number(), "the browser's log has changed");
    let events = log["events"].as_array().expect("the log has events");
    let asked = events
        .iter()
        .filter(|event| event["type"] == *start && event["params"]["initiator"] == origin);
    asked
        .filter_map(|event| event["params"]["url"].as_str().map(str::to_owned))
        .collect()
}

#[tokio::test]
async fn the_first_page_is_seen_in_a_browser() {
    let ci = Ci::start().await;
    let repo = Repo::with(&[("README.md", "no config")]);
    let id = ci.push(&repo).await;
    ci.settled(id).await;
    let Some(seen) = open(ci.url()).await else {
        return;
    };
    for text in ["Popsicle</h1>", ">octo/repo<", ">failure<"] {
        assert!(seen.dom.contains(text), "{text} in {}", seen.dom);
    }
    assert_eq!(seen.console, [""; 0]);
    let style = format!("{}/assets/style.css", ci.url());
    assert!(seen.requests.contains(&style), "{:?}", seen.requests);
    let ours = format!("{}/", ci.url());
    let others = seen.requests.iter().filter(|url| !url.starts_with(&ours));
    assert_eq!(others.collect::<Vec<_>>(), [""; 0]);
    assert!(seen.picture.starts_with(b"\x89PNG"));
}

/// That the story above would tell.
#[tokio::test]
async fn the_browser_tells_what_a_page_must_not_do() {
    let page = "<p style='color: red'>text</p><img src=http://other.invalid/x.png><script>console.error('ouch')</script>";
    let app = Router::new().route(
        "/",
        get(async move || ([(CONTENT_SECURITY_POLICY, "style-src 'none'")], Html(page))),
    );
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port is free");
    let address = listener.local_addr().expect("a listener has an address");
    // Ends with the story's runtime.
    tokio::spawn(async move { axum::serve(listener, app).await });
    let Some(seen) = open(&format!("http://{address}")).await else {
        return;
    };
    for told in ["ouch", "Content Security Policy"] {
        let mut console = seen.console.iter();
        assert!(
            console.any(|line| line.contains(told)),
            "{:?}",
            seen.console
        );
    }
    let foreign = "http://other.invalid/x.png".to_owned();
    assert!(seen.requests.contains(&foreign), "{:?}", seen.requests);
}
