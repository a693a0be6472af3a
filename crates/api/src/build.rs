//! Builds: pipelines as Procurator's clients know them, `/builds`.

use model::{CommitSha, HostedName, PipelineId, RepoName, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{Cursor, Limit, WebhookAnswer};

/// One pipeline, in Procurator's words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Build {
    /// The pipeline's number.
    pub id: PipelineId,
    /// The repository.
    pub repo: RepoName,
    /// The commit; none for what no commit describes.
    pub commit: Option<CommitSha>,
    /// The branch.
    pub branch: Option<String>,
    /// The tag.
    pub tag: Option<String>,
    /// Who caused it.
    pub author: Option<String>,
    /// How far it is.
    pub status: BuildStatus,
    /// How often a job of it was tried again, at most.
    pub retry_count: u32,
    /// How often a job of it may be tried again.
    pub max_retries: u32,
    /// When it came in.
    pub created_at: Timestamp,
    /// When its work began; none before.
    pub started_at: Option<Timestamp>,
    /// When it ended; none before.
    pub finished_at: Option<Timestamp>,
    /// Its page, for people; none where the server does not know its own address.
    pub url: Option<String>,
}

/// How far a build is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BuildStatus {
    /// It waits: for room, or for a person.
    Queued,
    /// It runs.
    Running,
    /// It ended well.
    Success,
    /// It ended in any other way.
    Failed,
}

/// The query of `GET /builds`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BuildQuery {
    /// Only this repository's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repo: Option<RepoName>,
    /// Only this branch's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// How many at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<Limit>,
    /// Where the page begins, as the page before told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<Cursor>,
}

/// The query of `GET /builds/{id}/logs`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BuildLogsQuery {
    /// Whether to go on until the build has ended.
    #[serde(default)]
    pub follow: bool,
}

/// The body of `POST /builds`. The answer is `201` with the new [`Build`], `200` with the one that an
/// earlier request of the same delivery made, or `202` with a [`WebhookAnswer::Ignored`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewBuild {
    /// A hosted repository.
    pub repo: HostedName,
    /// The commit, in full; for an annotated tag its own object will do.
    pub commit: CommitSha,
    /// A branch (`main`, `refs/heads/main`) or a tag (`refs/tags/v1`).
    pub branch: String,
    /// Who asks; who wrote the commit if that is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// What the branch pointed to before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<CommitSha>,
    /// The sender's own name for this request: two with the same make one build.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<String>,
}

/// The answer of `POST /builds`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum BuildAnswer {
    /// `201` or `200`: the build.
    Build(Box<Build>),
    /// `202`: nothing to do, on purpose.
    Ignored(WebhookAnswer),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_is_asked_for_as_procurators_hook_does() {
        let commit = "a1b2c3d4e5".repeat(4);
        let body = serde_json::json!({
            "repo": "demo", "commit": commit, "branch": "main", "author": "Octo Cat",
        });
        let new: NewBuild = serde_json::from_value(body.clone()).unwrap();
        assert_eq!(serde_json::to_value(&new).unwrap(), body);
        let words = ["queued", "running", "success", "failed"];
        let statuses: Vec<BuildStatus> = serde_json::from_value(words.into()).unwrap();
        assert_eq!(
            serde_json::to_value(statuses).unwrap(),
            serde_json::json!(words)
        );
    }
}
