//! The files of a commit: read from the mirror, or laid out as a job's work tree.

use std::path::Path;

use model::{CommitSha, GitRef};
use tokio::sync::Mutex;

use crate::git::{Git, Hears};
use crate::git_dir::{GitDir, branches_and_tags};
use crate::mirror::{Found, Mirror, smells_of_corruption};
use crate::objects::{Answer, Objects, subject, tree_entries};
use crate::{SourceError, blocking};

/// What is read of a folder's listing at most, in bytes.
const FOLDER_LIMIT: usize = 16 * 1024 * 1024;

/// What laying out a commit may take of the machine's memory, in bytes: a tree of a few kilobytes can name
/// itself again and again, to billions of files.
const LAY_OUT_MEMORY: u64 = 2 << 30;

/// One commit of a mirror.
#[derive(Debug)]
pub(crate) struct Checkout {
    mirror: Mirror,
    commit: CommitSha,
    head: String,
    branch: Branch,
    objects: Mutex<Objects>,
}

/// What `HEAD` is in a work tree.
#[derive(Clone, Debug)]
pub(crate) enum Branch {
    /// A local branch. The project's own repository has one of that name, so that it is tracked.
    Own(String),
    /// A local branch that the project's own repository does not have: a pull request's from a fork.
    Foreign(String),
    /// No branch.
    Detached,
}

impl Checkout {
    pub(crate) fn new(mirror: Mirror, found: Found, branch: Branch) -> Self {
        let subject = subject(&found.content);
        let head = format!("{} {subject}", found.commit.short());
        Self {
            mirror,
            commit: found.commit,
            head: head.trim_end().to_owned(),
            branch,
            objects: Mutex::new(found.objects),
        }
    }

    pub(crate) fn commit(&self) -> &CommitSha {
        &self.commit
    }

    pub(crate) fn mirror(&self) -> &Mirror {
        &self.mirror
    }

    /// A call of git that only reads the mirror.
    pub(crate) fn git(&self, subcommand: &'static str) -> Git {
        Git::new(subcommand, Hears::Nobody)
            .git_dir(self.mirror.path())
            .memory_limit(LAY_OUT_MEMORY)
    }

    pub(crate) fn head(&self) -> &str {
        &self.head
    }

    pub(crate) async fn files_in(&self, folder: &str) -> Result<Vec<String>, SourceError> {
        let answer = self.get(folder, FOLDER_LIMIT).await?;
        let Answer::Object(object) = answer else {
            return Ok(Vec::new());
        };
        if object.kind != "tree" {
            return Ok(Vec::new());
        }
        let mut names: Vec<String> = tree_entries(&object.content, self.commit.as_str().len() / 2)
            .into_iter()
            .filter(|entry| entry.mode.starts_with("100") || entry.mode == "120000")
            .filter_map(|entry| String::from_utf8(entry.name).ok())
            .collect();
        names.sort_unstable();
        Ok(names)
    }

    /// `path` is a path inside: without `..`, and not absolute.
    pub(crate) async fn read(
        &self,
        path: &str,
        limit: usize,
    ) -> Result<Option<Vec<u8>>, SourceError> {
        match self.get(path, limit).await? {
            Answer::Object(object) if object.kind == "blob" => Ok(Some(object.content)),
            Answer::Object(_) | Answer::Missing => Ok(None),
            Answer::Elsewhere => Err(SourceError::Outside {
                path: path.to_owned(),
            }),
        }
    }

    /// What is at a path of the commit. Where the mirror lost it, it is mended first: that a file is not
    /// there would be a lie.
    async fn get(&self, path: &str, limit: usize) -> Result<Answer, SourceError> {
        let name = format!("{}:{path}", self.commit);
        let mut objects = self.objects.lock().await;
        let answer = objects.get(&name, limit).await;
        let is_lost = match &answer {
            Ok(Answer::Object(_) | Answer::Elsewhere) => false,
            Ok(Answer::Missing) => self.is_lost(&mut objects, path).await?,
            Err(error) => smells_of_corruption(error),
        };
        if !is_lost || !self.mirror.heal(&self.commit).await? {
            return answer;
        }
        *objects = self.mirror.objects();
        objects.get(&name, limit).await
    }

    /// Whether the commit names that path, though what it names is not there. Links are not followed: an
    /// answer for what lies behind one is taken as it is.
    async fn is_lost(&self, objects: &mut Objects, path: &str) -> Result<bool, SourceError> {
        let mut tree = format!("{}^{{tree}}", self.commit);
        for name in path.split('/').filter(|name| !name.is_empty()) {
            let Answer::Object(object) = objects.get(&tree, FOLDER_LIMIT).await? else {
                return Ok(true);
            };
            let entries = tree_entries(&object.content, self.commit.as_str().len() / 2);
            let entry = entries
                .into_iter()
                .find(|entry| entry.name == name.as_bytes() && !entry.mode.starts_with("12"));
            match entry {
                Some(entry) if entry.mode != "160000" => tree = entry.id,
                Some(_) | None => return Ok(false),
            }
        }
        Ok(objects.get(&tree, 0).await? == Answer::Missing)
    }

    pub(crate) async fn lay_out(&self, to: &Path) -> Result<(), SourceError> {
        match self.try_lay_out(to).await {
            Err(error) if smells_of_corruption(&error) => {
                let was_broken = self.mirror.heal(&self.commit).await?;
                tracing::warn!(mirror = %self.mirror.path().display(), %error, was_broken, "laying out again");
                // Where it is well, another job may have healed it while we read.
                crate::folder::empty(to).await?;
                self.try_lay_out(to).await
            }
            result => result,
        }
    }

    async fn try_lay_out(&self, to: &Path) -> Result<(), SourceError> {
        let (mirror, url) = (self.mirror.path().to_owned(), self.mirror.remote().url());
        let (url, commit, branch) = (url.to_owned(), self.commit.clone(), self.branch.clone());
        let git_dir = to.join(".git");
        let path = git_dir.clone();
        blocking(move |stop| {
            let refs = branches_and_tags(&mirror)?;
            describe(&url, &commit, &branch, refs).write(&path, &mirror.join("objects"), stop)
        })
        .await?;
        // With an empty index this is all that a checkout does. Git itself sees to it that nothing is
        // written through a symbolic link, and that no path leads into `.git`.
        Git::new("read-tree", Hears::Nobody)
            .git_dir(&git_dir)
            .work_tree(to)
            .open_umask()
            // What it may take of our memory for a tree that somebody made to be large.
            .config("core.packedGitWindowSize", "64m")
            .config("core.packedGitLimit", "512m")
            .memory_limit(LAY_OUT_MEMORY)
            .args(["--reset", "-u", self.commit.as_str()])
            .run()
            .await
            .map(drop)
            .map_err(|error| self.explain(error))
    }

    /// What git's words about this commit's files mean.
    fn explain(&self, error: SourceError) -> SourceError {
        const WORDS: [&str; 4] = [
            "invalid path '",
            "File name too long",
            "Out of memory",
            "out of memory",
        ];
        let error = self.mirror.remote().explain(error);
        let SourceError::Git { stderr, .. } = &error else {
            return error;
        };
        if WORDS.iter().any(|word| stderr.contains(word)) {
            return SourceError::BadTree {
                commit: self.commit.clone(),
                detail: stderr.clone(),
            };
        }
        error
    }
}

/// The `.git` of a fresh clone with that commit checked out.
fn describe(
    url: &str,
    commit: &CommitSha,
    branch: &Branch,
    mirrored: impl IntoIterator<Item = (String, String)>,
) -> GitDir {
    let mut refs: std::collections::BTreeMap<String, String> = mirrored
        .into_iter()
        .map(|(name, id)| match name.strip_prefix("refs/heads/") {
            Some(branch) => (format!("refs/remotes/origin/{branch}"), id),
            None => (name, id),
        })
        .collect();
    let is_sha256 = commit.as_str().len() == 64;
    let mut config = vec![(
        "core.repositoryformatversion".to_owned(),
        if is_sha256 { "1" } else { "0" }.to_owned(),
    )];
    let mut set = |key: String, value: &str| config.push((key, value.to_owned()));
    if is_sha256 {
        set("extensions.objectformat".to_owned(), "sha256");
    }
    set("core.filemode".to_owned(), "true");
    set("core.bare".to_owned(), "false");
    set("core.logallrefupdates".to_owned(), "true");
    set("remote.origin.url".to_owned(), url);
    set(
        "remote.origin.fetch".to_owned(),
        "+refs/heads/*:refs/remotes/origin/*",
    );
    let head = match branch {
        Branch::Own(name) | Branch::Foreign(name) => {
            let full = GitRef::Branch(name.clone()).full();
            if matches!(branch, Branch::Own(_)) {
                set(format!("branch.{name}.remote"), "origin");
                set(format!("branch.{name}.merge"), &full);
            }
            refs.insert(full.clone(), commit.to_string());
            format!("ref: {full}")
        }
        Branch::Detached => commit.to_string(),
    };
    GitDir { head, refs, config }
}
