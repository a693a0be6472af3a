//! Whether a job's shim lives, and waiting until it doesn't: from any process, by the job directory
//! alone.
//!
//! The lock on `shim.lock` is the truth: the kernel frees it when the shim ends, however that happens,
//! and no other process of that number can hold it. The numbers written beside it are only a way to
//! the processes.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use rustix::fs::FlockOperation;
use rustix::process::Signal;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::{Instant, sleep, timeout};

use super::order::Files;
use super::process::{Process, members};
use crate::ExecutorError;

/// How long a shim may take from its lock to its number: the time that a program needs to start.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long processes may take to end once they are killed. Longer means that the kernel can't end
/// them, as happens on a network file system that does not answer.
const KILL_TIMEOUT: Duration = Duration::from_secs(15);

/// How often a job that is to end is searched for processes that were not asked yet.
const ASK_INTERVAL: Duration = Duration::from_millis(100);

/// What holds a job that runs, or runs its last moments.
#[derive(Debug)]
pub(super) struct Holder {
    shim: Option<Process>,
    init: Option<Process>,
}

impl Holder {
    /// Finds who holds the job; `None` if nobody does any more, or ever did.
    pub(super) async fn find(files: &Files) -> Result<Option<Self>, ExecutorError> {
        let limit = Instant::now() + PATIENCE;
        loop {
            let shim = Process::recall(&files.shim());
            let held = is_held(files)?;
            // In this order: if the shim dies while we look, the job it held is seen yet.
            let init = Process::recall(&files.init()).filter(|init| !init.has_ended());
            match (held, shim, init) {
                (false, _, None) => return Ok(None),
                (false, _, init) => return Ok(Some(Self { shim: None, init })),
                // The lock was held after the process was: so it is the one.
                (true, Some(shim), init) => {
                    return Ok(Some(Self {
                        shim: Some(shim),
                        init,
                    }));
                }
                // It is just being started, and hasn't said yet which process it is.
                (true, None, _) if Instant::now() < limit => sleep(Duration::from_millis(2)).await,
                (true, None, _) => {
                    return Err(ExecutorError::Unavailable {
                        what: format!("could not find who holds `{}`", files.lock().display()),
                        cause: "no process has said so".to_owned(),
                    });
                }
            }
        }
    }

    /// Waits until shim and job have ended.
    pub(super) async fn gone(&self) -> Result<(), ExecutorError> {
        for process in [&self.shim, &self.init].into_iter().flatten() {
            ended(process)
                .await
                .map_err(|cause| ExecutorError::Unavailable {
                    what: "could not wait for the job's processes".to_owned(),
                    cause: cause.to_string(),
                })?;
        }
        Ok(())
    }

    /// Sends `SIGUSR1` to the job's first process.
    pub(super) fn interrupt(&self) {
        if let Some(init) = &self.init {
            init.signal(Signal::USR1);
        }
    }

    /// Asks every process of the job to end, those that start meanwhile too; returns when all have.
    ///
    /// The first one, a shell, would not do it alone: the kernel spares the first process of a
    /// namespace any signal that it doesn't handle itself. And what the shell starts next has to be
    /// asked as well.
    pub(super) async fn ask(&self) -> Result<(), ExecutorError> {
        let namespace = self.init.as_ref().and_then(Process::pid_namespace);
        let mut asked = HashSet::new();
        loop {
            for process in namespace.iter().flat_map(|namespace| members(namespace)) {
                // Asked between `fork` and `exec`, as a copy of its parent, it may have heard it as that: then
                // it has another command line by now, and knows of nothing.
                if asked.insert((process.pid(), process.command_line())) {
                    process.signal(Signal::TERM);
                }
            }
            if let Ok(gone) = timeout(ASK_INTERVAL, self.gone()).await {
                return gone;
            }
        }
    }

    /// Kills every process of the job, and the shim if that doesn't notice; returns when all are gone.
    pub(super) async fn kill(&self) -> Result<(), ExecutorError> {
        // With the first process all of its namespace die, and the shim writes down how.
        let first = self.init.as_ref().or(self.shim.as_ref());
        for process in first.into_iter().chain(&self.shim) {
            process.signal(Signal::KILL);
            if let Ok(gone) = timeout(KILL_TIMEOUT, self.gone()).await {
                return gone;
            }
        }
        Err(ExecutorError::Unavailable {
            what: "could not kill the job's processes".to_owned(),
            cause: format!("they are still there after {} s", KILL_TIMEOUT.as_secs()),
        })
    }
}

async fn ended(process: &Process) -> io::Result<()> {
    #[expect(
        unsafe_code,
        reason = "tokio can't tell by the type that the handle stays open"
    )]
    // SAFETY: the handle is borrowed for as long as `waiting` lives, and nobody closes or replaces
    // what a `BorrowedFd` stands for.
    let waiting = unsafe { AsyncFd::register_with_interest(process.as_fd(), Interest::READABLE) }?;
    let _ready = waiting.readable().await?;
    Ok(())
}

/// Locks a job directory for a shim that is to be started.
pub(super) fn lock(files: &Files) -> Result<File, ExecutorError> {
    let path = files.lock();
    let lock = || -> io::Result<File> {
        let file = File::create(&path)?;
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        Ok(file)
    };
    lock().map_err(|cause| ExecutorError::Io {
        path: path.clone(),
        cause,
    })
}

fn is_held(files: &Files) -> Result<bool, ExecutorError> {
    let path = files.lock();
    let look = || -> io::Result<bool> {
        let file = match File::open(&path) {
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(false),
            other => other?,
        };
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared) {
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(true),
            other => other.map(|()| false).map_err(io::Error::from),
        }
    };
    look().map_err(|cause| ExecutorError::Io {
        path: path.clone(),
        cause,
    })
}
