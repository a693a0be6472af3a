//! What every handler can get at.

use std::sync::Arc;

use axum::extract::FromRef;
use engine::{Engine, World};
use forge::Forge;
use model::ForgeKind;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::api::metrics::MetricsText;
use crate::auth::Auth;
use crate::error::ApiError;
use crate::sparing::Sparing;

/// What the server was told.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    /// Where people reach it.
    pub public_url: Option<Url>,
    /// What this machine is called by others. With `public_url`, `localhost` and addresses, the only
    /// names that it answers to.
    pub host_name: Option<String>,
    /// Who is asked for a token.
    pub auth: Auth,
    /// How large a webhook may be, in bytes. GitHub sends 25 MiB at most.
    pub webhook_limit_bytes: usize,
    /// How large the body of any other request may be, in bytes.
    pub body_limit_bytes: usize,
    /// How large all bodies may be together that are read at the same time, in bytes.
    pub bodies_limit_bytes: usize,
    /// How many logs, jobs and events may be followed at the same time. Fewer than there are
    /// connections, so that there is always room for webhooks.
    pub followers: usize,
}

impl ServerSettings {
    /// The address under which people find what these path segments name.
    pub(crate) fn link(&self, segments: &[&str]) -> Option<String> {
        let mut url = self.public_url.clone()?;
        url.path_segments_mut()
            .ok()?
            .pop_if_empty()
            .extend(segments);
        Some(url.into())
    }
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            public_url: None,
            host_name: None,
            auth: Auth::default(),
            webhook_limit_bytes: 25 << 20,
            body_limit_bytes: 1 << 20,
            bodies_limit_bytes: 256 << 20,
            followers: 256,
        }
    }
}

/// What a server is made of.
#[derive(Debug)]
pub struct Parts {
    /// Acts, and has the store to read from.
    pub engine: Engine,
    /// Who may send webhooks; one of a kind.
    pub forges: Vec<Arc<dyn Forge>>,
    /// What it was told.
    pub settings: ServerSettings,
    /// Time.
    pub world: Arc<dyn World>,
    /// What `/metrics` shows; without it there is none.
    pub metrics: Option<MetricsText>,
    /// Once canceled, open streams end. The same as [`serve`](crate::serve) is given.
    pub stop: CancellationToken,
}

/// [`Parts`] as handlers share them.
#[derive(Clone, Debug)]
pub(crate) struct App {
    pub(crate) engine: Engine,
    pub(crate) forges: Arc<[Arc<dyn Forge>]>,
    pub(crate) settings: Arc<ServerSettings>,
    pub(crate) world: Arc<dyn World>,
    pub(crate) stop: CancellationToken,
    pub(crate) metrics: Option<MetricsText>,
    /// What is left of [`ServerSettings::bodies_limit_bytes`].
    pub(crate) bodies: Arc<Semaphore>,
    /// What is left of [`ServerSettings::followers`].
    pub(crate) followers: Followers,
    /// Deliveries that were refused, as the log tells of them.
    pub(crate) refusals: Arc<Sparing>,
}

impl App {
    pub(crate) fn new(parts: Parts) -> Self {
        Self {
            bodies: Arc::new(Semaphore::new(parts.settings.bodies_limit_bytes)),
            followers: Followers {
                room: Arc::new(Semaphore::new(parts.settings.followers)),
                most: parts.settings.followers,
            },
            metrics: parts.metrics,
            refusals: Arc::default(),
            engine: parts.engine,
            forges: parts.forges.into(),
            settings: Arc::new(parts.settings),
            world: parts.world,
            stop: parts.stop,
        }
    }

    /// The forge of that kind, if there is one.
    pub(crate) fn forge(&self, kind: ForgeKind) -> Option<&Arc<dyn Forge>> {
        self.forges.iter().find(|forge| forge.kind() == kind)
    }
}

/// Room for those who are told of what is yet to come.
#[derive(Clone, Debug)]
pub(crate) struct Followers {
    room: Arc<Semaphore>,
    most: usize,
}

impl Followers {
    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.most.saturating_sub(self.room.available_permits())
    }

    /// A place for one more, for as long as it is kept.
    pub(crate) fn place(&self) -> Result<OwnedSemaphorePermit, ApiError> {
        Arc::clone(&self.room).try_acquire_owned().map_err(|_| {
            ApiError::busy("too many follow logs and events already; try again in a moment")
        })
    }
}

impl FromRef<App> for Followers {
    fn from_ref(app: &App) -> Self {
        app.followers.clone()
    }
}

impl FromRef<App> for Engine {
    fn from_ref(app: &App) -> Self {
        app.engine.clone()
    }
}

impl FromRef<App> for Arc<dyn World> {
    fn from_ref(app: &App) -> Self {
        Arc::clone(&app.world)
    }
}

impl FromRef<App> for CancellationToken {
    fn from_ref(app: &App) -> Self {
        app.stop.clone()
    }
}
