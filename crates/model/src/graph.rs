//! Which blocked jobs of a workflow can go on, given how the others ended; and which go back to being
//! blocked when one of those is to run again.

use std::collections::BTreeSet;

use crate::{JobEvent, JobKind, JobState, Outcome, OutcomeKind, Status, Timestamp, advance};

/// One job of a workflow, as far as its neighbours matter.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its name, for reasons.
    pub name: String,
    /// Where it is.
    pub state: JobState,
    /// What becomes of it once it is ready.
    pub readiness: Readiness,
    /// The jobs that it requires, by their place in the slice, and how each may end.
    pub requires: Vec<(usize, BTreeSet<OutcomeKind>)>,
}

/// What becomes of a job once all that it requires ended as required.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// It is queued.
    Runs,
    /// It waits for a person.
    WaitsForApproval,
    /// It has ended well: there is nothing to run.
    Passes,
}

impl Readiness {
    /// What becomes of a job of that kind.
    pub fn of(kind: &JobKind) -> Self {
        match kind {
            JobKind::Build(_) => Self::Runs,
            JobKind::Approval => Self::WaitsForApproval,
            JobKind::NoOp => Self::Passes,
        }
    }
}

/// What has to happen to blocked jobs, until nothing more follows; events in the order in which to
/// apply them, each with its job's place in `nodes`.
///
/// A job is ready when each required job ended in a way that is allowed; it is skipped as soon as
/// one ended otherwise. Jobs in other branches are left alone.
pub fn settle(nodes: &[Node], at: Timestamp) -> Vec<(usize, JobEvent)> {
    let mut states: Vec<JobState> = nodes.iter().map(|node| node.state.clone()).collect();
    let mut events = Vec::new();
    loop {
        let before = events.len();
        for (place, node) in nodes.iter().enumerate() {
            if states[place] != JobState::Blocked {
                continue;
            }
            let Some(event) = next_event(node, nodes, &states, at) else {
                continue;
            };
            if let Ok(next) = advance(&states[place], event.clone()) {
                states[place] = next;
                events.push((place, event));
            }
        }
        if events.len() == before {
            return events;
        }
    }
}

fn next_event(node: &Node, nodes: &[Node], states: &[JobState], at: Timestamp) -> Option<JobEvent> {
    let mut all_ended = true;
    for (required, allowed) in &node.requires {
        match states[*required].outcome() {
            Some(outcome) if allowed.contains(&outcome.kind()) => {}
            Some(_) => {
                return Some(JobEvent::Skip {
                    because_of: nodes[*required].name.clone(),
                    at,
                });
            }
            None => all_ended = false,
        }
    }
    all_ended.then_some(match node.readiness {
        Readiness::Runs => JobEvent::Ready { at },
        Readiness::WaitsForApproval => JobEvent::Hold,
        Readiness::Passes => JobEvent::Pass { at },
    })
}

/// Why a job can't have another attempt.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotRetriable {
    /// It may end well yet.
    #[error("job `{job}` has not ended yet: it is {status}; cancel it first")]
    NotEnded {
        /// Its name.
        job: String,
        /// How far it is.
        status: Status,
    },
    /// What requires it may have used what it made.
    #[error("job `{job}` went well, and others may have built on it; rerun the pipeline instead")]
    Succeeded {
        /// Its name.
        job: String,
    },
    /// It never had a turn.
    #[error("job `{job}` was skipped because of `{because_of}`; retry that one")]
    Skipped {
        /// Its name.
        job: String,
        /// The required job's.
        because_of: String,
    },
    /// It could not run even now.
    #[error("job `{job}` requires `{required}`, which is {status}; retry or await that one first")]
    Requires {
        /// Its name.
        job: String,
        /// The required job's.
        required: String,
        /// How far that one is.
        status: Status,
    },
    /// It ended without an attempt, by a fault that another would not mend.
    #[error("job `{job}` never came to run; rerun the pipeline instead")]
    NeverRan {
        /// Its name.
        job: String,
    },
}

/// What has to happen so that the job at `place` runs again in its pipeline; events in the order in
/// which to apply them, before [`settle`].
///
/// One that had an attempt gets the next; one that was canceled before it had any waits again. What was
/// skipped because of it, or because of such a one, waits again too. Nothing else is touched.
///
/// # Errors
/// [`NotRetriable`] where it did not fail, or where what it requires did not end as required.
pub fn retry(
    nodes: &[Node],
    place: usize,
    at: Timestamp,
) -> Result<Vec<(usize, JobEvent)>, NotRetriable> {
    let node = &nodes[place];
    let job = node.name.clone();
    let has_run = match &node.state {
        JobState::Blocked
        | JobState::OnHold
        | JobState::Queued { .. }
        | JobState::Running { .. } => {
            let status = node.state.status();
            return Err(NotRetriable::NotEnded { job, status });
        }
        JobState::Ended {
            outcome, attempts, ..
        } => match outcome {
            Outcome::Success => return Err(NotRetriable::Succeeded { job }),
            Outcome::Skipped { because_of } => {
                let because_of = because_of.clone();
                return Err(NotRetriable::Skipped { job, because_of });
            }
            Outcome::Failure(_) | Outcome::Error(_) if *attempts == 0 => {
                return Err(NotRetriable::NeverRan { job });
            }
            Outcome::Failure(_) | Outcome::Error(_) | Outcome::Canceled(_) => *attempts > 0,
        },
    };
    for (required, allowed) in &node.requires {
        let required = &nodes[*required];
        let stands_in_the_way = match required.state.outcome() {
            Some(outcome) => !allowed.contains(&outcome.kind()),
            // One that waits again waits for this one; one that is queued waits for nothing.
            None => has_run,
        };
        if stands_in_the_way {
            return Err(NotRetriable::Requires {
                job,
                required: required.name.clone(),
                status: required.state.status(),
            });
        }
    }
    let again = if has_run {
        JobEvent::Retry { at }
    } else {
        JobEvent::Reopen
    };
    let mut events = vec![(place, again)];
    let mut next = 0;
    while let Some((cause, _)) = events.get(next) {
        let cause = &nodes[*cause].name;
        let skipped: Vec<usize> = (0..nodes.len())
            .filter(|place| is_skipped_because_of(&nodes[*place].state, cause))
            .collect();
        events.extend(skipped.into_iter().map(|place| (place, JobEvent::Reopen)));
        next += 1;
    }
    Ok(events)
}

fn is_skipped_because_of(state: &JobState, name: &str) -> bool {
    matches!(state.outcome(), Some(Outcome::Skipped { because_of }) if because_of == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CancelReason, Failure};

    fn ended(outcome: Outcome) -> JobState {
        JobState::Ended {
            outcome,
            at: Timestamp::default(),
            started: None,
            attempts: 1,
        }
    }

    fn failed() -> JobState {
        ended(Outcome::Failure(Failure::OutOfMemory))
    }

    fn node(name: &str, state: JobState, requires: &[usize]) -> Node {
        let success = BTreeSet::from([OutcomeKind::Success]);
        Node {
            name: name.into(),
            state,
            readiness: Readiness::Runs,
            requires: requires
                .iter()
                .map(|place| (*place, success.clone()))
                .collect(),
        }
    }

    fn settled(nodes: &[Node]) -> Vec<Status> {
        let mut states: Vec<_> = nodes.iter().map(|n| n.state.clone()).collect();
        for (place, event) in settle(nodes, Timestamp::default()) {
            states[place] = advance(&states[place], event).unwrap();
        }
        states.iter().map(JobState::status).collect()
    }

    #[test]
    fn what_a_failed_job_blocks_is_skipped_and_other_branches_go_on() {
        let nodes = [
            node("build", failed(), &[]),
            node("test", JobState::Blocked, &[0]),
            node("deploy", JobState::Blocked, &[1, 3]),
            node("lint", JobState::Blocked, &[]),
        ];
        use Status::{Failure, Queued, Skipped};
        assert_eq!(settled(&nodes), [Failure, Skipped, Skipped, Queued]);
    }

    #[test]
    fn a_job_waits_for_all_that_it_requires() {
        let nodes = [
            node("a", ended(Outcome::Success), &[]),
            node("b", JobState::Blocked, &[]),
            node("c", JobState::Blocked, &[0, 1]),
        ];
        assert_eq!(
            settled(&nodes),
            [Status::Success, Status::Queued, Status::Blocked]
        );
    }

    #[test]
    fn requires_can_ask_for_a_failure() {
        let mut cleanup = node("cleanup", JobState::Blocked, &[0]);
        cleanup.requires[0].1 = BTreeSet::from([OutcomeKind::Failure]);
        let nodes = [node("build", failed(), &[]), cleanup];
        assert_eq!(settled(&nodes), [Status::Failure, Status::Queued]);
    }

    #[test]
    fn an_approval_is_put_on_hold() {
        let mut gate = node("gate", JobState::Blocked, &[]);
        gate.readiness = Readiness::WaitsForApproval;
        assert_eq!(settled(&[gate]), [Status::OnHold]);
    }

    #[test]
    fn what_has_nothing_to_run_passes_and_frees_what_requires_it() {
        let mut point = node("all", ended(Outcome::Success), &[]);
        point.state = JobState::Blocked;
        point.readiness = Readiness::Passes;
        let nodes = [point, node("deploy", JobState::Blocked, &[0])];
        assert_eq!(settled(&nodes), [Status::Success, Status::Queued]);
    }

    fn skipped(because_of: &str) -> JobState {
        JobState::Ended {
            outcome: Outcome::Skipped {
                because_of: because_of.into(),
            },
            at: Timestamp::default(),
            started: None,
            attempts: 0,
        }
    }

    fn canceled_early() -> JobState {
        JobState::Ended {
            outcome: Outcome::Canceled(CancelReason::Interrupted),
            at: Timestamp::default(),
            started: None,
            attempts: 0,
        }
    }

    /// The jobs' words once the one at `place` was retried and all was settled.
    fn retried(nodes: &[Node], place: usize) -> Vec<Status> {
        let mut nodes = nodes.to_vec();
        for (place, event) in retry(&nodes, place, Timestamp::default()).unwrap() {
            nodes[place].state = advance(&nodes[place].state, event).unwrap();
        }
        settled(&nodes)
    }

    #[test]
    fn what_was_skipped_because_of_a_retried_job_waits_again() {
        use Status::{Blocked, Failure, Queued, Skipped, Success};
        let nodes = [
            node("build", failed(), &[]),
            node("test", skipped("build"), &[0]),
            node("deploy", skipped("test"), &[1]),
            node("lint", failed(), &[]),
            node("publish", skipped("lint"), &[3]),
            node("docs", ended(Outcome::Success), &[]),
        ];
        let after = [Queued, Blocked, Blocked, Failure, Skipped, Success];
        assert_eq!(retried(&nodes, 0), after);
    }

    #[test]
    fn what_another_failure_forbids_too_is_skipped_again() {
        let nodes = [
            node("build", failed(), &[]),
            node("lint", failed(), &[]),
            node("deploy", skipped("build"), &[0, 1]),
        ];
        use Status::{Failure, Queued, Skipped};
        assert_eq!(retried(&nodes, 0), [Queued, Failure, Skipped]);
    }

    #[test]
    fn what_was_canceled_before_it_ran_waits_again() {
        let mut gate = node("gate", canceled_early(), &[0]);
        gate.readiness = Readiness::WaitsForApproval;
        let nodes = [node("build", ended(Outcome::Success), &[]), gate];
        assert_eq!(retried(&nodes, 1), [Status::Success, Status::OnHold]);
        let nodes = [
            node("build", JobState::Blocked, &[]),
            node("test", canceled_early(), &[0]),
        ];
        assert_eq!(retried(&nodes, 1), [Status::Queued, Status::Blocked]);
    }

    #[test]
    fn what_can_not_be_retried_says_why() {
        let nodes = [
            node("build", failed(), &[]),
            node("test", skipped("build"), &[0]),
            node("docs", ended(Outcome::Success), &[]),
            node("gate", JobState::OnHold, &[]),
            node("deploy", canceled_early(), &[0]),
            node("publish", failed(), &[3]),
        ];
        let why = |place| {
            retry(&nodes, place, Timestamp::default())
                .unwrap_err()
                .to_string()
        };
        for (place, message) in [
            (
                1,
                "job `test` was skipped because of `build`; retry that one",
            ),
            (
                2,
                "job `docs` went well, and others may have built on it; rerun the pipeline instead",
            ),
            (
                3,
                "job `gate` has not ended yet: it is on_hold; cancel it first",
            ),
            (
                4,
                "job `deploy` requires `build`, which is failure; retry or await that one first",
            ),
            (
                5,
                "job `publish` requires `gate`, which is on_hold; retry or await that one first",
            ),
        ] {
            assert_eq!(why(place), message);
        }
    }
}
