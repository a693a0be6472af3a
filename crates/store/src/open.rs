//! Opens the database: finds it, brings it up to date, keeps one connection to write and a few to read.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sqlx::Connection;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous,
};
use tokio::sync::{Mutex, broadcast};
use tokio::time::Instant;

use crate::{FEED, Inner, Result, Store, StoreError, migrate};

/// How long a caller waits for its turn, or for a free connection.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// How long SQLite waits for another process that writes.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long to wait before trying again where SQLite does not wait.
const AGAIN: Duration = Duration::from_millis(20);
/// How many questions can be answered at once.
const READERS: u32 = 4;

/// Where a database is.
#[derive(Debug, PartialEq, Eq)]
enum Location {
    Memory,
    File(PathBuf),
}

impl Store {
    /// Opens the database at `sqlite:<path>`, at a plain path, or a private one in memory
    /// (`sqlite::memory:`). A file and its folder are made if they don't exist; an older schema is brought
    /// up to date, with a copy of the file kept beside it as `<file>.backup-<old version>`.
    ///
    /// # Errors
    /// Where the address is of another kind, the file can't be used, or its schema is newer than this
    /// version knows.
    pub async fn open(url: &str) -> Result<Self> {
        match locate(url)? {
            Location::Memory => Self::memory().await,
            Location::File(path) => Self::file(&path).await,
        }
    }

    /// A private database that is gone with the last clone of the store.
    ///
    /// # Errors
    /// Where there is no memory for it.
    pub async fn memory() -> Result<Self> {
        let path = Path::new(":memory:");
        // Its one connection is the database, so it both writes and reads, and is never given up.
        let pool = SqlitePoolOptions::new()
            .max_connections(1)
            .min_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .acquire_timeout(PATIENCE)
            .test_before_acquire(false)
            .connect_with(options(path).in_memory(true))
            .await
            .map_err(|cause| StoreError::Open {
                path: path.to_owned(),
                cause,
            })?;
        migrate::run(&pool, &migrate::MIGRATIONS, None).await?;
        Ok(Self::over(pool.clone(), pool))
    }

    async fn file(path: &Path) -> Result<Self> {
        if let Some(folder) = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
        {
            std::fs::create_dir_all(folder).map_err(|cause| StoreError::io(folder, cause))?;
        }
        let options = options(path);
        let pool = || {
            SqlitePoolOptions::new()
                .idle_timeout(None)
                .max_lifetime(None)
                .acquire_timeout(PATIENCE)
                .test_before_acquire(false)
        };
        let to_write = options
            .clone()
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // An answered webhook survives a power cut: every commit is flushed to disk.
            .synchronous(SqliteSynchronous::Full);
        let connect = || {
            pool()
                .max_connections(1)
                .min_connections(1)
                .before_acquire(|connection, _| Box::pin(is_idle(connection)))
                .connect_with(to_write.clone())
        };
        let writer = patiently(connect).await.map_err(|cause| StoreError::Open {
            path: path.to_owned(),
            cause,
        })?;
        migrate::run(&writer, &migrate::MIGRATIONS, Some(path)).await?;
        let readers = pool()
            .max_connections(READERS)
            .connect_lazy_with(options.pragma("query_only", "ON"));
        Ok(Self::over(writer, readers))
    }

    fn over(writer: SqlitePool, readers: SqlitePool) -> Self {
        let (feed, _) = broadcast::channel(FEED);
        Self(Arc::new(Inner {
            writer,
            readers,
            turn: Arc::new(Mutex::new(())),
            feed,
        }))
    }
}

/// Whether the connection is in no transaction. SQLite ends one by itself where the disk is full
/// (<https://www.sqlite.org/lang_transaction.html>), which the driver does not notice: it would take
/// that connection for one in a transaction for ever.
async fn is_idle(connection: &mut SqliteConnection) -> sqlx::Result<bool> {
    // The answer comes after the undoing of the last transaction, which nobody waited for.
    connection.ping().await?;
    Ok(!connection.is_in_transaction())
}

/// Connects, again and again while another process holds the file. SQLite waits by itself everywhere
/// but where a file becomes a WAL one: of two that change it at once, one is turned away at once.
async fn patiently<F>(connect: impl Fn() -> F) -> sqlx::Result<SqlitePool>
where
    F: Future<Output = sqlx::Result<SqlitePool>>,
{
    let deadline = Instant::now() + PATIENCE;
    loop {
        match connect().await {
            Err(error) if is_busy(&error) && Instant::now() < deadline => {
                tokio::time::sleep(AGAIN).await;
            }
            connected => return connected,
        }
    }
}

/// Whether it is SQLITE_BUSY or one of its extended codes, which have 5 in their low byte
/// (<https://www.sqlite.org/rescode.html>).
fn is_busy(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .and_then(|error| error.code()?.parse::<i32>().ok())
        .is_some_and(|code| code & 0xff == 5)
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .foreign_keys(true)
        .busy_timeout(BUSY_TIMEOUT)
}

fn locate(url: &str) -> Result<Location> {
    if url == ":memory:" {
        return Ok(Location::Memory);
    }
    let path = match url.split_once(':') {
        // A plain path may have a colon, but not in its first part.
        Some((scheme, rest)) if !scheme.contains(['/', '\\', '.']) => {
            if !scheme.eq_ignore_ascii_case("sqlite") {
                return Err(unsupported(scheme));
            }
            without_mode(rest.strip_prefix("//").unwrap_or(rest))?
        }
        Some(_) | None => url,
    };
    match path {
        "" => Err(StoreError::Unsupported {
            scheme: "sqlite".to_owned(),
            why: "it names no file; write `sqlite:data/popsicle.db`",
        }),
        ":memory:" => Ok(Location::Memory),
        path => Ok(Location::File(PathBuf::from(path))),
    }
}

/// Passes over `?mode=rwc` and `?mode=rw`, which other programs want written and which is what we do.
fn without_mode(path: &str) -> Result<&str> {
    match path.split_once('?') {
        None => Ok(path),
        Some((path, "mode=rwc" | "mode=rw")) => Ok(path),
        Some((_, "mode=memory")) => Ok(":memory:"),
        Some(_) => Err(StoreError::Unsupported {
            scheme: "sqlite".to_owned(),
            why: "of the parameters after `?` only `mode=rwc` is known; leave them out",
        }),
    }
}

fn unsupported(scheme: &str) -> StoreError {
    let why = match scheme {
        "postgres" | "postgresql" => {
            "PostgreSQL is not yet supported by this version; write `sqlite:data/popsicle.db`"
        }
        _ => "only SQLite is; write `sqlite:data/popsicle.db`",
    };
    StoreError::Unsupported {
        scheme: scheme.to_owned(),
        why,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_name_a_file_or_memory() {
        let file = |path: &str| Location::File(PathBuf::from(path));
        for (address, location) in [
            ("sqlite:data/popsicle.db", file("data/popsicle.db")),
            (
                "sqlite:///var/lib/popsicle.db",
                file("/var/lib/popsicle.db"),
            ),
            ("sqlite://popsicle.db", file("popsicle.db")),
            ("SQLITE:popsicle.db?mode=rwc", file("popsicle.db")),
            ("popsicle.db", file("popsicle.db")),
            ("./a:b.db", file("./a:b.db")),
            ("/data/a:b?c.db", file("/data/a:b?c.db")),
            ("sqlite::memory:", Location::Memory),
            (":memory:", Location::Memory),
            ("sqlite://?mode=memory", Location::Memory),
        ] {
            assert_eq!(locate(address).unwrap(), location, "{address}");
        }
        for bad in [
            "",
            "sqlite:",
            "file:x.db",
            "postgres://a/b",
            "sqlite:x.db?mode=ro",
        ] {
            assert!(locate(bad).is_err(), "{bad}");
        }
    }
}
