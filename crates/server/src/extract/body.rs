//! Reads a whole body into memory, no larger and no slower than it may be.

use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt;

use crate::error::ApiError;

/// How long a client may take to send a body. GitHub gives up after 10 seconds itself.
const SLOWEST: Duration = Duration::from_secs(60);

/// How many times the limit is read of a body that is over it, and forgotten.
const DISCARDED: usize = 4;

/// For how long at most.
const LINGER: Duration = Duration::from_secs(10);

/// How large a body may be, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BodyLimit(pub(crate) usize);

/// Reads a body to its end.
///
/// # Errors
/// 413 for one that is too large, after as much of the rest as a sender may need to see the answer; 408 for one that does not come;
/// 400 for one that breaks off.
pub(crate) async fn read_body(
    headers: &HeaderMap,
    body: Body,
    BodyLimit(limit): BodyLimit,
) -> Result<Bytes, ApiError> {
    let announced = headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    let mut body = body;
    if announced.is_some_and(|length| usize::try_from(length).is_ok_and(|length| length > limit)) {
        discard(&mut body, limit).await;
        return Err(ApiError::too_large(limit));
    }
    match tokio::time::timeout(SLOWEST, collect(&mut body, limit)).await {
        Ok(Ok(Some(bytes))) => Ok(bytes),
        Ok(Ok(None)) => {
            discard(&mut body, limit).await;
            Err(ApiError::too_large(limit))
        }
        Ok(Err(_)) => Err(ApiError::invalid("the body broke off before its end")),
        Err(_) => Err(ApiError::new(
            StatusCode::REQUEST_TIMEOUT,
            "timeout",
            format!("the body did not come within {} s", SLOWEST.as_secs()),
        )),
    }
}

/// The whole body; none where it is larger than `limit`.
async fn collect(body: &mut Body, limit: usize) -> Result<Option<Bytes>, axum::Error> {
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else {
            continue;
        };
        if bytes.len() + data.len() > limit {
            return Ok(None);
        }
        bytes.extend_from_slice(&data);
    }
    Ok(Some(bytes.freeze()))
}

/// Reads on for a while and forgets what it reads. A connection that is closed with bytes unread is
/// reset, and the reset can overtake the answer; who is still sending would never see it.
async fn discard(body: &mut Body, limit: usize) {
    let most = limit.saturating_mul(DISCARDED);
    let rest = async {
        let mut discarded = 0;
        while let Some(Ok(frame)) = body.frame().await {
            discarded += frame.data_ref().map_or(0, Bytes::len);
            if discarded > most {
                return;
            }
        }
    };
    // Whoever sends for longer than that has to do without the answer.
    let _ = tokio::time::timeout(LINGER, rest).await;
}
