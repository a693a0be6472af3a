//! Whose turn it is where only one of a group may run at a time.

use crate::{JobState, Status};

/// How far a workflow or a job is that shares a group with others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It may run once nobody else of the group has the turn.
    Waits,
    /// It has the turn: nobody else of the group may run.
    Has,
    /// It has ended, and is in nobody's way.
    Over,
}

impl Turn {
    /// The turn of what consists of these jobs: a workflow, or one job.
    ///
    /// It is taken with the first job that runs and given back with the end of the last. What ended and is
    /// to run again waits for its next one.
    #[must_use]
    pub fn next<'a>(self, jobs: impl IntoIterator<Item = &'a JobState>) -> Self {
        let mut next = Self::Over;
        for job in jobs {
            match job.status() {
                Status::Running => return Self::Has,
                Status::Blocked | Status::OnHold | Status::Queued => next = self.unended(),
                Status::Success
                | Status::Failure
                | Status::Error
                | Status::Canceled
                | Status::Skipped => {}
            }
        }
        next
    }

    fn unended(self) -> Self {
        match self {
            Self::Waits | Self::Over => Self::Waits,
            Self::Has => Self::Has,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Outcome, RunnerId, Timestamp};

    #[test]
    fn a_turn_is_from_the_first_job_that_runs_to_the_end_of_the_last() {
        let at = Timestamp::default();
        let queued = JobState::Queued {
            since: at,
            attempt: 1,
        };
        let running = JobState::Running {
            on: RunnerId(1),
            attempt: 1,
            since: at,
            stopping: None,
        };
        let ended = JobState::Ended {
            outcome: Outcome::Success,
            at,
            started: Some(at),
            attempts: 1,
        };
        use JobState::Blocked;
        use Turn::{Has, Over, Waits};
        for (turn, jobs, next) in [
            (Waits, vec![&queued, &Blocked], Waits),
            (Waits, vec![&running, &Blocked], Has),
            (Has, vec![&ended, &Blocked], Has),
            (Has, vec![&ended, &JobState::OnHold], Has),
            (Has, vec![&ended, &ended], Over),
            (Waits, vec![&ended], Over),
            (Over, vec![&ended, &queued], Waits),
        ] {
            assert_eq!(turn.next(jobs.clone()), next, "{turn:?} {jobs:?}");
        }
    }
}
