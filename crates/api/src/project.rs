//! Projects: what is known of a repository from its pipelines.

use model::{PipelineId, RepoName, Status, Timestamp};
use serde::{Deserialize, Serialize};

/// A summary of one project: `GET /projects`, `GET /projects/{repo}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Project {
    /// The project.
    pub repo: RepoName,
    /// How many pipelines it had.
    pub pipelines: u64,
    /// Its newest pipeline.
    pub last_pipeline: PipelineId,
    /// How far that is.
    pub last_status: Status,
    /// When that came in.
    pub last_activity: Timestamp,
    /// What part of the pipelines that ended in the last 30 days did so in success, from 0 to 1. What
    /// was canceled is left out; none if none is left.
    pub success_rate: Option<f64>,
    /// The median duration of the runs in `trend`, in milliseconds; none if none ran.
    #[serde(default)]
    pub median_ms: Option<u64>,
    /// Its newest pipelines that ended, at most 30, oldest first: the trend of their durations.
    pub trend: Vec<ProjectRun>,
}

/// One point of a project's trend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectRun {
    /// The pipeline.
    pub pipeline: PipelineId,
    /// How it ended.
    pub status: Status,
    /// How long it took from its start to its end, in milliseconds; none if it never started.
    pub duration_ms: Option<u64>,
}
