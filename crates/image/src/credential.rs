//! Who pulls: an account that the caller names, or else what this machine's user has said to
//! `docker login`, a credential helper's word included.

use std::fmt;
use std::time::Duration;

use docker_credential::{CredentialRetrievalError, DockerCredential};
use oci_client::secrets::RegistryAuth;
use tokio::time::timeout;

/// What a registry is shown.
#[derive(Clone, PartialEq, Eq)]
pub enum Credential {
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

impl fmt::Debug for Credential {
    /// Without what is secret, which is all of it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credential")
    }
}

/// As whom an image is pulled.
#[derive(Clone, Copy, Debug)]
pub enum Puller<'a> {
    /// As that account.
    Account(&'a Credential),
    /// As this machine's user is logged in by `docker login`, if they are.
    ThisUser,
    /// As anybody may.
    Nobody,
}

/// What Docker calls its own registry in a user's configuration.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";
/// How long a credential helper may take.
const BOUND: Duration = Duration::from_secs(30);

impl Credential {
    /// What this machine's user has for that registry; none if nothing, and what can't be read is told to the
    /// server's log.
    pub async fn of_this_user(registry: &str) -> Option<Self> {
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

    /// As the registry's client wants it.
    pub(crate) fn auth(found: Option<Self>, registry: &str) -> RegistryAuth {
        match found {
            Some(Self::Account { username, password }) => RegistryAuth::Basic(username, password),
            // What this kind of token is exchanged for takes a request that the library can't make.
            Some(Self::Token(_)) => {
                tracing::warn!(
                    "an identity token of `docker login` can't be used for `{registry}`"
                );
                RegistryAuth::Anonymous
            }
            None => RegistryAuth::Anonymous,
        }
    }
}
