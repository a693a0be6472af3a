//! `/runners`

use std::sync::Arc;

use api::{NewRunner, PageQuery, RunnerPatch, RunnerWithToken};
use axum::Json;
use axum::extract::{OriginalUri, State};
use axum::response::{IntoResponse, Response};
use engine::{Engine, World};
use http::StatusCode;
use http::header::LOCATION;
use model::RunnerId;
use serde::Deserialize;

use super::{page, view};
use crate::error::ApiError;
use crate::extract::{Json as JsonBody, Path, Query};

/// How many jobs at once somebody may believe a machine to bear.
const MOST_JOBS: u32 = 1000;
/// How many labels a runner may have.
const MOST_LABELS: usize = 50;

/// `/runners/{runner}`
#[derive(Debug, Deserialize)]
pub(crate) struct RunnerPath {
    runner: RunnerId,
}

/// `GET /runners`
pub(crate) async fn list(
    State(engine): State<Engine>,
    uri: OriginalUri,
    Query(query): Query<PageQuery>,
) -> Result<Response, ApiError> {
    let page = page::wanted(query.limit, query.cursor);
    let runners = engine.store().runners().await?;
    let found = page::cut(runners, &page, "n", |runner| runner.id.0)?;
    Ok(page::answer(&uri, found, view::runner))
}

/// `POST /runners`
pub(crate) async fn add(
    State(engine): State<Engine>,
    State(world): State<Arc<dyn World>>,
    JsonBody(new): JsonBody<NewRunner>,
) -> Result<Response, ApiError> {
    let new = store::NewRunner {
        host: new.host,
        labels: labels(new.labels)?,
        capacity: capacity(new.capacity.unwrap_or(1))?,
    };
    let (runner, token) = engine
        .store()
        .add_runner_with_token(&new, world.secret(), world.now())
        .await?;
    let runner = view::runner(runner);
    tracing::info!(runner = runner.id.0, host = runner.host, "runner added");
    let location = [(LOCATION, format!("/runners/{}", runner.id))];
    let made = RunnerWithToken {
        runner,
        token: Some(token.expose().to_owned()),
    };
    Ok((StatusCode::CREATED, location, Json(made)).into_response())
}

/// `PATCH /runners/{runner}`
pub(crate) async fn change(
    State(engine): State<Engine>,
    State(world): State<Arc<dyn World>>,
    Path(RunnerPath { runner }): Path<RunnerPath>,
    JsonBody(patch): JsonBody<RunnerPatch>,
) -> Result<Json<RunnerWithToken>, ApiError> {
    let rotate = patch.rotate_token;
    let patch = store::RunnerPatch {
        active: patch.active,
        labels: patch.labels.map(labels).transpose()?,
        capacity: patch.capacity.map(capacity).transpose()?,
    };
    let runner = engine.store().update_runner(runner, &patch).await?;
    tracing::info!(
        runner = runner.id.0,
        host = runner.host,
        active = runner.active,
        rotate,
        "runner changed"
    );
    let token = if rotate {
        let (store, secret) = (engine.store(), world.secret());
        let token = store.rotate_runner_token(runner.id, secret, world.now());
        Some(token.await?.expose().to_owned())
    } else {
        None
    };
    let runner = view::runner(runner);
    Ok(Json(RunnerWithToken { runner, token }))
}

/// `DELETE /runners/{runner}`
pub(crate) async fn remove(
    State(engine): State<Engine>,
    Path(RunnerPath { runner }): Path<RunnerPath>,
) -> Result<StatusCode, ApiError> {
    engine.store().remove_runner(runner).await?;
    tracing::info!(runner = runner.0, "runner removed");
    Ok(StatusCode::NO_CONTENT)
}

fn capacity(jobs: u32) -> Result<u32, ApiError> {
    if (1..=MOST_JOBS).contains(&jobs) {
        return Ok(jobs);
    }
    Err(ApiError::invalid(format!(
        "the field `capacity` is not valid: it must be a number from 1 to {MOST_JOBS}"
    )))
}

fn labels(mut labels: Vec<String>) -> Result<Vec<String>, ApiError> {
    let is_word = |label: &String| {
        (1..=64).contains(&label.len())
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'/'))
    };
    if labels.len() > MOST_LABELS || !labels.iter().all(is_word) {
        return Err(ApiError::invalid(format!(
            "the field `labels` is not valid: it must have at most {MOST_LABELS} words of 1 to 64 \
             letters, digits, `.`, `_`, `-` and `/`"
        )));
    }
    labels.sort();
    labels.dedup();
    Ok(labels)
}
