//! Puts the parts together: the one place that knows every crate.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use engine::EngineSettings;
use executor::docker::{DockerExecutor, DockerSettings};
use executor::native::{NativeExecutor, NativeSettings};
use executor::{Executor, Limits};
use forge::github::{Github, GithubSettings};
use forge::{Forge, Secret};
use source::{Credential, Source, SourceSettings};
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
    let this = std::env::current_exe().map_err(|error| {
        Failure::unable(format_args!("can't tell where this program is: {error}"))
    })?;
    let native = || -> Arc<dyn Executor> {
        Arc::new(NativeExecutor::new(NativeSettings {
            jobs: jobs.to_owned(),
            namespace: namespace.to_owned(),
            shim: vec![this.clone().into_os_string(), OsString::from("shim")],
            hidden,
            limits: Limits::default(),
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
        ExecutorChoice::Auto => vec![native(), docker()],
        ExecutorChoice::Native => vec![native()],
        ExecutorChoice::Docker => vec![docker(), native()],
    })
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

/// What the engine is told, for attempts whose folders are below `jobs`.
pub fn engine_settings(settings: &Settings, jobs: PathBuf) -> EngineSettings {
    EngineSettings {
        max_jobs: settings.max_jobs.get(),
        max_preparations: settings.max_preparations.get(),
        max_attempts: settings.max_retries.saturating_add(1),
        job_timeout: settings.job_timeout.value,
        log_limit_bytes: settings.log_limit_bytes.value,
        stop_grace: settings.stop_grace.value,
        limits: Limits {
            memory_bytes: settings.job_memory_bytes.value,
            millicpus: settings.job_millicpus.value,
            pids: settings.job_pids.value,
        },
        // A timer of no length would never let anything else run.
        reconcile_interval: settings.reconcile_interval.max(Duration::from_millis(10)),
        status_context: settings.status_context.value.clone(),
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
