//! Removes files that no row names any more: of a pipeline that was deleted, of a cache that had to make
//! room, of a step that a crash cut off.

use std::sync::Arc;
use std::time::Duration;

use store::StoreError;
use tokio_util::sync::CancellationToken;

use crate::handle::Shared;
use crate::run::chain;

/// How often. Blobs that are young are not removed, so that more often would find no more.
const INTERVAL: Duration = Duration::from_secs(60 * 60);
/// How many blobs are asked for at once.
const BATCH: usize = 500;

/// Sweeps now and then until it is stopped.
pub(crate) async fn sweep(shared: Arc<Shared>, stop: CancellationToken) {
    let sweeps = async {
        loop {
            match once(&shared).await {
                Ok(0) => {}
                Ok(removed) => tracing::info!(removed, "files that nobody names were removed"),
                Err(error) => {
                    tracing::warn!(error = chain(&error), "could not look for unneeded files");
                }
            }
            tokio::time::sleep(INTERVAL).await;
        }
    };
    stop.run_until_cancelled(sweeps).await;
}

/// How many were removed.
async fn once(shared: &Shared) -> Result<usize, StoreError> {
    let blobs = shared.blobs.clone();
    let listed = tokio::task::spawn_blocking(move || blobs.list()).await;
    let listed = listed.unwrap_or_else(|_| Ok(Vec::new()))?;
    let mut removed = 0;
    for batch in listed.chunks(BATCH) {
        let unnamed = shared.store.unnamed_blobs(batch.to_vec()).await?;
        let blobs = shared.blobs.clone();
        let remove = move || {
            let mut removed = 0;
            for digest in unnamed {
                removed += usize::from(blobs.remove(&digest)?);
            }
            Ok::<usize, StoreError>(removed)
        };
        let done = tokio::task::spawn_blocking(remove).await;
        removed += done.unwrap_or(Ok(0))?;
    }
    Ok(removed)
}
