//! Pulling: from a name to layers that are here, several at once.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::{FutureExt, StreamExt, TryFutureExt, TryStreamExt};

use crate::digest::digits;
use crate::document::{self, Config, Descriptor, Manifest};
use crate::lock::{self, if_free};
use crate::registry::Registry;
use crate::store::{Held, ImageStore, Layer, Origin, Place};
use crate::{Credential, ImageError, ImageName, Keep, Puller, megabytes};

/// How many layers are on their way at once.
const LAYERS_AT_ONCE: usize = 3;
/// How often a pull's progress is told at most.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);
/// How often a lock that somebody has is tried.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What is said of a pull on its way, a line each.
pub(crate) type Say<'a> = &'a (dyn Fn(&str) + Sync);

impl ImageStore {
    /// The image of that name: the one that is here, or pulled. Whoever wants it meanwhile waits and has it
    /// then too. Lines on how far it is go to `say`.
    ///
    /// Dropped, it leaves whole layers behind, and of others what a next pull goes on from.
    ///
    /// # Errors
    /// Where there is no such image, its registry can't be reached, or the disk can't take it.
    pub async fn provide(
        &self,
        name: &ImageName,
        puller: Puller<'_>,
        say: &(dyn Fn(&str) + Sync),
    ) -> Result<Held, ImageError> {
        if let Some(held) = self.find(name)? {
            return Ok(held);
        }
        let _lock = self.turn(name, say).await?;
        match self.find(name)? {
            Some(held) => Ok(held),
            None => self.pull_now(name, puller, say).await,
        }
    }

    /// Pulls the image anew, whether or not there is one of that name.
    ///
    /// # Errors
    /// As for [`ImageStore::provide`].
    pub async fn pull(
        &self,
        name: &ImageName,
        puller: Puller<'_>,
        say: &(dyn Fn(&str) + Sync),
    ) -> Result<Held, ImageError> {
        let _lock = self.turn(name, say).await?;
        self.pull_now(name, puller, say).await
    }

    /// Waits until nobody else brings the image of that name.
    pub(crate) async fn turn(&self, name: &ImageName, say: Say<'_>) -> Result<File, ImageError> {
        self.prepare()?;
        let path = self.lock(&self.key(name));
        let mut told = false;
        loop {
            if let Some(lock) = if_free(lock::own(&path)).map_err(ImageError::io(&path))? {
                return Ok(lock);
            }
            if !told {
                say(&format!(
                    "Waiting for image {}, which another job pulls",
                    name.given()
                ));
                told = true;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Pulls, and keeps the store to its limit whether or not that goes well. On a full disk it goes on once
    /// nothing is left that nobody uses.
    async fn pull_now(
        &self,
        name: &ImageName,
        puller: Puller<'_>,
        say: Say<'_>,
    ) -> Result<Held, ImageError> {
        let mut pulled = self.pull_once(name, puller, say).await;
        if let Err(ImageError::Io { cause, .. }) = &pulled
            && cause.kind() == io::ErrorKind::StorageFull
        {
            say("The disk is full: making room by removing images that are not in use");
            self.make_room(Keep::Used).await;
            pulled = self.pull_once(name, puller, say).await;
        }
        self.make_room(Keep::Limit).await;
        pulled
    }

    async fn pull_once(
        &self,
        name: &ImageName,
        puller: Puller<'_>,
        say: Say<'_>,
    ) -> Result<Held, ImageError> {
        say(&format!("Pulling image {}", name.given()));
        let started = Instant::now();
        let found = match puller {
            Puller::Account(given) => Some(given.clone()),
            Puller::ThisUser => Credential::of_this_user(name.registry()).await,
            Puller::Nobody => None,
        };
        let auth = Credential::auth(found, name.registry());
        let registry = Registry::new(name, auth, &self.settings);
        let (manifest, config, digest) = describe(name, &registry).await?;
        let id = manifest.config(name.given())?.digest.clone();

        let layers = Layers::new(&manifest, &config);
        let pulling = self.layers(name, &registry, &layers);
        let telling = async {
            loop {
                tokio::time::sleep(PROGRESS_EVERY).await;
                say(&layers.news());
            }
        };
        let layers = tokio::select! {
            pulled = pulling => pulled?,
            never = telling => never,
        };
        let (store, of, kept) = (self.clone(), name.clone(), digest.clone());
        let held =
            blocking(move || store.keep(&of, (kept, id, Origin::Registry), config, layers)).await?;
        say(&format!(
            "Pulled {} ({digest}, {}) in {:.1} s",
            name.given(),
            megabytes(held.image.bytes()),
            started.elapsed().as_secs_f64()
        ));
        Ok(held)
    }

    /// Removes what need not stay. What can't be removed now is tried again after the next pull.
    pub(crate) async fn make_room(&self, keep: Keep) {
        let store = self.clone();
        let pruned = blocking(move || store.prune(keep)).await;
        match pruned {
            Ok(pruned) if !pruned.images.is_empty() => {
                tracing::info!(images = ?pruned.images, bytes = pruned.bytes, "images made room");
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "old images could not be removed"),
        }
    }

    /// All layers, the lowest first; each once brought, however often it is there.
    async fn layers(
        &self,
        name: &ImageName,
        registry: &Registry<'_>,
        layers: &Layers,
    ) -> Result<Vec<(Layer, File)>, ImageError> {
        let mut bringing = Vec::new();
        for (diff_id, descriptor) in layers.each_once() {
            let layer = self.layer_of(name, registry, diff_id, descriptor, layers);
            let bring = layer.map_ok(|layer| {
                layers.done.fetch_add(1, Ordering::Relaxed);
                (diff_id.clone(), layer)
            });
            bringing.push(bring.boxed());
        }
        let brought: BTreeMap<String, (Layer, File)> = futures_util::stream::iter(bringing)
            .buffer_unordered(LAYERS_AT_ONCE)
            .try_collect()
            .await?;
        in_order(&layers.diff_ids, brought)
    }

    async fn layer_of(
        &self,
        name: &ImageName,
        registry: &Registry<'_>,
        diff_id: &str,
        descriptor: &Descriptor,
        layers: &Layers,
    ) -> Result<(Layer, File), ImageError> {
        loop {
            let lock = match self.place(diff_id)? {
                Place::There(bytes, lock) => return Ok((layer(diff_id, bytes), lock)),
                Place::Busy => {
                    tokio::time::sleep(LOOK_EVERY).await;
                    continue;
                }
                Place::Ours(lock) => Arc::new(lock),
            };
            let part = self.tmp(&format!("{}.part", digits(diff_id).unwrap_or("none")));
            registry
                .download(descriptor, &part, &layers.received)
                .await?;
            let (store, of, id) = (self.clone(), name.given().to_owned(), diff_id.to_owned());
            // Held by the thread as well: it goes on where this is dropped.
            let lock = Arc::clone(&lock);
            let lock = blocking(move || {
                let archive = File::open(&part).map_err(ImageError::io(&part))?;
                let made = store.make_layer(&of, &id, archive);
                // Unpacked or of no use.
                remove_part(&part);
                made.map(|_| lock)
            })
            .await?;
            // Between the two it might be removed by who makes room; then it is made again.
            lock::open_up(&lock).map_err(ImageError::io(&self.lock(diff_id)))?;
        }
    }
}

fn remove_part(part: &Path) {
    if let Err(error) = std::fs::remove_file(part) {
        tracing::debug!(path = %part.display(), %error, "a download could not be removed");
    }
}

pub(crate) fn layer(diff_id: &str, bytes: u64) -> Layer {
    Layer {
        diff_id: diff_id.to_owned(),
        bytes,
    }
}

/// The layers in the order of the image; one that is there again shares the first's lock.
pub(crate) fn in_order(
    diff_ids: &[String],
    mut brought: BTreeMap<String, (Layer, File)>,
) -> Result<Vec<(Layer, File)>, ImageError> {
    let mut ordered: Vec<(Layer, File)> = Vec::new();
    for diff_id in diff_ids {
        if let Some(layer) = brought.remove(diff_id) {
            ordered.push(layer);
        } else if let Some((layer, lock)) =
            ordered.iter().find(|(layer, _)| layer.diff_id == *diff_id)
        {
            let lock = lock
                .try_clone()
                .map_err(ImageError::io(Path::new(diff_id)))?;
            let layer = layer.clone();
            ordered.push((layer, lock));
        }
    }
    Ok(ordered)
}

/// What the image of that name is on this machine: its manifest, its configuration, its digest.
async fn describe(
    name: &ImageName,
    registry: &Registry<'_>,
) -> Result<(Manifest, Config, String), ImageError> {
    let (text, digest) = registry.manifest(None).await?;
    let mut manifest: Manifest = document::read(name.given(), "manifest", &text)?;
    if !manifest.manifests.is_empty() {
        let ours = manifest.choose(name.given())?.digest.clone();
        let (text, _) = registry.manifest(Some(&ours)).await?;
        manifest = document::read(name.given(), "manifest", &text)?;
    }
    let text = registry.document(manifest.config(name.given())?).await?;
    let config: Config = document::read(name.given(), "configuration", &text)?;
    config.check(name.given(), manifest.layers.len())?;
    Ok((manifest, config, digest))
}

/// The layers of a pull, and how far it is.
struct Layers {
    diff_ids: Vec<String>,
    descriptors: Vec<Descriptor>,
    received: AtomicU64,
    done: AtomicUsize,
}

impl Layers {
    fn new(manifest: &Manifest, config: &Config) -> Self {
        Self {
            diff_ids: config.rootfs.diff_ids.clone(),
            descriptors: manifest.layers.clone(),
            received: AtomicU64::new(0),
            done: AtomicUsize::new(0),
        }
    }

    fn each_once(&self) -> BTreeMap<&String, &Descriptor> {
        self.diff_ids.iter().zip(&self.descriptors).collect()
    }

    fn news(&self) -> String {
        let all = self.each_once();
        let total: u64 = all.values().map(|descriptor| descriptor.size).sum();
        format!(
            "  {} of {}, {} of {} layers done",
            megabytes(self.received.load(Ordering::Relaxed).min(total)),
            megabytes(total),
            self.done.load(Ordering::Relaxed),
            all.len(),
        )
    }
}

/// Does what blocks on a thread for that.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ImageError> + Send + 'static,
) -> Result<T, ImageError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| {
        Err(ImageError::Unavailable {
            what: "could not deal with an image".to_owned(),
            cause: error.to_string(),
        })
    })
}
