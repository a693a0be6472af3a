//! Repositories that are hosted here: bare ones, a folder each, in one folder.
//!
//! - this file makes them, lists them and throws them away;
//! - `hook` is what each of them runs after a push;
//! - `pushes` keeps what was pushed until CI knows of it;
//! - `backend` serves them to git over smart HTTP.
//!
//! A repository appears by one renaming, so that nobody ever sees half of one, and goes the same way, to
//! a trash. Names are checked by their type, and no other path is ever made of what a client says.

mod backend;
mod hook;
mod pushes;

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use model::{CommitSha, HostedName};

use crate::git::{Git, Hears};
use crate::{SourceError, blocking};

pub use backend::{Backend, GitRequest, GitService};
pub use pushes::{KeptPush, RefUpdate};

/// The begin of a folder's name that is not a repository yet.
const UNFINISHED: &str = ".new-";
/// The folder of those that were removed.
const TRASH: &str = ".trash";

/// What each repository is told once. Fetches may leave out blobs and name commits by their ids, as CI
/// does; pushes may have options; and no user is asked of who pushes over HTTP.
const CONFIG: [(&str, &str); 4] = [
    ("http.receivepack", "true"),
    ("receive.advertisePushOptions", "true"),
    ("uploadpack.allowFilter", "true"),
    ("uploadpack.allowReachableSHA1InWant", "true"),
];

/// What [`Hosted`] has to know.
#[derive(Clone, Debug)]
pub struct HostedSettings {
    /// The folder of all repositories, absolute; made when it is first needed.
    pub root: PathBuf,
    /// The program with its arguments that takes git's words after a push.
    pub hook: Vec<OsString>,
}

/// The hosted repositories. Clones are the same ones.
#[derive(Clone, Debug)]
pub struct Hosted(Arc<HostedSettings>);

/// A commit as its repository has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitInfo {
    /// Its id; the commit behind it, where that of a tag was asked for.
    pub commit: CommitSha,
    /// Who wrote it.
    pub author: String,
    /// Its message, whole.
    pub message: String,
}

impl Hosted {
    /// Nothing is read or written yet.
    pub fn new(settings: HostedSettings) -> Self {
        Self(Arc::new(settings))
    }

    /// Where a repository is, given its folder's name.
    pub fn path(&self, folder: &str) -> PathBuf {
        self.0.root.join(folder)
    }

    /// Makes an empty repository, whose first branch will be `main`. Not to be called for one name twice
    /// at the same time.
    ///
    /// # Errors
    /// [`SourceError::Folder`] where something of that name is there already.
    pub async fn create(&self, name: &HostedName, description: &str) -> Result<(), SourceError> {
        let path = self.path(&name.folder());
        if path.exists() {
            let why = "there is something of that name already".to_owned();
            return Err(SourceError::Folder { path, why });
        }
        let new = self.path(&format!("{UNFINISHED}{}", name.folder()));
        remove_if_there(&new)?;
        fs::create_dir_all(&new).map_err(|cause| SourceError::io("create", &new, cause))?;
        let made = async {
            Git::new("init", Hears::Nobody)
                .args(["--bare", "--quiet", "--initial-branch=main", "--template="])
                .arg(&new)
                .run()
                .await?;
            let about = new.join("description");
            fs::write(&about, format!("{description}\n"))
                .map_err(|cause| SourceError::io("write", &about, cause))?;
            self.set_up(&new).await?;
            fs::rename(&new, &path).map_err(|cause| SourceError::io("create", &path, cause))
        };
        let made = made.await;
        if made.is_err() {
            // What is left is removed at the next start.
            let _ = remove_if_there(&new);
        }
        made
    }

    /// Moves a repository to the trash; one that is not there is no error.
    ///
    /// # Errors
    /// Where it can't be moved.
    pub fn trash(&self, folder: &str, now_ms: i64) -> Result<(), SourceError> {
        let (path, trash) = (self.path(folder), self.path(TRASH));
        fs::create_dir_all(&trash).map_err(|cause| SourceError::io("create", &trash, cause))?;
        match fs::rename(&path, trash.join(format!("{now_ms}-{folder}"))) {
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(()),
            moved => moved.map_err(|cause| SourceError::io("move to the trash", &path, cause)),
        }
    }

    /// Removes from the trash for good what was thrown there before that moment.
    ///
    /// # Errors
    /// Where something can't be removed.
    pub async fn empty_trash(&self, before_ms: i64) -> Result<(), SourceError> {
        let trash = self.path(TRASH);
        blocking(move |stop| {
            for name in entries(&trash)? {
                stop.check()?;
                let moment = name
                    .split_once('-')
                    .and_then(|(ms, _)| ms.parse::<i64>().ok());
                if moment.is_some_and(|moment| moment < before_ms) {
                    remove_if_there(&trash.join(name))?;
                }
            }
            Ok(())
        })
        .await
    }

    /// The repositories that are there, by name, with what their `description` says. For the start: what
    /// an earlier server did not finish is removed, and each repository's hook is written anew, because
    /// this program may have moved.
    ///
    /// # Errors
    /// Where the folder can't be read, or a hook can't be written.
    pub async fn refresh(&self) -> Result<Vec<(HostedName, String)>, SourceError> {
        let this = self.clone();
        blocking(move |stop| {
            let mut found = Vec::new();
            for folder in entries(&this.0.root)? {
                stop.check()?;
                let path = this.path(&folder);
                if folder.starts_with(UNFINISHED) {
                    remove_if_there(&path)?;
                }
                let Some(name) = HostedName::of_folder(&folder) else {
                    continue;
                };
                if !path.join("HEAD").is_file() {
                    continue;
                }
                hook::install(&path, &this.0.hook)?;
                let about = fs::read_to_string(path.join("description")).unwrap_or_default();
                // What git's own template says is no description.
                let about = about.trim();
                let is_said = !about.starts_with("Unnamed repository;");
                found.push((
                    name,
                    if is_said {
                        about.to_owned()
                    } else {
                        String::new()
                    },
                ));
            }
            Ok(found)
        })
        .await
    }

    /// Makes one of ours of a bare repository that somebody put into the folder.
    ///
    /// # Errors
    /// Where its config can't be written.
    pub async fn adopt(&self, name: &HostedName) -> Result<(), SourceError> {
        self.set_up(&self.path(&name.folder())).await
    }

    /// A commit, or the commit behind a tag's object; none if the repository has no such commit.
    ///
    /// # Errors
    /// Where git can't read the repository.
    pub async fn commit(
        &self,
        folder: &str,
        id: &CommitSha,
    ) -> Result<Option<CommitInfo>, SourceError> {
        let told = Git::new("log", Hears::Nobody)
            .git_dir(&self.path(folder))
            .args(["-1", "--no-show-signature", "--encoding=UTF-8"])
            .args(["--format=%H%x00%an%x00%B", "--end-of-options"])
            .arg(format!("{id}^{{commit}}"))
            .run()
            .await;
        let told = match told {
            Ok(told) => String::from_utf8_lossy(&told).into_owned(),
            // An id that it has not, or that is no commit's.
            Err(SourceError::Git { stderr, .. })
                if [
                    "bad revision",
                    "bad object",
                    "unknown revision",
                    "expected commit type",
                ]
                .iter()
                .any(|words| stderr.contains(words)) =>
            {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let mut fields = told.splitn(3, '\0');
        let mut next = || fields.next().unwrap_or_default().to_owned();
        let (commit, author, message) = (next(), next(), next());
        Ok(commit.parse().ok().map(|commit| CommitInfo {
            commit,
            author,
            message: message.trim_end().to_owned(),
        }))
    }

    /// The pushes to a repository that CI does not know of, oldest first.
    ///
    /// # Errors
    /// Where the repository can't be read.
    pub async fn kept_pushes(&self, folder: &str) -> Result<Vec<KeptPush>, SourceError> {
        let path = self.path(folder);
        blocking(move |_| KeptPush::all(&path)).await
    }

    /// Starts to serve one request of git's over HTTP.
    ///
    /// # Errors
    /// Where git can't be started.
    pub fn serve(&self, request: &GitRequest) -> Result<Backend, SourceError> {
        Backend::start(&self.0.root, request)
    }

    async fn set_up(&self, path: &Path) -> Result<(), SourceError> {
        for (key, value) in CONFIG {
            Git::new("config", Hears::Nobody)
                .arg("--file")
                .arg(path.join("config"))
                .args([key, value])
                .run()
                .await?;
        }
        hook::install(path, &self.0.hook)
    }
}

/// The names in a folder; none where there is no folder.
fn entries(folder: &Path) -> Result<Vec<String>, SourceError> {
    let read = || -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(folder)? {
            // A name that is no text is none of ours.
            names.extend(entry?.file_name().into_string());
        }
        names.sort();
        Ok(names)
    };
    match read() {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        read => read.map_err(|cause| SourceError::io("read", folder, cause)),
    }
}

fn remove_if_there(folder: &Path) -> Result<(), SourceError> {
    match fs::remove_dir_all(folder) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed.map_err(|cause| SourceError::io("remove", folder, cause)),
    }
}
