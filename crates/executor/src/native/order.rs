//! What the executor and its shim tell each other, and the files in which they keep it.
//!
//! ```text
//! <job dir>/
//!   order.json   executor → shim: what to run; there as long as anything has to be removed
//!   environment.json  executor → shim: the job's variables; gone once the shim has read them
//!   shim.lock    locked as long as the shim lives
//!   shim.pid     shim → executor: which process the shim is
//!   init.pid     shim → executor: which process the job's first one is
//!   inside.json  shim → helpers: what paths inside mean
//!   shim.exit    shim → executor: how the job exited
//!   shim.log     what the shim has to say to the one who looks for a fault
//!   native/      what the job's root file system is made of
//! ```
//!
//! The answer to "does it run?" goes the short way, as one line of JSON on the shim's standard output.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use image::HeldLayer;
use serde::{Deserialize, Serialize};

use super::groups::Groups;
use crate::{ExecutorError, Exit, JobDir, Launch};

/// All that a shim has to know; `order.json`.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Order {
    /// The server's, so that two servers can share a root of job directories.
    pub namespace: String,
    /// What to run, without its variables.
    pub launch: Launch,
    /// Where the job finds programs: the server's own `PATH` where the job sees the server's machine.
    pub path: String,
    /// What the job's root is made of, where it is not the machine's.
    #[serde(default)]
    pub image: Option<ImageOrder>,
    /// What the job must not see, beside what no job sees.
    pub hidden: Vec<PathBuf>,
    /// The control groups to run it in.
    pub groups: Groups,
}

/// The image that a job runs in.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ImageOrder {
    /// Its name, as the job has it.
    pub name: String,
    /// Its layers, the topmost first.
    pub layers: Vec<HeldLayer>,
    /// The user to be: a name, a number, `user:group`; empty for root.
    pub user: String,
    /// The `HOME` of its own variables.
    pub home: Option<String>,
}

/// What paths mean inside a job, and whose what is put there is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Inside {
    pub home: PathBuf,
    pub working_directory: PathBuf,
    pub uid: u32,
    pub gid: u32,
}

/// The shim's one line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Reply {
    /// The job's first process runs.
    Started,
    /// The job asks for what can't be had.
    Rejected(String),
    /// Something of ours or of the machine failed.
    Failed {
        /// What was tried.
        what: String,
        /// What it met.
        cause: String,
    },
}

/// The files of this module in one job directory.
#[derive(Clone, Debug)]
pub(super) struct Files {
    dir: PathBuf,
}

impl Files {
    pub(super) fn of(dir: &JobDir) -> Self {
        Self {
            dir: dir.path().to_owned(),
        }
    }

    pub(super) fn order(&self) -> PathBuf {
        self.dir.join("order.json")
    }

    pub(super) fn environment(&self) -> PathBuf {
        self.dir.join("environment.json")
    }

    pub(super) fn lock(&self) -> PathBuf {
        self.dir.join("shim.lock")
    }

    pub(super) fn shim(&self) -> PathBuf {
        self.dir.join("shim.pid")
    }

    pub(super) fn init(&self) -> PathBuf {
        self.dir.join("init.pid")
    }

    pub(super) fn inside(&self) -> PathBuf {
        self.dir.join("inside.json")
    }

    pub(super) fn exit(&self) -> PathBuf {
        self.dir.join("shim.exit")
    }

    /// Where the exit is written before it gets its name.
    pub(super) fn exit_draft(&self) -> PathBuf {
        self.dir.join("shim.exit.new")
    }

    pub(super) fn log(&self) -> PathBuf {
        self.dir.join("shim.log")
    }

    pub(super) fn scratch(&self) -> PathBuf {
        self.dir.join("native")
    }

    /// Reads the order, if there is one.
    pub(super) fn read_order(&self) -> Result<Option<Order>, ExecutorError> {
        read(&self.order())
    }

    /// Writes the order.
    pub(super) fn write_order(&self, order: &Order) -> Result<(), ExecutorError> {
        write(self.order(), order)
    }

    /// Writes the job's variables, which hold secrets.
    pub(super) fn write_environment(
        &self,
        variables: &[(String, String)],
    ) -> Result<(), ExecutorError> {
        write(self.environment(), &variables)
    }

    /// Reads the job's variables, and deletes them: they are needed once, and the job may run for hours.
    pub(super) fn take_environment(&self) -> Result<Option<Vec<(String, String)>>, ExecutorError> {
        let path = self.environment();
        let variables = read(&path)?;
        fs::remove_file(&path).map_err(|cause| ExecutorError::Io { path, cause })?;
        Ok(variables)
    }

    /// Reads what paths inside mean, if that is written down.
    pub(super) fn read_inside(&self) -> Result<Option<Inside>, ExecutorError> {
        read(&self.inside())
    }

    /// Reads how the job exited, if that is written down.
    pub(super) fn read_exit(&self) -> Result<Option<Exit>, ExecutorError> {
        read(&self.exit())
    }
}

/// Writes for the owner's eyes only.
fn write(path: PathBuf, value: &impl Serialize) -> Result<(), ExecutorError> {
    let write = || -> io::Result<()> {
        let file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&path)?;
        let mut file = io::BufWriter::new(file);
        serde_json::to_writer(&mut file, value)?;
        // Unasked, it would keep a full disk to itself.
        file.flush()
    };
    write().map_err(|cause| ExecutorError::Io { path, cause })
}

fn read<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<Option<T>, ExecutorError> {
    let text = match fs::read(path) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other,
    };
    text.and_then(|text| serde_json::from_slice(&text).map_err(io::Error::from))
        .map(Some)
        .map_err(|cause| ExecutorError::Io {
            path: path.to_owned(),
            cause,
        })
}
