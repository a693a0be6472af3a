//! `/secrets`: the variables of projects.

use api::{Secret, SecretOf, SecretQuery, SetSecret};
use axum::Json;
use axum::extract::{OriginalUri, State};
use axum::response::{IntoResponse, Response};
use engine::Engine;
use http::StatusCode;
use model::{SecretOwner, SecretValue, VariableName};
use serde::Deserialize;

use super::{page, view};
use crate::error::ApiError;
use crate::extract::{Json as JsonBody, Path, Query};

/// `/secrets/{variable}`
#[derive(Debug, Deserialize)]
pub(crate) struct SecretPath {
    variable: VariableName,
}

/// `GET /secrets`
pub(crate) async fn list(
    State(engine): State<Engine>,
    uri: OriginalUri,
    Query(query): Query<SecretQuery>,
) -> Result<Response, ApiError> {
    let page = page::wanted(query.limit, query.cursor);
    let owner = SecretOwner::Project(query.repo);
    let secrets = engine.secrets().list(&owner).await?;
    let found = page::cut(secrets, &page, "s", |secret| secret.id)?;
    Ok(page::answer(&uri, found, view::secret))
}

/// `PUT /secrets/{variable}`
pub(crate) async fn set(
    State(engine): State<Engine>,
    Path(SecretPath { variable }): Path<SecretPath>,
    Query(SecretOf { repo }): Query<SecretOf>,
    JsonBody(SetSecret { value }): JsonBody<SetSecret>,
) -> Result<Response, ApiError> {
    put(&engine, SecretOwner::Project(repo), variable, value).await
}

/// `DELETE /secrets/{variable}`
pub(crate) async fn delete(
    State(engine): State<Engine>,
    Path(SecretPath { variable }): Path<SecretPath>,
    Query(SecretOf { repo }): Query<SecretOf>,
) -> Result<StatusCode, ApiError> {
    take(&engine, SecretOwner::Project(repo), variable).await
}

/// Sets a variable, and answers with it: 201 if it is new.
pub(super) async fn put(
    engine: &Engine,
    owner: SecretOwner,
    variable: VariableName,
    value: SecretValue,
) -> Result<Response, ApiError> {
    let secrets = engine.secrets();
    let is_new = secrets.set(&owner, &variable, &value).await?;
    tracing::info!(%owner, %variable, is_new, "secret set");
    let mut all = secrets.list(&owner).await?.into_iter();
    let secret: Secret = all
        .find(|secret| secret.name == variable)
        .map(view::secret)
        // Somebody deleted it in this very moment.
        .ok_or_else(|| {
            ApiError::not_found(format!("there is no variable `{variable}` any more"))
        })?;
    let status = if is_new {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    Ok((status, Json(secret)).into_response())
}

/// Deletes a variable.
pub(super) async fn take(
    engine: &Engine,
    owner: SecretOwner,
    variable: VariableName,
) -> Result<StatusCode, ApiError> {
    engine.store().delete_secret(&owner, &variable).await?;
    tracing::info!(%owner, %variable, "secret deleted");
    Ok(StatusCode::NO_CONTENT)
}
