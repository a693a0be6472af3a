//! The last steps before a job's first process is the job's: taken in that process itself.
//!
//! What is kept from it is what Docker keeps from a container: kernel files that tell of the machine or
//! change it, and all powers of root but those that building and installing need.

use std::io;
use std::path::Path;

use rustix::fs::{Gid, Mode, Uid};
use rustix::mount::{MountFlags, UnmountFlags};
use rustix::process::Signal;
use rustix::thread::{CapabilitySet, CapabilitySets};

use super::groups::Doors;
use super::mounts;
use super::process::Process;
use super::seccomp::Filter;
use crate::CONTAINER_DIR;

/// Docker's default capabilities but for two. `MKNOD` would give the machine's disks to the job, as
/// there is no device filter here; `NET_RAW` would let it listen to the machine's network, which it
/// shares.
pub(super) const KEPT: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::FSETID)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::SETUID)
    .union(CapabilitySet::SETFCAP)
    .union(CapabilitySet::SETPCAP)
    .union(CapabilitySet::NET_BIND_SERVICE)
    .union(CapabilitySet::SYS_CHROOT)
    .union(CapabilitySet::KILL)
    .union(CapabilitySet::AUDIT_WRITE);

/// Docker's default masked paths.
const MASKED: [&str; 12] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];

/// Docker's default read-only paths.
const READ_ONLY: [&str; 5] = [
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
];

/// A step of [`confine`] that failed.
#[derive(Debug)]
pub(super) struct Unconfined {
    /// Which, as what follows `could not`.
    pub what: &'static str,
    /// Why.
    pub cause: io::Error,
}

/// Who the job is, where that is not root of the machine's own view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct User {
    pub uid: u32,
    pub gid: u32,
    /// The numbers of its other groups.
    pub groups: Vec<u32>,
}

/// The steps, for [`Unconfined`].
const STEPS: [&str; 10] = [
    "start `/bin/sh`",
    "tie the job to its shim",
    "enter the job's control groups",
    "mount the job's `/proc`",
    "mask kernel files",
    "make kernel files read-only",
    "leave the server's groups",
    "filter the job's system calls",
    "drop root's powers",
    "become the job's user",
];

/// Above every error number of the kernel's.
const STEP: i32 = 4096;

impl Unconfined {
    /// All that a process can tell its parent before `exec` is one number: so it is the step's and
    /// the error's in one.
    pub(super) fn encode(self) -> io::Error {
        let step = STEPS.iter().position(|what| *what == self.what);
        let step = i32::try_from(step.unwrap_or_default()).unwrap_or_default();
        let number = self.cause.raw_os_error().unwrap_or_default();
        io::Error::from_raw_os_error(step * STEP + number)
    }

    /// Whether it is the program that could not be started, after all that was done before.
    pub(super) fn is_start(&self) -> bool {
        self.what == STEPS[0]
    }

    /// What the parent makes of it; `exec` itself has no step of its own.
    pub(super) fn decode(error: io::Error) -> Self {
        let number = error.raw_os_error().unwrap_or_default();
        let step = usize::try_from(number / STEP).unwrap_or_default();
        Self {
            what: STEPS.get(step).copied().unwrap_or(STEPS[0]),
            cause: match number {
                0 => error,
                _ => io::Error::from_raw_os_error(number % STEP),
            },
        }
    }
}

/// Makes the calling process, a child of `shim`, what a job may be: in its groups, with its `/proc`,
/// without powers, and with no other system calls than `filter` lets through.
///
/// In an image the job is `user`. A program there that is another's to whoever starts it, as `sudo` is, works:
/// in images made for CI the user is not root and becomes it so. The powers that root has there are the same.
pub(super) fn confine(
    shim: &Process,
    doors: &Doors,
    user: Option<&User>,
    filter: Option<&Filter>,
) -> Result<(), Unconfined> {
    let steps: [&dyn Fn() -> io::Result<()>; 9] = [
        &|| tie_to(shim),
        &|| doors.enter(),
        &mount_proc,
        &mask_all,
        &|| {
            READ_ONLY
                .iter()
                .try_for_each(|path| make_read_only(Path::new(path)))
        },
        &|| drop_groups(user),
        // Before the powers go: where `sudo` is to work, the kernel lets nobody do it without them. All that
        // is left to do after it, a job may do as well.
        &|| filter.map_or(Ok(()), Filter::apply),
        &drop_powers,
        &|| match user {
            // The tie is cut with a change of user.
            Some(user) => become_user(user).and_then(|()| tie_to(shim)),
            None => Ok(rustix::thread::set_no_new_privs(true)?),
        },
    ];
    rustix::process::umask(Mode::from_raw_mode(0o022));
    for (step, what) in steps.iter().zip(&STEPS[1..]) {
        step().map_err(|cause| Unconfined { what, cause })?;
    }
    Ok(())
}

/// Without the shim there is no one to tell how the job ends; so it ends with the shim.
fn tie_to(shim: &Process) -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    // It may have ended just before.
    if shim.has_ended() {
        return Err(rustix::io::Errno::SRCH.into());
    }
    Ok(())
}

fn mount_proc() -> io::Result<()> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    // By its kind: an image may have anything in there.
    if rustix::fs::statfs("/proc")?.f_type != rustix::fs::PROC_SUPER_MAGIC {
        return mounts::mount("proc", Path::new("/proc"), flags, "");
    }
    // Made aside, because the machine's has to be seen until then.
    let aside = Path::new(CONTAINER_DIR);
    mounts::mount("proc", aside, flags, "")?;
    rustix::mount::unmount("/proc", UnmountFlags::DETACH)?;
    Ok(rustix::mount::mount_move(aside, "/proc")?)
}

fn mask_all() -> io::Result<()> {
    MASKED.iter().try_for_each(|path| mask(Path::new(path)))?;
    // How hot each core is tells what others do on the machine. Few virtual machines have it.
    let Ok(cores) = std::fs::read_dir("/sys/devices/system/cpu") else {
        return Ok(());
    };
    for core in cores {
        mask(&core?.path().join("thermal_throttle"))?;
    }
    Ok(())
}

fn mask(path: &Path) -> io::Result<()> {
    match path.metadata() {
        Ok(metadata) if metadata.is_dir() => {
            mounts::mount("tmpfs", path, MountFlags::RDONLY, "size=0k")
        }
        Ok(_) => Ok(rustix::mount::mount_bind("/dev/null", path)?),
        // Kernels differ in what they have.
        Err(_) => Ok(()),
    }
}

fn make_read_only(path: &Path) -> io::Result<()> {
    if !path.exists() {
        return Ok(());
    }
    rustix::mount::mount_bind(path, path)?;
    let flags = MountFlags::BIND
        | MountFlags::RDONLY
        | MountFlags::NOSUID
        | MountFlags::NODEV
        | MountFlags::NOEXEC;
    Ok(rustix::mount::mount_remount(path, flags, c"")?)
}

fn drop_groups(user: Option<&User>) -> io::Result<()> {
    let groups = user.map(|user| user.groups.as_slice()).unwrap_or_default();
    let groups: Vec<Gid> = groups.iter().map(|group| Gid::from_raw(*group)).collect();
    match rustix::thread::set_thread_groups(&groups) {
        // Refused in a single user's namespace, and there is no other way: the check names them.
        Err(rustix::io::Errno::PERM) => Ok(()),
        other => Ok(other?),
    }
}

fn drop_powers() -> io::Result<()> {
    for bit in 0..u64::BITS {
        let capability = CapabilitySet::from_bits_retain(1 << bit);
        if KEPT.contains(capability) {
            continue;
        }
        match rustix::thread::remove_capability_from_bounding_set(capability) {
            // Beyond the last that this kernel knows.
            Err(rustix::io::Errno::INVAL) => break,
            other => other?,
        }
    }
    rustix::thread::clear_ambient_capability_set()?;
    // No more than there is: the server itself may run with less.
    let now = rustix::thread::capabilities(None)?;
    let kept = now.permitted & KEPT;
    Ok(rustix::thread::set_capabilities(
        None,
        CapabilitySets {
            effective: kept,
            permitted: kept,
            inheritable: CapabilitySet::empty(),
        },
    )?)
}

/// Whoever is not root has no powers from then on.
fn become_user(user: &User) -> io::Result<()> {
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    rustix::thread::set_thread_res_gid(gid, gid, gid)?;
    Ok(rustix::thread::set_thread_res_uid(uid, uid, uid)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_step_gets_through_as_a_number() {
        for what in STEPS {
            let cause = io::Error::from_raw_os_error(1);
            let told = Unconfined::decode(Unconfined { what, cause }.encode());
            assert_eq!(told.what, what);
            assert_eq!(told.cause.raw_os_error(), Some(1));
        }
    }
}
