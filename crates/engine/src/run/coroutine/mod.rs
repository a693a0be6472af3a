//! What the engine does while a step waits for it: it lays out code, keeps files of the job, and brings
//! files that were kept.
//!
//! A step says only that it waits. What it waits for is in its plan, so that a job that lies about its
//! steps gets nothing that its plan does not hold. Whatever is done can be done again, because the server
//! may be killed at any moment and the step still waits; and it is done in a task of its own, because
//! parts of it wait for the store.

mod artifacts;
mod cache;
mod checkout;
mod files;
mod junit;
mod key;
mod tests;
mod workspace;

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use executor::{Executor, ExecutorError, JobDir};
use model::{Fault, FaultKind, StepAction, StepSpec};
use rustix::fs::OFlags;
use source::SourceError;
use store::{Claim, StoreError};
use tokio_util::sync::CancellationToken;

use super::chain;
use crate::handle::Shared;

/// What came of a step's question.
#[derive(Debug)]
pub(crate) enum Answer {
    /// It was done, or the log says why it could not be and the step fails.
    Given,
    /// It could not be, and that is no fault of the job's.
    Fault(Fault),
}

/// A step that waits.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) shared: Arc<Shared>,
    pub(crate) claim: Arc<Claim>,
    pub(crate) executor: Arc<dyn Executor>,
    pub(crate) dir: JobDir,
    pub(crate) index: u32,
    pub(crate) step: StepSpec,
    /// Ends it early. Then it is still to be awaited: what is under way is finished or given up.
    pub(crate) stop: CancellationToken,
}

/// Whether a step of that kind waits for the engine.
pub(crate) fn asks(action: &StepAction) -> bool {
    match action {
        StepAction::Checkout { .. }
        | StepAction::RestoreCache { .. }
        | StepAction::SaveCache { .. }
        | StepAction::StoreArtifacts { .. }
        | StepAction::StoreTestResults { .. }
        | StepAction::PersistToWorkspace { .. }
        | StepAction::AttachWorkspace { .. } => true,
        StepAction::Run(_)
        | StepAction::AddSshKeys { .. }
        | StepAction::SetupRemoteDocker { .. } => false,
    }
}

/// Why it could not be done.
enum Problem {
    /// The user can mend it.
    Users(String),
    Ours(FaultKind, String),
    /// Nobody waits for it any more.
    Stopped,
}

impl From<io::Error> for Problem {
    fn from(error: io::Error) -> Self {
        let why = format!("the job's folder can't be used: {error}");
        Self::Ours(FaultKind::Storage, why)
    }
}

impl From<SourceError> for Problem {
    fn from(error: SourceError) -> Self {
        let why = chain(&error);
        if error.is_users() {
            Self::Users(why)
        } else {
            Self::Ours(FaultKind::Source, why)
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        Self::Ours(FaultKind::Storage, chain(&error))
    }
}

impl From<ExecutorError> for Problem {
    fn from(error: ExecutorError) -> Self {
        match error {
            ExecutorError::Rejected(why) => Self::Users(why),
            ExecutorError::Vanished => Self::Stopped,
            ExecutorError::Unavailable { .. } | ExecutorError::Io { .. } => {
                Self::Ours(FaultKind::Executor, chain(&error))
            }
        }
    }
}

/// What the log is to say of it, a line each.
type Said = Vec<String>;

impl Asked {
    /// Does what the step waits for, says so in the log, and lets the step go on.
    pub(crate) async fn answer(self) -> Answer {
        // If this is dropped, threads that work for it hear of it, too.
        let _stops = self.stop.clone().drop_guard();
        let (lines, code, answer) = match self.work().await {
            Ok(said) => (said, 0, Answer::Given),
            Err(Problem::Stopped) => return Answer::Given,
            Err(Problem::Users(why)) => (vec![format!("error: {why}")], 1, Answer::Given),
            Err(Problem::Ours(kind, message)) => {
                let line = format!("error: {message}");
                (vec![line], 1, Answer::Fault(Fault { kind, message }))
            }
        };
        let replied = tokio::task::spawn_blocking(move || {
            // The script itself says the lines: once it runs, the log is its own.
            reply(&self.dir.answer(), self.index, code, &lines)
        });
        match replied.await {
            Ok(Ok(())) => {}
            // The script is gone, and its exit says the rest.
            Ok(Err(error)) => tracing::debug!(%error, "nobody took the answer to a step"),
            Err(panic) => tracing::error!(%panic, "answering a step failed"),
        }
        answer
    }

    async fn work(&self) -> Result<Said, Problem> {
        match &self.step.action {
            StepAction::Checkout { path } => self.check_out(path.as_deref()).await,
            StepAction::StoreArtifacts { path, destination } => {
                self.store_artifacts(path, destination.as_deref()).await
            }
            StepAction::StoreTestResults { path } => self.store_test_results(path).await,
            StepAction::PersistToWorkspace { root, paths } => self.persist(root, paths).await,
            StepAction::AttachWorkspace { at } => self.attach(at).await,
            StepAction::SaveCache { key, paths } => self.save_cache(key, paths).await,
            StepAction::RestoreCache { keys } => self.restore_cache(keys).await,
            StepAction::Run(_)
            | StepAction::AddSshKeys { .. }
            | StepAction::SetupRemoteDocker { .. } => {
                Err(Problem::Users("this step waits for nothing".to_owned()))
            }
        }
    }
}

/// What a FIFO takes in one piece, in bytes (`PIPE_BUF` of POSIX, 512 at least); the rest of a line is cut.
const ANSWER: usize = 512;
/// How many lines are said at most: together they fit in the FIFO, whoever reads it how slowly.
const LINES: usize = 20;

/// Writes the answer into the FIFO that the script reads, with what the script is to say of it: lines that
/// come with a `-`, and the last one with the exit code.
fn reply(fifo: &Path, index: u32, code: i32, lines: &[String]) -> io::Result<()> {
    // Fails at once if no script holds it open; a link or a plain file is not ours to write to.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let mut file = File::options()
        .write(true)
        .custom_flags(flags.bits().cast_signed())
        .open(fifo)?;
    if !file.metadata()?.file_type().is_fifo() {
        return Err(io::Error::other(
            "the job put something else in the place of its FIFO",
        ));
    }
    let (last, before) = match lines.split_last() {
        Some((last, before)) => (last.as_str(), before),
        None => ("", &[][..]),
    };
    let before = before
        .iter()
        .take(LINES)
        .map(|line| ("-".to_owned(), line.as_str()));
    for (word, line) in before.chain([(code.to_string(), last)]) {
        let mut answer = format!("{index} {word} {}", line.replace(['\n', '\r'], " "));
        answer.truncate(answer.floor_char_boundary(ANSWER - 1));
        answer.push('\n');
        file.write_all(answer.as_bytes())?;
    }
    Ok(())
}
