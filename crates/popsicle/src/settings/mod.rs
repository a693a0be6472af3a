//! Settings: flag before environment before file before default, all from one [`table`].
//!
//! A command reads only the settings of its [`Scope`]: a `DATABASE_URL` that is meant for the
//! project somebody stands in does not keep `popsicle run` from working there. Each value knows where
//! it came from. Secrets have types that can't be printed.

mod file;
mod flags;
mod kept;
mod resolve;
pub mod table;
mod value;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::ops::Deref;
use std::path::PathBuf;
use std::time::Duration;

use engine::RedundantBranches;
use forge::{Secret, Token};
use url::{Host, Url};

pub use flags::{Configuring, Flags, Given, Global, Imaging, Running, Serving};
pub use kept::{namespace, secrets_keys, webhook_secret, webhook_secret_path};
pub use table::Scope;
pub use value::{AuthChoice, ExecutorChoice, LogFormat};

/// Everything that can be set. Paths are absolute.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The settings file, if one was read.
    pub file: Option<PathBuf>,
    /// The server that client commands talk to.
    pub server_url: Sourced<String>,
    /// What opens it, if it was set.
    pub token: Option<Sourced<Token>>,
    /// The file that holds what opens it, if it was set.
    pub token_file: Option<Sourced<PathBuf>>,
    /// The form of our own log lines.
    pub log_format: Sourced<LogFormat>,
    /// Which of our own log lines are written.
    pub log: Sourced<String>,
    /// Where the server listens.
    pub listen: Sourced<SocketAddr>,
    /// Who is asked for a token.
    pub auth: Sourced<AuthChoice>,
    /// Whether it may listen beyond loopback though nobody is.
    pub allow_unauthenticated: Sourced<bool>,
    /// Under which address people reach the server; see [`Settings::public_url`].
    pub public_url: Option<Sourced<Url>>,
    /// Where everything is kept.
    pub data_dir: Sourced<PathBuf>,
    /// The database, as `sqlite:<path>`.
    pub database_url: Sourced<String>,
    /// Where job folders live.
    pub workspace_root: Sourced<PathBuf>,
    /// Where hosted repositories live.
    pub repos: Sourced<PathBuf>,
    /// What opens GitHub.
    pub github_token: Option<Sourced<Token>>,
    /// GitHub's API.
    pub github_api_url: Sourced<Url>,
    /// What webhooks are signed with, if it was set; see [`webhook_secret`].
    pub webhook_secret: Option<Sourced<Secret>>,
    /// What secrets are encrypted with, if it was set; see [`secrets_keys`].
    pub secrets_key: Option<Sourced<Secret>>,
    /// The name of our commit statuses.
    pub status_context: Sourced<String>,
    /// What this server's containers are marked with, if it was set; see [`namespace`].
    pub namespace: Option<Sourced<String>>,
    /// What runs jobs that name an image.
    pub executor: Sourced<ExecutorChoice>,
    /// Where Docker answers, if not at its usual socket.
    pub docker_host: Option<Sourced<String>>,
    /// How many jobs may run at once.
    pub max_jobs: Sourced<NonZeroUsize>,
    /// How many jobs of one project may run at once.
    pub max_jobs_per_project: Sourced<Option<u64>>,
    /// Of which branches newer pipelines end earlier ones.
    pub cancel_redundant: Sourced<RedundantBranches>,
    /// How many pipelines are prepared at once.
    pub max_preparations: Sourced<NonZeroUsize>,
    /// How often a lost job is tried again.
    pub max_retries: Sourced<u32>,
    /// How often the engine looks for work that nothing told it of.
    pub reconcile_interval: Sourced<Duration>,
    /// How much output a job may write, in bytes.
    pub log_limit_bytes: Sourced<u64>,
    /// How much a step may keep, in bytes.
    pub step_storage_limit_bytes: Sourced<u64>,
    /// How much all caches may take, in bytes.
    pub cache_limit_bytes: Sourced<u64>,
    /// How long artifacts are kept.
    pub artifact_retention: Sourced<Duration>,
    /// How long workspaces are kept.
    pub workspace_retention: Sourced<Duration>,
    /// How long caches are kept that no job asks for.
    pub cache_retention: Sourced<Duration>,
    /// How long a job may take.
    pub job_timeout: Sourced<Duration>,
    /// How much memory a job may use, in bytes.
    pub job_memory_bytes: Sourced<Option<u64>>,
    /// How much processor time a job may use, in thousandths of a core.
    pub job_millicpus: Sourced<Option<u64>>,
    /// How many processes and threads a job may have.
    pub job_pids: Sourced<Option<u64>>,
    /// How long a stopped job has to end by itself.
    pub stop_grace: Sourced<Duration>,
    /// How long a fetch may take.
    pub fetch_timeout: Sourced<Duration>,
    /// Where orbs are kept.
    pub orb_store: Sourced<PathBuf>,
    /// Where orbs are fetched from.
    pub orb_registry_url: Sourced<Url>,
    /// Where images are kept.
    pub images: Sourced<PathBuf>,
    /// How much all images may take, in bytes.
    pub image_limit_bytes: Sourced<u64>,
    /// Registries that are asked without TLS, if there are any, with commas between them.
    pub plain_http_registries: Option<Sourced<String>>,
}

impl Settings {
    /// Reads the process's environment and the settings file.
    ///
    /// # Errors
    /// The first setting of that scope that makes no sense.
    pub fn load(flags: &Given, scope: Scope) -> Result<Self, SettingsError> {
        resolve::settings(flags, &|name| std::env::var_os(name), scope)
    }

    /// What holds if nobody says anything.
    pub fn defaults() -> Self {
        resolve::defaults()
    }

    /// The address under which people reach the server, given where it really listens.
    pub fn public_url(&self, bound: SocketAddr) -> Url {
        if let Some(url) = &self.public_url {
            return url.value.clone();
        }
        let host = if bound.ip().is_unspecified() {
            let name = rustix::system::uname();
            Host::parse(&name.nodename().to_string_lossy())
                .unwrap_or_else(|_| Host::Domain("localhost".into()))
        } else if bound.ip().is_loopback() {
            Host::Domain("localhost".into())
        } else {
            match bound.ip() {
                std::net::IpAddr::V4(ip) => Host::Ipv4(ip),
                std::net::IpAddr::V6(ip) => Host::Ipv6(ip),
            }
        };
        Url::parse(&format!("http://{host}:{}", bound.port()))
            .expect("a checked host and a port make a URL")
    }

    /// Every setting, as text, with its source; for people. Secrets are only said to be set or not.
    pub fn shown(&self) -> Vec<Shown> {
        let row = |row: &table::Row, text: &dyn fmt::Display, source: &Source| Shown {
            name: row.name,
            value: Some(text.to_string()),
            source: source.clone(),
        };
        let maybe = |row: &table::Row, found: Option<(String, &Source)>| Shown {
            name: row.name,
            value: found.as_ref().map(|(text, _)| text.clone()),
            source: found.map_or(Source::Default, |(_, source)| source.clone()),
        };
        let span = |duration: &Sourced<Duration>| {
            jiff::SignedDuration::try_from(duration.value)
                .map_or_else(|_| "for ever".to_owned(), |span| format!("{span:#}"))
        };
        macro_rules! plain {
            ($row:ident, $field:ident) => {
                row(&table::$row, &self.$field.value, &self.$field.source)
            };
            ($row:ident, $field:ident, $text:expr) => {
                row(&table::$row, &$text, &self.$field.source)
            };
        }
        let hidden = || "(set)".to_owned();
        let limit = |text: Option<String>| text.unwrap_or_else(|| "none".to_owned());
        let cores = |millicpus: u64| format!("{}.{:03}", millicpus / 1000, millicpus % 1000);
        vec![
            plain!(SERVER_URL, server_url, without_password(&self.server_url)),
            maybe(
                &table::TOKEN,
                self.token.as_ref().map(|token| (hidden(), &token.source)),
            ),
            maybe(
                &table::TOKEN_FILE,
                self.token_file
                    .as_ref()
                    .map(|file| (file.value.display().to_string(), &file.source)),
            ),
            plain!(LOG_FORMAT, log_format),
            plain!(LOG, log),
            plain!(LISTEN, listen),
            plain!(AUTH, auth),
            plain!(ALLOW_UNAUTHENTICATED, allow_unauthenticated),
            maybe(
                &table::PUBLIC_URL,
                self.public_url
                    .as_ref()
                    .map(|url| (url.value.to_string(), &url.source)),
            ),
            plain!(DATA_DIR, data_dir, self.data_dir.display()),
            plain!(DATABASE_URL, database_url),
            plain!(
                WORKSPACE_ROOT,
                workspace_root,
                self.workspace_root.display()
            ),
            plain!(REPOS, repos, self.repos.display()),
            maybe(
                &table::GITHUB_TOKEN,
                self.github_token
                    .as_ref()
                    .map(|token| (hidden(), &token.source)),
            ),
            plain!(GITHUB_API_URL, github_api_url),
            maybe(
                &table::WEBHOOK_SECRET,
                self.webhook_secret
                    .as_ref()
                    .map(|secret| (hidden(), &secret.source)),
            ),
            maybe(
                &table::SECRETS_KEY,
                self.secrets_key.as_ref().map(|key| (hidden(), &key.source)),
            ),
            plain!(STATUS_CONTEXT, status_context),
            maybe(
                &table::NAMESPACE,
                self.namespace
                    .as_ref()
                    .map(|name| (name.value.clone(), &name.source)),
            ),
            plain!(EXECUTOR, executor),
            maybe(
                &table::DOCKER_HOST,
                self.docker_host
                    .as_ref()
                    .map(|host| (host.value.clone(), &host.source)),
            ),
            plain!(MAX_JOBS, max_jobs),
            plain!(
                MAX_JOBS_PER_PROJECT,
                max_jobs_per_project,
                limit(self.max_jobs_per_project.map(|count| count.to_string()))
            ),
            plain!(CANCEL_REDUNDANT, cancel_redundant),
            plain!(MAX_PREPARATIONS, max_preparations),
            plain!(MAX_RETRIES, max_retries),
            plain!(
                RECONCILE_INTERVAL,
                reconcile_interval,
                span(&self.reconcile_interval)
            ),
            plain!(
                LOG_LIMIT,
                log_limit_bytes,
                bytesize::ByteSize(self.log_limit_bytes.value)
            ),
            plain!(
                STEP_STORAGE_LIMIT,
                step_storage_limit_bytes,
                bytesize::ByteSize(self.step_storage_limit_bytes.value)
            ),
            plain!(
                CACHE_LIMIT,
                cache_limit_bytes,
                bytesize::ByteSize(self.cache_limit_bytes.value)
            ),
            plain!(
                ARTIFACT_RETENTION,
                artifact_retention,
                span(&self.artifact_retention)
            ),
            plain!(
                WORKSPACE_RETENTION,
                workspace_retention,
                span(&self.workspace_retention)
            ),
            plain!(
                CACHE_RETENTION,
                cache_retention,
                span(&self.cache_retention)
            ),
            plain!(JOB_TIMEOUT, job_timeout, span(&self.job_timeout)),
            plain!(
                JOB_MEMORY,
                job_memory_bytes,
                limit(
                    self.job_memory_bytes
                        .map(|bytes| bytesize::ByteSize(bytes).to_string())
                )
            ),
            plain!(
                JOB_CPUS,
                job_millicpus,
                limit(self.job_millicpus.map(cores))
            ),
            plain!(
                JOB_PIDS,
                job_pids,
                limit(self.job_pids.map(|count| count.to_string()))
            ),
            plain!(STOP_GRACE, stop_grace, span(&self.stop_grace)),
            plain!(FETCH_TIMEOUT, fetch_timeout, span(&self.fetch_timeout)),
            plain!(ORB_STORE, orb_store, self.orb_store.display()),
            plain!(ORB_REGISTRY_URL, orb_registry_url),
            plain!(IMAGES, images, self.images.display()),
            plain!(
                IMAGE_LIMIT,
                image_limit_bytes,
                bytesize::ByteSize(self.image_limit_bytes.value)
            ),
            maybe(
                &table::PLAIN_HTTP_REGISTRIES,
                self.plain_http_registries
                    .as_ref()
                    .map(|registries| (registries.value.clone(), &registries.source)),
            ),
        ]
    }
}

/// A server's address may hold a password.
fn without_password(url: &str) -> String {
    match Url::parse(url) {
        Ok(mut parsed) if parsed.password().is_some() => {
            // An address with a password has a host, so this is not refused.
            let _ = parsed.set_password(None);
            parsed.to_string()
        }
        Ok(_) | Err(_) => url.to_owned(),
    }
}

/// A value, and where it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sourced<T> {
    /// The value.
    pub value: T,
    /// Where it came from.
    pub source: Source,
}

impl<T> Deref for Sourced<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The command line.
    Flag(&'static str),
    /// An environment variable.
    Environment(&'static str),
    /// The settings file.
    File {
        /// Which file.
        path: PathBuf,
        /// Under which key.
        key: &'static str,
    },
    /// Nobody said anything.
    Default,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => write!(f, "--{flag}"),
            Self::Environment(name) => write!(f, "the environment variable {name}"),
            Self::File { path, key } => write!(f, "`{key}` in {}", path.display()),
            Self::Default => f.write_str("the default"),
        }
    }
}

/// A setting as people see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Its name.
    pub name: &'static str,
    /// Its value; none where it is not set.
    pub value: Option<String>,
    /// Where that came from.
    pub source: Source,
}

/// A setting that makes no sense.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// Its text is not what was expected.
    #[error("{origin} says {setting} is {value}, expected {expected}")]
    Value {
        /// Its name.
        setting: &'static str,
        /// Where the text came from.
        origin: Source,
        /// The text, quoted; or that it is hidden.
        value: String,
        /// What was expected.
        expected: String,
    },
    /// An environment variable is not UTF-8.
    #[error("the environment variable {name} is not valid UTF-8")]
    NotText {
        /// Which.
        name: &'static str,
    },
    /// The settings file can't be read.
    #[error("could not read the settings file {}: {cause}", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// The settings file is not what it should be.
    #[error("the settings file {} is not valid: {message}", .path.display())]
    Syntax {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// The settings file names a setting that does not exist.
    #[error("the settings file {} has the unknown key `{key}`", .path.display())]
    UnknownKey {
        /// Which file.
        path: PathBuf,
        /// Which key.
        key: String,
        /// A setting of nearly that name.
        suggestion: Option<&'static str>,
    },
    /// The server would be open to all.
    #[error(
        "{origin} says to listen on {listen}, where anybody who reaches this machine could use it: nobody has to sign in"
    )]
    Open {
        /// Where it would listen.
        listen: SocketAddr,
        /// Who says so.
        origin: Source,
    },
}

impl SettingsError {
    /// What to do about it, where there is more to say than the message does.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::UnknownKey { suggestion, .. } => Some(match suggestion {
                Some(name) => format!("did you mean `{name}`?"),
                None => "`popsicle serve --help` lists the settings; a key is a flag's name with `_` for `-`".into(),
            }),
            Self::Open { .. } => Some(
                "ask everybody for a token with --auth token (POPSICLE_AUTH=token), listen on 127.0.0.1 behind a proxy that asks who is there, or say --allow-unauthenticated (POPSICLE_ALLOW_UNAUTHENTICATED=true)"
                    .into(),
            ),
            Self::Value {
                setting: "database_url",
                origin: Source::Environment(name),
                ..
            } if *name != "POPSICLE_DATABASE_URL" => {
                Some(format!("if {name} is not meant for Popsicle, set POPSICLE_DATABASE_URL, which comes first"))
            }
            Self::Value { .. } | Self::NotText { .. } | Self::File { .. } | Self::Syntax { .. } => None,
        }
    }
}
