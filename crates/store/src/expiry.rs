//! Expiry: what jobs kept is dropped after a time. The blobs that no row names then are found by a sweep.

use model::Timestamp;
use sqlx::{QueryBuilder, Sqlite};

use crate::write::ROWS;
use crate::{Result, Store};

impl Store {
    /// Drops the artifacts of attempts that ended before then; how many.
    ///
    /// # Errors
    /// Where the database can't be used.
    pub async fn expire_artifacts(&self, ended_before: Timestamp) -> Result<u64> {
        let find = "SELECT artifacts.id FROM artifacts JOIN attempts USING (job_id, attempt) \
                    WHERE attempts.end_time < $1 ORDER BY artifacts.id LIMIT $2";
        let drop = "DELETE FROM artifacts WHERE id IN (";
        self.expire(find, drop, ended_before).await
    }

    /// Drops the layers of workspaces of attempts that ended before then; how many.
    ///
    /// # Errors
    /// Where the database can't be used.
    pub async fn expire_layers(&self, ended_before: Timestamp) -> Result<u64> {
        let find = "SELECT workspace_layers.id FROM workspace_layers JOIN attempts USING (job_id, attempt) \
                    WHERE attempts.end_time < $1 ORDER BY workspace_layers.id LIMIT $2";
        let drop = "DELETE FROM workspace_layers WHERE id IN (";
        self.expire(find, drop, ended_before).await
    }

    /// Drops the caches that nobody asked for since then; how many.
    ///
    /// # Errors
    /// Where the database can't be used.
    pub async fn expire_caches(&self, used_before: Timestamp) -> Result<u64> {
        let find = "SELECT id FROM caches WHERE used_at < $1 ORDER BY used_at, id LIMIT $2";
        let drop = "DELETE FROM caches WHERE id IN (";
        self.expire(find, drop, used_before).await
    }

    /// Some rows at a time, and looked for beside the writer, so that nobody waits for it long.
    async fn expire(
        &self,
        find: &'static str,
        drop: &'static str,
        before: Timestamp,
    ) -> Result<u64> {
        let mut dropped = 0;
        loop {
            let ids: Vec<i64> = sqlx::query_scalar(find)
                .bind(before.as_millis())
                .bind(i64::try_from(ROWS).unwrap_or(i64::MAX))
                .fetch_all(self.readers())
                .await?;
            if ids.is_empty() {
                return Ok(dropped);
            }
            let mut delete = QueryBuilder::<Sqlite>::new(drop);
            let mut list = delete.separated(", ");
            for id in &ids {
                list.push_bind(*id);
            }
            delete.push(")");
            let mut write = self.write().await?;
            let deleted = delete
                .build()
                .persistent(false)
                .execute(write.connection())
                .await?;
            write.commit().await?;
            dropped += deleted.rows_affected();
        }
    }
}
