//! The webhook secret: taken from the settings, or made at first start and kept beside the data.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use forge::Secret;
use uuid::Uuid;

use super::Settings;

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
        None => {
            let path = webhook_secret_path(settings);
            keep(&path).map_err(|cause| {
                io::Error::new(cause.kind(), format!("{}: {cause}", path.display()))
            })
        }
    }
}

fn keep(path: &Path) -> io::Result<Secret> {
    loop {
        match fs::read_to_string(path) {
            Ok(text) if text.trim().is_empty() => {
                return Err(io::Error::other(
                    "the file is empty; delete it to have a new secret made",
                ));
            }
            Ok(text) => return Ok(Secret::new(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => make(path)?,
            Err(error) => return Err(error),
        }
    }
}

/// Writes the whole file under another name and links it into place, so that nobody ever reads half
/// of it and two servers that start at once end with the same one.
fn make(path: &Path) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let draft = path.with_extension(Uuid::new_v4().simple().to_string());
    // Two random UUIDs: 244 bits from the system's generator.
    let secret = format!("{}{}\n", Uuid::new_v4().simple(), Uuid::new_v4().simple());
    let made = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)
        .and_then(|mut file| {
            file.write_all(secret.as_bytes())?;
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
    fn a_secret_is_made_once_and_for_its_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/webhook-secret");
        let made = keep(&path).unwrap();
        assert_eq!(made.expose().len(), 64);
        assert_eq!(keep(&path).unwrap(), made);
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);

        fs::write(&path, "\n").unwrap();
        assert!(keep(&path).unwrap_err().to_string().contains("empty"));
    }
}
