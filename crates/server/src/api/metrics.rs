//! `GET /metrics`, and what is measured of requests.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use engine::Engine;
use http::Method;
use http::header::CONTENT_TYPE;
use metrics::{counter, gauge, histogram};

use crate::app::{App, Followers};
use crate::error::ApiError;

/// Writes down what a recorder has, in Prometheus' text format.
#[derive(Clone)]
pub struct MetricsText(Arc<dyn Fn() -> String + Send + Sync>);

impl MetricsText {
    /// What `render` writes.
    pub fn new(render: impl Fn() -> String + Send + Sync + 'static) -> Self {
        Self(Arc::new(render))
    }
}

impl fmt::Debug for MetricsText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MetricsText")
    }
}

/// `GET /metrics`
pub(crate) async fn show(
    State(app): State<App>,
    State(engine): State<Engine>,
    State(followers): State<Followers>,
) -> Result<Response, ApiError> {
    let Some(MetricsText(render)) = &app.metrics else {
        return Err(ApiError::not_found("this server keeps no metrics"));
    };
    let census = engine.store().census().await?;
    for (status, count) in census.pipelines {
        gauge!("popsicle_pipelines_current", "status" => status.as_str()).set(float(count));
    }
    for (status, count) in census.jobs {
        gauge!("popsicle_jobs_current", "status" => status.as_str()).set(float(count));
    }
    gauge!("popsicle_reports_waiting").set(float(census.reports));
    gauge!("popsicle_stream_listeners").set(float(followers.count() as u64));
    let content_type = [(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    Ok((content_type, render()).into_response())
}

/// Counts a request by its route, never by its address: those are without end.
pub(crate) async fn count(request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let method = method(request.method());
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| "none".to_owned(), |path| path.as_str().to_owned());
    let response = next.run(request).await;
    let status = response.status().as_u16().to_string();
    counter!(
        "popsicle_http_requests_total",
        "method" => method, "route" => route.clone(), "status" => status
    )
    .increment(1);
    histogram!("popsicle_http_request_seconds", "method" => method, "route" => route)
        .record(begun.elapsed());
    response
}

/// Counts a delivery of a forge by what came of it.
pub(crate) fn webhook(forge: &'static str, answer: &Result<Response, ApiError>) {
    let result = match answer {
        Ok(response) if response.status() == http::StatusCode::ACCEPTED => "ignored",
        Ok(_) => "accepted",
        Err(error) if error.is_ours() => "failed",
        Err(_) => "refused",
    };
    counter!("popsicle_webhooks_total", "forge" => forge, "result" => result).increment(1);
}

fn method(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "no count here comes near 2^53, from where on it would be less exact"
)]
fn float(count: u64) -> f64 {
    count as f64
}
