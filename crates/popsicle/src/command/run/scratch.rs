//! The folder of one `popsicle run`: it goes away with the command, and if that was killed with the next one.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;
use uuid::Uuid;

use crate::error::Failure;

/// How the names of all such folders begin, and the namespaces of their containers: a folder's own name is
/// its namespace, so that a server on this machine never takes these containers for its own, nor this
/// command the server's.
const PREFIX: &str = "popsicle-run-";
/// How many names are tried.
const TRIES: u32 = 10;

/// A folder that is removed with this value.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    namespace: String,
    is_kept: bool,
    /// Held as long as the command lives, whatever ends it.
    _lock: File,
}

impl Scratch {
    /// A new one.
    pub fn new() -> Result<Self, Failure> {
        let mut tries = 0;
        loop {
            let namespace = format!("{PREFIX}{}", Uuid::new_v4().simple());
            let path = std::env::temp_dir().join(&namespace);
            let made = DirBuilder::new().mode(0o700).create(&path);
            let error = match made.and_then(|()| Self::lock(path, namespace)) {
                Ok(scratch) => return Ok(scratch),
                Err(error) => error,
            };
            // Before it was locked, another command may have taken it for a dead one's.
            tries += 1;
            let was_taken = matches!(
                error.kind(),
                io::ErrorKind::WouldBlock | io::ErrorKind::NotFound
            );
            if !was_taken || tries == TRIES {
                return Err(Failure::unable(format_args!(
                    "can't make a temporary folder: {error}"
                ))
                .hint("TMPDIR names another place for it"));
            }
        }
    }

    /// Lets it be when this value goes, for the next command to clear.
    pub fn keep(&mut self) {
        self.is_kept = true;
    }

    /// Those of commands that were killed.
    pub fn dead() -> Vec<Self> {
        let entries = fs::read_dir(std::env::temp_dir()).into_iter().flatten();
        entries
            .flatten()
            .filter_map(|entry| {
                let name = entry.file_name().to_str()?.to_owned();
                let is_one = name.starts_with(PREFIX) && is_ours(&entry.path());
                // One whose lock can't be had is a living command's.
                is_one.then(|| Self::lock(entry.path(), name).ok())?
            })
            .collect()
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What its containers are marked with.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    fn lock(path: PathBuf, namespace: String) -> io::Result<Self> {
        let lock = File::create(path.join("lock"))?;
        rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Self {
            path,
            namespace,
            is_kept: false,
            _lock: lock,
        })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if !self.is_kept {
            // What resists is the next command's.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// Whether it is a folder of this user's, which others can't have put there.
fn is_ours(path: &Path) -> bool {
    let has_name = path.file_name().and_then(OsStr::to_str).is_some();
    let ours = rustix::process::geteuid().as_raw();
    has_name
        && fs::symlink_metadata(path)
            .is_ok_and(|found| found.is_dir() && found.uid() == ours && found.mode() & 0o077 == 0)
}
