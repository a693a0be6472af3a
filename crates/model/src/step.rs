//! How far a step of a running job is.

use serde::{Deserialize, Serialize};

use crate::{Status, Timestamp};

/// How far a step is, as its markers in the job's output tell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum StepState {
    /// Runs.
    Running {
        /// Since when.
        since: Timestamp,
    },
    /// Ran.
    Ended {
        /// Since when it had run.
        since: Timestamp,
        /// When it ended.
        at: Timestamp,
        /// What it ended with.
        exit_code: i32,
    },
    /// Did not run, because of its `when` and of how earlier steps went.
    Skipped,
}

impl StepState {
    /// The one word for it.
    pub fn status(&self) -> Status {
        match self {
            Self::Running { .. } => Status::Running,
            Self::Ended { exit_code: 0, .. } => Status::Success,
            Self::Ended { .. } => Status::Failure,
            Self::Skipped => Status::Skipped,
        }
    }
}
