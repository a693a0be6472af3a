//! What is made at first start and kept beside the data, unless the settings name it.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use forge::Secret;
use store::Keyring;
use uuid::Uuid;

use super::{Settings, value};

/// Where a secret that was made is kept.
pub fn webhook_secret_path(settings: &Settings) -> PathBuf {
    settings.data_dir.join("webhook-secret")
}

/// The secret that webhooks are signed with. Makes one if the settings name none, and keeps it in
/// the data folder, readable by its owner alone.
///
/// # Errors
/// Where the file can't be read or written, or is empty; the error names it.
pub fn webhook_secret(settings: &Settings) -> io::Result<Secret> {
    match &settings.webhook_secret {
        Some(secret) => Ok(secret.value.clone()),
        // Two random UUIDs: 244 bits from the system's generator.
        None => keep(&webhook_secret_path(settings), || {
            format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple())
        })
        .map(Secret::new),
    }
}

/// The keys that secrets are encrypted with. Makes one if the settings name none, and keeps it in the data
/// folder, readable by its owner alone. Where the settings name one, a key that was kept before still
/// decrypts.
///
/// # Errors
/// Where the file can't be read or written, or holds no key; the error names it.
pub fn secrets_keys(settings: &Settings) -> io::Result<Keyring> {
    let path = settings.data_dir.join("secrets-key");
    let make = || format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
    let text = match &settings.secrets_key {
        Some(key) if path.exists() => format!("{}\n{}", key.expose(), keep(&path, make)?),
        Some(key) => key.expose().to_owned(),
        None => keep(&path, make)?,
    };
    Keyring::parse(&text).map_err(|error| io::Error::other(format!("{}: {error}", path.display())))
}

/// What this server's containers are marked with. Makes a name if the settings have none, and keeps it
/// in the data folder, so that two servers on one machine never take each other's containers for
/// their own.
///
/// # Errors
/// Where the file can't be read or written, or holds no such name; the error names it.
pub fn namespace(settings: &Settings) -> io::Result<String> {
    if let Some(namespace) = &settings.namespace {
        return Ok(namespace.value.clone());
    }
    let path = settings.data_dir.join("namespace");
    let kept = keep(&path, || {
        let random = Uuid::new_v4().simple().to_string();
        format!("popsicle-{}", &random[..8])
    })?;
    value::namespace(&kept).map_err(|_| {
        io::Error::other(format!(
            "{}: it holds no name for containers; delete it to have a new one made",
            path.display()
        ))
    })
}

/// What the file says, without the white space around it; made and written if it is not there.
fn keep(path: &Path, make: impl Fn() -> String) -> io::Result<String> {
    let kept = loop {
        match fs::read_to_string(path) {
            Ok(text) if text.trim().is_empty() => {
                break Err(io::Error::other(
                    "the file is empty; delete it to have a new one made",
                ));
            }
            Ok(text) => break Ok(text.trim().to_owned()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if let Err(error) = write(path, &make()) {
                    break Err(error);
                }
            }
            Err(error) => break Err(error),
        }
    };
    kept.map_err(|cause| io::Error::new(cause.kind(), format!("{}: {cause}", path.display())))
}

/// Writes the whole file under another name and links it into place, so that nobody ever reads half
/// of it and two servers that start at once end with the same one.
fn write(path: &Path, text: &str) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let draft = path.with_extension(Uuid::new_v4().simple().to_string());
    let made = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)
        .and_then(|mut file| {
            writeln!(file, "{text}")?;
            file.sync_all()
        })
        .and_then(|()| match fs::hard_link(&draft, path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            other => other,
        });
    let removed = fs::remove_file(&draft);
    made.and(removed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_key_that_is_set_comes_before_the_one_that_was_kept() {
        let dir = tempfile::tempdir().unwrap();
        let mut settings = Settings::defaults();
        settings.data_dir.value = dir.path().to_owned();
        let ids = |settings: &Settings| -> Vec<String> {
            secrets_keys(settings).unwrap().ids().collect()
        };
        let made = ids(&settings);
        assert_eq!((made.len(), ids(&settings)), (1, made.clone()));
        settings.secrets_key = Some(crate::settings::Sourced {
            value: Secret::new("0123456789abcdef".repeat(2)),
            source: crate::settings::Source::Default,
        });
        let both = ids(&settings);
        assert_eq!(both[1..], made);

        let path = dir.path().join("secrets-key");
        fs::write(&path, "short\n").unwrap();
        let error = secrets_keys(&settings).unwrap_err().to_string();
        assert!(error.contains("secrets-key: a key for secrets"), "{error}");
    }

    #[test]
    fn what_is_kept_is_made_once_and_for_its_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/webhook-secret");
        let make = || Uuid::new_v4().to_string();
        let made = keep(&path, make).unwrap();
        assert_eq!(keep(&path, make).unwrap(), made);
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);

        fs::write(&path, "\n").unwrap();
        let error = keep(&path, make).unwrap_err().to_string();
        assert!(
            error.contains("empty") && error.contains("webhook-secret"),
            "{error}"
        );
    }
}
