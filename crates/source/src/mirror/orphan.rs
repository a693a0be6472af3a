//! A git that outlived a killed server, and with it whoever would have ended it in time.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::process::{Pid, Signal, kill_process_group};

/// Ends each git that holds this lock as [`crate::git::Git::holding`] lets it, though no server that
/// waits for it does. Without `/proc` it ends none.
pub(super) fn end_orphans(lock: &File) {
    let Ok(lock) = lock.metadata() else { return };
    let is_lock = |path: &Path| {
        fs::metadata(path).is_ok_and(|file| (file.dev(), file.ino()) == (lock.dev(), lock.ino()))
    };
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let process = entry.path();
        let id = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok());
        let Some(id) = id.and_then(Pid::from_raw) else {
            continue;
        };
        if !is_lock(&process.join("fd/0")) {
            continue;
        }
        let Some(parent) = parent(&process) else {
            continue;
        };
        let is_waited_for = match fs::read_dir(format!("/proc/{parent}/fd")) {
            Ok(files) => files.flatten().any(|file| is_lock(&file.path())),
            // Of somebody else's process nothing is known; only the first takes in orphans.
            Err(_) => parent != 1,
        };
        if !is_waited_for {
            tracing::warn!(
                pid = id.as_raw_nonzero().get(),
                "ending a git that outlived its server"
            );
            // It is gone already where this fails.
            let _ = kill_process_group(id, Signal::KILL);
        }
    }
}

/// Format: proc_pid_stat(5). The name in parentheses may hold anything.
fn parent(process: &Path) -> Option<u32> {
    let stat = fs::read(process.join("stat")).ok()?;
    let stat = String::from_utf8_lossy(&stat);
    let (_, rest) = stat.rsplit_once(") ")?;
    rest.split(' ').nth(1)?.parse().ok()
}
