//! A bare mirror of one repository, and how it is kept up to date.
//!
//! The first fetch takes all branches and tags; later ones take the one ref that a trigger names, and
//! all of them again only where that was not enough. Nothing is fetched at all for a commit that is
//! there. Mirrors only grow: nothing prunes them, so that an old pipeline can run again after its
//! branch was force-pushed, and a job that copies objects never loses one in mid-copy.
//!
//! One writer at a time, held by two locks: a mutex among the tasks of this server, and `flock` on a
//! file beside the mirror against another server on the same data. Git itself holds the file open
//! while it writes, so that a git that outlives a killed server still holds the lock, until the next who
//! wants it ends it. What lock files of git's own lie in a mirror whose lock we hold are therefore
//! nobody's, and are removed.
//!
//! Packs are few: each fetch makes one, and each 32 of them are folded by size, so that large ones are
//! seldom written again. That is done right after a fetch, not in the background: it takes tens
//! of milliseconds once in 32 fetches, and needs no task that somebody has to own.

mod health;
mod orphan;
mod sweep;

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use model::{CommitSha, RepoName};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use sha2::{Digest, Sha256};
use tokio::sync::OwnedMutexGuard;

use crate::credentials::{self, Credential};
use crate::git::{Git, Hears};
use crate::objects::{Answer, Object, Objects};
use crate::remote::{Remote, lacks_it};
use crate::{SourceError, blocking, ssh};

pub(crate) use health::smells_of_corruption;
use health::{blocks_a_ref, tells_of_sha256};

/// With this many packs they are folded.
const MANY_PACKS: usize = 32;
/// Where the remote's `HEAD` is kept, for triggers that name no ref.
const DEFAULT_REF: &str = "refs/popsicle/default";
/// How often a lock that another server holds is tried again.
const LOCK_RETRY: Duration = Duration::from_millis(20);
/// At each how many of those tries it is asked whether a server still waits for who holds the lock.
const ORPHANS_EACH: u64 = 50;
/// What is read of a commit at most, in bytes; the first line of its message is in there.
const COMMIT_LIMIT: usize = 64 * 1024;

/// The mirrors of one data directory.
#[derive(Debug)]
pub(crate) struct Mirrors {
    folder: PathBuf,
    credentials: Vec<Credential>,
    gates: Mutex<HashMap<PathBuf, Arc<tokio::sync::Mutex<()>>>>,
}

/// One mirror. It need not exist yet.
#[derive(Clone, Debug)]
pub(crate) struct Mirror {
    mirrors: Arc<Mirrors>,
    path: PathBuf,
    remote: Remote,
}

/// What a trigger asks of a mirror.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    /// The commit; without one, what the ref points to.
    pub(crate) commit: Option<CommitSha>,
    /// The ref, whole; without one, and without a commit, the remote's `HEAD`.
    pub(crate) git_ref: Option<String>,
}

/// A commit that is there.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) commit: CommitSha,
    /// The commit object, or its beginning.
    pub(crate) content: Vec<u8>,
    /// The mirror's objects, ready for more questions.
    pub(crate) objects: Objects,
}

/// The right to write to a mirror, until it is dropped.
#[derive(Debug)]
struct Locked {
    file: File,
    _gate: OwnedMutexGuard<()>,
}

impl Mirrors {
    pub(crate) fn new(folder: PathBuf, credentials: Vec<Credential>) -> Arc<Self> {
        Arc::new(Self {
            folder,
            credentials,
            gates: Mutex::default(),
        })
    }

    /// The mirror of `remote` for a project.
    pub(crate) fn of(self: &Arc<Self>, repo: &RepoName, remote: Remote) -> Mirror {
        Mirror {
            mirrors: Arc::clone(self),
            path: self.folder.join(folder_name(repo, remote.url())),
            remote,
        }
    }

    fn gate(&self, path: &Path) -> Arc<tokio::sync::Mutex<()>> {
        let mut gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(gates.entry(path.to_owned()).or_default())
    }
}

impl Mirror {
    /// The bare repository.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Where it comes from.
    pub(crate) fn remote(&self) -> &Remote {
        &self.remote
    }

    /// Sees to it that what is wanted is there.
    pub(crate) async fn fetch(&self, wanted: &Wanted) -> Result<Found, SourceError> {
        if let Some(commit) = &wanted.commit
            && let Ok(Some(found)) = self.look_up(commit.as_str()).await
        {
            return Ok(found);
        }
        let locked = self.lock().await?;
        if let Some(commit) = &wanted.commit
            && let Ok(Some(found)) = self.look_up(commit.as_str()).await
        {
            // Whoever had the lock before us has fetched it.
            return Ok(found);
        }
        self.sweep(&locked).await?;
        let hash = Hash::of(wanted);
        let updated = if self.is_one().await? {
            self.update(&locked, wanted).await
        } else {
            self.renew(&locked, wanted, hash).await
        };
        match updated {
            Err(error) if tells_of_sha256(&error) => {
                // A trigger that named no commit did not say so when the mirror was made.
                self.renew(&locked, wanted, Hash::Sha256).await
            }
            Err(error) if smells_of_corruption(&error) && self.is_broken().await? => {
                tracing::warn!(mirror = %self.path.display(), %error, "mirror is broken; making it anew");
                self.renew(&locked, wanted, hash).await
            }
            result => result,
        }
    }

    /// Makes the mirror anew if that commit can't be read from it; false where it can.
    pub(crate) async fn heal(&self, commit: &CommitSha) -> Result<bool, SourceError> {
        let locked = self.lock().await?;
        self.sweep(&locked).await?;
        // Whoever had the lock before us may have made it anew already.
        if self.can_read(commit).await? {
            return Ok(false);
        }
        tracing::warn!(mirror = %self.path.display(), %commit, "mirror is broken; making it anew");
        let wanted = Wanted {
            commit: Some(commit.clone()),
            git_ref: None,
        };
        let hash = Hash::of(&wanted);
        self.renew(&locked, &wanted, hash).await.map(|_| true)
    }

    /// Its objects as they are now.
    pub(crate) fn objects(&self) -> Objects {
        Objects::of(&self.path, Hears::Nobody)
    }

    /// The commit that a name stands for, if it is there.
    async fn look_up(&self, name: &str) -> Result<Option<Found>, SourceError> {
        let mut objects = self.objects();
        let answer = objects
            .get(&format!("{name}^{{commit}}"), COMMIT_LIMIT)
            .await?;
        let Answer::Object(Object { id, content, .. }) = answer else {
            return Ok(None);
        };
        Ok(id.parse().ok().map(|commit| Found {
            commit,
            content,
            objects,
        }))
    }

    async fn update(&self, locked: &Locked, wanted: &Wanted) -> Result<Found, SourceError> {
        let is_new = !self.is_complete();
        if is_new {
            self.fetch_all(locked).await?;
        }
        let lacking = match (&wanted.git_ref, &wanted.commit) {
            // All branches and tags were fetched just now.
            (Some(git_ref), _) if is_new && is_branch_or_tag(git_ref) => None,
            (Some(git_ref), _) => {
                let refspec = format!("+{git_ref}:{git_ref}");
                self.fetch_refs(locked, &[refspec]).await.err()
            }
            (None, Some(commit)) => {
                let refspec = format!("+{commit}:refs/popsicle/{commit}");
                self.fetch_refs(locked, &[refspec]).await.err()
            }
            (None, None) => {
                let refspec = format!("+HEAD:{DEFAULT_REF}");
                self.fetch_refs(locked, &[refspec]).await.err()
            }
        };
        let fetched = match lacking {
            None => true,
            Some(error) if lacks_it(&error) => false,
            // `a` is a branch here that was deleted there, where `a/b` is one now.
            Some(error) if blocks_a_ref(&error) => {
                self.fetch_all(locked).await?;
                true
            }
            Some(error) => return Err(self.remote.explain(error)),
        };
        let name = match (&wanted.commit, &wanted.git_ref) {
            (Some(commit), _) => commit.as_str(),
            (None, Some(git_ref)) => git_ref,
            (None, None) => DEFAULT_REF,
        };
        // A ref that is gone there may still stand here; without a commit it must not be taken.
        let mut found = if fetched || wanted.commit.is_some() {
            self.look_up(name).await?
        } else {
            None
        };
        if found.is_none() && wanted.commit.is_some() && !is_new {
            // Its branch was deleted or moved, but another one may hold it: it was merged, say.
            self.fetch_all(locked).await?;
            found = self.look_up(name).await?;
        }
        self.fold_packs(locked).await?;
        found.ok_or_else(|| self.missing(wanted))
    }

    fn missing(&self, wanted: &Wanted) -> SourceError {
        let url = self.remote.url().to_owned();
        let git_ref = wanted.git_ref.clone();
        match &wanted.commit {
            Some(commit) => SourceError::CommitGone {
                url,
                commit: commit.clone(),
                git_ref,
            },
            None => SourceError::NoSuchRef {
                url,
                git_ref: git_ref.unwrap_or_else(|| "HEAD".to_owned()),
            },
        }
    }

    /// All branches and tags, as a clone has them; those deleted there are deleted here, though
    /// their commits stay.
    async fn fetch_all(&self, locked: &Locked) -> Result<(), SourceError> {
        let git = self
            .fetching(locked)
            .await?
            .args(["--prune", "--", self.remote.url()])
            .args(["+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"]);
        git.run()
            .await
            .map_err(|error| self.remote.explain(error))?;
        // A file a ref would make each work tree slow to lay out.
        self.writing("pack-refs", locked)?
            .arg("--all")
            .run()
            .await?;
        let complete = self.complete_mark();
        fs::write(&complete, "").map_err(|cause| SourceError::io("write", &complete, cause))
    }

    async fn fetch_refs(&self, locked: &Locked, refspecs: &[String]) -> Result<(), SourceError> {
        let git = self
            .fetching(locked)
            .await?
            .args(["--", self.remote.url()])
            .args(refspecs);
        git.run().await.map(drop)
    }

    /// `git fetch`, up to its options.
    async fn fetching(&self, locked: &Locked) -> Result<Git, SourceError> {
        let git = Git::new("fetch", Hears::Operator)
            .git_dir(&self.path)
            .holding(locked.handle()?)
            // Each fetch leaves one pack, however small: two files to copy instead of many.
            .config("fetch.unpackLimit", "1")
            .config("pack.writeReverseIndex", "false")
            .config("fetch.writeCommitGraph", "false")
            .config("fetch.prune", "false")
            .config("fetch.pruneTags", "false")
            .config("submodule.recurse", "false")
            // A git that outlives a killed server holds the lock, and nobody gives up for it.
            .config("http.lowSpeedLimit", "1")
            .config("http.lowSpeedTime", "300")
            // A remote that sends us elsewhere could send us anywhere.
            .config("http.followRedirects", "false")
            .args(["--quiet", "--no-tags", "--no-write-fetch-head"]);
        let git = ssh::prepare(git).await;
        Ok(credentials::give(
            git,
            &self.mirrors.credentials,
            &self.remote,
        ))
    }

    fn writing(&self, subcommand: &'static str, locked: &Locked) -> Result<Git, SourceError> {
        Ok(Git::new(subcommand, Hears::Nobody)
            .git_dir(&self.path)
            .holding(locked.handle()?))
    }

    async fn fold_packs(&self, locked: &Locked) -> Result<(), SourceError> {
        let folder = self.path.join("objects/pack");
        let packs = fs::read_dir(&folder)
            .map_err(|cause| SourceError::io("read", &folder, cause))?
            .flatten()
            .filter(|entry| entry.path().extension().is_some_and(|ext| ext == "idx"))
            .count();
        if packs < MANY_PACKS {
            return Ok(());
        }
        let repack = |how: &[&str]| {
            let repack = self
                .writing("repack", locked)?
                .config("pack.writeReverseIndex", "false")
                .config("repack.writeBitmaps", "false")
                .args(["-q", "-d"])
                .args(how);
            Ok::<_, SourceError>(repack)
        };
        let mut folded = repack(&["--geometric=2"])?.run().await;
        if folded.is_err() {
            // Git before 2.33 can only make one of all.
            folded = repack(&["-a", "--keep-unreachable"])?.run().await;
        }
        if let Err(error) = folded {
            // The mirror works with many packs too.
            tracing::warn!(mirror = %self.path.display(), %error, "packs could not be folded");
        }
        Ok(())
    }

    /// Makes the mirror, or makes it anew. One that is there stays until the new one has what is wanted: it
    /// has more than nothing, commits, say, that no branch there leads to any more.
    async fn renew(
        &self,
        locked: &Locked,
        wanted: &Wanted,
        hash: Hash,
    ) -> Result<Found, SourceError> {
        let (new, old) = (self.beside("new"), self.beside("old"));
        Git::new("init", Hears::Nobody)
            .holding(locked.handle()?)
            .env("GIT_DEFAULT_REF_FORMAT", "files")
            .env("GIT_DEFAULT_HASH", hash.name())
            .args(["--quiet", "--bare", "--template=", "--"])
            .arg(&new)
            .run()
            .await?;
        if !self.path.exists() {
            fs::rename(&new, &self.path)
                .map_err(|cause| SourceError::io("create", &self.path, cause))?;
            return self.update(locked, wanted).await;
        }
        let fresh = Self {
            path: new.clone(),
            ..self.clone()
        };
        let commit = match fresh.update(locked, wanted).await {
            Ok(found) => found.commit,
            Err(error) => {
                remove(new, locked).await?;
                return Err(error);
            }
        };
        fs::rename(&self.path, &old)
            .map_err(|cause| SourceError::io("move away", &self.path, cause))?;
        fs::rename(&new, &self.path)
            .map_err(|cause| SourceError::io("create", &self.path, cause))?;
        remove(old, locked).await?;
        // What was found was opened in a folder that has another name by now.
        let found = self.look_up(commit.as_str()).await?;
        found.ok_or_else(|| self.missing(wanted))
    }

    /// Removes what a git or a server that was killed left behind; only while we hold the lock.
    async fn sweep(&self, locked: &Locked) -> Result<(), SourceError> {
        let (path, lock) = (self.path.clone(), locked.handle()?);
        let (new, old) = (self.beside("new"), self.beside("old"));
        blocking(move |_| {
            sweep::sweep_beside(&path, &new, &old);
            sweep::sweep(&path);
            // It may outlive whoever waits for it, and must not sweep away the next one's files.
            drop(lock);
            Ok(())
        })
        .await
    }

    async fn lock(&self) -> Result<Locked, SourceError> {
        let gate = self.mirrors.gate(&self.path).lock_owned().await;
        let folder = &self.mirrors.folder;
        fs::create_dir_all(folder).map_err(|cause| SourceError::io("create", folder, cause))?;
        let path = self.beside("lock");
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)
            .map_err(|cause| SourceError::io("open", &path, cause))?;
        let mut tries = 0_u64;
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Locked { file, _gate: gate }),
                Err(Errno::WOULDBLOCK | Errno::INTR) => {
                    if tries.is_multiple_of(ORPHANS_EACH) {
                        let file = file
                            .try_clone()
                            .map_err(|cause| SourceError::io("open", &path, cause))?;
                        blocking(move |_| {
                            orphan::end_orphans(&file);
                            Ok(())
                        })
                        .await?;
                    }
                    tries += 1;
                    tokio::time::sleep(LOCK_RETRY).await;
                }
                Err(errno) => return Err(SourceError::io("lock", &path, errno.into())),
            }
        }
    }

    /// A neighbour of the mirror: `octo+repo-….git.lock`.
    fn beside(&self, what: &str) -> PathBuf {
        let mut name = self.path.file_name().unwrap_or_default().to_owned();
        name.push(".");
        name.push(what);
        self.path.with_file_name(name)
    }

    /// Stands in a mirror once all branches and tags were fetched.
    fn complete_mark(&self) -> PathBuf {
        self.path.join("popsicle-complete")
    }

    fn is_complete(&self) -> bool {
        self.complete_mark().exists()
    }
}

impl Locked {
    /// The lock as a git process can hold it.
    fn handle(&self) -> Result<File, SourceError> {
        self.file
            .try_clone()
            .map_err(|cause| SourceError::io("open", Path::new("the lock"), cause))
    }
}

/// The hash that a repository names its objects by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hash {
    Sha1,
    Sha256,
}

impl Hash {
    /// That of the wanted commit; the usual one where only a ref is wanted.
    fn of(wanted: &Wanted) -> Self {
        match &wanted.commit {
            Some(commit) if commit.as_str().len() == 64 => Self::Sha256,
            Some(_) | None => Self::Sha1,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
        }
    }
}

fn is_branch_or_tag(git_ref: &str) -> bool {
    git_ref.starts_with("refs/heads/") || git_ref.starts_with("refs/tags/")
}

/// One folder a project and address: `octo+repo-<hash>.git`. A name can't hold a `+`, so that no two
/// names make one folder; the hash tells two addresses of one name apart, and two long names that
/// were cut.
fn folder_name(repo: &RepoName, url: &str) -> String {
    let hash = Sha256::new()
        .chain_update(repo.as_str())
        .chain_update([0])
        .chain_update(url)
        .finalize();
    let name: String = repo.as_str().replace('/', "+").chars().take(180).collect();
    format!("{name}-{}.git", hex::encode(&hash[..8]))
}

async fn remove(folder: PathBuf, locked: &Locked) -> Result<(), SourceError> {
    let lock = locked.handle()?;
    blocking(move |_| {
        let removed = fs::remove_dir_all(&folder);
        // It may outlive whoever waits for it.
        drop(lock);
        match removed {
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed.map_err(|cause| SourceError::io("remove", &folder, cause)),
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_told_apart() {
        let name = |repo: &str, url: &str| folder_name(&repo.parse().unwrap(), url);
        let one = name("octo/repo", "https://a/x");
        assert!(
            one.starts_with("octo+repo-") && one.ends_with(".git"),
            "{one}"
        );
        assert_eq!(one, name("octo/repo", "https://a/x"));
        assert_ne!(one, name("octo/repo", "https://a/y"));
        assert_ne!(name("a/b-c", "u"), name("a-b/c", "u"));
        assert!(name(&"x".repeat(255), "u").len() < 255 - ".lock".len());
    }
}
