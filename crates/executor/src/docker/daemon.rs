//! Finds the daemon and connects to it: Docker's socket, Podman's, or what `DOCKER_HOST` names.

use std::path::{Path, PathBuf};

use bollard::Docker;
use bollard::errors::Error;

use super::trouble::{self, Failure};
use crate::{Check, ExecutorError, Limits};

/// The oldest API that has all we use: Docker 20.10's.
const OLDEST_API: (u32, u32) = (1, 41);

/// Where a daemon listens, as `DOCKER_HOST` has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Endpoint(String);

impl Endpoint {
    /// The one that `host` names, or else `DOCKER_HOST`, or else the first socket that exists.
    pub(super) fn find(host: Option<&str>) -> Self {
        Self::find_in(host, |name| std::env::var(name).ok(), Path::exists)
    }

    fn find_in(
        host: Option<&str>,
        env: impl Fn(&str) -> Option<String>,
        exists: impl Fn(&Path) -> bool,
    ) -> Self {
        let env = |name| env(name).filter(|value| !value.is_empty());
        if let Some(host) = host.map(str::to_owned).or_else(|| env("DOCKER_HOST")) {
            return if host.starts_with('/') {
                Self(format!("unix://{host}"))
            } else {
                Self(host)
            };
        }
        let docker = PathBuf::from("/var/run/docker.sock");
        let runtime = env("XDG_RUNTIME_DIR").map(PathBuf::from);
        let home = env("HOME").map(PathBuf::from);
        let candidates = [
            Some(docker.clone()),
            runtime.as_ref().map(|dir| dir.join("docker.sock")),
            home.map(|dir| dir.join(".docker/run/docker.sock")),
            runtime.as_ref().map(|dir| dir.join("podman/podman.sock")),
            Some(PathBuf::from("/run/podman/podman.sock")),
        ];
        let found = candidates.into_iter().flatten().find(|path| exists(path));
        // With none there, the error names the one that most people would expect.
        Self(format!("unix://{}", found.unwrap_or(docker).display()))
    }

    /// Whether something may answer there, as far as can be told without asking.
    pub(super) fn may_be_there(&self) -> bool {
        let socket = self.0.strip_prefix("unix://");
        socket.is_none_or(|path| Path::new(path).exists())
    }

    /// Whether it is reached over a network, so that it can't be expected to see our files.
    pub(super) fn is_remote(&self) -> bool {
        !self.0.starts_with("unix://")
    }
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// A daemon that has answered once. Every request makes its own connection, so a daemon that
/// restarts is found again.
#[derive(Clone, Debug)]
pub(super) struct Daemon {
    /// Its API.
    pub(super) docker: Docker,
    /// Where it is.
    pub(super) endpoint: Endpoint,
    /// Whose it is: not all log drivers of one are known to the other.
    pub(super) maker: Maker,
    /// What its machine has.
    pub(super) machine: Limits,
}

/// Who made a daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Maker {
    /// Docker, or something that is like it.
    Docker,
    /// Podman.
    Podman,
}

impl Daemon {
    /// Connects, and agrees on a version of the API.
    pub(super) async fn connect(endpoint: Endpoint) -> Result<Self, Failure> {
        let what = || format!("could not reach Docker at `{endpoint}`");
        let unreachable = |error: Error| Failure::new(what(), &error);
        // Here nothing is asked yet: an address that is none, or of a socket that never was.
        let docker = Docker::connect_with_host(&endpoint.0)
            .map_err(|error| trouble::unavailable(what(), &error))?
            .negotiate_version()
            .await
            .map_err(unreachable)?;
        let version = docker.version().await.map_err(unreachable)?;
        let api = version.api_version.unwrap_or_default();
        if parse_version(&api).is_none_or(|api| api < OLDEST_API) {
            let (major, minor) = OLDEST_API;
            return Err(Failure::from(ExecutorError::Unavailable {
                what: format!("could not use Docker at `{endpoint}`"),
                cause: format!(
                    "it speaks API {api}; {major}.{minor} (Docker 20.10, Podman 4) or newer is needed"
                ),
            }));
        }
        let podman = version
            .components
            .unwrap_or_default()
            .iter()
            .any(|component| component.name.starts_with("Podman"));
        // One that does not say refuses what is too much.
        let machine = docker.info().await.unwrap_or_default();
        let count = |count: Option<i64>| count.and_then(|count| u64::try_from(count).ok());
        let some = |count: &u64| *count > 0;
        Ok(Self {
            machine: Limits {
                memory_bytes: count(machine.mem_total).filter(some),
                millicpus: count(machine.ncpu).filter(some).map(|cpus| cpus * 1000),
                pids: None,
            },
            docker,
            endpoint,
            maker: if podman { Maker::Podman } else { Maker::Docker },
        })
    }

    /// What it is and whether it answers now, for people.
    pub(super) async fn check(&self) -> Check {
        let maker = match self.maker {
            Maker::Docker => "Docker",
            Maker::Podman => "Podman",
        };
        match self.docker.version().await {
            Ok(version) => Check {
                works: true,
                finding: format!(
                    "{maker} {} (API {}) at `{}`",
                    version
                        .version
                        .as_deref()
                        .unwrap_or("of an unknown version"),
                    version.api_version.as_deref().unwrap_or("unknown"),
                    self.endpoint
                ),
                mend: None,
            },
            Err(error) => Check {
                works: false,
                finding: format!(
                    "{maker} at `{}` stopped answering: {}",
                    self.endpoint,
                    trouble::words(&error)
                ),
                mend: Some("start it again".to_owned()),
            },
        }
    }
}

fn parse_version(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(host: Option<&str>, env: &[(&str, &str)], sockets: &[&str]) -> String {
        let env = |name: &str| {
            let (_, value) = env.iter().find(|(key, _)| *key == name)?;
            Some((*value).to_owned())
        };
        let exists = |path: &Path| sockets.iter().any(|socket| path == Path::new(socket));
        Endpoint::find_in(host, env, exists).0
    }

    #[test]
    fn what_is_said_goes_before_what_is_found() {
        let env = [("DOCKER_HOST", "tcp://there:2375")];
        let sockets = ["/var/run/docker.sock"];
        assert_eq!(find(Some("ssh://me@here"), &env, &sockets), "ssh://me@here");
        assert_eq!(find(None, &env, &sockets), "tcp://there:2375");
        assert_eq!(find(Some("/x.sock"), &env, &sockets), "unix:///x.sock");
        assert_eq!(
            find(None, &[("DOCKER_HOST", "")], &sockets),
            "unix:///var/run/docker.sock"
        );
    }

    #[test]
    fn docker_goes_before_podman_and_is_named_where_neither_is() {
        let env = [("XDG_RUNTIME_DIR", "/run/user/7")];
        let podman = ["/run/user/7/podman/podman.sock", "/run/podman/podman.sock"];
        assert_eq!(
            find(None, &env, &podman),
            "unix:///run/user/7/podman/podman.sock"
        );
        assert_eq!(find(None, &[], &podman), "unix:///run/podman/podman.sock");
        let both = ["/run/podman/podman.sock", "/run/user/7/docker.sock"];
        assert_eq!(find(None, &env, &both), "unix:///run/user/7/docker.sock");
        assert_eq!(find(None, &env, &[]), "unix:///var/run/docker.sock");
    }

    #[test]
    fn only_a_socket_is_near() {
        assert!(!Endpoint("unix:///x".to_owned()).is_remote());
        for far in [
            "tcp://127.0.0.1:2375",
            "ssh://me@there",
            "https://there:2376",
        ] {
            assert!(Endpoint(far.to_owned()).is_remote(), "{far}");
        }
    }

    #[test]
    fn versions_are_compared_as_numbers() {
        assert!(parse_version("1.9") < Some(OLDEST_API));
        assert!(parse_version("1.100") > Some(OLDEST_API));
        assert_eq!(parse_version("new"), None);
    }
}
