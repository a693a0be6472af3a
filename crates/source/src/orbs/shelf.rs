//! One place where orbs lie: a folder of this machine, or a folder of a project's tree.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::PathBuf;

use tokio::runtime::Handle;

use crate::copy::is_absence;
use crate::{SourceError, Tree};

use super::{MAX_ORB_BYTES, VENDORED_DIR};

/// Where to look. Everything here blocks, and must not be called where futures are polled.
#[derive(Clone, Debug)]
pub(super) enum Shelf {
    /// A folder of this machine.
    Folder(PathBuf),
    /// What a project's tree brings along.
    Vendored { tree: Tree, runtime: Handle },
}

impl Shelf {
    /// The names of the files in a folder of it; none where there is no such folder.
    pub(super) fn names(&self, folder: &str) -> Result<Vec<String>, SourceError> {
        match self {
            Self::Folder(root) => {
                let path = root.join(folder);
                let entries = match fs::read_dir(&path) {
                    Ok(entries) => entries,
                    Err(cause) if is_absence(&cause) => return Ok(Vec::new()),
                    Err(cause) => return Err(SourceError::io("read", &path, cause)),
                };
                entries
                    .filter_map(|entry| match entry {
                        Ok(entry) => entry.file_name().into_string().ok().map(Ok),
                        Err(cause) => Some(Err(SourceError::io("read", &path, cause))),
                    })
                    .collect()
            }
            Self::Vendored { tree, runtime } => {
                runtime.block_on(tree.files_in(&format!("{VENDORED_DIR}/{folder}")))
            }
        }
    }

    /// A file of it, cut at one byte more than an orb may have; none where there is no such file.
    pub(super) fn read(&self, path: &str) -> Result<Option<Vec<u8>>, SourceError> {
        match self {
            Self::Folder(root) => {
                let path = root.join(path);
                let read = || -> io::Result<Vec<u8>> {
                    let mut text = Vec::new();
                    // A pipe would be waited for.
                    if !fs::metadata(&path)?.is_file() {
                        return Err(io::Error::other("it is not a file"));
                    }
                    File::open(&path)?
                        .take(MAX_ORB_BYTES as u64 + 1)
                        .read_to_end(&mut text)?;
                    Ok(text)
                };
                match read() {
                    Ok(text) => Ok(Some(text)),
                    Err(cause) if is_absence(&cause) => Ok(None),
                    Err(cause) => Err(SourceError::io("read", &path, cause)),
                }
            }
            Self::Vendored { tree, runtime } => {
                let paths = [format!("{VENDORED_DIR}/{path}")];
                let read = runtime.block_on(tree.read(&paths, MAX_ORB_BYTES))?;
                Ok(read.into_iter().next().map(|(_, text)| text))
            }
        }
    }
}
