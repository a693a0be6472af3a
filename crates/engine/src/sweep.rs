//! Drops what jobs kept once it is old, and removes files that no row names any more: of what was dropped, of
//! a pipeline that was deleted, of a cache that had to make room, of a step that a crash cut off.

use std::sync::Arc;
use std::time::Duration;

use model::Timestamp;
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
            if let Err(error) = once(&shared).await {
                tracing::warn!(error = chain(&error), "could not remove what is not needed");
            }
            tokio::time::sleep(INTERVAL).await;
        }
    };
    stop.run_until_cancelled(sweeps).await;
}

async fn once(shared: &Shared) -> Result<(), StoreError> {
    let (store, settings) = (&shared.store, &shared.settings);
    let before = |age: Duration| {
        let age_ms = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
        let now_ms = shared.world.now().as_millis();
        Timestamp::from_millis(now_ms.saturating_sub(age_ms))
    };
    let artifacts = store
        .expire_artifacts(before(settings.artifact_retention))
        .await?;
    let layers = store
        .expire_layers(before(settings.workspace_retention))
        .await?;
    let caches = store
        .expire_caches(before(settings.cache_retention))
        .await?;
    if artifacts + layers + caches > 0 {
        tracing::info!(artifacts, layers, caches, "what was old was dropped");
    }
    let removed = remove_unnamed(shared).await?;
    if removed > 0 {
        tracing::info!(removed, "files that nobody names were removed");
    }
    Ok(())
}

/// How many were removed.
async fn remove_unnamed(shared: &Shared) -> Result<usize, StoreError> {
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
