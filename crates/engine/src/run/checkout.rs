//! What the engine does while a step waits for it: so far, laying out the code.
//!
//! Each stage leaves a trace in the attempt's folder and can be done again, because the server may be
//! killed between any two of them and the step still waits. The code is first laid out in a folder
//! that the job can't see, then moved to where the step wants it, whole. Each try has a folder of its
//! own: the git of a killed server may still write to the last one.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use executor::JobDir;
use model::{Fault, FaultKind, StepAction, StepSpec, Trigger};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use source::{Source, SourceError};
use tokio_util::sync::CancellationToken;

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
    /// Ends it early. Then it is still to be awaited: what is under way in the job's folder is finished.
    pub(crate) stop: CancellationToken,
}

enum Problem {
    /// The user can mend it.
    Users(String),
    Ours(String),
    /// Nobody waits for it any more.
    Stopped,
}

impl From<io::Error> for Problem {
    fn from(error: io::Error) -> Self {
        Self::Ours(format!("the job's folder can't be used: {error}"))
    }
}

impl From<SourceError> for Problem {
    fn from(error: SourceError) -> Self {
        let why = chain(&error);
        if error.is_users() {
            Self::Users(why)
        } else {
            Self::Ours(why)
        }
    }
}

impl Checkout {
    /// Lays the code out, says so in the log, and lets the step go on.
    pub(crate) async fn answer(self) -> Answer {
        let (line, code, answer) = match self.lay_out().await {
            Ok(head) => (format!("HEAD is now at {head}"), 0, Answer::Given),
            Err(Problem::Stopped) => return Answer::Given,
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
            // The script itself says the line: once it runs, the log is its own.
            reply(&self.dir.answer(), self.index, code, &line)
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
        let done = self.dir.path().join(format!("laid-out.{}", self.index));
        let target = self.target();
        if let Some((tree, head)) = read_trace(&done) {
            // An earlier server got this far.
            let tree = self.dir.path().join(tree);
            blocking(move || move_into(&tree, &target)).await?;
            return Ok(head);
        }
        let tree = self.dir.path().join(&self.tree);
        let laid_out = self.lay_out_in(&tree).await;
        if laid_out.is_err() {
            // On a full disk half a tree would keep it full.
            let tree = tree.clone();
            blocking(move || {
                let _ = fs::remove_dir_all(tree);
                Ok(())
            })
            .await?;
        }
        let head = laid_out?;
        let trace = format!("{}\n{head}", self.tree);
        blocking(move || {
            fs::write(&done, trace)?;
            move_into(&tree, &target)
        })
        .await?;
        Ok(head)
    }

    /// Lays the code out in a new folder, if there is room for it where the step wants it.
    async fn lay_out_in(&self, tree: &Path) -> Result<String, Problem> {
        let (fresh, target) = (tree.to_owned(), self.target());
        blocking(move || {
            fs::create_dir(fresh)?;
            make_room(&target)
        })
        .await?;
        let laid_out = async {
            let code = self.source.fetch(&self.trigger).await?;
            Ok::<_, SourceError>(code.lay_out(tree).await?.head)
        };
        tokio::select! {
            () = self.stop.cancelled() => Err(Problem::Stopped),
            head = laid_out => Ok(head?),
        }
    }

    fn target(&self) -> PathBuf {
        let path = match &self.step.action {
            StepAction::Checkout { path } => path.as_deref(),
            StepAction::Run(_)
            | StepAction::RestoreCache { .. }
            | StepAction::SaveCache { .. }
            | StepAction::StoreArtifacts { .. }
            | StepAction::StoreTestResults { .. }
            | StepAction::PersistToWorkspace { .. }
            | StepAction::AttachWorkspace { .. }
            | StepAction::AddSshKeys { .. }
            | StepAction::SetupRemoteDocker { .. } => None,
        };
        match CheckoutPlace::of(path) {
            CheckoutPlace::Work => self.dir.work(),
            CheckoutPlace::Elsewhere => self.dir.io().join(format!("tree.{}", self.index)),
        }
    }
}

/// Which folder the code was laid out in, and what was said of it; none if it never was.
fn read_trace(path: &Path) -> Option<(String, String)> {
    let text = fs::read_to_string(path).ok()?;
    let (tree, head) = text.split_once('\n')?;
    Some((tree.to_owned(), head.to_owned()))
}

/// Makes the folder that the code is to be moved to, and sees that it is empty.
fn make_room(target: &Path) -> Result<(), Problem> {
    match rustix::fs::mkdirat(CWD, target, Mode::from_raw_mode(0o777)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(error) => return Err(io::Error::from(error).into()),
    }
    let folder = open_folder(target)?;
    rustix::fs::fchmod(&folder, Mode::from_raw_mode(0o777)).map_err(io::Error::from)?;
    let mut entries = rustix::fs::Dir::read_from(&folder).map_err(io::Error::from)?;
    let is_taken = entries.any(|entry| {
        entry.is_ok_and(|entry| !matches!(entry.file_name().to_bytes(), b"." | b".."))
    });
    if is_taken {
        let why = "its directory is not empty; check out before other steps write there, or elsewhere with `path`";
        return Err(Problem::Users(why.to_owned()));
    }
    Ok(())
}

/// Moves all that is in `tree` into the job's folder. The job may put a link in its place at any moment,
/// so it is opened first, and what was opened is moved into.
fn move_into(tree: &Path, target: &Path) -> Result<(), Problem> {
    let (from, to) = (File::open(tree)?, open_folder(target)?);
    for entry in fs::read_dir(tree)? {
        let name = entry?.file_name();
        match rustix::fs::renameat(&from, &name, &to, &name) {
            Ok(()) => {}
            Err(Errno::NOTEMPTY | Errno::EXIST | Errno::ISDIR | Errno::NOTDIR) => {
                return Err(Problem::Users(format!(
                    "another process of the job wrote to `{}` in its directory meanwhile",
                    Path::new(&name).display()
                )));
            }
            Err(error) => return Err(io::Error::from(error).into()),
        }
    }
    Ok(())
}

/// Opens a folder that the job may have replaced by a link or a file.
fn open_folder(path: &Path) -> Result<OwnedFd, Problem> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::RDONLY | OFlags::CLOEXEC;
    match rustix::fs::openat(CWD, path, flags, Mode::empty()) {
        Ok(folder) => Ok(folder),
        Err(Errno::LOOP | Errno::NOTDIR | Errno::NOENT) => Err(Problem::Users(
            "the job put something else in the place of the directory".to_owned(),
        )),
        Err(error) => Err(io::Error::from(error).into()),
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(panic) => Err(Problem::Ours(panic.to_string())),
    }
}

/// What a FIFO takes in one piece, in bytes (`PIPE_BUF` of POSIX, 512 at least); the rest of a line is cut.
const ANSWER: usize = 512;

/// Writes the answer into the FIFO that the script reads, with what the script is to say of it.
fn reply(fifo: &Path, index: u32, code: i32, line: &str) -> io::Result<()> {
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
    let mut answer = format!("{index} {code} {}", line.replace(['\n', '\r'], " "));
    answer.truncate(answer.floor_char_boundary(ANSWER - 1));
    answer.push('\n');
    file.write_all(answer.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn why(problem: Result<(), Problem>) -> String {
        match problem {
            Err(Problem::Users(why)) => why,
            Err(Problem::Ours(why)) => panic!("it is taken for our fault: {why}"),
            Err(Problem::Stopped) | Ok(()) => panic!("it is refused"),
        }
    }

    #[test]
    fn code_never_leaves_through_a_link_of_the_jobs() {
        let root = tempfile::tempdir().unwrap();
        let (outside, target, tree) = (
            root.path().join("outside"),
            root.path().join("target"),
            root.path().join("tree"),
        );
        fs::create_dir(&outside).unwrap();
        fs::create_dir(&tree).unwrap();
        fs::write(tree.join("file"), "x").unwrap();

        // The link is there before, or takes the folder's place while the code is laid out.
        symlink(&outside, &target).unwrap();
        assert!(why(make_room(&target)).contains("something else"));
        fs::remove_file(&target).unwrap();
        assert!(make_room(&target).is_ok());
        fs::remove_dir(&target).unwrap();
        symlink(&outside, &target).unwrap();
        assert!(why(move_into(&tree, &target)).contains("something else"));
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
        assert!(tree.join("file").exists());
    }

    #[test]
    fn code_is_laid_out_in_an_empty_folder_alone() {
        let root = tempfile::tempdir().unwrap();
        let (target, tree) = (root.path().join("target"), root.path().join("tree"));
        fs::create_dir_all(tree.join("src")).unwrap();
        assert!(make_room(&target).is_ok());
        // What another process of the job writes meanwhile is its own fault.
        fs::create_dir_all(target.join("src/mine")).unwrap();
        assert!(why(make_room(&target)).contains("not empty"));
        assert!(why(move_into(&tree, &target)).contains("`src`"));
        fs::remove_dir_all(target.join("src")).unwrap();
        assert!(move_into(&tree, &target).is_ok());
        assert!(target.join("src").is_dir());
        // A second time there is nothing left to move.
        assert!(move_into(&tree, &target).is_ok());
    }
}
