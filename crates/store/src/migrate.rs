//! Brings a database's schema up to date: forward only, all or nothing, with a copy kept beforehand.

use std::path::{Path, PathBuf};

use sqlx::migrate::{Migrate, MigrateError, Migrator};
use sqlx::sqlite::SqlitePool;

use crate::{Result, StoreError};

/// The schema's history, as files of `migrations/`.
pub(crate) static MIGRATIONS: Migrator = sqlx::migrate!();

/// Where a database keeps which migrations it had; sqlx's own name, so that its tools know it too.
const TABLE: &str = "_sqlx_migrations";

/// Applies what is missing. `file` is where the database is, if it is in one.
pub(crate) async fn run(pool: &SqlitePool, known: &Migrator, file: Option<&Path>) -> Result<()> {
    let path = file.unwrap_or(Path::new(":memory:"));
    let failed = |cause: MigrateError| StoreError::Migrate {
        path: path.to_owned(),
        cause,
    };
    let newest_known = known
        .iter()
        .map(|migration| migration.version)
        .max()
        .unwrap_or(0);
    if let Some(applied) = newest(pool).await.map_err(|error| failed(error.into()))? {
        if applied > newest_known {
            return Err(StoreError::NewerSchema {
                path: path.to_owned(),
                found: applied,
                known: newest_known,
            });
        }
        if let Some(file) = file
            && applied < newest_known
        {
            back_up(pool, file, applied).await?;
        }
    }
    apply(pool, known).await.map_err(failed)
}

/// Applies what is missing, all or nothing.
async fn apply(pool: &SqlitePool, known: &Migrator) -> Result<(), MigrateError> {
    // Of two servers that start at once the second waits here, and finds nothing left to do.
    let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
    transaction.ensure_migrations_table(TABLE).await?;
    let applied = transaction.list_applied_migrations(TABLE).await?;
    for migration in known.iter() {
        match applied
            .iter()
            .find(|applied| applied.version == migration.version)
        {
            Some(applied) if applied.checksum == migration.checksum => {}
            Some(_) => return Err(MigrateError::VersionMismatch(migration.version)),
            None => {
                transaction.apply(TABLE, migration).await?;
            }
        }
    }
    transaction.commit().await?;
    Ok(())
}

/// The newest migration that the database has; none if it is empty.
async fn newest(pool: &SqlitePool) -> sqlx::Result<Option<i64>> {
    let exists = "SELECT COUNT(*) FROM sqlite_master WHERE name = '_sqlx_migrations'";
    if sqlx::query_scalar::<_, i64>(exists).fetch_one(pool).await? == 0 {
        return Ok(None);
    }
    sqlx::query_scalar("SELECT MAX(version) FROM _sqlx_migrations")
        .fetch_one(pool)
        .await
}

/// Copies the database to `<file>.backup-<version>`.
async fn back_up(pool: &SqlitePool, file: &Path, version: i64) -> Result<()> {
    let beside = |suffix: &str| {
        let mut name = file.as_os_str().to_owned();
        name.push(format!(".backup-{version}{suffix}"));
        PathBuf::from(name)
    };
    let (backup, unfinished) = (beside(""), beside(".unfinished"));
    match std::fs::remove_file(&unfinished) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(StoreError::io(&unfinished, error));
        }
        Ok(()) | Err(_) => {}
    }
    let target = unfinished.to_str().ok_or_else(|| {
        let cause = std::io::Error::other("a database to be backed up must have a UTF-8 path");
        StoreError::io(&unfinished, cause)
    })?;
    sqlx::query("VACUUM INTO $1")
        .bind(target)
        .execute(pool)
        .await?;
    let finish = || {
        std::fs::File::open(&unfinished)?.sync_all()?;
        std::fs::rename(&unfinished, &backup)
    };
    finish().map_err(|cause| StoreError::io(&backup, cause))?;
    tracing::info!(backup = %backup.display(), version, "database copied before its schema changes");
    Ok(())
}

#[cfg(test)]
mod tests {
    use sqlx::migrate::{Migration, MigrationType};
    use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};

    use super::*;

    async fn pool(path: &Path) -> SqlitePool {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true);
        SqlitePoolOptions::new()
            .max_connections(1)
            .connect_with(options)
            .await
            .unwrap()
    }

    fn with(sql: &'static str) -> Migrator {
        let mut migrations: Vec<Migration> = MIGRATIONS.iter().cloned().collect();
        let newest = migrations
            .iter()
            .map(|migration| migration.version)
            .max()
            .unwrap();
        let next = sqlx::SqlStr::from_static(sql);
        let kind = MigrationType::Simple;
        migrations.push(Migration::new(newest + 1, "next".into(), kind, next, false));
        Migrator::with_migrations(migrations)
    }

    async fn pipelines(pool: &SqlitePool) -> sqlx::Result<i64> {
        sqlx::query_scalar("SELECT COUNT(*) FROM pipelines WHERE extra = 5")
            .fetch_one(pool)
            .await
    }

    #[tokio::test]
    async fn a_database_with_rows_is_copied_and_brought_up_to_date_or_left_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("it's mine.db");
        let known_now = MIGRATIONS.iter().map(|migration| migration.version).max();
        let known_now = known_now.unwrap();
        let backup = format!("it's mine.db.backup-{known_now}");
        let backup = folder.path().join(backup);
        let database = pool(&path).await;
        run(&database, &MIGRATIONS, Some(&path)).await.unwrap();
        sqlx::query(
            "INSERT INTO pipelines \
             (repo, trigger_kind, cause, status, stage, preparation, created_at) \
             VALUES ('a/b', 'push', '{}', 'queued', 'waiting', '{}', 1)",
        )
        .execute(&database)
        .await
        .unwrap();
        assert!(!backup.exists());

        // One that fails half-way leaves the schema as it was.
        let bad = with("ALTER TABLE pipelines ADD COLUMN extra INTEGER DEFAULT 5; SELECT x;");
        let error = run(&database, &bad, Some(&path)).await.unwrap_err();
        assert!(matches!(error, StoreError::Migrate { .. }), "{error:?}");
        assert!(pipelines(&database).await.is_err());
        assert!(backup.exists());

        let good = with("ALTER TABLE pipelines ADD COLUMN extra INTEGER NOT NULL DEFAULT 5");
        for _ in 0..2 {
            run(&database, &good, Some(&path)).await.unwrap();
            assert_eq!(pipelines(&database).await.unwrap(), 1);
        }
        let copy = pool(&backup).await;
        let rows = sqlx::query_scalar::<_, i64>("SELECT COUNT(*) FROM pipelines");
        assert_eq!(rows.fetch_one(&copy).await.unwrap(), 1);
        assert!(pipelines(&copy).await.is_err(), "the copy is of before");
        assert_eq!(newest(&copy).await.unwrap(), Some(known_now));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);

        let error = run(&database, &MIGRATIONS, Some(&path)).await.unwrap_err();
        let StoreError::NewerSchema { found, known, .. } = error else {
            panic!("{error:?}");
        };
        assert_eq!((found, known), (known_now + 1, known_now));
    }
}
