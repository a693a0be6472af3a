//! A folder of this machine taken as it is: what somebody sees in front of them, committed or not.
//!
//! Of a git checkout, the files that git knows or would add are taken, so that no `target/` or
//! `node_modules/` is copied, and a `.git` with the same commits, branches and index. That `.git` is
//! written anew from what its owner's says rather than copied: theirs may be a pointer elsewhere (a
//! linked work tree), and its configuration may hold credentials and name programs. Of any other folder,
//! all files are taken. The folder itself is only read.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use model::CommitSha;
use url::Url;

use crate::copy::{Copy, is_absence};
use crate::git::{Git, Hears};
use crate::git_dir::GitDir;
use crate::objects::{Answer, Object, Objects, subject};
use crate::{SourceError, blocking};

/// How deep repositories may lie in one another.
const NESTING: usize = 8;
/// What is read of a commit at most, in bytes.
const COMMIT_LIMIT: usize = 64 * 1024;
/// Files of a `.git` that are taken over where they exist; the objects are another matter.
const KEPT_FILES: [&str; 4] = ["index", "shallow", "info/exclude", "info/sparse-checkout"];

/// A folder.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    kind: FolderKind,
    commit: Option<CommitSha>,
    head: String,
}

#[derive(Clone, Debug)]
enum FolderKind {
    /// No git.
    Plain,
    /// The top of a work tree.
    Checkout { git_dir: PathBuf, common: PathBuf },
    /// A folder somewhere in a work tree.
    Part,
}

impl Folder {
    /// Looks at it: whether it is git's, and which commit it stands on.
    pub(crate) async fn open(path: &Path) -> Result<Self, SourceError> {
        let unusable = |why: String| SourceError::Folder {
            path: path.to_owned(),
            why,
        };
        let path = fs::canonicalize(path).map_err(|cause| unusable(cause.to_string()))?;
        if !path.is_dir() {
            return Err(unusable("it is not a folder".to_owned()));
        }
        let mut folder = Self {
            head: path.display().to_string(),
            kind: FolderKind::Plain,
            commit: None,
            path,
        };
        let told = reading("rev-parse", &folder.path)
            .args(["--show-toplevel", "--absolute-git-dir", "--git-common-dir"])
            .run()
            .await;
        let told = match told {
            Ok(told) => told,
            Err(SourceError::NoGit) if !in_a_checkout(&folder.path) => return Ok(folder),
            Err(SourceError::Git { stderr, .. })
                if stderr.contains("not a git repository")
                    || stderr.contains("must be run in a work tree") =>
            {
                return Ok(folder);
            }
            Err(SourceError::Git { stderr, .. }) => return Err(unusable(stderr)),
            Err(error) => return Err(error),
        };
        let mut lines = told
            .split(|byte| *byte == b'\n')
            .map(|line| folder.path.join(OsStr::from_bytes(line)));
        let (Some(top), Some(git_dir), Some(common)) = (lines.next(), lines.next(), lines.next())
        else {
            return Ok(folder);
        };
        let mut objects = Objects::of(&git_dir, Hears::Nobody);
        if let Answer::Object(Object { id, content, .. }) =
            objects.get("HEAD^{commit}", COMMIT_LIMIT).await?
            && let Ok(commit) = id.parse::<CommitSha>()
        {
            folder.head = format!("{} {}", commit.short(), subject(&content));
            folder.commit = Some(commit);
        }
        folder.kind = if top == folder.path {
            FolderKind::Checkout { git_dir, common }
        } else {
            FolderKind::Part
        };
        Ok(folder)
    }

    pub(crate) fn commit(&self) -> Option<&CommitSha> {
        self.commit.as_ref()
    }

    pub(crate) fn head(&self) -> &str {
        self.head.trim_end()
    }

    pub(crate) async fn files_in(&self, folder: &str) -> Result<Vec<String>, SourceError> {
        let path = self.path.join(folder);
        blocking(move |_| {
            let read = || -> io::Result<Vec<String>> {
                let mut names = Vec::new();
                for entry in fs::read_dir(&path)? {
                    let entry = entry?;
                    let kind = entry.file_type()?;
                    if kind.is_file() || kind.is_symlink() {
                        names.extend(entry.file_name().into_string().ok());
                    }
                }
                names.sort_unstable();
                Ok(names)
            };
            match read() {
                Err(cause) if is_absence(&cause) => Ok(Vec::new()),
                read => read.map_err(|cause| SourceError::io("read", &path, cause)),
            }
        })
        .await
    }

    /// `path` is a path inside: without `..`, and not absolute.
    pub(crate) async fn read(
        &self,
        path: &str,
        limit: usize,
    ) -> Result<Option<Vec<u8>>, SourceError> {
        let (root, name) = (self.path.clone(), path.to_owned());
        blocking(move |_| {
            let read = || -> io::Result<Option<Vec<u8>>> {
                let path = fs::canonicalize(root.join(&name))?;
                if !path.starts_with(&root) {
                    return Ok(None);
                }
                let mut content = Vec::new();
                if path.is_file() {
                    File::open(&path)?
                        .take(limit as u64)
                        .read_to_end(&mut content)?;
                    return Ok(Some(content));
                }
                Err(io::ErrorKind::NotFound.into())
            };
            match read() {
                Ok(Some(content)) => Ok(Some(content)),
                Ok(None) => Err(SourceError::Outside { path: name }),
                Err(cause) if is_absence(&cause) => Ok(None),
                Err(cause) => Err(SourceError::io("read", &root.join(&name), cause)),
            }
        })
        .await
    }

    pub(crate) async fn lay_out(&self, to: &Path) -> Result<(), SourceError> {
        let mut files = match &self.kind {
            FolderKind::Plain => BTreeSet::new(),
            FolderKind::Checkout { .. } | FolderKind::Part => {
                listed(self.path.clone(), PathBuf::new(), NESTING).await?
            }
        };
        // A folder of which git knows nothing is one that it ignores: it is nobody's checkout.
        let is_plain = match self.kind {
            FolderKind::Plain => true,
            FolderKind::Part => files.is_empty(),
            FolderKind::Checkout { .. } => false,
        };
        let git_dir = match &self.kind {
            FolderKind::Checkout { git_dir, common } => Some((
                self.describe(git_dir).await?,
                git_dir.clone(),
                common.clone(),
            )),
            FolderKind::Plain | FolderKind::Part => None,
        };
        let (from, to) = (self.path.clone(), to.to_owned());
        blocking(move |stop| {
            let mut copy = Copy::new(&from, &to)?;
            if is_plain {
                copy.list(Path::new(""), &mut files, stop)?;
            }
            for file in &files {
                stop.check()?;
                copy.take(file)?;
            }
            let Some((description, git_dir, common)) = git_dir else {
                return Ok(());
            };
            description.write(&to.join(".git"), &common.join("objects"), stop)?;
            copy_git_files(&git_dir, &common, &to.join(".git"))
        })
        .await
    }

    /// What the folder's `.git` says, as far as a job may know.
    async fn describe(&self, git_dir: &Path) -> Result<GitDir, SourceError> {
        let asked = |subcommand| Git::new(subcommand, Hears::Nobody).git_dir(git_dir);
        let refs = asked("for-each-ref")
            .arg("--format=%(objectname) %(refname)")
            .run()
            .await?;
        let refs = String::from_utf8_lossy(&refs)
            .lines()
            .filter_map(|line| line.split_once(' '))
            .map(|(id, name)| (name.to_owned(), id.to_owned()))
            .collect();
        let head = match asked("symbolic-ref").args(["-q", "HEAD"]).run().await {
            Ok(name) => format!("ref: {}", String::from_utf8_lossy(&name).trim_end()),
            Err(SourceError::Git { .. }) => {
                let commit = self.commit.as_ref().map(CommitSha::as_str);
                commit.unwrap_or("ref: refs/heads/main").to_owned()
            }
            Err(error) => return Err(error),
        };
        let config = asked("config")
            .args(["--local", "--list", "-z"])
            .run()
            .await?;
        Ok(GitDir {
            head,
            refs,
            config: kept_config(&String::from_utf8_lossy(&config)),
        })
    }
}

/// Removes all that is in a folder.
pub(crate) async fn empty(folder: &Path) -> Result<(), SourceError> {
    let folder = folder.to_owned();
    blocking(move |_| {
        let emptied = || -> io::Result<()> {
            for entry in fs::read_dir(&folder)? {
                let entry = entry?;
                if entry.file_type()?.is_dir() {
                    fs::remove_dir_all(entry.path())?;
                } else {
                    fs::remove_file(entry.path())?;
                }
            }
            Ok(())
        };
        emptied().map_err(|cause| SourceError::io("empty", &folder, cause))
    })
    .await
}

/// A call that reads somebody's folder. It may be another user's, whose work trees git refuses because
/// their configuration could run programs; none of our calls does, and the folder's own config is about
/// to be run anyway, because somebody asked for that.
fn reading(subcommand: &'static str, folder: &Path) -> Git {
    Git::new(subcommand, Hears::Operator)
        .config("safe.directory", "*")
        .in_directory(folder)
}

fn in_a_checkout(folder: &Path) -> bool {
    folder.ancestors().any(|above| above.join(".git").exists())
}

/// The files of a work tree that git knows or would add, by their paths under `root`; those of
/// repositories that lie in it too.
async fn listed(
    root: PathBuf,
    below: PathBuf,
    nesting: usize,
) -> Result<BTreeSet<PathBuf>, SourceError> {
    let told = reading("ls-files", &root.join(&below))
        .args(["-z", "--cached", "--others", "--exclude-standard"])
        .run()
        .await?;
    let paths: Vec<PathBuf> = told
        .split(|byte| *byte == 0)
        .filter(|path| !path.is_empty())
        .map(|path| below.join(OsStr::from_bytes(path)))
        .collect();
    let (files, folders) = blocking({
        let root = root.clone();
        move |stop| {
            let (mut files, mut folders) = (BTreeSet::new(), BTreeSet::new());
            for path in paths {
                stop.check()?;
                let is_folder = fs::symlink_metadata(root.join(&path)).is_ok_and(|it| it.is_dir());
                // A folder in git's list is a submodule, or a repository that nobody added.
                if is_folder && root.join(&path).join(".git").exists() {
                    folders.insert(path.clone());
                }
                files.insert(path);
            }
            Ok((files, folders))
        }
    })
    .await?;
    let mut files = files;
    if nesting > 0 {
        for folder in folders {
            files.extend(Box::pin(listed(root.clone(), folder, nesting - 1)).await?);
        }
    }
    Ok(files)
}

/// Copies the rest of a `.git` that a work tree needs.
fn copy_git_files(git_dir: &Path, common: &Path, to: &Path) -> Result<(), SourceError> {
    let mut names: Vec<PathBuf> = KEPT_FILES.map(PathBuf::from).to_vec();
    // An index may be split in two.
    for entry in fs::read_dir(git_dir).into_iter().flatten().flatten() {
        let name = entry.file_name();
        if name.as_bytes().starts_with(b"sharedindex.") {
            names.push(name.into());
        }
    }
    for name in names {
        // A linked work tree has some of its own and shares the others.
        let Some(from) = [git_dir, common]
            .map(|folder| folder.join(&name))
            .into_iter()
            .find(|path| path.is_file())
        else {
            continue;
        };
        let to = to.join(&name);
        fs::copy(&from, &to)
            .and_then(|_| fs::set_permissions(&to, fs::Permissions::from_mode(0o666)))
            .map_err(|cause| SourceError::io("copy", &from, cause))?;
    }
    Ok(())
}

/// Of a repository's configuration (`git config --list -z`), what describes its files, branches and
/// remotes; nothing that names a program or holds a credential.
fn kept_config(listed: &str) -> Vec<(String, String)> {
    let mut kept = Vec::new();
    let mut version = "0";
    for (key, value) in listed
        .split('\0')
        .filter(|entry| !entry.is_empty())
        .map(|entry| entry.split_once('\n').unwrap_or((entry, "true")))
    {
        let (section, name) = key.rsplit_once('.').unwrap_or(("", key));
        let kind = section.split('.').next().unwrap_or_default();
        let is_kept = match kind {
            "core" => [
                "autocrlf",
                "eol",
                "filemode",
                "ignorecase",
                "precomposeunicode",
                "sparsecheckout",
                "sparsecheckoutcone",
                "symlinks",
            ]
            .contains(&name),
            "extensions" => ["objectformat", "partialclone"].contains(&name),
            "remote" => ["fetch", "partialclonefilter", "promisor", "url"].contains(&name),
            "branch" => ["merge", "remote"].contains(&name),
            _ => false,
        };
        if !is_kept {
            continue;
        }
        if kind == "extensions" {
            version = "1";
        }
        let value = if name == "url" {
            without_credential(value)
        } else {
            value.to_owned()
        };
        kept.push((key.to_owned(), value));
    }
    let fixed = [
        ("core.repositoryformatversion", version),
        ("core.bare", "false"),
        ("core.logallrefupdates", "true"),
    ];
    let mut config: Vec<_> = fixed
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
    config.extend(kept);
    config
}

fn without_credential(url: &str) -> String {
    match Url::parse(url) {
        Ok(mut parsed) if parsed.has_host() => {
            let is_ssh = parsed.scheme() == "ssh";
            // Both fail only for addresses without a host.
            let _ = parsed.set_password(None);
            if !is_ssh {
                let _ = parsed.set_username("");
            }
            parsed.into()
        }
        _ => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configuration_loses_programs_and_credentials() {
        let listed = "core.bare\nfalse\0core.sshcommand\nevil\0core.symlinks\0\
                      remote.origin.url\nhttps://me:s3cret@host/x.git\0\
                      remote.origin.fetch\n+refs/heads/*:refs/remotes/origin/*\0\
                      branch.a.b.merge\nrefs/heads/a.b\0\
                      http.extraheader\nAuthorization: s3cret\0extensions.objectformat\nsha256\0";
        let config = kept_config(listed);
        let text = format!("{config:?}");
        assert!(!text.contains("s3cret") && !text.contains("evil"), "{text}");
        let value = |wanted: &str| {
            let found = config.iter().find(|(key, _)| key == wanted);
            found.map(|(_, value)| value.as_str())
        };
        assert_eq!(value("remote.origin.url"), Some("https://host/x.git"));
        assert_eq!(value("core.symlinks"), Some("true"));
        assert_eq!(value("core.repositoryformatversion"), Some("1"));
        assert_eq!(value("branch.a.b.merge"), Some("refs/heads/a.b"));
        assert_eq!(without_credential("ssh://git@host/x"), "ssh://git@host/x");
        assert_eq!(without_credential("git@host:x"), "git@host:x");
    }
}
