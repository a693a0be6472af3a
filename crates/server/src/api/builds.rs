//! `/builds`: pipelines as Procurator's clients know them.

use api::{Build, BuildLogsQuery, BuildQuery, BuildStatus, NewBuild, WebhookAnswer};
use axum::body::Body;
use axum::extract::{OriginalUri, State};
use axum::response::{IntoResponse, Response};
use axum::{BoxError, Json};
use bytes::Bytes;
use engine::{Built, Engine, EngineError, LogFollow};
use futures_util::{Stream, stream};
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION};
use model::{EventBody, JobId, PipelineId, Status};
use serde::Deserialize;
use store::{Job, Pipeline, PipelineFilter};
use tokio::sync::{OwnedSemaphorePermit, broadcast};
use tokio_util::sync::CancellationToken;

use super::{logs, page, pipelines};
use crate::app::App;
use crate::error::ApiError;
use crate::extract::{Json as JsonBody, Path, Query};

/// How long a delivery's name may be: a push's id and the longest ref.
const LONGEST_DELIVERY: usize = 1200;

/// `/builds/{build}`
#[derive(Debug, Deserialize)]
pub(crate) struct BuildPath {
    build: PipelineId,
}

/// `GET /builds`
pub(crate) async fn list(
    State(app): State<App>,
    uri: OriginalUri,
    Query(query): Query<BuildQuery>,
) -> Result<Response, ApiError> {
    let page = page::wanted(query.limit, query.cursor);
    let filter = PipelineFilter {
        repo: query.repo,
        branch: query.branch,
        ..PipelineFilter::default()
    };
    let store = app.engine.store();
    let found = store.pipelines(&filter, &page).await?;
    let ids: Vec<PipelineId> = found.items.iter().map(|pipeline| pipeline.id).collect();
    let retries = store.retries_of(&ids).await?;
    Ok(page::answer(&uri, found, |pipeline| {
        let retried = retries.get(&pipeline.id).copied().unwrap_or_default();
        view(&app, pipeline, retried)
    }))
}

/// `POST /builds`
pub(crate) async fn create(
    State(app): State<App>,
    JsonBody(new): JsonBody<NewBuild>,
) -> Result<Response, ApiError> {
    let git_ref = pipelines::git_ref("branch", &new.branch)?;
    let delivery = new.delivery;
    if delivery
        .as_ref()
        .is_some_and(|id| id.is_empty() || id.len() > LONGEST_DELIVERY)
    {
        return Err(ApiError::invalid(format!(
            "the field `delivery` is not valid: it must have 1 to {LONGEST_DELIVERY} bytes"
        )));
    }
    let built = app
        .engine
        .build(engine::NewBuild {
            repo: new.repo,
            git_ref,
            commit: new.commit,
            base: new.before.filter(|before| !before.is_null()),
            author: new.author,
            delivery,
        })
        .await?;
    let created = match built {
        Built::Queued(created) => created,
        Built::Ignored(reason) => {
            let answer = WebhookAnswer::Ignored { reason };
            return Ok((StatusCode::ACCEPTED, Json(answer)).into_response());
        }
    };
    let build = find(&app, created.id).await?;
    if created.repeated {
        return Ok(Json(build).into_response());
    }
    let location = [(LOCATION, format!("/builds/{}", build.id))];
    Ok((StatusCode::CREATED, location, Json(build)).into_response())
}

/// `GET /builds/{build}`
pub(crate) async fn show(
    State(app): State<App>,
    Path(BuildPath { build }): Path<BuildPath>,
) -> Result<Json<Build>, ApiError> {
    find(&app, build).await.map(Json)
}

/// `GET /builds/{build}/logs`: those of all its jobs, one after the other.
pub(crate) async fn logs(
    State(app): State<App>,
    Path(BuildPath { build }): Path<BuildPath>,
    Query(query): Query<BuildLogsQuery>,
) -> Result<Response, ApiError> {
    app.engine.store().pipeline(build).await?;
    let place = query.follow.then(|| app.followers.place()).transpose()?;
    let logs = BuildLogs {
        // Listen before looking, so that nothing falls between.
        events: app.engine.feed().events(),
        engine: app.engine,
        build,
        follow: query.follow,
        told: None,
        log: None,
        left: u64::MAX,
        stop: app.stop,
        _place: place,
    };
    let headers = [
        (CONTENT_TYPE, "text/plain; charset=utf-8"),
        // It grows.
        (CACHE_CONTROL, "no-cache"),
    ];
    Ok((headers, Body::from_stream(logs.pieces())).into_response())
}

async fn find(app: &App, id: PipelineId) -> Result<Build, ApiError> {
    let store = app.engine.store();
    let pipeline = store.pipeline(id).await?;
    let retries = store.retries_of(&[id]).await?;
    let retried = retries.get(&id).copied().unwrap_or_default();
    Ok(view(app, pipeline, retried))
}

fn view(app: &App, pipeline: Pipeline, retry_count: u32) -> Build {
    let max_retries = app.engine.max_retries();
    let url = app
        .settings
        .link(&["ui", "pipelines", &pipeline.id.to_string()]);
    let api::Pipeline {
        id,
        repo,
        commit_sha,
        branch,
        tag,
        status,
        author,
        created_at,
        start_time,
        end_time,
        ..
    } = super::view::pipeline(pipeline);
    Build {
        id,
        repo,
        commit: commit_sha,
        branch,
        tag,
        author,
        status: match status {
            Status::Blocked | Status::OnHold | Status::Queued => BuildStatus::Queued,
            Status::Running => BuildStatus::Running,
            Status::Success | Status::Skipped => BuildStatus::Success,
            Status::Failure | Status::Error | Status::Canceled => BuildStatus::Failed,
        },
        retry_count,
        max_retries,
        created_at,
        started_at: start_time,
        finished_at: end_time,
        url,
    }
}

/// The logs of a build's jobs, each after a line that names it.
struct BuildLogs {
    engine: Engine,
    build: PipelineId,
    follow: bool,
    /// The last job whose log was begun.
    told: Option<JobId>,
    log: Option<LogFollow>,
    /// How much of it is to be told, in bytes.
    left: u64,
    events: broadcast::Receiver<model::Event>,
    stop: CancellationToken,
    _place: Option<OwnedSemaphorePermit>,
}

impl BuildLogs {
    /// A stop is an error, so that what is cut off does not look whole.
    fn pieces(self) -> impl Stream<Item = Result<Bytes, BoxError>> + Send {
        stream::try_unfold(self, |mut logs| async move {
            let stop = logs.stop.clone();
            let Some(next) = stop.run_until_cancelled(logs.next()).await else {
                return Err("the server stops".into());
            };
            Ok(next?.map(|bytes| (bytes, logs)))
        })
    }

    async fn next(&mut self) -> Result<Option<Bytes>, EngineError> {
        loop {
            if let Some(log) = &mut self.log {
                if self.left > 0
                    && let Some(mut bytes) = log.next().await?
                {
                    // What has come since is only for who follows.
                    bytes.truncate(usize::try_from(self.left).unwrap_or(usize::MAX));
                    self.left -= bytes.len() as u64;
                    return Ok(Some(bytes));
                }
                self.log = None;
            }
            // The status is read before the jobs: if it says ended, they are all there.
            let pipeline = self.engine.store().pipeline(self.build).await?;
            let jobs = self.engine.store().jobs_of(self.build).await?;
            let next = jobs.into_iter().find(|job| {
                let is_new = self.told.is_none_or(|told| job.id > told);
                is_new && (self.follow || job.state.attempt() > 0)
            });
            if let Some(job) = next {
                return self.begin(&job).await.map(Some);
            }
            if !self.follow || pipeline.status.is_ended() || self.told.is_some() {
                return Ok(None);
            }
            self.changed().await;
        }
    }

    async fn begin(&mut self, job: &Job) -> Result<Bytes, EngineError> {
        self.told = Some(job.id);
        self.left = if self.follow {
            u64::MAX
        } else {
            let log = logs::open(&self.engine, job, job.state.attempt()).await?;
            log.map_or(0, |(_, length)| length)
        };
        self.log = Some(self.engine.follow(job.id, 0).await?);
        let line = format!(
            "--- Log for pipeline {}, job \"{}\" ---\n",
            self.build, job.name
        );
        Ok(Bytes::from(line))
    }

    /// Waits until the pipeline has another status, or jobs.
    async fn changed(&mut self) {
        loop {
            match self.events.recv().await {
                Ok(event) => match event.body {
                    EventBody::Pipeline { .. } | EventBody::Job { .. }
                        if event.pipeline == self.build =>
                    {
                        return;
                    }
                    EventBody::Pipeline { .. } | EventBody::Job { .. } | EventBody::Step { .. } => {
                    }
                },
                // Whoever lags looks again; a closed store is found out by the next look.
                Err(_) => return,
            }
        }
    }
}
