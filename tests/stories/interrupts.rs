//! `popsicle run` on its other ways out: whatever ends it, nothing of its jobs is left.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal};
use tempfile::TempDir;

use crate::world::{Repo, cli_in, has_machine_jobs, popsicle, processes_with, unique, until};

/// A job that says a line and then another for ever (`true` for a pause), marked by a word of its own.
fn endless(mark: &str, pause: &str) -> Repo {
    Repo::with(&[(
        ".popsicle/ci.yml",
        &format!(
            "
version: 2.1
jobs:
  build:
    machine: true
    steps:
      - run: |
          echo begun
          while :; do echo line; {pause}; done # {mark}
"
        ),
    )])
}

/// A command that runs, with a folder of its own for temporary files.
struct Run {
    _repo: Repo,
    mark: String,
    temp: TempDir,
    child: Child,
}

impl Run {
    fn start(pause: &str) -> Self {
        let mark = unique();
        let (repo, temp) = (
            endless(&mark, pause),
            tempfile::tempdir().expect("a temporary folder can be made"),
        );
        let child = command(repo.path(), temp.path())
            .stdout(Stdio::piped())
            .spawn()
            .expect("popsicle starts");
        Self {
            _repo: repo,
            mark,
            temp,
            child,
        }
    }

    async fn until_it_runs(&self) {
        until("the job runs", async || {
            (!self.processes().is_empty()).then_some(())
        })
        .await;
    }

    /// The job's processes, and what holds them.
    fn processes(&self) -> Vec<String> {
        let mut found = processes_with(&self.mark);
        let shims = processes_with(&self.temp.path().display().to_string());
        found.extend(shims.into_iter().filter(|line| line.contains(" shim ")));
        found
    }

    fn folders(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.temp.path()).expect("the folder can be read");
        entries
            .map(|entry| entry.expect("the folder can be read").path())
            .collect()
    }

    fn send(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        rustix::process::kill_process(pid.expect("it has an id"), signal)
            .expect("the command can be signalled");
    }

    async fn ended(&mut self) -> ExitStatus {
        until("the command ends", async || {
            self.child.try_wait().expect("it can be waited for")
        })
        .await
    }

    async fn assert_nothing_is_left(&self) {
        assert_eq!(self.folders(), Vec::<PathBuf>::new());
        until("its processes are gone", async || {
            self.processes().is_empty().then_some(())
        })
        .await;
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(folder: &Path, temp: &Path) -> Command {
    // Whoever runs these tests may ignore a hang-up, and what is ignored stays so.
    let mut command = Command::new("env");
    command
        .arg("--default-signal")
        .arg(popsicle())
        .args(["run", "--verbose"])
        .arg(folder)
        .current_dir(folder)
        .env("TMPDIR", temp)
        .env("POPSICLE_STOP_GRACE", "1s")
        .stdin(Stdio::null())
        .stderr(Stdio::null());
    command
}

#[tokio::test]
async fn each_signal_cancels_and_cleans_up() {
    if !has_machine_jobs().await {
        return;
    }
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let mut run = Run::start("sleep 0.2");
        run.until_it_runs().await;
        run.send(signal);
        assert_eq!(run.ended().await.code(), Some(1), "{signal:?}");
        run.assert_nothing_is_left().await;
    }
}

#[tokio::test]
async fn a_signal_is_heard_through_any_noise() {
    if !has_machine_jobs().await {
        return;
    }
    let mut run = Run::start("true");
    let mut output = run.child.stdout.take().expect("it is a pipe");
    let reader = std::thread::spawn(move || std::io::copy(&mut output, &mut std::io::sink()));
    run.until_it_runs().await;
    run.send(Signal::INT);
    assert_eq!(run.ended().await.code(), Some(1));
    run.assert_nothing_is_left().await;
    let read = reader.join().expect("the reader ends");
    assert!(read.is_ok_and(|length| length > 0));
}

#[tokio::test]
async fn a_second_signal_ends_at_once_and_leaves_nothing() {
    if !has_machine_jobs().await {
        return;
    }
    let mut run = Run::start("trap '' TERM; sleep 0.2");
    run.until_it_runs().await;
    run.send(Signal::INT);
    run.send(Signal::TERM);
    let code = run.ended().await.code();
    assert!(matches!(code, Some(1 | 3)), "{code:?}");
    run.assert_nothing_is_left().await;
}

#[tokio::test]
async fn a_reader_that_goes_away_ends_the_pipeline() {
    if !has_machine_jobs().await {
        return;
    }
    let mut run = Run::start("sleep 0.05");
    run.until_it_runs().await;
    drop(run.child.stdout.take());
    assert_eq!(run.ended().await.code(), Some(3));
    run.assert_nothing_is_left().await;
}

#[tokio::test]
async fn what_a_killed_command_left_the_next_one_removes() {
    if !has_machine_jobs().await {
        return;
    }
    let mut run = Run::start("sleep 0.2");
    run.until_it_runs().await;
    run.send(Signal::KILL);
    run.ended().await;
    assert!(!run.processes().is_empty(), "the job outlives the command");
    assert_eq!(run.folders().len(), 1);

    let quick = Repo::with_config(
        "{version: 2.1, jobs: {build: {machine: true, steps: [run: echo hello]}}}",
    );
    let mut next = command(quick.path(), run.temp.path());
    let ended = next.stdout(Stdio::null()).status().expect("it runs");
    assert!(ended.success());
    run.assert_nothing_is_left().await;
    drop(quick);
}

#[tokio::test]
async fn a_projects_own_settings_file_says_nothing_to_run() {
    if !has_machine_jobs().await {
        return;
    }
    let repo = Repo::with(&[
        (
            ".popsicle/ci.yml",
            "{version: 2.1, jobs: {build: {machine: true, parallelism: 2, steps: [run: echo hello]}}}",
        ),
        ("popsicle.toml", "executor = 'docker'\nnonsense = 1\n"),
    ]);
    let told = cli_in(repo.path(), &["run"]).await;
    assert_eq!(told.code, Some(0), "{told:?}");
    // What the config asks for and does not get is said.
    assert!(told.stderr.contains("parallelism"), "{told:?}");
}
