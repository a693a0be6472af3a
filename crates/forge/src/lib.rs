//! Forges: where pushes come from and where statuses go.
//!
//! A forge is two things to Popsicle: bytes that turn into a verified [`Trigger`], and an API that is
//! told how a commit fares. This crate holds both halves of each forge and nothing else: no database,
//! no queue, no clock, no HTTP server. Who calls [`Forge::report`] again after an error is the
//! outbox's business.
//!
//! To add a forge, add a folder beside `github/` with one type that implements [`Forge`], and a line
//! here.
#![forbid(unsafe_code)]

pub mod github;
mod json;
mod limits;
mod origin;
mod report;
mod secret;
mod signature;
mod text;
mod webhook;

use async_trait::async_trait;
use model::{CommitSha, Delivery, ForgeKind, RepoName, Trigger};

pub use github::{Github, GithubSettings, SettingsError};
pub use origin::clone_url;
pub use report::{Report, ReportError};
pub use secret::{Secret, Token};
pub use text::asks_to_skip;
pub use webhook::WebhookError;

/// One forge, with its secrets.
#[async_trait]
pub trait Forge: Send + Sync + std::fmt::Debug {
    /// Which one.
    fn kind(&self) -> ForgeKind;

    /// Verifies and reads one delivery. Does no I/O, so it may be called from any thread.
    ///
    /// `body` is what came over the wire, byte for byte: the signature covers that. It is checked
    /// before anything in it is read.
    fn receive(&self, headers: &http::HeaderMap, body: &[u8]) -> Result<Received, WebhookError>;

    /// Tells the forge a commit's status: one attempt, which ends within the forge's timeout.
    ///
    /// Telling the same twice does no harm. Two reports of one commit and context must not be on
    /// their way at once, or the older may win: the caller keeps their order.
    async fn report(&self, report: &Report) -> Result<(), ReportError>;
}

/// What a delivery asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// A new pipeline.
    Trigger(Box<Trigger>),
    /// The pipelines of a commit once more.
    Rerequested {
        /// The project.
        repo: RepoName,
        /// The commit.
        commit: CommitSha,
        /// The delivery that brought it, if it said which.
        delivery: Option<Delivery>,
    },
    /// Nothing; the forge only wants to know that somebody is here.
    Pong,
    /// Nothing, on purpose.
    Ignored {
        /// Why, in one line for the person who looks at the delivery on the forge's page.
        reason: String,
    },
}
