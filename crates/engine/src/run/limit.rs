//! How long an attempt may take.

use std::time::Duration;

use model::{JobSpec, JobState, Timestamp};

/// How long one attempt of a job may take: what its config says, and never more than the server grants.
pub(crate) fn of_job(spec: &JobSpec, granted: Duration) -> Duration {
    let wanted = spec.build().and_then(|build| build.timeout_ms);
    wanted.map_or(granted, |wanted| granted.min(Duration::from_millis(wanted)))
}

/// What is left of that for an attempt that runs: its time began when it was claimed, whichever server
/// it is that looks after it now.
pub(crate) fn left(limit: Duration, state: &JobState, now: Timestamp) -> Duration {
    let spent = state
        .started()
        .map_or(Duration::ZERO, |since| now.since(since));
    limit.saturating_sub(spent)
}

#[cfg(test)]
mod tests {
    use model::{BuildSpec, JobKind, RunnerId, RunsIn};

    use super::*;

    #[test]
    fn a_job_may_ask_for_less_than_the_server_grants_and_for_no_more() {
        let limit = |timeout_ms| {
            let mut build = BuildSpec::new(RunsIn::Machine, Vec::new());
            build.timeout_ms = timeout_ms;
            let spec = JobSpec {
                name: "build".into(),
                requires: Vec::new(),
                contexts: Vec::new(),
                kind: JobKind::Build(Box::new(build)),
            };
            of_job(&spec, Duration::from_secs(60))
        };
        assert_eq!(limit(None), Duration::from_secs(60));
        assert_eq!(limit(Some(1_500)), Duration::from_millis(1_500));
        assert_eq!(limit(Some(90_000)), Duration::from_secs(60));
    }

    #[test]
    fn time_is_counted_from_where_the_attempt_began() {
        let state = JobState::Running {
            on: RunnerId(1),
            attempt: 1,
            since: Timestamp::from_millis(1_000),
            stopping: None,
        };
        let at = |now| left(Duration::from_secs(2), &state, Timestamp::from_millis(now));
        assert_eq!(at(1_500), Duration::from_millis(1_500));
        assert_eq!(at(9_000), Duration::ZERO);
    }
}
