//! Puts the parts together: the one place that knows every crate.

use std::ffi::OsString;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use engine::EngineSettings;
use executor::docker::{DockerExecutor, DockerSettings};
use executor::native::{NativeExecutor, NativeSettings};
use executor::{Executor, Limits};
use forge::github::{Github, GithubSettings};
use forge::{Forge, Secret};
use image::ImageStoreSettings;
use source::orbs::OrbFolders;
use source::{Credential, HostedSettings, Source, SourceSettings};
use url::Url;

use crate::error::Failure;
use crate::settings::{ExecutorChoice, Settings};

/// The executors, the preferred first, for attempts whose folders are below `jobs`.
pub fn executors(
    settings: &Settings,
    jobs: &Path,
    namespace: &str,
    hidden: Vec<PathBuf>,
) -> Result<Vec<Arc<dyn Executor>>, Failure> {
    let this = this_program()?;
    let native = || -> Arc<dyn Executor> {
        Arc::new(NativeExecutor::new(NativeSettings {
            jobs: jobs.to_owned(),
            namespace: namespace.to_owned(),
            shim: vec![this.clone().into_os_string(), OsString::from("shim")],
            hidden,
            limits: Limits::default(),
            images: images(settings),
        }))
    };
    let docker = || -> Arc<dyn Executor> {
        Arc::new(DockerExecutor::new(DockerSettings {
            host: settings.docker_host.as_ref().map(|host| host.value.clone()),
            namespace: namespace.to_owned(),
            ..DockerSettings::default()
        }))
    };
    Ok(match settings.executor.value {
        // Whoever has a daemon has images that were built here, and jobs that count on a network of their own.
        ExecutorChoice::Auto if may_have_docker(settings) => {
            vec![docker(), native()]
        }
        ExecutorChoice::Auto => vec![native(), docker()],
        ExecutorChoice::Native => vec![native()],
        ExecutorChoice::Docker => vec![docker(), native()],
    })
}

fn may_have_docker(settings: &Settings) -> bool {
    let host = settings.docker_host.as_ref();
    executor::docker::may_be_there(host.map(|host| host.value.as_str()))
}

/// Where images are kept, and how.
pub fn images(settings: &Settings) -> ImageStoreSettings {
    let registries = settings.plain_http_registries.as_ref();
    let registries = registries.map(|registries| registries.value.split(','));
    ImageStoreSettings {
        limit_bytes: settings.image_limit_bytes.value,
        plain_http: registries
            .into_iter()
            .flatten()
            .map(|registry| registry.trim().to_owned())
            .filter(|registry| !registry.is_empty())
            .collect(),
        ..ImageStoreSettings::new(settings.images.value.clone())
    }
}

fn this_program() -> Result<PathBuf, Failure> {
    std::env::current_exe()
        .map_err(|error| Failure::unable(format_args!("can't tell where this program is: {error}")))
}

/// What no job may see of this machine: what this program keeps there, and what its user does. The native
/// executor hides the homes of all users and what is for a while besides.
pub fn hidden(settings: &Settings) -> Vec<PathBuf> {
    let own = [
        &settings.data_dir.value,
        &settings.workspace_root.value,
        &settings.repos.value,
        &settings.images.value,
    ];
    own.into_iter()
        .cloned()
        .chain(settings.file.clone())
        .chain(database_files(&settings.database_url.value))
        .chain(homes().into_iter().filter(|home| is_home(home)))
        .collect()
}

/// The database and what SQLite and we put beside it under its name: its log, its index, its copies.
fn database_files(url: &str) -> Vec<PathBuf> {
    let path = Path::new(url.strip_prefix("sqlite:").unwrap_or(url));
    let (Ok(path), Some(name)) = (std::path::absolute(path), path.file_name()) else {
        return Vec::new();
    };
    let beside = path.parent().and_then(|folder| fs::read_dir(folder).ok());
    let beside = beside.into_iter().flatten().flatten();
    let of_its_name = beside.filter(|entry| {
        let (entry, name) = (entry.file_name(), name.as_encoded_bytes());
        entry.as_encoded_bytes().starts_with(name)
    });
    of_its_name.map(|entry| entry.path()).collect()
}

/// The homes of this process's user: the one that the environment names, and the one of the user
/// database, which differ under `sudo`.
fn homes() -> Vec<PathBuf> {
    let named = std::env::var_os("HOME").map(PathBuf::from);
    let user = rustix::process::geteuid().as_raw().to_string();
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let stored = users.lines().find_map(|line| {
        let mut fields = line.split(':').skip(2);
        let is_users = fields.next() == Some(user.as_str());
        fields.nth(2).filter(|_| is_users).map(PathBuf::from)
    });
    named.into_iter().chain(stored).collect()
}

/// Whether that is somebody's own folder: the user of a service may have `/` or `/usr/sbin` for a home,
/// without which no job could run.
fn is_home(path: &Path) -> bool {
    let systems = [
        "/bin", "/dev", "/lib", "/lib64", "/nix", "/proc", "/sbin", "/sys", "/usr",
    ];
    let shared = ["/etc", "/opt", "/srv", "/var", "/var/lib"];
    path.is_absolute()
        && path.parent().is_some()
        && !systems.iter().any(|system| path.starts_with(system))
        && !shared.iter().any(|shared| path == Path::new(shared))
}

/// Where code comes from, with mirrors below `mirrors`.
pub fn source(settings: &Settings, mirrors: PathBuf) -> Source {
    let credentials = settings.github_token.as_ref().map(|token| Credential {
        host_url: web_address(&settings.github_api_url.value),
        token: source::Token::new(token.value.expose()),
    });
    Source::new(SourceSettings {
        mirrors,
        credentials: credentials.into_iter().collect(),
        fetch_timeout: settings.fetch_timeout.value,
    })
}

/// The repositories of our own, whose hook asks the server at `address`.
pub fn hosting(settings: &Settings, address: SocketAddr) -> Result<HostedSettings, Failure> {
    let mut near = address;
    if address.ip().is_unspecified() {
        near.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    let server = format!("http://{near}");
    let words = ["--server-url", &server, "hook", "post-receive"];
    Ok(HostedSettings {
        root: settings.repos.value.clone(),
        hook: std::iter::once(this_program()?.into_os_string())
            .chain(words.map(OsString::from))
            .collect(),
    })
}

/// GitHub, as the settings describe it.
pub fn github(settings: &Settings, secret: Secret) -> Result<Arc<dyn Forge>, Failure> {
    let github = Github::new(GithubSettings {
        token: settings
            .github_token
            .as_ref()
            .map(|token| token.value.clone()),
        api_url: settings.github_api_url.value.clone(),
        ..GithubSettings::new(secret)
    });
    Ok(Arc::new(github.map_err(|error| {
        Failure::usage(error).hint("see `popsicle serve --help`")
    })?))
}

/// Where orbs are: in a folder that somebody named for this once, and in the store.
pub fn orb_folders(settings: &Settings, first: Option<PathBuf>) -> OrbFolders {
    OrbFolders {
        first,
        store: Some(settings.orb_store.value.clone()),
    }
}

/// What the engine is told, for attempts whose folders are below `jobs`.
pub fn engine_settings(settings: &Settings, jobs: PathBuf) -> EngineSettings {
    EngineSettings {
        max_jobs: settings.max_jobs.get(),
        max_jobs_per_project: settings
            .max_jobs_per_project
            .map(|most| u32::try_from(most).unwrap_or(u32::MAX)),
        cancel_redundant: settings.cancel_redundant.value.clone(),
        max_preparations: settings.max_preparations.get(),
        max_attempts: settings.max_retries.saturating_add(1),
        job_timeout: settings.job_timeout.value,
        log_limit_bytes: settings.log_limit_bytes.value,
        step_storage_limit_bytes: settings.step_storage_limit_bytes.value,
        cache_limit_bytes: settings.cache_limit_bytes.value,
        artifact_retention: settings.artifact_retention.value,
        workspace_retention: settings.workspace_retention.value,
        cache_retention: settings.cache_retention.value,
        stop_grace: settings.stop_grace.value,
        limits: Limits {
            memory_bytes: settings.job_memory_bytes.value,
            millicpus: settings.job_millicpus.value,
            pids: settings.job_pids.value,
        },
        // A timer of no length would never let anything else run.
        reconcile_interval: settings.reconcile_interval.max(Duration::from_millis(10)),
        status_context: settings.status_context.value.clone(),
        orbs: orb_folders(settings, None),
        ..EngineSettings::new(jobs)
    }
}

/// The address that clones start with, given the API's: `https://github.com` for GitHub itself,
/// `https://<tenant>.ghe.com` for GitHub Enterprise Cloud with data residency, and the API's own host for
/// GitHub Enterprise Server.
fn web_address(api: &Url) -> String {
    let web = match api.host_str() {
        Some("api.github.com") => Some("github.com"),
        Some(host) if host.ends_with(".ghe.com") => host.strip_prefix("api."),
        Some(_) | None => None,
    };
    match web {
        Some(host) => format!("https://{host}"),
        None => api.origin().ascii_serialization(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_database_is_hidden_with_all_that_goes_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("ci.db");
        for name in ["ci.db", "ci.db-wal", "ci.db-shm", "ci.db.backup-1", "other"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let mut hidden = database_files(&format!("sqlite:{}", database.display()));
        hidden.sort();
        let expected = ["ci.db", "ci.db-shm", "ci.db-wal", "ci.db.backup-1"];
        assert_eq!(hidden, expected.map(|name| folder.path().join(name)));
    }

    #[test]
    fn only_a_home_is_hidden_as_one() {
        for home in ["/root", "/opt/ci", "/var/lib/popsicle", "/srv/ci", "/data"] {
            assert!(is_home(Path::new(home)), "{home}");
        }
        for other in [
            "",
            "/",
            "/usr/sbin",
            "/bin",
            "/var/lib",
            "/opt",
            "/dev",
            "x",
        ] {
            assert!(!is_home(Path::new(other)), "{other}");
        }
    }

    #[test]
    fn a_token_goes_to_the_host_of_its_api() {
        for (api, web) in [
            ("https://api.github.com", "https://github.com"),
            ("https://ghe.example.com/api/v3", "https://ghe.example.com"),
            ("https://api.octocorp.ghe.com", "https://octocorp.ghe.com"),
            ("http://127.0.0.1:8080/", "http://127.0.0.1:8080"),
        ] {
            assert_eq!(web_address(&Url::parse(api).unwrap()), web);
        }
    }
}
