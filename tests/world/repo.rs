//! Git repositories for pipelines to come from.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

/// A repository with a work tree, in a folder that goes away with it.
#[derive(Debug)]
pub struct Repo {
    dir: TempDir,
    /// `owner/name` on the forge.
    pub name: String,
}

impl Repo {
    /// A repository `octo/repo` with one commit of these files (path and content) on `main`.
    pub fn with(files: &[(&str, &str)]) -> Self {
        let repo = Self::empty("octo/repo");
        repo.commit("First", files);
        repo
    }

    /// A repository whose only file is this `.popsicle/ci.yml`.
    pub fn with_config(yaml: &str) -> Self {
        Self::with(&[(".popsicle/ci.yml", yaml)])
    }

    /// A repository with nothing in it yet.
    pub fn empty(name: &str) -> Self {
        let dir = tempfile::Builder::new()
            .prefix("popsicle-story-repo-")
            .tempdir()
            .expect("a temporary folder can be made");
        let repo = Self {
            dir,
            name: name.to_owned(),
        };
        repo.git(&["init", "--quiet", "--initial-branch=main"]);
        repo
    }

    /// Writes files and commits all there is; the commit's id.
    pub fn commit(&self, message: &str, files: &[(&str, &str)]) -> String {
        for (path, text) in files {
            self.write(path, text.as_bytes());
        }
        self.commit_all(message)
    }

    /// Commits what lies in the work tree; the commit's id.
    pub fn commit_all(&self, message: &str) -> String {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message", message]);
        self.head()
    }

    /// Writes a file into the work tree.
    pub fn write(&self, path: &str, bytes: &[u8]) {
        let path = self.path().join(path);
        let folder = path
            .parent()
            .expect("a file of the repository has a folder");
        std::fs::create_dir_all(folder).expect("the folder can be made");
        std::fs::write(path, bytes).expect("the file can be written");
    }

    /// Replaces the last commit by another, and forgets the old one as a forge does in time.
    pub fn rewrite_history(&self, message: &str) -> String {
        self.git(&[
            "commit",
            "--quiet",
            "--allow-empty",
            "--amend",
            "--message",
            message,
        ]);
        self.git(&["reflog", "expire", "--expire=now", "--all"]);
        self.git(&["gc", "--quiet", "--prune=now"]);
        self.head()
    }

    /// Makes a branch of any name at the current commit, and stays on it.
    pub fn branch(&self, name: &str) {
        let full = format!("refs/heads/{name}");
        self.git(&["update-ref", &full, "HEAD"]);
        self.git(&["symbolic-ref", "HEAD", &full]);
    }

    /// Makes an annotated tag of the current commit; the id of the tag's object.
    pub fn tag(&self, name: &str) -> String {
        self.git(&["tag", "--annotate", "--message", name, name]);
        self.git(&["rev-parse", &format!("refs/tags/{name}")])
    }

    /// The current commit's id.
    pub fn head(&self) -> String {
        self.git(&["rev-parse", "HEAD"])
    }

    /// Its work tree.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Where git finds it.
    pub fn url(&self) -> String {
        format!("file://{}", self.path().display())
    }

    /// What GitHub sends of a push of the current branch, as far as anybody reads it.
    pub fn push(&self) -> Value {
        self.push_of(&self.git(&["symbolic-ref", "HEAD"]), &self.head())
    }

    /// The same of a ref, which points to `after` now.
    pub fn push_of(&self, full_ref: &str, after: &str) -> Value {
        let commit = self.head();
        let message = self.git(&["log", "-1", "--format=%s"]);
        json!({
            "ref": full_ref,
            "before": "0".repeat(40),
            "after": after,
            "deleted": false,
            "repository": {"full_name": self.name, "clone_url": self.url()},
            "pusher": {"name": "octocat"},
            "head_commit": {"id": commit, "message": message, "author": {"username": "octocat"}},
        })
    }

    /// Runs git in it; what it said.
    pub fn git(&self, args: &[&str]) -> String {
        let output = Command::new("git")
            .args([
                "-c",
                "user.name=Octo Cat",
                "-c",
                "user.email=octo@example.com",
            ])
            .args([
                "-c",
                "commit.gpgsign=false",
                "-c",
                "core.hooksPath=/dev/null",
            ])
            .args(args)
            .current_dir(self.path())
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .output()
            .expect("git runs");
        assert!(
            output.status.success(),
            "git {args:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }
}
