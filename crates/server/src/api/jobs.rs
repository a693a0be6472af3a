//! Jobs: below `/pipelines/{pipeline}/jobs`, and as clients that follow one by its UUID see it.

use std::convert::Infallible;
use std::time::Duration;

use api::{AttemptQuery, Job, JobStreamEvent, JobStreamQuery, JobView, PageQuery};
use axum::Json;
use axum::extract::{OriginalUri, State};
use axum::response::Response;
use axum::response::sse::{Event, KeepAlive, Sse};
use engine::{Engine, LogFollow};
use futures_util::{Stream, StreamExt, stream};
use model::{JobId, JobUuid, PipelineId, Status};
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use super::text::TextPieces;
use super::{logs, page, view};
use crate::app::Followers;
use crate::error::ApiError;
use crate::extract::{Path, Query};

/// How often a silent stream says that it lives.
pub(crate) const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// `/pipelines/{pipeline}/jobs/{job}`
#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct JobPath {
    pub(crate) pipeline: PipelineId,
    pub(crate) job: JobId,
}

/// `/jobs/{job}`
#[derive(Debug, Deserialize)]
pub(crate) struct JobUuidPath {
    job: JobUuid,
}

/// `GET /pipelines/{pipeline}/jobs/{job}/steps`
pub(crate) async fn steps(
    State(engine): State<Engine>,
    Path(path): Path<JobPath>,
    uri: OriginalUri,
    Query(query): Query<AttemptQuery>,
) -> Result<Response, ApiError> {
    let job = of_pipeline(&engine, path).await?;
    let attempt = logs::attempt(&job, query.attempt)?;
    let page = page::wanted(query.limit, query.cursor);
    let steps = engine.store().steps(job.id, attempt).await?;
    let found = page::cut(steps, &page, "s", |step| i64::from(step.index))?;
    Ok(page::answer(&uri, found, view::step))
}

/// `GET /pipelines/{pipeline}/jobs/{job}/tests`
pub(crate) async fn tests(
    State(engine): State<Engine>,
    Path(path): Path<JobPath>,
    uri: OriginalUri,
    Query(query): Query<AttemptQuery>,
) -> Result<Response, ApiError> {
    let job = of_pipeline(&engine, path).await?;
    let attempt = logs::attempt(&job, query.attempt)?;
    let page = page::wanted(query.limit, query.cursor);
    let found = engine.store().test_results(job.id, attempt, &page).await?;
    Ok(page::answer(&uri, found, view::test_result))
}

/// `POST /pipelines/{pipeline}/jobs/{job}/approve`
pub(crate) async fn approve(
    State(engine): State<Engine>,
    Path(path): Path<JobPath>,
) -> Result<Json<Job>, ApiError> {
    let job = of_pipeline(&engine, path).await?;
    Ok(Json(view::job(engine.approve(job.id, None).await?)))
}

/// `POST /pipelines/{pipeline}/jobs/{job}/retry`
pub(crate) async fn retry(
    State(engine): State<Engine>,
    Path(path): Path<JobPath>,
) -> Result<Json<Job>, ApiError> {
    let job = of_pipeline(&engine, path).await?;
    Ok(Json(view::job(engine.retry(job.id, None).await?)))
}

/// `GET /jobs`
pub(crate) async fn list(
    State(engine): State<Engine>,
    uri: OriginalUri,
    Query(query): Query<PageQuery>,
) -> Result<Response, ApiError> {
    let page = page::wanted(query.limit, query.cursor);
    let found = engine.store().jobs(&page).await?;
    Ok(page::answer(&uri, found, view::job_view))
}

/// `GET /jobs/{job}`
pub(crate) async fn show(
    State(engine): State<Engine>,
    Path(JobUuidPath { job }): Path<JobUuidPath>,
) -> Result<Json<JobView>, ApiError> {
    Ok(Json(view::job_view(engine.store().job_by_uuid(job).await?)))
}

/// `DELETE /jobs/{job}`
pub(crate) async fn cancel(
    State(engine): State<Engine>,
    Path(JobUuidPath { job }): Path<JobUuidPath>,
) -> Result<Json<JobView>, ApiError> {
    let job = engine.store().job_by_uuid(job).await?;
    let trigger = engine.store().pipeline(job.pipeline).await?.trigger;
    let job = engine.cancel_job(job.id, None).await?;
    tracing::info!(
        pipeline = job.pipeline.0,
        repo = %trigger.repo,
        branch = trigger.git_ref.as_ref().map(model::GitRef::short),
        job = job.id.0,
        name = job.name,
        "job canceled on request"
    );
    Ok(Json(view::job_view(job)))
}

/// `GET /jobs/{job}/stream`
pub(crate) async fn stream(
    State(engine): State<Engine>,
    State(stop): State<CancellationToken>,
    State(followers): State<Followers>,
    Path(JobUuidPath { job }): Path<JobUuidPath>,
    Query(query): Query<JobStreamQuery>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, ApiError> {
    let job = engine.store().job_by_uuid(job).await?;
    let from = if query.from_beginning {
        0
    } else {
        logs::length(&engine, &job, job.state.attempt()).await?
    };
    let place = followers.place()?;
    let follow = engine.follow(job.id, from).await?;
    let messages = messages(engine, (job.pipeline, job.id), follow).map(move |message| {
        // For as long as there may be another.
        let _ = &place;
        Ok(data(&message))
    });
    let messages = messages.take_until(stop.cancelled_owned());
    Ok(Sse::new(messages).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

/// The job, if it is of that pipeline.
pub(crate) async fn of_pipeline(engine: &Engine, path: JobPath) -> Result<store::Job, ApiError> {
    let JobPath { pipeline, job: id } = path;
    let missing = || ApiError::not_found(format!("pipeline {pipeline} has no job {id}"));
    match engine.store().job(id).await {
        Ok(job) if job.pipeline == pipeline => Ok(job),
        Ok(_) => Err(missing()),
        Err(error) if error.is_not_found() => Err(missing()),
        Err(error) => Err(error.into()),
    }
}

/// What a job's follower is told: its log as it grows, then how it ended.
fn messages(
    engine: Engine,
    ids: (PipelineId, JobId),
    follow: LogFollow,
) -> impl Stream<Item = JobStreamEvent> + Send {
    enum Stage {
        Log(LogFollow, TextPieces),
        Rest(TextPieces),
        Over,
    }
    let begin = (Stage::Log(follow, TextPieces::default()), engine);
    stream::unfold(begin, move |(mut stage, engine)| async move {
        loop {
            match stage {
                Stage::Log(mut follow, mut pieces) => match follow.next().await {
                    Ok(Some(bytes)) => {
                        let data = pieces.next(&bytes);
                        stage = Stage::Log(follow, pieces);
                        if !data.is_empty() {
                            return Some((JobStreamEvent::Log { data }, (stage, engine)));
                        }
                    }
                    Ok(None) => stage = Stage::Rest(pieces),
                    // A stream that ends without its last message tells its reader to come again.
                    Err(error) => {
                        logs::broke_off(&engine, ids, &error).await;
                        return None;
                    }
                },
                Stage::Rest(pieces) => {
                    let data = pieces.rest();
                    if !data.is_empty() {
                        let stage = Stage::Rest(TextPieces::default());
                        return Some((JobStreamEvent::Log { data }, (stage, engine)));
                    }
                    let success = match engine.store().job(ids.1).await {
                        Ok(job) => job.state.status() == Status::Success,
                        Err(error) => {
                            logs::broke_off(&engine, ids, &error.into()).await;
                            return None;
                        }
                    };
                    let complete = JobStreamEvent::Complete { success };
                    return Some((complete, (Stage::Over, engine)));
                }
                Stage::Over => return None,
            }
        }
    })
}

fn data(message: &JobStreamEvent) -> Event {
    Event::default()
        .json_data(message)
        .expect("a message has only strings and booleans, which JSON can hold")
}
