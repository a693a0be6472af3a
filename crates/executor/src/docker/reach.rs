//! Files of a running container, taken out and put in through the daemon.
//!
//! The daemon resolves paths inside the container, whatever links its files have, and reads and writes
//! there as root. So what is put is given to the job's user here, and the folders that lead there too.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bollard::query_parameters::{
    ContainerArchiveInfoOptionsBuilder, DownloadFromContainerOptionsBuilder,
};
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};

use super::daemon::Daemon;
use super::trouble::{self, Trouble};
use super::{Shared, copy, spec};
use crate::archive::{self, Archive, Owner};
use crate::{ExecutorError, JobDir};

/// What paths inside a container mean. Kept in the job's folder, where the job can't see it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Inside {
    /// The home of the job's user.
    pub(super) home: String,
    /// The absolute path of the working directory.
    pub(super) working_directory: String,
    /// The number of the job's user.
    pub(super) uid: u32,
    /// And of its group.
    pub(super) gid: u32,
}

impl Inside {
    /// Keeps it.
    pub(super) fn write(&self, dir: &JobDir) -> Result<(), ExecutorError> {
        let path = Self::path(dir);
        let written = serde_json::to_vec(self)
            .map_err(io::Error::from)
            .and_then(|text| fs::write(&path, text));
        written.map_err(|cause| ExecutorError::Io { path, cause })
    }

    fn read(dir: &JobDir) -> Result<Self, ExecutorError> {
        let path = Self::path(dir);
        let read =
            fs::read(&path).and_then(|text| serde_json::from_slice(&text).map_err(io::Error::from));
        read.map_err(|cause| ExecutorError::Io { path, cause })
    }

    fn path(dir: &JobDir) -> PathBuf {
        dir.path().join("docker-inside.json")
    }

    fn resolve(&self, path: &str) -> PathBuf {
        let (home, work) = (Path::new(&self.home), Path::new(&self.working_directory));
        archive::inside(path, home, work)
    }
}

/// Go's `fs.ModeDir` and `fs.ModeSymlink`, in which the daemon tells what a file is.
const MODE_FOLDER: u32 = 1 << 31;
const MODE_LINK: u32 = 1 << 27;

/// What is at a path inside.
struct Found {
    /// Where it really is: no link.
    path: PathBuf,
    is_folder: bool,
}

impl Shared {
    pub(super) async fn take(
        &self,
        dir: &JobDir,
        path: &str,
    ) -> Result<Option<Archive>, ExecutorError> {
        let daemon = self.daemon().await?;
        let container = spec::container_name(&self.settings.namespace, dir.key());
        let path = Inside::read(dir)?.resolve(path);
        let Some(found) = look(daemon, &container, &path).await? else {
            return Ok(None);
        };
        let path = found.path.to_string_lossy().into_owned();
        let options = DownloadFromContainerOptionsBuilder::default()
            .path(&path)
            .build();
        let chunks = daemon
            .docker
            .download_from_container(&container, Some(options));
        let what = format!("could not take `{path}` out of the job's container");
        let chunks = chunks.map(move |chunk| {
            chunk.map_err(|error| io::Error::other(trouble::unavailable(what.clone(), &error)))
        });
        Ok(Some(chunks.boxed()))
    }

    pub(super) async fn put(
        &self,
        dir: &JobDir,
        path: &str,
        archive: Archive,
    ) -> Result<(), ExecutorError> {
        let daemon = self.daemon().await?;
        let container = spec::container_name(&self.settings.namespace, dir.key());
        let inside = Inside::read(dir)?;
        let path = inside.resolve(path);
        let found = look(daemon, &container, &path).await?;
        let (path, is_there) = match found {
            Some(found) => (found.path, found.is_folder),
            None => (path, false),
        };
        let parents = missing(daemon, &container, &path).await?;
        let owner = Owner {
            uid: inside.uid,
            gid: inside.gid,
        };
        let from = archive::reading(archive);
        let at = path.clone();
        let (written, unpacked) = copy::send(daemon, &container, move |to| {
            let at = below_root(&at);
            archive::rebase(from, to, (at, &parents, is_there), owner)
        })
        .await;
        let what = || {
            format!(
                "could not put files at `{}` of the job's container",
                path.display()
            )
        };
        match written {
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                return Err(ExecutorError::Rejected(format!("{}: {error}", what())));
            }
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                return Err(ExecutorError::Unavailable {
                    what: what(),
                    cause: error.to_string(),
                });
            }
            // Nobody took its chunks: what the daemon said is the reason.
            Ok(()) | Err(_) => {}
        }
        unpacked.map_err(|error| match Trouble::of(&error) {
            Trouble::Missing => ExecutorError::Vanished,
            // It can't be written to, or there is no room: the job's own file system.
            Trouble::Refused | Trouble::Fault => {
                ExecutorError::Rejected(format!("{}: {}", what(), trouble::words(&error)))
            }
            Trouble::Conflict | Trouble::Lost => trouble::unavailable(what(), &error),
        })
    }
}

/// What is at an absolute path; none if nothing is. A link is followed.
async fn look(
    daemon: &Daemon,
    container: &str,
    path: &Path,
) -> Result<Option<Found>, ExecutorError> {
    let mut path = path.to_owned();
    // The daemon tells where a chain of links ends, so that once is enough.
    for _ in 0..2 {
        let options = ContainerArchiveInfoOptionsBuilder::default()
            .path(&path.to_string_lossy())
            .build();
        let looked = daemon
            .docker
            .get_container_archive_info(container, Some(options))
            .await;
        let found = match looked {
            Ok(found) => found,
            Err(error) if Trouble::of(&error) == Trouble::Missing => {
                return runs(daemon, container).await.map(|()| None);
            }
            Err(error)
                if Trouble::of(&error) == Trouble::Fault
                    && is_no_folder(daemon, container, &path).await =>
            {
                return Ok(None);
            }
            Err(error) => {
                let what = format!(
                    "could not look at `{}` of the job's container",
                    path.display()
                );
                return Err(trouble::unavailable(what, &error));
            }
        };
        if found.file_mode & MODE_LINK == 0 || found.link_target.is_empty() {
            return Ok(Some(Found {
                path,
                is_folder: found.file_mode & MODE_FOLDER != 0,
            }));
        }
        path = PathBuf::from(found.link_target);
    }
    Ok(None)
}

/// Whether a file is in the place of a folder on the way to a path. The daemon takes that for a fault of its
/// own, and says which only where it could answer with a text.
async fn is_no_folder(daemon: &Daemon, container: &str, path: &Path) -> bool {
    let options = DownloadFromContainerOptionsBuilder::default()
        .path(&path.to_string_lossy())
        .build();
    let mut chunks = daemon
        .docker
        .download_from_container(container, Some(options));
    match chunks.next().await {
        Some(Err(error)) => trouble::words(&error).contains("not a directory"),
        Some(Ok(_)) | None => false,
    }
}

/// That there is such a container: of one that is not, the daemon says the same as of a missing file.
async fn runs(daemon: &Daemon, container: &str) -> Result<(), ExecutorError> {
    match daemon.docker.inspect_container(container, None).await {
        Ok(_) => Ok(()),
        Err(error) if Trouble::of(&error) == Trouble::Missing => Err(ExecutorError::Vanished),
        Err(error) => {
            let what = "could not look after the job's container";
            Err(trouble::unavailable(what, &error))
        }
    }
}

/// The folders on the way to a path that are not there yet, the topmost first, as names from `/`.
async fn missing(
    daemon: &Daemon,
    container: &str,
    path: &Path,
) -> Result<Vec<PathBuf>, ExecutorError> {
    let mut missing = Vec::new();
    for above in path.ancestors().skip(1) {
        if above.parent().is_none() || look(daemon, container, above).await?.is_some() {
            break;
        }
        missing.push(below_root(above).to_owned());
    }
    missing.reverse();
    Ok(missing)
}

fn below_root(path: &Path) -> &Path {
    path.strip_prefix("/").unwrap_or(path)
}
