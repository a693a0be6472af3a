//! `/repos`

use api::{NewRepo, PageQuery, Repo};
use axum::Json;
use axum::extract::{OriginalUri, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::LOCATION;
use model::HostedName;
use serde::Deserialize;

use super::page;
use crate::app::App;
use crate::error::ApiError;
use crate::extract::{Json as JsonBody, Path, Query};

/// How long a description may be, in characters.
const LONGEST: usize = 500;

/// `/repos/{repo}`
#[derive(Debug, Deserialize)]
pub(crate) struct RepoPath {
    repo: HostedName,
}

/// `GET /repos`
pub(crate) async fn list(
    State(app): State<App>,
    uri: OriginalUri,
    Query(query): Query<PageQuery>,
) -> Result<Response, ApiError> {
    let page = page::wanted(query.limit, query.cursor);
    let found = app.engine.store().repos(&page).await?;
    let repos: Result<Vec<Repo>, ApiError> = found
        .items
        .into_iter()
        .map(|repo| view(&app, repo))
        .collect();
    let found = store::Paged {
        items: repos?,
        next: found.next,
    };
    Ok(page::answer(&uri, found, |repo| repo))
}

/// `POST /repos`
pub(crate) async fn create(
    State(app): State<App>,
    JsonBody(new): JsonBody<NewRepo>,
) -> Result<Response, ApiError> {
    let description = new.description.unwrap_or_default();
    if description.chars().count() > LONGEST || description.contains(char::is_control) {
        return Err(ApiError::invalid(format!(
            "the field `description` is not valid: it must be one line of at most {LONGEST} characters"
        )));
    }
    let repo = app
        .engine
        .create_repo(&new.name, description.trim())
        .await?;
    tracing::info!(repo = %repo.name, "repository created");
    let location = [(LOCATION, format!("/repos/{}", repo.name))];
    Ok((StatusCode::CREATED, location, Json(view(&app, repo)?)).into_response())
}

/// `GET /repos/{repo}`
pub(crate) async fn show(
    State(app): State<App>,
    Path(RepoPath { repo }): Path<RepoPath>,
) -> Result<Json<Repo>, ApiError> {
    let repo = app.engine.store().repo(&repo).await?;
    view(&app, repo).map(Json)
}

/// `DELETE /repos/{repo}`
pub(crate) async fn delete(
    State(app): State<App>,
    Path(RepoPath { repo }): Path<RepoPath>,
) -> Result<StatusCode, ApiError> {
    let repo = app.engine.delete_repo(&repo).await?;
    tracing::info!(repo = %repo.name, "repository deleted");
    Ok(StatusCode::NO_CONTENT)
}

fn view(app: &App, repo: store::Repo) -> Result<Repo, ApiError> {
    let path = app.engine.path_of(&repo)?;
    Ok(Repo {
        id: repo.id,
        path: path.display().to_string(),
        clone_url: app.settings.link(&["git", &repo.folder]),
        name: repo.name,
        description: repo.description,
        created_at: repo.created,
    })
}
