//! Runners: the machines that take jobs. The server itself is one of them, the local one.

use model::{InvalidName, RunnerId, Timestamp};
use sqlx::SqliteConnection;

use crate::{Result, Store, StoreError, TokenText, json, token};

/// One runner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Runner {
    /// Its number.
    pub id: RunnerId,
    /// Its host name or address; no two runners have the same.
    pub host: String,
    /// Whether it may take jobs.
    pub active: bool,
    /// Whether it is the server itself.
    pub local: bool,
    /// What it has that jobs can ask for.
    pub labels: Vec<String>,
    /// When it was last heard of.
    pub last_seen: Option<Timestamp>,
    /// How many jobs it runs.
    pub busy: u32,
    /// How many jobs it runs at once at most.
    pub capacity: u32,
}

/// A runner to be added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRunner {
    /// A host name or an IP address.
    pub host: String,
    /// What it has that jobs can ask for.
    pub labels: Vec<String>,
    /// How many jobs it runs at once at most.
    pub capacity: u32,
}

/// What is to be changed of a runner; what is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunnerPatch {
    /// Whether it may take jobs.
    pub active: Option<bool>,
    /// What it has that jobs can ask for.
    pub labels: Option<Vec<String>>,
    /// How many jobs it runs at once at most.
    pub capacity: Option<u32>,
}

macro_rules! columns {
    () => {
        "id, host, active, local, labels, last_seen, capacity, \
         (SELECT COUNT(*) FROM jobs \
          WHERE jobs.status = 'running' AND jobs.runner_id = runners.id) AS busy"
    };
}

#[derive(sqlx::FromRow)]
struct Row {
    id: i64,
    host: String,
    active: bool,
    local: bool,
    labels: String,
    last_seen: Option<i64>,
    capacity: i64,
    busy: i64,
}

impl TryFrom<Row> for Runner {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            id: RunnerId(row.id),
            active: row.active,
            local: row.local,
            labels: json::read(&row.labels, "labels", || format!("runner {}", row.id))?,
            last_seen: json::moment(row.last_seen),
            busy: json::count(row.busy),
            capacity: json::count(row.capacity),
            host: row.host,
        })
    }
}

impl Store {
    /// Every runner, in the order in which they were added.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn runners(&self) -> Result<Vec<Runner>> {
        let rows: Vec<Row> =
            sqlx::query_as(concat!("SELECT ", columns!(), " FROM runners ORDER BY id"))
                .fetch_all(self.readers())
                .await?;
        rows.into_iter().map(TryInto::try_into).collect()
    }

    /// The server's own runner, made or brought up to date. It stays the same one if the host's name
    /// changes, so that the jobs it had are found again; a name that another runner has is not taken.
    ///
    /// # Errors
    /// Where the name can't be a host's, or the database can't be written.
    pub async fn ensure_local_runner(
        &self,
        host: &str,
        capacity: u32,
        now: Timestamp,
    ) -> Result<RunnerId> {
        check_host(host)?;
        let mut write = self.write().await?;
        let known: Option<i64> = sqlx::query_scalar(
            "UPDATE runners SET capacity = $2, last_seen = $3, host = CASE \
               WHEN EXISTS (SELECT 1 FROM runners AS other WHERE other.host = $1) THEN host \
               ELSE $1 END \
             WHERE local RETURNING id",
        )
        .bind(host)
        .bind(capacity)
        .bind(now.as_millis())
        .fetch_optional(write.connection())
        .await?;
        let id = match known {
            Some(id) => id,
            // Somebody may have added this machine before its server first ran.
            None => {
                sqlx::query_scalar(
                    "INSERT INTO runners \
                     (host, active, local, labels, capacity, last_seen, created_at) \
                     VALUES ($1, TRUE, TRUE, '[]', $2, $3, $3) \
                     ON CONFLICT (host) DO UPDATE SET local = TRUE, \
                     capacity = excluded.capacity, last_seen = excluded.last_seen RETURNING id",
                )
                .bind(host)
                .bind(capacity)
                .bind(now.as_millis())
                .fetch_one(write.connection())
                .await?
            }
        };
        write.commit().await?;
        Ok(RunnerId(id))
    }

    /// Adds a runner.
    ///
    /// # Errors
    /// Where the name can't be a host's, or another runner has it.
    pub async fn add_runner(&self, new: &NewRunner, now: Timestamp) -> Result<Runner> {
        check_host(&new.host)?;
        let mut write = self.write().await?;
        let runner = insert(write.connection(), new, now).await?;
        write.commit().await?;
        Ok(runner)
    }

    /// Adds a runner with a token of its own, whose text is nowhere but in the answer.
    ///
    /// # Errors
    /// Where the name can't be a host's, or another runner has it.
    pub async fn add_runner_with_token(
        &self,
        new: &NewRunner,
        secret: [u8; 32],
        now: Timestamp,
    ) -> Result<(Runner, TokenText)> {
        check_host(&new.host)?;
        let mut write = self.write().await?;
        let runner = insert(write.connection(), new, now).await?;
        let text =
            token::of_runner(write.connection(), runner.id, &runner.host, secret, now).await?;
        write.commit().await?;
        Ok((runner, text))
    }

    /// Changes a runner. An inactive one goes on with the jobs it has and is given no more.
    ///
    /// # Errors
    /// Where there is no such runner.
    pub async fn update_runner(&self, id: RunnerId, patch: &RunnerPatch) -> Result<Runner> {
        let mut write = self.write().await?;
        let row: Option<Row> = sqlx::query_as(concat!(
            "UPDATE runners SET active = COALESCE($2, active), labels = COALESCE($3, labels), \
             capacity = COALESCE($4, capacity) WHERE id = $1 RETURNING ",
            columns!()
        ))
        .bind(id.0)
        .bind(patch.active)
        .bind(patch.labels.as_ref().map(json::write))
        .bind(patch.capacity)
        .fetch_optional(write.connection())
        .await?;
        let runner = row
            .ok_or_else(|| StoreError::not_found("runner", &id))?
            .try_into()?;
        write.commit().await?;
        Ok(runner)
    }

    /// Removes a runner that has no jobs.
    ///
    /// # Errors
    /// Where there is no such runner, it has jobs, or it is the server itself.
    pub async fn remove_runner(&self, id: RunnerId) -> Result<()> {
        let mut write = self.write().await?;
        let row: Row = sqlx::query_as(concat!(
            "SELECT ",
            columns!(),
            " FROM runners WHERE id = $1"
        ))
        .bind(id.0)
        .fetch_optional(write.connection())
        .await?
        .ok_or_else(|| StoreError::not_found("runner", &id))?;
        if row.local {
            return Err(StoreError::LocalRunner(id));
        }
        if row.busy > 0 {
            return Err(StoreError::RunnerBusy(id));
        }
        sqlx::query("DELETE FROM runners WHERE id = $1")
            .bind(id.0)
            .execute(write.connection())
            .await?;
        write.commit().await
    }
}

async fn insert(
    database: &mut SqliteConnection,
    new: &NewRunner,
    now: Timestamp,
) -> Result<Runner> {
    let row: Option<Row> = sqlx::query_as(concat!(
        "INSERT INTO runners (host, active, local, labels, capacity, created_at) \
         VALUES ($1, TRUE, FALSE, $2, $3, $4) ON CONFLICT (host) DO NOTHING RETURNING ",
        columns!()
    ))
    .bind(&new.host)
    .bind(json::write(&new.labels))
    .bind(new.capacity)
    .bind(now.as_millis())
    .fetch_optional(database)
    .await?;
    row.ok_or_else(|| StoreError::HostTaken(new.host.clone()))?
        .try_into()
}

/// The runner was heard of.
pub(crate) async fn seen(
    database: &mut SqliteConnection,
    id: RunnerId,
    now: Timestamp,
) -> Result<()> {
    sqlx::query("UPDATE runners SET last_seen = $2 WHERE id = $1")
        .bind(id.0)
        .bind(now.as_millis())
        .execute(database)
        .await?;
    Ok(())
}

fn check_host(host: &str) -> Result<()> {
    let bad = |why| Err(InvalidName::new("host", host, why).into());
    // The longest name that DNS has (RFC 1035, 2.3.4).
    if host.is_empty() || host.len() > 253 {
        return bad("it must have 1 to 253 characters");
    }
    let good = |b: u8| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b);
    if host.starts_with('-') || !host.bytes().all(good) {
        return bad("write a host name or an IP address");
    }
    Ok(())
}
