//! Jobs as containers of our own making, without any daemon: Linux namespaces, and for a root either a
//! copy-on-write view of this machine or an image's layers, which [`image::ImageStore`] has.
//!
//! The executor writes down what to run, starts a shim ([`shim::main`]) and hears from it whether the
//! job runs. From then on the job directory tells everything ([`order`] lists its files), so that
//! another executor, in another process, can wait for the job, stop it and remove it.
//!
//! Why not `libcontainer`, which does the same from an OCI bundle: it fails where it can't make a
//! control group in every old hierarchy, which keeps an ordinary user of a machine with old or mixed
//! control groups from running anything; and by the system calls it makes it needs Linux 5.12, where
//! these need 5.3. Speed is no reason: with limits set both take the same time; only without limits,
//! where no group is made here, is this faster by a third. What it would save is little: [`root`],
//! [`confine`] and [`groups`] are each a list of system calls.
//!
//! Known limits: the network is the machine's, a job of an ordinary user keeps that user's groups, and
//! images are for root alone.

mod check;
mod confine;
mod groups;
mod holder;
mod layers;
mod mounts;
mod order;
mod process;
mod reach;
mod root;
mod seccomp;
pub mod shim;

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use async_trait::async_trait;
use image::{Held, ImageError, ImageName, ImageStore, ImageStoreSettings};
use model::{AttemptKey, ImageSpec};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::credentials::{account, puller};
use crate::{Archive, Check, Executor, ExecutorError, Exit, JobDir, Launch, Limits, Place};
use groups::Hierarchies;
use holder::Holder;
use order::{Files, ImageOrder, Order, Reply};

/// How long a job may take to start: it takes milliseconds, unless the machine is out of something.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// The longest line that a shim may answer, in bytes.
const REPLY_LIMIT: u64 = 64 * 1024;

/// Why a job with service containers is left to others: its network is this machine's, where the ports of
/// two jobs' services would meet.
const NO_SERVICES: &str = "it has no service containers, since its jobs share the network of this machine; they need Docker or Podman";

/// How the native executor is set up.
#[derive(Clone, Debug)]
pub struct NativeSettings {
    /// The folder of all job directories; hidden from jobs.
    pub jobs: PathBuf,
    /// This server's name among those that share `jobs`.
    pub namespace: String,
    /// How to start a program that calls [`shim::main`] with its last arguments, which are appended
    /// here: `[<this program>, "shim"]`.
    pub shim: Vec<OsString>,
    /// What jobs must not see of this machine, beside `/home`, `/root`, `/run`, `/tmp` and
    /// `/var/tmp`: the server's data. What is not there is left out.
    pub hidden: Vec<PathBuf>,
    /// For each limit that a launch doesn't state.
    pub limits: Limits,
    /// Where images are kept.
    pub images: ImageStoreSettings,
}

/// Runs jobs on this machine itself.
#[derive(Debug)]
pub struct NativeExecutor {
    settings: NativeSettings,
    hierarchies: Hierarchies,
    images: ImageStore,
}

impl NativeExecutor {
    /// An executor of these settings; looks what control groups this machine has.
    pub fn new(settings: NativeSettings) -> Self {
        Self {
            images: ImageStore::new(settings.images.clone()),
            settings,
            hierarchies: Hierarchies::find(),
        }
    }

    /// The job's image, pulled if it is not here.
    async fn image(
        &self,
        dir: &JobDir,
        spec: &ImageSpec,
        launch: &Launch,
    ) -> Result<Held, ExecutorError> {
        let account = account(spec);
        let puller = puller(account.as_ref(), launch);
        let name = ImageName::parse(&spec.image)?;
        let say = |line: &str| {
            // The job tells at its start whether its log can be written.
            if let Err(error) = dir.note(line) {
                tracing::warn!(job = %dir.key(), %error, "the log of a job does not take how its image is pulled");
            }
        };
        Ok(self.images.provide(&name, puller, &say).await?)
    }

    fn order(&self, dir: &JobDir, launch: &Launch, held: Option<&Held>) -> Order {
        let (asked, default) = (launch.limits, self.settings.limits);
        let limits = Limits {
            memory_bytes: asked.memory_bytes.or(default.memory_bytes),
            millicpus: asked.millicpus.or(default.millicpus),
            pids: asked.pids.or(default.pids),
        };
        let (limits, told) = limits.within(this_machine());
        if let Some(line) = told
            && let Err(error) = dir.note(&line)
        {
            tracing::debug!(%error, "could not tell of a job's limits");
        }
        let mut hidden = self.settings.hidden.clone();
        hidden.push(self.settings.jobs.clone());
        Order {
            namespace: self.settings.namespace.clone(),
            launch: without_secrets(launch),
            path: match held {
                Some(_) => layers::SEARCH_PATH.to_owned(),
                None => search_path(),
            },
            image: held.zip(spec_of(launch)).map(|(held, spec)| ImageOrder {
                name: spec.image.clone(),
                layers: held.layers.clone(),
                user: spec.user.clone().unwrap_or_else(|| held.image.user.clone()),
                home: variables(held)
                    .filter(|(name, _)| *name == "HOME")
                    .map(|(_, home)| home.to_owned())
                    .last(),
            }),
            hidden,
            groups: self.hierarchies.plan(dir.key(), &limits),
        }
    }

    /// Starts the shim; the lock is its from the first moment.
    fn spawn(
        &self,
        dir: &JobDir,
        order: &Order,
        environment: &[(String, String)],
    ) -> Result<Child, ExecutorError> {
        for path in [dir.io(), dir.work()] {
            fs::metadata(&path).map_err(|cause| ExecutorError::Io { path, cause })?;
        }
        let files = Files::of(dir);
        files.write_order(order)?;
        files.write_environment(environment)?;
        let lock = holder::lock(&files)?;
        let path = files.log();
        let log = File::create(&path).map_err(|cause| ExecutorError::Io { path, cause })?;
        let unavailable = |cause: String| ExecutorError::Unavailable {
            what: format!("could not start the shim `{}`", self.shim()),
            cause,
        };
        let [program, arguments @ ..] = self.settings.shim.as_slice() else {
            return Err(unavailable("no program is set".to_owned()));
        };
        let dir =
            std::path::absolute(dir.path()).map_err(|error| unavailable(error.to_string()))?;
        Command::new(program)
            .args(arguments)
            .arg(dir)
            // The server's environment holds secrets, and a job's user may be the shim's.
            .env_clear()
            .current_dir("/")
            .stdin(lock)
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .map_err(|error| unavailable(error.to_string()))
    }

    fn shim(&self) -> String {
        let words = self.settings.shim.iter().map(|word| word.to_string_lossy());
        words.collect::<Vec<_>>().join(" ")
    }

    /// Starts the job, and leaves nothing behind on an error.
    async fn try_launch(&self, dir: &JobDir, launch: &Launch) -> Result<(), ExecutorError> {
        self.accepts(&launch.place, &launch.services)
            .map_err(ExecutorError::Rejected)?;
        // An earlier launch may have been given up at any point.
        self.remove(dir).await?;
        let Err(error) = self.start(dir, launch).await else {
            return Ok(());
        };
        if let Err(second) = self.remove(dir).await {
            tracing::warn!(job = %dir.key(), %second, "a job that could not be started left things behind");
        }
        Err(error)
    }

    /// Starts the job; on an error something may be left.
    async fn start(&self, dir: &JobDir, launch: &Launch) -> Result<(), ExecutorError> {
        let held = match &launch.place {
            Place::Container(spec) => Some(self.image(dir, spec, launch).await?),
            Place::Machine => None,
        };
        let order = self.order(dir, launch, held.as_ref());
        let environment = environment(launch, held.as_ref());
        // The layers are held here until the shim holds them.
        let mut shim = self.spawn(dir, &order, &environment)?;
        let reply = timeout(START_TIMEOUT, reply(&mut shim)).await;
        let what = format!("could not hear from the shim `{}`", self.shim());
        let reply = reply.unwrap_or_else(|_| {
            let seconds = START_TIMEOUT.as_secs();
            Err(io::Error::other(format!("no answer for {seconds} s")))
        });
        match reply {
            Ok(Some(Reply::Started)) => Ok(()),
            Ok(Some(Reply::Rejected(why))) => Err(ExecutorError::Rejected(why)),
            Ok(Some(Reply::Failed { what, cause })) => {
                Err(ExecutorError::Unavailable { what, cause })
            }
            Ok(None) => Err(ExecutorError::Unavailable {
                what,
                cause: last_words(&Files::of(dir)),
            }),
            Err(cause) => Err(ExecutorError::Unavailable {
                what,
                cause: cause.to_string(),
            }),
        }
    }
}

/// What this machine has.
fn this_machine() -> Limits {
    let cpus = std::thread::available_parallelism().ok();
    let cpus = cpus.and_then(|cpus| u64::try_from(cpus.get()).ok());
    let memory = rustix::system::sysinfo();
    Limits {
        memory_bytes: Some(memory.totalram.saturating_mul(u64::from(memory.mem_unit))),
        millicpus: cpus.map(|cpus| cpus * 1000),
        pids: None,
    }
}

#[async_trait]
impl Executor for NativeExecutor {
    fn name(&self) -> &'static str {
        "native"
    }

    fn accepts(&self, place: &Place, services: &[ImageSpec]) -> Result<(), String> {
        if !services.is_empty() {
            return Err(NO_SERVICES.to_owned());
        }
        match place {
            Place::Machine => check::accept(),
            Place::Container(_) => check::accept_images(),
        }
    }

    async fn launch(&self, dir: &JobDir, launch: &Launch) -> Result<(), ExecutorError> {
        self.try_launch(dir, launch).await.map_err(check::advise)
    }

    async fn wait(&self, dir: &JobDir) -> Result<Exit, ExecutorError> {
        let files = Files::of(dir);
        if let Some(holder) = Holder::find(&files).await? {
            holder.gone().await?;
        }
        // A shim that was killed has written nothing, but the job's script may have.
        files
            .read_exit()?
            .or_else(|| dir.exit_code().map(Exit::Code))
            .ok_or(ExecutorError::Vanished)
    }

    async fn take(&self, dir: &JobDir, path: &str) -> Result<Option<Archive>, ExecutorError> {
        reach::take(&self.settings.shim, dir, path).await
    }

    async fn put(&self, dir: &JobDir, path: &str, archive: Archive) -> Result<(), ExecutorError> {
        reach::put(&self.settings.shim, dir, path, archive).await
    }

    async fn interrupt(&self, dir: &JobDir) -> Result<(), ExecutorError> {
        if let Some(holder) = Holder::find(&Files::of(dir)).await? {
            holder.interrupt();
        }
        Ok(())
    }

    async fn stop(&self, dir: &JobDir, grace: Duration) -> Result<(), ExecutorError> {
        let Some(holder) = Holder::find(&Files::of(dir)).await? else {
            return Ok(());
        };
        match timeout(grace, holder.ask()).await {
            Ok(gone) => gone,
            Err(_) => holder.kill().await,
        }
    }

    async fn remove(&self, dir: &JobDir) -> Result<(), ExecutorError> {
        let files = Files::of(dir);
        if let Some(holder) = Holder::find(&files).await? {
            holder.kill().await?;
        }
        spawn_blocking(move || clean(&files))
            .await
            .map_err(|error| ExecutorError::Unavailable {
                what: "could not remove what a job left".to_owned(),
                cause: error.to_string(),
            })?
    }

    async fn held(&self) -> Result<Vec<AttemptKey>, ExecutorError> {
        let (jobs, namespace) = (self.settings.jobs.clone(), self.settings.namespace.clone());
        spawn_blocking(move || held(&jobs, &namespace))
            .await
            .map_err(|error| ExecutorError::Unavailable {
                what: "could not list the jobs".to_owned(),
                cause: error.to_string(),
            })?
    }

    async fn check(&self) -> Check {
        check::check(self).await
    }
}

fn spec_of(launch: &Launch) -> Option<&ImageSpec> {
    match &launch.place {
        Place::Container(spec) => Some(spec),
        Place::Machine => None,
    }
}

/// What may be written down about a job for as long as it runs.
fn without_secrets(launch: &Launch) -> Launch {
    let place = match &launch.place {
        Place::Container(spec) => Place::Container(ImageSpec {
            environment: Vec::new(),
            auth: None,
            ..spec.clone()
        }),
        Place::Machine => Place::Machine,
    };
    Launch {
        place,
        services: Vec::new(),
        working_directory: launch.working_directory.clone(),
        environment: Vec::new(),
        limits: launch.limits,
        anonymous: launch.anonymous,
    }
}

/// An image's own variables.
fn variables(held: &Held) -> impl Iterator<Item = (&str, &str)> {
    let pairs = held.image.environment.iter();
    pairs.filter_map(|pair| pair.split_once('='))
}

/// All variables, later ones winning: the image's, those of its stanza in the config, the job's.
fn environment(launch: &Launch, held: Option<&Held>) -> Vec<(String, String)> {
    let own = held.into_iter().flat_map(variables);
    let own = own.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let stanza = spec_of(launch)
        .into_iter()
        .flat_map(|spec| &spec.environment);
    own.chain(stanza.chain(&launch.environment).cloned())
        .collect()
}

impl From<ImageError> for ExecutorError {
    fn from(error: ImageError) -> Self {
        match error {
            ImageError::Rejected(why) => Self::Rejected(why),
            ImageError::Unavailable { what, cause } => Self::Unavailable { what, cause },
            ImageError::Io { path, cause } => Self::Io { path, cause },
        }
    }
}

/// Reads the shim's answer; `None` if it ended without one.
async fn reply(shim: &mut Child) -> io::Result<Option<Reply>> {
    let Some(out) = shim.stdout.take() else {
        return Ok(None);
    };
    let mut line = String::new();
    BufReader::new(out.take(REPLY_LIMIT))
        .read_line(&mut line)
        .await?;
    if line.is_empty() {
        return Ok(None);
    }
    Ok(serde_json::from_str(&line).map(Some)?)
}

/// What a shim that ended without an answer had to say.
fn last_words(files: &Files) -> String {
    let log = fs::read(files.log()).unwrap_or_default();
    let log = String::from_utf8_lossy(&log);
    match log.lines().rev().find(|line| !line.trim().is_empty()) {
        Some(line) => format!("it ended: {}", line.trim()),
        None => "it ended without a word".to_owned(),
    }
}

/// The server's own search path, and the usual folders after it.
fn search_path() -> String {
    let own = std::env::var("PATH").unwrap_or_default();
    let mut folders = own
        .split(':')
        .filter(|folder| folder.starts_with('/'))
        .collect::<Vec<_>>();
    for usual in [
        "/usr/local/sbin",
        "/usr/local/bin",
        "/usr/sbin",
        "/usr/bin",
        "/sbin",
        "/bin",
    ] {
        if !folders.contains(&usual) {
            folders.push(usual);
        }
    }
    folders.join(":")
}

/// Removes all of ours from a job directory that nobody holds. The order goes last: as long as it is
/// there, the job is held.
fn clean(files: &Files) -> Result<(), ExecutorError> {
    // An order that can't be read was never carried out: it is written before the shim is started.
    if let Ok(Some(order)) = files.read_order() {
        order
            .groups
            .remove()
            .map_err(|cause| ExecutorError::Unavailable {
                what: "could not remove the job's control group".to_owned(),
                cause: cause.to_string(),
            })?;
    }
    let scratch = files.scratch();
    remove_tree(&scratch).map_err(|cause| ExecutorError::Io {
        path: scratch,
        cause,
    })?;
    for path in [
        files.shim(),
        files.init(),
        files.inside(),
        files.exit(),
        files.exit_draft(),
        files.log(),
        files.environment(),
        files.lock(),
        files.order(),
    ] {
        match fs::remove_file(&path) {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
                return Err(ExecutorError::Io { path, cause });
            }
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

/// Removes a folder whose owner may have been shut out of parts of it by the job.
fn remove_tree(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            open_folders(path)?;
            fs::remove_dir_all(path)
        }
        other => other,
    }
}

fn open_folders(path: &Path) -> io::Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(0o700))?;
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        // Not of what a link points to.
        if entry.file_type()?.is_dir() {
            open_folders(&entry.path())?;
        }
    }
    Ok(())
}

fn held(jobs: &Path, namespace: &str) -> Result<Vec<AttemptKey>, ExecutorError> {
    let error = |cause| ExecutorError::Io {
        path: jobs.to_owned(),
        cause,
    };
    let entries = match fs::read_dir(jobs) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(error)?,
    };
    let mut keys = Vec::new();
    for entry in entries {
        let name = entry.map_err(error)?.file_name();
        let Some(key) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let order = Files::of(&JobDir::new(jobs, key)).read_order();
        if let Ok(Some(order)) = order
            && order.namespace == namespace
        {
            keys.push(key);
        }
    }
    keys.sort();
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use model::ImageAuth;

    use super::*;

    #[test]
    fn no_secret_is_written_down() {
        let secret = || ImageSpec {
            image: "acme/x".into(),
            environment: vec![("A".into(), "secret".into())],
            auth: Some(ImageAuth::Registry {
                username: "me".into(),
                password: "secret".into(),
            }),
            ..ImageSpec::default()
        };
        let launch = Launch {
            place: Place::Container(secret()),
            services: vec![secret()],
            working_directory: "~/project".into(),
            environment: vec![("B".into(), "secret".into())],
            limits: Limits::default(),
            anonymous: false,
        };
        let written = serde_json::to_string(&without_secrets(&launch)).unwrap();
        assert!(written.contains("acme/x"), "{written}");
        assert!(!written.contains("secret"), "{written}");
    }
}
