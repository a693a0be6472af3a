//! Whether jobs can run on this machine, in words: what `popsicle doctor` says.
//!
//! The proof is a job: it is started as any other, and tells what it can do.

use std::fs;
use std::path::Path;
use std::time::Duration;

use rustix::mount::FsOpenFlags;
use tokio::time::timeout;

use super::{NativeExecutor, seccomp};
use crate::{Check, Executor, ExecutorError, Exit, JobDir, Launch, Limits, Place};

/// How long the trial job may take.
const TRIAL_TIMEOUT: Duration = Duration::from_secs(30);

/// What the trial job does: it says `changeable` if it may change the machine's files, as it sees them.
const TRIAL: &str = "(: > /usr/.popsicle-trial) 2>/dev/null && echo changeable; exit 0\n";

/// What has to be done where the kernel keeps user namespaces from ordinary users.
const ALLOW: &str = "run the server as root, or let an administrator allow user namespaces";

/// The same where AppArmor does it: there one program can be allowed to.
const ALLOW_PROFILE: &str = "run the server as root, or let an administrator give this program an \
     AppArmor profile with `userns`";

/// What has to be done where even root may not make namespaces.
const ALLOW_ROOT: &str = "this seems to be a container that may not hold others: start it with \
     `--cap-add SYS_ADMIN --security-opt seccomp=unconfined --security-opt apparmor=unconfined`, or run \
     the server outside";

/// Runs a trial job and tells what it found.
pub(super) async fn check(executor: &NativeExecutor) -> Check {
    if let Some(why) = refusal() {
        return Check {
            works: false,
            finding: why,
            mend: Some(format!("{}; or use the docker executor", allow())),
        };
    }
    // Beside the real ones, where `held` doesn't look.
    let root = executor.settings.jobs.join(".trial");
    let number = std::process::id();
    let key = format!("00000000-0000-4000-8000-{number:012x}.1");
    let finding = match key.parse() {
        Ok(key) => {
            let dir = JobDir::new(&root, key);
            let found = trial(executor, &dir).await;
            let removed = executor.remove(&dir).await;
            // What is left is the next check's to remove, and is nobody's job.
            let _ = dir.delete();
            let _ = fs::remove_dir(&root);
            found.and_then(|found| removed.map(|()| found))
        }
        Err(error) => Err(ExecutorError::Rejected(error.to_string())),
    };
    match finding {
        Ok(changeable) => Check {
            works: true,
            finding: format!(
                "{}{}; {}",
                describe(changeable, &executor.hierarchies.missing(), &kept_groups()),
                describe_calls(seccomp::offered()),
                describe_images(&accept_images())
            ),
            mend: mend(changeable),
        },
        Err(error) => Check {
            works: false,
            finding: match &error {
                ExecutorError::Io { path, cause } => format!("`{}`: {cause}", path.display()),
                ExecutorError::Rejected(_)
                | ExecutorError::Unavailable { .. }
                | ExecutorError::Vanished => error.to_string(),
            },
            mend: Some(format!("{}; or use the docker executor", advice(&error))),
        },
    }
}

async fn trial(executor: &NativeExecutor, dir: &JobDir) -> Result<bool, ExecutorError> {
    dir.create().map_err(|cause| ExecutorError::Io {
        path: dir.path().to_owned(),
        cause,
    })?;
    let write = |path: std::path::PathBuf, text: &str| {
        fs::write(&path, text).map_err(|cause| ExecutorError::Io { path, cause })
    };
    write(dir.script(), TRIAL)?;
    let launch = Launch {
        place: Place::Machine,
        services: Vec::new(),
        working_directory: "~/project".to_owned(),
        environment: Vec::new(),
        limits: Limits::default(),
        anonymous: false,
    };
    executor.try_launch(dir, &launch).await?;
    let late = |_| ExecutorError::Unavailable {
        what: "could not run a trial job".to_owned(),
        cause: format!("it runs for more than {} s", TRIAL_TIMEOUT.as_secs()),
    };
    let exit = timeout(TRIAL_TIMEOUT, executor.wait(dir))
        .await
        .map_err(late)??;
    let path = dir.log();
    let log = fs::read_to_string(&path).map_err(|cause| ExecutorError::Io { path, cause })?;
    match exit {
        Exit::Code(0) => Ok(log.lines().any(|line| line == "changeable")),
        Exit::Code(_) | Exit::OutOfMemory => Err(ExecutorError::Unavailable {
            what: "a trial job failed".to_owned(),
            cause: log.trim().to_owned(),
        }),
    }
}

fn describe(changeable: bool, missing: &[&str], groups: &[String]) -> String {
    let view = if changeable {
        "jobs see this machine, and what they change of it is thrown away"
    } else {
        "jobs see this machine, but can't change its files: `apt-get install` and the like fail"
    };
    let limits = match missing {
        [] => "limits of memory, cpu and pids hold".to_owned(),
        missing => format!(
            "limits of {} can't be set (no writable control group)",
            missing.join(", ")
        ),
    };
    match groups {
        [] => format!("{view}; {limits}"),
        groups => format!(
            "{view}; {limits}; jobs can open what this user's groups can: {}",
            groups.join(", ")
        ),
    }
}

/// Nothing where all is well.
fn describe_calls(filtered: bool) -> &'static str {
    if filtered {
        ""
    } else {
        "; jobs may make any system call (this kernel has no seccomp)"
    }
}

fn describe_images(accepted: &Result<(), String>) -> String {
    match accepted {
        Ok(()) => "docker jobs run without a daemon, in the machine's network".to_owned(),
        Err(why) => format!("docker jobs can't run without a daemon: {why}"),
    }
}

/// The groups that an ordinary user's jobs can't be kept from, by name.
fn kept_groups() -> Vec<String> {
    if rustix::process::geteuid().is_root() {
        return Vec::new();
    }
    let own = rustix::process::getegid();
    let names = fs::read_to_string("/etc/group").unwrap_or_default();
    let mut groups = rustix::process::getgroups().unwrap_or_default();
    groups.retain(|group| *group != own);
    let name = |group: rustix::process::Gid| {
        let number = group.as_raw().to_string();
        let line = names
            .lines()
            .map(|line| line.split(':').collect::<Vec<_>>());
        let mut named = line.filter(|line| line.get(2) == Some(&number.as_str()));
        let name = named.find_map(|line| line.first().map(|name| (*name).to_owned()));
        name.unwrap_or(number)
    };
    groups.into_iter().map(name).collect()
}

fn mend(changeable: bool) -> Option<String> {
    let why = "run the server as root of the machine itself to let jobs change what they see of it";
    (!changeable).then(|| why.to_owned())
}

/// A setting of the kernel's that keeps user namespaces from ordinary users, and the value that does.
type Restriction = (&'static str, &'static str);

/// Those that leave no way round them.
const REFUSING: [Restriction; 2] = [
    ("user/max_user_namespaces", "0"),
    ("kernel/unprivileged_userns_clone", "0"),
];

/// This one spares programs that have a profile which says so. Only trying tells.
const PROFILES: Restriction = ("kernel/apparmor_restrict_unprivileged_userns", "1");

/// Whether jobs can run, as far as the kernel's settings tell; if not, why and what to do.
pub(super) fn accept() -> Result<(), String> {
    match refusal() {
        Some(why) => Err(format!("{why}; {}", allow())),
        None => Ok(()),
    }
}

/// Whether jobs can run in images, as far as can be told without one; if not, why and what to do.
pub(super) fn accept_images() -> Result<(), String> {
    image::ImageStore::accept()?;
    // It tells whether the kernel has overlays and lets us make any, and makes none.
    match rustix::mount::fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC) {
        Ok(_) => Ok(()),
        Err(rustix::io::Errno::NODEV) => Err(
            "this machine's kernel has no overlayfs, which images are made of here (`modprobe overlay`); or \
             use the docker executor"
                .to_owned(),
        ),
        Err(cause) => Err(format!("no overlay can be mounted here: {cause}; {}", allow())),
    }
}

/// Why an ordinary user can't run jobs; nothing for root, who needs no user namespace.
fn refusal() -> Option<String> {
    if rustix::process::geteuid().is_root() {
        return None;
    }
    restricted(Path::new("/proc/sys"), &REFUSING)
}

fn restricted(sys: &Path, by: &[Restriction]) -> Option<String> {
    let says = |setting: &str, value: &str| {
        fs::read_to_string(sys.join(setting)).is_ok_and(|text| text.trim() == value)
    };
    by.iter()
        .find(|(setting, value)| says(setting, value))
        .map(|(setting, value)| {
            let setting = setting.replace('/', ".");
            format!(
                "this machine keeps user namespaces from ordinary users (`{setting}` is {value})"
            )
        })
}

/// What first needs a right that the kernel may refuse; under AppArmor namespaces can be made, but
/// nothing can be done in them.
const REFUSED: [&str; 4] = [
    "namespace",
    "name the job's host",
    "keep the job's mounts apart",
    "the job's `/proc`",
];

/// Adds what to do to an error that tells of missing rights.
pub(super) fn advise(error: ExecutorError) -> ExecutorError {
    match error {
        ExecutorError::Unavailable { what, cause }
            if REFUSED.iter().any(|refused| what.contains(refused)) =>
        {
            let cause = match profiles() {
                Some(why) => format!("{cause}; {why}; {ALLOW_PROFILE}"),
                None => format!("{cause}; {}", allow()),
            };
            ExecutorError::Unavailable { what, cause }
        }
        ExecutorError::Rejected(_)
        | ExecutorError::Unavailable { .. }
        | ExecutorError::Vanished
        | ExecutorError::Io { .. } => error,
    }
}

fn advice(error: &ExecutorError) -> &'static str {
    match error {
        ExecutorError::Io { .. } => "let the server write to that folder",
        ExecutorError::Rejected(_)
        | ExecutorError::Unavailable { .. }
        | ExecutorError::Vanished => allow(),
    }
}

fn allow() -> &'static str {
    if rustix::process::geteuid().is_root() {
        ALLOW_ROOT
    } else if profiles().is_some() {
        ALLOW_PROFILE
    } else {
        ALLOW
    }
}

/// Says so where an ordinary user's program needs an AppArmor profile.
fn profiles() -> Option<String> {
    if rustix::process::geteuid().is_root() {
        return None;
    }
    restricted(Path::new("/proc/sys"), &[PROFILES])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_refusals_are_found_in_its_settings() {
        let sys = tempfile::tempdir().unwrap();
        let path = sys
            .path()
            .join("kernel/apparmor_restrict_unprivileged_userns");
        fs::create_dir(sys.path().join("kernel")).unwrap();
        fs::write(&path, "0\n").unwrap();
        assert_eq!(restricted(sys.path(), &[PROFILES]), None);
        fs::write(&path, "1\n").unwrap();
        let why = restricted(sys.path(), &[PROFILES]).unwrap();
        assert!(why.contains("`kernel.apparmor_restrict_unprivileged_userns` is 1"));
        assert_eq!(
            restricted(sys.path(), &REFUSING),
            None,
            "this program may have a profile"
        );
        fs::create_dir(sys.path().join("user")).unwrap();
        fs::write(sys.path().join("user/max_user_namespaces"), "0\n").unwrap();
        let why = restricted(sys.path(), &REFUSING).unwrap();
        assert!(why.contains("`user.max_user_namespaces` is 0"));
    }

    #[test]
    fn what_a_job_can_open_by_its_groups_is_told() {
        let told = describe(true, &[], &["adm".to_owned(), "117".to_owned()]);
        assert!(told.ends_with("groups can: adm, 117"), "{told}");
    }

    #[test]
    fn advice_is_given_where_rights_are_missing_only() {
        let told = |what: &str| {
            let (what, cause) = (what.to_owned(), "refused".to_owned());
            advise(ExecutorError::Unavailable { what, cause }).to_string()
        };
        assert!(told("could not make a user namespace").contains("refused; "));
        assert!(told("could not name the job's host").contains("refused; "));
        assert!(told("could not open the job's log").ends_with("refused"));
    }
}
