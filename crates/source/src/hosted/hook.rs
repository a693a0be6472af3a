//! What each hosted repository runs after a push: a few lines of shell that call this program.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::pushes;
use crate::SourceError;

/// Marks a hook as ours.
const MARK: &str = "# Written by Popsicle, anew at each start of its server.";

/// Sees to it that the repository has the hook. One that is not ours is put aside.
pub(super) fn install(repository: &Path, program: &[OsString]) -> Result<(), SourceError> {
    let hooks = repository.join("hooks");
    fs::create_dir_all(&hooks).map_err(|cause| SourceError::io("create", &hooks, cause))?;
    let path = hooks.join("post-receive");
    let wanted = script(program);
    match fs::read(&path) {
        Ok(found) if found == wanted && is_executable(&path) => return Ok(()),
        Ok(found) if !contains(&found, MARK.as_bytes()) => {
            let aside = hooks.join("post-receive.before-popsicle");
            tracing::warn!(hook = %path.display(), aside = %aside.display(), "hook put aside");
            fs::rename(&path, &aside).map_err(|cause| SourceError::io("move", &path, cause))?;
        }
        Ok(_) => {}
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => {}
        Err(cause) => return Err(SourceError::io("read", &path, cause)),
    }
    // A push may run it meanwhile, so the new one takes the old one's place whole.
    let draft = hooks.join("post-receive.new");
    fs::write(&draft, wanted)
        .and_then(|()| fs::set_permissions(&draft, fs::Permissions::from_mode(0o755)))
        .and_then(|()| fs::rename(&draft, &path))
        .map_err(|cause| SourceError::io("write", &path, cause))
}

/// Calls the program; where that is gone, keeps the push for the next server as the program would.
fn script(program: &[OsString]) -> Vec<u8> {
    let quoted: Vec<Vec<u8>> = program.iter().map(|word| quoted(word)).collect();
    let first = quoted.first().cloned().unwrap_or_default();
    let (folder, end) = (pushes::FOLDER, pushes::ENDING);
    [
        format!("#!/bin/sh\n{MARK}\npopsicle=").as_bytes(),
        &first,
        b"\n[ -x \"$popsicle\" ] && exec ",
        &quoted.join(&b' '),
        format!(
            "
if env | grep -q '^GIT_PUSH_OPTION_[0-9]*=ci\\.skip$'; then exit 0; fi
echo \"$popsicle is gone; CI hears of this push once its server is started again\" >&2
push={folder}/$(date +%s)000-$$
mkdir -p {folder} && cat >\"$push.new\" && mv \"$push.new\" \"$push{end}\"
"
        )
        .as_bytes(),
    ]
    .concat()
}

/// As one word of the shell's.
fn quoted(word: &OsStr) -> Vec<u8> {
    let mut text = OsString::from("'").into_vec();
    for byte in word.as_bytes() {
        match byte {
            b'\'' => text.extend(b"'\\''"),
            byte => text.push(*byte),
        }
    }
    text.push(b'\'');
    text
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.permissions().mode() & 0o111 == 0o111)
}
