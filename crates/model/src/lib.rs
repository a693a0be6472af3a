//! The nouns of Popsicle and the rules between them.
//!
//! Everyone may use this crate and it uses no one: no I/O, no async, no SQL, no clock. Time and
//! randomness come in as values, so that every rule here can be tested with a list and a number.
#![forbid(unsafe_code)]

mod event;
mod graph;
mod hosted;
mod id;
mod job;
mod name;
mod outcome;
mod pipeline;
mod plan;
mod report;
mod secret;
mod step;
mod time;
mod token;
mod trigger;
mod turn;

pub use event::{Event, EventBody};
pub use graph::{Node, NotRetriable, Readiness, retry, settle};
pub use hosted::HostedName;
pub use id::{
    AttemptKey, EventId, JobId, JobUuid, ParseIdError, PipelineId, RepoId, ReportId, RunnerId,
    TokenId,
};
pub use job::{IllegalTransition, JobEvent, JobState, advance};
pub use name::{CommitSha, ContextName, GitRef, InvalidName, RepoName, VariableName};
pub use outcome::{CancelReason, Failure, Fault, FaultKind, Outcome, OutcomeKind};
pub use pipeline::{PipelineState, Preparation, pipeline_state};
pub use plan::{
    BranchFilter, BuildSpec, Concurrency, DEFAULT_WORKING_DIRECTORY, ForeignSystem, ImageAuth,
    ImageSpec, JobKind, JobSpec, Plan, Requirement, RunStep, RunsIn, Schedule, StepAction,
    StepSpec, StepWhen, WorkflowSpec,
};
pub use report::{CommitState, CommitStatus};
pub use secret::{SecretOwner, SecretValue};
pub use step::StepState;
pub use time::Timestamp;
pub use token::TokenScope;
pub use trigger::{
    Delivery, ForgeKind, Origin, ParameterValue, PullRequest, Rerun, RerunFrom, Trigger,
    TriggerKind,
};
pub use turn::Turn;

/// The words that the outside uses for how far a pipeline or a job is.
///
/// Inside, how far ([`JobState`]) and how it ended ([`Outcome`]) are two types; this one is made of
/// them at the edge and never decides anything.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Waits for jobs that it requires.
    Blocked,
    /// Waits for a person's approval.
    OnHold,
    /// Could run as soon as there is room.
    Queued,
    /// Runs.
    Running,
    /// Ended well.
    Success,
    /// Ended because what the user asked for went wrong.
    Failure,
    /// Ended because of a fault of ours or of the machine.
    Error,
    /// Ended because somebody said so.
    Canceled,
    /// Never started, because something that it requires did not end as required.
    Skipped,
}

impl Status {
    /// Every status, in the order of a job's life.
    pub const ALL: [Self; 9] = [
        Self::Blocked,
        Self::OnHold,
        Self::Queued,
        Self::Running,
        Self::Success,
        Self::Failure,
        Self::Error,
        Self::Canceled,
        Self::Skipped,
    ];

    /// The word as JSON, tables and URLs have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Blocked => "blocked",
            Self::OnHold => "on_hold",
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Error => "error",
            Self::Canceled => "canceled",
            Self::Skipped => "skipped",
        }
    }

    /// Whether nothing more will happen.
    pub fn is_ended(self) -> bool {
        match self {
            Self::Blocked | Self::OnHold | Self::Queued | Self::Running => false,
            Self::Success | Self::Failure | Self::Error | Self::Canceled | Self::Skipped => true,
        }
    }
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

impl std::str::FromStr for Status {
    type Err = InvalidName;

    fn from_str(s: &str) -> Result<Self, InvalidName> {
        Self::ALL
            .into_iter()
            .find(|status| status.as_str() == s)
            .ok_or_else(|| InvalidName::new("status", s, "it is none of blocked, on_hold, queued, running, success, failure, error, canceled, skipped"))
    }
}
