//! What people see at a terminal: questions, and a pipeline as it goes.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::world::{Ci, Repo, has_machine_jobs, popsicle, skip};

const TWO_JOBS: &str = "
version: 2.1
jobs:
  build: {machine: true, steps: [run: {name: Greet, command: echo built here}]}
  lint: {machine: true, steps: [run: echo linted here]}
workflows: {main: {jobs: [build, lint]}}
";

/// Runs the command at a terminal of its own (`script` of util-linux) and types a line; what the terminal
/// showed, and the exit code. None where there is no `script`.
fn at_a_terminal(folder: &Path, args: &str, server: &str, typed: &str) -> Option<(String, i32)> {
    let command = format!("'{}' {args}", popsicle().display());
    let mut child = Command::new("script")
        .args(["--quiet", "--return", "--command", &command, "/dev/null"])
        .current_dir(folder)
        .env("POPSICLE_SERVER_URL", server)
        .env("TERM", "xterm")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .ok()?;
    let mut keyboard = child.stdin.take().expect("it is a pipe");
    writeln!(keyboard, "{typed}").expect("the terminal takes what is typed");
    let told = child.wait_with_output().expect("it ends");
    drop(keyboard);
    let text = String::from_utf8_lossy(&told.stdout).into_owned();
    Some((text, told.status.code().unwrap_or(-1)))
}

#[tokio::test]
async fn a_job_that_is_not_named_is_asked_for() {
    if !has_machine_jobs().await {
        return;
    }
    let ci = Ci::start().await;
    let repo = Repo::with_config(TWO_JOBS);
    let id = ci.push(&repo).await;
    ci.settled(id).await;
    let args = format!("logs {id}");
    let Some((text, code)) = at_a_terminal(repo.path(), &args, ci.url(), "lint") else {
        skip("there is no `script` to make a terminal");
        return;
    };
    assert!(text.contains("Which job?"), "{text}");
    assert!(text.contains("linted here"), "{text}");
    assert_eq!(code, 0, "{text}");
}

#[tokio::test]
async fn a_pipeline_is_shown_as_it_goes() {
    if !has_machine_jobs().await {
        return;
    }
    let repo = Repo::with_config(TWO_JOBS);
    let Some((text, code)) = at_a_terminal(repo.path(), "run", "", "") else {
        skip("there is no `script` to make a terminal");
        return;
    };
    // What the spinner drew is in between; that it drew at all tells that it is one.
    assert!(text.contains("\u{1b}["), "{text:?}");
    for shown in ["build", "lint", "Greet", "success"] {
        assert!(text.contains(shown), "{shown}: {text:?}");
    }
    assert_eq!(code, 0, "{text}");
}
