//! The JSON of the HTTP API as types, for the server that writes it and the clients that read it.
//!
//! No logic and no I/O live here. A field that may be unknown is `null`, never absent, so that each
//! answer always has the same keys; a client must pass over keys that it does not know. Times are
//! UTC ISO-8601 with `Z`. Requests refuse keys that they do not know, so that a misspelt one is
//! noticed.
#![forbid(unsafe_code)]

mod build;
mod error;
mod health;
mod job;
mod page;
mod pipeline;
mod project;
mod repo;
mod runner;
mod secret;
mod token;
mod webhook;

pub use build::{Build, BuildAnswer, BuildLogsQuery, BuildQuery, BuildStatus, NewBuild};
pub use error::{ErrorBody, ErrorDetail};
pub use health::{Health, Readiness};
pub use job::{
    Artifact, ArtifactQuery, AttemptQuery, Job, JobStreamEvent, JobStreamQuery, JobView,
    JobViewStatus, LOG_ATTEMPT, LOG_START, LogQuery, Step, TestResult,
};
pub use page::{Cursor, Limit, PageQuery};
pub use pipeline::{NewPipeline, Pipeline, PipelineDetail, PipelineQuery, RerunRequest};
pub use project::{Project, ProjectRun};
pub use repo::{NewRepo, Repo};
pub use runner::{NewRunner, Runner, RunnerPatch, RunnerWithToken};
pub use secret::{Context, ContextPatch, NewContext, Secret, SecretOf, SecretQuery, SetSecret};
pub use token::{CreatedToken, NewToken, Token};
pub use webhook::WebhookAnswer;

/// One message of `GET /events`: its SSE id is [`Event::id`](model::Event), its data is this JSON.
pub use model::{Event, EventBody};
