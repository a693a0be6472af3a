//! What changed, to who listens: stored events, and how far each running job's log has grown.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use model::{Event, JobId};
use store::Store;
use tokio::sync::{broadcast, watch};

/// How far a job's log has grown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogGrowth {
    /// Which attempt writes it.
    pub attempt: u32,
    /// Its length, in bytes.
    pub bytes: u64,
}

/// Tells listeners what changed. Listening never slows the engine: events are kept in the store for
/// who falls behind, and of a log's growth only the newest is told.
#[derive(Clone, Debug)]
pub struct Feed {
    store: Store,
    logs: Arc<Mutex<HashMap<JobId, watch::Sender<LogGrowth>>>>,
}

impl Feed {
    pub(crate) fn new(store: Store) -> Self {
        Self {
            store,
            logs: Arc::default(),
        }
    }

    /// Every event stored from now on. Who lags reads the rest with `Store::events_after`.
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.store.subscribe()
    }

    /// The growth of one job's log; never grows if the job does not run.
    pub fn log(&self, job: JobId) -> watch::Receiver<LogGrowth> {
        let mut logs = self.lock();
        logs.retain(|other, sender| *other == job || sender.receiver_count() > 0);
        logs.entry(job).or_default().subscribe()
    }

    /// Tells that a log has grown.
    pub(crate) fn grew(&self, job: JobId, growth: LogGrowth) {
        if let Some(sender) = self.lock().get(&job) {
            sender.send_replace(growth);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<JobId, watch::Sender<LogGrowth>>> {
        // Nothing that holds the lock can panic half-way.
        self.logs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
