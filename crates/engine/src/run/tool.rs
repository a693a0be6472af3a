//! The program that a job finds as `circleci`, `circleci-agent` and `popsicle`: a POSIX `sh` script beside
//! the one that runs the steps, so that nothing has to be in the image.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// The folder of `io/` that is the first of a job's search path.
pub(super) const FOLDER: &str = "bin";

/// What it is found as.
const NAMES: [&str; 3] = ["circleci", "circleci-agent", "popsicle"];

const TEXT: &str = include_str!("tool/circleci.sh");

/// Lays it out in a job's `io/`, for whoever the job runs as.
pub(super) fn lay_out(io: &Path) -> io::Result<()> {
    let folder = io.join(FOLDER);
    std::fs::create_dir(&folder)?;
    let for_all = Permissions::from_mode(0o755);
    std::fs::set_permissions(&folder, for_all.clone())?;
    for name in NAMES {
        let path = folder.join(name);
        std::fs::write(&path, TEXT)?;
        std::fs::set_permissions(&path, for_all.clone())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
