//! Parts of the address that name a thing.

use axum::extract::FromRequestParts;
use axum::extract::path::ErrorKind;
use axum::extract::rejection::PathRejection;
use http::request::Parts;
use serde::de::DeserializeOwned;

use crate::error::ApiError;

/// The named parts of an address. A text that can't be the name of anything is answered with 404,
/// as a name that nothing has.
#[derive(Debug)]
pub(crate) struct Path<T>(pub(crate) T);

impl<S, T> FromRequestParts<S> for Path<T>
where
    S: Send + Sync,
    T: DeserializeOwned + Send,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match axum::extract::Path::<T>::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(path)) => Ok(Self(path)),
            Err(PathRejection::FailedToDeserializePathParams(error)) => {
                Err(ApiError::not_found(explain(error.kind())))
            }
            Err(error) => Err(ApiError::internal(error)),
        }
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the enum says that it will grow"
)]
fn explain(kind: &ErrorKind) -> String {
    match kind {
        ErrorKind::ParseErrorAtKey { key, value, .. } => {
            format!("there is no {key} `{value}`: it must be a number")
        }
        ErrorKind::ParseError { value, .. } | ErrorKind::ParseErrorAtIndex { value, .. } => {
            format!("there is no `{value}`: it must be a number")
        }
        ErrorKind::DeserializeError {
            key,
            value,
            message,
        } => format!("there is no {key} `{value}`: {message}"),
        other => other.to_string(),
    }
}
