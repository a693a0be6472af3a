//! Images: what a name means, whether the daemon has it, and pulling it where not.

use std::time::Duration;

use bollard::auth::DockerCredentials;
use bollard::errors::Error;
use bollard::query_parameters::CreateImageOptionsBuilder;
use futures_util::StreamExt;
use image::{Credential, Puller};
use oci_spec::distribution::Reference;
use tokio::time::{Instant, timeout};

use super::daemon::Daemon;
use super::locks::Locks;
use super::progress::{Progress, megabytes};
use super::trouble::{self, Failure, Trouble};
use crate::{ExecutorError, JobDir};

/// An image that the daemon has.
#[derive(Clone, Debug)]
pub(super) struct Image {
    /// Its name, as the job has it.
    pub(super) name: String,
    /// Its id, the digest of its configuration.
    pub(super) id: String,
    /// The user that it wants to be run as; empty for root.
    pub(super) user: String,
    /// The `HOME` of its environment.
    pub(super) home: Option<String>,
    size_bytes: u64,
}

/// A well-formed name of an image.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ImageName {
    /// As the job has it. The daemon completes it, because Podman does so by its own rules.
    given: String,
    /// The registry that it is pulled from, by Docker's rules.
    registry: String,
    /// The name without what follows.
    repository: String,
    /// The digest, or else the tag, or else `latest`: the API would pull every tag without one.
    tag: String,
}

impl ImageName {
    /// Reads a name as `docker pull` does.
    ///
    /// This also keeps what is no name out of the paths of the API's requests.
    pub(super) fn parse(given: &str) -> Result<Self, ExecutorError> {
        let reference: Reference = given.parse().map_err(|cause| {
            ExecutorError::Rejected(format!(
                "`{given}` is not the name of an image: {cause}; write it as for `docker pull`, \
                 for example `cimg/base:2024.02`"
            ))
        })?;
        let repository = match reference.digest() {
            Some(digest) => given.trim_end_matches(digest).trim_end_matches('@'),
            None => given,
        };
        // A colon before the last slash is that of the registry's port.
        let repository = match repository.rsplit_once(':') {
            Some((repository, tag)) if !tag.contains('/') => repository,
            _ => repository,
        };
        Ok(Self {
            given: given.to_owned(),
            registry: reference.registry().to_owned(),
            repository: repository.to_owned(),
            tag: reference
                .digest()
                .or(reference.tag())
                .unwrap_or("latest")
                .to_owned(),
        })
    }
}

/// How long a pull may stay silent.
const SILENCE: Duration = Duration::from_secs(300);
/// How often a pull's progress goes to the log at most.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);

/// Provides images; two jobs that want the same one pull it once.
#[derive(Debug, Default)]
pub(super) struct Images {
    pulls: Locks<String>,
}

impl Images {
    /// The image of that name; pulled if the daemon has none, with the progress in the job's log.
    pub(super) async fn provide(
        &self,
        daemon: &Daemon,
        (name, puller): (&ImageName, Puller<'_>),
        dir: &JobDir,
    ) -> Result<Image, Failure> {
        if let Some(image) = find(daemon, name).await? {
            return Ok(image);
        }
        if self.pulls.is_locked(&name.given) {
            note(
                dir,
                &format!("Waiting for image {}, which another job pulls", name.given),
            )?;
        }
        let _lock = self.pulls.lock(&name.given).await;
        if let Some(image) = find(daemon, name).await? {
            return Ok(image);
        }
        note(dir, &format!("Pulling image {}", name.given))?;
        let started = Instant::now();
        let credentials = match puller {
            Puller::Account(account) => Some(account.clone()),
            Puller::ThisUser => Credential::of_this_user(&name.registry).await,
            Puller::Nobody => None,
        };
        let credentials = credentials.map(|found| shown(found, &name.registry));
        let digest = pull(daemon, name, credentials, dir).await?;
        let Some(image) = find(daemon, name).await? else {
            return Err(Failure::from(ExecutorError::Unavailable {
                what: format!("could not pull image `{}`", name.given),
                cause: "Docker ended the pull, and does not have the image".to_owned(),
            }));
        };
        note(
            dir,
            &format!(
                "Pulled {} ({}, {}) in {:.1} s",
                name.given,
                digest.as_deref().unwrap_or(&image.id),
                megabytes(image.size_bytes),
                started.elapsed().as_secs_f64()
            ),
        )?;
        Ok(image)
    }
}

async fn find(daemon: &Daemon, name: &ImageName) -> Result<Option<Image>, Failure> {
    let found = match daemon.docker.inspect_image(&name.given).await {
        Ok(found) => found,
        Err(error) if Trouble::of(&error) == Trouble::Missing => return Ok(None),
        Err(error) => {
            return Err(Failure::new(
                format!("could not look for image `{}`", name.given),
                &error,
            ));
        }
    };
    let config = found.config.unwrap_or_default();
    Ok(Some(Image {
        name: name.given.clone(),
        id: found.id.unwrap_or_default(),
        user: config.user.unwrap_or_default(),
        home: config
            .env
            .unwrap_or_default()
            .iter()
            .find_map(|pair| pair.strip_prefix("HOME="))
            .map(str::to_owned),
        size_bytes: found
            .size
            .and_then(|size| size.try_into().ok())
            .unwrap_or(0),
    }))
}

/// Credentials as the daemon wants them.
fn shown(credentials: Credential, registry: &str) -> DockerCredentials {
    let (username, password, identitytoken) = match credentials {
        Credential::Account { username, password } => (Some(username), Some(password), None),
        Credential::Token(token) => (None, None, Some(token)),
    };
    DockerCredentials {
        username,
        password,
        identitytoken,
        serveraddress: Some(registry.to_owned()),
        ..DockerCredentials::default()
    }
}

/// Pulls, and returns the digest of the image's manifest if the daemon tells it.
async fn pull(
    daemon: &Daemon,
    name: &ImageName,
    credentials: Option<DockerCredentials>,
    dir: &JobDir,
) -> Result<Option<String>, Failure> {
    let options = CreateImageOptionsBuilder::default()
        .from_image(&name.repository)
        .tag(&name.tag)
        .build();
    let mut events = daemon.docker.create_image(Some(options), None, credentials);
    let mut progress = Progress::default();
    let mut told = Instant::now();
    loop {
        let event =
            timeout(SILENCE, events.next())
                .await
                .map_err(|_| ExecutorError::Unavailable {
                    what: format!(
                        "could not pull image `{}` from `{}`",
                        name.given, name.registry
                    ),
                    cause: format!("nothing happened for {} s", SILENCE.as_secs()),
                })?;
        match event {
            None => return Ok(progress.digest().map(str::to_owned)),
            Some(Ok(event)) => progress.take(&event),
            Some(Err(error)) => return Err(failure(name, &error)),
        }
        if told.elapsed() >= PROGRESS_EVERY
            && let Some(line) = progress.news()
        {
            note(dir, &line)?;
            told = Instant::now();
        }
    }
}

/// Parts of what registries and daemons say when there is no such image, or not for us. Neither a
/// status nor a code tells: Docker 20.10 answers 404 to both, and later ones 500 to some.
const NOT_FOR_US: [&str; 9] = [
    "manifest unknown",
    "not found",
    "does not exist",
    "denied",
    "unauthorized",
    "authentication required",
    "no basic auth credentials",
    "no matching manifest",
    "name unknown",
];

fn failure(name: &ImageName, error: &Error) -> Failure {
    let words = trouble::words(error);
    let unreachable = || {
        let (image, registry) = (&name.given, &name.registry);
        let what = format!("could not pull image `{image}` from `{registry}`");
        Failure::new(what, error)
    };
    let rejected = || {
        Failure::from(ExecutorError::Rejected(format!(
            "image `{}` can't be pulled from `{}`: {words}; check its name and tag, and if it is \
             private, that this machine may read it",
            name.given, name.registry
        )))
    };
    match Trouble::of(error) {
        Trouble::Lost => unreachable(),
        Trouble::Refused => rejected(),
        Trouble::Missing | Trouble::Conflict | Trouble::Fault => {
            let lower = words.to_lowercase();
            if NOT_FOR_US.iter().any(|part| lower.contains(part)) {
                rejected()
            } else {
                unreachable()
            }
        }
    }
}

fn note(dir: &JobDir, line: &str) -> Result<(), ExecutorError> {
    dir.note(line).map_err(|cause| ExecutorError::Io {
        path: dir.log(),
        cause,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(given: &str) -> (String, String, String) {
        let name = ImageName::parse(given).unwrap();
        (name.registry, name.repository, name.tag)
    }

    #[test]
    fn names_are_read_as_docker_does() {
        let digest = format!("sha256:{}", "a".repeat(64));
        for (given, registry, repository, tag) in [
            ("alpine", "docker.io", "alpine", "latest"),
            ("cimg/base:2024.02", "docker.io", "cimg/base", "2024.02"),
            (
                "localhost:5000/a/b",
                "localhost:5000",
                "localhost:5000/a/b",
                "latest",
            ),
            (
                "localhost:5000/a:1",
                "localhost:5000",
                "localhost:5000/a",
                "1",
            ),
            (
                &format!("ghcr.io/a/b@{digest}"),
                "ghcr.io",
                "ghcr.io/a/b",
                &digest,
            ),
            (
                &format!("alpine:3@{digest}"),
                "docker.io",
                "alpine",
                &digest,
            ),
        ] {
            let expected = (registry.to_owned(), repository.to_owned(), tag.to_owned());
            assert_eq!(parts(given), expected, "{given}");
        }
    }

    #[test]
    fn what_is_no_name_never_reaches_the_daemon() {
        for bad in [
            "",
            " ",
            "Alpine",
            "a b",
            "../containers",
            "a/../../b",
            "a?x=1",
            "a#b",
            "a:",
            "a@b",
            "-a",
            "a\n",
        ] {
            let error = ImageName::parse(bad).unwrap_err();
            assert!(
                matches!(error, ExecutorError::Rejected(_)),
                "{bad:?}: {error}"
            );
        }
    }

    #[test]
    fn a_missing_image_is_the_jobs_fault_and_a_silent_registry_is_not() {
        let name = ImageName::parse("a/b:1").unwrap();
        let server = |status_code, message: &str| Error::DockerResponseServerError {
            status_code,
            message: message.to_owned(),
        };
        for error in [
            server(404, "manifest for a/b:1 not found: manifest unknown"),
            server(
                404,
                "pull access denied for a/b, repository does not exist or may require 'docker login'",
            ),
            server(
                500,
                "Head \"https://x/v2/a/b\": unauthorized: authentication required",
            ),
            server(400, "invalid reference format"),
            Error::DockerStreamError {
                error: "no matching manifest for linux/amd64 in the manifest list entries"
                    .to_owned(),
            },
        ] {
            let error = failure(&name, &error).error;
            let text = error.to_string();
            assert!(matches!(error, ExecutorError::Rejected(_)), "{text}");
            assert!(text.contains("`a/b:1`"), "{text}");
        }
        for error in [
            server(
                500,
                "Get \"https://x/v2/\": dial tcp: lookup x: no such host",
            ),
            server(
                500,
                "Get \"https://x/v2/\": dial tcp 127.0.0.1:1: connect: connection refused",
            ),
            Error::RequestTimeoutError,
        ] {
            let error = failure(&name, &error).error;
            let text = error.to_string();
            assert!(matches!(error, ExecutorError::Unavailable { .. }), "{text}");
        }
    }
}
