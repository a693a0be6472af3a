//! Finding: which text a reference stands for, in one project on this machine.

use std::path::{Path, PathBuf};

use tokio::runtime::Handle;

use crate::{SourceError, Tree};

use super::reference::ENDING;
use super::shelf::Shelf;
use super::{
    BadReference, LOCK_FILE, LockError, MAX_ORB_BYTES, OrbLock, OrbReference, OrbVersion, Pin,
    VENDORED_DIR, digest,
};

/// The largest lock file, in bytes: room for thousands of orbs.
const MAX_LOCK_BYTES: usize = 1024 * 1024;

/// Where this machine keeps orbs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OrbFolders {
    /// Looked through before all else, the project's own orbs included.
    pub first: Option<PathBuf>,
    /// Looked through last.
    pub store: Option<PathBuf>,
}

/// Looks for the orbs of one project. Looking blocks: it must not be done where futures are polled.
#[derive(Clone, Debug)]
pub struct OrbFinder {
    places: Vec<Place>,
    lock: OrbLock,
    /// Whether the project pins what it imports: then what is not pinned has to come along with it.
    is_locked: bool,
}

/// A place to look at.
#[derive(Clone, Debug)]
struct Place {
    shelf: Shelf,
    whose: Whose,
}

/// Who says what lies in a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    /// Whoever named it for this once.
    Named,
    /// The project, which brings it along.
    Project,
    /// The machine: on another one there may be other orbs.
    Machine,
}

/// An orb that is here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundOrb {
    /// The reference with the very version that was found.
    pub reference: OrbReference,
    /// Its text.
    pub text: Vec<u8>,
    /// The SHA-256 of its text, in hexadecimal digits.
    pub sha256: String,
}

/// Why an orb was not found: each reads well after the orb's name.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// It is none.
    #[error("is not at hand: {}", .0.why)]
    Bad(#[from] BadReference),
    /// It is in none of the places.
    #[error("is not at hand{}", besides(.pinned.as_ref(), .others))]
    NotAtHand {
        /// The version that the project pins it to.
        pinned: Option<OrbVersion>,
        /// The versions that are here, the newest first.
        others: Vec<OrbVersion>,
    },
    /// The project pins what it imports, but not this, which is only in this machine's store.
    #[error(
        "is not pinned by `{LOCK_FILE}`: {found} is in this machine's store, and elsewhere it may be another"
    )]
    NotPinned {
        /// What was found.
        found: String,
    },
    /// It is here, and is not what the project pinned.
    #[error(
        "is not what `{LOCK_FILE}` pins: the text of {found} has the digest {sha256}, and {pinned} is \
         expected"
    )]
    Changed {
        /// What was found.
        found: String,
        /// Its text's digest.
        sha256: String,
        /// The digest that it should have.
        pinned: String,
    },
    /// A place can't be read.
    #[error("can't be read: {0}")]
    Source(#[from] SourceError),
}

impl FindError {
    /// What people can do about it, if it is the answer to this reference.
    pub fn remedy(&self, reference: &OrbReference) -> Option<String> {
        match self {
            Self::NotAtHand { pinned, .. } => {
                let wanted = match pinned {
                    Some(version) => reference.with_version(version.clone()),
                    None => reference.clone(),
                };
                Some(format!(
                    "`popsicle orb add {wanted}` fetches it, and `popsicle orb vendor` then brings it along \
                     with the project"
                ))
            }
            Self::NotPinned { .. } => Some(
                "`popsicle orb vendor` pins it, and brings it along with the project".to_owned(),
            ),
            Self::Changed { .. } => Some(
                "bring back the right text, or pin this one with `popsicle orb vendor --relock`"
                    .to_owned(),
            ),
            Self::Bad(_) | Self::Source(_) => None,
        }
    }
}

/// Why a project's orbs can't be looked for.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    /// Its lock file makes no sense.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// Its lock file is too large.
    #[error("`{LOCK_FILE}` is larger than {} KiB", MAX_LOCK_BYTES / 1024)]
    LockTooLarge,
    /// It can't be read.
    #[error(transparent)]
    Source(#[from] SourceError),
}

impl OrbFinder {
    /// For a project in a folder of this machine.
    ///
    /// # Errors
    /// Where its lock file can't be read, or makes no sense.
    pub fn of_folder(project: &Path, folders: &OrbFolders) -> Result<Self, ProjectError> {
        let lock = Shelf::Folder(project.to_owned()).read(LOCK_FILE)?;
        let vendored = Shelf::Folder(project.join(VENDORED_DIR));
        Self::new(vendored, folders, lock.as_deref())
    }

    /// The same for pinning its orbs anew, whatever is pinned: what lies in the store counts before what the
    /// project brings along.
    ///
    /// # Errors
    /// As [`OrbFinder::of_folder`], but for the lock file, which is not read.
    pub fn relocking(project: &Path, folders: &OrbFolders) -> Result<Self, ProjectError> {
        let vendored = Shelf::Folder(project.join(VENDORED_DIR));
        let mut finder = Self::new(vendored, folders, None)?;
        finder
            .places
            .sort_by_key(|place| place.whose == Whose::Project);
        Ok(finder)
    }

    /// The same for pinning what is not pinned yet: that may come from this machine's store.
    #[must_use]
    pub fn adding_pins(self) -> Self {
        Self {
            is_locked: false,
            ..self
        }
    }

    /// For a project's tree, read through the runtime that this is called in.
    ///
    /// # Errors
    /// Where its lock file can't be read, or makes no sense.
    pub async fn of_tree(tree: &Tree, folders: &OrbFolders) -> Result<Self, ProjectError> {
        let read = tree.read(&[LOCK_FILE.to_owned()], MAX_LOCK_BYTES).await?;
        let lock = read.first().map(|(_, text)| text.as_slice());
        let vendored = Shelf::Vendored {
            tree: tree.clone(),
            runtime: Handle::current(),
        };
        Self::new(vendored, folders, lock)
    }

    fn new(
        vendored: Shelf,
        folders: &OrbFolders,
        lock: Option<&[u8]>,
    ) -> Result<Self, ProjectError> {
        if lock.is_some_and(|text| text.len() > MAX_LOCK_BYTES) {
            return Err(ProjectError::LockTooLarge);
        }
        let folder = |path: &Option<PathBuf>, whose| {
            path.clone().map(|path| Place {
                shelf: Shelf::Folder(path),
                whose,
            })
        };
        let vendored = Place {
            shelf: vendored,
            whose: Whose::Project,
        };
        Ok(Self {
            places: folder(&folders.first, Whose::Named)
                .into_iter()
                .chain([vendored])
                .chain(folder(&folders.store, Whose::Machine))
                .collect(),
            is_locked: lock.is_some(),
            lock: OrbLock::parse(lock.unwrap_or_default())?,
        })
    }

    /// What the project pins.
    pub fn lock(&self) -> &OrbLock {
        &self.lock
    }

    /// Looks for an orb. Of a pinned one only the pinned text will do; else the first place that has a
    /// fitting version wins, with its newest. A project with a lock file gets nothing from this machine's
    /// store that it does not pin: the same commit would be built from other texts elsewhere, or later.
    ///
    /// # Errors
    /// See [`FindError`].
    pub fn find(&self, reference: &OrbReference) -> Result<FoundOrb, FindError> {
        let pin = self.lock.pin(reference);
        let wanted = match pin {
            Some(Pin {
                version: Some(version),
                ..
            }) => reference.with_version(version.clone()),
            Some(Pin { version: None, .. }) | None => reference.clone(),
        };
        for Place { shelf, whose } in &self.places {
            let Some(exact) = newest(shelf, &wanted)? else {
                continue;
            };
            let Some(text) = exact.path().map(|path| shelf.read(&path)).transpose()? else {
                continue;
            };
            let Some(text) = text else { continue };
            if self.is_locked && pin.is_none() && *whose == Whose::Machine {
                return Err(FindError::NotPinned {
                    found: exact.to_string(),
                });
            }
            let sha256 = digest(&text);
            // What is too large was cut; the compiler says so.
            if let Some(pin) = pin
                && text.len() <= MAX_ORB_BYTES
                && pin.sha256 != sha256
            {
                return Err(FindError::Changed {
                    found: exact.to_string(),
                    sha256,
                    pinned: pin.sha256.clone(),
                });
            }
            return Ok(FoundOrb {
                reference: exact,
                text,
                sha256,
            });
        }
        let mut others = Vec::new();
        for Place { shelf, .. } in &self.places {
            others.extend(versions(shelf, reference)?);
        }
        others.sort_unstable_by(|one, other| other.cmp(one));
        others.dedup();
        Err(FindError::NotAtHand {
            pinned: pin.and_then(|pin| pin.version.clone()),
            others,
        })
    }
}

/// The newest version in a place that will do.
fn newest(shelf: &Shelf, wanted: &OrbReference) -> Result<Option<OrbReference>, SourceError> {
    match wanted.version() {
        Some(version @ OrbVersion::Newest(_)) => {
            let fitting = versions(shelf, wanted)?.into_iter();
            let fitting = fitting.filter(|other| version.takes(other)).max();
            Ok(fitting.map(|exact| wanted.with_version(exact)))
        }
        Some(OrbVersion::Exact(_) | OrbVersion::Dev(_)) | None => Ok(Some(wanted.clone())),
    }
}

/// The versions of an orb in a place.
fn versions(shelf: &Shelf, orb: &OrbReference) -> Result<Vec<OrbVersion>, SourceError> {
    let OrbReference::Named {
        namespace, name, ..
    } = orb
    else {
        return Ok(Vec::new());
    };
    let names = shelf.names(namespace)?;
    let versions = names.iter().filter_map(|file| {
        let version = file
            .strip_suffix(ENDING)?
            .strip_prefix(name.as_str())?
            .strip_prefix('@')?;
        let version: OrbVersion = version.parse().ok()?;
        // Only what a path leads back to: `1.02.3` would be read as another file.
        let leads_back = orb.with_version(version.clone()).path();
        leads_back
            .is_some_and(|path| path.ends_with(&format!("/{file}")))
            .then_some(version)
    });
    Ok(versions.collect())
}

fn besides(pinned: Option<&OrbVersion>, others: &[OrbVersion]) -> String {
    const SHOWN: usize = 5;
    let mut text = String::new();
    if let Some(version) = pinned {
        text.push_str(&format!(": `{LOCK_FILE}` pins it to {version}"));
    }
    if !others.is_empty() {
        let shown: Vec<String> = others.iter().take(SHOWN).map(ToString::to_string).collect();
        text.push_str(&format!("; its versions here: {}", shown.join(", ")));
    }
    text
}
