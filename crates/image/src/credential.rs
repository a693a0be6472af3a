//! Who pulls: what the caller was given for an image, or what this machine's user is logged in with.

use std::fmt;

use docker_credential::{CredentialRetrievalError, DockerCredential};
use oci_client::secrets::RegistryAuth;

use crate::ImageName;

/// An account of a registry.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    /// Who.
    pub username: String,
    /// Their password or token.
    pub password: String,
}

impl fmt::Debug for Credential {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential")
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

/// Docker's own name for its registry in `~/.docker/config.json`.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";

/// What opens the registry of an image: the credential, or else what `docker login` left for that registry,
/// where its helper has it. Runs a program in the latter case.
pub(crate) fn find(name: &ImageName, given: Option<&Credential>) -> RegistryAuth {
    if let Some(Credential { username, password }) = given {
        return RegistryAuth::Basic(username.clone(), password.clone());
    }
    let server = match name.registry() {
        "docker.io" => DOCKER_HUB,
        registry => registry,
    };
    match docker_credential::get_credential(server) {
        Ok(DockerCredential::UsernamePassword(username, password)) => {
            RegistryAuth::Basic(username, password)
        }
        // What this kind of token is exchanged for takes a request that the library can't make.
        Ok(DockerCredential::IdentityToken(_)) => {
            tracing::warn!(
                registry = server,
                "an identity token of `docker login` can't be used"
            );
            RegistryAuth::Anonymous
        }
        Err(
            CredentialRetrievalError::ConfigNotFound
            | CredentialRetrievalError::NoCredentialConfigured,
        ) => RegistryAuth::Anonymous,
        Err(error) => {
            tracing::warn!(registry = server, %error, "what `docker login` left can't be read");
            RegistryAuth::Anonymous
        }
    }
}
