//! Commit statuses, over GitHub's REST API.
//!
//! <https://docs.github.com/en/rest/commits/statuses>: what is sent;
//! <https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api>: how
//! redirects and rate limits are to be taken.

use std::error::Error;
use std::time::{Duration, Instant};

use http::header::{ACCEPT, AUTHORIZATION, LOCATION};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};
use url::{Host, Url};

use super::{GithubSettings, SettingsError};
use crate::text::shortened;
use crate::{Report, ReportError, Token, limits};

/// What GitHub allows for a description.
const LONGEST_DESCRIPTION: usize = 140;
/// How much of GitHub's own words a person gets to see, in characters.
const LONGEST_MESSAGE: usize = 200;
/// How much of an answer is read, in bytes.
const LONGEST_ANSWER: usize = 64 * 1024;
/// A renamed repository redirects once; a loop must end.
const MOST_REDIRECTS: usize = 3;

/// GitHub's API with the token that opens it.
#[derive(Debug)]
pub(super) struct Api {
    http: reqwest::Client,
    url: Url,
    token: Token,
    timeout: Duration,
}

/// The body of a status.
#[derive(Serialize)]
struct NewStatus<'a> {
    state: &'a str,
    context: &'a str,
    description: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    target_url: Option<&'a str>,
}

impl Api {
    /// None without a token.
    pub(super) fn new(settings: &GithubSettings) -> Result<Option<Self>, SettingsError> {
        let url = checked(&settings.api_url)?;
        let Some(token) = settings.token.clone() else {
            return Ok(None);
        };
        let mut http = reqwest::Client::builder()
            .user_agent(concat!("popsicle/", env!("CARGO_PKG_VERSION")))
            .default_headers(default_headers(&token)?)
            .connect_timeout(settings.connect_timeout)
            // Followed by hand: reqwest would turn some of them into a GET.
            .redirect(reqwest::redirect::Policy::none());
        if is_loopback(&url) {
            // No proxy can reach this machine's own loopback.
            http = http.no_proxy();
        }
        let http = http.build().map_err(SettingsError::Client)?;
        Ok(Some(Self {
            http,
            url,
            token,
            timeout: settings.timeout,
        }))
    }

    /// One attempt to tell one status.
    pub(super) async fn report(&self, report: &Report) -> Result<(), ReportError> {
        let body = NewStatus {
            state: report.status.state.as_str(),
            context: &report.context,
            description: shortened(&report.status.description, LONGEST_DESCRIPTION),
            target_url: report.target_url.as_deref(),
        };
        let deadline = Instant::now() + self.timeout;
        let mut url = self.status_url(report);
        let mut redirects = 0;
        loop {
            let answer = self
                .http
                .post(url)
                .timeout(deadline.saturating_duration_since(Instant::now()))
                .json(&body)
                .send()
                .await
                .map_err(|error| unreachable(&error))?;
            let Some(next) = redirection(&answer) else {
                return self.judge(answer).await;
            };
            redirects += 1;
            let refused = |message| ReportError::Refused {
                status: answer.status().as_u16(),
                message,
            };
            if next.origin() != self.url.origin() {
                return Err(refused(format!(
                    "it redirects to {}, which must not get the token; if that is where the API \
                     is, set the API address to it",
                    next.origin().ascii_serialization()
                )));
            }
            if redirects > MOST_REDIRECTS {
                return Err(refused(format!(
                    "it redirects more than {MOST_REDIRECTS} times"
                )));
            }
            url = next;
        }
    }

    fn status_url(&self, report: &Report) -> Url {
        let mut url = self.url.clone();
        url.path_segments_mut()
            .expect("an http address has a path")
            .pop_if_empty()
            .push("repos")
            .extend(report.repo.as_str().split('/'))
            .push("statuses")
            .push(report.commit.as_str());
        url
    }

    async fn judge(&self, answer: reqwest::Response) -> Result<(), ReportError> {
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        let headers = answer.headers().clone();
        let message = self.message(answer).await;
        Err(failure(status, &headers, &message))
    }

    /// What GitHub says in words: one short line without our token.
    async fn message(&self, mut answer: reqwest::Response) -> String {
        #[derive(Deserialize)]
        struct Answer {
            message: String,
        }
        let mut body = Vec::new();
        // A broken body is as good as its part that arrived.
        while let Ok(Some(chunk)) = answer.chunk().await {
            body.extend_from_slice(&chunk);
            if body.len() >= LONGEST_ANSWER {
                break;
            }
        }
        let text = match serde_json::from_slice::<Answer>(&body) {
            Ok(answer) => answer.message,
            Err(_) => String::from_utf8_lossy(&body).into_owned(),
        };
        let text = text.replace(self.token.expose(), "[hidden]");
        shortened(&text, LONGEST_MESSAGE)
    }
}

/// The API's address, if it can be one.
fn checked(url: &Url) -> Result<Url, SettingsError> {
    let invalid = |why| Err(SettingsError::InvalidApiUrl { why });
    if !matches!(url.scheme(), "http" | "https") {
        return invalid("is neither http:// nor https://");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return invalid("holds a user name or password");
    }
    if url.query().is_some() || url.fragment().is_some() {
        return invalid("holds `?` or `#`");
    }
    Ok(url.clone())
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

fn default_headers(token: &Token) -> Result<HeaderMap, SettingsError> {
    let is_plain = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
    if !is_plain(token.expose()) {
        return Err(SettingsError::InvalidToken);
    }
    let mut bearer = HeaderValue::from_str(&format!("Bearer {}", token.expose()))
        .map_err(|_| SettingsError::InvalidToken)?;
    bearer.set_sensitive(true);
    Ok(HeaderMap::from_iter([
        (AUTHORIZATION, bearer),
        (
            ACCEPT,
            HeaderValue::from_static("application/vnd.github+json"),
        ),
        (
            HeaderName::from_static("x-github-api-version"),
            HeaderValue::from_static("2022-11-28"),
        ),
    ]))
}

/// Where the answer says to send the same again, if it does. GitHub means the same method for all
/// of these.
fn redirection(answer: &reqwest::Response) -> Option<Url> {
    if !matches!(answer.status().as_u16(), 301 | 302 | 307 | 308) {
        return None;
    }
    let location = answer.headers().get(LOCATION)?.to_str().ok()?;
    answer.url().join(location).ok()
}

/// What an answer other than success means.
fn failure(status: StatusCode, headers: &HeaderMap, message: &str) -> ReportError {
    if let Some(retry_after) = rate_limit(status, headers, message) {
        return ReportError::RateLimited { retry_after };
    }
    let said = if message.is_empty() {
        status.canonical_reason().unwrap_or("no reason given")
    } else {
        message
    };
    if status.is_server_error()
        || matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY)
    {
        return ReportError::Retryable {
            reason: format!("the forge answered with status {}: {said}", status.as_u16()),
            retry_after: limits::retry_after(headers),
        };
    }
    let message = match advice(status) {
        Some(advice) => format!("{said} ({advice})"),
        None => said.to_owned(),
    };
    let is_denied = matches!(
        status,
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND
    );
    let status = status.as_u16();
    if is_denied {
        ReportError::Denied { status, message }
    } else {
        ReportError::Refused { status, message }
    }
}

/// How long to pause, if this is a rate limit. The order of the rules is GitHub's.
fn rate_limit(status: StatusCode, headers: &HeaderMap, message: &str) -> Option<Duration> {
    if !matches!(
        status,
        StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS
    ) {
        return None;
    }
    let is_used_up = headers
        .get("x-ratelimit-remaining")
        .is_some_and(|left| left.as_bytes() == b"0");
    let said = message.to_ascii_lowercase();
    if let Some(pause) = limits::retry_after(headers) {
        Some(pause)
    } else if is_used_up {
        Some(limits::until_epoch(headers, "x-ratelimit-reset").unwrap_or(limits::DEFAULT_PAUSE))
    } else if status == StatusCode::TOO_MANY_REQUESTS
        || said.contains("rate limit")
        || said.contains("abuse detection")
    {
        Some(limits::DEFAULT_PAUSE)
    } else {
        None
    }
}

/// What a person can do about a refusal.
fn advice(status: StatusCode) -> Option<&'static str> {
    match status.as_u16() {
        401 => Some("the token is wrong or has expired"),
        403 | 404 => Some("does the token see the repository, and may it write commit statuses?"),
        422 => Some("the commit may be gone, or has too many statuses"),
        _ => None,
    }
}

/// A failure on the way, with all its causes in one line.
fn unreachable(error: &reqwest::Error) -> ReportError {
    let reason = if error.is_timeout() {
        "the forge did not answer in time".to_owned()
    } else {
        let mut reason = "could not reach the forge".to_owned();
        let mut cause = error.source();
        while let Some(error) = cause {
            reason.push_str(": ");
            reason.push_str(&error.to_string());
            cause = error.source();
        }
        shortened(&reason, LONGEST_MESSAGE)
    };
    ReportError::Retryable {
        reason,
        retry_after: None,
    }
}
