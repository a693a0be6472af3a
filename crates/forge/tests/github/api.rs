//! A stand-in for GitHub's API: writes down what it was asked and answers as it was told.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use url::Url;

/// A running stand-in. It ends with its value.
pub struct Api {
    pub url: Url,
    state: Arc<Mutex<Book>>,
    _server: JoinSet<()>,
}

#[derive(Default)]
struct Book {
    answers: VecDeque<Answer>,
    asked: Vec<Asked>,
}

/// What it was asked.
#[derive(Clone, Debug)]
pub struct Asked {
    pub method: Method,
    pub path: String,
    pub headers: HeaderMap,
    pub body: serde_json::Value,
}

impl Asked {
    /// A header as text.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().expect("headers are text"))
    }
}

/// What it answers.
pub enum Answer {
    /// This, at once.
    Now(Response),
    /// Nothing, ever.
    Never,
}

impl Answer {
    pub fn new(status: u16, headers: &[(&'static str, &str)], body: impl Into<String>) -> Self {
        let mut response = (
            StatusCode::from_u16(status).expect("a valid status"),
            body.into(),
        )
            .into_response();
        for (name, value) in headers {
            let value = value.parse().expect("a valid header");
            response.headers_mut().insert(*name, value);
        }
        Self::Now(response)
    }

    pub fn created() -> Self {
        Self::new(201, &[], r#"{"id": 1}"#)
    }
}

impl Api {
    /// Starts one that gives these answers, in this order, then 201 to all else.
    pub async fn start(answers: impl IntoIterator<Item = Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("the port is bound");
        let state = Arc::new(Mutex::new(Book {
            answers: answers.into_iter().collect(),
            asked: Vec::new(),
        }));
        let router = Router::new().fallback(answer).with_state(state.clone());
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, router).await.expect("it serves") });
        Self {
            url: format!("http://{address}")
                .parse()
                .expect("a valid address"),
            state,
            _server: server,
        }
    }

    /// All that it was asked so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.state.lock().expect("no holder panics").asked.clone()
    }
}

async fn answer(
    State(state): State<Arc<Mutex<Book>>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let answer = {
        let mut book = state.lock().expect("no holder panics");
        book.asked.push(Asked {
            method,
            path: uri.to_string(),
            headers,
            body: serde_json::from_slice(&body).unwrap_or_default(),
        });
        book.answers.pop_front().unwrap_or_else(Answer::created)
    };
    match answer {
        Answer::Now(response) => response,
        Answer::Never => std::future::pending().await,
    }
}
