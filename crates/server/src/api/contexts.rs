//! `/contexts`: named sets of variables.

use std::sync::Arc;

use api::{Context, ContextPatch, NewContext, PageQuery, SetSecret};
use axum::Json;
use axum::extract::{OriginalUri, State};
use axum::response::{IntoResponse, Response};
use engine::{Engine, World};
use http::StatusCode;
use model::{ContextName, RepoName, SecretOwner, VariableName};
use serde::Deserialize;

use super::{page, secrets, view};
use crate::error::ApiError;
use crate::extract::{Json as JsonBody, Path, Query};

/// How many projects a context may be kept to.
const MOST_PROJECTS: usize = 200;

/// `/contexts/{context}`
#[derive(Debug, Deserialize)]
pub(crate) struct ContextPath {
    context: ContextName,
}

/// `/contexts/{context}/variables/{variable}`
#[derive(Debug, Deserialize)]
pub(crate) struct VariablePath {
    context: ContextName,
    variable: VariableName,
}

/// `GET /contexts`
pub(crate) async fn list(
    State(engine): State<Engine>,
    uri: OriginalUri,
    Query(query): Query<PageQuery>,
) -> Result<Response, ApiError> {
    let page = page::wanted(query.limit, query.cursor);
    let contexts = engine.store().contexts().await?;
    let found = page::cut(contexts, &page, "c", |context| context.id)?;
    Ok(page::answer(&uri, found, view::context))
}

/// `POST /contexts`
pub(crate) async fn create(
    State(engine): State<Engine>,
    State(world): State<Arc<dyn World>>,
    JsonBody(new): JsonBody<NewContext>,
) -> Result<Response, ApiError> {
    let projects = new.projects.map(projects).transpose()?;
    let made = engine
        .store()
        .create_context(&new.name, projects.as_deref(), world.now())
        .await?;
    tracing::info!(context = %made.name, "context made");
    Ok((StatusCode::CREATED, Json(view::context(made))).into_response())
}

/// `GET /contexts/{context}`
pub(crate) async fn show(
    State(engine): State<Engine>,
    Path(ContextPath { context }): Path<ContextPath>,
) -> Result<Json<Context>, ApiError> {
    let context = engine.store().context(&context).await?;
    Ok(Json(view::context(context)))
}

/// `PATCH /contexts/{context}`
pub(crate) async fn restrict(
    State(engine): State<Engine>,
    Path(ContextPath { context }): Path<ContextPath>,
    JsonBody(patch): JsonBody<ContextPatch>,
) -> Result<Json<Context>, ApiError> {
    let projects = patch.projects.map(projects).transpose()?;
    let changed = engine
        .store()
        .restrict_context(&context, projects.as_deref())
        .await?;
    tracing::info!(%context, for_all = changed.projects.is_none(), "context changed");
    Ok(Json(view::context(changed)))
}

/// `DELETE /contexts/{context}`
pub(crate) async fn delete(
    State(engine): State<Engine>,
    Path(ContextPath { context }): Path<ContextPath>,
) -> Result<StatusCode, ApiError> {
    engine.store().delete_context(&context).await?;
    tracing::info!(%context, "context deleted");
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /contexts/{context}/variables`
pub(crate) async fn variables(
    State(engine): State<Engine>,
    uri: OriginalUri,
    Path(ContextPath { context }): Path<ContextPath>,
    Query(query): Query<PageQuery>,
) -> Result<Response, ApiError> {
    let page = page::wanted(query.limit, query.cursor);
    let secrets = engine
        .secrets()
        .list(&SecretOwner::Context(context))
        .await?;
    let found = page::cut(secrets, &page, "s", |secret| secret.id)?;
    Ok(page::answer(&uri, found, view::secret))
}

/// `PUT /contexts/{context}/variables/{variable}`
pub(crate) async fn set(
    State(engine): State<Engine>,
    Path(VariablePath { context, variable }): Path<VariablePath>,
    JsonBody(SetSecret { value }): JsonBody<SetSecret>,
) -> Result<Response, ApiError> {
    secrets::put(&engine, SecretOwner::Context(context), variable, value).await
}

/// `DELETE /contexts/{context}/variables/{variable}`
pub(crate) async fn unset(
    State(engine): State<Engine>,
    Path(VariablePath { context, variable }): Path<VariablePath>,
) -> Result<StatusCode, ApiError> {
    secrets::take(&engine, SecretOwner::Context(context), variable).await
}

fn projects(mut projects: Vec<RepoName>) -> Result<Vec<RepoName>, ApiError> {
    projects.sort();
    projects.dedup();
    if projects.len() > MOST_PROJECTS {
        return Err(ApiError::invalid(format!(
            "the field `projects` is not valid: it must have at most {MOST_PROJECTS} names"
        )));
    }
    Ok(projects)
}
