//! How long a step may write nothing, and what is done about one that does: its script is told to end it,
//! and goes on with the steps after it as after any failure.

use std::future::pending;
use std::time::Duration;

use model::{Failure, RunStep, StepAction, StepSpec};
use tokio::time::{Instant, sleep_until};

/// What a step is granted that says nothing of it; CircleCI's own default.
const DEFAULT: Duration = Duration::from_secs(10 * 60);

/// What a step runs, if that is a command of the user's.
pub(crate) fn command(step: &StepSpec) -> Option<&RunStep> {
    if let StepAction::Run(run) = &step.action {
        Some(run)
    } else {
        None
    }
}

/// How long a command may write nothing.
pub(crate) fn limit(run: &RunStep) -> Duration {
    run.no_output_timeout_ms
        .map_or(DEFAULT, Duration::from_millis)
}

/// How long nothing may be heard of it: it may be between two runs.
pub(crate) fn patience(run: &RunStep) -> Duration {
    limit(run) + Duration::from_millis(run.auto_rerun_delay_ms)
}

/// How a job fails of which that command wrote nothing for longer.
pub(crate) fn failure(index: u32, name: &str, run: &RunStep) -> Failure {
    Failure::Silent {
        index,
        name: name.to_owned(),
        limit_ms: super::millis(limit(run)),
    }
}

/// Since when nothing was heard of an attempt. A server that takes one up counts from there.
pub(crate) struct Silence {
    heard: Instant,
    /// The step that was ended last, and when.
    ended: Option<(u32, Instant)>,
    /// How long one may take to end.
    grace: Duration,
}

impl Silence {
    pub(crate) fn new(grace: Duration) -> Self {
        Self {
            heard: Instant::now(),
            ended: None,
            grace,
        }
    }

    /// Something was heard, and dealt with.
    pub(crate) fn broken(&mut self) {
        self.heard = Instant::now();
        self.ended = None;
    }

    /// Waits until the step that runs, if one does, has written nothing for longer than it may; or was told
    /// to end and has not. Can be dropped and called again.
    pub(crate) async fn over(&self, running: Option<(u32, Duration)>) -> u32 {
        let Some(running) = running else {
            return pending().await;
        };
        sleep_until(self.due(running)).await;
        running.0
    }

    fn due(&self, (step, limit): (u32, Duration)) -> Instant {
        match self.ended {
            Some((ended, at)) if ended == step => at + self.grace,
            Some(_) | None => self.heard + limit,
        }
    }

    /// That step was told to end.
    pub(crate) fn end(&mut self, step: u32) {
        self.ended = Some((step, Instant::now()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(600);
    const GRACE: Duration = Duration::from_secs(10);

    #[test]
    fn each_word_begins_the_time_anew() {
        let mut silence = Silence::new(GRACE);
        let first = silence.due((0, LIMIT));
        silence.heard += LIMIT / 2;
        assert_eq!(silence.due((0, LIMIT)), first + LIMIT / 2);
    }

    #[test]
    fn what_was_told_to_end_is_told_again_and_the_next_step_has_its_own_time() {
        let mut silence = Silence::new(GRACE);
        silence.end(0);
        let (_, told) = silence.ended.unwrap();
        assert_eq!(silence.due((0, LIMIT)), told + GRACE);
        assert_eq!(silence.due((1, LIMIT)), silence.heard + LIMIT);
        silence.broken();
        assert_eq!(silence.due((0, LIMIT)), silence.heard + LIMIT);
    }
}
