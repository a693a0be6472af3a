//! A status on its way to GitHub, and all that can come in its way.

use std::time::Duration;

use forge::{Forge, Github, GithubSettings, Report, ReportError};
use model::{CommitState, CommitStatus};
use serde_json::json;
use tokio::net::TcpListener;
use url::Url;

use crate::api::{Answer, Api};
use crate::{TOKEN, mute_github, settings};

const SHA: &str = "6113728f27ae82c7b1a177c8d03f9e96e0adf246";
const PATH: &str =
    "/repos/Codertocat/Hello-World/statuses/6113728f27ae82c7b1a177c8d03f9e96e0adf246";

fn github(settings: GithubSettings) -> Github {
    Github::new(settings).expect("the settings are right")
}

fn report() -> Report {
    Report {
        repo: "Codertocat/Hello-World".parse().expect("a name"),
        commit: SHA.parse().expect("a commit"),
        context: "ci/popsicle".to_owned(),
        status: CommitStatus {
            state: CommitState::Success,
            description: "3 jobs succeeded".to_owned(),
        },
        target_url: Some("http://localhost:5000/ui/pipelines/7".to_owned()),
    }
}

/// What comes of one report to an API that gives these answers.
async fn told(answers: impl IntoIterator<Item = Answer>) -> Result<(), ReportError> {
    let api = Api::start(answers).await;
    github(settings(api.url.clone())).report(&report()).await
}

/// The same, for one answer that is not what one hopes for.
async fn failed(status: u16, headers: &[(&'static str, &str)], body: &str) -> ReportError {
    told([Answer::new(status, headers, body)])
        .await
        .expect_err("an answer that is no success")
}

#[tokio::test]
async fn a_status_arrives_as_github_wants_it() {
    let api = Api::start([]).await;
    let github = github(settings(api.url.clone()));
    assert_eq!(github.report(&report()).await, Ok(()));

    let asked = api.asked();
    let [asked] = asked.as_slice() else {
        panic!("one request: {asked:?}");
    };
    assert_eq!(asked.method, "POST");
    assert_eq!(asked.path, PATH);
    assert_eq!(
        asked.body,
        json!({
            "state": "success",
            "context": "ci/popsicle",
            "description": "3 jobs succeeded",
            "target_url": "http://localhost:5000/ui/pipelines/7",
        })
    );
    assert_eq!(asked.header("authorization"), format!("Bearer {TOKEN}"));
    assert_eq!(asked.header("accept"), "application/vnd.github+json");
    assert_eq!(asked.header("content-type"), "application/json");
    assert_eq!(asked.header("x-github-api-version"), "2022-11-28");
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(asked.header("user-agent"), format!("popsicle/{version}"));
}

#[tokio::test]
async fn each_state_has_its_word() {
    let api = Api::start([]).await;
    let github = github(settings(api.url.clone()));
    for state in [
        CommitState::Pending,
        CommitState::Success,
        CommitState::Failure,
        CommitState::Error,
    ] {
        let mut report = report();
        report.status.state = state;
        report.target_url = None;
        assert_eq!(github.report(&report).await, Ok(()));
    }
    let asked = api.asked();
    let states: Vec<_> = asked.iter().map(|asked| &asked.body["state"]).collect();
    assert_eq!(states, ["pending", "success", "failure", "error"]);
    assert!(asked[0].body.get("target_url").is_none());
}

#[tokio::test]
async fn a_description_fits_in_githubs_140_characters() {
    let api = Api::start([]).await;
    let mut report = report();
    report.status.description = format!("build failed:\n{}", "ü".repeat(300));
    let told = github(settings(api.url.clone())).report(&report).await;
    assert_eq!(told, Ok(()));
    let description = api.asked()[0].body["description"].clone();
    let description = description.as_str().expect("text");
    assert_eq!(description.chars().count(), 140);
    assert!(description.starts_with("build failed: üü") && description.ends_with("ü…"));
}

#[tokio::test]
async fn enterprise_has_its_api_under_a_path() {
    for path in ["api/v3", "api/v3/"] {
        let api = Api::start([]).await;
        let url = api.url.join(path).expect("an address");
        assert_eq!(github(settings(url)).report(&report()).await, Ok(()));
        assert_eq!(api.asked()[0].path, format!("/api/v3{PATH}"));
    }
}

#[tokio::test]
async fn nothing_is_sent_without_a_token() {
    let error = mute_github().report(&report()).await;
    assert_eq!(error, Err(ReportError::NoToken));
    assert!(ReportError::NoToken.is_permanent());
}

#[tokio::test]
async fn rate_limits_say_how_long_to_wait() {
    const DATE: (&str, &str) = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
    const USED_UP: (&str, &str) = ("x-ratelimit-remaining", "0");
    // 30 s after that date.
    const RESET: (&str, &str) = ("x-ratelimit-reset", "784111807");
    let primary = r#"{"message": "API rate limit exceeded for user ID 1."}"#;
    let secondary = r#"{"message": "You have exceeded a secondary rate limit."}"#;
    for (status, headers, body, seconds) in [
        (403, &[DATE, USED_UP, RESET][..], primary, 31),
        (429, &[DATE, USED_UP, RESET], primary, 31),
        (403, &[DATE, USED_UP], primary, 60),
        (429, &[("retry-after", "7")], secondary, 7),
        (403, &[("retry-after", "7")], secondary, 7),
        (429, &[("retry-after", "7"), DATE, USED_UP, RESET], "", 7),
        (
            429,
            &[DATE, ("retry-after", "Sun, 06 Nov 1994 08:51:37 GMT")],
            "",
            121,
        ),
        (403, &[("x-ratelimit-remaining", "4999")], secondary, 60),
        (429, &[], "", 60),
    ] {
        let error = failed(status, headers, body).await;
        let retry_after = Duration::from_secs(seconds);
        assert_eq!(
            error,
            ReportError::RateLimited { retry_after },
            "{status} {headers:?}"
        );
        assert_eq!(error.retry_after(), Some(retry_after));
        assert!(!error.is_permanent());
    }
    let error = failed(429, &[("retry-after", "7")], "").await;
    assert_eq!(error.to_string(), "rate limited by the forge for 7 s");
}

#[tokio::test]
async fn a_fault_of_githubs_is_worth_another_try() {
    for (status, headers, body, text, retry_after) in [
        (
            502,
            &[][..],
            "<html>\n<b>Unicorn!</b>\n</html>",
            "the forge answered with status 502: <html> <b>Unicorn!</b> </html>",
            None,
        ),
        (
            500,
            &[],
            "",
            "the forge answered with status 500: Internal Server Error",
            None,
        ),
        (
            503,
            &[("retry-after", "120")],
            r#"{"message": "down for a while"}"#,
            "the forge answered with status 503: down for a while",
            Some(Duration::from_secs(120)),
        ),
        (
            408,
            &[],
            "",
            "the forge answered with status 408: Request Timeout",
            None,
        ),
    ] {
        let error = failed(status, headers, body).await;
        assert_eq!(error.to_string(), text);
        assert_eq!(error.retry_after(), retry_after);
        assert!(!error.is_permanent());
    }
}

#[tokio::test]
async fn a_refusal_says_what_to_do_and_whether_it_is_for_good() {
    for (status, said, text, is_permanent) in [
        (
            401,
            "Bad credentials",
            "the forge denied it with status 401: Bad credentials (the token is wrong or has expired)",
            false,
        ),
        (
            403,
            "Resource not accessible by personal access token",
            "the forge denied it with status 403: Resource not accessible by personal access token \
             (does the token see the repository, and may it write commit statuses?)",
            false,
        ),
        (
            404,
            "Not Found",
            "the forge denied it with status 404: Not Found (does the token see the repository, and \
             may it write commit statuses?)",
            false,
        ),
        (
            422,
            "No commit found for SHA: 6113728",
            "the forge refused with status 422: No commit found for SHA: 6113728 (the commit may \
             be gone, or has too many statuses)",
            true,
        ),
        (410, "", "the forge refused with status 410: Gone", true),
    ] {
        let body = json!({"message": said, "documentation_url": "https://docs.github.com"});
        let error = failed(status, &[], &body.to_string()).await;
        assert_eq!(error.to_string(), text);
        assert_eq!(error.is_permanent(), is_permanent, "{error:?}");
        assert_eq!(error.retry_after(), None);
    }
}

#[tokio::test]
async fn githubs_words_are_cut_and_never_hold_the_token() {
    let said = format!("no\u{1b}[31m {TOKEN} {}", "x".repeat(1_000_000));
    let error = failed(400, &[], &said).await.to_string();
    assert!(
        error.starts_with("the forge refused with status 400: no [31m [hidden] xxx"),
        "{error}"
    );
    assert!(error.chars().count() < 300, "{error}");
}

#[tokio::test]
async fn silence_ends_in_time() {
    let api = Api::start([Answer::Never]).await;
    let github = github(GithubSettings {
        timeout: Duration::from_millis(200),
        ..settings(api.url.clone())
    });
    let report = report();
    let told = tokio::time::timeout(Duration::from_secs(20), github.report(&report));
    let error = told.await.expect("it ends").expect_err("no answer");
    assert_eq!(error.to_string(), "the forge did not answer in time");
    assert!(!error.is_permanent());
    assert_eq!(api.asked().len(), 1);
}

#[tokio::test]
async fn a_closed_door_is_worth_another_try() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("the port is bound");
    drop(listener);
    let url: Url = format!("http://{address}").parse().expect("an address");
    let error = github(settings(url)).report(&report()).await;
    let error = error.expect_err("nobody is there");
    let text = error.to_string();
    assert!(text.starts_with("could not reach the forge: "), "{text}");
    assert!(text.to_lowercase().contains("refused"), "{text}");
    assert!(!error.is_permanent());
}

/// GitHub answers so for a repository that was renamed.
#[tokio::test]
async fn a_renamed_repository_is_followed() {
    for status in [301, 302, 307, 308] {
        let moved = Answer::new(status, &[("location", "/repositories/1/statuses/x")], "");
        let api = Api::start([moved]).await;
        let told = github(settings(api.url.clone())).report(&report()).await;
        assert_eq!(told, Ok(()), "{status}");
        let asked = api.asked();
        assert_eq!(asked.len(), 2);
        assert_eq!(asked[1].method, "POST");
        assert_eq!(asked[1].path, "/repositories/1/statuses/x");
        assert_eq!(asked[1].body, asked[0].body);
        assert_eq!(asked[1].header("authorization"), format!("Bearer {TOKEN}"));
    }
}

#[tokio::test]
async fn the_token_goes_to_no_other_host() {
    let other = Api::start([]).await;
    let location = other.url.join("/x").expect("an address");
    let error = failed(307, &[("location", location.as_str())], "").await;
    assert_eq!(
        error.to_string(),
        format!(
            "the forge refused with status 307: it redirects to {}, which must not get the token; \
             if that is where the API is, set the API address to it",
            other.url.origin().ascii_serialization()
        )
    );
    assert!(error.is_permanent());
    assert!(other.asked().is_empty());
}

#[tokio::test]
async fn a_circle_of_redirects_ends() {
    let moved = || Answer::new(307, &[("location", PATH)], "");
    let error = told([moved(), moved(), moved(), moved()]).await;
    assert_eq!(
        error.expect_err("a circle").to_string(),
        "the forge refused with status 307: it redirects more than 3 times"
    );
    assert_eq!(told([moved(), moved(), moved()]).await, Ok(()));
}
