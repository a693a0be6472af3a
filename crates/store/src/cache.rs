//! Caches: files that a project's jobs keep for later jobs that ask for a key.
//!
//! A cache never changes once it is there. Of those that a key finds the newest is given. Where there are
//! too many, whoever saves one makes room of its own ones first, those that nobody asked for longest.

use model::{RepoName, Timestamp};
use sqlx::SqliteConnection;

use crate::{Blob, Digest, Result, Store, json};

/// A cache to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewCache {
    /// The project.
    pub repo: RepoName,
    /// Who reads it: empty for all of the project.
    pub scope: String,
    /// What it is found by.
    pub key: String,
    /// What is in it, in the order of the config.
    pub parts: Vec<CachePart>,
}

/// One path of a cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CachePart {
    /// Where it is laid out, as the config that saved it has it.
    pub path: String,
    /// Its files, packed.
    pub blob: Blob,
}

/// A cache that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cache {
    /// Its row.
    id: i64,
    /// Its key, which may be longer than what it was asked for by.
    pub key: String,
    /// When it was stored.
    pub created: Timestamp,
    /// What is in it.
    pub parts: Vec<CachePart>,
}

impl Store {
    /// The newest cache of a project and a scope whose key begins so, if there is one; it counts as used.
    ///
    /// # Errors
    /// Where the database can't be used.
    pub async fn find_cache(
        &self,
        repo: &RepoName,
        scope: &str,
        prefix: &str,
        now: Timestamp,
    ) -> Result<Option<Cache>> {
        let mut write = self.write().await?;
        let row: Option<(i64, String, i64)> = sqlx::query_as(
            "UPDATE caches SET used_at = $4 WHERE id = (SELECT id FROM caches \
             WHERE repo = $1 AND scope = $2 AND substr(key, 1, length($3)) = $3 \
             ORDER BY id DESC LIMIT 1) RETURNING id, key, created_at",
        )
        .bind(repo.as_str())
        .bind(scope)
        .bind(prefix)
        .bind(now.as_millis())
        .fetch_optional(write.connection())
        .await?;
        let Some((id, key, created)) = row else {
            return Ok(None);
        };
        let parts = parts(write.connection(), id).await?;
        write.commit().await?;
        Ok(Some(Cache {
            id,
            key,
            created: Timestamp::from_millis(created),
            parts,
        }))
    }

    /// Whether there is a cache of exactly that key.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn has_cache(&self, repo: &RepoName, scope: &str, key: &str) -> Result<bool> {
        let found: Option<i64> =
            sqlx::query_scalar("SELECT id FROM caches WHERE repo = $1 AND scope = $2 AND key = $3")
                .bind(repo.as_str())
                .bind(scope)
                .bind(key)
                .fetch_optional(self.readers())
                .await?;
        Ok(found.is_some())
    }

    /// Stores a cache, unless there is one of that key. Whether it was stored.
    ///
    /// # Errors
    /// Where the database can't be written.
    pub async fn add_cache(&self, cache: &NewCache, now: Timestamp) -> Result<bool> {
        let mut write = self.write().await?;
        let id: Option<i64> = sqlx::query_scalar(
            "INSERT INTO caches (repo, scope, key, created_at, used_at) VALUES ($1, $2, $3, $4, $4) \
             ON CONFLICT (repo, scope, key) DO NOTHING RETURNING id",
        )
        .bind(cache.repo.as_str())
        .bind(&cache.scope)
        .bind(&cache.key)
        .bind(now.as_millis())
        .fetch_optional(write.connection())
        .await?;
        let Some(id) = id else {
            return Ok(false);
        };
        for (place, part) in (0_i64..).zip(&cache.parts) {
            sqlx::query(
                "INSERT INTO cache_parts (cache_id, place, path, size_bytes, digest) \
                 VALUES ($1, $2, $3, $4, $5)",
            )
            .bind(id)
            .bind(place)
            .bind(&part.path)
            .bind(json::offset(part.blob.bytes))
            .bind(part.blob.digest.as_str())
            .execute(write.connection())
            .await?;
        }
        write.commit().await?;
        Ok(true)
    }

    /// Drops a cache that was found and can't be read, so that another may have its key. It is well if it is
    /// gone.
    ///
    /// # Errors
    /// Where the database can't be written.
    pub async fn drop_cache(&self, cache: &Cache) -> Result<()> {
        let mut write = self.write().await?;
        drop_row(write.connection(), cache.id).await?;
        write.commit().await
    }

    /// Drops caches until all together have no more bytes than that, but never the one that was just saved:
    /// first the others of its project and scope, then anybody's, each time those that were used least
    /// recently. The blobs that no row names now.
    ///
    /// # Errors
    /// Where the database can't be written.
    pub async fn evict_caches(&self, saved: &NewCache, limit_bytes: u64) -> Result<Vec<Digest>> {
        let mut write = self.write().await?;
        let sizes: Vec<(i64, i64, bool)> = sqlx::query_as(
            "SELECT id, SUM(size_bytes), repo = $1 AND scope = $2 AND key = $3 \
             FROM caches JOIN cache_parts ON cache_id = id \
             GROUP BY id ORDER BY (repo = $1 AND scope = $2) DESC, used_at, id",
        )
        .bind(saved.repo.as_str())
        .bind(&saved.scope)
        .bind(&saved.key)
        .fetch_all(write.connection())
        .await?;
        let sum = |total: u64, bytes: &i64| total.saturating_add(json::count(*bytes));
        let mut total = sizes.iter().map(|(_, bytes, _)| bytes).fold(0_u64, sum);
        let mut dropped = Vec::new();
        for (id, bytes, is_saved) in sizes {
            if total <= limit_bytes {
                break;
            }
            if !is_saved {
                total = total.saturating_sub(json::count(bytes));
                let part = parts(write.connection(), id).await?;
                dropped.extend(part.into_iter().map(|part| part.blob.digest));
                drop_row(write.connection(), id).await?;
            }
        }
        if dropped.is_empty() {
            return Ok(dropped);
        }
        let unnamed = unnamed(write.connection(), dropped).await?;
        write.commit().await?;
        Ok(unnamed)
    }

    /// Those of these blobs that no row names.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn unnamed_blobs(&self, digests: Vec<Digest>) -> Result<Vec<Digest>> {
        let mut connection = self.readers().acquire().await?;
        unnamed(&mut connection, digests).await
    }
}

async fn drop_row(database: &mut SqliteConnection, id: i64) -> Result<()> {
    sqlx::query("DELETE FROM caches WHERE id = $1")
        .bind(id)
        .execute(database)
        .await?;
    Ok(())
}

async fn parts(database: &mut SqliteConnection, id: i64) -> Result<Vec<CachePart>> {
    let rows: Vec<(String, i64, String)> = sqlx::query_as(
        "SELECT path, size_bytes, digest FROM cache_parts WHERE cache_id = $1 ORDER BY place",
    )
    .bind(id)
    .fetch_all(database)
    .await?;
    let part = |(path, bytes, digest): (String, i64, String)| {
        Ok(CachePart {
            path,
            blob: Blob {
                digest: Digest::read(&digest, || format!("cache {id}"))?,
                bytes: json::count(bytes),
            },
        })
    };
    rows.into_iter().map(part).collect()
}

async fn unnamed(database: &mut SqliteConnection, digests: Vec<Digest>) -> Result<Vec<Digest>> {
    let mut unnamed = Vec::new();
    for digest in digests {
        let named: i64 = sqlx::query_scalar(
            "SELECT EXISTS (SELECT 1 FROM artifacts WHERE digest = $1) \
             OR EXISTS (SELECT 1 FROM workspace_layers WHERE digest = $1) \
             OR EXISTS (SELECT 1 FROM cache_parts WHERE digest = $1)",
        )
        .bind(digest.as_str())
        .fetch_one(&mut *database)
        .await?;
        if named == 0 {
            unnamed.push(digest);
        }
    }
    Ok(unnamed)
}
