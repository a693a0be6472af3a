//! `POST /webhook`, `POST /hooks/github`: a delivery of GitHub becomes a stored pipeline.

use std::sync::Arc;
use std::time::Instant;

use api::WebhookAnswer;
use axum::Json;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use engine::Engine;
use forge::{Forge, Received, WebhookError};
use http::{HeaderMap, StatusCode};
use model::ForgeKind;

use crate::api::metrics;
use crate::app::App;
use crate::error::ApiError;
use crate::extract::{BodyLimits, discard, read_body};

/// Answers once the pipeline is on disk, and before anything else is done for it.
pub(crate) async fn receive(
    State(app): State<App>,
    request: Request,
) -> Result<Response, ApiError> {
    let forge = app.forge(ForgeKind::Github).ok_or_else(|| {
        ApiError::not_found("this server takes no webhooks of GitHub: set POPSICLE_WEBHOOK_SECRET")
    })?;
    let (parts, body) = request.into_parts();
    let taken = take(&app, forge.as_ref(), &parts.headers, body).await;
    if let Err(error) = &taken {
        tell(&app, &parts.headers, error);
    }
    metrics::webhook("github", &taken);
    taken
}

async fn take(
    app: &App,
    forge: &dyn Forge,
    headers: &HeaderMap,
    mut body: Body,
) -> Result<Response, ApiError> {
    let limit = app.settings.webhook_limit_bytes;
    if let Err(error) = look(forge, headers) {
        discard(&mut body, limit).await;
        return Err(error.into());
    }
    let limits = BodyLimits {
        one: limit,
        all: Arc::clone(&app.bodies),
    };
    let body = read_body(headers, body, &limits).await?;
    let received = forge.receive(headers, &body)?;
    drop(body);
    act(&app.engine, received).await
}

/// Refuses by the headers alone whom no body could make right: it is not worth the memory.
fn look(forge: &dyn Forge, headers: &HeaderMap) -> Result<(), WebhookError> {
    match forge.receive(headers, b"") {
        Err(
            error @ (WebhookError::MissingSignature { .. }
            | WebhookError::WeakSignature { .. }
            | WebhookError::MalformedSignature { .. }),
        ) => Err(error),
        Ok(_)
        | Err(
            WebhookError::WrongSignature { .. }
            | WebhookError::MissingHeader { .. }
            | WebhookError::InvalidHeader { .. }
            | WebhookError::MalformedJson { .. }
            | WebhookError::MissingField { .. }
            | WebhookError::InvalidField { .. },
        ) => Ok(()),
    }
}

/// Whoever set the webhook up wrongly finds here why nothing comes of it.
fn tell(app: &App, headers: &HeaderMap, error: &ApiError) {
    let Some((code, reason)) = error.for_log() else {
        return;
    };
    let Some(left_out) = app.refusals.line(Instant::now()) else {
        return;
    };
    let word = |name: &str| -> Option<String> {
        Some(
            headers
                .get(name)?
                .to_str()
                .ok()?
                .chars()
                .take(100)
                .collect(),
        )
    };
    tracing::warn!(
        delivery = word("X-GitHub-Delivery"),
        event = word("X-GitHub-Event"),
        code,
        reason,
        left_out,
        "webhook refused"
    );
}

async fn act(engine: &Engine, received: Received) -> Result<Response, ApiError> {
    match received {
        Received::Trigger(trigger) => {
            let created = engine.submit(*trigger).await?;
            Ok(queued(&created))
        }
        Received::Rerequested {
            repo,
            commit,
            delivery,
        } => match engine.rerequest(&repo, &commit, delivery).await? {
            Some(created) => Ok(queued(&created)),
            None => Ok(ignored(format!(
                "`{repo}` has no pipeline of the commit {commit} to run again"
            ))),
        },
        Received::Pong => Ok(Json(WebhookAnswer::Pong).into_response()),
        Received::Ignored { reason } => Ok(ignored(reason)),
    }
}

fn queued(created: &store::Created) -> Response {
    let pipeline_id = created.id;
    Json(WebhookAnswer::Queued { pipeline_id }).into_response()
}

fn ignored(reason: String) -> Response {
    let answer = WebhookAnswer::Ignored { reason };
    (StatusCode::ACCEPTED, Json(answer)).into_response()
}
