//! Who a job is inside its container, found out through the daemon.
//!
//! Docker tells neither home nor numbers. The home is the image's `HOME`, or `/root` for root; for others it is in the
//! image's `/etc/passwd`, which is read out of a container that is never started. That takes as long
//! as a small job, so what was found is kept for the image and the user.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use bollard::models::ContainerCreateBody;
use bollard::query_parameters::CreateContainerOptionsBuilder;

use super::copy;
use super::daemon::Daemon;
use super::image::Image;
use super::trouble::Failure;
use crate::identity::{Identity, from_passwd, without_passwd};

/// How many identities are kept.
const KEPT: usize = 1024;

/// The identities found so far, by the image's id and the user's name.
#[derive(Debug, Default)]
pub(super) struct Identities(Mutex<HashMap<(String, String), Identity>>);

impl Identities {
    /// Who `user` is in `image`.
    ///
    /// `probe` describes the container that is made where `/etc/passwd` has to be read: its name
    /// and its labels, so that it is found again if nobody is left to remove it.
    pub(super) async fn resolve(
        &self,
        daemon: &Daemon,
        image: &Image,
        user: &str,
        probe: (&str, HashMap<String, String>),
    ) -> Result<Identity, Failure> {
        if let Some(known) = without_passwd(image.home.as_deref(), user) {
            return Ok(known);
        }
        let key = (image.id.clone(), user.to_owned());
        if let Some(known) = self.lock().get(&key) {
            return Ok(known.clone());
        }
        let passwd = read_passwd(daemon, image, probe).await?;
        let identity = from_passwd(image.home.as_deref(), user, &passwd);
        let mut kept = self.lock();
        if kept.len() >= KEPT {
            kept.clear();
        }
        kept.insert(key, identity.clone());
        Ok(identity)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<(String, String), Identity>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The image's `/etc/passwd`; empty if it has none.
async fn read_passwd(
    daemon: &Daemon,
    image: &Image,
    (name, labels): (&str, HashMap<String, String>),
) -> Result<String, Failure> {
    let what = || {
        format!(
            "could not look for the job's user in image `{}`",
            image.name
        )
    };
    let options = CreateContainerOptionsBuilder::default().name(name).build();
    let body = ContainerCreateBody {
        image: Some(image.id.clone()),
        // Some images have no command of their own, and then one must be given.
        entrypoint: Some(vec!["/bin/sh".to_owned()]),
        labels: Some(labels),
        ..ContainerCreateBody::default()
    };
    let container = daemon
        .docker
        .create_container(Some(options), body)
        .await
        .map_err(|error| Failure::new(what(), &error))?
        .id;
    let passwd = copy::read_file(
        daemon,
        &container,
        "/etc/passwd",
        crate::identity::PASSWD_BYTES,
    )
    .await;
    super::remove(daemon, &container).await?;
    let passwd = passwd.map_err(|error| Failure::new(what(), &error))?;
    Ok(String::from_utf8_lossy(&passwd.unwrap_or_default()).into_owned())
}
