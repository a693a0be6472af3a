//! How an attempt ends: with its job, or as lost; and what comes of each problem on the way.

use std::io;

use executor::ExecutorError;
use model::{Failure, Fault, FaultKind, Outcome};
use store::StoreError;

use super::chain;
use crate::secrets::NoGrant;

/// How an attempt ended.
pub(super) enum Ending {
    /// The job is over.
    Outcome(Outcome),
    /// By no fault of the job's: what runs it was lost or let us down. The job may have another attempt.
    Lost(Fault),
}

impl Ending {
    /// The container is gone, or never was.
    pub(super) fn gone(why: impl Into<String>) -> Self {
        Self::Lost(Fault {
            kind: FaultKind::Lost,
            message: why.into(),
        })
    }
}

/// Why an attempt could not be conducted to its end.
pub(super) enum Problem {
    Executor(ExecutorError),
    Store(StoreError),
    Dir(io::Error),
    Start(String),
    /// What the job was to be given, or was given, can't be read.
    Secrets(String),
    /// The executor that started the job is switched off.
    Gone(String),
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<ExecutorError> for Problem {
    fn from(error: ExecutorError) -> Self {
        Self::Executor(error)
    }
}

impl From<NoGrant> for Problem {
    fn from(why: NoGrant) -> Self {
        match why {
            NoGrant::Refused(message) => Self::Start(message),
            NoGrant::Unreadable(error) => {
                Self::Secrets(format!("the job can't have its secrets: {}", chain(&error)))
            }
        }
    }
}

impl Problem {
    pub(super) fn into_ending(self) -> Ending {
        let fault = |kind, message| Ending::Outcome(Outcome::Error(Fault { kind, message }));
        match self {
            Self::Start(message) | Self::Executor(ExecutorError::Rejected(message)) => {
                Ending::Outcome(Outcome::Failure(Failure::Start { message }))
            }
            Self::Executor(error @ ExecutorError::Vanished) => Ending::gone(error.to_string()),
            Self::Executor(
                error @ (ExecutorError::Unavailable { .. } | ExecutorError::Io { .. }),
            ) => Ending::Lost(Fault {
                kind: FaultKind::Executor,
                message: chain(&error),
            }),
            Self::Store(error) => fault(
                FaultKind::Storage,
                format!("could not store the job's log: {}", chain(&error)),
            ),
            Self::Dir(error) => Ending::Lost(Fault {
                kind: FaultKind::Storage,
                message: format!("could not make the job's folder: {error}"),
            }),
            Self::Secrets(message) => fault(FaultKind::Storage, message),
            Self::Gone(executor) => fault(
                FaultKind::Executor,
                format!(
                    "the job was started by the executor `{executor}`, which this server does not use"
                ),
            ),
        }
    }
}
