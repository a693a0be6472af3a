//! What an attempt was given that its log must not tell, kept for a server that takes it up.
//!
//! A secret may be replaced or deleted while a job runs that has it: what is masked, and what the keys of
//! caches are filled in with, is what the job has, not what is stored by then. So the variables are kept
//! with the attempt, encrypted, out of the job's sight.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use executor::JobDir;

use crate::logs::Masks;
use crate::secrets::{Grant, Secrets};

/// Keeps the variables of a grant in the attempt's folder.
pub(super) fn keep(secrets: &Secrets, dir: &JobDir, grant: &Grant) -> io::Result<()> {
    if grant.variables.is_empty() {
        return Ok(());
    }
    let variables = serde_json::to_vec(&grant.variables)?;
    let sealed = secrets
        .seal(&variables, &bound_to(dir))
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
    let variables = variables(secrets, dir)?;
    Ok(Masks::of(variables.iter().map(|(_, value)| value.as_str())))
}

/// The variables that were kept; none where nothing was.
///
/// # Errors
/// For people: why they can't be read.
pub(super) fn variables(secrets: &Secrets, dir: &JobDir) -> Result<Vec<(String, String)>, String> {
    let path = path(dir);
    let unreadable = |why: &dyn std::fmt::Display| format!("`{}`: {why}", path.display());
    let sealed = match fs::read(&path) {
        Ok(sealed) => sealed,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unreadable(&error)),
    };
    let variables = secrets
        .open(&sealed, &bound_to(dir))
        .map_err(|error| unreadable(&error))?;
    serde_json::from_slice(&variables).map_err(|_| unreadable(&"it is no list of variables"))
}

fn path(dir: &JobDir) -> PathBuf {
    dir.path().join("given")
}

fn bound_to(dir: &JobDir) -> String {
    format!("given\n{}", dir.key())
}
