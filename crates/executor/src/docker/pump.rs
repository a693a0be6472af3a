//! For jobs whose files are copied: output out of the container, answers into it.
//!
//! A pump appends the container's log to the job's, and holds the reading end of the job's FIFO. For
//! each line that the engine writes there, it copies in what has changed in `work/` and in the folder
//! that the line's step finds at `CONTAINER_DIR` (the check-out may just have been laid there), and
//! then writes the line to the FIFO inside, by a process of its own in the container.
//!
//! How much of the container's log has been taken is not written down: it is how long the job's log
//! is, less what was there before the container started. So a new server goes on at the right byte,
//! whenever the old one died. For that a pump must run, which `launch` and `wait` see to; and nobody
//! else may append to the log from the container's start on.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bollard::errors::Error;
use bollard::exec::{CreateExecOptions, StartExecOptions};
use bollard::query_parameters::LogsOptionsBuilder;
use model::AttemptKey;
use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::pipe;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tokio_stream::StreamExt;
use tokio_util::task::AbortOnDropHandle;

use super::copy::{self, Folder, Seen};
use super::daemon::{Daemon, Maker};
use super::exit::{self, Outage, State};
use super::trouble;
use crate::{CONTAINER_DIR, ExecutorError, JobDir};

/// What a server must know to pump for a job that it did not launch. Kept in the job's folder, where
/// the job can't see it; that it is there says that the job's files are copied.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Copied {
    /// Where `work/` is found inside.
    pub(super) working_directory: String,
    /// To whom it belongs there.
    pub(super) uid: u32,
    /// And to which group.
    pub(super) gid: u32,
    /// The bytes of the job's log that are not the container's.
    pub(super) log_base_bytes: u64,
}

impl Copied {
    /// What `dir` says, if its files are copied.
    pub(super) fn read(dir: &JobDir) -> Result<Option<Self>, ExecutorError> {
        let path = Self::path(dir);
        let text = match fs::read(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            text => text.map_err(io_error(&path))?,
        };
        serde_json::from_slice(&text)
            .map(Some)
            .map_err(|error| io_error(&path)(error.into()))
    }

    /// The job's working directory as a folder to copy.
    pub(super) fn work(&self, dir: &JobDir) -> Folder {
        Folder::owned_by(dir.work(), &self.working_directory, self.uid, self.gid)
    }

    /// Gets a pump ready before the container starts, and writes down that there is one.
    pub(super) fn prepare(
        mut self,
        daemon: &Daemon,
        container: &str,
        dir: &JobDir,
        seen: Seen,
    ) -> Result<Pump, ExecutorError> {
        self.log_base_bytes = log_bytes(dir)?;
        let path = Self::path(dir);
        let text = serde_json::to_vec(&self).map_err(|error| io_error(&path)(error.into()))?;
        fs::write(&path, text).map_err(io_error(&path))?;
        Pump::new(daemon, container, dir, self, seen)
    }

    /// What the engine may have laid out before it gave that answer: the working directory, and what
    /// the step asked for to take elsewhere.
    fn laid_out(&self, dir: &JobDir, answer: &str) -> Vec<Folder> {
        let step = answer.split(' ').next().and_then(|step| step.parse().ok());
        let trees = step.map(|step: u32| format!("tree.{step}"));
        let trees = [Some("tree".to_owned()), trees].into_iter().flatten();
        let trees = trees.map(|tree| (dir.io().join(&tree), format!("{CONTAINER_DIR}/{tree}")));
        let there = trees.filter(|(from, _)| from.is_dir());
        let trees = there.map(|(from, to)| Folder::owned_by(from, &to, self.uid, self.gid));
        [self.work(dir)].into_iter().chain(trees).collect()
    }

    /// A pump for a container that an earlier server launched. If that one has copied what it laid in
    /// the working directory, that is taken to be as it is here.
    pub(super) async fn resume(
        self,
        daemon: &Daemon,
        container: &str,
        dir: &JobDir,
    ) -> Result<Pump, ExecutorError> {
        let seen = if work_copied(dir).exists() {
            copy::see(dir.work()).await.map_err(io_error(&dir.work()))?
        } else {
            Seen::default()
        };
        Pump::new(daemon, container, dir, self, seen)
    }

    fn path(dir: &JobDir) -> PathBuf {
        dir.path().join("docker-copied.json")
    }
}

/// The pumps that run, each until it is ended or dropped with the executor.
#[derive(Debug, Default)]
pub(super) struct Pumps(Mutex<HashMap<AttemptKey, Running>>);

#[derive(Debug)]
struct Running {
    _task: AbortOnDropHandle<()>,
    end: watch::Receiver<Option<PumpEnd>>,
}

/// How a pump ended; the error is shared by all who wait.
type PumpEnd = Result<(), Arc<ExecutorError>>;

impl Pumps {
    /// Lets `pump` run for `key`, if none does.
    pub(super) fn begin(&self, key: AttemptKey, pump: Pump, patience: Duration) {
        self.lock().entry(key).or_insert_with(|| {
            let (ended, end) = watch::channel(None);
            let task = tokio::spawn(async move {
                let how = pump.run(patience).await.map_err(Arc::new);
                ended.send_replace(Some(how));
            });
            Running {
                _task: AbortOnDropHandle::new(task),
                end,
            }
        });
    }

    /// Whether one runs for `key`, or has run.
    pub(super) fn has(&self, key: AttemptKey) -> bool {
        self.lock().contains_key(&key)
    }

    /// Ends the one of `key`, if there is one.
    pub(super) fn end(&self, key: AttemptKey) {
        self.lock().remove(&key);
    }

    /// Waits until the one of `key` has taken all output there is.
    pub(super) async fn ended(&self, key: AttemptKey) -> Result<(), ExecutorError> {
        let Some(mut end) = self.lock().get(&key).map(|running| running.end.clone()) else {
            return Ok(());
        };
        let lost = || ExecutorError::Unavailable {
            what: "could not read the job's output".to_owned(),
            cause: "its reader was ended".to_owned(),
        };
        let end = end.wait_for(Option::is_some).await.map_err(|_| lost())?;
        match end.as_ref() {
            None => Err(lost()),
            Some(Ok(())) => Ok(()),
            Some(Err(error)) => Err(ExecutorError::Unavailable {
                what: "could not carry the job's output and answers".to_owned(),
                cause: error.to_string(),
            }),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<AttemptKey, Running>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One job's pump.
#[derive(Debug)]
pub(super) struct Pump {
    daemon: Daemon,
    container: String,
    dir: JobDir,
    copied: Copied,
    seen: Seen,
    answers: pipe::Receiver,
}

impl Pump {
    fn new(
        daemon: &Daemon,
        container: &str,
        dir: &JobDir,
        copied: Copied,
        seen: Seen,
    ) -> Result<Self, ExecutorError> {
        // Open for writing too, so that it is never at its end and the engine never without a reader.
        let answers = pipe::OpenOptions::new()
            .read_write(true)
            .open_receiver(dir.answer())
            .map_err(io_error(&dir.answer()))?;
        Ok(Self {
            daemon: daemon.clone(),
            container: container.to_owned(),
            dir: dir.clone(),
            copied,
            seen,
            answers,
        })
    }

    async fn run(self, patience: Duration) -> Result<(), ExecutorError> {
        let output = Output {
            daemon: &self.daemon,
            container: &self.container,
            dir: &self.dir,
            base_bytes: self.copied.log_base_bytes,
        };
        let answers = Answers {
            daemon: &self.daemon,
            container: &self.container,
            dir: &self.dir,
            copied: &self.copied,
        };
        tokio::select! {
            ended = output.carry(patience) => ended,
            failed = answers.carry(self.answers, self.seen, patience) => failed,
        }
    }
}

/// The way out: from the container's log to the job's.
struct Output<'a> {
    daemon: &'a Daemon,
    container: &'a str,
    dir: &'a JobDir,
    base_bytes: u64,
}

/// The lines that are written at once at most; of those that Docker keeps, 64 MB.
const LINES_AT_ONCE: usize = 4096;
/// For how long lines are gathered to be written at once.
const LINES_GATHER: Duration = Duration::from_millis(20);
/// The shortest pause before a log that is not followed is read again.
const READ_AGAIN: Duration = Duration::from_secs(1);
/// How long a log stays silent before its container is looked at.
const SILENCE: Duration = Duration::from_secs(10);

impl Output<'_> {
    /// Carries until the container has exited and its log is at its end.
    async fn carry(&self, patience: Duration) -> Result<(), ExecutorError> {
        // Podman leaves lines out of a log that it follows. There the log is read again and again,
        // the less often the longer that takes.
        let follows = self.daemon.maker == Maker::Docker;
        let mut outage = Outage::new(patience);
        let mut runs = true;
        loop {
            let started = Instant::now();
            let read = match self.read(runs && follows, &mut outage).await {
                Err(Interrupted::Ours(error)) => return Err(error),
                Err(Interrupted::Theirs(error)) => Err(error),
                Ok(()) => Ok(()),
            };
            let state = exit::look(self.daemon, self.container, patience).await;
            match (read, state) {
                (_, Ok(State::Absent | State::Created)) => return Ok(()),
                // Docker 20.10 may end a log that it follows before the last, unfinished line.
                (Ok(()), Ok(State::Exited { .. })) if runs => runs = false,
                (Ok(()), Ok(State::Exited { .. })) => return Ok(()),
                (Ok(()), Ok(State::Running)) => {
                    runs = true;
                    let pause = if follows {
                        exit::LOOK_AGAIN
                    } else {
                        READ_AGAIN.max(started.elapsed() * 10)
                    };
                    tokio::time::sleep(pause).await;
                }
                (Err(error), Ok(state)) => {
                    runs = state == State::Running;
                    outage.pause(&error).await?;
                }
                (_, Err(error)) => outage.pause(&error).await?,
            }
        }
    }

    /// Appends all that the container's log has beyond ours: what there is, or until its end if it
    /// `follows` what a running container writes.
    async fn read(&self, follows: bool, outage: &mut Outage) -> Result<(), Interrupted> {
        let mut skip = log_bytes(self.dir)?.saturating_sub(self.base_bytes);
        let options = LogsOptionsBuilder::default()
            .follow(follows)
            .stdout(true)
            .stderr(true)
            .build();
        let path = self.dir.log();
        let mut log = tokio::fs::OpenOptions::new()
            .append(true)
            .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
            .open(&path)
            .await
            .map_err(io_error(&path))?;
        let what = "could not read the container's log";
        let theirs = |error: &Error| Interrupted::Theirs(trouble::unavailable(what, error));
        let lines = self.daemon.docker.logs(self.container, Some(options));
        let mut lines = pin!(lines.chunks_timeout(LINES_AT_ONCE, LINES_GATHER));
        loop {
            let lines = match timeout(SILENCE, lines.next()).await {
                Ok(None) => return Ok(()),
                Ok(Some(lines)) => lines,
                // Some daemons leave the log of an exited container open. What came just before
                // the exit may still be on its way, so that is no end yet.
                Err(_) => match exit::look(self.daemon, self.container, SILENCE).await {
                    Ok(State::Running) => {
                        outage.is_over();
                        continue;
                    }
                    Ok(State::Absent | State::Created | State::Exited { .. }) => {
                        return Err(theirs(&Error::RequestTimeoutError));
                    }
                    Err(error) => return Err(Interrupted::Theirs(error)),
                },
            };
            let mut news = Vec::new();
            let mut broken = None;
            for line in lines {
                match line {
                    Ok(line) => {
                        let line = line.into_bytes();
                        let known = usize::try_from(skip).unwrap_or(usize::MAX).min(line.len());
                        skip -= known as u64;
                        news.extend_from_slice(&line[known..]);
                    }
                    Err(error) => broken = broken.or(Some(error)),
                }
            }
            log.write_all(&news).await.map_err(io_error(&path))?;
            log.flush().await.map_err(io_error(&path))?;
            if let Some(error) = broken {
                return Err(theirs(&error));
            }
            outage.is_over();
        }
    }
}

/// Why reading a container's log broke off.
enum Interrupted {
    /// Our file is at fault; trying again would not help.
    Ours(ExecutorError),
    /// The daemon is.
    Theirs(ExecutorError),
}

impl From<ExecutorError> for Interrupted {
    fn from(error: ExecutorError) -> Self {
        Self::Ours(error)
    }
}

/// The way in: from the job's FIFO to the one in the container.
struct Answers<'a> {
    daemon: &'a Daemon,
    container: &'a str,
    dir: &'a JobDir,
    copied: &'a Copied,
}

const UNANSWERED: &str = "could not answer the job's script";
/// Puts a line into the FIFO inside; it waits there until the script reads.
const DELIVERY: &str = "printf '%s\\n' \"$1\" >\"$0\"";

impl Answers<'_> {
    /// Carries until something fails for good.
    async fn carry(
        &self,
        answers: pipe::Receiver,
        mut seen: Seen,
        patience: Duration,
    ) -> Result<(), ExecutorError> {
        let path = self.dir.answer();
        let mut answers = BufReader::new(answers).lines();
        while let Some(answer) = answers.next_line().await.map_err(io_error(&path))? {
            let mut outage = Outage::new(patience);
            let delivery = loop {
                match self.prepare(&answer, &mut seen).await {
                    Ok(delivery) => break delivery,
                    Err(error) => outage.pause(&error).await?,
                }
            };
            // Not repeated: if it did start, the next question would get this answer too.
            let detached = StartExecOptions {
                detach: true,
                ..StartExecOptions::default()
            };
            let docker = &self.daemon.docker;
            let started = docker.start_exec(&delivery, Some(detached)).await;
            started.map_err(|error| trouble::unavailable(UNANSWERED, &error))?;
        }
        Ok(())
    }

    /// Copies what was laid out, and makes the process that will deliver. Returns its id.
    async fn prepare(&self, answer: &str, seen: &mut Seen) -> Result<String, ExecutorError> {
        let folders = self.copied.laid_out(self.dir, answer);
        *seen = copy::upload(self.daemon, self.container, folders, seen.clone()).await?;
        let work = self.dir.work();
        if seen.keys().any(|path| path.parent() == Some(&work)) {
            let copied = work_copied(self.dir);
            fs::write(&copied, "").map_err(io_error(&copied))?;
        }
        let fifo = format!("{CONTAINER_DIR}/answer");
        let exec = CreateExecOptions {
            cmd: Some(vec!["/bin/sh", "-c", DELIVERY, &fifo, answer]),
            ..CreateExecOptions::default()
        };
        let made = self.daemon.docker.create_exec(self.container, exec).await;
        Ok(made
            .map_err(|error| trouble::unavailable(UNANSWERED, &error))?
            .id)
    }
}

/// There once what the engine laid in the working directory has been copied.
fn work_copied(dir: &JobDir) -> PathBuf {
    dir.path().join("docker-work-copied")
}

pub(super) fn log_bytes(dir: &JobDir) -> Result<u64, ExecutorError> {
    let log = fs::symlink_metadata(dir.log()).map_err(io_error(&dir.log()))?;
    Ok(log.len())
}

pub(super) fn io_error(
    path: &std::path::Path,
) -> impl Fn(std::io::Error) -> ExecutorError + Send + use<> {
    let path = path.to_owned();
    move |cause| ExecutorError::Io {
        path: path.clone(),
        cause,
    }
}
