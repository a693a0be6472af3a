//! From a trigger to its files: a mirror of the repository, its config, and a fresh work tree a job.
//!
//! A [`Source`] keeps one bare mirror a project and asks the network only for what a mirror lacks. A
//! [`Tree`] is one commit of a mirror, or a folder of this machine taken as it is; from it the config
//! is read, and each job gets a work tree of its own that needs the mirror no more. [`Hosted`] has the
//! repositories that people push to us.
//! is read, and each job gets a work tree of its own that needs the mirror no more. [`orbs`] are what a
//! config imports.

#![forbid(unsafe_code)]

mod changes;
mod checkout;
mod copy;
mod credentials;
mod error;
mod folder;
mod git;
mod git_dir;
mod hosted;
mod mirror;
mod objects;
pub mod orbs;
mod remote;
mod ssh;

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use model::{CommitSha, GitRef, Origin, Trigger};

use checkout::{Branch, Checkout};
use folder::Folder;
use git::{Git, Hears};
use mirror::{Mirrors, Wanted};
use remote::Remote;

pub use credentials::{Credential, Token};
pub use error::SourceError;
pub use hosted::{
    Backend, CommitInfo, GitRequest, GitService, Hosted, HostedSettings, KeptPush, RefUpdate,
};

/// The oldest git that has all that is asked of it (`fetch --no-write-fetch-head`).
const OLDEST_GIT: (u32, u32) = (2, 30);
/// The same, for people.
const OLDEST_GIT_TEXT: &str = "2.30";

/// How long it may take at most to find out which files changed: it only saves work.
const CHANGES_TIMEOUT: Duration = Duration::from_secs(60);

/// What a [`Source`] has to know.
#[derive(Clone, Debug)]
pub struct SourceSettings {
    /// The folder of the mirrors; made when it is first needed.
    pub mirrors: PathBuf,
    /// Tokens, each for one host.
    pub credentials: Vec<Credential>,
    /// How long each call may take: a fetch with its wait for the mirror's lock, or laying out a work
    /// tree. What runs then is killed.
    pub fetch_timeout: Duration,
}

impl SourceSettings {
    /// Mirrors in that folder, no credentials, ten minutes.
    pub fn new(mirrors: PathBuf) -> Self {
        Self {
            mirrors,
            credentials: Vec::new(),
            fetch_timeout: Duration::from_secs(600),
        }
    }
}

/// Where trees come from. Clones share their mirrors and locks; so do two servers on one folder.
#[derive(Clone, Debug)]
pub struct Source {
    mirrors: Arc<Mirrors>,
    hosted: Option<Hosted>,
    limit: Duration,
}

/// The files of one commit, or of a folder. Clones are the same tree.
///
/// That of a commit may hold one idle `git` process until the last clone is dropped, so it is nothing
/// to keep: a tree that is asked for again costs no network.
#[derive(Clone, Debug)]
pub struct Tree {
    kind: TreeKind,
    limit: Duration,
}

#[derive(Clone, Debug)]
enum TreeKind {
    Commit(Arc<Checkout>),
    Folder(Arc<Folder>),
}

/// What [`Tree::lay_out`] put there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedOut {
    /// One line for the log: `a1b2c3d Fix the thing`, or the folder's path where there is no commit.
    pub head: String,
}

impl Source {
    /// Nothing is read or written yet.
    pub fn new(settings: SourceSettings) -> Self {
        Self {
            mirrors: Mirrors::new(settings.mirrors, settings.credentials),
            hosted: None,
            limit: settings.fetch_timeout,
        }
    }

    /// The same, with repositories of our own.
    #[must_use]
    pub fn hosting(self, settings: HostedSettings) -> Self {
        Self {
            hosted: Some(Hosted::new(settings)),
            ..self
        }
    }

    /// The repositories of our own, if there are any.
    pub fn hosted(&self) -> Option<&Hosted> {
        self.hosted.as_ref()
    }

    /// Sees to it that the trigger's commit is here, and asks the network only if it is not.
    ///
    /// Without a commit, the trigger's ref is looked up at the remote, or its default branch. A pull
    /// request's commit is looked for under its `fetch_ref`. Dropping the future kills what runs, and
    /// leaves the mirror fit for the next one.
    ///
    /// # Errors
    /// All kinds of [`SourceError`] but `Outside`.
    pub async fn fetch(&self, trigger: &Trigger) -> Result<Tree, SourceError> {
        let kind = match &trigger.origin {
            Origin::Folder { path } => {
                let what = || format!("reading `{}`", path.display());
                let folder = within(self.limit, what, false, Folder::open(path)).await?;
                TreeKind::Folder(Arc::new(folder))
            }
            Origin::Git { url } => {
                let remote = Remote::parse(url)?;
                let wanted = wanted(trigger, &remote)?;
                let mirror = self.mirrors.of(&trigger.repo, remote);
                let what = || format!("fetching `{url}`");
                let found = within(self.limit, what, true, mirror.fetch(&wanted)).await?;
                TreeKind::Commit(Arc::new(Checkout::new(mirror, found, branch(trigger))))
            }
        };
        Ok(Tree {
            kind,
            limit: self.limit,
        })
    }

    /// The version of the `git` program (`2.47.3`), for `popsicle doctor`.
    ///
    /// # Errors
    /// [`SourceError::NoGit`] and [`SourceError::OldGit`].
    pub async fn git_version(&self) -> Result<String, SourceError> {
        let version = Git::new("version", Hears::Nobody).run();
        let told = within(self.limit, || "git version".to_owned(), false, version).await?;
        let told = String::from_utf8_lossy(&told);
        let found = told.trim().trim_start_matches("git version ").to_owned();
        let mut numbers = found.split('.').map_while(|part| part.parse::<u32>().ok());
        let is_old = match (numbers.next(), numbers.next()) {
            (Some(major), Some(minor)) => (major, minor) < OLDEST_GIT,
            _ => true,
        };
        if is_old {
            return Err(SourceError::OldGit {
                found,
                needed: OLDEST_GIT_TEXT,
            });
        }
        Ok(found)
    }
}

impl Tree {
    /// The commit; none for a folder that is no git checkout, or has no commit yet.
    pub fn commit(&self) -> Option<&CommitSha> {
        match &self.kind {
            TreeKind::Commit(checkout) => Some(checkout.commit()),
            TreeKind::Folder(folder) => folder.commit(),
        }
    }

    /// The commit for people: `a1b2c3d Fix the thing`; the folder's path where there is none.
    pub fn head(&self) -> &str {
        match &self.kind {
            TreeKind::Commit(checkout) => checkout.head(),
            TreeKind::Folder(folder) => folder.head(),
        }
    }

    /// The names of the files directly in a folder of the tree, sorted; `""` is the tree's root.
    /// Symbolic links are among them: [`Tree::read`] tells what they lead to. None where there is no
    /// such folder.
    ///
    /// # Errors
    /// Where the mirror or the folder can't be read.
    pub async fn files_in(&self, folder: &str) -> Result<Vec<String>, SourceError> {
        if !folder.is_empty() && !is_inside(folder) {
            return Ok(Vec::new());
        }
        let names = async {
            match &self.kind {
                TreeKind::Commit(checkout) => checkout.files_in(folder).await,
                TreeKind::Folder(tree) => tree.files_in(folder).await,
            }
        };
        within(self.limit, || format!("reading `{folder}`"), false, names).await
    }

    /// The files at `paths`, in that order; absent ones are left out. Each is cut at `limit` + 1
    /// bytes, so that the caller sees that it is too large.
    ///
    /// # Errors
    /// [`SourceError::Outside`] for a symbolic link that leads out of the tree; others where the
    /// mirror or the folder can't be read.
    pub async fn read(
        &self,
        paths: &[String],
        limit: usize,
    ) -> Result<Vec<(String, Vec<u8>)>, SourceError> {
        let cut = limit.saturating_add(1);
        let files = async {
            let mut files = Vec::new();
            for path in paths.iter().filter(|path| is_inside(path)) {
                let content = match &self.kind {
                    TreeKind::Commit(checkout) => checkout.read(path, cut).await?,
                    TreeKind::Folder(folder) => folder.read(path, cut).await?,
                };
                files.extend(content.map(|content| (path.clone(), content)));
            }
            Ok(files)
        };
        within(self.limit, || "reading the config".to_owned(), false, files).await
    }

    /// The files that the commit of this trigger changed, from the root of the tree: since the push before,
    /// or since it left its default branch or the branch that its pull request is to be merged into, which
    /// is looked up at the remote. None where nothing tells: for tags, folders, requests, the first push of a
    /// default branch, and too many files.
    ///
    /// # Errors
    /// Where the push replaced a commit that is not here, or the remote or the mirror can't be asked in time.
    /// Each is a reason to take the answer for none.
    pub async fn changed(&self, trigger: &Trigger) -> Result<Option<Vec<String>>, SourceError> {
        let (TreeKind::Commit(checkout), Some(since)) = (&self.kind, changes::since(trigger))
        else {
            return Ok(None);
        };
        let limit = self.limit.min(CHANGES_TIMEOUT);
        let what = || "looking for the changed files".to_owned();
        within(limit, what, true, checkout.changed(&since)).await
    }

    /// Puts the tree in `to`, an existing empty folder: a job's working directory.
    ///
    /// What is there afterwards is whole and needs neither the mirror nor the folder it came from; a
    /// job may do what it likes to it. Everybody may write to all of it, because the job's user may be
    /// any, so `to` has to be in a folder that others can't enter. A commit comes with its history,
    /// `HEAD` on a branch of the trigger's name, and `origin` set to where it came from; a folder
    /// comes with all files that git would not ignore. Submodules are not fetched and LFS files are
    /// left as pointers.
    ///
    /// # Errors
    /// Where something can't be read or written. `to` may hold a part of the tree then.
    pub async fn lay_out(&self, to: &Path) -> Result<CheckedOut, SourceError> {
        let work = async {
            let is_empty = fs::read_dir(to).map(|mut entries| entries.next().is_none());
            if !is_empty.map_err(|cause| SourceError::io("read", to, cause))? {
                let cause = io::ErrorKind::DirectoryNotEmpty.into();
                return Err(SourceError::io("lay out files in", to, cause));
            }
            fs::set_permissions(to, fs::Permissions::from_mode(0o777))
                .map_err(|cause| SourceError::io("open", to, cause))?;
            match &self.kind {
                TreeKind::Commit(checkout) => checkout.lay_out(to).await,
                TreeKind::Folder(folder) => folder.lay_out(to).await,
            }
        };
        within(
            self.limit,
            || "laying out the work tree".to_owned(),
            false,
            work,
        )
        .await?;
        Ok(CheckedOut {
            head: self.head().to_owned(),
        })
    }
}

/// What a trigger asks of its mirror.
fn wanted(trigger: &Trigger, remote: &Remote) -> Result<Wanted, SourceError> {
    let git_ref = match (&trigger.pull_request, &trigger.git_ref) {
        (Some(pull_request), _) => Some(pull_request.fetch_ref.clone()),
        (None, Some(git_ref)) => Some(git_ref.full()),
        (None, None) => None,
    };
    if let Some(git_ref) = &git_ref {
        // It becomes a refspec, in which `:`, `*` and `^` would mean something.
        let rest = git_ref.strip_prefix("refs/").unwrap_or("");
        if format!("refs/heads/{rest}").parse::<GitRef>().is_err() {
            return Err(SourceError::NoSuchRef {
                url: remote.url().to_owned(),
                git_ref: git_ref.clone(),
            });
        }
    }
    Ok(Wanted {
        commit: trigger.commit.clone(),
        git_ref,
    })
}

/// The local branch that a trigger's work tree is on.
fn branch(trigger: &Trigger) -> Branch {
    let from_fork = trigger
        .pull_request
        .as_ref()
        .is_some_and(|pull_request| pull_request.from_fork);
    match &trigger.git_ref {
        Some(GitRef::Branch(name)) => {
            let is_name = GitRef::Branch(name.clone())
                .full()
                .parse::<GitRef>()
                .is_ok();
            match (is_name, from_fork) {
                (true, false) => Branch::Own(name.clone()),
                (true, true) => Branch::Foreign(name.clone()),
                (false, _) => Branch::Detached,
            }
        }
        Some(GitRef::Tag(_)) | None => Branch::Detached,
    }
}

/// Whether a path stays in its tree.
fn is_inside(path: &str) -> bool {
    path.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

/// Ends what takes longer than it may.
async fn within<T>(
    limit: Duration,
    what: impl FnOnce() -> String,
    is_remote: bool,
    work: impl Future<Output = Result<T, SourceError>>,
) -> Result<T, SourceError> {
    match tokio::time::timeout(limit, work).await {
        Ok(result) => result,
        Err(_) => Err(SourceError::TimedOut {
            what: what(),
            is_remote,
            limit,
        }),
    }
}

/// Set once nobody waits for a piece of blocking work any more.
#[derive(Clone, Debug, Default)]
struct Stop(Arc<AtomicBool>);

impl Stop {
    fn check(&self) -> Result<(), SourceError> {
        if self.0.load(Ordering::Relaxed) {
            let cause = io::Error::other("it was stopped");
            return Err(SourceError::io("copy", Path::new("the files"), cause));
        }
        Ok(())
    }
}

/// Says stop when it is dropped.
struct Stopper(Stop);

impl Drop for Stopper {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Relaxed);
    }
}

/// Does what blocks on files where it holds up nobody. Long work asks the [`Stop`] now and then.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce(&Stop) -> Result<T, SourceError> + Send + 'static,
) -> Result<T, SourceError> {
    let stopper = Stopper(Stop::default());
    let stop = stopper.0.clone();
    match tokio::task::spawn_blocking(move || work(&stop)).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(error) => {
                let cause = io::Error::other(error);
                Err(SourceError::io("read", Path::new("files"), cause))
            }
        },
    }
}
