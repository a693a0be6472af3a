//! The REST API, a file per noun.

pub(crate) mod artifacts;
pub(crate) mod builds;
pub(crate) mod contexts;
pub(crate) mod events;
pub(crate) mod health;
pub(crate) mod jobs;
pub(crate) mod logs;
pub(crate) mod metrics;
pub(crate) mod page;
pub(crate) mod pipelines;
pub(crate) mod projects;
mod range;
pub(crate) mod repos;
pub(crate) mod runners;
pub(crate) mod secrets;
mod text;
pub(crate) mod tokens;
pub(crate) mod view;
