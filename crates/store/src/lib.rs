//! What is remembered: pipelines, jobs, attempts, steps, runners, hosted repositories, events and reports
//! in a database, logs and what jobs keep (`blobs`) in files beside it.
//!
//! A file per noun, and in it functions named after the question. Time comes in as an argument.
//!
//! The rule that holds everything together: **each change of status is one transaction together with the
//! events and the reports that tell of it** (`change`). So whoever reads events misses none, and a forge
//! is told of every change, however often the server dies in between. Events are told to
//! [`Store::subscribe`]rs only after the transaction is on disk.
//!
//! There is one writer at a time (`write`), as SQLite has it; readers never wait for it. Statements are
//! in the dialect that SQLite and PostgreSQL share.
#![forbid(unsafe_code)]

mod artifact;
mod attempt;
mod blobs;
mod cache;
mod cancel;
mod change;
mod claim;
mod context;
mod creation;
mod error;
mod event;
mod expiry;
mod job;
mod json;
mod keyring;
mod logs;
mod measure;
mod migrate;
mod open;
mod page;
mod pipeline;
mod preparation;
mod project;
mod repo;
mod report;
mod rerun;
mod retry;
mod runner;
mod secret;
mod step;
mod test_result;
mod token;
mod turn;
mod unreadable;
mod workspace;
mod write;

use std::sync::Arc;

use model::Event;
use sqlx::SqlitePool;
use tokio::sync::{Mutex, broadcast};

pub use artifact::Artifact;
pub use attempt::{Attempt, AttemptEnd};
pub use blobs::{Blob, BlobWriter, Blobs, Digest};
pub use cache::{Cache, CachePart, NewCache};
pub use claim::Claim;
pub use context::Context;
pub use creation::Created;
pub use error::StoreError;
pub use job::Job;
pub use keyring::{CantOpen, InvalidKey, Keyring, Nonce};
pub use logs::{LogReader, LogSize, LogWriter, Logs, Resume};
pub use measure::Census;
pub use page::{Page, Paged};
pub use pipeline::{Pipeline, PipelineFilter};
pub use project::{Project, ProjectRun};
pub use repo::Repo;
pub use report::{DueReport, Except};
pub use runner::{NewRunner, Runner, RunnerPatch};
pub use secret::Secret;
pub use step::{Step, StepChange};
pub use test_result::{TestCounts, TestOutcome, TestResult};
pub use token::{NewToken, TOKEN_PREFIX, Token, TokenText};
pub use workspace::NewLayer;

/// A result of the store's.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// The database. Clones use the same.
///
/// Every function may be dropped before it returns: what it writes is then either stored whole, and
/// told, or not at all.
#[derive(Clone, Debug)]
pub struct Store(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    writer: SqlitePool,
    readers: SqlitePool,
    /// Whose turn it is to write.
    turn: Arc<Mutex<()>>,
    feed: broadcast::Sender<Event>,
}

/// How many events a subscriber may be behind.
const FEED: usize = 4096;

impl Store {
    /// Every event stored from now on through this store, in order. Who falls behind by more than 4096
    /// reads the rest with [`Store::events_after`].
    pub fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.0.feed.subscribe()
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// Where it does not.
    pub async fn ping(&self) -> Result<()> {
        sqlx::query("SELECT 1").execute(self.readers()).await?;
        Ok(())
    }

    /// Waits for writes that are under way, then closes the database. Every later call fails.
    pub async fn close(&self) {
        let _turn = self.0.turn.lock().await;
        self.0.readers.close().await;
        self.0.writer.close().await;
    }

    fn readers(&self) -> &SqlitePool {
        &self.0.readers
    }
}
