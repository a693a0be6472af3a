//! Identifiers as types of their own, so that a job's number can't be taken for a pipeline's.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A text that should have been an identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a {what}")]
pub struct ParseIdError {
    what: &'static str,
    text: String,
}

macro_rules! number_id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub i64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(s: &str) -> Result<Self, ParseIdError> {
                match s.parse() {
                    Ok(number) if number > 0 => Ok(Self(number)),
                    _ => Err(ParseIdError { what: $what, text: s.to_owned() }),
                }
            }
        }
    };
}

number_id!(
    /// A pipeline's number: 1, 2, 3 … over the whole server.
    PipelineId,
    "pipeline number"
);
number_id!(
    /// A job's number over the whole server.
    JobId,
    "job number"
);
number_id!(
    /// A runner's number.
    RunnerId,
    "runner number"
);
number_id!(
    /// A token's number; no secret.
    TokenId,
    "token number"
);
number_id!(
    /// An event's place in the one sequence of all events.
    EventId,
    "event number"
);
number_id!(
    /// An outbox row's number.
    ReportId,
    "report number"
);
number_id!(
    /// A hosted repository's number.
    RepoId,
    "repository number"
);

/// A job's name towards clients that follow it, and towards executors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobUuid(pub Uuid);

impl fmt::Display for JobUuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl FromStr for JobUuid {
    type Err = ParseIdError;

    fn from_str(s: &str) -> Result<Self, ParseIdError> {
        Uuid::parse_str(s).map(Self).map_err(|_| ParseIdError {
            what: "job id (a UUID)",
            text: s.to_owned(),
        })
    }
}

/// One execution of a job: what folders and containers are named after.
///
/// Written `<uuid>.<attempt>`, for example `550e8400-e29b-41d4-a716-446655440000.1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AttemptKey {
    /// The job.
    pub job: JobUuid,
    /// Which of its executions: 1, 2, 3 …
    pub attempt: u32,
}

impl fmt::Display for AttemptKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.job, self.attempt)
    }
}

impl FromStr for AttemptKey {
    type Err = ParseIdError;

    fn from_str(s: &str) -> Result<Self, ParseIdError> {
        s.split_once('.')
            .and_then(|(job, attempt)| {
                Some(Self {
                    job: job.parse().ok()?,
                    attempt: attempt.parse().ok()?,
                })
            })
            .ok_or_else(|| ParseIdError {
                what: "attempt",
                text: s.to_owned(),
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_read_what_they_write_and_refuse_the_rest() {
        assert_eq!("7".parse(), Ok(PipelineId(7)));
        for bad in ["", "0", "-1", "1.5", "seven", "99999999999999999999"] {
            assert!(bad.parse::<PipelineId>().is_err(), "{bad}");
        }
        let key = AttemptKey {
            job: JobUuid(Uuid::from_u128(5)),
            attempt: 2,
        };
        assert_eq!(key.to_string().parse(), Ok(key));
        assert!("x.1".parse::<AttemptKey>().is_err());
    }
}
