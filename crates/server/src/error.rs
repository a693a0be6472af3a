//! The one shape of everything that went wrong, and the one place that writes it.
//!
//! A fault of the caller's is told to the caller in full. A fault of ours goes to the log with its
//! causes, under the id of the request; the caller gets a calm sentence and that id's header.

use std::any::Any;
use std::error::Error;

use axum::Json;
use axum::response::{IntoResponse, Response};
use engine::EngineError;
use forge::WebhookError;
use http::header::RETRY_AFTER;
use http::{HeaderValue, StatusCode};
use store::StoreError;

/// How long to wait before trying again, in seconds, where we are too busy.
const RETRY_AFTER_S: HeaderValue = HeaderValue::from_static("5");

/// An answer that is not a success.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
    /// What happened inside; for the log only.
    cause: Option<Box<dyn Error + Send + Sync>>,
}

impl ApiError {
    /// An answer with a status, a word for programs and a sentence for people.
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            cause: None,
        }
    }

    /// 400: something in the request can't be.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", message)
    }

    /// 404: no such thing.
    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    /// 409: the thing's state forbids it.
    pub(crate) fn conflict(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", message)
    }

    /// 413: the body has more bytes than it may.
    pub(crate) fn too_large(limit_bytes: usize) -> Self {
        let message = format!("the body is larger than {limit_bytes} bytes");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
    }

    /// 503: it may work in a moment.
    pub(crate) fn busy(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", message)
    }

    /// 500: our fault.
    pub(crate) fn internal(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            code: "internal",
            message: "something went wrong on the server; its log has the cause, under the id in \
                      the header `X-Request-Id`"
                .to_owned(),
            cause: Some(cause.into()),
        }
    }

    /// 500: a handler panicked. For [`CatchPanicLayer`](tower_http::catch_panic::CatchPanicLayer).
    #[expect(
        clippy::needless_pass_by_value,
        reason = "the layer hands the panic over by value"
    )]
    pub(crate) fn panicked(panic: Box<dyn Any + Send>) -> Response {
        let text = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("no message");
        Self::internal(format!("a request's handler panicked: {text}")).into_response()
    }
}

impl ApiError {
    /// What to say of it in the log, where that is not said already: its word, and its sentence.
    pub(crate) fn for_log(&self) -> Option<(&'static str, &str)> {
        self.cause
            .is_none()
            .then_some((self.code, self.message.as_str()))
    }
}

impl ApiError {
    /// The status that it is answered with.
    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    /// What people are told.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// Whether it is no fault of the caller's.
    pub(crate) fn is_ours(&self) -> bool {
        self.status.is_server_error()
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        if let Some(cause) = &self.cause {
            tracing::error!(error = with_causes(cause.as_ref()), "request failed");
        }
        let is_busy = self.status == StatusCode::SERVICE_UNAVAILABLE;
        let error = api::ErrorDetail {
            code: self.code.to_owned(),
            message: self.message,
        };
        let mut response = (self.status, Json(api::ErrorBody { error })).into_response();
        if is_busy {
            response.headers_mut().insert(RETRY_AFTER, RETRY_AFTER_S);
        }
        response
    }
}

impl From<WebhookError> for ApiError {
    fn from(error: WebhookError) -> Self {
        Self::new(error.status(), error.code(), error.to_string())
    }
}

impl From<EngineError> for ApiError {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Store(error) => error.into(),
            EngineError::Conflict(_) | EngineError::NotRerunnable { .. } => {
                Self::conflict(error.to_string())
            }
            EngineError::Busy => Self::busy(error.to_string()),
            EngineError::Invalid(message) => Self::invalid(message),
            EngineError::Source(error) => Self::internal(error),
        }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        if error.is_not_found() {
            Self::not_found(error.to_string())
        } else if error.is_conflict() {
            Self::conflict(error.to_string())
        } else if error.is_bad_request() {
            Self::invalid(error.to_string())
        } else if matches!(error, StoreError::Busy) {
            Self::busy(error.to_string())
        } else if error.is_disk_full() {
            Self {
                cause: Some(error.into()),
                ..Self::busy("the server has no space left on its disk")
            }
        } else {
            Self::internal(error)
        }
    }
}

fn with_causes(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::{Body, to_bytes};
    use axum::routing::get;
    use http::Request;
    use tower::ServiceExt;
    use tower_http::catch_panic::CatchPanicLayer;

    use super::*;

    #[tokio::test]
    async fn a_panic_is_an_error_like_others_and_says_nothing_of_the_inside() {
        let panics = || async { panic!("the inside") as () };
        let router = Router::new()
            .route("/", get(panics))
            .layer(CatchPanicLayer::custom(ApiError::panicked));
        let request = Request::get("/").body(Body::empty()).expect("a request");
        let response = router.oneshot(request).await.expect("an answer");
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let body = to_bytes(response.into_body(), 10_000)
            .await
            .expect("a body");
        let body: api::ErrorBody = serde_json::from_slice(&body).expect("an error's JSON");
        assert_eq!(body.error.code, "internal");
        assert!(
            !body.error.message.contains("inside"),
            "{}",
            body.error.message
        );
    }
}
