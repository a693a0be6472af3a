//! Reads a whole body into memory, no larger and no slower than it may be.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::ApiError;

/// How long a client may take to send a body. GitHub gives up after 10 seconds itself.
const SLOWEST: Duration = Duration::from_secs(60);

/// How many times the limit is read of a body that is over it, and forgotten.
const DISCARDED: usize = 4;

/// For how long at most.
const LINGER: Duration = Duration::from_secs(10);

/// How much memory bodies may take.
#[derive(Clone, Debug)]
pub(crate) struct BodyLimits {
    /// One of them, in bytes.
    pub(crate) one: usize,
    /// All that are read at the same time; a permit a byte.
    pub(crate) all: Arc<Semaphore>,
}

/// A whole body, and its share of what all may take.
#[derive(Debug)]
pub(crate) struct WholeBody {
    bytes: Bytes,
    _share: Option<OwnedSemaphorePermit>,
}

impl Deref for WholeBody {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Why a body was not read to its end.
enum Stopped {
    TooLarge,
    NoRoom,
    BrokeOff,
}

/// Reads a body to its end.
///
/// # Errors
/// 413 for one that is too large, after as much of the rest as a sender may need to see the answer; 503
/// where too many others are being read; 408 for one that does not come; 400 for one that breaks off.
pub(crate) async fn read_body(
    headers: &HeaderMap,
    body: Body,
    limits: &BodyLimits,
) -> Result<WholeBody, ApiError> {
    let limit = limits.one;
    let announced = headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    let mut body = body;
    if announced.is_some_and(|length| usize::try_from(length).is_ok_and(|length| length > limit)) {
        discard(&mut body, limit).await;
        return Err(ApiError::too_large(limit));
    }
    match tokio::time::timeout(SLOWEST, collect(&mut body, limits)).await {
        Ok(Ok(whole)) => Ok(whole),
        Ok(Err(Stopped::TooLarge)) => {
            discard(&mut body, limit).await;
            Err(ApiError::too_large(limit))
        }
        Ok(Err(Stopped::NoRoom)) => {
            discard(&mut body, limit).await;
            Err(ApiError::busy(
                "the server is reading too many requests at once; try again in a moment",
            ))
        }
        Ok(Err(Stopped::BrokeOff)) => Err(ApiError::invalid("the body broke off before its end")),
        Err(_) => Err(ApiError::new(
            StatusCode::REQUEST_TIMEOUT,
            "timeout",
            format!("the body did not come within {} s", SLOWEST.as_secs()),
        )),
    }
}

/// The whole body. Its share grows with what has come, so that who only announces much takes nothing.
async fn collect(body: &mut Body, limits: &BodyLimits) -> Result<WholeBody, Stopped> {
    let mut bytes = BytesMut::new();
    let mut share: Option<OwnedSemaphorePermit> = None;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Stopped::BrokeOff)?.into_data() else {
            continue;
        };
        if bytes.len() + data.len() > limits.one {
            return Err(Stopped::TooLarge);
        }
        let more = u32::try_from(data.len())
            .ok()
            .and_then(|count| Arc::clone(&limits.all).try_acquire_many_owned(count).ok())
            .ok_or(Stopped::NoRoom)?;
        match &mut share {
            Some(share) => share.merge(more),
            None => share = Some(more),
        }
        bytes.extend_from_slice(&data);
    }
    Ok(WholeBody {
        bytes: bytes.freeze(),
        _share: share,
    })
}

/// Reads on for a while and forgets what it reads. A connection that is closed with bytes unread is
/// reset, and the reset can overtake the answer; who is still sending would never see it.
pub(crate) async fn discard(body: &mut Body, limit: usize) {
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
