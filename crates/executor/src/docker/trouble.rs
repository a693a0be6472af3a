//! What an error of the daemon's API means to us.

use bollard::errors::Error;

use crate::ExecutorError;

/// What an error means, as far as it decides what to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// There is no such container, image or file (404).
    Missing,
    /// It is there already, or not in the state for that (409).
    Conflict,
    /// The request can't be granted as it is (any other 4xx).
    Refused,
    /// The daemon met a fault of its own (5xx, or told of in the middle of an answer).
    Fault,
    /// No answer, or half of one: the daemon is gone, or going.
    Lost,
}

impl Trouble {
    /// Classifies `error`.
    pub(super) fn of(error: &Error) -> Self {
        if let Error::DockerResponseServerError {
            status_code,
            message,
        } = error
        {
            match status_code {
                404 => Self::Missing,
                409 => Self::Conflict,
                // Podman's way.
                500 if message.contains("name is already in use") => Self::Conflict,
                400..=499 => Self::Refused,
                _ => Self::Fault,
            }
        } else if let Error::DockerStreamError { .. } = error {
            Self::Fault
        } else {
            Self::Lost
        }
    }
}

/// What the daemon said, or else the innermost cause of why it said nothing.
pub(super) fn words(error: &Error) -> String {
    if let Error::DockerResponseServerError { message, .. } = error {
        return message.trim().to_owned();
    }
    if let Error::DockerStreamError { error } = error {
        return error.trim().to_owned();
    }
    if let Error::RequestTimeoutError = error {
        return "it did not answer in time".to_owned();
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// Why a launch failed.
#[derive(Debug)]
pub(super) struct Failure {
    /// The reason.
    pub(super) error: ExecutorError,
    /// Whether the daemon gave no answer, so that the same may succeed once it is back.
    pub(super) is_away: bool,
}

impl Failure {
    /// Of the daemon's, met while doing `what`.
    pub(super) fn new(what: impl Into<String>, error: &Error) -> Self {
        Self {
            error: unavailable(what, error),
            is_away: Trouble::of(error) == Trouble::Lost,
        }
    }
}

impl From<ExecutorError> for Failure {
    fn from(error: ExecutorError) -> Self {
        Self {
            error,
            is_away: false,
        }
    }
}

impl From<Failure> for ExecutorError {
    fn from(failure: Failure) -> Self {
        failure.error
    }
}

/// `error` as a fault of the daemon, met while doing `what`.
pub(super) fn unavailable(what: impl Into<String>, error: &Error) -> ExecutorError {
    ExecutorError::Unavailable {
        what: what.into(),
        cause: words(error),
    }
}
