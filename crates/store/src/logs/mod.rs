//! The jobs' logs: plain text files beside the database, each with an index.
//!
//! An attempt's log is `<pipeline>/<job>.<attempt>.log`, as its steps wrote it. Beside it lies
//! `<job>.<attempt>.idx`, records of one size that say how many lines the log has up to a byte, and up to
//! where in the job's raw output that byte stands for (`index`). The first lets a reader find a line
//! without reading the log; the second lets a writer go on after a crash with nothing lost and nothing
//! twice.
//!
//! A step that runs in the background has a log of its own, `<job>.<attempt>.<step>.log`: what it writes
//! comes between what others do.
//!
//! Plain file I/O that blocks; call it from a thread that may.

mod index;
mod reader;
mod writer;

use std::io;
use std::path::{Path, PathBuf};

use model::{JobId, PipelineId};

use crate::{Result, StoreError};

pub use reader::LogReader;
pub use writer::{LogSize, LogWriter, Resume};

/// The folder of all logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logs {
    root: PathBuf,
}

/// Where one attempt's log is.
#[derive(Clone, Debug)]
struct Paths {
    text: PathBuf,
    index: PathBuf,
}

impl Logs {
    /// The logs in that folder; it is made when the first log is.
    pub fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// Takes up an attempt's log where its writing was last left, or begins it.
    ///
    /// What was appended after the last checkpoint is cut off: the caller writes it again.
    ///
    /// # Errors
    /// Where its files can't be made or read.
    pub fn writer(&self, pipeline: PipelineId, job: JobId, attempt: u32) -> Result<LogWriter> {
        LogWriter::open(self.paths(pipeline, &name(job, attempt)))
    }

    /// The same for the log of a step that runs in the background.
    ///
    /// # Errors
    /// Where its files can't be made or read.
    pub fn step_writer(
        &self,
        pipeline: PipelineId,
        job: JobId,
        attempt: u32,
        step: u32,
    ) -> Result<LogWriter> {
        LogWriter::open(self.paths(pipeline, &step_name(job, attempt, step)))
    }

    /// Reads an attempt's log, even while it is written.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where nothing was written yet, or nothing ever will be.
    pub fn reader(&self, pipeline: PipelineId, job: JobId, attempt: u32) -> Result<LogReader> {
        let paths = self.paths(pipeline, &name(job, attempt));
        LogReader::open(&paths)?.ok_or_else(|| {
            StoreError::not_found("log", &format!("of attempt {attempt} of job {job}"))
        })
    }

    /// Reads the log of a step that ran in the background, even while it is written; none if the step has
    /// none of its own.
    ///
    /// # Errors
    /// Where its files can't be opened.
    pub fn step_reader(
        &self,
        pipeline: PipelineId,
        job: JobId,
        attempt: u32,
        step: u32,
    ) -> Result<Option<LogReader>> {
        LogReader::open(&self.paths(pipeline, &step_name(job, attempt, step)))
    }

    /// Removes all logs of a pipeline; none to be there is well too.
    ///
    /// # Errors
    /// Where a file can't be removed.
    pub fn remove(&self, pipeline: PipelineId) -> Result<()> {
        let folder = self.folder(pipeline);
        match std::fs::remove_dir_all(&folder) {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
                Err(StoreError::io(&folder, cause))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn folder(&self, pipeline: PipelineId) -> PathBuf {
        self.root.join(pipeline.to_string())
    }

    fn paths(&self, pipeline: PipelineId, name: &str) -> Paths {
        let folder = self.folder(pipeline);
        let file = |extension| folder.join(format!("{name}.{extension}"));
        Paths {
            text: file("log"),
            index: file("idx"),
        }
    }
}

fn name(job: JobId, attempt: u32) -> String {
    format!("{job}.{attempt}")
}

fn step_name(job: JobId, attempt: u32, step: u32) -> String {
    format!("{job}.{attempt}.{step}")
}

/// Names the file in an error.
fn at(path: &Path) -> impl Fn(io::Error) -> StoreError {
    move |cause| StoreError::io(path, cause)
}
