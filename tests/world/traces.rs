//! What jobs may leave on a machine, to see that they leave nothing, and to clear up after a story that
//! failed.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

/// The command lines of the processes whose command line has that text in it.
pub fn processes_with(text: &str) -> Vec<String> {
    let lines = processes().into_iter().map(|process| process.line);
    lines.filter(|line| line.contains(text)).collect()
}

/// Where something is mounted at or below that path.
pub fn mounts_below(path: &Path) -> Vec<String> {
    let table = fs::read_to_string("/proc/self/mounts").expect("the kernel tells what is mounted");
    let at = |line: &str| line.split(' ').nth(1).unwrap_or_default().to_owned();
    table
        .lines()
        .map(at)
        .filter(|at| Path::new(at).starts_with(path))
        .collect()
}

/// Ends the processes that have a path below `home` on their command line (servers, shims and what
/// they started), and the processes below them.
pub fn end_processes_of(home: &Path) {
    let home = home.display().to_string();
    let since = Instant::now();
    loop {
        let all = processes();
        let mut doomed: BTreeSet<i32> = all
            .iter()
            .filter(|process| process.line.contains(&home))
            .map(|process| process.id)
            .collect();
        if doomed.is_empty() || since.elapsed() > Duration::from_secs(10) {
            return;
        }
        loop {
            let known = doomed.len();
            let below = all
                .iter()
                .filter(|process| doomed.contains(&process.parent));
            doomed.extend(below.map(|process| process.id).collect::<Vec<_>>());
            if doomed.len() == known {
                break;
            }
        }
        for pid in doomed.into_iter().filter_map(Pid::from_raw) {
            let _ = rustix::process::kill_process(pid, Signal::KILL);
        }
        std::thread::yield_now();
    }
}

/// Removes the control groups of the native jobs whose folders are in `jobs`.
pub fn remove_groups(jobs: &Path) {
    for entry in fs::read_dir(jobs).into_iter().flatten().flatten() {
        for group in groups(Path::new("/sys/fs/cgroup"), 4) {
            // It may take a moment until a group is empty; what stays is empty, and small.
            let _ = fs::remove_dir(group.join(entry.file_name()));
        }
    }
}

/// Control groups named `popsicle`.
fn groups(below: &Path, depth: u32) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(below).into_iter().flatten().flatten() {
        let is_dir = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_dir && entry.file_name() == "popsicle" {
            found.push(entry.path());
        } else if is_dir && depth > 1 {
            found.extend(groups(&entry.path(), depth - 1));
        }
    }
    found
}

struct Process {
    id: i32,
    parent: i32,
    /// Its command line, with spaces between the words.
    line: String,
}

fn processes() -> Vec<Process> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").expect("there is a /proc").flatten() {
        let Some(id) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        // It may have ended meanwhile.
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        // `<id> (<name>) <state> <parent> …`, and the name may have anything in it.
        let parent = stat
            .rsplit(')')
            .next()
            .and_then(|rest| rest.split(' ').nth(2));
        found.push(Process {
            id,
            parent: parent
                .and_then(|parent| parent.parse().ok())
                .unwrap_or_default(),
            line: String::from_utf8_lossy(&line).replace('\0', " "),
        });
    }
    found
}
