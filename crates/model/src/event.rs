//! What changed. Each event is stored in the transaction of its change, then told on the feed.

use serde::{Deserialize, Serialize};

use crate::{EventId, JobId, JobUuid, PipelineId, Status, StepState, Timestamp};

/// One change, with its place in the one sequence of all changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Its place; ids grow, in the order in which the changes were stored.
    pub id: EventId,
    /// When it happened.
    pub at: Timestamp,
    /// Whose change.
    pub pipeline: PipelineId,
    /// What changed.
    #[serde(flatten)]
    pub body: EventBody,
}

/// What changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum EventBody {
    /// A pipeline has another status; its first one too.
    Pipeline {
        /// The new one.
        status: Status,
        /// Why, where it ended without success.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// A job has another status, or another attempt; its first one too.
    Job {
        /// Which.
        job: JobId,
        /// The same job, as clients that follow it call it.
        uuid: JobUuid,
        /// Its name.
        name: String,
        /// Its workflow's.
        workflow: String,
        /// The new one.
        status: Status,
        /// Its current or last attempt; 0 before the first.
        attempt: u32,
        /// What decided its end, where an exit code did.
        #[serde(skip_serializing_if = "Option::is_none")]
        exit_code: Option<i32>,
        /// Why, where it ended without success.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// A step began, ended, or was passed over.
    Step {
        /// Whose.
        job: JobId,
        /// In which attempt.
        attempt: u32,
        /// Its place in the job, from 0.
        index: u32,
        /// Its name.
        name: String,
        /// Where it is now.
        step: StepState,
    },
}
