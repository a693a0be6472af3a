//! Makes and starts one container, and leaves nothing behind where that fails.
//!
//! This runs in a task of its own. A request whose future is dropped may still be granted by the
//! daemon, and a container made that way would have no owner; so the task carries on, learns the id,
//! and takes the container away again.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bollard::errors::Error;
use bollard::models::ContainerCreateBody;
use bollard::query_parameters::CreateContainerOptionsBuilder;
use model::ImageSpec;
use tokio_util::sync::CancellationToken;

use super::copy::{self, Folder, Seen};
use super::daemon::{Daemon, Maker};
use super::exit::{self, State};
use super::image::Image;
use super::pump::Copied;
use super::reach::Inside;
use super::services::{self, Service};
use super::spec::{self, Files, Network};
use super::trouble::{self, Failure, Trouble};
use super::{Shared, Sharing};
use crate::{CONTAINER_DIR, ExecutorError, JobDir, Launch};

/// One container to be made.
pub(super) struct Creation {
    /// The executor's.
    pub(super) shared: Arc<Shared>,
    /// Where.
    pub(super) daemon: Daemon,
    /// Of which image, which is there.
    pub(super) image: Image,
    /// The image as the job asks for it.
    pub(super) spec: ImageSpec,
    /// What runs beside it.
    pub(super) services: Vec<Service>,
    /// What the job asks for besides.
    pub(super) launch: Launch,
    /// The job's folder.
    pub(super) dir: JobDir,
    /// Whether the daemon went away during an earlier try, which may have come to its end.
    pub(super) again: bool,
    /// Set when nobody waits for the container any more.
    pub(super) dropped: CancellationToken,
}

/// Why no container was made.
enum Unmade {
    /// For good.
    Failed(Failure),
    /// The daemon does not see the job's folder.
    Unseen(ExecutorError),
}

impl<E: Into<Failure>> From<E> for Unmade {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

impl Creation {
    /// Makes the container and starts it, after its services.
    pub(super) async fn run(self) -> Result<(), Failure> {
        if self.again && self.went_on().await? {
            return Ok(());
        }
        let made = match self.start_services().await {
            Ok(network) => self.make_anywhere(&network).await,
            Err(failure) => Err(failure),
        };
        let is_away = made.as_ref().is_err_and(|failure| failure.is_away);
        // While the daemon is away they can't be removed; the next try makes them anew.
        if (made.is_err() || self.dropped.is_cancelled())
            && !is_away
            && let Err(Failure { error, .. }) =
                self.shared.remove_services(&self.daemon, &self.dir).await
        {
            tracing::warn!("service containers are left behind: {error}");
        }
        made
    }

    /// Starts the job's services, in the network that they share with it, which is returned.
    async fn start_services(&self) -> Result<Network, Failure> {
        if self.services.is_empty() {
            return Ok(Network::Own);
        }
        let (namespace, key) = (&self.shared.settings.namespace, self.dir.key());
        if self.again {
            // What an earlier try made is joined to each other, and can't be replaced one by one.
            self.shared.remove_services(&self.daemon, &self.dir).await?;
        }
        services::keep(&self.dir, namespace, &self.services)?;
        let body = spec::network(&self.launch, self.spec.image.clone(), self.daemon.maker)?;
        let name = spec::network_name(namespace, key);
        self.run_beside(&name, &self.image, body)
            .await?
            .map_err(|error| Failure::from_unmade(self.not_started(&error)))?;
        let network = Network::Of(name);
        for (index, service) in self.services.iter().enumerate() {
            let name = spec::service_name(namespace, key, index);
            let limits = self.launch.limits;
            let body = spec::service(&service.spec, &network, limits, self.daemon.maker);
            let started = self.run_beside(&name, &service.image, body).await?;
            let shown = service.shown();
            started.map_err(|error| not_served(&shown, &error))?;
            let started = self.dir.note(&format!("Started service container {shown}"));
            started.map_err(|cause| ExecutorError::Io {
                path: self.dir.log(),
                cause,
            })?;
        }
        Ok(network)
    }

    /// Makes and starts a container that is not the job's own; what the daemon says to the start.
    async fn run_beside(
        &self,
        name: &str,
        image: &Image,
        mut body: ContainerCreateBody,
    ) -> Result<Result<(), Error>, Failure> {
        if self.dropped.is_cancelled() {
            return Err(Failure::from(ExecutorError::Vanished));
        }
        body.labels = Some(spec::labels(
            &self.shared.settings.namespace,
            self.dir.key(),
        ));
        let container = self.create(name, image, body).await;
        let container = container.map_err(Failure::from_unmade)?;
        let docker = &self.daemon.docker;
        Ok(docker.start_container(&container, None).await)
    }

    async fn make_anywhere(&self, network: &Network) -> Result<(), Failure> {
        let files = if self.shared.copies(&self.daemon) {
            Files::Copied
        } else {
            Files::Mounted
        };
        let made = match (
            self.make(files, network).await,
            self.shared.settings.sharing,
        ) {
            (Err(Unmade::Unseen(_)), Sharing::Auto) => {
                tracing::info!(
                    "Docker at `{}` does not see this machine's files; jobs' files are copied",
                    self.daemon.endpoint
                );
                self.shared.sees_nothing.store(true, Ordering::Relaxed);
                self.make(Files::Copied, network).await
            }
            (made, Sharing::Auto | Sharing::Shared | Sharing::Copied) => made,
        };
        made.map_err(Failure::from_unmade)
    }

    /// Whether the earlier try's container has run: its script must not run twice. One that has not
    /// is taken away.
    async fn went_on(&self) -> Result<bool, Failure> {
        let settings = &self.shared.settings;
        let name = spec::container_name(&settings.namespace, self.dir.key());
        let state = exit::look(&self.daemon, &name, settings.patience).await;
        let away = |error| Failure {
            error,
            is_away: true,
        };
        match state.map_err(away)? {
            State::Running | State::Exited { .. } => Ok(true),
            State::Created => super::remove(&self.daemon, &name).await.map(|()| false),
            State::Absent => Ok(false),
        }
    }

    async fn make(&self, files: Files, network: &Network) -> Result<(), Unmade> {
        self.shared.pumps.end(self.dir.key());
        let namespace = &self.shared.settings.namespace;
        let name = spec::container_name(namespace, self.dir.key());
        let labels = spec::labels(namespace, self.dir.key());
        let user = self.spec.user.as_deref().unwrap_or(&self.image.user);

        let probe = (name.as_str(), labels.clone());
        let identity = self
            .shared
            .identities
            .resolve(&self.daemon, &self.image, user, probe)
            .await?;
        let working_directory =
            spec::working_directory(&self.launch.working_directory, &identity.home)?;
        Inside {
            home: identity.home.clone(),
            working_directory: working_directory.clone(),
            uid: identity.uid,
            gid: identity.gid,
        }
        .write(&self.dir)?;
        let mut body = spec::container(
            &self.dir,
            &self.spec,
            &self.launch,
            (&identity, &working_directory),
            (files, network),
            self.daemon.maker,
        )?;
        body.labels = Some(labels);
        let container = self.create(&name, &self.image, body).await?;

        let copied = match files {
            Files::Mounted => None,
            Files::Copied => Some(Copied {
                working_directory,
                uid: identity.uid,
                gid: identity.gid,
                log_base_bytes: 0,
            }),
        };
        let started = self.start(&container, &name, copied).await;
        if let Err(Unmade::Failed(failure)) = &started
            && failure.is_away
        {
            // It can't be removed either, and may even have been started.
            return started;
        }
        let abandoned = self.dropped.is_cancelled();
        if started.is_err() || abandoned {
            self.shared.pumps.end(self.dir.key());
            if let Err(Failure { error, .. }) = super::remove(&self.daemon, &container).await {
                tracing::warn!("container `{name}`, which did not start, is left behind: {error}");
            }
        }
        started
    }

    /// Makes the container, in the place of one that a dropped launch left. Returns its id.
    async fn create(
        &self,
        name: &str,
        image: &Image,
        body: ContainerCreateBody,
    ) -> Result<String, Unmade> {
        let options = CreateContainerOptionsBuilder::default().name(name).build();
        let docker = &self.daemon.docker;
        let mut made = docker
            .create_container(Some(options.clone()), body.clone())
            .await;
        if let Err(error) = &made
            && Trouble::of(error) == Trouble::Conflict
            // Else it may be the container of a launch that came after this one was dropped.
            && !self.dropped.is_cancelled()
        {
            super::remove(&self.daemon, name).await?;
            made = docker.create_container(Some(options), body).await;
        }
        let error = match made {
            Ok(made) => return Ok(made.id),
            Err(error) => error,
        };
        let what = format!("could not make a container of image `{}`", image.name);
        let words = trouble::words(&error);
        if is_unseen(&words) {
            return Err(unseen(what, &words));
        }
        Err(match Trouble::of(&error) {
            Trouble::Refused => Unmade::from(ExecutorError::Rejected(format!(
                "the job's container can't be made: {words}"
            ))),
            Trouble::Missing | Trouble::Conflict | Trouble::Fault | Trouble::Lost => {
                Unmade::from(Failure::new(what, &error))
            }
        })
    }

    /// Copies the files in if they have to be, and starts the container.
    async fn start(
        &self,
        container: &str,
        name: &str,
        copied: Option<Copied>,
    ) -> Result<(), Unmade> {
        let mut seen = Seen::default();
        if let Some(copied) = &copied {
            let folders = [
                Folder::owned_by_root(self.dir.io(), CONTAINER_DIR),
                copied.work(&self.dir),
            ];
            seen = copy::upload(&self.daemon, container, folders.to_vec(), seen).await?;
        }
        if copied.is_none() {
            self.see_folder(container).await?;
        }
        if self.dropped.is_cancelled() {
            return Err(Unmade::from(ExecutorError::Vanished));
        }
        // The engine may answer as soon as it sees a question in the log, so all is in place first.
        let pump = match copied {
            None => None,
            Some(copied) => Some(copied.prepare(&self.daemon, name, &self.dir, seen)?),
        };
        self.daemon
            .docker
            .start_container(container, None)
            .await
            .map_err(|error| self.not_started(&error))?;
        if let Some(pump) = pump {
            self.shared
                .pumps
                .begin(self.dir.key(), pump, self.shared.settings.patience);
        }
        Ok(())
    }

    /// Of a folder that it does not see, Podman 4 makes an empty one, where others refuse the mount.
    /// So until one is found to be seen, a file of the job's is looked for in its container.
    async fn see_folder(&self, container: &str) -> Result<(), Unmade> {
        let (shared, daemon) = (&self.shared, &self.daemon);
        if daemon.maker != Maker::Podman
            || shared.settings.sharing != Sharing::Auto
            || shared.sees_all.load(Ordering::Relaxed)
        {
            return Ok(());
        }
        let what = "could not look for the job's files in its container";
        let log = format!("{CONTAINER_DIR}/log");
        match copy::read_file(daemon, container, &log, 1).await {
            Ok(Some(_)) => {
                shared.sees_all.store(true, Ordering::Relaxed);
                Ok(())
            }
            Ok(None) => Err(unseen(what.to_owned(), "its log is not there")),
            Err(error) if Trouble::of(&error) == Trouble::Lost => {
                Err(Unmade::from(Failure::new(what, &error)))
            }
            // Whatever it is, the start says it better.
            Err(_) => Ok(()),
        }
    }

    fn not_started(&self, error: &Error) -> Unmade {
        let words = trouble::words(error);
        let image = &self.image.name;
        let what = format!("could not start a container of image `{image}`");
        if is_unseen(&words) {
            return unseen(what, &words);
        }
        if words.contains("passwd") || words.contains("unable to find user") {
            let user = self.spec.user.as_deref().unwrap_or(&self.image.user);
            return Unmade::from(ExecutorError::Rejected(format!(
                "image `{image}` has no user `{user}`: {words}"
            )));
        }
        if words.contains("\"/bin/sh\"") {
            return Unmade::from(ExecutorError::Rejected(format!(
                "image `{image}` has no `/bin/sh`, which every job needs: {words}"
            )));
        }
        Unmade::from(Failure::new(what, error))
    }
}

impl Failure {
    fn from_unmade(unmade: Unmade) -> Self {
        match unmade {
            Unmade::Failed(failure) => failure,
            Unmade::Unseen(error) => Self::from(error),
        }
    }
}

/// Parts of what daemons say where a container's first process can't be run, or its user not be found.
const NOT_RUNNABLE: [&str; 6] = [
    "executable file",
    "no such file or directory",
    "permission denied",
    "exec format error",
    "passwd",
    "unable to find user",
];

/// Why a service was not started: mostly its image or what it is to run, which the user can mend.
fn not_served(shown: &str, error: &Error) -> Failure {
    let words = trouble::words(error);
    let what = format!("service container {shown} can't be started");
    let is_theirs = NOT_RUNNABLE
        .iter()
        .any(|part| words.to_lowercase().contains(part));
    match Trouble::of(error) {
        Trouble::Lost => Failure::new(what, error),
        Trouble::Refused => Failure::from(ExecutorError::Rejected(format!("{what}: {words}"))),
        Trouble::Missing | Trouble::Conflict | Trouble::Fault if is_theirs => {
            Failure::from(ExecutorError::Rejected(format!("{what}: {words}")))
        }
        Trouble::Missing | Trouble::Conflict | Trouble::Fault => Failure::new(what, error),
    }
}

/// Whether a daemon says of a folder that it should mount that there is none. Docker does when a
/// container is made, Podman (`statfs …: no such file or directory`) then or when it is started.
fn is_unseen(words: &str) -> bool {
    words.contains("source path does not exist")
        || (words.contains("statfs") && words.contains("no such file or directory"))
}

fn unseen(what: String, words: &str) -> Unmade {
    Unmade::Unseen(ExecutorError::Unavailable {
        what,
        cause: format!("the daemon does not see this machine's files, so copy them: {words}"),
    })
}
