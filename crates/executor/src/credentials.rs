//! As whom an image is pulled: with the account that its job names; else as the user that the server runs as,
//! or as anybody.

use image::{Credential, Puller};
use model::{ImageAuth, ImageSpec};

use crate::Launch;

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

/// Who pulls an image of a job.
pub(crate) fn puller<'a>(account: Option<&'a Credential>, launch: &Launch) -> Puller<'a> {
    match account {
        Some(account) => Puller::Account(account),
        None if launch.anonymous => Puller::Nobody,
        None => Puller::ThisUser,
    }
}
