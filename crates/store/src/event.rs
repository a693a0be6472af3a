//! Events: every change in its place in one sequence, for who was away when it was told.

use model::{Event, EventId, PipelineId, Timestamp};

use crate::{Result, Store, json};

type Row = (i64, i64, i64, String);

impl Store {
    /// The events after one, at most `limit`, in order.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn events_after(&self, after: EventId, limit: u32) -> Result<Vec<Event>> {
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT id, at, pipeline_id, body FROM events WHERE id > $1 ORDER BY id LIMIT $2",
        )
        .bind(after.0)
        .bind(limit)
        .fetch_all(self.readers())
        .await?;
        rows.into_iter().map(read).collect()
    }

    /// One pipeline's events after one, at most `limit`, in order.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn events_of(
        &self,
        pipeline: PipelineId,
        after: EventId,
        limit: u32,
    ) -> Result<Vec<Event>> {
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT id, at, pipeline_id, body FROM events \
             WHERE pipeline_id = $1 AND id > $2 ORDER BY id LIMIT $3",
        )
        .bind(pipeline.0)
        .bind(after.0)
        .bind(limit)
        .fetch_all(self.readers())
        .await?;
        rows.into_iter().map(read).collect()
    }

    /// The newest event's place; 0 before the first.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn last_event(&self) -> Result<EventId> {
        let id: Option<i64> = sqlx::query_scalar("SELECT MAX(id) FROM events")
            .fetch_one(self.readers())
            .await?;
        Ok(EventId(id.unwrap_or(0)))
    }
}

fn read((id, at, pipeline, body): Row) -> Result<Event> {
    Ok(Event {
        id: EventId(id),
        at: Timestamp::from_millis(at),
        pipeline: PipelineId(pipeline),
        body: json::read(&body, "body", || format!("event {id}"))?,
    })
}
