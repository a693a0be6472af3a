//! Which blocked jobs of a workflow can go on, given how the others ended.

use std::collections::BTreeSet;

use crate::{JobEvent, JobKind, JobState, OutcomeKind, Timestamp, advance};

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Failure, Outcome, Status};

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
}
