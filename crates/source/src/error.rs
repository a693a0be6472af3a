//! What can go wrong between a trigger and its files, told for people.
//!
//! Git says what went wrong in words only. [`crate::git`] reads them once, where a call to git failed,
//! and this is what they become. No text in here holds a credential.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use model::CommitSha;

/// Why the files of a commit or a folder could not be had.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The remote's machine did not answer.
    #[error("could not reach `{url}`: {detail}")]
    Unreachable {
        /// The repository.
        url: String,
        /// Git's own last words.
        detail: String,
    },
    /// The remote wants credentials, or did not take ours.
    #[error("`{url}` refused access: {detail}; {advice}")]
    Denied {
        /// The repository.
        url: String,
        /// Git's own last words.
        detail: String,
        /// Which setting to set.
        advice: &'static str,
    },
    /// The remote's machine has no such repository, or does not show it to us.
    #[error("there is no git repository at `{url}`, or it may not be read: {detail}")]
    NoSuchRepository {
        /// The repository.
        url: String,
        /// Git's own last words.
        detail: String,
    },
    /// The repository is there, the commit is not.
    #[error(
        "commit {commit} is no longer in `{url}`{}: it was force-pushed away or deleted before it \
         could be fetched", under(git_ref.as_deref())
    )]
    CommitGone {
        /// The repository.
        url: String,
        /// The commit.
        commit: CommitSha,
        /// The ref under which it was announced, whole (`refs/heads/main`).
        git_ref: Option<String>,
    },
    /// The repository is there, the branch, tag or pull request is not.
    #[error("`{url}` has no `{git_ref}`: it does not exist or was deleted")]
    NoSuchRef {
        /// The repository.
        url: String,
        /// The ref, whole (`refs/heads/main`).
        git_ref: String,
    },
    /// The commit's tree is such that no machine of ours can hold it: a path that git refuses, a name that
    /// is too long, more files than the memory has room for.
    #[error("the files of commit {commit} can't be laid out: {detail}")]
    BadTree {
        /// The commit.
        commit: CommitSha,
        /// Git's own last words.
        detail: String,
    },
    /// It took longer than it may; what ran was killed.
    #[error(
        "{what} took longer than {} s and was stopped; POPSICLE_FETCH_TIMEOUT says how long it may take",
        limit.as_secs()
    )]
    TimedOut {
        /// What took so long.
        what: String,
        /// Whether it was the remote that was waited for.
        is_remote: bool,
        /// What it was given.
        limit: Duration,
    },
    /// Nothing was asked of the remote, because its address can't be right.
    #[error("the repository's address {url:?} can't be used: {why}")]
    BadUrl {
        /// The address, without the credential that it may have held.
        url: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A file that was asked for is a symbolic link to something outside the tree.
    #[error("`{path}` is a symbolic link that leads out of the repository")]
    Outside {
        /// The file, from the tree's root.
        path: String,
    },
    /// The folder of a local run can't be used.
    #[error("the folder `{}` can't be used: {why}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// There is no room left for the mirror or the work tree.
    #[error("the disk is full: {detail}; free some space in the data directory")]
    DiskFull {
        /// What could not be written.
        detail: String,
    },
    /// A file of ours, or of the folder's, could not be read or written.
    #[error("could not {action} `{}`", path.display())]
    Io {
        /// What was tried: `read`, `create` …
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        #[source]
        cause: io::Error,
    },
    /// The `git` program is missing.
    #[error("the `git` program was not found; install git and see that it is on the PATH")]
    NoGit,
    /// The `git` program is too old.
    #[error("git {found} is too old; {needed} or newer is needed")]
    OldGit {
        /// What is installed.
        found: String,
        /// The oldest that works.
        needed: &'static str,
    },
    /// Git failed in a way of its own.
    #[error("`git {command}` failed ({exit}): {stderr}")]
    Git {
        /// Its subcommand.
        command: String,
        /// How it ended: `exit 128`, `signal 9`.
        exit: String,
        /// Its own last words.
        stderr: String,
    },
}

impl SourceError {
    /// Whether it lies with what was asked for: the repository, its host, the ref, the settings. Such a
    /// pipeline has failed. Otherwise it is a fault of ours or of this machine, and another attempt
    /// may go well.
    pub fn is_users(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::Denied { .. }
            | Self::NoSuchRepository { .. }
            | Self::CommitGone { .. }
            | Self::NoSuchRef { .. }
            | Self::BadTree { .. }
            | Self::BadUrl { .. }
            | Self::Outside { .. }
            | Self::Folder { .. } => true,
            Self::TimedOut { is_remote, .. } => *is_remote,
            Self::DiskFull { .. }
            | Self::Io { .. }
            | Self::NoGit
            | Self::OldGit { .. }
            | Self::Git { .. } => false,
        }
    }

    /// An I/O failure, with a word for what was tried on what.
    pub(crate) fn io(action: &'static str, path: &Path, cause: io::Error) -> Self {
        let is_full = [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded];
        if is_full.contains(&cause.kind()) {
            return Self::DiskFull {
                detail: format!("could not {action} `{}`", path.display()),
            };
        }
        Self::Io {
            action,
            path: path.to_owned(),
            cause,
        }
    }
}

fn under(git_ref: Option<&str>) -> String {
    git_ref.map_or_else(String::new, |name| format!(" under `{name}`"))
}
