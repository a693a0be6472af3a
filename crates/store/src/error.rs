//! Why the store could not do what it was asked.

use std::io;
use std::path::{Path, PathBuf};

use model::{
    ContextName, HostedName, IllegalTransition, InvalidName, JobId, NotRetriable, PipelineId,
    RunnerId, Status,
};

/// Why the store could not do what it was asked. Nothing is left half-done: a write that fails leaves
/// everything as it was.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Nothing has that name.
    #[error("there is no {what} {id}")]
    NotFound {
        /// The noun.
        what: &'static str,
        /// What was asked for.
        id: String,
    },
    /// The job's state forbids it.
    #[error(transparent)]
    Illegal(#[from] IllegalTransition),
    /// The pipeline has ended, so nothing of it can be changed.
    #[error("pipeline {pipeline} has already ended: {status}")]
    AlreadyEnded {
        /// Which.
        pipeline: PipelineId,
        /// How.
        status: Status,
    },
    /// The pipeline's preparation was not begun, or is over.
    #[error("pipeline {0} is not being prepared")]
    NotPreparing(PipelineId),
    /// The attempt is not the one that runs.
    #[error("attempt {attempt} of job {job} is not running")]
    NotRunning {
        /// Whose.
        job: JobId,
        /// Which.
        attempt: u32,
    },
    /// The store readies, holds, skips, claims and retries jobs itself, as the rules have it.
    #[error("a job can't be readied, held, skipped, claimed or retried from outside")]
    OwnEvent,
    /// The job did not fail, or could not run even now.
    #[error(transparent)]
    NotRetriable(#[from] NotRetriable),
    /// Nobody knows any more what the pipeline was to run.
    #[error(
        "the plan of pipeline {0} is not stored any more, so none of its jobs can be retried; rerun the pipeline instead"
    )]
    PlanGone(PipelineId),
    /// The plan contradicts itself.
    #[error("the plan can't be stored: {0}")]
    BadPlan(String),
    /// Another runner has that host.
    #[error("there is a runner on `{0}` already")]
    HostTaken(String),
    /// The server itself can't be removed from its runners.
    #[error("runner {0} is this server itself and can't be removed; deactivate it instead")]
    LocalRunner(RunnerId),
    /// The runner still has jobs.
    #[error("runner {0} has running jobs; deactivate it and wait for them, or cancel them")]
    RunnerBusy(RunnerId),
    /// There is a hosted repository of that name.
    #[error("there is a repository `{0}` already; names that differ in case alone are the same")]
    RepoTaken(HostedName),
    /// Another context has that name.
    #[error("there is a context `{0}` already")]
    ContextTaken(ContextName),
    /// There are as many of something as there may be.
    #[error("there are too many {0}")]
    TooMany(String),
    /// There is no key to encrypt with.
    #[error("no key for secrets is set, so that none can be kept here")]
    NoKey,
    /// A value can't be decrypted.
    #[error("can't read {of}: {why}")]
    Sealed {
        /// Whose value.
        of: String,
        /// Why not, and what to do.
        why: String,
    },
    /// A name from outside is not valid.
    #[error(transparent)]
    Invalid(#[from] InvalidName),
    /// The cursor is none that this list gave.
    #[error("`{0}` is not a cursor of this list; use the one that its `next` link has")]
    BadCursor(String),
    /// The database's address is of no kind that this version knows.
    #[error("can't use a database of the kind `{scheme}`: {why}")]
    Unsupported {
        /// The address's scheme alone; the rest may hold a password.
        scheme: String,
        /// Why, and what to do.
        why: &'static str,
    },
    /// The database could not be opened.
    #[error("can't open the database `{}`", path.display())]
    Open {
        /// Where it is.
        path: PathBuf,
        /// Why not.
        #[source]
        cause: sqlx::Error,
    },
    /// The database could not be brought up to date.
    #[error("can't bring the database `{}` up to date", path.display())]
    Migrate {
        /// Where it is.
        path: PathBuf,
        /// Why not.
        #[source]
        cause: sqlx::migrate::MigrateError,
    },
    /// The database was made by a newer version.
    #[error(
        "the database `{}` has schema version {found}, and this version knows only up to {known}; use the newer version, or go back to a backup", path.display()
    )]
    NewerSchema {
        /// Where it is.
        path: PathBuf,
        /// What it has.
        found: i64,
        /// What is known.
        known: i64,
    },
    /// A stored value can't be read.
    #[error("the stored {what} of {of} can't be read")]
    Corrupt {
        /// The column.
        what: &'static str,
        /// Whose: `job 7`.
        of: String,
        /// Why not.
        #[source]
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    /// There is no room left.
    #[error("no space is left on the disk of {place}")]
    DiskFull {
        /// What could not be written: a path, or `the database`.
        place: String,
    },
    /// A file could not be read or written.
    #[error("can't use the file `{}`", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why not.
        #[source]
        cause: io::Error,
    },
    /// Others held the database for too long.
    #[error("the database is busy; try again in a moment")]
    Busy,
    /// The database said no.
    #[error("the database failed")]
    Database(#[source] sqlx::Error),
}

impl StoreError {
    /// Whether the thing asked for does not exist.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound { .. })
    }

    /// Whether the thing exists, but its state forbids what was asked.
    pub fn is_conflict(&self) -> bool {
        matches!(
            self,
            Self::Illegal(_)
                | Self::AlreadyEnded { .. }
                | Self::NotPreparing(_)
                | Self::NotRunning { .. }
                | Self::NotRetriable(_)
                | Self::PlanGone(_)
                | Self::HostTaken(_)
                | Self::LocalRunner(_)
                | Self::RunnerBusy(_)
                | Self::RepoTaken(_)
                | Self::ContextTaken(_)
                | Self::TooMany(_)
                | Self::NoKey
        )
    }

    /// Whether what was asked makes no sense, whatever is stored.
    pub fn is_bad_request(&self) -> bool {
        matches!(self, Self::Invalid(_) | Self::BadCursor(_))
    }

    /// Whether no space is left.
    pub fn is_disk_full(&self) -> bool {
        matches!(self, Self::DiskFull { .. })
    }

    /// Whether others held the database for too long.
    pub fn is_busy(&self) -> bool {
        matches!(self, Self::Busy)
    }

    /// Whether the same may work later, unchanged: the disk was full, or the database did not answer.
    pub fn is_passing(&self) -> bool {
        matches!(
            self,
            Self::Busy | Self::DiskFull { .. } | Self::Io { .. } | Self::Database(_)
        )
    }

    pub(crate) fn not_found(what: &'static str, id: &impl ToString) -> Self {
        Self::NotFound {
            what,
            id: id.to_string(),
        }
    }

    pub(crate) fn corrupt(
        what: &'static str,
        of: impl Into<String>,
        cause: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Corrupt {
            what,
            of: of.into(),
            cause: cause.into(),
        }
    }

    pub(crate) fn io(path: &Path, cause: io::Error) -> Self {
        if matches!(
            cause.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
        ) {
            return Self::DiskFull {
                place: format!("`{}`", path.display()),
            };
        }
        Self::Io {
            path: path.to_owned(),
            cause,
        }
    }
}

/// SQLite's primary result codes (<https://www.sqlite.org/rescode.html>).
const SQLITE_BUSY: i32 = 5;
const SQLITE_FULL: i32 = 13;

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        if matches!(error, sqlx::Error::PoolTimedOut) {
            return Self::Busy;
        }
        // Extended codes keep the primary one in their lowest byte.
        let code = error
            .as_database_error()
            .and_then(|error| error.code())
            .and_then(|code| code.parse::<i32>().ok())
            .map(|code| code & 0xff);
        match code {
            Some(SQLITE_BUSY) => Self::Busy,
            Some(SQLITE_FULL) => Self::DiskFull {
                place: "the database".to_owned(),
            },
            Some(_) | None => Self::Database(error),
        }
    }
}
