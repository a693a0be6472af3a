//! What a git or a server that was killed leaves in a mirror and beside it, and how it goes.

use std::fs;
use std::path::Path;

/// Removes it; only for who holds the mirror's lock.
pub(super) fn sweep(mirror: &Path) {
    sweep_folder(mirror, 0, &is_lock);
    sweep_folder(&mirror.join("refs"), 32, &is_lock);
    sweep_folder(&mirror.join("objects"), 1, &is_unfinished);
}

/// Ends a renewal that was broken off: its new mirror goes, and the old one is again what it was.
pub(super) fn sweep_beside(mirror: &Path, new: &Path, old: &Path) {
    // Where these fail, the next renewal fails too, and tells.
    if !mirror.exists() {
        let _ = fs::rename(old, mirror);
    }
    for leftover in [new, old] {
        let _ = fs::remove_dir_all(leftover);
    }
}

fn is_lock(name: &str) -> bool {
    name.ends_with(".lock")
}

fn is_unfinished(name: &str) -> bool {
    name.starts_with("tmp_")
        || name.starts_with(".tmp-")
        || name.ends_with(".lock")
        || name.ends_with(".keep")
}

/// Removes the files whose names `is_leftover`, as many folders deep.
fn sweep_folder(folder: &Path, depth: usize, is_leftover: &dyn Fn(&str) -> bool) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_folder && depth > 0 {
            sweep_folder(&entry.path(), depth - 1, is_leftover);
        } else if !is_folder && entry.file_name().to_str().is_some_and(is_leftover) {
            // Where this fails, the fetch fails too, and tells.
            let _ = fs::remove_file(entry.path());
        }
    }
}
