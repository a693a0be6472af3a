//! What is made at first start and kept beside the data, unless the settings name it.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use forge::Secret;
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
