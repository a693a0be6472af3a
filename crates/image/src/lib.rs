//! Images of containers, kept by ourselves: pulled from registries, imported from files, unpacked once, and
//! removed when they take too much room.
//!
//! ```text
//! <root>/
//!   images/<key>.json   what a name means on this machine: an [`Image`]; its time is when it was last used
//!   layers/<diff id>/   a layer, unpacked once for all images that have it
//!     tree/             its files, with what it takes away in the form of overlayfs
//!     bytes             how much they take
//!   locks/              one a layer and one a name
//!   tmp/                what is on its way
//! ```
//!
//! Everything gets its place by being renamed to it once it is whole. Several processes may share a root:
//! they agree by locks that the kernel frees when a process ends. Of a layer, whoever uses it holds a shared
//! lock (see [`Held`]), and who makes or removes it an exclusive one.

mod credential;
mod digest;
mod document;
mod import;
mod lock;
mod name;
mod prune;
mod pull;
mod registry;
mod store;
mod unpack;

use std::io;
use std::path::{Path, PathBuf};

pub use credential::{Credential, Puller};
pub use lock::share;
pub use name::ImageName;
pub use prune::{Keep, Pruned};
pub use store::{Held, HeldLayer, Image, ImageStore, ImageStoreSettings, Layer, Origin};

/// Why an image can't be had.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// What was asked for can't be had; who asked can mend it.
    #[error("{0}")]
    Rejected(String),
    /// A registry can't be reached, or doesn't do its part.
    #[error("{what}: {cause}")]
    Unavailable {
        /// What was tried.
        what: String,
        /// What it met.
        cause: String,
    },
    /// A file of the store could not be used.
    #[error("could not use `{path}`: {cause}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
}

impl ImageError {
    fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |cause| Self::Io { path, cause }
    }
}

/// `12.3 MB`, in millions of bytes as Docker prints them.
pub fn megabytes(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "one decimal is printed")]
    let millions = bytes as f64 / 1e6;
    format!("{millions:.1} MB")
}
