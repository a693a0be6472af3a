//! Makes agree what the store believes and what the executors really hold: at start, and now and then.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use executor::{Executor, JobDir};
use futures_util::future::join_all;
use model::{AttemptKey, RunnerId};
use store::{Claim, StoreError};

use crate::EngineError;
use crate::handle::Shared;
use crate::run::{self, chain};

/// How long an executor may take to say what it holds.
const LOOK: Duration = Duration::from_secs(5);
/// How long the removal of one attempt may take.
const REMOVAL: Duration = Duration::from_secs(60);

/// The attempts that a run of this engine looks after, until it has cleaned up after them.
#[derive(Debug, Default)]
pub(crate) struct Owned(Mutex<HashSet<AttemptKey>>);

impl Owned {
    pub(crate) fn insert(&self, key: AttemptKey) {
        self.lock().insert(key);
    }

    pub(crate) fn remove(&self, key: AttemptKey) {
        self.lock().remove(&key);
    }

    fn contains(&self, key: AttemptKey) -> bool {
        self.lock().contains(&key)
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<AttemptKey>> {
        // Nothing that holds the lock can panic half-way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// This machine's row in the table of runners.
pub(crate) async fn runner(shared: &Shared) -> Result<RunnerId, EngineError> {
    let capacity = u32::try_from(shared.settings.max_jobs).unwrap_or(u32::MAX);
    let now = shared.world.now();
    Ok(shared
        .store
        .ensure_local_runner(&shared.settings.host, capacity, now)
        .await?)
}

/// At start: pipelines in preparation are to be prepared again. Returns the jobs that an earlier server
/// left running, to be taken up.
pub(crate) async fn agree(shared: &Shared, runner: RunnerId) -> Result<Vec<Claim>, EngineError> {
    let requeued = shared.store.requeue_preparations().await?;
    if requeued > 0 {
        tracing::info!(
            pipelines = requeued,
            "preparing again what an earlier server left"
        );
    }
    Ok(shared
        .store
        .running_jobs(runner, shared.world.now())
        .await?)
}

/// What there is of attempts: for each the executors that hold a container of it; none where it is a
/// folder alone.
struct Held {
    attempts: BTreeMap<AttemptKey, Vec<Arc<dyn Executor>>>,
    /// The executors that did not say what they hold.
    silent: Vec<&'static str>,
}

/// Removes the containers and folders of attempts that no running job has.
pub(crate) async fn reclaim(shared: Arc<Shared>, runner: RunnerId) {
    // What there is is read first: what starts meanwhile is not in the list then.
    let Held { attempts, silent } = held(&shared).await;
    let wanted: HashSet<AttemptKey> =
        match shared.store.running_jobs(runner, shared.world.now()).await {
            Ok(claims) => claims.iter().map(key_of).collect(),
            Err(error) => {
                tracing::error!(error = chain(&error), "could not look at running jobs");
                return;
            }
        };
    for (key, holders) in attempts {
        if wanted.contains(&key) || shared.owned.contains(key) {
            continue;
        }
        if holders.is_empty() && !silent.is_empty() {
            match launched_by(&shared, key).await {
                Ok(Some(executor)) if !silent.iter().any(|silent| **silent == executor) => {}
                // Its container may be there still, and could not be found without its folder.
                Ok(_) => continue,
                Err(error) => {
                    tracing::error!(attempt = %key, error = chain(&error), "could not look at it");
                    continue;
                }
            }
        }
        remove(&shared, key, &holders).await;
    }
}

/// Removes every container and folder of an engine that has ended for good; whether nothing is left.
pub(crate) async fn remove_all(shared: &Shared) -> bool {
    let Held { attempts, silent } = held(shared).await;
    let removals = attempts.iter().map(|(key, holders)| async {
        // Of a folder alone, an executor that is silent may have a container still.
        let is_known = !holders.is_empty() || silent.is_empty();
        is_known && remove(shared, *key, holders).await
    });
    join_all(removals).await.into_iter().all(|removed| removed)
}

pub(crate) fn key_of(claim: &Claim) -> AttemptKey {
    AttemptKey {
        job: claim.job.uuid,
        attempt: claim.job.state.attempt(),
    }
}

async fn held(shared: &Shared) -> Held {
    let looks = shared.executors.iter().map(|executor| async move {
        let held = tokio::time::timeout(LOOK, executor.held()).await;
        (executor, held)
    });
    let mut attempts: BTreeMap<AttemptKey, Vec<Arc<dyn Executor>>> = BTreeMap::new();
    let mut silent = Vec::new();
    for (executor, held) in join_all(looks).await {
        match held {
            Ok(Ok(keys)) => {
                for key in keys {
                    attempts.entry(key).or_default().push(Arc::clone(executor));
                }
            }
            Ok(Err(error)) => {
                silent.push(executor.name());
                tracing::debug!(
                    executor = executor.name(),
                    error = chain(&error),
                    "not looked into"
                );
            }
            Err(_) => {
                silent.push(executor.name());
                tracing::warn!(executor = executor.name(), "does not say what it holds");
            }
        }
    }
    for key in folders(shared.settings.jobs.clone()).await {
        attempts.entry(key).or_default();
    }
    Held { attempts, silent }
}

/// Removes an attempt's containers, and only when all are gone its folder: without it they could not be
/// found again. Whether that worked.
async fn remove(shared: &Shared, key: AttemptKey, holders: &[Arc<dyn Executor>]) -> bool {
    let dir = JobDir::new(&shared.settings.jobs, key);
    let removal = async {
        for executor in holders {
            executor.remove(&dir).await.map_err(|error| chain(&error))?;
        }
        run::blocking_delete(dir.clone()).await
    };
    match tokio::time::timeout(REMOVAL, removal).await {
        Ok(Ok(())) => {
            tracing::info!(attempt = %key, "removed what no job wants any more");
            true
        }
        Ok(Err(error)) => {
            tracing::warn!(attempt = %key, error, "could not remove a leftover");
            false
        }
        Err(_) => {
            tracing::warn!(attempt = %key, "a leftover resists; it is tried again later");
            false
        }
    }
}

/// Which executor an attempt was given to; none for one that the store does not know, or that never got
/// as far.
async fn launched_by(shared: &Shared, key: AttemptKey) -> Result<Option<String>, StoreError> {
    let job = match shared.store.job_by_uuid(key.job).await {
        Ok(job) => job,
        Err(error) if error.is_not_found() => return Ok(None),
        Err(error) => return Err(error),
    };
    let attempts = shared.store.attempts(job.id).await?;
    let attempt = attempts
        .into_iter()
        .find(|attempt| attempt.number == key.attempt);
    Ok(attempt.and_then(|attempt| attempt.executor))
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
