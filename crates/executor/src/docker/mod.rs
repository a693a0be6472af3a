//! Jobs as Docker containers, through the daemon's API. Podman's is the same one.
//!
//! A job's way: the image is found or pulled (`image`), a container is described (`spec`), made and
//! started (`creation`) with its services (`services`), waited for (`exit`), tidied up after (`leftovers`) and removed. The job's
//! folder is mounted in the container, so its output never passes through the daemon. Where the daemon
//! can't see this machine's files, they are copied in and the output is read from the container's log
//! (`copy`, `pump`). What a step keeps or gets goes through the daemon in any case (`reach`): it alone sees
//! all of a container's files.
//!
//! Nothing about a job is kept in memory only: the container's name and labels say whose it is, and
//! the job's folder says how its files are shared. So a new server takes up what an old one started.

mod copy;
mod creation;
mod daemon;
mod exit;
mod image;
mod leftovers;
mod locks;
mod progress;
mod pump;
mod reach;
mod services;
mod spec;
mod trouble;
mod user;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bollard::errors::Error;
use bollard::models::ContainerSummary;
use bollard::query_parameters::{
    ListContainersOptions, ListContainersOptionsBuilder, RemoveContainerOptionsBuilder,
};
use model::{AttemptKey, ImageSpec};
use tokio::sync::OnceCell;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::creation::Creation;
use self::daemon::{Daemon, Endpoint};
use self::exit::Outage;
use self::image::{ImageName, Images};
use self::locks::Locks;
use self::pump::Pumps;
use self::services::Service;
use self::trouble::{Failure, Trouble};
use self::user::Identities;
use crate::credentials::{account, puller};
use crate::{Archive, Check, Executor, ExecutorError, Exit, JobDir, Launch, Place};

/// How to reach a daemon, and how to use it.
#[derive(Clone, Debug)]
pub struct DockerSettings {
    /// Where it listens, written as for `DOCKER_HOST`: `unix:///run/docker.sock`,
    /// `tcp://host:2375`, `ssh://user@host`. `None` means `DOCKER_HOST`, then the first socket of
    /// Docker or Podman that exists.
    pub host: Option<String>,
    /// Told apart by it, two servers on one machine never touch each other's containers.
    pub namespace: String,
    /// How a job's files get into its container.
    pub sharing: Sharing,
    /// For how long a job outlives a daemon that does not answer; after that, waiting for it fails.
    pub patience: Duration,
}

impl Default for DockerSettings {
    fn default() -> Self {
        Self {
            host: None,
            namespace: "popsicle".to_owned(),
            sharing: Sharing::Auto,
            patience: Duration::from_secs(30),
        }
    }
}

/// How a job's files get into its container and its output out of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sharing {
    /// Copied where the daemon is reached over a network; else mounted, unless the daemon turns out
    /// not to see this machine's files (a server in a container, a forwarded socket).
    #[default]
    Auto,
    /// The job's folder is mounted.
    Shared,
    /// The job's folder is copied in, and its output read from the container's log.
    Copied,
}

/// Runs jobs as containers of a Docker or Podman daemon.
///
/// It connects when it is first used. A container is made and started by a task of its own, which
/// takes it away again where `launch` was dropped meanwhile; `launch` and `remove` of the same
/// attempt wait for that task. Should the process die in between, the container is among those that
/// `held` tells of.
#[derive(Debug)]
pub struct DockerExecutor {
    shared: Arc<Shared>,
}

/// What the executor shares with the tasks it spawns.
#[derive(Debug)]
struct Shared {
    settings: DockerSettings,
    daemon: OnceCell<Daemon>,
    images: Images,
    identities: Identities,
    /// Held while a container is made, and by whoever must not meet a half-made one.
    attempts: Locks<AttemptKey>,
    pumps: Pumps,
    /// Set once the daemon has said that it does not see this machine's files.
    sees_nothing: AtomicBool,
    /// Set once a daemon that would not say so has been found to see them.
    sees_all: AtomicBool,
}

/// Why a job that wants a machine is not taken, and what to do.
const NO_MACHINES: &str = "the docker executor runs containers only; run `machine` jobs with the \
     native executor, on Linux, or give the job a `docker` image";

/// Whether there may be a daemon where `host` says, or else the environment, or at a usual place: a socket that
/// exists, or any address of a network.
pub fn may_be_there(host: Option<&str>) -> bool {
    Endpoint::find(host).may_be_there()
}

impl DockerExecutor {
    /// An executor with those settings; connects to nothing yet.
    pub fn new(settings: DockerSettings) -> Self {
        Self {
            shared: Arc::new(Shared {
                settings,
                daemon: OnceCell::new(),
                images: Images::default(),
                identities: Identities::default(),
                attempts: Locks::default(),
                pumps: Pumps::default(),
                sees_nothing: AtomicBool::new(false),
                sees_all: AtomicBool::new(false),
            }),
        }
    }
}

#[async_trait]
impl Executor for DockerExecutor {
    fn name(&self) -> &'static str {
        "docker"
    }

    fn accepts(&self, place: &Place, _: &[ImageSpec]) -> Result<(), String> {
        match place {
            Place::Container(_) => Ok(()),
            Place::Machine => Err(NO_MACHINES.to_owned()),
        }
    }

    async fn launch(&self, dir: &JobDir, launch: &Launch) -> Result<(), ExecutorError> {
        let spec = match &launch.place {
            Place::Container(spec) => spec,
            Place::Machine => return Err(ExecutorError::Rejected(NO_MACHINES.to_owned())),
        };
        let specs = [spec].into_iter().chain(&launch.services);
        let images = specs.map(|spec| Ok((spec, ImageName::parse(&spec.image)?)));
        let images: Vec<_> = images.collect::<Result<_, ExecutorError>>()?;
        // A daemon that restarts must not turn all that wait for their turn into errors.
        let mut outage = Outage::new(self.shared.settings.patience);
        loop {
            let again = outage.is_on();
            let failure = match self.try_launch(dir, launch, &images, again).await {
                Ok(()) => return Ok(()),
                Err(failure) => failure,
            };
            if !failure.is_away || outage.pause(&failure.error).await.is_err() {
                return Err(failure.error);
            }
        }
    }

    async fn wait(&self, dir: &JobDir) -> Result<Exit, ExecutorError> {
        self.shared.wait(dir).await
    }

    async fn take(&self, dir: &JobDir, path: &str) -> Result<Option<Archive>, ExecutorError> {
        self.shared.take(dir, path).await
    }

    async fn put(&self, dir: &JobDir, path: &str, archive: Archive) -> Result<(), ExecutorError> {
        self.shared.put(dir, path, archive).await
    }

    async fn interrupt(&self, dir: &JobDir) -> Result<(), ExecutorError> {
        self.shared.signal(dir, "SIGUSR1").await.map(drop)
    }

    async fn stop(&self, dir: &JobDir, grace: Duration) -> Result<(), ExecutorError> {
        self.shared.stop(dir, grace).await
    }

    async fn remove(&self, dir: &JobDir) -> Result<(), ExecutorError> {
        let shared = &self.shared;
        let _lock = shared.attempts.lock(&dir.key()).await;
        shared.pumps.end(dir.key());
        let daemon = shared.daemon().await?;
        shared.clear(daemon, dir).await?;
        remove(
            daemon,
            &spec::container_name(&shared.settings.namespace, dir.key()),
        )
        .await?;
        Ok(shared.remove_services(daemon, dir).await?)
    }

    async fn held(&self) -> Result<Vec<AttemptKey>, ExecutorError> {
        let options = ListContainersOptionsBuilder::default()
            .all(true)
            .filters(&HashMap::from([(
                "label",
                vec![format!(
                    "{}={}",
                    spec::NAMESPACE_LABEL,
                    self.shared.settings.namespace
                )],
            )]))
            .build();
        let daemon = self.shared.daemon().await?;
        let containers = list(daemon, options).await?;
        let attempts: BTreeSet<AttemptKey> = containers
            .into_iter()
            .filter_map(|container| spec::attempt_of(&container.labels?))
            .collect();
        Ok(attempts.into_iter().collect())
    }

    async fn check(&self) -> Check {
        match self.shared.daemon().await {
            Ok(daemon) => daemon.check().await,
            Err(failure) => Check {
                works: false,
                finding: failure.error.to_string(),
                mend: Some(
                    "start Docker (`systemctl start docker`) or Podman's socket (`systemctl start \
                     podman.socket`), see that this user may use it (on most systems: is in the \
                     group `docker`), or name another one in DOCKER_HOST"
                        .to_owned(),
                ),
            },
        }
    }
}

impl Shared {
    /// The daemon, connected to if it was not yet.
    async fn daemon(&self) -> Result<&Daemon, Failure> {
        self.daemon
            .get_or_try_init(|| Daemon::connect(Endpoint::find(self.settings.host.as_deref())))
            .await
    }

    /// Whether the next job's files are copied into its container.
    fn copies(&self, daemon: &Daemon) -> bool {
        match self.settings.sharing {
            Sharing::Shared => false,
            Sharing::Copied => true,
            // Elsewhere than on Linux the daemon lives in a virtual machine, and a FIFO does not
            // reach into it.
            Sharing::Auto => {
                !cfg!(target_os = "linux")
                    || daemon.endpoint.is_remote()
                    || self.sees_nothing.load(Ordering::Relaxed)
            }
        }
    }
}

impl DockerExecutor {
    /// Launches, if the daemon is there; `again` if it went away during an earlier try.
    async fn try_launch(
        &self,
        dir: &JobDir,
        launch: &Launch,
        images: &[(&ImageSpec, ImageName)],
        again: bool,
    ) -> Result<(), Failure> {
        let shared = &self.shared;
        let daemon = shared.daemon().await?.clone();
        let mut provided = Vec::with_capacity(images.len());
        for (spec, name) in images {
            let account = account(spec);
            let puller = puller(account.as_ref(), launch);
            let image = shared.images.provide(&daemon, (name, puller), dir);
            provided.push(Service {
                spec: (*spec).clone(),
                image: image.await?,
            });
        }
        let services = provided.split_off(1);
        let Some(Service { spec, image }) = provided.pop() else {
            let nothing = "the job has no image".to_owned();
            return Err(Failure::from(ExecutorError::Rejected(nothing)));
        };

        let mut launch = launch.clone();
        let (limits, told) = launch.limits.within(daemon.machine);
        launch.limits = limits;
        // During an earlier try it was told, and the job may run.
        if let Some(line) = told.filter(|_| !again) {
            dir.note(&line).map_err(|cause| ExecutorError::Io {
                path: dir.log(),
                cause,
            })?;
        }

        let lock = shared.attempts.lock(&dir.key()).await;
        let dropped = CancellationToken::new();
        let _tells = dropped.clone().drop_guard();
        let creation = Creation {
            shared: Arc::clone(shared),
            daemon,
            image,
            spec,
            services,
            launch,
            dir: dir.clone(),
            again,
            dropped,
        };
        // Joined here, or through the lock by whoever comes next.
        let made = tokio::spawn(async move {
            let made = creation.run().await;
            drop(lock);
            made
        });
        made.await.map_err(|error| ExecutorError::Unavailable {
            what: "could not start the job's container".to_owned(),
            cause: error.to_string(),
        })?
    }
}

/// For how long a list that can't be read is asked for again.
const LIST_BOUND: Duration = Duration::from_secs(10);
/// For how long a removal that the daemon can't finish is tried again.
const REMOVAL_BOUND: Duration = Duration::from_secs(20);

/// The containers that `options` name.
async fn list(
    daemon: &Daemon,
    options: ListContainersOptions,
) -> Result<Vec<ContainerSummary>, Failure> {
    let started = Instant::now();
    loop {
        match daemon.docker.list_containers(Some(options.clone())).await {
            Ok(containers) => return Ok(containers),
            // Of a container that is just ending, Podman tells a state that is not in the API.
            Err(Error::JsonDataError { .. }) if started.elapsed() < LIST_BOUND => {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            Err(error) => {
                return Err(Failure::new("could not list the jobs' containers", &error));
            }
        }
    }
}

/// Removes a container, given by its name or id, with its anonymous volumes; running or not.
async fn remove(daemon: &Daemon, container: &str) -> Result<(), Failure> {
    let options = RemoveContainerOptionsBuilder::default()
        .force(true)
        .v(true)
        .build();
    let started = Instant::now();
    loop {
        let removed = daemon
            .docker
            .remove_container(container, Some(options.clone()))
            .await;
        let Err(error) = removed else { return Ok(()) };
        match Trouble::of(&error) {
            Trouble::Missing => return Ok(()),
            // Another removal of it is under way, or its file system is still in use.
            Trouble::Conflict | Trouble::Fault if started.elapsed() < REMOVAL_BOUND => {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            Trouble::Conflict | Trouble::Fault | Trouble::Refused | Trouble::Lost => {
                return Err(Failure::new("could not remove the job's container", &error));
            }
        }
    }
}
