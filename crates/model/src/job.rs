//! How far a job is, and the one door between its states.

use serde::{Deserialize, Serialize};

use crate::{CancelReason, Outcome, RunnerId, Status, Timestamp};

/// How far a job is. Each state carries what is true only in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum JobState {
    /// Waits for the jobs that it requires.
    Blocked,
    /// Waits for a person's approval.
    OnHold,
    /// Waits for room on a runner.
    Queued {
        /// Since when.
        since: Timestamp,
        /// The number that its next attempt will have: 1, 2, 3 …
        attempt: u32,
    },
    /// A runner has it.
    Running {
        /// Who runs it.
        on: RunnerId,
        /// Which attempt this is.
        attempt: u32,
        /// Since when.
        since: Timestamp,
        /// Set once somebody asked for its end; the runner stops it and then reports it ended.
        stopping: Option<CancelReason>,
    },
    /// Nothing more will happen.
    Ended {
        /// How.
        outcome: Outcome,
        /// When.
        at: Timestamp,
        /// When its last attempt began, if it ever ran.
        started: Option<Timestamp>,
        /// How many attempts it had.
        attempts: u32,
    },
}

/// What can happen to a job.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "`at` is always the moment of the event")]
pub enum JobEvent {
    /// Everything that it requires ended as required.
    Ready { at: Timestamp },
    /// The same, for a job that waits for a person.
    Hold,
    /// The same, for a job that has nothing to run.
    Pass { at: Timestamp },
    /// A person approved of it.
    Approve { at: Timestamp },
    /// A job that it requires did not end as required.
    Skip { because_of: String, at: Timestamp },
    /// A runner took it.
    Claim { by: RunnerId, at: Timestamp },
    /// Its attempt ended.
    Finish { outcome: Outcome, at: Timestamp },
    /// Its attempt was lost through no fault of its own, and it may have another.
    Lose { at: Timestamp },
    /// Somebody asked for its end.
    Cancel { reason: CancelReason, at: Timestamp },
    /// It ended without success, and is to have another attempt.
    Retry { at: Timestamp },
    /// It ended without ever having started, and is to wait again for what it requires.
    Reopen,
}

/// An event that can't happen to a job in that state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a job that is {from} can't {event}")]
pub struct IllegalTransition {
    from: Status,
    event: &'static str,
}

/// The only door from one state to the next.
///
/// # Errors
/// [`IllegalTransition`] where the event can't happen in that state; the state stays as it was.
pub fn advance(state: &JobState, event: JobEvent) -> Result<JobState, IllegalTransition> {
    use JobEvent as E;
    use JobState as S;
    let ended = |outcome, at, started, attempts| S::Ended {
        outcome,
        at,
        started,
        attempts,
    };
    Ok(match (state, event) {
        (S::Blocked, E::Ready { at }) => S::Queued {
            since: at,
            attempt: 1,
        },
        (S::Blocked, E::Hold) => S::OnHold,
        (S::Blocked, E::Pass { at }) => ended(Outcome::Success, at, None, 0),
        (S::Blocked, E::Skip { because_of, at }) => {
            ended(Outcome::Skipped { because_of }, at, None, 0)
        }
        (S::OnHold, E::Approve { at }) => ended(Outcome::Success, at, None, 0),
        (S::Queued { attempt, .. }, E::Claim { by, at }) => S::Running {
            on: by,
            attempt: *attempt,
            since: at,
            stopping: None,
        },
        (
            S::Running {
                attempt,
                since,
                stopping,
                ..
            },
            E::Finish { outcome, at },
        ) => {
            let outcome = match stopping {
                Some(reason) => Outcome::Canceled(reason.clone()),
                None => outcome,
            };
            ended(outcome, at, Some(*since), *attempt)
        }
        (
            S::Running {
                attempt,
                since,
                stopping,
                ..
            },
            E::Lose { at },
        ) => match stopping {
            Some(reason) => ended(
                Outcome::Canceled(reason.clone()),
                at,
                Some(*since),
                *attempt,
            ),
            None => S::Queued {
                since: at,
                attempt: attempt.saturating_add(1),
            },
        },
        (S::Blocked | S::OnHold, E::Cancel { reason, at }) => {
            ended(Outcome::Canceled(reason), at, None, 0)
        }
        (S::Queued { attempt, .. }, E::Cancel { reason, at }) => ended(
            Outcome::Canceled(reason),
            at,
            None,
            attempt.saturating_sub(1),
        ),
        (
            S::Running {
                on,
                attempt,
                since,
                stopping,
            },
            E::Cancel { reason, .. },
        ) => S::Running {
            on: *on,
            attempt: *attempt,
            since: *since,
            stopping: Some(stopping.clone().unwrap_or(reason)),
        },
        (
            S::Ended {
                outcome: Outcome::Failure(_) | Outcome::Error(_) | Outcome::Canceled(_),
                attempts: attempts @ 1..,
                ..
            },
            E::Retry { at },
        ) => S::Queued {
            since: at,
            attempt: attempts.saturating_add(1),
        },
        (
            S::Ended {
                outcome: Outcome::Skipped { .. } | Outcome::Canceled(_),
                attempts: 0,
                ..
            },
            E::Reopen,
        ) => S::Blocked,
        (
            S::Blocked | S::OnHold | S::Queued { .. } | S::Running { .. } | S::Ended { .. },
            event,
        ) => {
            return Err(IllegalTransition {
                from: state.status(),
                event: event.verb(),
            });
        }
    })
}

impl JobState {
    /// The one word for it.
    pub fn status(&self) -> Status {
        match self {
            Self::Blocked => Status::Blocked,
            Self::OnHold => Status::OnHold,
            Self::Queued { .. } => Status::Queued,
            Self::Running { .. } => Status::Running,
            Self::Ended { outcome, .. } => outcome.kind().status(),
        }
    }

    /// How it ended, if it did.
    pub fn outcome(&self) -> Option<&Outcome> {
        match self {
            Self::Ended { outcome, .. } => Some(outcome),
            Self::Blocked | Self::OnHold | Self::Queued { .. } | Self::Running { .. } => None,
        }
    }

    /// When its current or last attempt began.
    pub fn started(&self) -> Option<Timestamp> {
        match self {
            Self::Running { since, .. } => Some(*since),
            Self::Ended { started, .. } => *started,
            Self::Blocked | Self::OnHold | Self::Queued { .. } => None,
        }
    }

    /// When it ended.
    pub fn ended(&self) -> Option<Timestamp> {
        match self {
            Self::Ended { at, .. } => Some(*at),
            Self::Blocked | Self::OnHold | Self::Queued { .. } | Self::Running { .. } => None,
        }
    }

    /// The number of its current or last attempt; 0 before the first.
    pub fn attempt(&self) -> u32 {
        match self {
            Self::Blocked | Self::OnHold => 0,
            Self::Queued { attempt, .. } => attempt.saturating_sub(1),
            Self::Running { attempt, .. } => *attempt,
            Self::Ended { attempts, .. } => *attempts,
        }
    }
}

impl JobEvent {
    fn verb(&self) -> &'static str {
        match self {
            Self::Ready { .. } => "become ready",
            Self::Hold => "be put on hold",
            Self::Pass { .. } => "pass",
            Self::Approve { .. } => "be approved",
            Self::Skip { .. } => "be skipped",
            Self::Claim { .. } => "be claimed",
            Self::Finish { .. } => "finish",
            Self::Lose { .. } => "be lost",
            Self::Cancel { .. } => "be canceled",
            Self::Retry { .. } => "be retried",
            Self::Reopen => "be reopened",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Failure, Fault, FaultKind};

    const T: fn(i64) -> Timestamp = Timestamp::from_millis;

    fn asked() -> CancelReason {
        CancelReason::Requested { by: None }
    }

    fn states() -> Vec<JobState> {
        let running = |stopping| JobState::Running {
            on: RunnerId(1),
            attempt: 2,
            since: T(20),
            stopping,
        };
        vec![
            JobState::Blocked,
            JobState::OnHold,
            JobState::Queued {
                since: T(10),
                attempt: 2,
            },
            running(None),
            running(Some(CancelReason::Interrupted)),
            ended(Outcome::Success, 2),
            ended(Outcome::Failure(Failure::OutOfMemory), 2),
            ended(
                Outcome::Error(Fault {
                    kind: FaultKind::Lost,
                    message: "the machine is gone".into(),
                }),
                2,
            ),
            ended(Outcome::Canceled(asked()), 2),
            ended(Outcome::Canceled(asked()), 0),
            ended(
                Outcome::Skipped {
                    because_of: "build".into(),
                },
                0,
            ),
        ]
    }

    fn ended(outcome: Outcome, attempts: u32) -> JobState {
        JobState::Ended {
            outcome,
            at: T(30),
            started: (attempts > 0).then_some(T(20)),
            attempts,
        }
    }

    fn events() -> Vec<JobEvent> {
        let at = T(40);
        vec![
            JobEvent::Ready { at },
            JobEvent::Hold,
            JobEvent::Pass { at },
            JobEvent::Approve { at },
            JobEvent::Skip {
                because_of: "build".into(),
                at,
            },
            JobEvent::Claim {
                by: RunnerId(3),
                at,
            },
            JobEvent::Finish {
                outcome: Outcome::Failure(Failure::OutOfMemory),
                at,
            },
            JobEvent::Lose { at },
            JobEvent::Cancel {
                reason: asked(),
                at,
            },
            JobEvent::Retry { at },
            JobEvent::Reopen,
        ]
    }

    /// Every pair of state and event, written out; `-` is refused.
    #[test]
    fn every_pair_of_state_and_event() {
        // ready hold pass approve skip claim finish lose cancel retry reopen
        let expected = [
            (
                "blocked",
                [
                    "queued", "on_hold", "success", "-", "skipped", "-", "-", "-", "canceled", "-",
                    "-",
                ],
            ),
            (
                "on_hold",
                [
                    "-", "-", "-", "success", "-", "-", "-", "-", "canceled", "-", "-",
                ],
            ),
            (
                "queued",
                [
                    "-", "-", "-", "-", "-", "running", "-", "-", "canceled", "-", "-",
                ],
            ),
            (
                "running",
                [
                    "-", "-", "-", "-", "-", "-", "failure", "queued", "running", "-", "-",
                ],
            ),
            (
                "stopping",
                [
                    "-", "-", "-", "-", "-", "-", "canceled", "canceled", "running", "-", "-",
                ],
            ),
            (
                "success",
                ["-", "-", "-", "-", "-", "-", "-", "-", "-", "-", "-"],
            ),
            (
                "failure",
                ["-", "-", "-", "-", "-", "-", "-", "-", "-", "queued", "-"],
            ),
            (
                "error",
                ["-", "-", "-", "-", "-", "-", "-", "-", "-", "queued", "-"],
            ),
            (
                "canceled",
                ["-", "-", "-", "-", "-", "-", "-", "-", "-", "queued", "-"],
            ),
            (
                "canceled before it started",
                ["-", "-", "-", "-", "-", "-", "-", "-", "-", "-", "blocked"],
            ),
            (
                "skipped",
                ["-", "-", "-", "-", "-", "-", "-", "-", "-", "-", "blocked"],
            ),
        ];
        assert_eq!(states().len(), expected.len());
        for (state, (name, row)) in states().iter().zip(expected) {
            for (event, want) in events().into_iter().zip(row) {
                let verb = event.verb();
                let got = advance(state, event).map_or("-", |next| next.status().as_str());
                assert_eq!(got, want, "{name}, {verb}");
            }
        }
    }

    #[test]
    fn a_lost_attempt_is_followed_by_the_next() {
        let running = &states()[3];
        let queued = advance(running, JobEvent::Lose { at: T(40) });
        assert_eq!(
            queued,
            Ok(JobState::Queued {
                since: T(40),
                attempt: 3
            })
        );
    }

    #[test]
    fn a_retried_job_is_queued_for_its_next_attempt() {
        let failed = ended(Outcome::Failure(Failure::OutOfMemory), 2);
        let queued = advance(&failed, JobEvent::Retry { at: T(40) });
        assert_eq!(
            queued,
            Ok(JobState::Queued {
                since: T(40),
                attempt: 3
            })
        );
    }

    #[test]
    fn the_first_reason_to_cancel_stays() {
        let stopping = &states()[4];
        let again = advance(
            stopping,
            JobEvent::Cancel {
                reason: asked(),
                at: T(40),
            },
        )
        .unwrap();
        assert_eq!(&again, stopping);
        let ended = advance(
            &again,
            JobEvent::Finish {
                outcome: Outcome::Success,
                at: T(50),
            },
        );
        assert_eq!(
            ended.unwrap().outcome(),
            Some(&Outcome::Canceled(CancelReason::Interrupted))
        );
    }

    #[test]
    fn a_refusal_reads_well() {
        let refused = advance(&JobState::Blocked, JobEvent::Lose { at: T(1) }).unwrap_err();
        assert_eq!(refused.to_string(), "a job that is blocked can't be lost");
    }

    #[test]
    fn states_survive_json() {
        for state in states() {
            let json = serde_json::to_string(&state).unwrap();
            assert_eq!(
                serde_json::from_str::<JobState>(&json).unwrap(),
                state,
                "{json}"
            );
        }
    }
}
