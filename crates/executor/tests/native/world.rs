//! A folder of job directories, an executor over it, and what a test wants to know of both.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use executor::native::{NativeExecutor, NativeSettings};
use executor::{Executor, Exit, JobDir, Launch, Limits, Place};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

/// How long anything may take before a test fails; nothing here is about time.
pub const BOUND: Duration = Duration::from_secs(60);

/// No two jobs of one test run have the same number.
static JOBS: AtomicU32 = AtomicU32::new(1);

pub struct World {
    pub folder: TempDir,
    pub executor: NativeExecutor,
}

impl World {
    pub fn new() -> Self {
        Self::in_folder(tempfile::tempdir().unwrap())
    }

    pub fn in_folder(folder: TempDir) -> Self {
        let executor = NativeExecutor::new(settings(folder.path()));
        Self { folder, executor }
    }

    /// A job directory with that script.
    pub fn job(&self, script: &str) -> JobDir {
        let number = JOBS.fetch_add(1, Ordering::Relaxed);
        let key = format!("{:08x}-0000-4000-8000-{number:012x}.1", std::process::id());
        let dir = JobDir::new(self.folder.path(), key.parse().unwrap());
        dir.create().unwrap();
        fs::write(dir.script(), script).unwrap();
        dir
    }

    pub async fn wait(&self, dir: &JobDir) -> Exit {
        let waited = timeout(BOUND, self.executor.wait(dir)).await;
        waited.unwrap().unwrap()
    }

    /// Runs a script from start to end and tells its exit and its output; nothing may be left.
    pub async fn run(&self, script: &str) -> (Exit, String) {
        self.run_as(script, &launch()).await
    }

    pub async fn run_as(&self, script: &str, launch: &Launch) -> (Exit, String) {
        let dir = self.job(script);
        self.executor.launch(&dir, launch).await.unwrap();
        let exit = self.wait(&dir).await;
        let log = fs::read(dir.log()).unwrap();
        self.remove(&dir).await;
        (exit, String::from_utf8_lossy(&log).into_owned())
    }

    /// Removes a job and looks whether anything of it is left.
    pub async fn remove(&self, dir: &JobDir) {
        let removed = timeout(BOUND, self.executor.remove(dir)).await;
        removed.unwrap().unwrap();
        assert_nothing_left(dir);
    }
}

pub fn settings(jobs: &Path) -> NativeSettings {
    NativeSettings {
        jobs: jobs.to_owned(),
        namespace: "test".to_owned(),
        shim: vec![shim().into()],
        hidden: vec!["/usr/share".into(), "/etc/os-release".into()],
        limits: Limits::default(),
        images: image::ImageStoreSettings::new(jobs.join("images")),
    }
}

/// The shim that was built with the tests, or that was copied with them.
pub fn shim() -> PathBuf {
    let copied = std::env::current_exe().unwrap().with_file_name("shim");
    if copied.exists() {
        copied
    } else {
        env!("CARGO_BIN_EXE_shim").into()
    }
}

pub fn launch() -> Launch {
    Launch {
        place: Place::Machine,
        services: Vec::new(),
        working_directory: "~/project".to_owned(),
        environment: Vec::new(),
        limits: Limits::default(),
        anonymous: false,
    }
}

/// Whether the tests run as an ordinary user, who gets a read-only view.
pub fn rootless() -> bool {
    !rustix::process::geteuid().is_root()
}

/// Waits until the job writes a line to its FIFO, and returns it.
pub async fn said(dir: &JobDir) -> String {
    let path = dir.answer();
    let read = spawn_blocking(move || fs::read_to_string(path));
    timeout(BOUND, read).await.unwrap().unwrap().unwrap()
}

/// Writes a line to the job's FIFO, once it reads there.
pub async fn say(dir: &JobDir, line: &str) {
    let (path, line) = (dir.answer(), format!("{line}\n"));
    let write = spawn_blocking(move || fs::write(path, line));
    timeout(BOUND, write).await.unwrap().unwrap().unwrap();
}

/// Processes with that in their command line.
pub fn processes(text: &str) -> Vec<i32> {
    let pids = fs::read_dir("/proc").unwrap();
    pids.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            *pid != std::process::id().cast_signed()
                && String::from_utf8_lossy(&line).contains(text)
        })
        .collect()
}

/// Kills the shim of a job as the kernel does when it is out of memory.
pub fn kill_shim(dir: &JobDir) {
    let found = processes(&dir.key().to_string());
    let [shim] = found.as_slice() else {
        panic!("one shim expected, not {found:?}");
    };
    kill_process(Pid::from_raw(*shim).unwrap(), Signal::KILL).unwrap();
}

/// No process, no mount, no control group, no file but those of the job's own.
pub fn assert_nothing_left(dir: &JobDir) {
    let key = dir.key().to_string();
    assert_eq!(processes(&key), [0; 0], "processes");
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(&key), "{mounts}");
    let groups = groups(Path::new("/sys/fs/cgroup"), &key);
    assert!(groups.is_empty(), "{groups:?}");
    let mut names = fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect::<Vec<_>>();
    names.sort();
    assert!(
        names.iter().all(|name| name == "io" || name == "work"),
        "{names:?}"
    );
}

fn groups(folder: &Path, name: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        if entry.file_name() == name {
            found.push(entry.path());
        }
        found.extend(groups(&entry.path(), name));
    }
    found
}
