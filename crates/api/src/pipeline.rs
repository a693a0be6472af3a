//! Pipelines: `/pipelines` and what hangs below.

use std::collections::BTreeMap;
use std::ops::Deref;

use model::{
    CommitSha, ParameterValue, PipelineId, RepoName, RerunFrom, Status, Timestamp, TriggerKind,
};
use serde::{Deserialize, Serialize};

use crate::{Cursor, Job, Limit};

/// One pipeline, as lists have it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pipeline {
    /// Its number.
    pub id: PipelineId,
    /// The project.
    pub repo: RepoName,
    /// The commit; none for a folder that no commit describes.
    pub commit_sha: Option<CommitSha>,
    /// The branch that the commit was found under.
    pub branch: Option<String>,
    /// The tag that the commit was found under.
    pub tag: Option<String>,
    /// How far it is.
    pub status: Status,
    /// Through which door it came.
    pub trigger: TriggerKind,
    /// Who caused it, as the forge or git calls them.
    pub author: Option<String>,
    /// The commit's message.
    pub message: Option<String>,
    /// When it came in.
    pub created_at: Timestamp,
    /// When its work began; none before.
    pub start_time: Option<Timestamp>,
    /// When it ended; none before.
    pub end_time: Option<Timestamp>,
    /// Why it ended without success, where that is known of the pipeline as a whole.
    pub reason: Option<String>,
    /// The number of its pull request, if that is why it exists.
    pub pull_request: Option<u64>,
    /// The pipeline that it repeats, if that is why it exists.
    pub rerun_of: Option<PipelineId>,
}

/// One pipeline with its jobs: `GET /pipelines/{id}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PipelineDetail {
    /// The same as in lists.
    #[serde(flatten)]
    pub pipeline: Pipeline,
    /// What its config was warned about; may have several lines.
    #[serde(default)]
    pub warnings: Option<String>,
    /// Its jobs, in the order of its config; none before that is read.
    pub jobs: Vec<Job>,
}

impl Deref for PipelineDetail {
    type Target = Pipeline;

    fn deref(&self) -> &Pipeline {
        &self.pipeline
    }
}

/// The query of `GET /pipelines`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PipelineQuery {
    /// Only this project's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repo: Option<RepoName>,
    /// Only this branch's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// Only those that are this far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// Only those that came through this door.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<TriggerKind>,
    /// How many at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<Limit>,
    /// Where the page begins, as the page before told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<Cursor>,
}

/// The body of `POST /pipelines`; the answer is `201` with the new [`Pipeline`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewPipeline {
    /// The project.
    #[serde(alias = "project")]
    pub repo: RepoName,
    /// Where its code is; may be left out for a project that already had a pipeline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// A branch (`main`, `refs/heads/main`) or a tag (`refs/tags/v1`).
    #[serde(default, rename = "ref", skip_serializing_if = "Option::is_none")]
    pub git_ref: Option<String>,
    /// The commit, in full.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha: Option<CommitSha>,
    /// What the config's parameters are given, by name: strings, whole numbers and booleans.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, ParameterValue>,
}

/// The body of `POST /pipelines/{id}/rerun`; none at all means from the start. The answer is `201`
/// with the new [`Pipeline`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RerunRequest {
    /// Which of its jobs.
    #[serde(default)]
    pub from: RerunFrom,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipeline_has_the_keys_of_the_contract() {
        let json = serde_json::json!({
            "id": 5,
            "repo": "octo/repo",
            "commit_sha": "a1b2c3d4e5a1b2c3d4e5a1b2c3d4e5a1b2c3d4e5",
            "branch": "main",
            "tag": null,
            "status": "success",
            "trigger": "push",
            "author": "octocat",
            "message": "Say hello",
            "created_at": "2024-06-01T12:00:00Z",
            "start_time": "2024-06-01T12:00:00.250Z",
            "end_time": "2024-06-01T12:03:40Z",
            "reason": null,
            "pull_request": null,
            "rerun_of": null,
            "warnings": null,
            "jobs": [],
        });
        let pipeline: PipelineDetail = serde_json::from_value(json.clone()).unwrap();
        assert_eq!(pipeline.id, PipelineId(5));
        assert_eq!(serde_json::to_value(&pipeline).unwrap(), json);
    }

    #[test]
    fn a_rerun_is_from_the_start_unless_said() {
        let request: RerunRequest = serde_json::from_str("{}").unwrap();
        assert_eq!(request.from, RerunFrom::Start);
        let request: RerunRequest = serde_json::from_str(r#"{"from":"failed"}"#).unwrap();
        assert_eq!(request.from, RerunFrom::Failed);
        assert!(serde_json::from_str::<RerunRequest>(r#"{"form":"failed"}"#).is_err());
    }
}
