//! Every setting, once: its name, where it may come from, and what holds when nobody says anything.
//!
//! Flags, `--help`, the environment, the settings file and `popsicle doctor` are all made from this
//! table, so they can't disagree.

/// One setting.
#[derive(Debug)]
pub struct Row {
    /// Its name, and its key in the settings file.
    pub name: &'static str,
    /// Its flag without the dashes. Secrets have none: a command line can be read by all users of a
    /// machine.
    pub flag: Option<&'static str>,
    /// The environment variables that set it, the canonical one first; an earlier one wins.
    pub env: &'static [Variable],
    /// Which commands it concerns; the others neither read nor check it.
    pub scope: Scope,
    /// What stands for the value in `--help`; none for a switch.
    pub value_name: Option<&'static str>,
    /// What it is, in one line.
    pub help: &'static str,
    /// What holds otherwise.
    pub default: Default,
}

/// One environment variable, and how its text is meant.
#[derive(Debug)]
pub struct Variable {
    /// Its name, in the case in which it is looked up.
    pub name: &'static str,
    /// How its text becomes the setting's.
    pub form: Form,
}

/// How the text of an alias differs from that of its canonical variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Not at all.
    Same,
    /// A port alone; the host stays as the default has it.
    Port,
    /// A host, with or without a port; `PORT` fills in what is missing.
    Address,
    /// A whole number of milliseconds.
    Milliseconds,
}

/// Which commands a setting concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All of them.
    Everywhere,
    /// Those that read configs and the orbs that these import: `config` and `orb`, and those below.
    Configs,
    /// Those that run jobs: `serve` and `run`.
    Jobs,
    /// `serve` alone.
    Serve,
}

/// What holds when nobody says anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Default {
    /// This text, as if it had been given.
    Text(&'static str),
    /// What these words describe.
    Derived(&'static str),
    /// Nothing.
    Unset,
}

const fn same(name: &'static str) -> Variable {
    Variable {
        name,
        form: Form::Same,
    }
}

macro_rules! table {
    ($($(#[$doc:meta])* $id:ident = $row:expr;)*) => {
        $($(#[$doc])* pub static $id: Row = $row;)*

        /// All of them, in the order in which people are shown them.
        pub static TABLE: &[&Row] = &[$(&$id),*];
    };
}

table! {
    /// The settings file.
    CONFIG = Row {
        name: "config",
        flag: Some("config"),
        env: &[same("POPSICLE_CONFIG")],
        scope: Scope::Everywhere,
        value_name: Some("FILE"),
        help: "Settings file",
        default: Default::Derived("popsicle.toml, if there is one"),
    };
    /// The server that client commands talk to.
    SERVER_URL = Row {
        name: "server_url",
        flag: Some("server-url"),
        env: &[
            same("POPSICLE_SERVER_URL"),
            same("popsicle_SERVER_URL"),
            same("FMG_SERVER_URL"),
        ],
        scope: Scope::Everywhere,
        value_name: Some("URL"),
        help: "Server to talk to",
        default: Default::Text("http://localhost:5000"),
    };
    /// What opens the server that client commands talk to.
    TOKEN = Row {
        name: "token",
        flag: None,
        env: &[same("POPSICLE_TOKEN")],
        scope: Scope::Everywhere,
        value_name: Some("TOKEN"),
        help: "Token for the server to talk to",
        default: Default::Unset,
    };
    /// The file that holds it.
    TOKEN_FILE = Row {
        name: "token_file",
        flag: Some("token-file"),
        env: &[same("POPSICLE_TOKEN_FILE")],
        scope: Scope::Everywhere,
        value_name: Some("FILE"),
        help: "File that holds the token for the server to talk to",
        default: Default::Unset,
    };
    /// How our own log lines look.
    LOG_FORMAT = Row {
        name: "log_format",
        flag: Some("log-format"),
        env: &[same("POPSICLE_LOG_FORMAT")],
        scope: Scope::Everywhere,
        value_name: Some("text|json"),
        help: "Form of Popsicle's own log lines on stderr",
        default: Default::Text("text"),
    };
    /// Which of our own log lines are written.
    LOG = Row {
        name: "log",
        flag: Some("log"),
        env: &[same("POPSICLE_LOG"), same("RUST_LOG")],
        scope: Scope::Everywhere,
        value_name: Some("FILTER"),
        help: "Which of Popsicle's own log lines to write: a level, or target=level, …",
        default: Default::Derived("info for serve, warn otherwise"),
    };
    /// Where the server listens.
    LISTEN = Row {
        name: "listen",
        flag: Some("listen"),
        env: &[
            same("POPSICLE_LISTEN"),
            Variable { name: "BIND_ADDRESS", form: Form::Address },
            Variable { name: "PORT", form: Form::Port },
        ],
        scope: Scope::Serve,
        value_name: Some("ADDRESS:PORT"),
        help: "Where to listen; port 0 picks a free one",
        default: Default::Text("127.0.0.1:5000"),
    };
    /// Who is asked for a token.
    AUTH = Row {
        name: "auth",
        flag: Some("auth"),
        env: &[same("POPSICLE_AUTH")],
        scope: Scope::Serve,
        value_name: Some("none|token"),
        help: "Whether all but webhooks and health checks need a token",
        default: Default::Text("none"),
    };
    /// Whether the server may listen beyond loopback.
    ALLOW_UNAUTHENTICATED = Row {
        name: "allow_unauthenticated",
        flag: Some("allow-unauthenticated"),
        env: &[same("POPSICLE_ALLOW_UNAUTHENTICATED")],
        scope: Scope::Serve,
        value_name: None,
        help: "Listen beyond this machine although nobody has to sign in",
        default: Default::Text("false"),
    };
    /// The address under which people reach the server.
    PUBLIC_URL = Row {
        name: "public_url",
        flag: Some("public-url"),
        env: &[same("POPSICLE_PUBLIC_URL")],
        scope: Scope::Serve,
        value_name: Some("URL"),
        help: "Address under which people reach this server, for links in commit statuses",
        default: Default::Derived("made from --listen"),
    };
    /// Where everything is kept.
    DATA_DIR = Row {
        name: "data_dir",
        flag: Some("data-dir"),
        env: &[same("POPSICLE_DATA_DIR")],
        scope: Scope::Configs,
        value_name: Some("DIR"),
        help: "Folder for everything that is kept",
        default: Default::Text("data"),
    };
    /// The database.
    DATABASE_URL = Row {
        name: "database_url",
        flag: Some("database-url"),
        env: &[
            same("POPSICLE_DATABASE_URL"),
            same("DATABASE_URL"),
            same("CI_DB_PATH"),
        ],
        scope: Scope::Serve,
        value_name: Some("URL"),
        help: "Database: sqlite:<path>, or just the path",
        default: Default::Derived("sqlite:<data dir>/popsicle.db"),
    };
    /// Where job folders live.
    WORKSPACE_ROOT = Row {
        name: "workspace_root",
        flag: Some("workspace-root"),
        env: &[
            same("POPSICLE_WORKSPACE_ROOT"),
            same("popsicle_WORKSPACE_ROOT"),
            same("FMG_WORKSPACE_ROOT"),
        ],
        scope: Scope::Jobs,
        value_name: Some("DIR"),
        help: "Folder in which jobs get their working directories",
        default: Default::Derived("<data dir>/jobs"),
    };
    /// Where hosted repositories live.
    REPOS = Row {
        name: "repos",
        flag: Some("repos"),
        env: &[same("POPSICLE_REPOS"), same("REPOS_BASE_PATH")],
        scope: Scope::Serve,
        value_name: Some("DIR"),
        help: "Folder of the repositories that people push to this server",
        default: Default::Derived("<data dir>/repos"),
    };
    /// What opens GitHub.
    GITHUB_TOKEN = Row {
        name: "github_token",
        flag: None,
        env: &[
            same("POPSICLE_GITHUB_TOKEN"),
            same("popsicle_GITHUB_TOKEN"),
            same("GITHUB_TOKEN"),
        ],
        scope: Scope::Jobs,
        value_name: Some("TOKEN"),
        help: "GitHub token for private clones and commit statuses (scope repo:status)",
        default: Default::Unset,
    };
    /// GitHub's API.
    GITHUB_API_URL = Row {
        name: "github_api_url",
        flag: Some("github-api-url"),
        env: &[same("POPSICLE_GITHUB_API_URL")],
        scope: Scope::Serve,
        value_name: Some("URL"),
        help: "GitHub's API; for GitHub Enterprise https://<host>/api/v3",
        default: Default::Text("https://api.github.com"),
    };
    /// What webhooks are signed with.
    WEBHOOK_SECRET = Row {
        name: "webhook_secret",
        flag: None,
        env: &[same("POPSICLE_WEBHOOK_SECRET"), same("WEBHOOK_SECRET")],
        scope: Scope::Serve,
        value_name: Some("SECRET"),
        help: "What webhooks are signed with",
        default: Default::Derived("made at first start and kept in <data dir>/webhook-secret"),
    };
    /// What secrets are encrypted with.
    SECRETS_KEY = Row {
        name: "secrets_key",
        flag: None,
        env: &[same("POPSICLE_SECRETS_KEY")],
        scope: Scope::Serve,
        value_name: Some("KEY"),
        help: "What secrets are encrypted with: 32 random characters or more; older keys may follow, with spaces between",
        default: Default::Derived("made at first start and kept in <data dir>/secrets-key"),
    };
    /// The name of our commit statuses.
    STATUS_CONTEXT = Row {
        name: "status_context",
        flag: Some("status-context"),
        env: &[same("POPSICLE_STATUS_CONTEXT")],
        scope: Scope::Serve,
        value_name: Some("NAME"),
        help: "Name under which commit statuses appear",
        default: Default::Text("ci/popsicle"),
    };
    /// Whose containers are ours.
    NAMESPACE = Row {
        name: "namespace",
        flag: Some("namespace"),
        env: &[same("POPSICLE_NAMESPACE"), same("CI_CONTAINER_PREFIX")],
        scope: Scope::Jobs,
        value_name: Some("NAME"),
        help: "Marks this server's containers; each server on one machine has its own",
        default: Default::Derived("made at first start and kept in <data dir>/namespace"),
    };
    /// What runs jobs with an image.
    EXECUTOR = Row {
        name: "executor",
        flag: Some("executor"),
        env: &[same("POPSICLE_EXECUTOR")],
        scope: Scope::Jobs,
        value_name: Some("auto|native|docker"),
        help: "What runs jobs that name an image; auto: Docker where it is there, natively where not",
        default: Default::Text("auto"),
    };
    /// Where Docker answers.
    DOCKER_HOST = Row {
        name: "docker_host",
        flag: Some("docker-host"),
        env: &[same("POPSICLE_DOCKER_HOST"), same("DOCKER_HOST")],
        scope: Scope::Jobs,
        value_name: Some("URL"),
        help: "Where Docker (or Podman) answers: unix:///path or tcp://host:port",
        default: Default::Derived("the machine's usual socket"),
    };
    /// How many jobs run at once.
    MAX_JOBS = Row {
        name: "max_jobs",
        flag: Some("max-jobs"),
        env: &[same("POPSICLE_MAX_JOBS")],
        scope: Scope::Jobs,
        value_name: Some("N"),
        help: "How many jobs may run at once",
        default: Default::Derived("one a core"),
    };
    /// How many jobs of one project run at once.
    MAX_JOBS_PER_PROJECT = Row {
        name: "max_jobs_per_project",
        flag: Some("max-jobs-per-project"),
        env: &[same("POPSICLE_MAX_JOBS_PER_PROJECT")],
        scope: Scope::Serve,
        value_name: Some("N"),
        help: "How many jobs of one project may run at once, or none for no limit but the server's",
        default: Default::Text("none"),
    };
    /// Of which branches newer pipelines end earlier ones.
    CANCEL_REDUNDANT = Row {
        name: "cancel_redundant",
        flag: Some("cancel-redundant"),
        env: &[same("POPSICLE_CANCEL_REDUNDANT")],
        scope: Scope::Serve,
        value_name: Some("PATTERNS"),
        help: "Of which branches a push cancels what still runs for earlier ones: none, or patterns such as *,!main",
        default: Default::Text("none"),
    };
    /// How many pipelines are prepared at once.
    MAX_PREPARATIONS = Row {
        name: "max_preparations",
        flag: Some("max-preparations"),
        env: &[same("POPSICLE_MAX_PREPARATIONS")],
        scope: Scope::Jobs,
        value_name: Some("N"),
        help: "How many pipelines may be fetched and compiled at once",
        default: Default::Text("4"),
    };
    /// How often a lost job is tried again.
    MAX_RETRIES = Row {
        name: "max_retries",
        flag: Some("max-retries"),
        env: &[same("POPSICLE_MAX_RETRIES"), same("MAX_RETRIES")],
        scope: Scope::Jobs,
        value_name: Some("N"),
        help: "How often a job is tried again whose machine or container was lost or could not be used",
        default: Default::Text("3"),
    };
    /// How often the scheduler looks without being woken.
    RECONCILE_INTERVAL = Row {
        name: "reconcile_interval",
        flag: Some("reconcile-interval"),
        env: &[
            same("POPSICLE_RECONCILE_INTERVAL"),
            Variable { name: "WORKER_POLL_INTERVAL_MS", form: Form::Milliseconds },
        ],
        scope: Scope::Jobs,
        value_name: Some("DURATION"),
        help: "How often to look for work that nothing told of",
        default: Default::Text("2s"),
    };
    /// How much a job may write.
    LOG_LIMIT = Row {
        name: "log_limit",
        flag: Some("log-limit"),
        env: &[same("POPSICLE_LOG_LIMIT")],
        scope: Scope::Jobs,
        value_name: Some("SIZE"),
        help: "How much output a job may write before it is ended",
        default: Default::Text("512MiB"),
    };
    /// How much a step may keep.
    STEP_STORAGE_LIMIT = Row {
        name: "step_storage_limit",
        flag: Some("step-storage-limit"),
        env: &[same("POPSICLE_STEP_STORAGE_LIMIT")],
        scope: Scope::Jobs,
        value_name: Some("SIZE"),
        help: "How much one step may keep: artifacts, test results, a cache, a layer of a workspace",
        default: Default::Text("10GiB"),
    };
    /// How much all caches may take.
    CACHE_LIMIT = Row {
        name: "cache_limit",
        flag: Some("cache-limit"),
        env: &[same("POPSICLE_CACHE_LIMIT")],
        scope: Scope::Jobs,
        value_name: Some("SIZE"),
        help: "How much all caches may take together; the least recently used go first",
        default: Default::Text("20GiB"),
    };
    /// How long artifacts are kept.
    ARTIFACT_RETENTION = Row {
        name: "artifact_retention",
        flag: Some("artifact-retention"),
        env: &[same("POPSICLE_ARTIFACT_RETENTION")],
        scope: Scope::Serve,
        value_name: Some("DURATION"),
        help: "How long artifacts are kept after the end of their job",
        default: Default::Text("720h"),
    };
    /// How long workspaces are kept.
    WORKSPACE_RETENTION = Row {
        name: "workspace_retention",
        flag: Some("workspace-retention"),
        env: &[same("POPSICLE_WORKSPACE_RETENTION")],
        scope: Scope::Serve,
        value_name: Some("DURATION"),
        help: "How long workspaces are kept after the end of the job that made them, for reruns",
        default: Default::Text("360h"),
    };
    /// How long caches are kept that no job asks for.
    CACHE_RETENTION = Row {
        name: "cache_retention",
        flag: Some("cache-retention"),
        env: &[same("POPSICLE_CACHE_RETENTION")],
        scope: Scope::Serve,
        value_name: Some("DURATION"),
        help: "How long caches are kept that no job asks for",
        default: Default::Text("360h"),
    };
    /// How long a job may take.
    JOB_TIMEOUT = Row {
        name: "job_timeout",
        flag: Some("job-timeout"),
        env: &[same("POPSICLE_JOB_TIMEOUT")],
        scope: Scope::Jobs,
        value_name: Some("DURATION"),
        help: "How long a job may take before it is ended",
        default: Default::Text("5h"),
    };
    /// How much memory a job may use.
    JOB_MEMORY = Row {
        name: "job_memory",
        flag: Some("job-memory"),
        env: &[same("POPSICLE_JOB_MEMORY")],
        scope: Scope::Jobs,
        value_name: Some("SIZE"),
        help: "How much memory a job may use, or none for no limit",
        default: Default::Text("none"),
    };
    /// How much processor time a job may use.
    JOB_CPUS = Row {
        name: "job_cpus",
        flag: Some("job-cpus"),
        env: &[same("POPSICLE_JOB_CPUS")],
        scope: Scope::Jobs,
        value_name: Some("N"),
        help: "How many cores' time a job may use, such as 1.5, or none for no limit",
        default: Default::Text("none"),
    };
    /// How many processes a job may have.
    JOB_PIDS = Row {
        name: "job_pids",
        flag: Some("job-pids"),
        env: &[same("POPSICLE_JOB_PIDS")],
        scope: Scope::Jobs,
        value_name: Some("N"),
        help: "How many processes and threads a job may have at one time, or none for no limit",
        default: Default::Text("none"),
    };
    /// How long a job has to end by itself.
    STOP_GRACE = Row {
        name: "stop_grace",
        flag: Some("stop-grace"),
        env: &[same("POPSICLE_STOP_GRACE")],
        scope: Scope::Jobs,
        value_name: Some("DURATION"),
        help: "How long a job that is stopped has to end by itself",
        default: Default::Text("10s"),
    };
    /// How long a fetch may take.
    FETCH_TIMEOUT = Row {
        name: "fetch_timeout",
        flag: Some("fetch-timeout"),
        env: &[same("POPSICLE_FETCH_TIMEOUT")],
        scope: Scope::Jobs,
        value_name: Some("DURATION"),
        help: "How long fetching a repository may take",
        default: Default::Text("10m"),
    };
    /// Where orbs are kept.
    ORB_STORE = Row {
        name: "orb_store",
        flag: Some("orb-store"),
        env: &[same("POPSICLE_ORB_STORE")],
        scope: Scope::Configs,
        value_name: Some("DIR"),
        help: "Folder of the orbs that configs may import, besides those that a project brings along",
        default: Default::Derived("<data dir>/orbs; without a data dir ~/.local/share/popsicle/orbs, but for serve"),
    };
    /// Where orbs are fetched from.
    ORB_REGISTRY_URL = Row {
        name: "orb_registry_url",
        flag: Some("orb-registry-url"),
        env: &[same("POPSICLE_ORB_REGISTRY_URL")],
        scope: Scope::Configs,
        value_name: Some("URL"),
        help: "GraphQL API from which `popsicle orb add` fetches",
        default: Default::Text("https://circleci.com/graphql-unstable"),
    };
    /// Where images are kept.
    IMAGES = Row {
        name: "images",
        flag: Some("images"),
        env: &[same("POPSICLE_IMAGES")],
        scope: Scope::Jobs,
        value_name: Some("DIR"),
        help: "Folder of the images that jobs run in without Docker",
        default: Default::Derived("<data dir>/images; without a data dir ~/.local/share/popsicle/images, but for serve"),
    };
    /// How much all images may take.
    IMAGE_LIMIT = Row {
        name: "image_limit",
        flag: Some("image-limit"),
        env: &[same("POPSICLE_IMAGE_LIMIT")],
        scope: Scope::Jobs,
        value_name: Some("SIZE"),
        help: "How much these images may take together; the least recently used go first",
        default: Default::Text("20GiB"),
    };
    /// Registries without TLS.
    PLAIN_HTTP_REGISTRIES = Row {
        name: "plain_http_registries",
        flag: Some("plain-http-registries"),
        env: &[same("POPSICLE_PLAIN_HTTP_REGISTRIES")],
        scope: Scope::Jobs,
        value_name: Some("HOST:PORT,…"),
        help: "Registries that are asked without TLS, besides those of this machine",
        default: Default::Unset,
    };
}

impl Row {
    /// Whether its text must not be printed: it is a secret, or an address that may hold one.
    pub fn may_hold_secret(&self) -> bool {
        self.flag.is_none() || self.name.ends_with("_url")
    }

    /// Whether it is either on or off.
    pub fn is_switch(&self) -> bool {
        self.value_name.is_none()
    }

    /// What `--help` says of it.
    pub fn help_text(&self) -> String {
        let names: Vec<&str> = self.env.iter().map(|variable| variable.name).collect();
        let mut text = format!("{} [env: {}]", self.help, names.join(", "));
        match self.default {
            Default::Text(default) if !self.is_switch() => {
                text.push_str(&format!(" [default: {default}]"));
            }
            Default::Derived(default) => text.push_str(&format!(" [default: {default}]")),
            Default::Text(_) | Default::Unset => {}
        }
        text
    }
}

impl Scope {
    /// Whether a command of this scope reads settings of that one.
    pub fn reads(self, other: Self) -> bool {
        match self {
            Self::Serve => true,
            Self::Jobs => other != Self::Serve,
            Self::Configs => matches!(other, Self::Everywhere | Self::Configs),
            Self::Everywhere => other == Self::Everywhere,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_setting_has_names_of_its_own() {
        let mut names = BTreeSet::new();
        for row in TABLE {
            let canonical = format!("POPSICLE_{}", row.name.to_uppercase());
            assert_eq!(row.env[0].name, canonical);
            assert_eq!(row.env[0].form, Form::Same);
            if let Some(flag) = row.flag {
                assert_eq!(flag, row.name.replace('_', "-"));
            }
            for name in row.env.iter().map(|v| v.name).chain([row.name]) {
                assert!(names.insert(name), "{name} twice");
            }
        }
    }
}
