//! The commands that are no pipeline's: what a person meets first.

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::world::{Ci, Repo, cli_in};

#[tokio::test]
async fn a_wrong_config_is_pointed_at() {
    let repo = Repo::with(&[(
        ".circleci/config.yml",
        "version: 2.1
jobs:
  build:
    docker:
      - image: cimg/base:2024.02
    steps:
      - checkout
      - run: {comand: make}
workflows:
  main:
    jobs:
      - build
      - build:
          name: again
          requires: [biuld]
",
    )]);
    let refused = cli_in(repo.path(), &["config", "validate"]).await;
    assert_eq!(refused.code, Some(2));
    assert_snapshot!(refused.stderr, @"
    error: `run` has no `command`
      .circleci/config.yml:8:15
    8 │       - run: {comand: make}
      │               ^^^^^^ did you mean `command`?

    error: job `again` requires `biuld`, which is not in this workflow
      .circleci/config.yml:15:22
    15 │           requires: [biuld]
       │                      ^^^^^ did you mean `build`?

    .circleci/config.yml: 2 errors
    ");
    let json = cli_in(repo.path(), &["config", "validate", "--json"]).await;
    let report: Value = serde_json::from_str(&json.stdout).expect("it tells JSON");
    assert_eq!(report["valid"], false);
    assert!(
        report["diagnostics"]
            .as_array()
            .is_some_and(|found| found.len() >= 2),
        "{report}"
    );
}

#[tokio::test]
async fn init_writes_a_config_that_is_valid() {
    for (kind, marker) in [
        ("Rust", "Cargo.toml"),
        ("Node", "package.json"),
        ("Python", "requirements.txt"),
        ("shell", "run.sh"),
    ] {
        let repo = Repo::with(&[(marker, "{}")]);
        cli_in(repo.path(), &["init"]).await.success();
        let validated = cli_in(repo.path(), &["config", "validate"]).await;
        assert_eq!(validated.code, Some(0), "{kind}: {validated:?}");
        let again = cli_in(repo.path(), &["init"]).await;
        assert_ne!(
            again.code,
            Some(0),
            "{kind}: it must not write over a config"
        );
    }
}

#[tokio::test]
async fn the_doctor_looks_at_all_and_changes_nothing() {
    let repo = Repo::with(&[("README.md", "")]);
    let told = cli_in(repo.path(), &["doctor"]).await;
    for word in ["git", "native", "docker"] {
        assert!(told.stdout.contains(word), "{told:?}");
    }
    let json = cli_in(repo.path(), &["doctor", "--json"]).await;
    let report: Value = serde_json::from_str(&json.stdout).expect("it tells JSON");
    let runs = report["can_run_jobs"]
        .as_bool()
        .expect("it says whether jobs can run");
    assert_eq!(
        (told.code, json.code),
        if runs {
            (Some(0), Some(0))
        } else {
            (Some(1), Some(1))
        }
    );
    assert_eq!(repo.git(&["status", "--short"]), "");
}

#[tokio::test]
async fn runners_are_registered_and_listed() {
    let ci = Ci::start().await;
    ci.cli(&["configure", "add-runner", "10.0.0.5"])
        .await
        .success();
    let listed = ci.cli(&["configure", "list-runners"]).await.success();
    let lines: Vec<&str> = listed.lines().collect();
    assert_eq!(lines.len(), 2, "{listed}");
    assert!(
        lines[0].starts_with("1: ") && lines[0].ends_with(" [active]"),
        "{listed}"
    );
    assert!(lines[1].starts_with("2: 10.0.0.5 ["), "{listed}");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_no_riddle() {
    let ci = Ci::prepare(&[]).await;
    let told = ci.cli(&["list"]).await;
    assert_eq!((told.code, told.stdout.as_str()), (Some(3), ""));
    let port = ci
        .url()
        .rsplit(':')
        .next()
        .expect("the address has a port")
        .to_owned();
    assert_snapshot!(told.stderr.replace(&port, "PORT"), @"
    error: could not reach http://127.0.0.1:PORT/: Connection refused (os error 111)
    hint: is `popsicle serve` running there? name another server with --server-url or POPSICLE_SERVER_URL
    ");
    let misspelt = ci.cli(&["lst"]).await;
    assert_eq!(misspelt.code, Some(2));
    assert!(misspelt.stderr.contains("list"), "{}", misspelt.stderr);
}

#[tokio::test]
async fn a_data_folder_has_one_server() {
    let ci = Ci::start().await;
    let data = ci.data().display().to_string();
    let second = ci
        .cli(&["serve", "--listen", "127.0.0.1:0", "--data-dir", &data])
        .await;
    assert!(second.code.is_some_and(|code| code > 0), "{second:?}");
    assert!(
        second
            .stderr
            .contains("another server uses the data folder"),
        "{}",
        second.stderr
    );
    let open = ci
        .cli(&["serve", "--listen", "0.0.0.0:0", "--data-dir", &data])
        .await;
    assert_eq!(open.code, Some(2));
    assert!(
        open.stderr.contains("--allow-unauthenticated"),
        "{}",
        open.stderr
    );
}

#[tokio::test]
async fn every_command_completes_in_every_shell() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    for shell in ["bash", "zsh", "fish"] {
        let script = cli_in(folder.path(), &["completions", shell])
            .await
            .success();
        for command in [
            "serve", "run", "list", "logs", "watch", "cancel", "rerun", "doctor",
        ] {
            assert!(script.contains(command), "{shell}: {command}");
        }
    }
}

#[tokio::test]
async fn the_api_answers_under_both_roots() {
    let ci = Ci::start().await;
    for root in ["", "/api"] {
        assert_eq!(
            ci.get(&format!("{root}/healthz")).await.json()["status"],
            "ok"
        );
        assert_eq!(ci.get(&format!("{root}/pipelines")).await.json(), json!([]));
        assert_eq!(
            ci.get(&format!("{root}/runners")).await.json()[0]["active"],
            true
        );
    }
    let missing = ci.get("/pipelines/7").await;
    assert_eq!(missing.code, 404);
    assert_snapshot!(missing.error(), @"404 not_found: there is no pipeline 7");
    let page = ci.get("/").await;
    assert_eq!(page.code, 200);
    assert!(page.text().contains("Popsicle"));
}
