//! With what an image is pulled: the account that its job names; else the user's that the server runs as.

use image::Credential;
use model::{ImageAuth, ImageSpec};

/// The account that a job names for an image, if it names one. Accounts of AWS can't be used, and their job's
/// author was warned.
pub(crate) fn account(spec: &ImageSpec) -> Option<Credential> {
    match &spec.auth {
        Some(ImageAuth::Registry { username, password }) => Some(Credential::Account {
            username: username.clone(),
            password: password.clone(),
        }),
        Some(ImageAuth::AwsKey { .. } | ImageAuth::AwsRole { .. }) | None => None,
    }
}
