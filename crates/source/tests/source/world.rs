//! A small world: a repository somewhere, and a source that mirrors it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use model::{CommitSha, GitRef, Origin, PullRequest, Trigger, TriggerKind};
use source::{Source, SourceError, SourceSettings, Tree};
use tempfile::TempDir;

/// How long a test waits for anything.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub struct World {
    pub temp: TempDir,
    pub source: Source,
}

impl World {
    /// A repository `remote` with one commit on `main`, and no mirror of it.
    pub fn new() -> Self {
        let temp = tempfile::tempdir().unwrap();
        let world = Self {
            source: Source::new(SourceSettings::new(temp.path().join("mirrors"))),
            temp,
        };
        fs::create_dir(world.remote()).unwrap();
        world.git(&["init", "-q", "-b", "main", "--template="]);
        world.commit("README", "hello");
        world
    }

    pub fn remote(&self) -> PathBuf {
        self.temp.path().join("remote")
    }

    pub fn url(&self) -> String {
        format!("file://{}", self.remote().display())
    }

    pub fn mirrors(&self) -> PathBuf {
        self.temp.path().join("mirrors")
    }

    /// The one mirror that there is.
    pub fn mirror(&self) -> PathBuf {
        let mut mirrors = fs::read_dir(self.mirrors())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.is_dir());
        let mirror = mirrors.next().expect("a mirror");
        assert_eq!(mirrors.next(), None, "one mirror, and nothing left over");
        mirror
    }

    /// Git in the remote repository.
    pub fn git(&self, args: &[&str]) -> String {
        git(&self.remote(), args)
    }

    /// Writes a file and commits all there is.
    pub fn commit(&self, file: &str, content: &str) -> CommitSha {
        let path = self.remote().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "-m", &format!("Write {file}\n\nBecause.")]);
        self.tip()
    }

    /// Makes a tree of lines as `git ls-tree` prints them, whatever they say.
    pub fn make_tree(&self, lines: &str) -> String {
        let file = self.temp.path().join("tree");
        fs::write(&file, lines).unwrap();
        let output = Command::new("git")
            .arg("mktree")
            .current_dir(self.remote())
            .stdin(fs::File::open(file).unwrap())
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    pub fn tip(&self) -> CommitSha {
        self.git(&["rev-parse", "HEAD"]).parse().unwrap()
    }

    pub fn push(&self, git_ref: GitRef, commit: &CommitSha) -> Trigger {
        trigger(
            Origin::Git { url: self.url() },
            Some(git_ref),
            Some(commit.clone()),
        )
    }

    /// Fetches what was pushed to `main`.
    pub async fn fetch(&self, commit: &CommitSha) -> Result<Tree, SourceError> {
        self.source.fetch(&self.push(branch("main"), commit)).await
    }

    /// An empty folder.
    pub fn folder(&self, name: &str) -> PathBuf {
        let path = self.temp.path().join(name);
        fs::create_dir(&path).unwrap();
        path
    }

    /// Lays a tree out in a new folder.
    pub async fn lay_out(&self, tree: &Tree, name: &str) -> PathBuf {
        let to = self.folder(name);
        tree.lay_out(&to).await.unwrap();
        to
    }
}

pub fn branch(name: &str) -> GitRef {
    GitRef::Branch(name.to_owned())
}

pub fn trigger(origin: Origin, git_ref: Option<GitRef>, commit: Option<CommitSha>) -> Trigger {
    Trigger {
        kind: TriggerKind::Push,
        repo: "octo/repo".parse().unwrap(),
        origin,
        commit,
        git_ref,
        base: None,
        author: None,
        message: None,
        pull_request: None,
        rerun: None,
        forge: None,
        parameters: std::collections::BTreeMap::new(),
        delivery: None,
    }
}

pub fn pull_request(number: u64, from_fork: bool) -> PullRequest {
    PullRequest {
        number,
        base_branch: "main".to_owned(),
        from_fork,
        fork: None,
        fetch_ref: format!("refs/pull/{number}/head"),
        url: None,
    }
}

/// Git with no configuration but a name; its output without the last newline.
pub fn git(dir: &Path, args: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "user.name=Ada", "-c", "user.email=ada@example.org"])
        .args(["-c", "safe.directory=*"])
        .args(args)
        .current_dir(dir)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "git {args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout)
        .unwrap()
        .trim_end()
        .to_owned()
}

/// Runs an ignored story in a process with another environment, which can't be changed in
/// this one.
pub fn in_environment(story: &str, environment: &[(&str, &str)]) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", story, "--ignored", "--nocapture"])
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && told.contains("1 passed"),
        "{told}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Waits until it is so.
pub async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The command lines of all processes.
pub fn command_lines() -> Vec<String> {
    let mut lines = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let is_process = entry
            .file_name()
            .to_string_lossy()
            .bytes()
            .all(|byte| byte.is_ascii_digit());
        if is_process && let Ok(line) = fs::read(entry.path().join("cmdline")) {
            lines.push(String::from_utf8_lossy(&line).replace('\0', " "));
        }
    }
    lines
}

/// All files below a folder.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            files.extend(self::files(&entry.path()));
        } else {
            files.push(entry.path());
        }
    }
    files.sort();
    files
}
