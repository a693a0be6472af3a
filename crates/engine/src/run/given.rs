//! What an attempt was given that its log must not tell, kept for a server that takes it up.
//!
//! A secret may be replaced or deleted while a job runs that has it: what is masked is what the job has,
//! not what is stored by then. So the values are kept with the attempt, encrypted, out of the job's sight.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use executor::JobDir;

use crate::logs::Masks;
use crate::secrets::{Grant, Secrets};

/// Keeps the values of a grant in the attempt's folder.
pub(super) fn keep(secrets: &Secrets, dir: &JobDir, grant: &Grant) -> io::Result<()> {
    if grant.variables.is_empty() {
        return Ok(());
    }
    let values: Vec<&String> = grant.variables.iter().map(|(_, value)| value).collect();
    let values = serde_json::to_vec(&values)?;
    let sealed = secrets
        .seal(&values, &bound_to(dir))
        .map_err(io::Error::other)?;
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path(dir))?;
    file.write_all(&sealed)
}

/// The masks for what was kept; none where nothing was.
///
/// # Errors
/// For people: why its log can't be masked.
pub(super) fn masks(secrets: &Secrets, dir: &JobDir) -> Result<Masks, String> {
    let path = path(dir);
    let unreadable = |why: &dyn std::fmt::Display| format!("`{}`: {why}", path.display());
    let sealed = match fs::read(&path) {
        Ok(sealed) => sealed,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Masks::default()),
        Err(error) => return Err(unreadable(&error)),
    };
    let values = secrets
        .open(&sealed, &bound_to(dir))
        .map_err(|error| unreadable(&error))?;
    let values: Vec<String> =
        serde_json::from_slice(&values).map_err(|_| unreadable(&"it is no list of values"))?;
    Ok(Masks::of(values.iter().map(String::as_str)))
}

fn path(dir: &JobDir) -> PathBuf {
    dir.path().join("given")
}

fn bound_to(dir: &JobDir) -> String {
    format!("given\n{}", dir.key())
}
