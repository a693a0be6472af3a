//! Makes agree what the store believes and what the executors really hold: at start, and now and then.

use std::collections::HashSet;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use executor::JobDir;
use model::{AttemptKey, RunnerId};
use store::Claim;

use crate::handle::Shared;
use crate::run::chain;
use crate::{EngineError, run};

/// How long an executor may take to say what it holds. The scheduler waits for it, so one that hangs
/// must not hold up the jobs of the others.
const LOOK: Duration = Duration::from_secs(5);

/// This machine's row in the table of runners.
pub(crate) async fn runner(shared: &Shared) -> Result<RunnerId, EngineError> {
    let capacity = u32::try_from(shared.settings.max_jobs).unwrap_or(u32::MAX);
    let now = shared.world.now();
    Ok(shared
        .store
        .ensure_local_runner(&shared.settings.host, capacity, now)
        .await?)
}

/// At start: pipelines in preparation are prepared again, containers that no job wants are removed.
/// Returns the jobs that an earlier server left running, to be taken up.
pub(crate) async fn agree(shared: &Shared, runner: RunnerId) -> Result<Vec<Claim>, EngineError> {
    let requeued = shared.store.requeue_preparations().await?;
    if requeued > 0 {
        tracing::info!(
            pipelines = requeued,
            "preparing again what an earlier server left"
        );
    }
    let running = shared.store.running_jobs(runner).await?;
    reclaim(shared, runner).await;
    Ok(running)
}

/// Removes the containers and folders of attempts that no running job has.
pub(crate) async fn reclaim(shared: &Shared, runner: RunnerId) {
    // What the executors hold is read first: what starts meanwhile is not in the list then.
    let mut held: Vec<(AttemptKey, Option<usize>)> = Vec::new();
    for (place, executor) in shared.executors.iter().enumerate() {
        match tokio::time::timeout(LOOK, executor.held()).await {
            Ok(Ok(keys)) => held.extend(keys.into_iter().map(|key| (key, Some(place)))),
            Ok(Err(error)) => {
                tracing::debug!(
                    executor = executor.name(),
                    error = chain(&error),
                    "not looked into"
                );
            }
            Err(_) => tracing::warn!(executor = executor.name(), "does not say what it holds"),
        }
    }
    held.extend(
        folders(shared.settings.jobs.clone())
            .await
            .into_iter()
            .map(|key| (key, None)),
    );
    let wanted: HashSet<AttemptKey> = match shared.store.running_jobs(runner).await {
        Ok(claims) => claims.iter().map(key_of).collect(),
        Err(error) => {
            tracing::error!(error = chain(&error), "could not look at running jobs");
            return;
        }
    };
    for (key, place) in held.into_iter().filter(|(key, _)| !wanted.contains(key)) {
        let dir = JobDir::new(&shared.settings.jobs, key);
        let removed = match place.and_then(|place| shared.executors.get(place)) {
            Some(executor) => executor.remove(&dir).await.map_err(|error| chain(&error)),
            None => Ok(()),
        };
        let deleted = match removed {
            Ok(()) => run::blocking_delete(dir).await,
            Err(error) => Err(error),
        };
        match deleted {
            Ok(()) => tracing::info!(attempt = %key, "removed what no job wants any more"),
            Err(error) => tracing::warn!(attempt = %key, error, "could not remove a leftover"),
        }
    }
}

fn key_of(claim: &Claim) -> AttemptKey {
    AttemptKey {
        job: claim.job.uuid,
        attempt: claim.job.state.attempt(),
    }
}

/// The attempts that have folders.
async fn folders(jobs: PathBuf) -> Vec<AttemptKey> {
    let listed = tokio::task::spawn_blocking(move || {
        let entries = fs::read_dir(jobs).into_iter().flatten().flatten();
        entries
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .collect()
    });
    listed.await.unwrap_or_default()
}
