//! A process that may be another's by the time one looks: its number, and when it started.

use std::fs;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// How many bytes of a command line are read.
const COMMAND_LINE_LIMIT: u64 = 4096;

/// A hold on one process: signals sent through it reach that one or none.
#[derive(Debug)]
pub(super) struct Process {
    pid: u32,
    handle: OwnedFd,
}

impl Process {
    /// Takes hold of the process that [`remember`] wrote to `path`; `None` if it is gone, or if
    /// nothing readable is written there.
    pub(super) fn recall(path: &Path) -> Option<Self> {
        let text = fs::read_to_string(path).ok()?;
        let (pid, started) = text.trim().split_once(' ')?;
        let process = Self::open(pid.parse().ok()?)?;
        // Asked after it is held: from then on the number can't change hands unnoticed.
        let stat = fs::read_to_string(format!("/proc/{}/stat", process.pid)).ok()?;
        (start_in(&stat)? == started).then_some(process)
    }

    /// Takes hold of process number `pid`, whichever that is now.
    pub(super) fn open(pid: u32) -> Option<Self> {
        let raw = Pid::from_raw(pid.try_into().ok()?)?;
        let handle = pidfd_open(raw, PidfdFlags::NONBLOCK).ok()?;
        Some(Self { pid, handle })
    }

    /// Its number.
    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    /// Whether it has ended; it may not have been reaped yet.
    pub(super) fn has_ended(&self) -> bool {
        let mut polled = [PollFd::new(&self.handle, PollFlags::IN)];
        matches!(poll(&mut polled, Some(&Timespec::default())), Ok(ready) if ready > 0)
    }

    /// Sends it a signal; does nothing if it is gone.
    pub(super) fn signal(&self, signal: Signal) {
        // The only failure is that it is gone, or is not ours, and then there is nothing to do.
        let _ = pidfd_send_signal(&self.handle, signal);
    }

    /// What it was started with, as far as it is there to be read: changes with `exec`.
    pub(super) fn command_line(&self) -> Vec<u8> {
        // The whole could be megabytes.
        let mut line = Vec::new();
        if let Ok(file) = fs::File::open(format!("/proc/{}/cmdline", self.pid)) {
            let _ = file.take(COMMAND_LINE_LIMIT).read_to_end(&mut line);
        }
        line
    }

    /// The PID namespace that it lives in.
    pub(super) fn pid_namespace(&self) -> Option<PathBuf> {
        fs::read_link(format!("/proc/{}/ns/pid", self.pid)).ok()
    }
}

impl AsFd for Process {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.handle.as_fd()
    }
}

/// What to write down so that [`Process::recall`] finds process `pid` again. `proc` is an open `/proc`,
/// because the one to ask may not be at its place any more.
pub(super) fn remember(proc: impl AsFd, pid: u32) -> io::Result<String> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let stat = rustix::fs::openat(proc, format!("{pid}/stat"), flags, Mode::empty())?;
    let stat = io::read_to_string(fs::File::from(stat))?;
    let started = start_in(&stat).ok_or(io::ErrorKind::InvalidData)?;
    Ok(format!("{pid} {started}\n"))
}

/// All processes of a PID namespace that can be seen from here.
pub(super) fn members(namespace: &Path) -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(Process::open)
        .filter(|process| process.pid_namespace().as_deref() == Some(namespace))
        .collect()
}

/// When a process started, in clock ticks since the machine did: field 22 of proc_pid_stat(5).
fn start_in(stat: &str) -> Option<&str> {
    // The second field is a name in parentheses that may hold anything, parentheses too.
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().nth(19)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_recalled_by_number_and_start() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("pid");
        let mut child = std::process::Command::new("cat")
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        fs::write(
            &file,
            remember(fs::File::open("/proc").unwrap(), child.id()).unwrap(),
        )
        .unwrap();
        let process = Process::recall(&file).unwrap();
        assert!(!process.has_ended());
        fs::write(&file, format!("{} 1\n", child.id())).unwrap();
        assert!(Process::recall(&file).is_none(), "another with that number");
        process.signal(Signal::KILL);
        child.wait().unwrap();
        assert!(process.has_ended());
        fs::write(&file, "nonsense").unwrap();
        assert!(Process::recall(&file).is_none());
    }
}
