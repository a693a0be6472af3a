//! What an image is called, and what that means: by Docker's rules.

use std::net::IpAddr;

use oci_client::Reference;

use crate::ImageError;

/// A well-formed name of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageName {
    given: String,
    reference: Reference,
}

impl ImageName {
    /// Reads a name as `docker pull` does.
    ///
    /// # Errors
    /// [`ImageError::Rejected`] where it is none.
    pub fn parse(given: &str) -> Result<Self, ImageError> {
        let reference: Reference = given.parse().map_err(|cause| {
            ImageError::Rejected(format!(
                "`{given}` is not the name of an image: {cause}; write it as for `docker pull`, \
                 for example `cimg/base:2024.02`"
            ))
        })?;
        let given = given.to_owned();
        Ok(Self { given, reference })
    }

    /// As it was given.
    pub fn given(&self) -> &str {
        &self.given
    }

    /// In full: `docker.io/library/alpine:latest`.
    pub fn full(&self) -> String {
        self.reference.whole()
    }

    /// Where it is pulled from: `docker.io`, `localhost:5000`.
    pub fn registry(&self) -> &str {
        self.reference.registry()
    }

    pub(crate) fn reference(&self) -> &Reference {
        &self.reference
    }

    /// Whether its registry is this machine, where Docker asks for no TLS either.
    pub(crate) fn is_local(&self) -> bool {
        let registry = self.reference.resolve_registry();
        let host = match registry.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
            Some(_) | None => registry,
        };
        let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
        host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_mean_what_they_mean_to_docker() {
        let digest = format!("sha256:{}", "a".repeat(64));
        for (given, full) in [
            ("alpine", "docker.io/library/alpine:latest".to_owned()),
            ("cimg/base:1", "docker.io/cimg/base:1".to_owned()),
            ("localhost:5000/a", "localhost:5000/a:latest".to_owned()),
            (
                &format!("ghcr.io/a/b@{digest}"),
                format!("ghcr.io/a/b@{digest}"),
            ),
        ] {
            assert_eq!(ImageName::parse(given).unwrap().full(), full);
        }
        for bad in ["", "Alpine", "a b", "../a", "a:", "a\n"] {
            let error = ImageName::parse(bad).unwrap_err().to_string();
            assert!(error.contains(&format!("`{bad}`")), "{error}");
        }
    }

    #[test]
    fn this_machines_registries_are_known() {
        for (given, is_local) in [
            ("localhost:5000/a", true),
            ("localhost/a", true),
            ("127.0.0.2:1/a", true),
            ("alpine", false),
            ("registry.example:5000/a", false),
        ] {
            assert_eq!(ImageName::parse(given).unwrap().is_local(), is_local);
        }
    }
}
