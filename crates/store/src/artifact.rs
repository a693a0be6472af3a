//! Artifacts: files that a job keeps for people.

use model::JobId;
use sqlx::{QueryBuilder, Sqlite};

use crate::page::List;
use crate::write::{FEW, ROWS};
use crate::{Blob, Digest, Page, Paged, Result, Store, StoreError, json};

/// A file that a job keeps for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artifact {
    /// Its number, over the whole server.
    pub id: i64,
    /// What people find it by: relative, with `/`.
    pub path: String,
    /// Which of the job's parallel nodes kept it.
    pub node_index: u32,
    /// Its bytes.
    pub blob: Blob,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: i64,
    path: String,
    node_index: i64,
    size_bytes: i64,
    digest: String,
}

impl TryFrom<Row> for Artifact {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            blob: Blob {
                digest: Digest::read(&row.digest, || format!("artifact {}", row.id))?,
                bytes: json::count(row.size_bytes),
            },
            id: row.id,
            path: row.path,
            node_index: json::count(row.node_index),
        })
    }
}

impl Store {
    /// Stores artifacts of an attempt that runs, all or none. A later one of the same path replaces an
    /// earlier one, so that storing the same again, as after a crash, does no harm.
    ///
    /// # Errors
    /// Where that attempt is not running.
    pub async fn add_artifacts(
        &self,
        job: JobId,
        attempt: u32,
        node_index: u32,
        artifacts: &[(String, Blob)],
    ) -> Result<()> {
        let mut write = self.write().await?;
        write.running(job, attempt).await?;
        for chunk in artifacts.chunks(ROWS) {
            let mut insert = QueryBuilder::<Sqlite>::new(
                "INSERT INTO artifacts (job_id, attempt, node_index, path, size_bytes, digest) ",
            );
            insert.push_values(chunk, |mut row, (path, blob)| {
                row.push_bind(job.0)
                    .push_bind(attempt)
                    .push_bind(node_index)
                    .push_bind(path)
                    .push_bind(json::offset(blob.bytes))
                    .push_bind(blob.digest.as_str());
            });
            insert.push(
                " ON CONFLICT (job_id, attempt, node_index, path) DO UPDATE SET \
                 size_bytes = excluded.size_bytes, digest = excluded.digest",
            );
            insert
                .build()
                .persistent(chunk.len() <= FEW)
                .execute(write.connection())
                .await?;
        }
        write.commit().await
    }

    /// The artifacts of a job's attempt, in the order in which they were stored.
    ///
    /// # Errors
    /// Where the cursor is none of this list's.
    pub async fn artifacts(
        &self,
        job: JobId,
        attempt: u32,
        page: &Page,
    ) -> Result<Paged<Artifact>> {
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT id, path, node_index, size_bytes, digest FROM artifacts \
             WHERE job_id = $1 AND attempt = $2 AND id > $3 ORDER BY id LIMIT $4",
        )
        .bind(job.0)
        .bind(attempt)
        .bind(page.above(List::Artifacts)?)
        .bind(page.more())
        .fetch_all(self.readers())
        .await?;
        Ok(Paged::cut(rows, page, List::Artifacts, |row| row.id).read())
    }

    /// The artifact of that path.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where there is none.
    pub async fn artifact(
        &self,
        job: JobId,
        attempt: u32,
        node_index: u32,
        path: &str,
    ) -> Result<Artifact> {
        sqlx::query_as::<_, Row>(
            "SELECT id, path, node_index, size_bytes, digest FROM artifacts \
             WHERE job_id = $1 AND attempt = $2 AND node_index = $3 AND path = $4",
        )
        .bind(job.0)
        .bind(attempt)
        .bind(node_index)
        .bind(path)
        .fetch_optional(self.readers())
        .await?
        .ok_or_else(|| {
            let path: String = path.chars().take(200).collect();
            StoreError::not_found("artifact", &format!("`{path}` of job {job}"))
        })?
        .try_into()
    }
}
