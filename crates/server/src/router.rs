//! The table of contents: every address, and who answers it.

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRef, Request};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{delete, get, patch, post, put};
use http::StatusCode;
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{DefaultPredicate, NotForContentType, Predicate};
use tower_http::request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer};
use tower_http::trace::TraceLayer;

use crate::api::{
    artifacts, builds, contexts, events, health, jobs, logs, metrics, pipelines, projects, repos,
    runners, secrets, tokens,
};
use crate::app::{App, Parts};
use crate::error::ApiError;
use crate::extract::BodyLimits;
use crate::{auth, git, guard, hooks, trace, ui};

/// Everything that the server answers, ready for [`serve`](crate::serve).
pub fn router(parts: Parts) -> Router {
    let app = App::new(parts);
    Router::new()
        .route("/", get(ui::home::page))
        .route("/ui/pipelines/{pipeline}", get(ui::pipeline::page))
        .route("/ui/pipelines/{pipeline}/jobs/{job}", get(ui::job::page))
        .route("/assets/style.css", get(ui::style))
        .route("/git/{folder}/info/refs", get(git::advertise))
        .route("/git/{folder}/git-upload-pack", post(git::upload_pack))
        .route("/git/{folder}/git-receive-pack", post(git::receive_pack))
        .merge(rest())
        .nest("/api", rest())
        .layer(from_fn_with_state(app.clone(), auth::check))
        .layer(from_fn_with_state(app.clone(), guard::only_our_names))
        .layer(guard::same_site(&app.settings))
        .merge(doors())
        .nest("/api", doors())
        .fallback(no_such_address)
        .method_not_allowed_fallback(no_such_method)
        .layer(
            ServiceBuilder::new()
                .layer(SetRequestIdLayer::x_request_id(MakeRequestUuid))
                .layer(
                    TraceLayer::new_for_http()
                        .make_span_with(trace::span)
                        .on_request(())
                        .on_response(trace::answered)
                        .on_failure(()),
                )
                .layer(PropagateRequestIdLayer::x_request_id())
                .layer(from_fn(metrics::count))
                .layer(from_fn(guard::careful))
                .layer(CompressionLayer::new().compress_when(worth_it()))
                .layer(CatchPanicLayer::custom(ApiError::panicked)),
        )
        .with_state(app)
}

/// What is worth to be compressed: not git's packs, which are already, nor what it says meanwhile.
fn worth_it() -> impl Predicate {
    DefaultPredicate::new().and(NotForContentType::const_new("application/x-git-"))
}

/// What forges send. They prove who they are, so no name of ours is asked of them.
fn doors() -> Router<App> {
    Router::new()
        .route("/webhook", post(hooks::github::receive))
        .route("/hooks/github", post(hooks::github::receive))
}

/// The REST API.
fn rest() -> Router<App> {
    Router::new()
        .route("/pipelines", get(pipelines::list).post(pipelines::create))
        .route("/pipelines/{pipeline}", get(pipelines::show))
        .route("/pipelines/{pipeline}/cancel", post(pipelines::cancel))
        .route("/pipelines/{pipeline}/rerun", post(pipelines::rerun))
        .route("/pipelines/{pipeline}/jobs/{job}/log", get(logs::read))
        .route("/pipelines/{pipeline}/jobs/{job}/steps", get(jobs::steps))
        .route(
            "/pipelines/{pipeline}/jobs/{job}/artifacts",
            get(artifacts::list),
        )
        .route(
            "/pipelines/{pipeline}/jobs/{job}/artifacts/{*path}",
            get(artifacts::read),
        )
        .route("/pipelines/{pipeline}/jobs/{job}/tests", get(jobs::tests))
        .route(
            "/pipelines/{pipeline}/jobs/{job}/approve",
            post(jobs::approve),
        )
        .route("/pipelines/{pipeline}/jobs/{job}/retry", post(jobs::retry))
        .route("/jobs", get(jobs::list))
        .route("/jobs/{job}", get(jobs::show).delete(jobs::cancel))
        .route("/jobs/{job}/stream", get(jobs::stream))
        .route("/projects", get(projects::list))
        .route("/projects/{*repo}", get(projects::show))
        .route("/runners", get(runners::list).post(runners::add))
        .route(
            "/runners/{runner}",
            patch(runners::change).delete(runners::remove),
        )
        .route("/repos", get(repos::list).post(repos::create))
        .route("/repos/{repo}", get(repos::show).delete(repos::delete))
        .route("/builds", get(builds::list).post(builds::create))
        .route("/builds/{build}", get(builds::show))
        .route("/builds/{build}/logs", get(builds::logs))
        .route("/secrets", get(secrets::list))
        .route(
            "/secrets/{variable}",
            put(secrets::set).delete(secrets::delete),
        )
        .route("/contexts", get(contexts::list).post(contexts::create))
        .route(
            "/contexts/{context}",
            get(contexts::show)
                .patch(contexts::restrict)
                .delete(contexts::delete),
        )
        .route("/contexts/{context}/variables", get(contexts::variables))
        .route(
            "/contexts/{context}/variables/{variable}",
            put(contexts::set).delete(contexts::unset),
        )
        .route("/tokens", get(tokens::list).post(tokens::create))
        .route("/tokens/{token}", delete(tokens::revoke))
        .route("/events", get(events::stream))
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(metrics::show))
}

async fn no_such_address(request: Request) -> ApiError {
    let path: String = request.uri().path().chars().take(200).collect();
    ApiError::not_found(format!("there is nothing at `{path}`"))
}

async fn no_such_method(request: Request) -> ApiError {
    let path: String = request.uri().path().chars().take(200).collect();
    let message = format!(
        "`{path}` can't be asked with {}; the header `Allow` has what it can be asked with",
        request.method()
    );
    ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        message,
    )
}

impl FromRef<App> for BodyLimits {
    fn from_ref(app: &App) -> Self {
        Self {
            one: app.settings.body_limit_bytes,
            all: Arc::clone(&app.bodies),
        }
    }
}
