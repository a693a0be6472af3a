//! A pull's progress as few lines: what the daemon tells of each layer, added up.

use std::collections::HashMap;

use bollard::models::CreateImageInfo;

/// What is known of a pull.
#[derive(Debug, Default)]
pub(super) struct Progress {
    layers: HashMap<String, Layer>,
    digest: Option<String>,
    told: String,
}

#[derive(Debug, Default)]
struct Layer {
    current_bytes: u64,
    total_bytes: u64,
    done: bool,
}

impl Progress {
    /// Takes in one event.
    pub(super) fn take(&mut self, event: &CreateImageInfo) {
        let status = event.status.as_deref().unwrap_or_default();
        if let Some(digest) = status.strip_prefix("Digest: ") {
            self.digest = Some(digest.to_owned());
        }
        // The first event's id is the tag; only layers say these words.
        let Some(id) = &event.id else { return };
        match status {
            "Pulling fs layer" | "Waiting" | "Verifying Checksum" | "Download complete" => {
                self.layers.entry(id.clone()).or_default();
            }
            "Downloading" => {
                let layer = self.layers.entry(id.clone()).or_default();
                let detail = event.progress_detail.clone().unwrap_or_default();
                let bytes = |count: Option<i64>| count.and_then(|count| count.try_into().ok());
                layer.current_bytes = bytes(detail.current).unwrap_or(layer.current_bytes);
                layer.total_bytes = bytes(detail.total).unwrap_or(layer.total_bytes);
            }
            "Extracting" => {
                let layer = self.layers.entry(id.clone()).or_default();
                layer.current_bytes = layer.total_bytes;
            }
            "Pull complete" | "Already exists" => {
                let layer = self.layers.entry(id.clone()).or_default();
                layer.current_bytes = layer.total_bytes;
                layer.done = true;
            }
            _ => {}
        }
    }

    /// A line on how far it is, if that is another one than the last.
    pub(super) fn news(&mut self) -> Option<String> {
        if self.layers.is_empty() {
            return None;
        }
        let current = self.layers.values().map(|layer| layer.current_bytes).sum();
        let total = self.layers.values().map(|layer| layer.total_bytes).sum();
        let line = format!(
            "  {} of {}, {} of {} layers done",
            megabytes(current),
            megabytes(total),
            self.layers.values().filter(|layer| layer.done).count(),
            self.layers.len(),
        );
        if line == self.told {
            return None;
        }
        self.told.clone_from(&line);
        Some(line)
    }

    /// The digest of the image's manifest, once the daemon has told it.
    pub(super) fn digest(&self) -> Option<&str> {
        self.digest.as_deref()
    }
}

/// `12.3 MB`, in millions of bytes as Docker prints them.
pub(super) fn megabytes(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "one decimal is printed")]
    let millions = bytes as f64 / 1e6;
    format!("{millions:.1} MB")
}

#[cfg(test)]
mod tests {
    use super::*;
    use bollard::models::ProgressDetail;

    fn event(id: &str, status: &str, bytes: Option<(i64, i64)>) -> CreateImageInfo {
        CreateImageInfo {
            id: Some(id.to_owned()),
            status: Some(status.to_owned()),
            progress_detail: bytes.map(|(current, total)| ProgressDetail {
                current: Some(current),
                total: Some(total),
            }),
            error_detail: None,
        }
    }

    #[test]
    fn layers_are_added_up_and_told_once() {
        let mut progress = Progress::default();
        progress.take(&event("latest", "Pulling from library/x", None));
        assert_eq!(progress.news(), None);
        progress.take(&event("a", "Pulling fs layer", None));
        progress.take(&event("b", "Already exists", None));
        progress.take(&event("a", "Downloading", Some((1_500_000, 4_000_000))));
        let line = "  1.5 MB of 4.0 MB, 1 of 2 layers done";
        assert_eq!(progress.news().as_deref(), Some(line));
        assert_eq!(progress.news(), None);
        progress.take(&event("a", "Extracting", Some((1, 9))));
        progress.take(&event("a", "Pull complete", None));
        let line = "  4.0 MB of 4.0 MB, 2 of 2 layers done";
        assert_eq!(progress.news().as_deref(), Some(line));
        assert_eq!(progress.digest(), None);
        progress.take(&CreateImageInfo {
            status: Some("Digest: sha256:12".to_owned()),
            ..CreateImageInfo::default()
        });
        assert_eq!(progress.digest(), Some("sha256:12"));
    }
}
