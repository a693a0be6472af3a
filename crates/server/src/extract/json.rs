//! JSON bodies.

use axum::extract::{FromRef, FromRequest, Request};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use super::{BodyLimits, WholeBody, read_body};
use crate::error::ApiError;

/// A body that must be JSON.
#[derive(Debug)]
pub(crate) struct Json<T>(pub(crate) T);

/// A body that must be JSON or empty; the default of `T` if it is empty.
#[derive(Debug)]
pub(crate) struct JsonOrNothing<T>(pub(crate) T);

impl<S, T> FromRequest<S> for Json<T>
where
    BodyLimits: FromRef<S>,
    S: Send + Sync,
    T: DeserializeOwned,
{
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let (headers, body) = body_of(request, state).await?;
        read(&headers, &body).map(Self)
    }
}

impl<S, T> FromRequest<S> for JsonOrNothing<T>
where
    BodyLimits: FromRef<S>,
    S: Send + Sync,
    T: DeserializeOwned + Default,
{
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let (headers, body) = body_of(request, state).await?;
        if body.is_empty() {
            return Ok(Self(T::default()));
        }
        read(&headers, &body).map(Self)
    }
}

async fn body_of<S>(request: Request, state: &S) -> Result<(HeaderMap, WholeBody), ApiError>
where
    BodyLimits: FromRef<S>,
{
    let (parts, body) = request.into_parts();
    let body = read_body(&parts.headers, body, &BodyLimits::from_ref(state)).await?;
    Ok((parts.headers, body))
}

fn read<T: DeserializeOwned>(headers: &HeaderMap, body: &[u8]) -> Result<T, ApiError> {
    if !is_json(headers) {
        return Err(ApiError::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            "the body must be JSON: send it with the header `Content-Type: application/json`",
        ));
    }
    let mut json = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut json)
        .map_err(|error| explain(&error.path().to_string(), error.inner()))?;
    json.end().map_err(|error| explain(".", &error))?;
    Ok(value)
}

fn is_json(headers: &HeaderMap) -> bool {
    let media_type = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .unwrap_or_default()
        .trim();
    media_type.eq_ignore_ascii_case("application/json")
        || media_type.to_ascii_lowercase().ends_with("+json")
}

/// `path` is where the reader was, `.` for the body itself.
fn explain(path: &str, error: &serde_json::Error) -> ApiError {
    match error.classify() {
        Category::Syntax | Category::Eof | Category::Io => ApiError::new(
            StatusCode::BAD_REQUEST,
            "malformed_json",
            format!("the body is not valid JSON: {error}"),
        ),
        Category::Data if path == "." => {
            ApiError::invalid(format!("the body is not as expected: {error}"))
        }
        Category::Data => ApiError::invalid(format!("the field `{path}` is not valid: {error}")),
    }
}
