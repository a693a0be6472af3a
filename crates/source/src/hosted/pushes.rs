//! What was pushed, kept in the repository until CI knows of it.
//!
//! Git's hook writes each push down before anybody is told, and forgets it once the server has it. So a
//! server that is down, or that dies in between, costs nothing but time: it finds here what it missed. A
//! push that is told twice has the same id both times.
//!
//! Before that, at a push's begin, another hook notes what is to be pushed, under the number of git's
//! process. Where that process is gone and the note is still there, git died in between, and the refs tell
//! what it had done by then.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use model::{CommitSha, GitRef};
use rustix::process::{Pid, test_kill_process};

use super::entries;
use crate::SourceError;
use crate::git_dir::branches_and_tags;

/// The folder of a repository in which its pushes are kept.
pub(super) const FOLDER: &str = "popsicle-pushes";
/// The end of the name of one that is kept whole.
pub(super) const ENDING: &str = ".push";
/// The end of the name of a note of one that has begun.
pub(super) const BEGUN: &str = ".begun";
/// After how long nobody can be in the middle of a push any more.
const LONGEST_PUSH: Duration = Duration::from_secs(24 * 60 * 60);
/// How much is read of one push: a hundred thousand refs.
const LONGEST: u64 = 32 << 20;

/// A branch or a tag that a push made, or moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefUpdate {
    /// What it pointed to before; none if it is new.
    pub before: Option<CommitSha>,
    /// What it points to now; of an annotated tag the tag's own object.
    pub after: CommitSha,
    /// The branch or tag.
    pub git_ref: GitRef,
}

/// A push that CI may not know of.
#[derive(Clone, Debug)]
pub struct KeptPush {
    path: PathBuf,
    /// Its name among all pushes to its repository; later ones come later in their order.
    pub id: String,
    /// What it did, without deletions and without refs that are neither branches nor tags.
    pub updates: Vec<RefUpdate>,
}

impl KeptPush {
    /// Keeps what git told its `post-receive` hook, a line a ref: `<old> <new> <ref>`.
    ///
    /// # Errors
    /// Where it can't be written.
    pub fn keep(repository: &Path, id: &str, told: &str) -> io::Result<Self> {
        let folder = repository.join(FOLDER);
        fs::create_dir_all(&folder)?;
        let path = folder.join(format!("{id}{ENDING}"));
        let draft = folder.join(format!("{id}.new"));
        let mut file = File::create(&draft)?;
        file.write_all(told.as_bytes())?;
        file.sync_all()?;
        fs::rename(&draft, &path)?;
        Ok(Self {
            path,
            id: id.to_owned(),
            updates: updates(told),
        })
    }

    /// Forgets the note of a push that git's process of that number has begun: it is kept, or need not be.
    ///
    /// # Errors
    /// Where it can't be removed.
    pub fn forget_begun(repository: &Path, process: u32, told: &str) -> io::Result<()> {
        let folder = repository.join(FOLDER);
        let end = format!("-{process}{BEGUN}");
        for name in entries(&folder).map_err(io::Error::other)? {
            let path = folder.join(&name);
            // The number may have been another's before.
            if name.ends_with(&end) && fs::read(&path).is_ok_and(|note| note == told.as_bytes()) {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    /// This push's own name for what it did to one ref.
    pub fn delivery(&self, update: &RefUpdate) -> String {
        format!("{}/{}", self.id, update.git_ref.full())
    }

    /// CI knows of it.
    ///
    /// # Errors
    /// Where it can't be removed; being told once more does no harm.
    pub fn forget(self) -> io::Result<()> {
        match fs::remove_file(&self.path) {
            // The server was quicker, or its hook.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }

    /// All that a repository has, oldest first.
    pub(super) fn all(repository: &Path) -> Result<Vec<Self>, SourceError> {
        let folder = repository.join(FOLDER);
        take_begun(repository, &folder)?;
        let mut kept = Vec::new();
        for name in entries(&folder)? {
            let Some(id) = name.strip_suffix(ENDING) else {
                continue;
            };
            let path = folder.join(&name);
            let mut told = Vec::new();
            let read = File::open(&path).and_then(|file| file.take(LONGEST).read_to_end(&mut told));
            match read {
                // Its hook was quicker.
                Err(cause) if cause.kind() == io::ErrorKind::NotFound => continue,
                Err(cause) => return Err(SourceError::io("read", &path, cause)),
                Ok(_) => kept.push(Self {
                    id: id.to_owned(),
                    updates: updates(&String::from_utf8_lossy(&told)),
                    path,
                }),
            }
        }
        Ok(kept)
    }
}

/// Keeps what git had done of pushes in which it died.
fn take_begun(repository: &Path, folder: &Path) -> Result<(), SourceError> {
    let mut refs = None;
    for name in entries(folder)? {
        let Some((id, process)) = name
            .strip_suffix(BEGUN)
            .and_then(|id| Some((id, id.rsplit_once('-')?.1.parse().ok()?)))
        else {
            continue;
        };
        let path = folder.join(&name);
        if is_alive(process) && !is_old(&path) {
            continue;
        }
        let Ok(told) = fs::read_to_string(&path) else {
            // Its hook was quicker.
            continue;
        };
        if refs.is_none() {
            refs = Some(branches_and_tags(repository)?);
        }
        let is_done = |line: &&str| {
            let mut words = line.splitn(3, ' ').skip(1);
            let (after, name) = (words.next(), words.next());
            let now = name.and_then(|name| refs.as_ref()?.get(name));
            now.map(String::as_str) == after && now.is_some()
        };
        let done: String = told
            .lines()
            .filter(is_done)
            .flat_map(|line| [line, "\n"])
            .collect();
        let kept = if done.is_empty() {
            Ok(())
        } else {
            KeptPush::keep(repository, id, &done).map(drop)
        };
        kept.and_then(|()| fs::remove_file(&path))
            .map_err(|cause| SourceError::io("keep", &path, cause))?;
    }
    Ok(())
}

fn is_alive(process: i32) -> bool {
    Pid::from_raw(process)
        .is_some_and(|process| !matches!(test_kill_process(process), Err(rustix::io::Errno::SRCH)))
}

/// Whether no push takes as long, so that the number is another process's by now.
fn is_old(note: &Path) -> bool {
    let age = fs::metadata(note).and_then(|note| note.modified());
    age.is_ok_and(|since| since.elapsed().is_ok_and(|age| age > LONGEST_PUSH))
}

/// What starts pipelines of what git told.
fn updates(told: &str) -> Vec<RefUpdate> {
    let update = |line: &str| {
        let mut words = line.splitn(3, ' ');
        let (before, after): (CommitSha, CommitSha) =
            (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        let git_ref = words.next()?.parse().ok()?;
        (!after.is_null()).then(|| RefUpdate {
            before: (!before.is_null()).then_some(before),
            after,
            git_ref,
        })
    };
    told.lines().filter_map(update).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branches_and_tags_that_are_there_start_pipelines() {
        let (none, one, two) = ("0".repeat(40), "1".repeat(40), "2".repeat(40));
        let told = format!(
            "{none} {one} refs/heads/new\n{one} {two} refs/heads/a/b\n{one} {none} refs/heads/gone\n\
             {none} {two} refs/tags/v1\n{none} {one} refs/notes/x\nnonsense\n{one}\n"
        );
        let found: Vec<_> = updates(&told)
            .into_iter()
            .map(|update| (update.before.is_some(), update.git_ref.full()))
            .collect();
        let expected = [
            (false, "refs/heads/new"),
            (true, "refs/heads/a/b"),
            (false, "refs/tags/v1"),
        ];
        assert_eq!(
            found,
            expected.map(|(moved, name)| (moved, name.to_owned()))
        );
    }
}
