//! How a job ended, and why.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{PipelineId, Status};

/// How a job ended, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", content = "why", rename_all = "snake_case")]
pub enum Outcome {
    /// All its steps went well.
    Success,
    /// What the user asked for went wrong.
    Failure(Failure),
    /// We, or the machine, went wrong.
    Error(Fault),
    /// Somebody said so.
    Canceled(CancelReason),
    /// It never started: the named required job did not end as required.
    Skipped {
        /// The required job's name.
        because_of: String,
    },
}

/// An [`Outcome`] without its reason: what `requires` can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the same words as `Outcome`")]
pub enum OutcomeKind {
    Success,
    Failure,
    Error,
    Canceled,
    Skipped,
}

/// What of the user's went wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "failure", rename_all = "snake_case")]
pub enum Failure {
    /// A step ended with an exit code other than 0.
    Step {
        /// Its place in the job, from 0.
        index: u32,
        /// Its name.
        name: String,
        /// What it ended with.
        exit_code: i32,
    },
    /// The job could not be started as asked: no such image, say.
    Start {
        /// What was wrong with it, for people.
        message: String,
    },
    /// The job's first process was killed from outside, or left by itself outside any step.
    Exit {
        /// Its exit code; 128 + the signal's number where a signal ended it.
        exit_code: i32,
    },
    /// The job used more memory than it may.
    OutOfMemory,
    /// A step wrote nothing for longer than it may, and was ended.
    Silent {
        /// Its place in the job, from 0.
        index: u32,
        /// Its name.
        name: String,
        /// The limit, in milliseconds.
        limit_ms: u64,
    },
    /// The job took longer than it may.
    TimedOut {
        /// The limit, in milliseconds.
        limit_ms: u64,
    },
    /// The job wrote more output than it may.
    LogTooLong {
        /// The limit, in bytes.
        limit_bytes: u64,
    },
}

/// A fault of ours, or of the machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// Where.
    pub kind: FaultKind,
    /// What happened, for people.
    pub message: String,
}

/// Where a fault happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// The code could not be fetched or laid out.
    Source,
    /// The executor could not do its work.
    Executor,
    /// The log or the database could not be written.
    Storage,
    /// The machine or the container was lost.
    Lost,
    /// A bug.
    Internal,
}

/// Why a job was canceled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "cancel", rename_all = "snake_case")]
pub enum CancelReason {
    /// Somebody asked for it.
    Requested {
        /// Who, where that is known.
        by: Option<String>,
    },
    /// `popsicle run` was interrupted.
    Interrupted,
    /// There is a newer one of its kind, which waits for none: of its concurrency group or its branch.
    Superseded {
        /// The newer one's pipeline.
        by: PipelineId,
    },
}

impl Outcome {
    /// The outcome without its reason.
    pub fn kind(&self) -> OutcomeKind {
        match self {
            Self::Success => OutcomeKind::Success,
            Self::Failure(_) => OutcomeKind::Failure,
            Self::Error(_) => OutcomeKind::Error,
            Self::Canceled(_) => OutcomeKind::Canceled,
            Self::Skipped { .. } => OutcomeKind::Skipped,
        }
    }

    /// The exit code that decided it, where one did.
    pub fn exit_code(&self) -> Option<i32> {
        match self {
            Self::Success => Some(0),
            Self::Failure(Failure::Step { exit_code, .. } | Failure::Exit { exit_code }) => {
                Some(*exit_code)
            }
            Self::Failure(
                Failure::Start { .. }
                | Failure::OutOfMemory
                | Failure::Silent { .. }
                | Failure::TimedOut { .. }
                | Failure::LogTooLong { .. },
            )
            | Self::Error(_)
            | Self::Canceled(_)
            | Self::Skipped { .. } => None,
        }
    }

    /// Why, as a sentence for people; nothing for a success.
    pub fn reason(&self) -> Option<String> {
        match self {
            Self::Success => None,
            Self::Failure(failure) => Some(failure.to_string()),
            Self::Error(fault) => Some(fault.message.clone()),
            Self::Canceled(reason) => Some(reason.to_string()),
            Self::Skipped { because_of } => Some(format!(
                "it requires `{because_of}`, which did not end as required"
            )),
        }
    }
}

impl OutcomeKind {
    /// The one word for it.
    pub fn status(self) -> Status {
        match self {
            Self::Success => Status::Success,
            Self::Failure => Status::Failure,
            Self::Error => Status::Error,
            Self::Canceled => Status::Canceled,
            Self::Skipped => Status::Skipped,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Step {
                name, exit_code, ..
            } => {
                write!(f, "step \"{name}\" ended with exit code {exit_code}")
            }
            Self::Start { message } => f.write_str(message),
            Self::Exit { exit_code } => {
                write!(
                    f,
                    "the job's shell ended outside any step, with exit code {exit_code}"
                )
            }
            Self::OutOfMemory => f.write_str("the job used more memory than it may"),
            Self::Silent { name, limit_ms, .. } => {
                let limit = Limit(*limit_ms);
                write!(f, "step \"{name}\" wrote nothing for its limit of {limit}")
            }
            Self::TimedOut { limit_ms } => {
                write!(
                    f,
                    "the job took longer than its limit of {}",
                    Limit(*limit_ms)
                )
            }
            Self::LogTooLong { limit_bytes } => {
                write!(
                    f,
                    "the job wrote more output than its limit of {limit_bytes} bytes"
                )
            }
        }
    }
}

/// A time limit as people read it, from milliseconds.
struct Limit(u64);

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            whole if whole % 1000 == 0 => write!(f, "{} s", whole / 1000),
            broken => write!(f, "{broken} ms"),
        }
    }
}

impl fmt::Display for CancelReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Requested { by: Some(who) } => write!(f, "canceled by {who}"),
            Self::Requested { by: None } => f.write_str("canceled on request"),
            Self::Interrupted => f.write_str("interrupted"),
            Self::Superseded { by } => {
                write!(f, "superseded by pipeline {by}")
            }
        }
    }
}
