//! Reading an orb's unpacked source: a folder with `@orb.yml`, `commands/`, `jobs/`, `executors/`, and the
//! scripts that these include. Packing it is the compiler's.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::SourceError;

/// How many files an orb's source may have.
pub const MAX_UNPACKED_FILES: usize = 1000;
/// How large they may be together, in bytes.
pub const MAX_UNPACKED_BYTES: usize = 8 * 1024 * 1024;
/// The folder in which a project of an orb keeps its source.
const SOURCE_DIR: &str = "src";
/// What makes a folder an orb's source.
const ROOT_FILE: &str = "@orb.yml";

/// Why a folder can't be read as an orb's source.
#[derive(Debug, thiserror::Error)]
pub enum UnpackedError {
    /// It is none.
    #[error("`{}` is no orb's source: it has neither {ROOT_FILE} nor {SOURCE_DIR}/{ROOT_FILE}", .0.display())]
    NoOrb(PathBuf),
    /// It is too large.
    #[error(
        "`{}` is too large for an orb's source: at most {MAX_UNPACKED_FILES} files with {} MiB \
         together are read", .0.display(), MAX_UNPACKED_BYTES >> 20
    )]
    TooLarge(PathBuf),
    /// It can't be read.
    #[error(transparent)]
    Source(#[from] SourceError),
}

/// The files of an orb's source, by their paths from its root, sorted. Links are not followed.
///
/// # Errors
/// See [`UnpackedError`].
pub fn read_unpacked(folder: &Path) -> Result<Vec<(String, Vec<u8>)>, UnpackedError> {
    let root = [folder.to_owned(), folder.join(SOURCE_DIR)]
        .into_iter()
        .find(|root| root.join(ROOT_FILE).is_file())
        .ok_or_else(|| UnpackedError::NoOrb(folder.to_owned()))?;
    let mut files = Vec::new();
    let mut bytes = 0;
    let mut folders = vec![String::new()];
    while let Some(below) = folders.pop() {
        let path = root.join(&below);
        let unreadable = |cause: io::Error| SourceError::io("read", &path, cause);
        for entry in fs::read_dir(&path).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            let kind = entry.file_type().map_err(unreadable)?;
            let Ok(name) = entry.file_name().into_string() else {
                continue;
            };
            let name = format!("{below}{name}");
            if kind.is_dir() {
                folders.push(format!("{name}/"));
            } else if kind.is_file() {
                let mut text = Vec::new();
                let room = MAX_UNPACKED_BYTES - bytes;
                File::open(entry.path())
                    .and_then(|file| file.take(room as u64 + 1).read_to_end(&mut text))
                    .map_err(|cause| SourceError::io("read", &entry.path(), cause))?;
                if text.len() > room || files.len() == MAX_UNPACKED_FILES {
                    return Err(UnpackedError::TooLarge(root.clone()));
                }
                bytes += text.len();
                files.push((name, text));
            }
            if folders.len() > MAX_UNPACKED_FILES {
                return Err(UnpackedError::TooLarge(root.clone()));
            }
        }
    }
    files.sort_unstable();
    Ok(files)
}
