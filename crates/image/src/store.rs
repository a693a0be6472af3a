//! What is kept on this machine, and how it is laid hold of.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::digest::{self, Digesting, digits};
use crate::document::{Config, architecture};
use crate::lock::{self, if_free};
use crate::unpack::{self, Limits};
use crate::{ImageError, ImageName};

/// How a store is set up.
#[derive(Clone, Debug)]
pub struct ImageStoreSettings {
    /// The folder that all is in.
    pub root: PathBuf,
    /// How many bytes the layers may take together before the least recently used go.
    pub limit_bytes: u64,
    /// Registries, with their ports, that are asked without TLS, besides those of this machine.
    pub plain_http: Vec<String>,
    /// How long a registry may stay silent.
    pub patience: Duration,
}

impl ImageStoreSettings {
    /// The usual ones, for a store in `root`.
    pub fn new(root: PathBuf) -> Self {
        Self {
            root,
            limit_bytes: 20 << 30,
            plain_http: Vec::new(),
            patience: Duration::from_secs(30),
        }
    }
}

/// The images on this machine.
#[derive(Clone, Debug)]
pub struct ImageStore {
    pub(crate) settings: ImageStoreSettings,
}

/// What one layer may hold.
const LAYER_LIMITS: Limits = Limits {
    entries: 4_000_000,
    bytes: 128 << 30,
};

/// Where an image came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Its registry.
    Registry,
    /// A file.
    Import,
    /// The daemon of this machine, which may have another by that name tomorrow.
    Daemon,
}

/// What a name means on this machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// The name in full: `docker.io/library/alpine:3`.
    pub name: String,
    /// The digest of its manifest, or of its configuration where it came without one.
    pub digest: String,
    /// The digest of its configuration, which Docker calls its id.
    pub id: String,
    /// Where it came from.
    pub origin: Origin,
    /// Its layers, the lowest first.
    pub layers: Vec<Layer>,
    /// The user that it wants to be run as; empty for root.
    pub user: String,
    /// Its variables, as `NAME=value`.
    pub environment: Vec<String>,
}

/// A layer of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer {
    /// The digest of its archive without compression.
    pub diff_id: String,
    /// What its files take.
    pub bytes: u64,
}

impl Image {
    /// What its layers take, whether or not other images have them too.
    pub fn bytes(&self) -> u64 {
        self.layers.iter().map(|layer| layer.bytes).sum()
    }
}

/// An image whose layers stay where they are for as long as this is held, or any lock of its [`HeldLayer`]s is.
#[derive(Debug)]
pub struct Held {
    /// Which.
    pub image: Image,
    /// Its layers as an overlay wants them, the topmost first and each once.
    pub layers: Vec<HeldLayer>,
    _locks: Vec<File>,
}

/// Where a layer is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldLayer {
    /// Its files.
    pub tree: PathBuf,
    /// What a process that uses it has to [`crate::share`].
    pub lock: PathBuf,
}

/// A layer that somebody needs.
pub(crate) enum Place {
    /// It is there; how many bytes it takes, and a share in it.
    There(u64, File),
    /// It is not, and is ours to make.
    Ours(File),
    /// Somebody makes or removes it.
    Busy,
}

impl ImageStore {
    /// A store of these settings; makes nothing yet.
    pub fn new(settings: ImageStoreSettings) -> Self {
        Self { settings }
    }

    /// Whether images can be unpacked here, and if not, why and what to do.
    ///
    /// # Errors
    /// Where this is an ordinary user: files of an image belong to many.
    pub fn accept() -> Result<(), String> {
        if rustix::process::geteuid().is_root() {
            return Ok(());
        }
        Err(
            "an image can be unpacked only by root, because its files belong to many users; run the \
             server as root, or use the docker executor"
                .to_owned(),
        )
    }

    /// The image of that name, if it is here whole; it is used now.
    ///
    /// # Errors
    /// Where the store can't be read.
    pub fn find(&self, name: &ImageName) -> Result<Option<Held>, ImageError> {
        let path = self.record(name);
        let Some(image) = read_record(&path)? else {
            return Ok(None);
        };
        let mut locks = Vec::new();
        for layer in &image.layers {
            let Some(digits) = digits(&layer.diff_id) else {
                return Ok(None);
            };
            let lock = self.lock(digits);
            let Some(lock) = if_free(lock::share(&lock)).map_err(ImageError::io(&lock))? else {
                return Ok(None);
            };
            if !self.layer(digits).exists() {
                return Ok(None);
            }
            locks.push(lock);
        }
        // Its time is when it was used last. One that is gone just now is held all the same.
        let _ = File::options()
            .append(true)
            .open(&path)
            .and_then(|record| record.set_modified(SystemTime::now()));
        Ok(Some(self.hold(image, locks)))
    }

    /// All images, those used last first.
    ///
    /// # Errors
    /// Where the store can't be read.
    pub fn list(&self) -> Result<Vec<Image>, ImageError> {
        let records = self.records()?;
        Ok(records.into_iter().map(|(image, _)| image).collect())
    }

    /// All images with their records, those used last first.
    pub(crate) fn records(&self) -> Result<Vec<(Image, PathBuf)>, ImageError> {
        let folder = self.settings.root.join("images");
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(ImageError::io(&folder))?,
        };
        let mut records = Vec::new();
        for entry in entries {
            let path = entry.map_err(ImageError::io(&folder))?.path();
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            if let Some(image) = read_record(&path)? {
                let used = fs::metadata(&path).and_then(|found| found.modified());
                records.push((used.unwrap_or(SystemTime::UNIX_EPOCH), image, path));
            }
        }
        records.sort_by(|(one, ..), (other, ..)| other.cmp(one));
        let records = records.into_iter();
        Ok(records.map(|(_, image, path)| (image, path)).collect())
    }

    /// Makes the folders that are not there.
    pub(crate) fn prepare(&self) -> Result<(), ImageError> {
        Self::accept().map_err(ImageError::Rejected)?;
        for name in ["", "images", "layers", "locks", "tmp"] {
            let folder = self.settings.root.join(name);
            fs::create_dir_all(&folder).map_err(ImageError::io(&folder))?;
            // Programs that are root's to whoever starts them are in there.
            let closed = fs::Permissions::from_mode(0o700);
            fs::set_permissions(&folder, closed).map_err(ImageError::io(&folder))?;
        }
        Ok(())
    }

    pub(crate) fn key(&self, name: &ImageName) -> String {
        let digest = digest::of(format!("{} {}", name.full(), architecture()).as_bytes());
        digests_name(&digest).to_owned()
    }

    fn record(&self, name: &ImageName) -> PathBuf {
        let key = self.key(name);
        self.settings
            .root
            .join("images")
            .join(format!("{key}.json"))
    }

    pub(crate) fn lock(&self, name: &str) -> PathBuf {
        self.settings.root.join("locks").join(name)
    }

    pub(crate) fn layer(&self, digits: &str) -> PathBuf {
        self.settings.root.join("layers").join(digits)
    }

    pub(crate) fn tmp(&self, name: &str) -> PathBuf {
        self.settings.root.join("tmp").join(name)
    }

    fn hold(&self, image: Image, locks: Vec<File>) -> Held {
        let mut layers = Vec::new();
        for digits in image
            .layers
            .iter()
            .rev()
            .filter_map(|layer| digits(&layer.diff_id))
        {
            let tree = self.layer(digits).join("tree");
            let lock = self.lock(digits);
            let layer = HeldLayer { tree, lock };
            // A layer that is there twice is hidden by itself, and an overlay takes each once.
            if !layers.contains(&layer) {
                layers.push(layer);
            }
        }
        Held {
            image,
            layers,
            _locks: locks,
        }
    }

    /// Looks for a layer, or takes it on oneself to make it.
    pub(crate) fn place(&self, diff_id: &str) -> Result<Place, ImageError> {
        let digits = digests_name(diff_id);
        let (path, layer) = (self.lock(digits), self.layer(digits));
        let at = || ImageError::io(&path);
        if let Some(lock) = if_free(lock::share(&path)).map_err(at())?
            && layer.exists()
        {
            return Ok(Place::There(layer_bytes(&layer)?, lock));
        }
        match if_free(lock::own(&path)).map_err(at())? {
            Some(_) if layer.exists() => Ok(Place::Busy),
            Some(lock) => Ok(Place::Ours(lock)),
            None => Ok(Place::Busy),
        }
    }

    /// Makes a layer of its archive, which may be compressed; tells how many bytes it takes. Its name is not
    /// seen before it is whole.
    pub(crate) fn make_layer(
        &self,
        name: &str,
        diff_id: &str,
        archive: impl Read,
    ) -> Result<u64, ImageError> {
        let digits = digests_name(diff_id);
        let tmp = self.tmp(digits);
        let layer = self.layer(digits);
        let made = self.unpack(name, diff_id, archive, &tmp);
        let bytes = made.inspect_err(|_| {
            // What is left is the next sweep's.
            let _ = remove_tree(&tmp);
        })?;
        fs::rename(&tmp, &layer).map_err(ImageError::io(&layer))?;
        Ok(bytes)
    }

    fn unpack(
        &self,
        name: &str,
        diff_id: &str,
        archive: impl Read,
        tmp: &Path,
    ) -> Result<u64, ImageError> {
        remove_tree(tmp).map_err(ImageError::io(tmp))?;
        let tree = tmp.join("tree");
        fs::create_dir_all(&tree).map_err(ImageError::io(&tree))?;
        // What has no entry for its root has the usual one.
        let open = fs::Permissions::from_mode(0o755);
        fs::set_permissions(&tree, open).map_err(ImageError::io(&tree))?;
        // What is this machine's fault, and not the archive's.
        let ours = [
            io::ErrorKind::StorageFull,
            io::ErrorKind::QuotaExceeded,
            io::ErrorKind::PermissionDenied,
            io::ErrorKind::ReadOnlyFilesystem,
            io::ErrorKind::Unsupported,
        ];
        let broken = |cause: io::Error| {
            if ours.contains(&cause.kind()) {
                ImageError::io(&tree)(cause)
            } else {
                ImageError::Rejected(format!(
                    "a layer of image `{name}` can't be unpacked: {cause}"
                ))
            }
        };
        // An archive is larger than its files, but not by more than this.
        let limit = LAYER_LIMITS.bytes * 2;
        let plain = unpack::decompressed(archive).map_err(broken)?;
        let mut plain = Digesting::new(plain, limit);
        let bytes = unpack::unpack(&mut plain, &tree, LAYER_LIMITS).map_err(broken)?;
        let digest = plain.finish().map_err(broken)?;
        if digest != diff_id {
            return Err(ImageError::Rejected(format!(
                "a layer of image `{name}` is not what its configuration says: {digest} instead of \
                 {diff_id}"
            )));
        }
        let path = tmp.join("bytes");
        fs::write(&path, bytes.to_string()).map_err(ImageError::io(&path))?;
        // Its name must never stand for less than the whole, not after a power cut either.
        File::open(&path)
            .and_then(|file| Ok(rustix::fs::syncfs(file)?))
            .map_err(ImageError::io(&path))?;
        Ok(bytes)
    }

    /// Writes down what a name means from now on.
    pub(crate) fn keep(
        &self,
        name: &ImageName,
        (digest, id, origin): (String, String, Origin),
        config: Config,
        layers: Vec<(Layer, File)>,
    ) -> Result<Held, ImageError> {
        let (layers, locks) = layers.into_iter().unzip();
        let image = Image {
            name: name.full(),
            digest,
            id,
            origin,
            layers,
            user: config.config.user.unwrap_or_default(),
            environment: config.config.env.unwrap_or_default(),
        };
        let path = self.record(name);
        let folder = self.settings.root.join("images");
        let write = || -> io::Result<()> {
            let mut draft = tempfile::NamedTempFile::new_in(&folder)?;
            draft.write_all(&serde_json::to_vec(&image)?)?;
            draft.as_file().sync_all()?;
            draft.persist(&path)?;
            Ok(())
        };
        write().map_err(ImageError::io(&path))?;
        Ok(self.hold(image, locks))
    }
}

/// The digits of a digest that has been checked before; a name that nothing has, if not.
fn digests_name(digest: &str) -> &str {
    digits(digest).unwrap_or("none")
}

fn read_record(path: &Path) -> Result<Option<Image>, ImageError> {
    match fs::read(path) {
        Ok(text) => match serde_json::from_slice(&text) {
            Ok(image) => Ok(Some(image)),
            Err(error) => {
                // Of another version's form: it is fetched again.
                tracing::warn!(path = %path.display(), %error, "the record of an image can't be read");
                Ok(None)
            }
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(ImageError::io(path)(error)),
    }
}

fn layer_bytes(layer: &Path) -> Result<u64, ImageError> {
    let path = layer.join("bytes");
    let text = fs::read_to_string(&path).map_err(ImageError::io(&path))?;
    Ok(text.trim().parse().unwrap_or_default())
}

/// Removes a folder with all in it, or a file; does nothing if there is none.
pub(crate) fn remove_tree(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}
