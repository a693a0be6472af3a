//! A folder of orbs that is written to.

use std::fs::{self, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::SourceError;
use crate::copy::is_absence;

use super::reference::{ENDING, URL_DIR, is_word};
use super::{MAX_ORB_BYTES, OrbReference, OrbVersion, digest};

/// How the files end that tell an address's orb's address.
const URL_ENDING: &str = ".url";

/// A folder of orbs. It is made when something is put there.
#[derive(Clone, Debug)]
pub struct OrbStore {
    folder: PathBuf,
    /// The folder below which no link is followed, if there is one.
    project: Option<PathBuf>,
}

/// An orb that is in a folder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StoredOrb {
    /// What names it.
    pub reference: OrbReference,
    /// Its file.
    pub path: PathBuf,
}

/// Why an orb can't be put there.
#[derive(Debug, thiserror::Error)]
pub enum StoreOrbError {
    /// It is too large.
    #[error("the orb has {bytes} bytes, at most {MAX_ORB_BYTES} are stored")]
    TooLarge {
        /// How large it is.
        bytes: usize,
    },
    /// The reference names more than one version.
    #[error("`{reference}` names no single version; write `namespace/orb@1.2.3`")]
    NotExact {
        /// The reference.
        reference: String,
    },
    /// That version is there with another text, and released versions do not change.
    #[error(
        "{reference} is in `{}` already, with another text; a released version does not change",
        path.display()
    )]
    Differs {
        /// Which.
        reference: String,
        /// Its file.
        path: PathBuf,
    },
    /// It would be written to where a link leads.
    #[error("`{}` is a link, and might lead out of the project; replace it by a folder", .0.display())]
    Link(PathBuf),
    /// The folder can't be read or written.
    #[error(transparent)]
    Source(#[from] SourceError),
}

impl OrbStore {
    /// Nothing is read or written yet.
    pub fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            project: None,
        }
    }

    /// The orbs that a project brings along. They are never written to where a link leads, since what is in a
    /// project may be anyone's.
    pub fn of_project(project: &Path) -> Self {
        Self {
            folder: project.join(super::VENDORED_DIR),
            project: Some(project.to_owned()),
        }
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Puts an orb there; its file. The file is there whole or not at all. A released version that is
    /// there with another text is replaced only if `replace` says so.
    ///
    /// # Errors
    /// See [`StoreOrbError`].
    pub fn put(
        &self,
        reference: &OrbReference,
        text: &[u8],
        replace: bool,
    ) -> Result<PathBuf, StoreOrbError> {
        if text.len() > MAX_ORB_BYTES {
            return Err(StoreOrbError::TooLarge { bytes: text.len() });
        }
        let Some(path) = reference.path() else {
            return Err(StoreOrbError::NotExact {
                reference: reference.to_string(),
            });
        };
        let path = self.folder.join(path);
        self.check_links(&path)?;
        if let Some(OrbVersion::Exact(_)) = reference.version()
            && !replace
        {
            match fs::read(&path) {
                Ok(there) if there == text => return Ok(path),
                Ok(_) => {
                    return Err(StoreOrbError::Differs {
                        reference: reference.to_string(),
                        path,
                    });
                }
                Err(cause) if is_absence(&cause) => {}
                Err(cause) => return Err(SourceError::io("read", &path, cause).into()),
            }
        }
        write(&path, text)?;
        if let OrbReference::Url(url) = reference {
            write(&path.with_extension("url"), format!("{url}\n").as_bytes())?;
        }
        Ok(path)
    }

    /// Takes away every orb but those; what was taken away. Files that are no orbs stay.
    ///
    /// # Errors
    /// Where the folder can't be read or written, or a link is in the way.
    pub fn keep_only(&self, kept: &[&OrbReference]) -> Result<Vec<OrbReference>, StoreOrbError> {
        let mut removed = Vec::new();
        for StoredOrb { reference, path } in self.list()? {
            if kept.contains(&&reference) {
                continue;
            }
            self.check_links(&path)?;
            remove(&path)?;
            if let OrbReference::Url(_) = reference {
                remove(&path.with_extension("url"))?;
            }
            removed.push(reference);
        }
        Ok(removed)
    }

    /// Refuses a path on which a link lies. The file itself may be one: it is replaced.
    fn check_links(&self, path: &Path) -> Result<(), StoreOrbError> {
        match &self.project {
            Some(project) => check_links(project, path),
            None => Ok(()),
        }
    }

    /// What is there, by name and version. Files that are no orbs are passed over.
    ///
    /// # Errors
    /// Where the folder can't be read.
    pub fn list(&self) -> Result<Vec<StoredOrb>, SourceError> {
        let mut found = Vec::new();
        for namespace in names(&self.folder)? {
            if namespace != URL_DIR && !is_word(&namespace) {
                continue;
            }
            let folder = self.folder.join(&namespace);
            for file in names(&folder)? {
                let reference = if namespace == URL_DIR {
                    address(&folder, &file)
                } else {
                    file.strip_suffix(ENDING)
                        .and_then(|stem| format!("{namespace}/{stem}").parse().ok())
                };
                let path = folder.join(&file);
                found.extend(
                    reference
                        .filter(|reference| leads_to(&self.folder, reference, &path))
                        .map(|reference| StoredOrb { reference, path }),
                );
            }
        }
        found.sort_unstable();
        Ok(found)
    }
}

/// The address whose orb's address is told by a file.
fn address(folder: &Path, file: &str) -> Option<OrbReference> {
    let stem = file.strip_suffix(ENDING)?;
    let told = fs::read_to_string(folder.join(format!("{stem}{URL_ENDING}"))).ok()?;
    let reference: OrbReference = told.trim_end().parse().ok()?;
    let OrbReference::Url(url) = &reference else {
        return None;
    };
    (digest(url.as_bytes()) == stem).then_some(reference)
}

fn leads_to(folder: &Path, reference: &OrbReference, path: &Path) -> bool {
    reference
        .path()
        .is_some_and(|expected| folder.join(expected) == path)
}

fn names(folder: &Path) -> Result<Vec<String>, SourceError> {
    let read = || -> io::Result<Vec<String>> {
        fs::read_dir(folder)?
            .map(|entry| Ok(entry?.file_name().into_string().unwrap_or_default()))
            .collect()
    };
    match read() {
        Err(cause) if is_absence(&cause) => Ok(Vec::new()),
        read => read.map_err(|cause| SourceError::io("read", folder, cause)),
    }
}

/// Writes a file beside its place, and moves it there once it is whole.
fn write(path: &Path, text: &[u8]) -> Result<(), SourceError> {
    let work = || -> io::Result<()> {
        let folder = path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder)?;
        // A server may be another user than who put an orb there.
        let mut file = tempfile::Builder::new()
            .permissions(Permissions::from_mode(0o644))
            .tempfile_in(folder)?;
        file.write_all(text)?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    };
    work().map_err(|cause| SourceError::io("write", path, cause))
}

fn remove(path: &Path) -> Result<(), SourceError> {
    match fs::remove_file(path) {
        Err(cause) if !is_absence(&cause) => Err(SourceError::io("remove", path, cause)),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn check_links(project: &Path, path: &Path) -> Result<(), StoreOrbError> {
    let folders = path.ancestors().skip(1);
    let mut folders = folders.take_while(|folder| *folder != project);
    match folders.find(|folder| folder.is_symlink()) {
        Some(link) => Err(StoreOrbError::Link(link.to_owned())),
        None => Ok(()),
    }
}

/// Writes a project's lock file, whole or not at all.
///
/// # Errors
/// Where it can't be written, or a link is in the way.
pub fn write_lock(project: &Path, lock: &super::OrbLock) -> Result<PathBuf, StoreOrbError> {
    let path = project.join(super::LOCK_FILE);
    check_links(project, &path)?;
    write(&path, lock.text().as_bytes())?;
    Ok(path)
}
