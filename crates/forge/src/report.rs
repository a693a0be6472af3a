//! What a forge is told, and how that can fail.

use std::time::Duration;

use model::{CommitSha, CommitStatus, RepoName};

/// One status of one commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The project.
    pub repo: RepoName,
    /// The commit.
    pub commit: CommitSha,
    /// Which of the commit's statuses this is (`ci/popsicle`): a later one replaces an earlier one
    /// of the same context.
    pub context: String,
    /// How it fares.
    pub status: CommitStatus,
    /// The page that tells more.
    pub target_url: Option<String>,
}

/// Why a report did not arrive.
///
/// The texts are whole: they name the cause, are one line of bounded length and hold no credential,
/// so they can be stored and shown as they are.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReportError {
    /// The forge wants fewer requests.
    #[error("rate limited by the forge for {} s", .retry_after.as_secs())]
    RateLimited {
        /// How long to leave it alone, counted from its answer.
        retry_after: Duration,
    },
    /// It may well work the next time: the network, a time limit, or a fault of the forge.
    #[error("{reason}")]
    Retryable {
        /// What happened.
        reason: String,
        /// How long to wait at least, where the forge said so.
        retry_after: Option<Duration>,
    },
    /// The forge does not let our token do it, until somebody mends the token or its rights.
    #[error("the forge denied it with status {status}: {message}")]
    Denied {
        /// The HTTP status.
        status: u16,
        /// The forge's own words, and what can be done about it.
        message: String,
    },
    /// The forge understood and said no; it will say so again.
    #[error("the forge refused with status {status}: {message}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The forge's own words, and what can be done about it.
        message: String,
    },
    /// There is no token to report with.
    #[error("no token for the forge's API is set")]
    NoToken,
}

impl ReportError {
    /// How long the forge asked to be left alone; none where it is the caller's choice.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after } => Some(*retry_after),
            Self::Retryable { retry_after, .. } => *retry_after,
            Self::Denied { .. } | Self::Refused { .. } | Self::NoToken => None,
        }
    }

    /// Whether trying again is pointless.
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::RateLimited { .. } | Self::Retryable { .. } | Self::Denied { .. } => false,
            Self::Refused { .. } | Self::NoToken => true,
        }
    }
}
