//! `/projects`

use std::sync::Arc;

use api::{PageQuery, Project};
use axum::Json;
use axum::extract::{OriginalUri, State};
use axum::response::Response;
use engine::{Engine, World};
use model::RepoName;
use serde::Deserialize;

use super::{page, view};
use crate::error::ApiError;
use crate::extract::{Path, Query};

/// `/projects/{repo}`
#[derive(Debug, Deserialize)]
pub(crate) struct ProjectPath {
    repo: RepoName,
}

/// `GET /projects`
pub(crate) async fn list(
    State(engine): State<Engine>,
    State(world): State<Arc<dyn World>>,
    uri: OriginalUri,
    Query(query): Query<PageQuery>,
) -> Result<Response, ApiError> {
    let page = page::wanted(query.limit, query.cursor);
    let found = engine.store().projects(&page, world.now()).await?;
    Ok(page::answer(&uri, found, view::project))
}

/// `GET /projects/{repo}`
pub(crate) async fn show(
    State(engine): State<Engine>,
    State(world): State<Arc<dyn World>>,
    Path(ProjectPath { repo }): Path<ProjectPath>,
) -> Result<Json<Project>, ApiError> {
    let project = engine.store().project(&repo, world.now()).await?;
    Ok(Json(view::project(project)))
}
