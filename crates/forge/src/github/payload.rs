//! The parts of GitHub's payloads that Popsicle reads.
//!
//! Named as in <https://docs.github.com/en/webhooks/webhook-events-and-payloads>.

use model::{CommitSha, RepoName};
use serde::Deserialize;

/// A branch or a tag was created, moved or deleted.
#[derive(Debug, Deserialize)]
pub(super) struct Push {
    /// `refs/heads/…` or `refs/tags/…`.
    #[serde(rename = "ref")]
    pub(super) full_ref: String,
    /// What the ref pointed to: zeros if it is new.
    pub(super) before: Option<CommitSha>,
    /// What the ref points to: a commit, an annotated tag's object, or zeros if it is gone.
    pub(super) after: CommitSha,
    #[serde(default)]
    pub(super) deleted: bool,
    pub(super) head_commit: Option<HeadCommit>,
    pub(super) pusher: Option<Pusher>,
    pub(super) repository: CodeRepository,
}

/// The commit that a pushed ref leads to.
#[derive(Debug, Deserialize)]
pub(super) struct HeadCommit {
    pub(super) id: Option<CommitSha>,
    pub(super) message: Option<String>,
    pub(super) author: Option<Author>,
}

/// A commit's author as git knows them, with their login if GitHub knows the address.
#[derive(Debug, Deserialize)]
pub(super) struct Author {
    pub(super) username: Option<String>,
}

/// Who pushed: a login, or what a deploy key is called.
#[derive(Debug, Deserialize)]
pub(super) struct Pusher {
    pub(super) name: Option<String>,
}

/// Something happened to a pull request.
#[derive(Debug, Deserialize)]
pub(super) struct PullRequestEvent {
    pub(super) number: u64,
    pub(super) pull_request: PullRequest,
    pub(super) repository: CodeRepository,
}

#[derive(Debug, Deserialize)]
pub(super) struct PullRequest {
    pub(super) title: String,
    pub(super) html_url: Option<String>,
    pub(super) user: Option<User>,
    pub(super) head: Head,
    pub(super) base: Base,
}

/// What a pull request brings.
#[derive(Debug, Deserialize)]
pub(super) struct Head {
    #[serde(rename = "ref")]
    pub(super) branch: String,
    pub(super) sha: CommitSha,
    /// None if the fork was deleted.
    pub(super) repo: Option<Repository>,
}

/// What a pull request wants to change.
#[derive(Debug, Deserialize)]
pub(super) struct Base {
    #[serde(rename = "ref")]
    pub(super) branch: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct User {
    pub(super) login: String,
}

/// Only what was done, of an event whose other fields depend on that.
#[derive(Debug, Deserialize)]
pub(super) struct Action {
    pub(super) action: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct CheckRunEvent {
    pub(super) check_run: Check,
    pub(super) repository: Repository,
}

#[derive(Debug, Deserialize)]
pub(super) struct CheckSuiteEvent {
    pub(super) check_suite: Check,
    pub(super) repository: Repository,
}

/// A check run or a check suite.
#[derive(Debug, Deserialize)]
pub(super) struct Check {
    pub(super) head_sha: CommitSha,
}

#[derive(Debug, Deserialize)]
pub(super) struct Repository {
    pub(super) full_name: RepoName,
}

/// A repository whose code is wanted.
#[derive(Debug, Deserialize)]
pub(super) struct CodeRepository {
    pub(super) full_name: RepoName,
    pub(super) clone_url: String,
}
