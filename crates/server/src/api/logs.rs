//! `/pipelines/{pipeline}/jobs/{job}/log`: bytes from a file to a socket, never the whole in memory.

use std::ops::Range;
use std::sync::Arc;

use api::LogQuery;
use axum::BoxError;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use engine::{Engine, EngineError, LogFollow};
use futures_util::{Stream, stream};
use http::header::{ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode};
use model::{JobId, PipelineId};
use store::{Job, LogReader, StoreError};
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;

use super::jobs::{self, JobPath};
use super::range::{Wanted, wanted};
use crate::app::Followers;
use crate::error::ApiError;
use crate::extract::{Path, Query};

/// How much of a log is in memory at once, for each reader.
const CHUNK: usize = 64 << 10;

/// `GET /pipelines/{pipeline}/jobs/{job}/log`
pub(crate) async fn read(
    State(engine): State<Engine>,
    State(stop): State<CancellationToken>,
    State(followers): State<Followers>,
    Path(path): Path<JobPath>,
    Query(query): Query<LogQuery>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let job = jobs::of_pipeline(&engine, path).await?;
    if query.follow.unwrap_or_default() {
        follow(&engine, (stop, followers), &job, &query).await
    } else {
        part(&engine, &job, &query, &headers).await
    }
}

/// The attempt that somebody means: the last one unless they say.
///
/// # Errors
/// 404 for one that never was.
pub(crate) fn attempt(job: &Job, asked: Option<u32>) -> Result<u32, ApiError> {
    let last = job.state.attempt();
    match asked {
        None => Ok(last),
        Some(attempt) if (1..=last).contains(&attempt) => Ok(attempt),
        Some(attempt) => Err(ApiError::not_found(format!(
            "the job `{}` has no attempt {attempt}; it had {last}",
            job.name
        ))),
    }
}

/// How long the log of an attempt is by now, in bytes; 0 if there is none.
pub(crate) async fn length(engine: &Engine, job: &Job, attempt: u32) -> Result<u64, ApiError> {
    Ok(open(engine, job, attempt)
        .await?
        .map_or(0, |(_, length)| length))
}

/// What is there now: all, a step's part, the last lines, and of that the bytes that `Range` names.
async fn part(
    engine: &Engine,
    job: &Job,
    query: &LogQuery,
    headers: &HeaderMap,
) -> Result<Response, ApiError> {
    if query.from.is_some() {
        return Err(ApiError::invalid(
            "the query parameter `from` only goes with `follow=true`; the header `Range` asks for a \
             part of what there is",
        ));
    }
    let attempt = attempt(job, query.attempt)?;
    let (reader, mut chosen) = match query.step {
        Some(step) => of_step(engine, job, attempt, step).await?,
        None => match open(engine, job, attempt).await? {
            Some((reader, length)) => (Some(reader), 0..length),
            None => (None, 0..0),
        },
    };
    if let (Some(lines), Some(reader)) = (query.tail, &reader) {
        chosen.start = tail(reader, chosen.clone(), lines).await?;
    }
    let whole = chosen.end - chosen.start;
    let (status, chosen, content_range) = match wanted(headers, whole) {
        Wanted::Whole => (StatusCode::OK, chosen, None),
        Wanted::Part(part) => {
            let content_range = format!("bytes {}-{}/{whole}", part.start, part.end - 1);
            let chosen = chosen.start + part.start..chosen.start + part.end;
            (StatusCode::PARTIAL_CONTENT, chosen, Some(content_range))
        }
        Wanted::Nothing => return Ok(beyond(whole)),
    };
    let mut answer = text(match reader {
        Some(reader) => Body::from_stream(chunks(engine.clone(), job, reader, chosen.clone())),
        None => Body::empty(),
    });
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(chosen.end - chosen.start));
    if let Some(value) = content_range.and_then(|value| HeaderValue::try_from(value).ok()) {
        headers.insert(CONTENT_RANGE, value);
    }
    Ok(answer)
}

/// What is there, and what comes, until the job has ended.
async fn follow(
    engine: &Engine,
    (stop, followers): (CancellationToken, Followers),
    job: &Job,
    query: &LogQuery,
) -> Result<Response, ApiError> {
    if query.step.is_some() {
        return Err(ApiError::invalid(
            "the query parameters `follow` and `step` can't be together: a follower reads the log \
             to its end",
        ));
    }
    let last = job.state.attempt();
    if attempt(job, query.attempt)? != last {
        return Err(ApiError::invalid(format!(
            "the query parameter `follow` only goes with the last attempt, which is {last}"
        )));
    }
    let from = match (query.from, query.tail) {
        (Some(_), Some(_)) => {
            return Err(ApiError::invalid(
                "the query parameters `from` and `tail` can't be together: both say where to begin",
            ));
        }
        (Some(from), None) => from,
        (None, None) => 0,
        (None, Some(lines)) => match open(engine, job, last).await? {
            Some((reader, length)) => tail(&reader, 0..length, lines).await?,
            None => 0,
        },
    };
    let place = followers.place()?;
    let follow = engine.follow(job.id, from).await?;
    let pieces = pieces(engine.clone(), job, follow, place, stop);
    let mut answer = text(Body::from_stream(pieces));
    let headers = answer.headers_mut();
    headers.insert(api::LOG_ATTEMPT, HeaderValue::from(last.max(1)));
    headers.insert(api::LOG_START, HeaderValue::from(from));
    Ok(answer)
}

/// The last lines of an attempt's log, and of those no more than is read at once.
pub(crate) async fn last_lines(
    engine: &Engine,
    job: &Job,
    attempt: u32,
    lines: u64,
) -> Result<Vec<u8>, ApiError> {
    let Some((reader, length)) = open(engine, job, attempt).await? else {
        return Ok(Vec::new());
    };
    let range = length.saturating_sub(CHUNK as u64)..length;
    let start = tail(&reader, range, lines).await?;
    Ok(blocking(move || reader.read_at(start, CHUNK)).await?)
}

/// What a step wrote: its part of the attempt's log, or all of its own if it runs in the background.
async fn of_step(
    engine: &Engine,
    job: &Job,
    attempt: u32,
    step: u32,
) -> Result<(Option<Arc<LogReader>>, Range<u64>), ApiError> {
    let steps = engine.store().steps(job.id, attempt).await?;
    let step = steps
        .into_iter()
        .find(|found| found.index == step)
        .ok_or_else(|| {
            ApiError::not_found(format!(
                "attempt {attempt} of the job `{}` has not come to a step {step}",
                job.name
            ))
        })?;
    let (logs, pipeline, id) = (engine.logs().clone(), job.pipeline, job.id);
    let own = blocking(move || {
        let reader = logs.step_reader(pipeline, id, attempt, step.index)?;
        let with_length = |reader: LogReader| Ok((reader.len()?, Arc::new(reader)));
        reader.map(with_length).transpose()
    });
    if let Some((length, reader)) = own.await? {
        return Ok((Some(reader), 0..length));
    }
    let (reader, length) = match open(engine, job, attempt).await? {
        Some((reader, length)) => (Some(reader), length),
        None => (None, 0),
    };
    let end = step.log_end.unwrap_or(length).min(length);
    Ok((reader, step.log_start.min(end)..end))
}

/// Where the last lines of a range begin, counted from its end, so that it costs no more than they
/// are long. A last line without a line end counts.
async fn tail(reader: &Arc<LogReader>, range: Range<u64>, lines: u64) -> Result<u64, EngineError> {
    if lines == 0 {
        return Ok(range.end);
    }
    let reader = Arc::clone(reader);
    blocking(move || {
        let mut missing = lines;
        // The end of the last line ends no line before it.
        let mut end = range.end.saturating_sub(1).max(range.start);
        while end > range.start {
            let start = end.saturating_sub(CHUNK as u64).max(range.start);
            let block = reader.read_at(start, usize::try_from(end - start).unwrap_or(CHUNK))?;
            for (place, byte) in block.iter().enumerate().rev() {
                if *byte == b'\n' {
                    missing -= 1;
                    if missing == 0 {
                        return Ok(start + place as u64 + 1);
                    }
                }
            }
            end = start;
        }
        Ok(range.start)
    })
    .await
}

/// The log of an attempt and its length by now; none if nothing was written.
pub(crate) async fn open(
    engine: &Engine,
    job: &Job,
    attempt: u32,
) -> Result<Option<(Arc<LogReader>, u64)>, EngineError> {
    if attempt == 0 {
        return Ok(None);
    }
    let (logs, pipeline, id) = (engine.logs().clone(), job.pipeline, job.id);
    let opened = blocking(move || {
        let reader = logs.reader(pipeline, id, attempt)?;
        let length = reader.len()?;
        Ok((Arc::new(reader), length))
    });
    match opened.await {
        Ok(opened) => Ok(Some(opened)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

/// The bytes of a range, read as the client takes them.
fn chunks(
    engine: Engine,
    job: &Job,
    reader: Arc<LogReader>,
    range: Range<u64>,
) -> impl Stream<Item = Result<Bytes, EngineError>> + Send + use<> {
    let ids = (job.pipeline, job.id);
    let begin = (engine, reader, range);
    stream::try_unfold(begin, move |(engine, reader, mut range)| async move {
        if range.is_empty() {
            return Ok(None);
        }
        let left = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
        let from = range.start;
        let file = Arc::clone(&reader);
        let bytes = match blocking(move || file.read_at(from, left.min(CHUNK))).await {
            Ok(bytes) => bytes,
            Err(error) => {
                broke_off(&engine, ids, &error).await;
                return Err(error);
            }
        };
        if bytes.is_empty() {
            return Ok(None);
        }
        range.start += bytes.len() as u64;
        Ok(Some((Bytes::from(bytes), (engine, reader, range))))
    })
}

/// The bytes of a log as it grows. A stop is an error, so that what is cut off does not look whole.
fn pieces(
    engine: Engine,
    job: &Job,
    follow: LogFollow,
    place: OwnedSemaphorePermit,
    stop: CancellationToken,
) -> impl Stream<Item = Result<Bytes, BoxError>> + Send + use<> {
    let ids = (job.pipeline, job.id);
    let begin = (engine, follow, place, stop);
    stream::try_unfold(begin, move |(engine, mut follow, place, stop)| async move {
        let next = tokio::select! {
            biased;
            () = stop.cancelled() => return Err("the server stops".into()),
            next = follow.next() => next,
        };
        match next {
            Ok(bytes) => Ok(bytes.map(|bytes| (bytes, (engine, follow, place, stop)))),
            Err(error) => {
                broke_off(&engine, ids, &error).await;
                Err(error.into())
            }
        }
    })
}

/// Tells the log that a reader did not get all. What the reader got breaks off too.
pub(crate) async fn broke_off(
    engine: &Engine,
    (pipeline, job): (PipelineId, JobId),
    error: &EngineError,
) {
    let trigger = engine.store().pipeline(pipeline).await.ok();
    let trigger = trigger.map(|pipeline| pipeline.trigger);
    tracing::error!(
        pipeline = pipeline.0,
        repo = trigger.as_ref().map(|trigger| trigger.repo.as_str()),
        branch = trigger
            .as_ref()
            .and_then(|trigger| Some(trigger.git_ref.as_ref()?.short())),
        job = job.0,
        %error,
        "a log could not be read to its end"
    );
}

fn text(body: Body) -> Response {
    let headers = [
        (CONTENT_TYPE, "text/plain; charset=utf-8"),
        // A log grows.
        (CACHE_CONTROL, "no-cache"),
    ];
    (headers, body).into_response()
}

/// 416: it ends before the first byte that was asked for.
pub(super) fn beyond(length: u64) -> Response {
    let error = ApiError::new(
        StatusCode::RANGE_NOT_SATISFIABLE,
        "range_not_satisfiable",
        format!("there are only {length} bytes"),
    );
    ([(CONTENT_RANGE, format!("bytes */{length}"))], error).into_response()
}

/// Reading files blocks, so it has its own threads.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, EngineError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(EngineError::from),
        // The task is never aborted, so it was the runtime, which is ending.
        Err(_) => Err(EngineError::Busy),
    }
}
