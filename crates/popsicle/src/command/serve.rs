//! `popsicle serve`: the server, from its first line to its last.

use std::fs::{DirBuilder, File};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use engine::{Engine, EngineTasks, SystemWorld};
use rustix::fs::FlockOperation;
use server::{Auth, ServerSettings};
use store::{Blobs, Keyring, Logs, Store};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::cli::ServeArgs;
use crate::error::{Exit, Failure};
use crate::metrics::Recorder;
use crate::settings::{
    AuthChoice, Settings, namespace, secrets_keys, webhook_secret, webhook_secret_path,
};
use crate::wiring;

/// How long the engine and the store may take to stop. Whatever they leave, the next start finds.
const STOP: Duration = Duration::from_secs(10);

/// Serves until `SIGTERM` or `SIGINT`; a second one ends it at once. Jobs that run then go on without
/// the server.
pub async fn run(_: ServeArgs, settings: Settings) -> Result<Exit, Failure> {
    let Signals { stop, at_once } = signals()?;
    tokio::select! {
        served = serve(&settings, stop) => served,
        () = at_once.cancelled() => Err(Failure::unable("ended by a second signal, before all had stopped")),
    }
}

async fn serve(settings: &Settings, stop: CancellationToken) -> Result<Exit, Failure> {
    let recorder = Recorder::install()?;
    let listener = listen(settings).await?;
    let address = listener
        .local_addr()
        .map_err(|error| Failure::unable(format_args!("the listener has no address: {error}")))?;
    let _lock = take_data_dir(settings)?;
    let place = Place::of(settings)?;
    let secret = webhook_secret(settings)
        .map_err(|error| Failure::unable(format_args!("can't keep the webhook secret: {error}")))?;
    let github = wiring::github(settings, secret)?;
    let forges = vec![github];
    let keys = secrets_keys(settings).map_err(|error| {
        Failure::unable(format_args!("can't use the key for secrets: {error}"))
            .hint("put the key back that secrets were encrypted with; with another one they can't be read")
    })?;

    let start = async {
        let store = Store::open(&settings.database_url).await.map_err(unable)?;
        let (engine, tasks) = start_engine(
            settings,
            &place,
            store.clone(),
            keys,
            forges.clone(),
            address,
        )
        .await?;
        Ok::<_, Failure>((store, engine, tasks))
    };
    // An engine of containers that does not answer must not keep us from stopping.
    let Some(started) = stop.run_until_cancelled(start).await else {
        tracing::info!("stopped before it served");
        return Ok(Exit::Success);
    };
    let (store, engine, mut tasks) = started?;
    let parts = server::Parts {
        engine,
        forges,
        settings: ServerSettings {
            public_url: Some(settings.public_url(address)),
            host_name: rustix::system::uname()
                .nodename()
                .to_str()
                .ok()
                .map(str::to_owned),
            auth: match *settings.auth {
                AuthChoice::None => Auth::None,
                AuthChoice::Token => Auth::Token,
            },
            ..ServerSettings::default()
        },
        world: Arc::new(SystemWorld),
        metrics: Some(recorder.text()),
        stop: stop.clone(),
    };
    tracing::info!(
        url = %settings.public_url(address),
        data = %settings.data_dir.display(),
        webhook_secret = %match &settings.webhook_secret {
            Some(secret) => format!("from {}", secret.source),
            None => webhook_secret_path(settings).display().to_string(),
        },
        statuses = if settings.github_token.is_some() { "sent" } else { "not sent: no GitHub token" },
        "popsicle {} serves",
        env!("CARGO_PKG_VERSION"),
    );
    let mut serving = pin!(async {
        let serving = server::serve(listener, server::router(parts), stop.clone());
        tokio::select! {
            served = serving => served,
            never = recorder.keep() => match never {},
        }
    });
    let served = tokio::select! {
        served = &mut serving => served,
        // Better to be started again than to take webhooks that nobody works on.
        () = tasks.died() => Err(io::Error::other("a part of the engine died; the lines above say why")),
        () = stop.cancelled() => {
            // Answers under way may take their time; no job begins meanwhile.
            tasks.rest();
            serving.await
        }
    };
    let served = served.map_err(|error| Failure::unable(format_args!("could not serve: {error}")));
    tracing::info!("stopping; jobs that run go on, and the next server takes them up");
    let stopped = async {
        tasks.stop().await;
        store.close().await;
    };
    if tokio::time::timeout(STOP, stopped).await.is_err() {
        tracing::warn!("not all had stopped within {} s", STOP.as_secs());
    }
    served.map(|()| Exit::Success)
}

/// Where this server's jobs are, and under which name its containers: no other server's.
struct Place {
    namespace: String,
    jobs: PathBuf,
    /// Keeps other servers of the same name out of the folder for as long as it is open.
    _lock: File,
}

impl Place {
    fn of(settings: &Settings) -> Result<Self, Failure> {
        let namespace = namespace(settings).map_err(|error| {
            Failure::unable(format_args!("can't keep the server's namespace: {error}"))
        })?;
        let jobs = settings.workspace_root.join(&namespace);
        let hint = "give this one another name with --namespace (POPSICLE_NAMESPACE), or another folder with --workspace-root (POPSICLE_WORKSPACE_ROOT)";
        let lock = settings.workspace_root.join(format!("{namespace}.lock"));
        let lock = take_folder("folder of jobs", &jobs, 0o755, &lock, hint)?;
        Ok(Self {
            namespace,
            jobs,
            _lock: lock,
        })
    }
}

async fn start_engine(
    settings: &Settings,
    place: &Place,
    store: Store,
    keys: Keyring,
    forges: Vec<Arc<dyn forge::Forge>>,
    address: SocketAddr,
) -> Result<(Engine, EngineTasks), Failure> {
    let jobs = place.jobs.clone();
    let hidden = wiring::hidden(settings);
    let public_url = settings.public_url(address);
    let parts = engine::Parts {
        store,
        logs: Logs::new(settings.data_dir.join("logs")),
        blobs: Blobs::new(settings.data_dir.join("blobs")),
        source: wiring::source(settings, settings.data_dir.join("mirrors"))
            .hosting(wiring::hosting(settings, address)?),
        keys,
        forges,
        executors: wiring::executors(settings, &jobs, &place.namespace, hidden)?,
        world: Arc::new(SystemWorld),
        settings: engine::EngineSettings {
            public_url: Some(public_url.as_str().trim_end_matches('/').to_owned()),
            ..wiring::engine_settings(settings, jobs)
        },
    };
    Engine::start(parts).await.map_err(unable)
}

/// Listens where the settings say; they have checked that it lets no strangers in.
async fn listen(settings: &Settings) -> Result<TcpListener, Failure> {
    let address = settings.listen.value;
    TcpListener::bind(address).await.map_err(|error| {
        let failure = Failure::unable(format_args!("can't listen on {address}: {error}"));
        if error.kind() == io::ErrorKind::AddrInUse {
            failure.hint("is a server running already? `--listen 127.0.0.1:0` takes a free port")
        } else {
            failure
        }
    })
}

/// Makes the data folder, and keeps other servers out of it for as long as the file is open.
fn take_data_dir(settings: &Settings) -> Result<File, Failure> {
    let hint = "stop it, or give this one another with --data-dir (POPSICLE_DATA_DIR)";
    let dir = &settings.data_dir;
    take_folder("data folder", dir, 0o700, &dir.join("lock"), hint)
}

/// Makes a folder, and keeps other servers out of it by a lock file for as long as that is open.
fn take_folder(
    what: &str,
    folder: &Path,
    mode: u32,
    lock: &Path,
    hint: &str,
) -> Result<File, Failure> {
    let unusable = |error: io::Error| {
        Failure::unable(format_args!(
            "can't use the {what} {}: {error}",
            folder.display()
        ))
        .hint(hint)
    };
    DirBuilder::new()
        .recursive(true)
        .mode(mode)
        .create(folder)
        .map_err(unusable)?;
    let lock = File::create(lock).map_err(unusable)?;
    match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(lock),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(Failure::unable(format_args!(
            "another server uses the {what} {}",
            folder.display()
        ))
        .hint(hint)),
        Err(error) => Err(unusable(error.into())),
    }
}

/// What signals ask for.
struct Signals {
    /// Canceled by the first.
    stop: CancellationToken,
    /// Canceled by the second.
    at_once: CancellationToken,
}

fn signals() -> Result<Signals, Failure> {
    let no_signals =
        |error: io::Error| Failure::unable(format_args!("can't listen to signals: {error}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(no_signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(no_signals)?;
    let (stop, at_once) = (CancellationToken::new(), CancellationToken::new());
    let tokens = [stop.clone(), at_once.clone()];
    // Ends with the process: there is nothing to join it for.
    tokio::spawn(async move {
        for token in tokens {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            token.cancel();
        }
    });
    Ok(Signals { stop, at_once })
}

fn unable(error: impl std::error::Error) -> Failure {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    Failure::unable(text)
}
