//! Files that are found by what is in them: `<root>/<first two digits>/<digest>`.
//!
//! A blob is written beside its place and moved there whole; two that are the same are one, and the later
//! takes the place of the earlier, which heals one that the disk has damaged. Rows of the database say whose they are, and what no row names is removed, but
//! not while it is young: its row may be about to be written.
//!
//! Plain file I/O that blocks; call it from a thread that may.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;

use crate::{Result, StoreError};

/// For how long a blob that no row names is kept: longer than any step takes from its first file to its
/// rows.
const YOUTH: Duration = Duration::from_secs(6 * 60 * 60);

/// The SHA-256 of a blob's bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(String);

impl Digest {
    /// From its 64 hexadecimal digits, in lower case.
    pub fn parse(text: &str) -> Option<Self> {
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        (text.len() == 64 && text.bytes().all(is_digit)).then(|| Self(text.to_owned()))
    }

    /// Of all that is read from there.
    ///
    /// # Errors
    /// What reading meets.
    pub fn of(from: &mut impl Read) -> io::Result<Self> {
        let mut hash = Sha256::new();
        let mut chunk = vec![0; 64 << 10];
        loop {
            match from.read(&mut chunk)? {
                0 => return Ok(Self(hex::encode(hash.finalize()))),
                read => hash.update(&chunk[..read]),
            }
        }
    }

    pub(crate) fn read(text: &str, of: impl FnOnce() -> String) -> Result<Self> {
        Self::parse(text).ok_or_else(|| StoreError::corrupt("digest", of(), "it is no SHA-256"))
    }

    /// Its digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A blob that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob {
    /// How it is found.
    pub digest: Digest,
    /// How long it is, in bytes.
    pub bytes: u64,
}

/// The folder of all blobs. Clones are the same folder.
#[derive(Clone, Debug)]
pub struct Blobs {
    root: Arc<Path>,
    /// Held where a blob is found to be there, and where one is removed.
    turn: Arc<Mutex<()>>,
}

impl Blobs {
    /// The blobs in that folder; it is made when the first one is.
    pub fn new(root: PathBuf) -> Self {
        Self {
            root: root.into(),
            turn: Arc::default(),
        }
    }

    /// Begins a blob. Dropped before it is finished, nothing of it is left.
    ///
    /// # Errors
    /// Where no file can be made.
    pub fn writer(&self) -> Result<BlobWriter> {
        let drafts = self.root.join("drafts");
        let begin = || {
            fs::create_dir_all(&drafts)?;
            NamedTempFile::new_in(&drafts)
        };
        let file = begin().map_err(|cause| StoreError::io(&drafts, cause))?;
        Ok(BlobWriter {
            blobs: self.clone(),
            out: BufWriter::with_capacity(
                64 << 10,
                Hashed {
                    file,
                    hash: Sha256::new(),
                    bytes: 0,
                },
            ),
        })
    }

    /// Keeps all that is read from there.
    ///
    /// # Errors
    /// As [`Blobs::writer`], and what reading and writing meet.
    pub fn keep(&self, from: &mut impl Read) -> io::Result<Blob> {
        let mut writer = self.writer().map_err(io::Error::other)?;
        io::copy(from, &mut writer)?;
        writer.finish().map_err(io::Error::other)
    }

    /// A blob, to be read.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where there is none.
    pub fn open(&self, digest: &Digest) -> Result<File> {
        let path = self.path(digest);
        File::open(&path).map_err(|cause| {
            if cause.kind() == io::ErrorKind::NotFound {
                StoreError::not_found("blob", digest)
            } else {
                StoreError::io(&path, cause)
            }
        })
    }

    /// Waits until all blobs are on disk, so that rows may name them: one wait for many of them.
    ///
    /// # Errors
    /// Where the disk fails.
    pub fn settle(&self) -> Result<()> {
        let settle = || -> io::Result<()> {
            fs::create_dir_all(&self.root)?;
            Ok(rustix::fs::syncfs(File::open(&self.root)?)?)
        };
        settle().map_err(|cause| StoreError::io(&self.root, cause))
    }

    /// Removes a blob that no row names any more; it is well if it is not there. One that is young stays,
    /// for [`Blobs::list`] to find it later. Whether it is gone.
    ///
    /// # Errors
    /// Where it can't be removed.
    pub fn remove(&self, digest: &Digest) -> Result<bool> {
        let path = self.path(digest);
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let removed = match fs::metadata(&path) {
            Ok(found) if is_young(&found) => return Ok(false),
            Ok(_) => fs::remove_file(&path),
            Err(error) => Err(error),
        };
        match removed {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
                Err(StoreError::io(&path, cause))
            }
            Ok(()) | Err(_) => Ok(true),
        }
    }

    /// All blobs that are not young. Drafts that a killed server left are removed, once they are not either.
    ///
    /// # Errors
    /// Where the folder can't be read.
    pub fn list(&self) -> Result<Vec<Digest>> {
        let mut found = Vec::new();
        let mut list = || -> io::Result<()> {
            for folder in entries(&self.root)? {
                for entry in entries(&folder.path())? {
                    let metadata = match entry.metadata() {
                        Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                        metadata => metadata?,
                    };
                    if is_young(&metadata) {
                        continue;
                    }
                    match entry.file_name().to_str().and_then(Digest::parse) {
                        Some(digest) => found.push(digest),
                        None => fs::remove_file(entry.path())?,
                    }
                }
            }
            Ok(())
        };
        list().map_err(|cause| StoreError::io(&self.root, cause))?;
        Ok(found)
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        self.root.join(&digest.0[..2]).join(&digest.0)
    }
}

fn entries(folder: &Path) -> io::Result<Vec<fs::DirEntry>> {
    match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        entries => entries?.collect(),
    }
}

fn is_young(found: &fs::Metadata) -> bool {
    let modified = found.modified().unwrap_or(SystemTime::UNIX_EPOCH);
    // One of the future was made before somebody set the clock back: how old it is nobody knows.
    modified.elapsed().map_or(true, |age| age < YOUTH)
}

/// A blob that is being written.
#[derive(Debug)]
pub struct BlobWriter {
    blobs: Blobs,
    out: BufWriter<Hashed>,
}

#[derive(Debug)]
struct Hashed {
    file: NamedTempFile,
    hash: Sha256,
    bytes: u64,
}

impl Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Write for BlobWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl BlobWriter {
    /// Keeps what was written. [`Blobs::settle`] makes it last.
    ///
    /// # Errors
    /// Where it can't be written.
    pub fn finish(self) -> Result<Blob> {
        let Self { blobs, out } = self;
        let failed = |cause| StoreError::io(&blobs.root, cause);
        let Hashed { file, hash, bytes } = out
            .into_inner()
            .map_err(|error| failed(error.into_error()))?;
        let digest = Digest(hex::encode(hash.finalize()));
        let path = blobs.path(&digest);
        let _turn = blobs.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let place = || -> io::Result<()> {
            // One that is there is replaced: after a loss of power it may not be what its name says. So it
            // is young again, too, and a row may be about to name it.
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder)?;
            }
            file.persist(&path)?;
            Ok(())
        };
        place().map_err(failed)?;
        Ok(Blob { digest, bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keep(blobs: &Blobs, text: &str) -> Blob {
        blobs.keep(&mut text.as_bytes()).unwrap()
    }

    fn age(blobs: &Blobs, digest: &Digest) {
        let file = File::options().write(true).open(blobs.path(digest));
        let long_ago = SystemTime::now() - 2 * YOUTH;
        file.unwrap().set_modified(long_ago).unwrap();
    }

    #[test]
    fn the_same_is_kept_once_and_found_by_what_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::new(folder.path().join("blobs"));
        let blob = keep(&blobs, "text");
        assert_eq!(keep(&blobs, "text"), blob);
        assert_ne!(keep(&blobs, "other").digest, blob.digest);
        assert_eq!(
            blob.digest.as_str(),
            "982d9e3eb996f559e633f4d194def3761d909f5a3b647d1a851fead67c32c9d1"
        );
        let text = io::read_to_string(blobs.open(&blob.digest).unwrap()).unwrap();
        assert_eq!((text.as_str(), blob.bytes), ("text", 4));
        drop(blobs.writer().unwrap());
        let drafts = fs::read_dir(folder.path().join("blobs/drafts")).unwrap();
        assert_eq!(drafts.count(), 0);
        blobs.settle().unwrap();
    }

    #[test]
    fn what_is_young_stays() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::new(folder.path().to_owned());
        let blob = keep(&blobs, "text");
        assert!(!blobs.remove(&blob.digest).unwrap());
        assert_eq!(blobs.list().unwrap(), []);
        age(&blobs, &blob.digest);
        assert_eq!(blobs.list().unwrap(), std::slice::from_ref(&blob.digest));
        // It is wanted again.
        keep(&blobs, "text");
        assert!(!blobs.remove(&blob.digest).unwrap());
        age(&blobs, &blob.digest);
        assert!(blobs.remove(&blob.digest).unwrap());
        assert!(blobs.remove(&blob.digest).unwrap());
        assert!(blobs.open(&blob.digest).unwrap_err().is_not_found());
    }

    #[test]
    fn one_of_the_future_is_young() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::new(folder.path().to_owned());
        let digest = keep(&blobs, "text").digest;
        let file = File::options().write(true).open(blobs.path(&digest));
        let future = SystemTime::now() + YOUTH;
        file.unwrap().set_modified(future).unwrap();
        assert!(!blobs.remove(&digest).unwrap());
        assert_eq!(blobs.list().unwrap(), []);
    }

    #[test]
    fn one_that_is_damaged_heals_when_it_is_kept_again() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::new(folder.path().to_owned());
        let digest = keep(&blobs, "text").digest;
        let reader = blobs.open(&digest).unwrap();
        fs::write(blobs.path(&digest), "").unwrap();
        keep(&blobs, "text");
        let text = io::read_to_string(blobs.open(&digest).unwrap()).unwrap();
        assert_eq!(text, "text");
        // Whoever reads the one before is not disturbed.
        assert_eq!(io::read_to_string(reader).unwrap(), "");
    }

    #[test]
    fn only_a_digest_is_a_name() {
        for bad in ["", "../../etc/passwd", &"A".repeat(64), &"0".repeat(63)] {
            assert_eq!(Digest::parse(bad), None, "{bad}");
        }
    }
}
