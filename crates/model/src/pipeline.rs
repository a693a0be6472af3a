//! A pipeline's state, computed from how its preparation went and where its jobs are.

use serde::{Deserialize, Serialize};

use crate::{JobState, OutcomeKind, Status, Timestamp};

/// How far a pipeline is on its way from a trigger to stored jobs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "preparation", rename_all = "snake_case")]
pub enum Preparation {
    /// Stored; nobody has fetched its code yet.
    Waiting,
    /// Its code is being fetched and its config compiled.
    Preparing {
        /// Since when.
        since: Timestamp,
    },
    /// Its jobs are stored.
    Planned {
        /// When.
        at: Timestamp,
    },
    /// It has no jobs and never will.
    Ended {
        /// `Failure` for what the user can mend, `Error` for our own faults, `Canceled`.
        outcome: OutcomeKind,
        /// Why, for people; may have several lines.
        reason: String,
        /// When.
        at: Timestamp,
    },
}

/// How far a pipeline is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PipelineState {
    /// Nothing of it has started.
    Queued,
    /// Something of it runs, or can.
    Running,
    /// Only a person can make it go on.
    OnHold,
    /// Nothing more will happen.
    Ended(OutcomeKind),
}

impl PipelineState {
    /// The one word for it.
    pub fn status(self) -> Status {
        match self {
            Self::Queued => Status::Queued,
            Self::Running => Status::Running,
            Self::OnHold => Status::OnHold,
            Self::Ended(kind) => kind.status(),
        }
    }
}

/// The state of a pipeline (or of one workflow, given only its jobs).
///
/// Ended: a failure weighs more than an error, an error more than a cancel; what was skipped weighs
/// nothing, since the reason for it weighs already.
pub fn pipeline_state<'a>(
    preparation: &Preparation,
    jobs: impl IntoIterator<Item = &'a JobState>,
) -> PipelineState {
    match preparation {
        Preparation::Waiting | Preparation::Preparing { .. } => return PipelineState::Queued,
        Preparation::Ended { outcome, .. } => return PipelineState::Ended(*outcome),
        Preparation::Planned { .. } => {}
    }
    let mut started = false;
    let mut statuses: Vec<Status> = jobs
        .into_iter()
        .map(|job| {
            // One that waits for its second attempt has started too.
            started |= job.status().is_ended() || job.attempt() > 0;
            job.status()
        })
        .collect();
    statuses.sort_unstable();
    statuses.dedup();
    let any = |status| statuses.contains(&status);
    if any(Status::Running) {
        PipelineState::Running
    } else if any(Status::Queued) {
        if started {
            PipelineState::Running
        } else {
            PipelineState::Queued
        }
    } else if any(Status::OnHold) || any(Status::Blocked) {
        PipelineState::OnHold
    } else if any(Status::Failure) {
        PipelineState::Ended(OutcomeKind::Failure)
    } else if any(Status::Error) {
        PipelineState::Ended(OutcomeKind::Error)
    } else if any(Status::Canceled) {
        PipelineState::Ended(OutcomeKind::Canceled)
    } else {
        PipelineState::Ended(OutcomeKind::Success)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CancelReason, Failure, Outcome, RunnerId};

    fn state(word: &str) -> JobState {
        let ended = |outcome| JobState::Ended {
            outcome,
            at: Timestamp::default(),
            started: None,
            attempts: 1,
        };
        match word {
            "blocked" => JobState::Blocked,
            "on_hold" => JobState::OnHold,
            "queued" => JobState::Queued {
                since: Timestamp::default(),
                attempt: 1,
            },
            "retried" => JobState::Queued {
                since: Timestamp::default(),
                attempt: 2,
            },
            "running" => JobState::Running {
                on: RunnerId(1),
                attempt: 1,
                since: Timestamp::default(),
                stopping: None,
            },
            "success" => ended(Outcome::Success),
            "failure" => ended(Outcome::Failure(Failure::OutOfMemory)),
            "canceled" => ended(Outcome::Canceled(CancelReason::Interrupted)),
            "skipped" => ended(Outcome::Skipped {
                because_of: "x".into(),
            }),
            other => panic!("no such word: {other}"),
        }
    }

    #[test]
    fn a_pipeline_is_what_its_jobs_are() {
        let planned = Preparation::Planned {
            at: Timestamp::default(),
        };
        for (jobs, want) in [
            ("", "success"),
            ("queued blocked", "queued"),
            ("running blocked", "running"),
            ("success queued", "running"),
            ("retried", "running"),
            ("retried blocked", "running"),
            ("success on_hold blocked", "on_hold"),
            ("success on_hold running", "running"),
            ("success success", "success"),
            ("success failure skipped", "failure"),
            ("failure running", "running"),
            ("canceled failure", "failure"),
            ("canceled success", "canceled"),
            ("success skipped", "success"),
        ] {
            let jobs: Vec<_> = jobs.split_whitespace().map(state).collect();
            assert_eq!(
                pipeline_state(&planned, &jobs).status().as_str(),
                want,
                "{jobs:?}"
            );
        }
    }

    #[test]
    fn without_jobs_the_preparation_decides() {
        let none: [&JobState; 0] = [];
        assert_eq!(
            pipeline_state(&Preparation::Waiting, none),
            PipelineState::Queued
        );
        let failed = Preparation::Ended {
            outcome: OutcomeKind::Failure,
            reason: "no config".into(),
            at: Timestamp::default(),
        };
        assert_eq!(
            pipeline_state(&failed, none),
            PipelineState::Ended(OutcomeKind::Failure)
        );
    }
}
