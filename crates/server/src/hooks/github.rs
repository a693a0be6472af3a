//! `POST /webhook`, `POST /hooks/github`: a delivery of GitHub becomes a stored pipeline.

use api::WebhookAnswer;
use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use engine::Engine;
use forge::Received;
use http::StatusCode;
use model::ForgeKind;

use crate::app::App;
use crate::error::ApiError;
use crate::extract::{BodyLimit, read_body};

/// Answers once the pipeline is on disk, and before anything else is done for it.
pub(crate) async fn receive(
    State(app): State<App>,
    request: Request,
) -> Result<Response, ApiError> {
    let forge = app.forge(ForgeKind::Github).ok_or_else(|| {
        ApiError::not_found("this server takes no webhooks of GitHub: set POPSICLE_WEBHOOK_SECRET")
    })?;
    let (parts, body) = request.into_parts();
    let body = read_body(
        &parts.headers,
        body,
        BodyLimit(app.settings.webhook_limit_bytes),
    )
    .await?;
    let received = forge.receive(&parts.headers, &body)?;
    act(&app.engine, received).await
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
