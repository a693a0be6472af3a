//! Who a job is inside its container: where its home is, and by which numbers files are its own.
//!
//! Docker tells neither. The home is the image's `HOME`, or `/root` for root; for others it is in the
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

/// A user of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    /// Its home directory.
    pub(super) home: String,
    /// Its number.
    pub(super) uid: u32,
    /// The number of its group.
    pub(super) gid: u32,
}

/// How many identities are kept.
const KEPT: usize = 1024;
/// The bytes of `/etc/passwd` that are read at most.
const PASSWD_BYTES: usize = 1 << 20;

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

/// Who `user` is, if that can be told without looking into the image.
fn without_passwd(image_home: Option<&str>, user: &str) -> Option<Identity> {
    let (name, group) = user.split_once(':').unwrap_or((user, ""));
    let root = matches!(name, "" | "root" | "0");
    let uid = if root { 0 } else { name.parse().ok()? };
    let gid = match group {
        "" | "root" => Some(0).filter(|_| root),
        group => group.parse().ok(),
    }?;
    let home = image_home.or(root.then_some("/root"))?;
    Some(Identity {
        home: home.to_owned(),
        uid,
        gid,
    })
}

/// Who `user` is, by `passwd` (see passwd(5)). One who is not there is left to the daemon, which
/// runs numbers that have no name and refuses names that have no number.
fn from_passwd(image_home: Option<&str>, user: &str, passwd: &str) -> Identity {
    let (name, group) = user.split_once(':').unwrap_or((user, ""));
    let number = match name {
        "" => Some(0),
        name => name.parse::<u32>().ok(),
    };
    let entry = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let login = fields.next()?;
        let uid: u32 = fields.nth(1)?.parse().ok()?;
        let gid: u32 = fields.next()?.parse().ok()?;
        let home = fields.nth(1)?;
        (login == name || Some(uid) == number).then_some((uid, gid, home))
    });
    let home = image_home.or(entry.map(|(_, _, home)| home));
    Identity {
        home: home
            .filter(|home| home.starts_with('/'))
            .unwrap_or("/")
            .to_owned(),
        uid: entry.map(|(uid, _, _)| uid).or(number).unwrap_or(0),
        gid: group
            .parse()
            .ok()
            .or(entry.map(|(_, gid, _)| gid))
            .unwrap_or(0),
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
    let passwd = copy::read_file(daemon, &container, "/etc/passwd", PASSWD_BYTES).await;
    super::remove(daemon, &container).await?;
    let passwd = passwd.map_err(|error| Failure::new(what(), &error))?;
    Ok(String::from_utf8_lossy(&passwd.unwrap_or_default()).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\n\
                          broken line\n\
                          circleci:x:1001:1002:,,,:/home/circleci:/bin/sh\n";

    fn identity(home: &str, uid: u32, gid: u32) -> Identity {
        Identity {
            home: home.to_owned(),
            uid,
            gid,
        }
    }

    #[test]
    fn root_and_numbers_with_a_home_need_no_look() {
        for root in ["", "root", "0", "0:0", "root:root"] {
            assert_eq!(
                without_passwd(None, root),
                Some(identity("/root", 0, 0)),
                "{root}"
            );
        }
        assert_eq!(without_passwd(Some("/h"), ""), Some(identity("/h", 0, 0)));
        assert_eq!(
            without_passwd(Some("/h"), "7:8"),
            Some(identity("/h", 7, 8))
        );
        for unknown in [(None, "7:8"), (Some("/h"), "7"), (Some("/h"), "circleci")] {
            assert_eq!(without_passwd(unknown.0, unknown.1), None, "{unknown:?}");
        }
    }

    #[test]
    fn others_are_looked_up_by_name_or_number() {
        let circleci = identity("/home/circleci", 1001, 1002);
        assert_eq!(from_passwd(None, "circleci", PASSWD), circleci);
        assert_eq!(from_passwd(None, "1001", PASSWD), circleci);
        assert_eq!(
            from_passwd(None, "circleci:5", PASSWD),
            identity("/home/circleci", 1001, 5)
        );
        assert_eq!(
            from_passwd(Some("/h"), "circleci", PASSWD),
            identity("/h", 1001, 1002)
        );
        assert_eq!(from_passwd(None, "4242", PASSWD), identity("/", 4242, 0));
        assert_eq!(from_passwd(None, "nobody", ""), identity("/", 0, 0));
    }
}
