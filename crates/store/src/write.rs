//! One write transaction at a time, and what its changes tell once it is durable.

use std::time::Instant;

use model::{Event, EventBody, EventId, JobId, PipelineId, Timestamp};
use sqlx::{QueryBuilder, Sqlite, SqliteConnection, Transaction};
use tokio::sync::{OwnedMutexGuard, broadcast};

use crate::{Result, Store, StoreError, json, measure};

/// A write transaction. Dropping it undoes it.
pub(crate) struct Write {
    transaction: Transaction<'static, Sqlite>,
    events: Vec<Event>,
    feed: broadcast::Sender<Event>,
    /// How long things took that this transaction tells the end of: the histogram's name, and seconds.
    spans: Vec<(&'static str, f64)>,
    begun: Instant,
    /// Held until the events are told, so that they are told in the order in which they are stored.
    turn: OwnedMutexGuard<()>,
}

impl Store {
    /// Begins a write transaction, once no other is under way.
    pub(crate) async fn write(&self) -> Result<Write> {
        let turn = self.0.turn.clone().lock_owned();
        let turn = tokio::time::timeout(crate::open::PATIENCE, turn)
            .await
            .map_err(|_| StoreError::Busy)?;
        // Takes SQLite's write lock at once: a transaction that reads first and locks later would fail
        // where another process wrote in between.
        let transaction = self.0.writer.begin_with("BEGIN IMMEDIATE").await?;
        Ok(Write {
            transaction,
            events: Vec::new(),
            spans: Vec::new(),
            begun: Instant::now(),
            feed: self.0.feed.clone(),
            turn,
        })
    }
}

impl Write {
    /// That an attempt runs; its pipeline.
    pub(crate) async fn running(&mut self, job: JobId, attempt: u32) -> Result<PipelineId> {
        let pipeline: Option<i64> = sqlx::query_scalar(
            "SELECT pipeline_id FROM jobs JOIN attempts ON job_id = id \
             WHERE id = $1 AND attempt = $2 AND attempts.end_time IS NULL",
        )
        .bind(job.0)
        .bind(attempt)
        .fetch_optional(self.connection())
        .await?;
        pipeline
            .map(PipelineId)
            .ok_or(StoreError::NotRunning { job, attempt })
    }

    pub(crate) fn connection(&mut self) -> &mut SqliteConnection {
        &mut self.transaction
    }

    /// Something took from then to then; measured once the transaction is durable.
    pub(crate) fn took(&mut self, histogram: &'static str, from: Timestamp, to: Timestamp) {
        self.spans.push((histogram, to.since(from).as_secs_f64()));
    }

    /// Stores events of one pipeline, in order; they are told once the transaction is durable.
    pub(crate) async fn record(
        &mut self,
        pipeline: PipelineId,
        at: Timestamp,
        bodies: Vec<EventBody>,
    ) -> Result<()> {
        self.record_all(
            at,
            bodies.into_iter().map(|body| (pipeline, body)).collect(),
        )
        .await
    }

    /// Stores events of several pipelines, in order.
    pub(crate) async fn record_all(
        &mut self,
        at: Timestamp,
        bodies: Vec<(PipelineId, EventBody)>,
    ) -> Result<()> {
        let mut bodies = bodies.into_iter();
        loop {
            let chunk: Vec<_> = bodies.by_ref().take(ROWS).collect();
            if chunk.is_empty() {
                return Ok(());
            }
            let mut insert =
                QueryBuilder::<Sqlite>::new("INSERT INTO events (at, pipeline_id, body) ");
            insert.push_values(&chunk, |mut row, (pipeline, body)| {
                row.push_bind(at.as_millis())
                    .push_bind(pipeline.0)
                    .push_bind(json::write(body));
            });
            insert.push(" RETURNING id");
            let mut ids: Vec<i64> = insert
                .build_query_scalar()
                .persistent(chunk.len() <= FEW)
                .fetch_all(self.connection())
                .await?;
            // Rows get growing numbers in the order of their VALUES, but may come back in any.
            ids.sort_unstable();
            self.events.extend(
                ids.into_iter()
                    .zip(chunk)
                    .map(|(id, (pipeline, body))| Event {
                        id: EventId(id),
                        at,
                        pipeline,
                        body,
                    }),
            );
        }
    }

    /// Makes everything durable, then tells the events.
    ///
    /// A caller that goes away meanwhile changes nothing: what is stored is told.
    pub(crate) async fn commit(self) -> Result<()> {
        let Self {
            transaction,
            events,
            spans,
            begun,
            feed,
            turn,
        } = self;
        let committing = tokio::spawn(async move {
            transaction.commit().await?;
            measure::committed(begun.elapsed(), &events, &spans);
            for event in events {
                // Nobody may be listening.
                let _ = feed.send(event);
            }
            drop(turn);
            Ok(())
        });
        // It can't panic; it is lost only where the runtime shuts down.
        committing.await.unwrap_or(Err(StoreError::Busy))
    }
}

/// How many rows one statement inserts at most: far from SQLite's limit of bound values.
pub(crate) const ROWS: usize = 100;
/// Up to how many rows a statement's text is worth keeping prepared.
pub(crate) const FEW: usize = 4;
