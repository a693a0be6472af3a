//! With what an image is pulled: the account that its job names, or else what this server's user has said
//! to `docker login`, a credential helper's word included.

use std::fmt;
use std::time::Duration;

use docker_credential::{CredentialRetrievalError, DockerCredential};
use model::{ImageAuth, ImageSpec};
use tokio::time::timeout;

/// What a registry is shown.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Credentials {
    /// An account.
    Account {
        /// Who.
        username: String,
        /// Their password, or a token.
        password: String,
    },
    /// A token that stands for an account.
    Token(String),
}

impl fmt::Debug for Credentials {
    /// Without what is secret, which is all of it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials")
    }
}

/// What Docker calls its own registry in a user's configuration.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";
/// How long a credential helper may take.
const BOUND: Duration = Duration::from_secs(30);

impl Credentials {
    /// For an image of that registry.
    pub(crate) async fn find(spec: &ImageSpec, registry: &str) -> Option<Self> {
        match &spec.auth {
            Some(ImageAuth::Registry { username, password }) => Some(Self::Account {
                username: username.clone(),
                password: password.clone(),
            }),
            Some(ImageAuth::AwsKey { .. } | ImageAuth::AwsRole { .. }) | None => {
                Self::of_this_user(registry).await
            }
        }
    }

    async fn of_this_user(registry: &str) -> Option<Self> {
        let server = match registry {
            "docker.io" => DOCKER_HUB,
            other => other,
        };
        let server = server.to_owned();
        // A helper is a program, and waited for.
        let asked = tokio::task::spawn_blocking(move || docker_credential::get_credential(&server));
        let why = match timeout(BOUND, asked).await {
            Ok(Ok(Ok(DockerCredential::UsernamePassword(username, password)))) => {
                return Some(Self::Account { username, password });
            }
            Ok(Ok(Ok(DockerCredential::IdentityToken(token)))) => return Some(Self::Token(token)),
            // It has none, or there is no such file.
            Ok(Ok(Err(
                CredentialRetrievalError::NoCredentialConfigured
                | CredentialRetrievalError::ConfigNotFound
                | CredentialRetrievalError::ConfigReadError,
            ))) => return None,
            // A helper's output may be anything.
            Ok(Ok(Err(CredentialRetrievalError::HelperFailure { helper, .. }))) => {
                format!("`{helper}` has none")
            }
            Ok(Ok(Err(error))) => error.to_string(),
            Ok(Err(panic)) => panic.to_string(),
            Err(_) => format!("its helper says nothing for {} s", BOUND.as_secs()),
        };
        tracing::warn!(
            "no credentials for `{registry}` of this user's Docker configuration: {why}"
        );
        None
    }
}
