//! The examples, and the README's config: what people copy has to work.
//!
//! `examples/shell` runs as it is. The other three name images of a registry, and some of their steps
//! install from the network, of which a test has neither; of these the configs are validated, and the
//! tests of their projects run with the machine's own tools.

use std::path::Path;

use insta::assert_snapshot;
use tokio::process::Command;

use crate::world::{Repo, cli_in, has_machine_jobs, root, skip};

#[tokio::test]
async fn the_examples_are_valid() {
    let mut told = Vec::new();
    let examples = std::fs::read_dir(root().join("examples")).expect("there are examples");
    let mut examples: Vec<_> = examples
        .map(|entry| entry.expect("the folder can be read").path())
        .collect();
    examples.retain(|path| path.is_dir());
    examples.sort();
    for example in &examples {
        let validated = cli_in(example, &["config", "validate"]).await;
        assert_eq!(
            validated.code,
            Some(0),
            "{}: {validated:?}",
            example.display()
        );
        told.push(validated.stdout.trim().to_owned());
    }
    assert_snapshot!(told.join("\n"), @"
    .popsicle/lint.yml, .popsicle/test.yml are valid: 2 workflows, 2 jobs
    .circleci/config.yml is valid: 1 workflow, 1 job
    .circleci/config.yml is valid: 1 workflow, 2 jobs
    .popsicle/ci.yml is valid: 1 workflow, 3 jobs
    ");
}

#[tokio::test]
async fn the_config_of_the_readme_is_valid() {
    let readme = std::fs::read_to_string(root().join("README.md")).expect("there is a README");
    let config: Vec<&str> = readme
        .lines()
        .skip_while(|line| *line != "    version: 2.1")
        .map_while(|line| line.strip_prefix("    "))
        .collect();
    let repo = Repo::with_config(&config.join("\n"));
    let validated = cli_in(repo.path(), &["config", "validate"]).await;
    assert_eq!(validated.code, Some(0), "{validated:?}");
    assert_snapshot!(validated.stdout, @".popsicle/ci.yml is valid: 1 workflow, 3 jobs");
}

#[tokio::test]
async fn the_shell_example_runs() {
    if !has_machine_jobs().await {
        return;
    }
    run(&copy("shell")).await;
}

#[tokio::test]
async fn the_python_example_s_tests_pass() {
    // As pytest finds and calls them, which the example's own job installs first.
    let script = "python3 -c 'import tests.test_temperature as t; \
                  [f() for n, f in vars(t).items() if n.startswith(\"test_\")]'";
    run_with("python", "python3", script).await;
}

#[tokio::test]
async fn the_node_example_s_tests_pass() {
    run_with("node", "node", "node --check slug.js && node --test").await;
}

/// Not in a job: Rust is installed below a home, which jobs do not see.
#[tokio::test]
async fn the_rust_example_s_tests_pass() {
    let example = copy("rust");
    for args in [
        &["fmt", "--check"][..],
        &["clippy", "--offline", "--", "--deny", "warnings"],
        &["test", "--offline"],
    ] {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let output = Command::new(cargo)
            .args(args)
            .current_dir(example.path())
            .env_remove("CARGO_TARGET_DIR")
            .output()
            .await
            .expect("cargo runs");
        assert!(output.status.success(), "{args:?}: {output:?}");
    }
}

/// An example in a folder of its own.
fn copy(name: &str) -> Repo {
    let repo = Repo::empty("example/copy");
    let copied = std::process::Command::new("cp")
        .arg("-R")
        .arg(root().join("examples").join(name).join("."))
        .arg(repo.path())
        .status();
    assert!(copied.is_ok_and(|status| status.success()), "{name}");
    repo
}

/// Runs an example's tests in a native job, with a tool that such a job sees.
async fn run_with(name: &str, tool: &str, script: &str) {
    if !has_machine_jobs().await {
        return;
    }
    let places = ["/usr/bin", "/usr/local/bin"];
    if !places
        .iter()
        .any(|place| Path::new(place).join(tool).exists())
    {
        skip(&format!("no `{tool}` where jobs see it"));
        return;
    }
    let example = copy(name);
    for theirs in [".circleci", ".popsicle"] {
        let theirs = example.path().join(theirs);
        if theirs.exists() {
            std::fs::remove_dir_all(theirs).expect("the copy is ours");
        }
    }
    let config = format!(
        "
version: 2.1
jobs:
  test:
    machine: true
    steps:
      - checkout
      - run: |
          {script}
workflows: {{main: {{jobs: [test]}}}}
"
    );
    example.write(".popsicle/ci.yml", config.as_bytes());
    run(&example).await;
}

async fn run(example: &Repo) {
    let ran = cli_in(example.path(), &["run", "--verbose"]).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
}
