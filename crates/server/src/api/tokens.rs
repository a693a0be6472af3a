//! `/tokens`

use std::sync::Arc;

use api::{CreatedToken, NewToken, PageQuery, Token};
use axum::Json;
use axum::extract::{OriginalUri, State};
use axum::response::{IntoResponse, Response};
use engine::{Engine, World};
use http::StatusCode;
use model::TokenId;
use serde::Deserialize;

use super::{page, view};
use crate::error::ApiError;
use crate::extract::{Json as JsonBody, Path, Query};

/// `/tokens/{token}`
#[derive(Debug, Deserialize)]
pub(crate) struct TokenPath {
    token: TokenId,
}

/// `GET /tokens`
pub(crate) async fn list(
    State(engine): State<Engine>,
    uri: OriginalUri,
    Query(query): Query<PageQuery>,
) -> Result<Response, ApiError> {
    let page = page::wanted(query.limit, query.cursor);
    let found = engine.store().tokens(&page).await?;
    Ok(page::answer(&uri, found, view::token))
}

/// `POST /tokens`
pub(crate) async fn create(
    State(engine): State<Engine>,
    State(world): State<Arc<dyn World>>,
    JsonBody(new): JsonBody<NewToken>,
) -> Result<Response, ApiError> {
    let new = store::NewToken {
        name: new.name,
        scope: new.scope,
        expires: new.expires_at,
    };
    let (token, text) = engine
        .store()
        .create_token(&new, world.secret(), world.now())
        .await?;
    tracing::info!(token = token.id.0, scope = %token.scope, "token made");
    let created = CreatedToken {
        about: view::token(token),
        token: text.expose().to_owned(),
    };
    Ok((StatusCode::CREATED, Json(created)).into_response())
}

/// `DELETE /tokens/{token}`: it stays in the list, and opens nothing any more.
pub(crate) async fn revoke(
    State(engine): State<Engine>,
    State(world): State<Arc<dyn World>>,
    Path(TokenPath { token }): Path<TokenPath>,
) -> Result<Json<Token>, ApiError> {
    let token = engine.store().revoke_token(token, world.now()).await?;
    tracing::info!(token = token.id.0, "token revoked");
    Ok(Json(view::token(token)))
}
