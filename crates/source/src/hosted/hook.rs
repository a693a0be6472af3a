//! What each hosted repository runs before and after a push: a few lines of shell that note it, and call
//! this program.

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

/// Sees to it that the repository has its hooks. A foreign one that is in the way of ours after a push is
/// put aside; one before a push may be somebody's rule, and stays.
pub(super) fn install(repository: &Path, program: &[OsString]) -> Result<(), SourceError> {
    let hooks = repository.join("hooks");
    fs::create_dir_all(&hooks).map_err(|cause| SourceError::io("create", &hooks, cause))?;
    let after = hooks.join("post-receive");
    if is_foreign(&after)? {
        let aside = hooks.join("post-receive.before-popsicle");
        tracing::warn!(hook = %after.display(), aside = %aside.display(), "hook put aside");
        fs::rename(&after, &aside).map_err(|cause| SourceError::io("move", &after, cause))?;
    }
    write(&after, &script(program))?;
    let before = hooks.join("pre-receive");
    if is_foreign(&before)? {
        return Ok(());
    }
    write(&before, note().as_bytes())
}

fn is_foreign(hook: &Path) -> Result<bool, SourceError> {
    match fs::read(hook) {
        Ok(found) => Ok(!contains(&found, MARK.as_bytes())),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(cause) => Err(SourceError::io("read", hook, cause)),
    }
}

/// A push may run it meanwhile, so the new one takes the old one's place whole.
fn write(hook: &Path, wanted: &[u8]) -> Result<(), SourceError> {
    if fs::read(hook).is_ok_and(|found| found == wanted) && is_executable(hook) {
        return Ok(());
    }
    let draft = hook.with_extension("new");
    fs::write(&draft, wanted)
        .and_then(|()| fs::set_permissions(&draft, fs::Permissions::from_mode(0o755)))
        .and_then(|()| fs::rename(&draft, hook))
        .map_err(|cause| SourceError::io("write", hook, cause))
}

/// Notes what is about to be pushed, under the number of the process that receives it, and is in the way
/// of nothing. Git does not get to the hook after a push where its server dies between the two.
fn note() -> String {
    let (folder, begun) = (pushes::FOLDER, pushes::BEGUN);
    format!(
        "#!/bin/sh
{MARK}
push={folder}/$(date +%s)000-$PPID
mkdir -p {folder} && cat >\"$push.new\" && mv \"$push.new\" \"$push{begun}\"
exit 0
"
    )
}

/// Calls the program; where that is gone, keeps the push for the next server as the program would.
fn script(program: &[OsString]) -> Vec<u8> {
    let quoted: Vec<Vec<u8>> = program.iter().map(|word| quoted(word)).collect();
    let first = quoted.first().cloned().unwrap_or_default();
    let (folder, end, begun) = (pushes::FOLDER, pushes::ENDING, pushes::BEGUN);
    [
        format!("#!/bin/sh\n{MARK}\npopsicle=").as_bytes(),
        &first,
        b"\n[ -x \"$popsicle\" ] && exec ",
        &quoted.join(&b' '),
        format!(
            "
if env | grep -q '^GIT_PUSH_OPTION_[0-9]*=ci\\.skip$'; then rm -f {folder}/*-$PPID{begun}; exit 0; fi
echo \"$popsicle is gone; CI hears of this push once its server is started again\" >&2
push={folder}/$(date +%s)000-$PPID
mkdir -p {folder} && cat >\"$push.new\" && mv \"$push.new\" \"$push{end}\" &&
  rm -f {folder}/*-$PPID{begun}
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
