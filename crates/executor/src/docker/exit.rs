//! Waits for a container's end, and brings it about.
//!
//! The daemon may restart meanwhile, hang, or be gone. Its answer to `wait` therefore only says when to
//! look; what is seen then decides.

use std::path::PathBuf;
use std::time::Duration;

use bollard::errors::Error;
use bollard::models::{ContainerState, ContainerStateStatusEnum};
use bollard::query_parameters::KillContainerOptionsBuilder;
use futures_util::StreamExt;
use tokio::time::{Instant, sleep, timeout};

use super::daemon::Daemon;
use super::pump::Copied;
use super::trouble::{self, Trouble};
use super::{Shared, copy, spec};
use crate::{ExecutorError, Exit, JobDir};

/// The pause before a container that seems to have exited, but has not, is looked at again.
pub(super) const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// How often a daemon that says nothing is asked whether it is still there.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// How long a container may take to end after `SIGKILL`.
const KILL_BOUND: Duration = Duration::from_secs(30);

/// How far a container is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// There is none.
    Absent,
    /// It never ran.
    Created,
    /// It runs.
    Running,
    /// It has run.
    Exited {
        /// Its exit code.
        code: i32,
        /// Whether the kernel killed something in it for want of memory.
        out_of_memory: bool,
    },
}

/// How far `container` is, if the daemon says so within `bound`.
pub(super) async fn look(
    daemon: &Daemon,
    container: &str,
    bound: Duration,
) -> Result<State, ExecutorError> {
    let what = "could not look after the job's container";
    let seen = timeout(bound, daemon.docker.inspect_container(container, None)).await;
    match seen {
        Ok(Ok(seen)) => Ok(State::of(&seen.state.unwrap_or_default())),
        Ok(Err(error)) if Trouble::of(&error) == Trouble::Missing => Ok(State::Absent),
        Ok(Err(error)) => Err(trouble::unavailable(what, &error)),
        Err(_) => Err(trouble::unavailable(what, &Error::RequestTimeoutError)),
    }
}

impl State {
    fn of(state: &ContainerState) -> Self {
        match state.status {
            Some(ContainerStateStatusEnum::CREATED) => Self::Created,
            Some(
                ContainerStateStatusEnum::RUNNING
                | ContainerStateStatusEnum::PAUSED
                | ContainerStateStatusEnum::RESTARTING
                | ContainerStateStatusEnum::STOPPING,
            ) => Self::Running,
            Some(
                ContainerStateStatusEnum::EXITED
                | ContainerStateStatusEnum::DEAD
                | ContainerStateStatusEnum::REMOVING
                | ContainerStateStatusEnum::EMPTY,
            )
            | None => Self::Exited {
                code: state
                    .exit_code
                    .and_then(|code| code.try_into().ok())
                    .unwrap_or(-1),
                out_of_memory: state.oom_killed.unwrap_or(false),
            },
        }
    }
}

/// A time during which the daemon does not answer.
#[derive(Debug)]
pub(super) struct Outage {
    patience: Duration,
    since: Option<Instant>,
    pause: Duration,
}

impl Outage {
    const FIRST_PAUSE: Duration = Duration::from_millis(100);
    const LAST_PAUSE: Duration = Duration::from_secs(2);

    /// None so far; the first will last `patience` at most.
    pub(super) fn new(patience: Duration) -> Self {
        Self {
            patience,
            since: None,
            pause: Self::FIRST_PAUSE,
        }
    }

    /// Whether there is one now.
    pub(super) fn is_on(&self) -> bool {
        self.since.is_some()
    }

    /// The daemon has answered.
    pub(super) fn is_over(&mut self) {
        *self = Self::new(self.patience);
    }

    /// Waits a little longer each time, or gives up.
    pub(super) async fn pause(&mut self, error: &ExecutorError) -> Result<(), ExecutorError> {
        let since = *self.since.get_or_insert_with(Instant::now);
        let left = self.patience.saturating_sub(since.elapsed());
        if left.is_zero() {
            return Err(ExecutorError::Unavailable {
                what: "lost sight of the job's container".to_owned(),
                cause: format!(
                    "Docker stopped answering {} s ago: {error}",
                    since.elapsed().as_secs()
                ),
            });
        }
        sleep(self.pause.min(left)).await;
        self.pause = (self.pause * 2).min(Self::LAST_PAUSE);
        Ok(())
    }
}

impl Shared {
    /// See [`Executor::wait`](crate::Executor::wait).
    pub(super) async fn wait(&self, dir: &JobDir) -> Result<Exit, ExecutorError> {
        let copied = Copied::read(dir)?;
        let ended = match copied {
            None => self.until_ended(dir).await?,
            Some(copied) => self.until_ended_and_copied(dir, copied).await?,
        };
        // Without them the job has ended all the same.
        if let Err(error) = self.tell_of_services(dir).await {
            tracing::warn!(%error, "could not tell what a job's services wrote");
        }
        match ended {
            State::Exited {
                code,
                out_of_memory: true,
            } if code != 0 => Ok(Exit::OutOfMemory),
            State::Exited { code, .. } => match dir.exit_code() {
                // A daemon that ends may lose the codes of its containers; the script's is here.
                Some(code) => Ok(Exit::Code(code)),
                // The shell that could not run the script says so itself.
                None if (1..128).contains(&code) || stopped(dir).exists() => Ok(Exit::Code(code)),
                // Whoever ended it, a signal or a daemon or a machine that went down, did not ask us.
                None => Err(ExecutorError::Vanished),
            },
            State::Absent | State::Created | State::Running => dir
                .exit_code()
                .map(Exit::Code)
                .ok_or(ExecutorError::Vanished),
        }
    }

    /// See [`Executor::stop`](crate::Executor::stop).
    pub(super) async fn stop(&self, dir: &JobDir, grace: Duration) -> Result<(), ExecutorError> {
        // Without it, an end by a signal would count as one from outside.
        if let Err(error) = std::fs::write(stopped(dir), "") {
            tracing::debug!(%error, "could not write down that a job is stopped");
        }
        if !self.signal(dir, "SIGTERM").await? {
            return Ok(());
        }
        if let Ok(ended) = timeout(grace, self.until_ended(dir)).await {
            return ended.map(drop);
        }
        if !self.signal(dir, "SIGKILL").await? {
            return Ok(());
        }
        match timeout(KILL_BOUND, self.until_ended(dir)).await {
            Ok(ended) => ended.map(drop),
            Err(_) => Err(ExecutorError::Unavailable {
                what: "could not end the job's container".to_owned(),
                cause: format!("it still runs {} s after SIGKILL", KILL_BOUND.as_secs()),
            }),
        }
    }

    /// Sends a signal to the first process. Returns whether there was one.
    pub(super) async fn signal(&self, dir: &JobDir, signal: &str) -> Result<bool, ExecutorError> {
        let daemon = self.daemon().await?;
        let container = spec::container_name(&self.settings.namespace, dir.key());
        let options = KillContainerOptionsBuilder::default()
            .signal(signal)
            .build();
        let Err(error) = daemon
            .docker
            .kill_container(&container, Some(options))
            .await
        else {
            return Ok(true);
        };
        match look(daemon, &container, self.settings.patience).await? {
            State::Absent | State::Created | State::Exited { .. } => Ok(false),
            State::Running => Err(trouble::unavailable(
                format!("could not send {signal} to the job's container"),
                &error,
            )),
        }
    }

    /// Waits until the container does not run; tells how it is then.
    async fn until_ended(&self, dir: &JobDir) -> Result<State, ExecutorError> {
        let container = spec::container_name(&self.settings.namespace, dir.key());
        let patience = self.settings.patience;
        let mut outage = Outage::new(patience);
        loop {
            let state = match self.daemon().await {
                Err(failure) => Err(failure.error),
                Ok(daemon) => {
                    if !outage.is_on() {
                        let mut exits = daemon.docker.wait_container(&container, None);
                        // Whatever it says, or if it says nothing for long: look.
                        let _ = timeout(LOOK_EVERY, exits.next()).await;
                    }
                    look(daemon, &container, patience).await
                }
            };
            match state {
                Ok(State::Running) => {
                    outage.is_over();
                    sleep(LOOK_AGAIN).await;
                }
                Ok(state) => return Ok(state),
                Err(error) => outage.pause(&error).await?,
            }
        }
    }

    async fn until_ended_and_copied(
        &self,
        dir: &JobDir,
        copied: Copied,
    ) -> Result<State, ExecutorError> {
        let container = spec::container_name(&self.settings.namespace, dir.key());
        let mut outage = Outage::new(self.settings.patience);
        while !self.pumps.has(dir.key()) {
            match self.daemon().await {
                Ok(daemon) => {
                    let pump = copied.clone().resume(daemon, &container, dir).await?;
                    self.pumps.begin(dir.key(), pump, self.settings.patience);
                }
                Err(failure) => outage.pause(&failure.error).await?,
            }
        }
        // A pump that fails ends the wait: the output would be lost, and a question left unanswered.
        let (ended, ()) = tokio::try_join!(self.until_ended(dir), self.pumps.ended(dir.key()))?;
        if let State::Exited { .. } = ended {
            let daemon = self.daemon().await?;
            copy::fetch_exit(daemon, &container, dir)
                .await
                .map_err(|error| {
                    trouble::unavailable("could not read how the job's script ended", &error)
                })?;
            // How the job ended is known: that it said less is no reason to run it again.
            if let Err(error) = copy::fetch_outputs(daemon, &container, dir).await {
                tracing::warn!(job = %dir.key(), %error, "could not read what ran in the background");
            }
        }
        Ok(ended)
    }
}

/// There once we have asked the container to end.
fn stopped(dir: &JobDir) -> PathBuf {
    dir.path().join("docker-stopped")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(status: ContainerStateStatusEnum, code: i64) -> State {
        State::of(&ContainerState {
            status: Some(status),
            exit_code: Some(code),
            ..ContainerState::default()
        })
    }

    #[test]
    fn a_container_that_was_only_made_has_not_exited() {
        assert_eq!(state(ContainerStateStatusEnum::CREATED, 0), State::Created);
        assert_eq!(state(ContainerStateStatusEnum::PAUSED, 0), State::Running);
        let exited = State::Exited {
            code: 3,
            out_of_memory: false,
        };
        assert_eq!(state(ContainerStateStatusEnum::EXITED, 3), exited);
    }

    #[tokio::test]
    async fn an_outage_has_an_end_and_a_reason() {
        let error = ExecutorError::Vanished;
        let mut outage = Outage::new(Duration::ZERO);
        assert!(!outage.is_on());
        let end = outage.pause(&error).await.unwrap_err().to_string();
        assert!(end.contains("Docker stopped answering 0 s ago"), "{end}");
        assert!(outage.is_on());
        outage.is_over();
        assert!(!outage.is_on());

        let mut patient = Outage::new(Duration::from_secs(30));
        assert!(patient.pause(&error).await.is_ok());
    }
}
