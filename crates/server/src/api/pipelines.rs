//! `/pipelines`

use api::{NewPipeline, PipelineDetail, PipelineQuery, RerunRequest};
use axum::Json;
use axum::extract::{OriginalUri, State};
use axum::response::{IntoResponse, Response};
use engine::Engine;
use http::StatusCode;
use http::header::LOCATION;
use model::{ForgeKind, GitRef, Origin, PipelineId, RepoName, Trigger, TriggerKind};
use serde::Deserialize;
use store::{Page, PipelineFilter};

use super::{page, view};
use crate::error::ApiError;
use crate::extract::{Json as JsonBody, JsonOrNothing, Path, Query};

/// `/pipelines/{pipeline}`
#[derive(Debug, Deserialize)]
pub(crate) struct PipelinePath {
    pub(crate) pipeline: PipelineId,
}

/// `GET /pipelines`
pub(crate) async fn list(
    State(engine): State<Engine>,
    uri: OriginalUri,
    Query(query): Query<PipelineQuery>,
) -> Result<Response, ApiError> {
    let page = page::wanted(query.limit, query.cursor);
    let filter = PipelineFilter {
        repo: query.repo,
        commit: None,
        branch: query.branch,
        status: query.status,
        trigger: query.trigger,
    };
    let found = engine.store().pipelines(&filter, &page).await?;
    Ok(page::answer(&uri, found, view::pipeline))
}

/// `GET /pipelines/{pipeline}`
pub(crate) async fn show(
    State(engine): State<Engine>,
    Path(PipelinePath { pipeline }): Path<PipelinePath>,
) -> Result<Json<PipelineDetail>, ApiError> {
    detail(&engine, pipeline).await.map(Json)
}

/// `POST /pipelines`
pub(crate) async fn create(
    State(engine): State<Engine>,
    JsonBody(new): JsonBody<NewPipeline>,
) -> Result<Response, ApiError> {
    if new.git_ref.is_none() && new.sha.is_none() {
        return Err(ApiError::invalid(
            "the field `ref` (a branch or a tag) or the field `sha` (a commit) is needed",
        ));
    }
    let (origin, forge) = match &new.url {
        Some(url) => {
            let url = forge::clone_url(url)
                .map_err(|why| ApiError::invalid(format!("the field `url` is not valid: {why}")))?;
            (Origin::Git { url }, None)
        }
        None => known_origin(&engine, &new.repo).await?,
    };
    let created = engine
        .submit(Trigger {
            kind: TriggerKind::Api,
            git_ref: new
                .git_ref
                .as_deref()
                .map(|text| git_ref("ref", text))
                .transpose()?,
            repo: new.repo,
            origin,
            commit: new.sha,
            base: None,
            author: None,
            message: None,
            pull_request: None,
            rerun: None,
            forge,
            parameters: new.parameters,
            delivery: None,
        })
        .await?;
    made(&engine, created.id).await
}

/// `POST /pipelines/{pipeline}/cancel`
pub(crate) async fn cancel(
    State(engine): State<Engine>,
    Path(PipelinePath { pipeline }): Path<PipelinePath>,
) -> Result<Json<PipelineDetail>, ApiError> {
    engine.cancel(pipeline, None).await?;
    let detail = detail(&engine, pipeline).await?;
    tracing::info!(
        pipeline = pipeline.0,
        repo = %detail.repo,
        branch = detail.branch,
        "pipeline canceled on request"
    );
    Ok(Json(detail))
}

/// `POST /pipelines/{pipeline}/rerun`
pub(crate) async fn rerun(
    State(engine): State<Engine>,
    Path(PipelinePath { pipeline }): Path<PipelinePath>,
    JsonOrNothing(request): JsonOrNothing<RerunRequest>,
) -> Result<Response, ApiError> {
    let created = engine.rerun(pipeline, request.from, None).await?;
    made(&engine, created.id).await
}

/// A pipeline with its jobs.
pub(crate) async fn detail(
    engine: &Engine,
    pipeline: PipelineId,
) -> Result<PipelineDetail, ApiError> {
    let store = engine.store();
    let pipeline = store.pipeline(pipeline).await?;
    let jobs = store.jobs_of(pipeline.id).await?;
    Ok(PipelineDetail {
        warnings: pipeline.warnings.clone(),
        pipeline: view::pipeline(pipeline),
        jobs: jobs.into_iter().map(view::job).collect(),
    })
}

/// 201 with the new pipeline, and where it is.
async fn made(engine: &Engine, id: PipelineId) -> Result<Response, ApiError> {
    let pipeline = view::pipeline(engine.store().pipeline(id).await?);
    let location = [(LOCATION, format!("/pipelines/{id}"))];
    Ok((StatusCode::CREATED, location, Json(pipeline)).into_response())
}

/// Where the code of a project was the last time, and who was told of it.
async fn known_origin(
    engine: &Engine,
    repo: &RepoName,
) -> Result<(Origin, Option<ForgeKind>), ApiError> {
    let filter = PipelineFilter {
        repo: Some(repo.clone()),
        ..PipelineFilter::default()
    };
    let page = Page {
        limit: 1,
        cursor: None,
    };
    let newest = engine.store().pipelines(&filter, &page).await?.items.pop();
    let Some(newest) = newest else {
        if let Some(origin) = engine.hosted_origin(repo).await? {
            return Ok((origin, None));
        }
        return Err(ApiError::invalid(format!(
            "the field `url` is needed: `{repo}` had no pipeline yet, so nobody knows where its \
             code is"
        )));
    };
    Ok((newest.trigger.origin, newest.trigger.forge))
}

/// A ref in full, or a branch by its name alone, in that field.
pub(crate) fn git_ref(field: &str, text: &str) -> Result<GitRef, ApiError> {
    let parsed = if text.starts_with("refs/") {
        text.parse()
    } else {
        format!("refs/heads/{text}").parse()
    };
    parsed.map_err(|error: model::InvalidName| {
        ApiError::invalid(format!("the field `{field}` is not valid: {error}"))
    })
}
