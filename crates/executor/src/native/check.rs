//! Whether jobs can run on this machine, in words: what `popsicle doctor` says.
//!
//! The proof is a job: it is started as any other, and tells what it can do.

use std::fs;
use std::path::Path;
use std::time::Duration;

use tokio::time::timeout;

use super::NativeExecutor;
use crate::{Check, Executor, ExecutorError, Exit, JobDir, Launch, Limits, Place};

/// How long the trial job may take.
const TRIAL_TIMEOUT: Duration = Duration::from_secs(30);

/// What the trial job does: it says `changeable` if it may change the machine's files, as it sees them.
const TRIAL: &str = "(: > /usr/.popsicle-trial) 2>/dev/null && echo changeable; exit 0\n";

/// What has to be done where the kernel keeps user namespaces from ordinary users.
const ALLOW: &str = "run the server as root, or let an administrator allow user namespaces";

/// What has to be done where even root may not make namespaces.
const ALLOW_ROOT: &str = "this seems to be a container that may not hold others: start it with \
     `--cap-add SYS_ADMIN --security-opt seccomp=unconfined --security-opt apparmor=unconfined`, or run \
     the server outside";

/// Runs a trial job and tells what it found.
pub(super) async fn check(executor: &NativeExecutor) -> Check {
    if let Err(why) = executor.accepts(&Place::Machine) {
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
            finding: describe(changeable, &executor.hierarchies.missing()),
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
        working_directory: "~/project".to_owned(),
        environment: Vec::new(),
        limits: Limits::default(),
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

fn describe(changeable: bool, missing: &[&str]) -> String {
    let view = if changeable {
        "jobs see this machine, and what they change of it is thrown away"
    } else {
        "jobs see this machine, but can't change its files: `apt-get install` and the like fail"
    };
    match missing {
        [] => format!("{view}; limits of memory, cpu and pids hold"),
        missing => format!(
            "{view}; limits of {} can't be set (no writable control group)",
            missing.join(", ")
        ),
    }
}

fn mend(changeable: bool) -> Option<String> {
    let why = "run the server as root of the machine itself to let jobs change what they see of it";
    (!changeable).then(|| why.to_owned())
}

/// Why an ordinary user can't run jobs, as far as the kernel's settings tell; nothing for root, who
/// needs no user namespace.
pub(super) fn refusal(sys: &Path) -> Option<String> {
    if rustix::process::geteuid().is_root() {
        return None;
    }
    refused_by(sys)
}

fn refused_by(sys: &Path) -> Option<String> {
    let says = |setting: &str, value: &str| {
        fs::read_to_string(sys.join(setting)).is_ok_and(|text| text.trim() == value)
    };
    [
        ("user/max_user_namespaces", "0"),
        ("kernel/unprivileged_userns_clone", "0"),
        ("kernel/apparmor_restrict_unprivileged_userns", "1"),
    ]
    .into_iter()
    .find(|(setting, value)| says(setting, value))
    .map(|(setting, value)| {
        let setting = setting.replace('/', ".");
        format!("this machine keeps user namespaces from ordinary users (`{setting}` is {value})")
    })
}

/// Adds what to do to an error that tells of missing rights.
pub(super) fn advise(error: ExecutorError) -> ExecutorError {
    match error {
        ExecutorError::Unavailable { what, cause }
            if what.contains("namespace") || what.contains("the job's `/proc`") =>
        {
            ExecutorError::Unavailable {
                what,
                cause: format!("{cause}; {}", allow()),
            }
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
    } else {
        ALLOW
    }
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
        assert_eq!(refused_by(sys.path()), None);
        fs::write(&path, "1\n").unwrap();
        let refusal = refused_by(sys.path()).unwrap();
        assert!(refusal.contains("`kernel.apparmor_restrict_unprivileged_userns` is 1"));
    }

    #[test]
    fn advice_is_given_where_rights_are_missing_only() {
        let told = |what: &str| {
            let (what, cause) = (what.to_owned(), "refused".to_owned());
            advise(ExecutorError::Unavailable { what, cause }).to_string()
        };
        assert!(told("could not make a user namespace").contains("refused; "));
        assert!(told("could not open the job's log").ends_with("refused"));
    }
}
