//! Images out of files: what `docker save` writes, and OCI layouts, as a folder or an archive.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use rustix::fs::{Mode, OFlags, ResolveFlags};
use serde::Deserialize;

use crate::digest::{self, digits};
use crate::document::{self, Config, DOCUMENT_BYTES, Descriptor, Manifest};
use crate::lock;
use crate::pull::{in_order, layer};
use crate::store::{Held, ImageStore, Layer, Origin, Place};
use crate::unpack::decompressed;
use crate::{ImageError, ImageName};

/// The entries of an archive of images at most: a few for each layer.
const ENTRIES: usize = 100_000;
/// How often a layer that somebody makes is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Where an OCI layout says what its images are called.
const NAMES: [&str; 2] = [
    "io.containerd.image.name",
    "org.opencontainers.image.ref.name",
];

/// One image of `docker save`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

/// An image that was found in files.
struct Found {
    names: Vec<String>,
    digest: String,
    id: String,
    config: Config,
    /// Where the archives of its layers are.
    layers: Vec<String>,
}

impl ImageStore {
    /// Takes the images in that they are in the file or folder: of a layout of OCI's or of `docker save`, which
    /// may be compressed. One of them alone can be given a name, by which it is known then. Blocks.
    ///
    /// # Errors
    /// Where it is neither, is broken or made for another machine, or the disk can't take it.
    pub fn import(
        &self,
        path: &Path,
        name: Option<&ImageName>,
        origin: Origin,
    ) -> Result<Vec<Held>, ImageError> {
        self.prepare()?;
        let files = Files::open(path, &self.tmp(""))?;
        let mut found = files.images(path)?;
        if let Some(name) = name {
            match found.as_mut_slice() {
                [one] => one.names = vec![name.given().to_owned()],
                several => {
                    let (path, count) = (path.display(), several.len());
                    return Err(ImageError::Rejected(format!(
                        "`{path}` holds {count} images, which can't all be called `{}`",
                        name.given()
                    )));
                }
            }
        }
        let mut imported = Vec::new();
        for image in found {
            if image.names.is_empty() {
                let path = path.display();
                return Err(ImageError::Rejected(format!(
                    "an image in `{path}` has no name; give it one"
                )));
            }
            for given in &image.names {
                let name = ImageName::parse(given)?;
                let layers = self.import_layers(&name, &files, &image)?;
                let what = (image.digest.clone(), image.id.clone(), origin);
                imported.push(self.keep(&name, what, image.config.clone(), layers)?);
            }
        }
        Ok(imported)
    }

    fn import_layers(
        &self,
        name: &ImageName,
        files: &Files,
        image: &Found,
    ) -> Result<Vec<(Layer, File)>, ImageError> {
        let diff_ids = &image.config.rootfs.diff_ids;
        let mut brought = BTreeMap::new();
        for (diff_id, archive) in diff_ids.iter().zip(&image.layers) {
            while !brought.contains_key(diff_id) {
                match self.place(diff_id)? {
                    Place::There(bytes, lock) => {
                        brought.insert(diff_id.clone(), (layer(diff_id, bytes), lock));
                    }
                    Place::Busy => std::thread::sleep(LOOK_EVERY),
                    Place::Ours(lock) => {
                        self.make_layer(name.given(), diff_id, files.read(archive)?)?;
                        lock::open_up(&lock).map_err(ImageError::io(&self.lock(diff_id)))?;
                    }
                }
            }
        }
        in_order(diff_ids, brought)
    }
}

/// Where the files of an import are.
enum Files {
    Folder(PathBuf, OwnedFd),
    /// An archive, and where in it each file begins and how long it is.
    Archive(PathBuf, File, HashMap<PathBuf, (u64, u64)>),
}

impl Files {
    fn open(path: &Path, tmp: &Path) -> Result<Self, ImageError> {
        let metadata = fs::metadata(path).map_err(ImageError::io(path))?;
        if metadata.is_dir() {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let folder = rustix::fs::open(path, flags, Mode::empty())
                .map_err(|error| ImageError::io(path)(error.into()))?;
            return Ok(Self::Folder(path.to_owned(), folder));
        }
        let mut file = File::open(path).map_err(ImageError::io(path))?;
        let mut begin = [0; 4];
        let read = file.read(&mut begin).map_err(ImageError::io(path))?;
        file.rewind().map_err(ImageError::io(path))?;
        let packed =
            begin[..read].starts_with(&[0x1f, 0x8b]) || begin[..read] == [0x28, 0xb5, 0x2f, 0xfd];
        if packed {
            // Its files are read in any order.
            let mut plain = tempfile::tempfile_in(tmp).map_err(ImageError::io(tmp))?;
            decompressed(file)
                .and_then(|mut from| io::copy(&mut from, &mut plain))
                .and_then(|_| plain.rewind())
                .map_err(ImageError::io(path))?;
            file = plain;
        }
        let index = index(&file).map_err(|cause| {
            // What reads it shows what it has read, which may be anything.
            tracing::debug!(%cause, "not a tar archive");
            let path = path.display();
            ImageError::Rejected(format!(
                "`{path}` is neither an OCI layout nor what `docker save` writes"
            ))
        })?;
        Ok(Self::Archive(path.to_owned(), file, index))
    }

    fn read(&self, name: &str) -> Result<Box<dyn Read + '_>, ImageError> {
        let lacks = |path: &Path| {
            let path = path.display();
            ImageError::Rejected(format!("`{path}` lacks `{name}`, which it names"))
        };
        match self {
            Self::Folder(path, folder) => {
                let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
                let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
                let file = rustix::fs::openat2(folder, name, flags, Mode::empty(), resolve)
                    .map_err(|_| lacks(path))?;
                Ok(Box::new(File::from(file)))
            }
            Self::Archive(path, file, index) => {
                let (begin, length) = *index
                    .get(&plain(Path::new(name)))
                    .ok_or_else(|| lacks(path))?;
                let mut file = file;
                file.seek(SeekFrom::Start(begin))
                    .map_err(ImageError::io(path))?;
                Ok(Box::new(file.take(length)))
            }
        }
    }

    fn document(&self, name: &str) -> Result<Vec<u8>, ImageError> {
        let mut text = Vec::new();
        let read = self.read(name)?.take(DOCUMENT_BYTES).read_to_end(&mut text);
        read.map_err(ImageError::io(Path::new(name)))?;
        Ok(text)
    }

    /// A document that is found by its digest, which it must have.
    fn blob(&self, digest: &str) -> Result<Vec<u8>, ImageError> {
        let text = self.document(&blob_path(digest)?)?;
        if digest::of(&text) != digest {
            return Err(ImageError::Rejected(format!(
                "the file of `{digest}` is another or too large"
            )));
        }
        Ok(text)
    }

    fn images(&self, path: &Path) -> Result<Vec<Found>, ImageError> {
        let name = path.display().to_string();
        // Newer ones of `docker save` are both; this one has the names in full.
        if let Ok(text) = self.document("manifest.json") {
            let saved: Vec<Saved> = document::read(&name, "manifest", &text)?;
            return saved
                .into_iter()
                .map(|saved| self.saved(&name, saved))
                .collect();
        }
        let Ok(text) = self.document("index.json") else {
            return Err(ImageError::Rejected(format!(
                "`{name}` is neither an OCI layout nor an archive of `docker save`: there is no `index.json` \
                 or `manifest.json` in it"
            )));
        };
        let index: Manifest = document::read(&name, "index", &text)?;
        let manifests = index.manifests.iter();
        manifests
            .map(|manifest| self.laid_out(&name, manifest))
            .collect()
    }

    fn saved(&self, name: &str, saved: Saved) -> Result<Found, ImageError> {
        let text = self.document(&saved.config)?;
        let config: Config = document::read(name, "configuration", &text)?;
        config.check(name, saved.layers.len())?;
        let id = digest::of(&text);
        Ok(Found {
            names: saved.repo_tags.unwrap_or_default(),
            digest: id.clone(),
            id,
            config,
            layers: saved.layers,
        })
    }

    fn laid_out(&self, name: &str, entry: &Descriptor) -> Result<Found, ImageError> {
        let text = self.blob(&entry.digest)?;
        let mut manifest: Manifest = document::read(name, "manifest", &text)?;
        if !manifest.manifests.is_empty() {
            let text = self.blob(&manifest.choose(name)?.digest)?;
            manifest = document::read(name, "manifest", &text)?;
        }
        let id = manifest.config(name)?.digest.clone();
        let config: Config = document::read(name, "configuration", &self.blob(&id)?)?;
        config.check(name, manifest.layers.len())?;
        let layers = manifest.layers.iter().map(|layer| blob_path(&layer.digest));
        let names = NAMES.iter().find_map(|key| entry.annotations.get(*key));
        // Some write the tag alone, which is no name.
        let names = names.filter(|name| name.contains([':', '/']));
        Ok(Found {
            names: names.into_iter().cloned().collect(),
            digest: entry.digest.clone(),
            id,
            layers: layers.collect::<Result<_, _>>()?,
            config,
        })
    }
}

fn blob_path(digest: &str) -> Result<String, ImageError> {
    let digits = digits(digest)
        .ok_or_else(|| ImageError::Rejected(format!("the digest `{digest}` is no SHA-256")))?;
    Ok(format!("blobs/sha256/{digits}"))
}

/// A path with nothing in it that could be written differently.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(part) => plain.push(part),
            Component::ParentDir => {
                plain.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    plain
}

/// Where each file of an archive is. Older ones of `docker save` link to a layer that is there twice.
fn index(mut file: &File) -> io::Result<HashMap<PathBuf, (u64, u64)>> {
    let mut index = HashMap::new();
    let mut links = Vec::new();
    let mut archive = tar::Archive::new(&mut file);
    for (count, entry) in archive.entries_with_seek()?.enumerate() {
        if count > ENTRIES {
            return Err(io::Error::other("it has too many entries"));
        }
        let entry = entry?;
        let path = plain(&entry.path()?);
        let kind = entry.header().entry_type();
        if kind.is_file() {
            index.insert(path, (entry.raw_file_position(), entry.size()));
        } else if (kind.is_symlink() || kind.is_hard_link())
            && let Some(target) = entry.link_name()?
        {
            let target = match path.parent() {
                Some(folder) if kind.is_symlink() => plain(&folder.join(target)),
                Some(_) | None => plain(&target),
            };
            links.push((path, target));
        }
    }
    for (path, target) in links {
        if let Some(found) = index.get(&target).copied() {
            index.insert(path, found);
        }
    }
    Ok(index)
}
