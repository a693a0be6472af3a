//! Orbs on disk: where they lie, how a reference finds its version, and what pins it.
//!
//! All places have one layout: `<namespace>/<name>@<version>.yml`, and `@url/<digest>.yml` for what an
//! address names. An [`OrbFinder`] looks through several such places, the project's own `.popsicle/orbs`
//! before the store of this machine, and obeys the project's lock file. An [`OrbStore`] writes; an
//! [`OrbRegistry`] fetches what is not here yet. What an orb says is nobody's concern here.

mod finder;
mod lock;
mod reference;
mod registry;
mod shelf;
mod store;
mod unpacked;

pub use finder::{FindError, FoundOrb, OrbFinder, OrbFolders, ProjectError};
pub use lock::{LockError, OrbLock, Pin};
pub use reference::{BadReference, OrbReference, OrbVersion};
pub use registry::{FetchError, FetchedOrb, OrbRegistry};
pub use store::{OrbStore, StoreOrbError, StoredOrb, write_lock};
pub use unpacked::{MAX_UNPACKED_BYTES, MAX_UNPACKED_FILES, UnpackedError, read_unpacked};

use sha2::{Digest, Sha256};

/// The largest orb that is stored, in bytes.
pub const MAX_ORB_BYTES: usize = 1024 * 1024;

/// The folder of a project's tree that holds the orbs that it brings along.
pub const VENDORED_DIR: &str = ".popsicle/orbs";

/// The file of a project's tree that pins versions and digests.
pub const LOCK_FILE: &str = ".popsicle/orbs.lock";

/// The SHA-256 of some bytes, in hexadecimal digits.
fn digest(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}
