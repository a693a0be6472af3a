//! Making room: images that nobody used for the longest time go first, and none that is in use.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::path::Path;

use crate::ImageError;
use crate::digest::digits;
use crate::lock::{self, if_free};
use crate::store::{Image, ImageStore, remove_tree};

/// What stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// As much as the store's limit allows.
    Limit,
    /// What is in use alone.
    Used,
}

/// What is gone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// The images, by their full names.
    pub images: Vec<String>,
    /// The layers.
    pub layers: usize,
    /// What these took.
    pub bytes: u64,
}

impl ImageStore {
    /// Removes images that are not in use, the least recently used first, then layers that no image has, and
    /// what pulls have left that died. Blocks.
    ///
    /// # Errors
    /// Where the store can't be read or changed.
    pub fn prune(&self, keep: Keep) -> Result<Pruned, ImageError> {
        let mut pruned = Pruned::default();
        let mut kept = self.records()?;
        let most = match keep {
            Keep::Limit => self.settings.limit_bytes,
            Keep::Used => 0,
        };
        let mut index = kept.len();
        while index > 0 && taken(kept.iter().map(|(image, _)| image)) > most {
            index -= 1;
            let (image, record) = &kept[index];
            // Held until its record is gone: nobody takes the image up in between.
            let Some(_locks) = self.unused(image)? else {
                continue;
            };
            remove_tree(record).map_err(ImageError::io(record))?;
            pruned.images.push(image.name.clone());
            kept.remove(index);
        }
        let needed: BTreeSet<&str> = kept
            .iter()
            .flat_map(|(image, _)| &image.layers)
            .filter_map(|layer| digits(&layer.diff_id))
            .collect();
        for name in names(&self.settings.root.join("layers"))? {
            if !needed.contains(name.as_str())
                && let Some(bytes) = self.remove_layer(&name)?
            {
                pruned.layers += 1;
                pruned.bytes += bytes;
            }
        }
        self.sweep()?;
        Ok(pruned)
    }

    /// The locks of those of its layers that nobody has a share in, unless it is used: who uses an image has a
    /// share in each of its layers, and others may have one in those that they have in common.
    fn unused(&self, image: &Image) -> Result<Option<Vec<File>>, ImageError> {
        let mut locks = Vec::new();
        for layer in &image.layers {
            let Some(digits) = digits(&layer.diff_id) else {
                continue;
            };
            let path = self.lock(digits);
            locks.extend(if_free(lock::own(&path)).map_err(ImageError::io(&path))?);
        }
        Ok((image.layers.is_empty() || !locks.is_empty()).then_some(locks))
    }

    /// Removes a layer that nobody holds; tells what it took.
    fn remove_layer(&self, name: &str) -> Result<Option<u64>, ImageError> {
        let (path, layer) = (self.lock(name), self.layer(name));
        let Some(_lock) = if_free(lock::own(&path)).map_err(ImageError::io(&path))? else {
            return Ok(None);
        };
        // An image of it may have come since the last look.
        let records = self.records()?;
        let mut layers = records.iter().flat_map(|(image, _)| &image.layers);
        if layers.any(|layer| digits(&layer.diff_id) == Some(name)) {
            return Ok(None);
        }
        let bytes = fs::read_to_string(layer.join("bytes")).unwrap_or_default();
        let bytes = bytes.trim().parse().unwrap_or_default();
        // Its name goes at once, its files take their time.
        let gone = self.tmp(name);
        remove_tree(&gone).map_err(ImageError::io(&gone))?;
        fs::rename(&layer, &gone).map_err(ImageError::io(&layer))?;
        remove_tree(&gone).map_err(ImageError::io(&gone))?;
        fs::remove_file(&path).map_err(ImageError::io(&path))?;
        Ok(Some(bytes))
    }

    /// Removes what is on its way by nobody any more.
    fn sweep(&self) -> Result<(), ImageError> {
        for name in names(&self.settings.root.join("tmp"))? {
            let digits = name.strip_suffix(".part").unwrap_or(&name);
            let lock = self.lock(digits);
            if let Some(_lock) = if_free(lock::own(&lock)).map_err(ImageError::io(&lock))? {
                let path = self.tmp(&name);
                remove_tree(&path).map_err(ImageError::io(&path))?;
                if !self.layer(digits).exists() {
                    remove_tree(&lock).map_err(ImageError::io(&lock))?;
                }
            }
        }
        Ok(())
    }
}

/// What the layers of these images take, each counted once.
fn taken<'a>(images: impl Iterator<Item = &'a Image>) -> u64 {
    let layers = images.flat_map(|image| &image.layers);
    let once: BTreeMap<&str, u64> = layers
        .map(|layer| (layer.diff_id.as_str(), layer.bytes))
        .collect();
    once.values().sum()
}

fn names(folder: &Path) -> Result<Vec<String>, ImageError> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(ImageError::io(folder))?,
    };
    let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    names
        .collect::<io::Result<_>>()
        .map_err(ImageError::io(folder))
}
