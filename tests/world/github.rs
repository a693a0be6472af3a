//! GitHub's API, as far as Popsicle uses it: the one thing in these stories that is not real.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// The token that opens it.
pub const TOKEN: &str = "ghp_storyTokenThatMustNotLeak0123456789";

/// How it answers a request.
#[derive(Clone, Copy, Debug)]
pub enum Answer {
    /// As it does on a good day.
    Created,
    /// 502, as it does on a bad one.
    BadGateway,
    /// 429, with the seconds after which to come back.
    TooMany { retry_after: u32 },
    /// 403, with the headers that say that the hour's requests are used up until now.
    RateLimited,
    /// 401, as after the token has expired.
    BadCredentials,
    /// Not at all.
    Silence,
}

/// A commit status that it was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// `owner/name`
    pub repo: String,
    /// The commit.
    pub sha: String,
    /// `pending`, `success`, `failure` or `error`.
    pub state: String,
    /// The status's name.
    pub context: String,
    /// One line for people.
    pub description: String,
    /// Where people find more.
    pub target_url: String,
}

#[derive(Debug, Default)]
struct Memory {
    answers: VecDeque<Answer>,
    statuses: Vec<Status>,
    requests: usize,
    strangers: usize,
}

/// The stand-in; it ends with this value.
#[derive(Debug)]
pub struct Github {
    url: String,
    memory: Arc<Mutex<Memory>>,
    serving: JoinHandle<()>,
}

impl Github {
    /// Starts it on a free port.
    pub async fn start() -> Self {
        let memory = Arc::new(Mutex::new(Memory::default()));
        let app = Router::new()
            .route("/repos/{owner}/{repo}/statuses/{sha}", post(status))
            .with_state(Arc::clone(&memory));
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port is free");
        let address = listener.local_addr().expect("a listener has an address");
        let serving = tokio::spawn(async move {
            axum::serve(listener, app)
                .await
                .expect("the stand-in serves");
        });
        Self {
            url: format!("http://{address}"),
            memory,
            serving,
        }
    }

    /// Its address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Says how the next requests are answered; those after them are answered well.
    pub fn answer_next(&self, answers: impl IntoIterator<Item = Answer>) {
        self.memory().answers.extend(answers);
    }

    /// How many of the answers that were asked for have not been given yet.
    pub fn answers_left(&self) -> usize {
        self.memory().answers.len()
    }

    /// How many requests came.
    pub fn requests(&self) -> usize {
        self.memory().requests
    }

    /// How many of them did not have the token.
    pub fn strangers(&self) -> usize {
        self.memory().strangers
    }

    /// The statuses that it took, in the order in which they came.
    pub fn statuses(&self) -> Vec<Status> {
        self.memory().statuses.clone()
    }

    /// The statuses of a commit, a line each.
    pub fn told(&self, sha: &str) -> String {
        let statuses = self.statuses();
        let lines = statuses
            .iter()
            .filter(|status| status.sha == sha)
            .map(|status| {
                format!(
                    "{:7} {}: {}",
                    status.state, status.context, status.description
                )
            });
        lines.collect::<Vec<_>>().join("\n")
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        lock(&self.memory)
    }
}

impl Drop for Github {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn lock(memory: &Mutex<Memory>) -> MutexGuard<'_, Memory> {
    memory
        .lock()
        .expect("nothing panics while it holds the stand-in's memory")
}

/// `POST /repos/{owner}/{repo}/statuses/{sha}`
async fn status(
    State(memory): State<Arc<Mutex<Memory>>>,
    Path((owner, repo, sha)): Path<(String, String, String)>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Response {
    let bearer = format!("Bearer {TOKEN}");
    let is_known = headers
        .get(header::AUTHORIZATION)
        .is_some_and(|value| value == bearer.as_str());
    let answer = {
        let mut memory = lock(&memory);
        memory.requests += 1;
        if !is_known {
            memory.strangers += 1;
            return bad_credentials();
        }
        let answer = memory.answers.pop_front().unwrap_or(Answer::Created);
        if matches!(answer, Answer::Created) {
            let text = |key: &str| body[key].as_str().unwrap_or_default().to_owned();
            memory.statuses.push(Status {
                repo: format!("{owner}/{repo}"),
                sha,
                state: text("state"),
                context: text("context"),
                description: text("description"),
                target_url: text("target_url"),
            });
        }
        answer
    };
    match answer {
        Answer::Created => (StatusCode::CREATED, Json(body)).into_response(),
        Answer::BadGateway => (StatusCode::BAD_GATEWAY, "<html>Unicorn!</html>").into_response(),
        Answer::TooMany { retry_after } => (
            StatusCode::TOO_MANY_REQUESTS,
            [(header::RETRY_AFTER, HeaderValue::from(retry_after))],
            Json(json!({"message": "You have exceeded a secondary rate limit"})),
        )
            .into_response(),
        Answer::RateLimited => (
            StatusCode::FORBIDDEN,
            [
                (
                    HeaderName::from_static("x-ratelimit-remaining"),
                    HeaderValue::from(0),
                ),
                (
                    HeaderName::from_static("x-ratelimit-reset"),
                    HeaderValue::from(now()),
                ),
            ],
            Json(json!({"message": "API rate limit exceeded"})),
        )
            .into_response(),
        Answer::BadCredentials => bad_credentials(),
        Answer::Silence => std::future::pending().await,
    }
}

fn bad_credentials() -> Response {
    let body = Json(json!({"message": "Bad credentials"}));
    (StatusCode::UNAUTHORIZED, body).into_response()
}

/// Seconds since the epoch.
fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}
