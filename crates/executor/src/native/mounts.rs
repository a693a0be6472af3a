//! The few mount calls that a job's root is made with, and the machine's mount table.
//!
//! What is to be seen inside is taken hold of outside ([`Tree`]) and put in place after the root has
//! been changed. So a path is never looked up in the wrong root, whatever links the machine or the
//! job's configuration put in its way.

use std::ffi::{CString, OsString};
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use rustix::fs::CWD;
use rustix::io::Errno;
use rustix::mount::{
    MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags,
};

/// A copy of a mounted file or folder that is not seen anywhere yet.
#[derive(Debug)]
pub(super) struct Tree(OwnedFd);

impl Tree {
    /// Takes hold of what is at `path`, without what is mounted below it.
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        Ok(Self(rustix::mount::open_tree(CWD, path, flags)?))
    }

    /// Lets it be seen at `path`, which is there and is a file or a folder as this is.
    pub(super) fn show_at(&self, path: &Path) -> io::Result<()> {
        let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
        Ok(rustix::mount::move_mount(&self.0, "", CWD, path, flags)?)
    }
}

/// Mounts a new file system of the kernel's.
pub(super) fn mount(kind: &str, at: &Path, flags: MountFlags, options: &str) -> io::Result<()> {
    let options = CString::new(options)?;
    Ok(rustix::mount::mount(
        kind,
        at,
        kind,
        flags,
        options.as_c_str(),
    )?)
}

/// Lets no mount made here be seen elsewhere, nor the other way round.
pub(super) fn keep_apart() -> io::Result<()> {
    let flags = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    Ok(rustix::mount::mount_change("/", flags)?)
}

/// Makes `root` the root, and lets go of the one before with everything mounted in it.
pub(super) fn change_root(root: &Path) -> io::Result<()> {
    std::env::set_current_dir(root)?;
    // The trick of pivot_root(2): the old root ends up over the new one and is taken off there, so
    // that no folder has to be made for it.
    rustix::process::pivot_root(".", ".")?;
    rustix::mount::unmount(".", UnmountFlags::DETACH)?;
    std::env::set_current_dir("/")
}

/// Shows `from`, with all mounted below it, at `to`, and lets nobody write there.
pub(super) fn bind_read_only(from: &Path, to: &Path) -> io::Result<()> {
    rustix::mount::mount_bind_recursive(from, to)?;
    let to = fs::canonicalize(to)?;
    for mounted in table()? {
        if mounted.at.starts_with(&to) {
            // In a user namespace the flags that are there have to stay.
            let flags = mounted.flags | MountFlags::BIND | MountFlags::RDONLY;
            match rustix::mount::mount_remount(&mounted.at, flags, c"") {
                // What we can't get at, in a folder that is closed to us (as Docker's containers are
                // below `/var/lib/docker`) or under another mount, the job can't get at either: it
                // has no more power over these files than we.
                Err(Errno::ACCESS | Errno::NOENT) => {}
                remounted => remounted?,
            }
        }
    }
    Ok(())
}

/// A line of the machine's mount table.
#[derive(Debug, PartialEq)]
pub(super) struct Mounted {
    /// Where.
    pub at: PathBuf,
    /// Which folder of the file system is the root of what is seen there.
    pub root: PathBuf,
    /// The kind of file system.
    pub kind: String,
    /// How it is mounted.
    pub flags: MountFlags,
    /// The file system's own options.
    pub options: String,
}

/// What is mounted here: proc_pid_mountinfo(5). Later ones hide earlier ones at the same place.
pub(super) fn table() -> io::Result<Vec<Mounted>> {
    Ok(parse_table(&fs::read("/proc/self/mountinfo")?))
}

fn parse_table(text: &[u8]) -> Vec<Mounted> {
    text.split(|&byte| byte == b'\n')
        .filter_map(|line| {
            let mut fields = line.split(|&byte| byte == b' ');
            let root = fields.nth(3)?;
            let at = fields.next()?;
            let flags = fields.next()?;
            let mut after = fields.skip_while(|field| *field != b"-").skip(1);
            let kind = after.next()?;
            let options = after.nth(1).unwrap_or_default();
            Some(Mounted {
                at: unescape(at),
                root: unescape(root),
                kind: String::from_utf8_lossy(kind).into_owned(),
                flags: parse_flags(flags),
                options: String::from_utf8_lossy(options).into_owned(),
            })
        })
        .collect()
}

fn parse_flags(words: &[u8]) -> MountFlags {
    words
        .split(|&byte| byte == b',')
        .map(|word| match word {
            b"ro" => MountFlags::RDONLY,
            b"nosuid" => MountFlags::NOSUID,
            b"nodev" => MountFlags::NODEV,
            b"noexec" => MountFlags::NOEXEC,
            b"noatime" => MountFlags::NOATIME,
            b"nodiratime" => MountFlags::NODIRATIME,
            b"relatime" => MountFlags::RELATIME,
            b"nosymfollow" => MountFlags::NOSYMFOLLOW,
            _ => MountFlags::empty(),
        })
        .collect()
}

/// Undoes the table's `\040` for a space and its like.
fn unescape(text: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        let octal = tail.get(..3).filter(|_| *first == b'\\');
        let value = octal
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        bytes.push(value.unwrap_or(*first));
        rest = if value.is_some() { &tail[3..] } else { tail };
    }
    PathBuf::from(OsString::from_vec(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mount_table_is_read_with_its_oddities() {
        let table = parse_table(
            b"27 1 254:0 / / rw,relatime shared:1 master:2 - ext4 /dev/vda rw,discard\n\
              28 27 0:25 /a\\040b /mnt/x\\134y ro,nosuid,nodev - tmpfs none ro,size=4k\n\
              nonsense\n",
        );
        assert_eq!(
            table,
            [
                Mounted {
                    at: "/".into(),
                    root: "/".into(),
                    kind: "ext4".into(),
                    flags: MountFlags::RELATIME,
                    options: "rw,discard".into(),
                },
                Mounted {
                    at: "/mnt/x\\y".into(),
                    root: "/a b".into(),
                    kind: "tmpfs".into(),
                    flags: MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV,
                    options: "ro,size=4k".into(),
                },
            ]
        );
    }
}
