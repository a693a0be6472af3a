//! `checkout`: lays out the code.
//!
//! Each stage leaves a trace in the attempt's folder and can be done again, because the server may be
//! killed between any two of them and the step still waits. The code is first laid out in a folder
//! that the job can't see, then moved to where the step wants it, whole. Each try has a folder of its
//! own: the git of a killed server may still write to the last one.

use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use model::FaultKind;
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use source::SourceError;

use super::super::script::CheckoutPlace;
use super::{Asked, Problem, Said};

impl Asked {
    /// Lays the code out where the step wants it.
    pub(super) async fn check_out(&self, path: Option<&str>) -> Result<Said, Problem> {
        let checkout = Checkout {
            asked: self,
            target: match CheckoutPlace::of(path) {
                CheckoutPlace::Work => self.dir.work(),
                CheckoutPlace::Elsewhere => self.dir.io().join(format!("tree.{}", self.index)),
            },
            tree: format!("tree.{}", self.shared.world.uuid()),
        };
        match checkout.lay_out().await {
            Ok(head) => Ok(vec![format!("HEAD is now at {head}")]),
            Err(Problem::Users(why)) => Err(Problem::Users(format!("can't check out: {why}"))),
            Err(Problem::Ours(_, why)) => Err(Problem::Ours(
                FaultKind::Source,
                format!("can't check out: {why}"),
            )),
            Err(Problem::Stopped) => Err(Problem::Stopped),
        }
    }
}

struct Checkout<'a> {
    asked: &'a Asked,
    /// Where the code goes.
    target: PathBuf,
    /// The name of the folder that the code is first laid out in; never used before.
    tree: String,
}

impl Checkout<'_> {
    async fn lay_out(&self) -> Result<String, Problem> {
        let done = self
            .asked
            .dir
            .path()
            .join(format!("laid-out.{}", self.asked.index));
        let target = self.target.clone();
        if let Some((tree, head)) = read_trace(&done) {
            // An earlier server got this far.
            let tree = self.asked.dir.path().join(tree);
            blocking(move || move_into(&tree, &target)).await?;
            return Ok(head);
        }
        let tree = self.asked.dir.path().join(&self.tree);
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
        let (fresh, target) = (tree.to_owned(), self.target.clone());
        blocking(move || {
            fs::create_dir(fresh)?;
            make_room(&target)
        })
        .await?;
        let (shared, trigger) = (&self.asked.shared, &self.asked.claim.pipeline.trigger);
        let laid_out = async {
            let code = shared.source.fetch(trigger).await?;
            Ok::<_, SourceError>(code.lay_out(tree).await?.head)
        };
        tokio::select! {
            () = self.asked.stop.cancelled() => Err(Problem::Stopped),
            head = laid_out => Ok(head?),
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
        Err(panic) => Err(Problem::Ours(FaultKind::Source, panic.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn why(problem: Result<(), Problem>) -> String {
        match problem {
            Err(Problem::Users(why)) => why,
            Err(Problem::Ours(_, why)) => panic!("it is taken for our fault: {why}"),
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
