//! One span a request, under whose id all lines about it can be found.

use std::time::Duration;

use http::{Request, Response};
use tower_http::request_id::RequestId;
use tracing::Span;

/// The span of a request: its id, method and address. Never the query, nor any header's value but
/// the id.
pub(crate) fn span<B>(request: &Request<B>) -> Span {
    let id = request
        .extensions()
        .get::<RequestId>()
        .and_then(|id| id.header_value().to_str().ok())
        .unwrap_or_default();
    tracing::info_span!("request", id, method = %request.method(), path = request.uri().path())
}

/// Tells how a request was answered.
pub(crate) fn answered<B>(response: &Response<B>, latency: Duration, _span: &Span) {
    let latency_ms = u64::try_from(latency.as_millis()).unwrap_or(u64::MAX);
    tracing::debug!(status = response.status().as_u16(), latency_ms, "answered");
}
