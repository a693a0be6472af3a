//! Why a pipeline exists, and where its code is.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{CommitSha, GitRef, PipelineId, RepoName};

/// All that is known when a pipeline is made: the output of every door, the input of intake.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trigger {
    /// Through which door it came.
    pub kind: TriggerKind,
    /// The project.
    pub repo: RepoName,
    /// Where its code is.
    pub origin: Origin,
    /// The commit; none for a folder that no commit describes.
    pub commit: Option<CommitSha>,
    /// The branch or tag that the commit was found under. A fork's branch is none of the project's, so
    /// that it must not have the name of one: a pull request from a fork has `pull/7`.
    pub git_ref: Option<GitRef>,
    /// The commit that the ref pointed to before, for a push.
    #[serde(default)]
    pub base: Option<CommitSha>,
    /// Who did it, as the forge or git calls them.
    #[serde(default)]
    pub author: Option<String>,
    /// The commit's message, whole.
    #[serde(default)]
    pub message: Option<String>,
    /// The pull request, for [`TriggerKind::PullRequest`].
    #[serde(default)]
    pub pull_request: Option<PullRequest>,
    /// What it reruns, for [`TriggerKind::Rerun`].
    #[serde(default)]
    pub rerun: Option<Rerun>,
    /// The forge that sent it and is told how it ends; none for triggers of our own doors.
    #[serde(default)]
    pub forge: Option<ForgeKind>,
    /// What it gives the config's parameters, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, ParameterValue>,
    /// The delivery that brought it: two with the same make one pipeline.
    #[serde(default)]
    pub delivery: Option<Delivery>,
}

impl Trigger {
    /// Whether it is a pull request of a fork's: what its config asks for is anyone's wish.
    pub fn is_from_fork(&self) -> bool {
        let pull_request = self.pull_request.as_ref();
        pull_request.is_some_and(|pull_request| pull_request.from_fork)
    }
}

/// What a parameter of a pipeline is given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ParameterValue {
    /// A truth.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// Any text.
    Text(String),
}

impl From<&str> for ParameterValue {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for ParameterValue {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

/// Through which door a trigger came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TriggerKind {
    /// A branch moved on a forge.
    Push,
    /// A tag appeared on a forge.
    Tag,
    /// A pull request was opened or got commits.
    PullRequest,
    /// Somebody asked over the API.
    Api,
    /// An earlier pipeline runs again.
    Rerun,
    /// `popsicle run`: the directory somebody stands in.
    Local,
    /// A branch or a tag of a repository that is hosted here was pushed.
    GitPush,
}

impl TriggerKind {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::Push,
        Self::Tag,
        Self::PullRequest,
        Self::Api,
        Self::Rerun,
        Self::Local,
        Self::GitPush,
    ];

    /// The word as JSON, tables and URLs have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Push => "push",
            Self::Tag => "tag",
            Self::PullRequest => "pull_request",
            Self::Api => "api",
            Self::Rerun => "rerun",
            Self::Local => "local",
            Self::GitPush => "git_push",
        }
    }
}

impl std::str::FromStr for TriggerKind {
    type Err = crate::InvalidName;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == s)
            .ok_or_else(|| {
                crate::InvalidName::new(
                    "trigger",
                    s,
                    "it is none of push, tag, pull_request, api, rerun, local, git_push",
                )
            })
    }
}

/// Where a project's code is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// A git repository.
    Git {
        /// What `git fetch` is given: `https://`, `ssh://`, `git@host:path` or `file://`. Never holds
        /// a credential.
        url: String,
    },
    /// A folder of this machine, taken as it is.
    Folder {
        /// Absolute.
        path: PathBuf,
    },
}

/// A pull (merge) request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullRequest {
    /// Its number on the forge.
    pub number: u64,
    /// The branch that it wants to change.
    pub base_branch: String,
    /// Whether its commits live in another repository than the project's.
    pub from_fork: bool,
    /// That repository; none if it is the project's, or was deleted.
    #[serde(default)]
    pub fork: Option<RepoName>,
    /// The ref under which the project's own repository has its commits
    /// (`refs/pull/7/head` on GitHub).
    pub fetch_ref: String,
    /// Its page on the forge.
    #[serde(default)]
    pub url: Option<String>,
}

/// Which earlier pipeline a rerun repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rerun {
    /// The earlier pipeline.
    pub of: PipelineId,
    /// Which of its jobs.
    pub from: RerunFrom,
}

/// Which jobs a rerun repeats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RerunFrom {
    /// All of them.
    #[default]
    Start,
    /// Those that did not end in success.
    Failed,
}

/// A forge's own name for one event that it sent.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Delivery {
    /// Who sent it.
    pub forge: ForgeKind,
    /// Its id there (`X-GitHub-Delivery`).
    pub id: String,
}

/// The kinds of forges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ForgeKind {
    /// github.com or GitHub Enterprise.
    Github,
    /// Popsicle itself, for what is pushed to repositories that it hosts. It is told nothing.
    Popsicle,
}

impl ForgeKind {
    /// The word as JSON and tables have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Github => "github",
            Self::Popsicle => "popsicle",
        }
    }
}
