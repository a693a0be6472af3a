//! Whether the server lives, and whether it can do its work.

use api::{Health, Readiness};
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use engine::Engine;
use http::StatusCode;

/// `GET /healthz`
pub(crate) async fn alive() -> Json<Health> {
    Json(Health {
        status: "ok".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    })
}

/// `GET /readyz`
pub(crate) async fn ready(State(engine): State<Engine>) -> Response {
    let store = match engine.store().ping().await {
        Ok(()) => true,
        Err(error) => {
            tracing::warn!(%error, "the database does not answer");
            false
        }
    };
    let readiness = Readiness {
        ready: store && engine.is_ready(),
        store,
        engine: engine.is_ready(),
    };
    let status = if readiness.ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(readiness)).into_response()
}
