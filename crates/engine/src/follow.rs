//! A job's log as it grows, to its end.

use bytes::Bytes;
use model::{EventBody, JobId, JobState};
use store::{Job, Logs, Store};
use tokio::sync::{broadcast, watch};

use crate::EngineError;
use crate::feed::{Feed, LogGrowth};

/// How much of a log is handed on at once.
const CHUNK: usize = 64 << 10;

/// Reads a job's log from an offset to its end, waiting for what is yet to come.
///
/// Holds no part of the log between calls, so a reader that is slow costs nothing: it is given the
/// next bytes from the file when it asks. If the job has another attempt, its log follows.
#[derive(Debug)]
pub struct LogFollow {
    store: Store,
    logs: Logs,
    job: JobId,
    attempt: u32,
    offset: u64,
    growth: watch::Receiver<LogGrowth>,
    events: broadcast::Receiver<model::Event>,
}

impl LogFollow {
    pub(crate) async fn new(
        store: &Store,
        logs: &Logs,
        feed: &Feed,
        job: JobId,
        from: u64,
    ) -> Result<Self, EngineError> {
        // Listen before looking, so that nothing falls between.
        let (growth, events) = (feed.log(job), feed.events());
        let attempt = store.job(job).await?.state.attempt();
        Ok(Self {
            store: store.clone(),
            logs: logs.clone(),
            job,
            attempt,
            offset: from,
            growth,
            events,
        })
    }

    /// The next bytes; none once the job has ended and all of its log was given.
    ///
    /// # Errors
    /// Where the log can't be read, or the job was deleted.
    pub async fn next(&mut self) -> Result<Option<Bytes>, EngineError> {
        loop {
            self.growth.borrow_and_update();
            // The state is read before the log: if it says ended, the log is whole.
            let job = self.store.job(self.job).await?;
            if let Some(bytes) = self.read(&job).await? {
                return Ok(Some(bytes));
            }
            match job.state {
                JobState::Ended { attempts, .. } if attempts <= self.attempt => return Ok(None),
                JobState::Ended { .. } | JobState::Running { .. }
                    if job.state.attempt() > self.attempt =>
                {
                    self.attempt = job.state.attempt();
                    self.offset = 0;
                }
                JobState::Blocked
                | JobState::OnHold
                | JobState::Queued { .. }
                | JobState::Running { .. }
                | JobState::Ended { .. } => self.changed().await,
            }
        }
    }

    async fn read(&mut self, job: &Job) -> Result<Option<Bytes>, EngineError> {
        if self.attempt == 0 {
            return Ok(None);
        }
        let (logs, pipeline, id, attempt, offset) = (
            self.logs.clone(),
            job.pipeline,
            job.id,
            self.attempt,
            self.offset,
        );
        let read = tokio::task::spawn_blocking(move || {
            let reader = logs.reader(pipeline, id, attempt)?;
            reader.read_at(offset, CHUNK)
        });
        let bytes = match read.await {
            Ok(Ok(bytes)) => bytes,
            // Claimed, but nothing written yet; or never written at all.
            Ok(Err(error)) if error.is_not_found() => return Ok(None),
            Ok(Err(error)) => return Err(error.into()),
            Err(_) => return Err(EngineError::Busy),
        };
        self.offset += bytes.len() as u64;
        Ok((!bytes.is_empty()).then(|| Bytes::from(bytes)))
    }

    /// Waits until the log has grown or the job has another status.
    async fn changed(&mut self) {
        loop {
            tokio::select! {
                _ = self.growth.changed() => return,
                event = self.events.recv() => match event {
                    Ok(event) => if let EventBody::Job { job, .. } = event.body
                        && job == self.job
                    {
                        return;
                    },
                    // Whoever lags looks again; a closed store is found out by the next look.
                    Err(_) => return,
                },
            }
        }
    }
}
