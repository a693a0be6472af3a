//! Copies files from one folder to another, never through a symbolic link: what is copied may be put
//! together so that a path leads through a link to somewhere else.

use std::collections::{BTreeSet, HashSet};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use crate::git_dir::create_folder;
use crate::{SourceError, Stop};

/// A copy of a folder, as far as it is made.
pub(crate) struct Copy<'a> {
    from: &'a Path,
    to: &'a Path,
    /// Device and inode of `to`, which may lie in `from`.
    target: (u64, u64),
    /// Folders that were made, by their paths under `to`.
    made: HashSet<PathBuf>,
}

impl<'a> Copy<'a> {
    pub(crate) fn new(from: &'a Path, to: &'a Path) -> Result<Self, SourceError> {
        let target = fs::metadata(to).map_err(|cause| SourceError::io("read", to, cause))?;
        Ok(Self {
            from,
            to,
            target: (target.dev(), target.ino()),
            made: HashSet::from([PathBuf::new()]),
        })
    }

    /// All files and folders below a folder.
    pub(crate) fn list(
        &self,
        folder: &Path,
        files: &mut BTreeSet<PathBuf>,
        stop: &Stop,
    ) -> Result<(), SourceError> {
        stop.check()?;
        let path = self.from.join(folder);
        let failed = |cause| SourceError::io("read", &path, cause);
        for entry in fs::read_dir(&path).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = folder.join(entry.file_name());
            if entry.file_type().map_err(failed)?.is_dir() {
                let is = entry.metadata().map_err(failed)?;
                if (is.dev(), is.ino()) != self.target {
                    self.list(&name, files, stop)?;
                    files.insert(name);
                }
            } else {
                files.insert(name);
            }
        }
        Ok(())
    }

    /// Copies one file, link or (empty) folder. Passes over what is not there, what lies behind a link,
    /// and what is none of the three.
    pub(crate) fn take(&mut self, file: &Path) -> Result<(), SourceError> {
        let (from, to) = (self.from.join(file), self.to.join(file));
        let is = match fs::symlink_metadata(&from) {
            Err(cause) if is_absence(&cause) => return Ok(()),
            is => is.map_err(|cause| SourceError::io("read", &from, cause))?,
        };
        let kind = is.file_type();
        if kind.is_dir() {
            return self.make(file).map(drop);
        }
        if !(kind.is_file() || kind.is_symlink()) || !self.make(file.parent().unwrap_or(file))? {
            return Ok(());
        }
        let copied = if kind.is_symlink() {
            fs::read_link(&from).and_then(|target| std::os::unix::fs::symlink(target, &to))
        } else {
            copy_file(&from, &to, &is)
        };
        match copied {
            // Somebody works in that folder: a file that is gone by now is no file of it.
            Err(cause) if is_absence(&cause) => Ok(()),
            copied => copied.map_err(|cause| SourceError::io("copy", &from, cause)),
        }
    }

    /// Makes a folder and those above it; false if it is none, or behind a link, at its origin.
    fn make(&mut self, folder: &Path) -> Result<bool, SourceError> {
        if self.made.contains(folder) {
            return Ok(true);
        }
        if let Some(above) = folder.parent()
            && !self.make(above)?
        {
            return Ok(false);
        }
        let is_folder = fs::symlink_metadata(self.from.join(folder)).is_ok_and(|it| it.is_dir());
        if is_folder {
            create_folder(&self.to.join(folder))?;
            self.made.insert(folder.to_owned());
        }
        Ok(is_folder)
    }
}

/// Copies a file with its time, and of its mode what git would keep.
fn copy_file(from: &Path, to: &Path, is: &fs::Metadata) -> io::Result<()> {
    fs::copy(from, to)?;
    let mode = if is.mode() & 0o111 == 0 { 0o666 } else { 0o777 };
    fs::set_permissions(to, fs::Permissions::from_mode(mode))?;
    File::options()
        .write(true)
        .open(to)?
        .set_modified(is.modified()?)
}

/// Whether it failed because nothing is there.
pub(crate) fn is_absence(cause: &io::Error) -> bool {
    let is_loop = cause.raw_os_error() == Some(Errno::LOOP.raw_os_error());
    is_loop
        || matches!(
            cause.kind(),
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
        )
}
