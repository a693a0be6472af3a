//! What the engine does while a step waits for it: so far, laying out the code.
//!
//! Each stage leaves a trace in the attempt's folder and can be done again, because the server may be
//! killed between any two of them and the step still waits. The code is first laid out in a folder
//! that the job can't see, then moved to where the step wants it, whole. Each try has a folder of its
//! own: the git of a killed server may still write to the last one.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use executor::JobDir;
use model::{Fault, FaultKind, StepAction, StepSpec, Trigger};
use rustix::fs::OFlags;
use source::{Source, SourceError};

use super::chain;
use super::script::CheckoutPlace;

/// What came of a step's question.
#[derive(Debug)]
pub(crate) enum Answer {
    /// It was done, or the log says why it could not be and the step fails.
    Given,
    /// It could not be, and that is no fault of the job's.
    Fault(Fault),
}

/// A checkout step that waits.
#[derive(Debug)]
pub(crate) struct Checkout {
    pub(crate) source: Source,
    pub(crate) trigger: Trigger,
    pub(crate) index: u32,
    pub(crate) step: StepSpec,
    pub(crate) dir: JobDir,
    /// The name of the folder that the code is first laid out in; never used before.
    pub(crate) tree: String,
}

enum Problem {
    /// The user can mend it.
    Users(String),
    Ours(String),
}

impl Checkout {
    /// Lays the code out, says so in the log, and lets the step go on.
    pub(crate) async fn answer(self) -> Answer {
        let (line, code, answer) = match self.lay_out().await {
            Ok(head) => (format!("HEAD is now at {head}"), 0, Answer::Given),
            Err(Problem::Users(why)) => {
                (format!("error: can't check out: {why}"), 1, Answer::Given)
            }
            Err(Problem::Ours(why)) => {
                let message = format!("can't check out: {why}");
                let fault = Fault {
                    kind: FaultKind::Source,
                    message: message.clone(),
                };
                (format!("error: {message}"), 1, Answer::Fault(fault))
            }
        };
        let replied = tokio::task::spawn_blocking(move || {
            self.dir.note(&line)?;
            reply(&self.dir.answer(), self.index, code)
        });
        match replied.await {
            Ok(Ok(())) => {}
            // The script is gone, and its exit says the rest.
            Ok(Err(error)) => tracing::debug!(%error, "nobody took the answer to a checkout"),
            Err(panic) => tracing::error!(%panic, "answering a checkout failed"),
        }
        answer
    }

    async fn lay_out(&self) -> Result<String, Problem> {
        let target = self.target();
        let done = self.dir.path().join(format!("laid-out.{}", self.index));
        if let Some((tree, head)) = read_trace(&done) {
            // An earlier server got this far.
            let tree = self.dir.path().join(tree);
            blocking(move || move_into(&tree, &target)).await?;
            return Ok(head);
        }
        let tree = self.dir.path().join(&self.tree);
        let (fresh, into) = (tree.clone(), target.clone());
        if !blocking(move || make_room(&fresh, &into)).await? {
            let why = "its directory is not empty; check out before other steps write there, or elsewhere with `path`";
            return Err(Problem::Users(why.to_owned()));
        }
        let code = self
            .source
            .fetch(&self.trigger)
            .await
            .map_err(|error| problem(&error))?;
        let checked_out = code.lay_out(&tree).await.map_err(|error| problem(&error))?;
        let head = checked_out.head;
        let trace = format!("{}\n{head}", self.tree);
        blocking(move || {
            fs::write(&done, trace)?;
            move_into(&tree, &target)
        })
        .await?;
        Ok(head)
    }

    fn target(&self) -> PathBuf {
        let path = match &self.step.action {
            StepAction::Checkout { path } => path.as_deref(),
            StepAction::Run(_) => None,
        };
        match CheckoutPlace::of(path) {
            CheckoutPlace::Work => self.dir.work(),
            CheckoutPlace::Elsewhere => self.dir.io().join("tree"),
        }
    }
}

/// Which folder the code was laid out in, and what was said of it; none if it never was.
fn read_trace(path: &Path) -> Option<(String, String)> {
    let text = fs::read_to_string(path).ok()?;
    let (tree, head) = text.split_once('\n')?;
    Some((tree.to_owned(), head.to_owned()))
}

/// Makes the folder `tree`; whether `target` is an empty one (made if it was not there).
fn make_room(tree: &Path, target: &Path) -> io::Result<bool> {
    fs::create_dir(tree)?;
    match fs::symlink_metadata(target) {
        // Whatever the job put there: never through a link.
        Ok(found) if !found.is_dir() => Ok(false),
        Ok(_) => Ok(fs::read_dir(target)?.next().is_none()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::create_dir(target)?;
            fs::set_permissions(target, fs::Permissions::from_mode(0o777))?;
            Ok(true)
        }
        Err(error) => Err(error),
    }
}

fn move_into(tree: &Path, target: &Path) -> io::Result<()> {
    for entry in fs::read_dir(tree)? {
        let entry = entry?;
        fs::rename(entry.path(), target.join(entry.file_name()))?;
    }
    Ok(())
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, Problem> {
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(Problem::Ours(format!(
            "the job's folder can't be used: {error}"
        ))),
        Err(panic) => Err(Problem::Ours(panic.to_string())),
    }
}

fn problem(error: &SourceError) -> Problem {
    let why = chain(error);
    if error.is_users() {
        Problem::Users(why)
    } else {
        Problem::Ours(why)
    }
}

/// Writes the answer into the FIFO that the script reads.
fn reply(fifo: &Path, index: u32, code: i32) -> io::Result<()> {
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
    file.write_all(format!("{index} {code}\n").as_bytes())
}
