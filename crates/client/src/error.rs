//! Why a request did not get its answer, for people.

use std::error::Error;
use std::time::Duration;

use url::Url;

/// Why a request did not get its answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The server's address is none.
    #[error("`{url}` is not the address of a server: {why}")]
    BadUrl {
        /// What was given.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// What was given as a token can be none.
    #[error("what was given as a token can't be one: it has characters that no token has")]
    BadToken,
    /// This machine can't make requests of that kind.
    #[error("could not set up requests: {0}")]
    Setup(String),
    /// Nothing answers at the server's address.
    #[error("could not reach {url}: {cause}")]
    Unreachable {
        /// The server's address.
        url: Url,
        /// What was met.
        cause: String,
    },
    /// The server took a request and did not answer in time.
    #[error("{url} did not answer within {} s", .limit.as_secs())]
    TimedOut {
        /// The server's address.
        url: Url,
        /// How long it had.
        limit: Duration,
    },
    /// The server answered with an error.
    #[error("{message}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The server's word for it.
        code: String,
        /// The server's sentence about it.
        message: String,
    },
    /// What answers there is no Popsicle server.
    #[error("what answers at {url} is not a Popsicle server: {found}")]
    NotPopsicle {
        /// The server's address.
        url: Url,
        /// What it answered instead.
        found: String,
    },
    /// The connection was lost in the middle of an answer.
    #[error("lost the connection to {url}: {cause}")]
    Lost {
        /// The server's address.
        url: Url,
        /// What was met.
        cause: String,
    },
}

impl ClientError {
    /// What to do about it, where that is known.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::BadUrl { .. } => {
                Some("write it as http://host:port, with --server-url or POPSICLE_SERVER_URL")
            }
            Self::Unreachable { .. } => Some(
                "is `popsicle serve` running there? name another server with --server-url or POPSICLE_SERVER_URL",
            ),
            Self::NotPopsicle { .. } => {
                Some("name the right server with --server-url or POPSICLE_SERVER_URL")
            }
            Self::TimedOut { .. } | Self::Lost { .. } => {
                Some("try again; the server's own log says more")
            }
            Self::Refused { status: 401, .. } => {
                Some("set POPSICLE_TOKEN, or name a file that holds the token with --token-file")
            }
            Self::BadToken => Some("a token looks like pop_1_0123abcd…"),
            Self::Setup(_) | Self::Refused { .. } => None,
        }
    }

    /// Whether the server knows no such thing.
    pub fn is_not_found(&self) -> bool {
        match self {
            Self::Refused { status, .. } => *status == 404,
            Self::BadUrl { .. }
            | Self::BadToken
            | Self::Setup(_)
            | Self::Unreachable { .. }
            | Self::TimedOut { .. }
            | Self::NotPopsicle { .. }
            | Self::Lost { .. } => false,
        }
    }

    /// Whether the same request may go well in a moment: the server restarts, or the network stumbled.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::TimedOut { .. } | Self::Lost { .. } => true,
            Self::Refused { status, .. } => matches!(status, 429 | 502..=504),
            Self::BadUrl { .. } | Self::BadToken | Self::Setup(_) | Self::NotPopsicle { .. } => {
                false
            }
        }
    }
}

/// The innermost cause, which says what really happened ("Connection refused").
pub(crate) fn root_cause(error: &(dyn Error + 'static)) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
