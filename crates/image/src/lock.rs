//! Locks that processes agree by. They are the kernel's, so that none outlives its holder.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::FlockOperation;

/// Takes a share in what is locked by `path`, so that it stays; fails where it is being made or removed.
///
/// # Errors
/// Whatever the file system says; [`io::ErrorKind::WouldBlock`] where somebody has it for themselves.
pub fn share(path: &Path) -> io::Result<File> {
    take(path, FlockOperation::NonBlockingLockShared)
}

/// Takes it for this holder alone; fails where anybody has it.
pub(crate) fn own(path: &Path) -> io::Result<File> {
    take(path, FlockOperation::NonBlockingLockExclusive)
}

/// Lets others have a share too. For a moment it may be anybody's.
pub(crate) fn open_up(lock: &File) -> io::Result<()> {
    Ok(rustix::fs::flock(lock, FlockOperation::LockShared)?)
}

/// The lock, if it was free; none if not.
pub(crate) fn if_free(taken: io::Result<File>) -> io::Result<Option<File>> {
    match taken {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        taken => taken.map(Some),
    }
}

fn take(path: &Path, how: FlockOperation) -> io::Result<File> {
    loop {
        let file = File::options()
            .read(true)
            .append(true)
            .create(true)
            .open(path)?;
        rustix::fs::flock(&file, how)?;
        // Who removes what is locked removes the lock as well: then this is nobody's any more.
        let (ours, now) = (file.metadata()?, fs::metadata(path));
        if now.is_ok_and(|now| (now.dev(), now.ino()) == (ours.dev(), ours.ino())) {
            return Ok(file);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_may_share_and_one_may_own() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let first = share(&path).unwrap();
        let second = share(&path).unwrap();
        assert!(if_free(own(&path)).unwrap().is_none());
        drop((first, second));
        let mine = own(&path).unwrap();
        assert!(if_free(share(&path)).unwrap().is_none());
        open_up(&mine).unwrap();
        assert!(share(&path).is_ok());
        // Removed, it is another's.
        fs::remove_file(&path).unwrap();
        assert!(own(&path).is_ok());
    }
}
