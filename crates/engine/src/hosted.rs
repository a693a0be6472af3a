//! Repositories that are hosted here, and the pushes to them that become pipelines.
//!
//! Files and rows agree as follows: a repository is made on disk before it is stored, and is forgotten by
//! the store before it leaves the disk. What lies there at a start and is not stored was cut off in
//! between, or was put there by somebody, and is taken in.
//!
//! A push is told by its hook, and kept in its repository until then; what no hook could tell is found
//! there, at the start and now and then.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use model::{CommitSha, Delivery, ForgeKind, GitRef, HostedName, Origin, Trigger, TriggerKind};
use source::{GitRequest, GitService, Hosted, KeptPush};
use store::{Created, Page, Repo};
use tokio::io::AsyncRead;
use tokio::sync::{Mutex, Semaphore, mpsc};
use tokio::time::MissedTickBehavior;
use tokio_util::task::TaskTracker;

use crate::handle::Shared;
use crate::run::chain;
use crate::{Engine, EngineError};

/// How often to look for pushes that nobody told of, and for what has been in the trash for long.
const LOOK: Duration = Duration::from_secs(30);
/// How long what was deleted stays in the trash.
const TRASHED: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// How many clones and fetches, and how many pushes are served at once. A push lasts as long as its
/// pusher watches the pipeline.
const FETCHES: usize = 32;
const PUSHES: usize = 128;
/// How long one may wait for its turn.
const TURN: Duration = Duration::from_secs(30);
/// How many pieces of an answer may wait for the client.
const PIECES: usize = 4;

/// What the engine keeps for hosting.
#[derive(Debug)]
pub(crate) struct Hosting {
    /// Held by who makes or deletes a repository.
    door: Mutex<()>,
    fetches: Arc<Semaphore>,
    pushes: Arc<Semaphore>,
    /// The exchanges with git clients that are under way.
    pub(crate) exchanges: TaskTracker,
}

impl Default for Hosting {
    fn default() -> Self {
        Self {
            door: Mutex::default(),
            fetches: Arc::new(Semaphore::new(FETCHES)),
            pushes: Arc::new(Semaphore::new(PUSHES)),
            exchanges: TaskTracker::new(),
        }
    }
}

/// A branch or a tag of a hosted repository that is to be built.
#[derive(Clone, Debug)]
pub struct NewBuild {
    /// The repository.
    pub repo: HostedName,
    /// The branch or tag.
    pub git_ref: GitRef,
    /// The commit, or the object of an annotated tag of it.
    pub commit: CommitSha,
    /// What the ref pointed to before.
    pub base: Option<CommitSha>,
    /// Who asks; who wrote the commit if nobody says.
    pub author: Option<String>,
    /// The push's own name for this: two with the same make one pipeline.
    pub delivery: Option<String>,
}

/// What became of a [`NewBuild`].
#[derive(Clone, Debug)]
pub enum Built {
    /// Its pipeline is stored.
    Queued(Created),
    /// Nothing is to be done, on purpose.
    Ignored(String),
}

impl Engine {
    /// Makes an empty repository.
    ///
    /// # Errors
    /// Where there is one of that name, or it can't be made.
    pub async fn create_repo(
        &self,
        name: &HostedName,
        description: &str,
    ) -> Result<Repo, EngineError> {
        let hosted = self.hosted()?;
        let _door = self.shared.hosting.door.lock().await;
        if self.store().repo(name).await.is_ok() {
            return Err(store::StoreError::RepoTaken(name.clone()).into());
        }
        hosted.create(name, description).await?;
        let now = self.shared.world.now();
        match self.store().add_repo(name, description, now).await {
            Ok(repo) => Ok(repo),
            Err(error) => {
                if let Err(error) = hosted.trash(&name.folder(), now.as_millis()) {
                    tracing::error!(error = chain(&error), "could not undo a new repository");
                }
                Err(error.into())
            }
        }
    }

    /// Deletes a repository: its files go to a trash, and its pipelines stay.
    ///
    /// # Errors
    /// Where there is none of that name, or its files can't be moved; then it stays.
    pub async fn delete_repo(&self, name: &HostedName) -> Result<Repo, EngineError> {
        let hosted = self.hosted()?;
        let _door = self.shared.hosting.door.lock().await;
        let repo = self.store().remove_repo(name).await?;
        let now = self.shared.world.now();
        if let Err(error) = hosted.trash(&repo.folder, now.as_millis()) {
            self.store()
                .add_repo(&repo.name, &repo.description, repo.created)
                .await?;
            return Err(error.into());
        }
        Ok(repo)
    }

    /// Where a repository is.
    ///
    /// # Errors
    /// Where this engine hosts none.
    pub fn path_of(&self, repo: &Repo) -> Result<PathBuf, EngineError> {
        Ok(self.hosted()?.path(&repo.folder))
    }

    /// Makes a pipeline of a branch or a tag. Once this returns, it is on disk.
    ///
    /// # Errors
    /// [`EngineError::Invalid`] where the repository has no such commit; as [`Engine::submit`].
    pub async fn build(&self, new: NewBuild) -> Result<Built, EngineError> {
        let hosted = self.hosted()?;
        let repo = self.store().repo(&new.repo).await?;
        let Some(found) = hosted.commit(&repo.folder, &new.commit).await? else {
            let (name, commit) = (&repo.name, &new.commit);
            return Err(EngineError::Invalid(format!(
                "the repository `{name}` has no commit {commit}; push it first"
            )));
        };
        if forge::asks_to_skip(&found.message) {
            return Ok(Built::Ignored(
                "the commit's message asks to skip CI".to_owned(),
            ));
        }
        let delivery = new.delivery.map(|id| Delivery {
            forge: ForgeKind::Popsicle,
            id: format!("{}/{id}", repo.name),
        });
        let trigger = Trigger {
            kind: TriggerKind::GitPush,
            repo: repo.name.project(),
            origin: origin(hosted, &repo),
            commit: Some(found.commit),
            git_ref: Some(new.git_ref),
            base: new.base,
            author: new.author.or(Some(found.author)),
            message: Some(found.message),
            pull_request: None,
            rerun: None,
            forge: None,
            parameters: std::collections::BTreeMap::new(),
            delivery,
        };
        self.submit(trigger).await.map(Built::Queued)
    }

    /// Where the code of a hosted project is; none if no repository has that name.
    ///
    /// # Errors
    /// Where the store can't be read.
    pub async fn hosted_origin(
        &self,
        project: &model::RepoName,
    ) -> Result<Option<Origin>, EngineError> {
        let (Some(hosted), Ok(name)) = (self.shared.source.hosted(), project.as_str().parse())
        else {
            return Ok(None);
        };
        match self.store().repo(&name).await {
            Ok(repo) => Ok(Some(origin(hosted, &repo))),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Serves one request of git's over HTTP. What comes back is an answer as a CGI program gives it, in
    /// pieces; who drops it ends the exchange.
    ///
    /// # Errors
    /// Where there is no such repository, too many are served, or git can't be started.
    pub async fn git(
        &self,
        mut request: GitRequest,
        body: impl AsyncRead + Send + Unpin + 'static,
    ) -> Result<mpsc::Receiver<Bytes>, EngineError> {
        let hosted = self.hosted()?;
        let repo = self.store().repo(&request.name).await?;
        request.name = repo.name;
        let hosting = &self.shared.hosting;
        let turns = match request.service {
            GitService::UploadPack => &hosting.fetches,
            GitService::ReceivePack => &hosting.pushes,
        };
        let turn = tokio::time::timeout(TURN, Arc::clone(turns).acquire_owned());
        let Ok(Ok(turn)) = turn.await else {
            return Err(EngineError::Busy);
        };
        let backend = hosted.serve(&request)?;
        let (answer, pieces) = mpsc::channel(PIECES);
        let stop = self.stop.clone();
        hosting.exchanges.spawn(async move {
            backend.run(body, answer, stop.cancelled()).await;
            drop(turn);
        });
        Ok(pieces)
    }

    fn hosted(&self) -> Result<&Hosted, EngineError> {
        self.shared
            .source
            .hosted()
            .ok_or_else(|| EngineError::Conflict("no repositories are hosted here".to_owned()))
    }
}

/// Brings disk and store together, and each repository's hook up to date.
pub(crate) async fn agree(shared: &Shared) {
    let Some(hosted) = shared.source.hosted() else {
        return;
    };
    let found = match hosted.refresh().await {
        Ok(found) => found,
        Err(error) => {
            return tracing::error!(error = chain(&error), "could not look at the repositories");
        }
    };
    for (name, description) in found {
        let taken_in = async {
            match shared.store.repo(&name).await {
                Err(error) if error.is_not_found() => {
                    hosted.adopt(&name).await?;
                    let now = shared.world.now();
                    shared.store.add_repo(&name, &description, now).await?;
                    tracing::info!(repo = %name, "repository taken in");
                    Ok(())
                }
                known => known.map(|_| ()).map_err(EngineError::from),
            }
        };
        if let Err(error) = taken_in.await {
            tracing::error!(repo = %name, error = chain(&error), "could not take in a repository");
        }
    }
}

/// Makes pipelines of pushes that no hook could tell of, and empties the trash, until it is stopped.
pub(crate) async fn deliver(engine: Engine) {
    let Some(hosted) = engine.shared.source.hosted() else {
        return;
    };
    let mut look = tokio::time::interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let stop = engine.stop.clone();
    let looking = async {
        loop {
            look.tick().await;
            if let Err(error) = deliver_kept(&engine, hosted).await {
                tracing::error!(error = chain(&error), "could not look for pushes");
            }
            let trashed = i64::try_from(TRASHED.as_millis()).unwrap_or(i64::MAX);
            let before = engine
                .shared
                .world
                .now()
                .as_millis()
                .saturating_sub(trashed);
            if let Err(error) = hosted.empty_trash(before).await {
                tracing::error!(error = chain(&error), "could not empty the trash");
            }
        }
    };
    stop.run_until_cancelled(looking).await;
}

async fn deliver_kept(engine: &Engine, hosted: &Hosted) -> Result<(), EngineError> {
    let mut page = Page {
        limit: Page::MOST,
        cursor: None,
    };
    loop {
        let found = engine.store().repos(&page).await?;
        for repo in found.items {
            let kept = match hosted.kept_pushes(&repo.folder).await {
                Ok(kept) => kept,
                Err(error) => {
                    tracing::error!(repo = %repo.name, error = chain(&error), "could not look for pushes");
                    continue;
                }
            };
            for push in kept {
                if let Err(error) = deliver_push(engine, &repo, push).await {
                    // Those after it wait too, so that they come in their order.
                    tracing::error!(repo = %repo.name, error = chain(&error), "could not take a push");
                    break;
                }
            }
        }
        match found.next {
            Some(cursor) => page.cursor = Some(cursor),
            None => return Ok(()),
        }
    }
}

async fn deliver_push(engine: &Engine, repo: &Repo, push: KeptPush) -> Result<(), EngineError> {
    for update in &push.updates {
        let new = NewBuild {
            repo: repo.name.clone(),
            git_ref: update.git_ref.clone(),
            commit: update.after.clone(),
            base: update.before.clone(),
            author: None,
            delivery: Some(push.delivery(update)),
        };
        match engine.build(new).await {
            Ok(_) => {}
            // A tag of a file, say, or what was pushed away since and is gone.
            Err(EngineError::Invalid(why)) => {
                tracing::info!(repo = %repo.name, git_ref = update.git_ref.full(), why, "push ignored");
            }
            Err(error) => return Err(error),
        }
    }
    if let Err(error) = push.forget() {
        tracing::error!(repo = %repo.name, %error, "could not forget a push");
    }
    Ok(())
}

fn origin(hosted: &Hosted, repo: &Repo) -> Origin {
    Origin::Git {
        url: format!("file://{}", hosted.path(&repo.folder).display()),
    }
}
