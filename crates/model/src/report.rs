//! What a forge is told about a commit.

use serde::{Deserialize, Serialize};

use crate::{JobState, OutcomeKind, PipelineState, Preparation};

/// The four words that forges have for a commit's status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommitState {
    /// It is on its way.
    Pending,
    /// It went well.
    Success,
    /// It did not.
    Failure,
    /// We did not.
    Error,
}

impl CommitState {
    /// The word as JSON and tables have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Error => "error",
        }
    }
}

/// A commit's status, as far as the pipeline knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitStatus {
    /// The word.
    pub state: CommitState,
    /// One line for people, at most 140 characters (GitHub's limit).
    pub description: String,
}

impl CommitStatus {
    /// What to tell of a pipeline, or of one workflow given only its jobs (name and state).
    pub fn of(preparation: &Preparation, state: PipelineState, jobs: &[(&str, &JobState)]) -> Self {
        let (state, description) = match state {
            PipelineState::Queued => (CommitState::Pending, "queued".to_owned()),
            PipelineState::Running => (CommitState::Pending, "running".to_owned()),
            PipelineState::OnHold => (CommitState::Pending, "waits for approval".to_owned()),
            PipelineState::Ended(OutcomeKind::Success | OutcomeKind::Skipped) => {
                let count = jobs
                    .iter()
                    .filter(|(_, job)| is(job, OutcomeKind::Success))
                    .count();
                let jobs = if count == 1 { "job" } else { "jobs" };
                (CommitState::Success, format!("{count} {jobs} succeeded"))
            }
            PipelineState::Ended(kind @ OutcomeKind::Failure) => {
                (CommitState::Failure, blame(preparation, jobs, kind))
            }
            PipelineState::Ended(kind @ (OutcomeKind::Error | OutcomeKind::Canceled)) => {
                (CommitState::Error, blame(preparation, jobs, kind))
            }
        };
        Self {
            state,
            description: one_line(&description),
        }
    }
}

fn is(job: &JobState, kind: OutcomeKind) -> bool {
    job.outcome().is_some_and(|outcome| outcome.kind() == kind)
}

/// Names the first job that ended so, and why.
fn blame(preparation: &Preparation, jobs: &[(&str, &JobState)], kind: OutcomeKind) -> String {
    if let Preparation::Ended { reason, .. } = preparation {
        return reason.clone();
    }
    let word = match kind {
        OutcomeKind::Success => "succeeded",
        OutcomeKind::Failure => "failed",
        OutcomeKind::Error => "could not run",
        OutcomeKind::Canceled => "was canceled",
        OutcomeKind::Skipped => "was skipped",
    };
    let mut blamed = jobs.iter().filter(|(_, job)| is(job, kind));
    let Some((name, first)) = blamed.next() else {
        return word.to_owned();
    };
    let reason = first
        .outcome()
        .and_then(crate::Outcome::reason)
        .unwrap_or_default();
    match blamed.count() {
        0 => format!("{name} {word}: {reason}"),
        more => format!("{name} and {more} more {word}: {reason}"),
    }
}

fn one_line(text: &str) -> String {
    const LIMIT: usize = 140;
    let line = text.lines().next().unwrap_or_default();
    if line.chars().count() <= LIMIT {
        return line.to_owned();
    }
    line.chars().take(LIMIT - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Failure, Outcome, Timestamp};

    #[test]
    fn a_failure_names_its_job_and_stays_short() {
        let ended = |outcome| JobState::Ended {
            outcome,
            at: Timestamp::default(),
            started: None,
            attempts: 1,
        };
        let planned = Preparation::Planned {
            at: Timestamp::default(),
        };
        let good = ended(Outcome::Success);
        let bad = ended(Outcome::Failure(Failure::Step {
            index: 1,
            name: "x".repeat(300),
            exit_code: 2,
        }));
        let failure = PipelineState::Ended(OutcomeKind::Failure);
        let told = CommitStatus::of(&planned, failure, &[("lint", &good), ("build", &bad)]);
        assert_eq!(told.state, CommitState::Failure);
        assert!(told.description.starts_with("build failed: step \"xxx"));
        assert_eq!(told.description.chars().count(), 140);

        let success = PipelineState::Ended(OutcomeKind::Success);
        let told = CommitStatus::of(&planned, success, &[("a", &good), ("b", &good)]);
        assert_eq!(told.description, "2 jobs succeeded");
    }
}
