//! A trigger becomes a stored pipeline, and only then is the door's answer given.
//!
//! Triggers that come while a transaction is under way wait and share the next one, so that many
//! senders cost one flush to disk instead of one each.

use std::sync::Arc;

use model::Trigger;
use store::{Created, Store};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::{EngineError, World};

/// How many triggers may wait to be stored before senders are told to come back.
const QUEUE: usize = 1024;
/// How many triggers share one transaction at the most.
const BATCH: usize = 64;

struct Request {
    trigger: Trigger,
    answer: oneshot::Sender<Result<Created, EngineError>>,
}

/// The sender's side of intake.
#[derive(Clone, Debug)]
pub(crate) struct Intake {
    requests: mpsc::Sender<Request>,
}

impl Intake {
    /// The sender's side, and the task that stores.
    pub(crate) fn new(
        store: Store,
        world: Arc<dyn World>,
        stop: CancellationToken,
    ) -> (Self, impl Future<Output = ()>) {
        let (requests, inbox) = mpsc::channel(QUEUE);
        (Self { requests }, store_batches(store, world, inbox, stop))
    }

    /// Stores the trigger as a pipeline; once this returns, it is on disk.
    pub(crate) async fn submit(&self, trigger: Trigger) -> Result<Created, EngineError> {
        let (answer, answered) = oneshot::channel();
        self.requests
            .try_send(Request { trigger, answer })
            .map_err(|_| EngineError::Busy)?;
        answered.await.map_err(|_| EngineError::Busy)?
    }
}

async fn store_batches(
    store: Store,
    world: Arc<dyn World>,
    mut inbox: mpsc::Receiver<Request>,
    stop: CancellationToken,
) {
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            received = inbox.recv_many(&mut batch, BATCH) => if received == 0 { return },
        }
        let (triggers, answers): (Vec<_>, Vec<_>) = batch
            .drain(..)
            .map(|request| (request.trigger, request.answer))
            .unzip();
        match store.create_pipelines(&triggers, world.now()).await {
            Ok(created) => {
                for (answer, created) in answers.into_iter().zip(created) {
                    // A sender that has gone away lost its answer, not its pipeline.
                    let _ = answer.send(Ok(created));
                }
            }
            // One trigger that can't be stored must not take the others with it. Where none can be just
            // now, each would wait for as long again.
            Err(error) if triggers.len() > 1 && !error.is_passing() => {
                tracing::warn!(%error, count = triggers.len(), "batch not stored; storing one by one");
                for (trigger, answer) in triggers.into_iter().zip(answers) {
                    let stored = store
                        .create_pipelines(std::slice::from_ref(&trigger), world.now())
                        .await;
                    let _ = answer.send(first(stored));
                }
            }
            Err(error) => {
                let mut error = Some(EngineError::from(error));
                for answer in answers {
                    let _ = answer.send(Err(error.take().unwrap_or(EngineError::Busy)));
                }
            }
        }
    }
}

fn first(stored: Result<Vec<Created>, store::StoreError>) -> Result<Created, EngineError> {
    stored?.into_iter().next().ok_or(EngineError::Busy)
}
