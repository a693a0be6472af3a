//! What runs a job: one trait, one job in, its output and how it exited out.
//!
//! An executor knows containers and nothing else: not plans, steps, databases or forges. It is given a
//! [`JobDir`] whose `io/` folder holds a script, starts one container whose first process runs that
//! script, sees to it that all its output lands in one file, and tells how the container exited. What
//! the output means is the engine's business.
//!
//! Everything is addressed by the attempt's key, which names the folder and the container, so that a
//! new server can take up what an earlier one started.

mod credentials;
mod exit;
mod identity;
mod job_dir;

pub mod archive;
pub mod docker;
pub mod native;

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use model::{AttemptKey, ImageSpec};

pub use archive::Archive;
pub use exit::Exit;
pub use job_dir::{CONTAINER_DIR, JobDir, UNHEARD};

/// What to start: all that an executor needs, and nothing of the plan's language.
#[derive(Clone, serde::Serialize, serde::Deserialize)]
pub struct Launch {
    /// Where.
    pub place: Place,
    /// What runs beside it, in the same network, from before its first process until its end: a container
    /// each, of its image's own entry point and command, where the spec has none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<ImageSpec>,
    /// Where the job's `work/` folder is found inside: absolute, or from `~` (the home of the user
    /// that the job runs as).
    pub working_directory: String,
    /// The environment of the first process, later ones winning; the image's own comes before it.
    pub environment: Vec<(String, String)>,
    /// What it may use at most.
    pub limits: Limits,
    /// Whether its images are pulled as anybody may, where they name no account of their own: what it asks for
    /// may be a stranger's wish, and this machine's user may be logged in to what strangers must not read.
    #[serde(default)]
    pub anonymous: bool,
}

impl fmt::Debug for Launch {
    /// Without the values of variables: they may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&String> = self.environment.iter().map(|(name, _)| name).collect();
        let services: Vec<&String> = self.services.iter().map(|spec| &spec.image).collect();
        let place = match &self.place {
            Place::Container(spec) => &spec.image,
            Place::Machine => "machine",
        };
        f.debug_struct("Launch")
            .field("place", &place)
            .field("services", &services)
            .field("working_directory", &self.working_directory)
            .field("environment", &names)
            .field("limits", &self.limits)
            .finish()
    }
}

/// Where a job runs.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub enum Place {
    /// A container of this image.
    Container(ImageSpec),
    /// A copy-on-write view of this machine.
    Machine,
}

/// What one job may use at most; what is `None` is not limited.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Limits {
    /// Memory, in bytes.
    pub memory_bytes: Option<u64>,
    /// Processor time, in thousandths of a core.
    pub millicpus: Option<u64>,
    /// Processes and threads at one time.
    pub pids: Option<u64>,
}

impl Limits {
    /// These, as far as the machine goes; and a line for the job's log where it does not go as far.
    pub(crate) fn within(self, machine: Self) -> (Self, Option<String>) {
        let lower = |asked: Option<u64>, has: Option<u64>| match (asked, has) {
            (Some(asked), Some(has)) if asked > has => Some(has),
            (_, _) => None,
        };
        let tenths = |count: u64, of: u64| {
            let tenths = count / (of / 10);
            format!("{}.{}", tenths / 10, tenths % 10)
        };
        let cpus = |count: u64| tenths(count, 1000);
        let gigabytes = |count: u64| tenths(count, 1 << 30);
        let shorts = [
            lower(self.millicpus, machine.millicpus)
                .zip(self.millicpus)
                .map(|(has, asked)| format!("{} of {} CPUs", cpus(has), cpus(asked))),
            lower(self.memory_bytes, machine.memory_bytes)
                .zip(self.memory_bytes)
                .map(|(has, asked)| {
                    format!("{} of {} GiB of memory", gigabytes(has), gigabytes(asked))
                }),
        ];
        let shorts: Vec<String> = shorts.into_iter().flatten().collect();
        let line = (!shorts.is_empty()).then(|| {
            format!(
                "The job gets what this machine has: {}",
                shorts.join(" and ")
            )
        });
        let limits = Self {
            memory_bytes: lower(self.memory_bytes, machine.memory_bytes).or(self.memory_bytes),
            millicpus: lower(self.millicpus, machine.millicpus).or(self.millicpus),
            pids: self.pids,
        };
        (limits, line)
    }
}

/// One way of running jobs.
///
/// Per attempt the order is `launch`, any number of `wait`, `take`, `put`, `interrupt` and `stop`, `remove`. Calls for different
/// attempts may run at the same time. Every method can be dropped at any await and called again:
/// `launch` after a dropped `launch` starts from nothing, the others are idempotent. None of them
/// ends what runs when it is dropped.
#[async_trait]
pub trait Executor: Send + Sync + fmt::Debug {
    /// The word for it in settings, logs and tables: `native`, `docker`.
    fn name(&self) -> &'static str;

    /// Whether it can run jobs of that kind, and if not, why and what to do about it.
    fn accepts(&self, place: &Place, services: &[ImageSpec]) -> Result<(), String>;

    /// Starts the container and returns once its first process runs.
    ///
    /// That process is `/bin/sh <CONTAINER_DIR>/steps.sh`, with its standard input empty and its
    /// working directory `/`. Everything that it and its children write to standard output and
    /// error lands in [`JobDir::log`], in order, byte for byte, appended. Before the first process
    /// starts, the executor may append lines of its own there (`Pulling image …`).
    /// `dir.work()` is found inside at `launch.working_directory`, writable for the job's user;
    /// `HOME` and [`WORK_DIR_VARIABLE`] (the absolute path of the working directory) are set.
    ///
    /// # Errors
    /// [`ExecutorError::Rejected`] where the job asks for what can't be had (no such image), and
    /// the other kinds for faults of ours. Nothing is left behind after an error.
    async fn launch(&self, dir: &JobDir, launch: &Launch) -> Result<(), ExecutorError>;

    /// Waits until the container has exited, and tells how. All output is in the log by then, and what its
    /// script wrote to the files of [`JobDir::outputs`] is there.
    ///
    /// # Errors
    /// [`ExecutorError::Vanished`] where there is no such container and no trace of how it ended.
    async fn wait(&self, dir: &JobDir) -> Result<Exit, ExecutorError>;

    /// Takes what is at `path` inside out of a container that runs; none if there is nothing.
    ///
    /// The path is absolute, from `~`, or from the working directory. A link there is followed, those below
    /// it are taken as such. Whoever may read it inside, it is taken.
    ///
    /// Until the archive is read to its end or dropped, other calls for the same job may wait: a daemon locks
    /// the container.
    ///
    /// # Errors
    /// [`ExecutorError::Vanished`] where no such container runs, and the other kinds for faults of ours.
    async fn take(&self, dir: &JobDir, path: &str) -> Result<Option<Archive>, ExecutorError>;

    /// Puts what was taken to `path` inside, written as for [`Executor::take`], into a container that runs.
    /// What is new belongs to the job's user, folders on the way too. A folder that is there keeps what the
    /// archive does not have; anything else is replaced. Done again, it comes to the same.
    ///
    /// # Errors
    /// [`ExecutorError::Rejected`] where it can't be put there or the archive's names lead out of it;
    /// [`ExecutorError::Vanished`] and the other kinds as above. A part of it may be there then.
    async fn put(&self, dir: &JobDir, path: &str, archive: Archive) -> Result<(), ExecutorError>;

    /// Sends `SIGUSR1` to the container's first process, whose script knows what it means; does nothing if
    /// there is none.
    async fn interrupt(&self, dir: &JobDir) -> Result<(), ExecutorError>;

    /// Ends the container: asks its processes to (`SIGTERM`), and kills all of them after `grace`.
    /// Returns once it has exited; does nothing if it has already, or never was.
    async fn stop(&self, dir: &JobDir, grace: Duration) -> Result<(), ExecutorError>;

    /// Removes the container and all that it took outside `dir`, killing it first if it runs.
    /// Does nothing if there is none.
    async fn remove(&self, dir: &JobDir) -> Result<(), ExecutorError>;

    /// The attempts whose containers this executor really holds in this server's namespace, running
    /// or exited but not removed.
    async fn held(&self) -> Result<Vec<AttemptKey>, ExecutorError>;

    /// Whether it works on this machine, for `popsicle doctor`.
    async fn check(&self) -> Check;
}

/// Set inside every job: the absolute path at which `work/` is found.
pub const WORK_DIR_VARIABLE: &str = "POPSICLE_WORKING_DIRECTORY";

/// What `popsicle doctor` says of an executor.
#[derive(Clone, Debug)]
pub struct Check {
    /// Whether jobs can run.
    pub works: bool,
    /// What it found, for people: a version, a socket; or what is missing.
    pub finding: String,
    /// What to do where something is missing.
    pub mend: Option<String>,
}

/// Why an executor could not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum ExecutorError {
    /// The job asks for what can't be had; the user can mend it.
    #[error("{0}")]
    Rejected(String),
    /// The thing that runs containers can't be reached or refused its work.
    #[error("{what}: {cause}")]
    Unavailable {
        /// What was tried, a lower-case fragment with the names it concerns.
        what: String,
        /// What it met.
        cause: String,
    },
    /// There is no such container, and nothing tells how it ended.
    #[error("the job's container is gone, and nothing tells how it ended")]
    Vanished,
    /// A file of the job's directory could not be used.
    #[error("could not use `{path}`")]
    Io {
        /// Which.
        path: std::path::PathBuf,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_go_as_far_as_the_machine() {
        let machine = Limits {
            memory_bytes: Some(15 << 28),
            millicpus: Some(2000),
            pids: None,
        };
        let (limits, line) = Limits::default().within(machine);
        assert_eq!((limits, line), (Limits::default(), None));
        assert_eq!(machine.within(machine), (machine, None));
        let asked = Limits {
            memory_bytes: Some(8 << 30),
            millicpus: Some(4000),
            pids: Some(7),
        };
        let (limits, line) = asked.within(machine);
        assert_eq!(
            limits,
            Limits {
                pids: Some(7),
                ..machine
            }
        );
        assert_eq!(
            line.unwrap(),
            "The job gets what this machine has: 2.0 of 4.0 CPUs and 3.7 of 8.0 GiB of memory"
        );
    }
}
