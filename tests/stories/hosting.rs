//! Repositories that people push to Popsicle itself.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::world::{Ci, Repo, has_machine_jobs, until};

const SAY_HELLO: &str = "
version: 2.1
jobs:
  build:
    machine: true
    steps:
      - checkout
      - run: {name: greet, command: 'echo \"hello $CIRCLE_BRANCH$CIRCLE_TAG\"'}
workflows: {main: {jobs: [build: {filters: {tags: {only: /.*/}}}]}}
";

/// Runs git in a folder; whether it went well, and what it said.
fn git(folder: &Path, args: &[&str]) -> (bool, String) {
    let output = Command::new("git")
        .args(args)
        .current_dir(folder)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_TERMINAL_PROMPT", "0")
        .output()
        .expect("git runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.success(), said)
}

/// Pushes; what the server told meanwhile, a line each.
fn push(repo: &Repo, args: &[&str]) -> String {
    let all: Vec<&str> = ["push"].iter().chain(args).copied().collect();
    let (went_well, said) = git(repo.path(), &all);
    assert!(went_well, "git {all:?}: {said}");
    let remote = said
        .lines()
        .filter_map(|line| line.strip_prefix("remote: "));
    remote.map(str::trim_end).collect::<Vec<_>>().join("\n")
}

/// A repository `demo` on the server; its address.
async fn demo(ci: &Ci) -> String {
    let made = ci.post("/repos", &json!({"name": "demo"})).await;
    assert_eq!(made.code, 201, "{}", made.text());
    format!("{}/git/demo.git", ci.url())
}

/// Where it is.
fn path(ci: &Ci) -> String {
    ci.data().join("repos/demo.git").display().to_string()
}

/// The branches and tags of all pipelines, oldest first.
async fn built(ci: &Ci) -> Vec<String> {
    let pipelines = ci.get("/pipelines?limit=200").await.json();
    let pipelines = pipelines.as_array().expect("a list").iter().rev();
    let name = |pipeline: &Value| {
        let name = pipeline["branch"].as_str().or(pipeline["tag"].as_str());
        name.expect("each has a branch or a tag").to_owned()
    };
    pipelines.map(name).collect()
}

#[tokio::test]
async fn who_pushes_sees_how_it_goes() {
    if !has_machine_jobs().await {
        return;
    }
    let ci = Ci::start().await;
    let told = ci
        .cli(&["repo", "create", "demo", "--description", "A demo"])
        .await;
    let url = format!(
        "{}/git/demo.git",
        ci.url().replace("127.0.0.1", "localhost")
    );
    assert_eq!(told.success(), format!("demo  {url}  A demo\n"));

    let repo = Repo::with_config(SAY_HELLO);
    let told = push(&repo, &[&url, "main"]);
    assert_snapshot!(told.replace(ci.url().rsplit(':').next().expect("a port"), "PORT"), @"
    popsicle: #1 main  http://localhost:PORT/ui/pipelines/1
    popsicle: build  running
    popsicle:   build: Checkout code  success
    popsicle:   build: greet  success
    popsicle: build  success
    popsicle: #1 success
    ");
    assert_eq!(ci.log(1, "build").await.lines().last(), Some("hello main"));
    let pipeline = ci.pipeline(1).await;
    assert_eq!(pipeline["trigger"], "git_push");
    assert_eq!(pipeline["author"], "Octo Cat");
    assert_eq!(pipeline["commit_sha"], json!(repo.head()));

    // A clone of it is a project like any other, and its failure comes with its last words.
    let lines =
        "i=0; while [ $i -lt 30 ]; do i=$((i+1)); printf '\\033[31mline %s\\n' $i; done; exit 3";
    let config = SAY_HELLO.replace(
        "echo \"hello $CIRCLE_BRANCH$CIRCLE_TAG\"",
        &lines.replace('\'', "''"),
    );
    repo.commit("Break it", &[(".popsicle/ci.yml", &config)]);
    repo.tag("v1");
    let told = push(&repo, &[&url, "refs/tags/v1"]);
    let tail: Vec<&str> = told.lines().filter(|line| line.contains(" | ")).collect();
    assert_eq!(tail.len(), 20, "{told}");
    assert_eq!(tail[19], "popsicle:     | line 30");
    assert!(told.ends_with("popsicle: #2 failure"), "{told}");
    assert_eq!(ci.pipeline(2).await["tag"], "v1");
    assert_eq!(ci.pipeline(2).await["commit_sha"], json!(repo.head()));
    ci.until_clean().await;
}

#[tokio::test]
async fn a_push_says_what_it_wants() {
    let ci = Ci::start().await;
    let url = demo(&ci).await;
    let repo = Repo::with_config(SAY_HELLO);
    let told = push(&repo, &["-o", "ci.skip", &url, "main:skipped"]);
    assert_eq!(told, "popsicle: no pipeline, as `-o ci.skip` asks");
    repo.commit("Docs [ci skip]", &[]);
    let told = push(&repo, &[&url, "main:said"]);
    assert_eq!(
        told,
        "popsicle: said: no pipeline: the commit's message asks to skip CI"
    );
    assert_eq!(push(&repo, &[&url, ":said"]), "", "a branch that is gone");
    assert!(built(&ci).await.is_empty());

    repo.commit("Wait for nobody", &[(".popsicle/ci.yml", "jobs: nonsense")]);
    let told = push(&repo, &["-o", "ci.nowait", &url, "main"]);
    assert!(
        told.starts_with("popsicle: #1 main  http://") && !told.contains('\n'),
        "{told}"
    );
    // A config that makes no sense says so to who pushed it.
    let told = push(&repo, &[&url, "main:again"]);
    assert!(
        told.contains("\npopsicle: #2 failure\npopsicle:   "),
        "{told}"
    );
}

#[tokio::test]
async fn a_push_runs_the_workflows_of_what_it_changed() {
    let ci = Ci::start().await;
    let url = demo(&ci).await;
    let repo = Repo::with_config(
        "
version: 2.1
jobs: {code: {type: no-op}, docs: {type: no-op}}
workflows:
  code: {paths: {ignore: ['docs/**']}, jobs: [code]}
  docs: {paths: ['docs/**'], jobs: [docs]}
",
    );
    let ran = async |id| {
        ci.settled(id).await;
        let pipeline = ci.pipeline(id).await;
        let jobs = pipeline["jobs"].as_array().into_iter().flatten();
        let names = jobs.filter_map(|job| job["job_name"].as_str().map(str::to_owned));
        names.collect::<Vec<_>>()
    };
    push(&repo, &[&url, "main"]);
    assert_eq!(ran(1).await, ["code", "docs"], "nothing tells what is new");
    repo.commit("Explain", &[("docs/guide/start.md", "Start")]);
    push(&repo, &[&url, "main"]);
    assert_eq!(ran(2).await, ["docs"]);
    repo.branch("topic");
    repo.commit("Work", &[("src/main.c", "int main;")]);
    push(&repo, &[&url, "topic"]);
    assert_eq!(
        ran(3).await,
        ["code"],
        "a new branch is held against the default one"
    );
    repo.commit("Explain more", &[("docs/more.md", "More")]);
    push(&repo, &[&url, "topic"]);
    assert_eq!(ran(4).await, ["docs"]);
}

#[tokio::test]
async fn many_branches_at_once_are_built_in_their_order() {
    let ci = Ci::start().await;
    let url = demo(&ci).await;
    let repo = Repo::empty("demo");
    repo.commit("Nothing to run", &[("README", "hello")]);
    let names: Vec<String> = (0..20)
        .map(|number| format!("branch-{number:02}"))
        .collect();
    let refs: Vec<String> = names
        .iter()
        .map(|name| format!("main:refs/heads/{name}"))
        .collect();
    let mut args = vec![url.as_str()];
    args.extend(refs.iter().map(String::as_str));
    let told = push(&repo, &args);
    assert_eq!(built(&ci).await, names);
    for id in 1..=20 {
        assert!(told.contains(&format!("popsicle: #{id} failure")), "{told}");
    }
}

#[tokio::test]
async fn a_push_while_there_is_no_server_is_built_later() {
    if !has_machine_jobs().await {
        return;
    }
    let mut ci = Ci::start().await;
    demo(&ci).await;
    let path = path(&ci);
    let repo = Repo::with_config(SAY_HELLO);
    ci.kill();
    for address in [path.clone(), format!("file://{path}")] {
        repo.commit("More", &[]);
        let told = push(&repo, &[&address, "main"]);
        assert!(told.contains("could not reach"), "{told}");
        assert!(
            told.ends_with("its pipeline starts once the server is back"),
            "{told}"
        );
    }
    ci.restart().await;
    until("both are built", async || {
        (built(&ci).await.len() == 2).then_some(())
    })
    .await;
    // The first is no longer its branch's tip, but in its history.
    for id in 1..=2 {
        assert_eq!(ci.settled(id).await, "pipeline success\n  build  success");
    }
    // And with the server, as if over HTTP.
    repo.commit("With the server", &[]);
    let told = push(&repo, &[&path, "main"]);
    assert!(told.ends_with("popsicle: #3 success"), "{told}");
    ci.kill();
    ci.restart().await;
    assert_eq!(built(&ci).await, ["main"; 3], "each push once");
}

/// The server dies after the push has come whole, and before its refs have moved.
#[tokio::test]
async fn a_push_in_which_the_server_is_killed_is_built() {
    let mut ci = Ci::start().await;
    let url = demo(&ci).await;
    let bare = ci.data().join("repos/demo.git");
    let (gate, update) = (bare.join("gate"), bare.join("hooks/update"));
    let made = Command::new("mkfifo").arg(&gate).status();
    assert!(made.expect("mkfifo runs").success());
    let script = format!("#!/bin/sh\ncat '{}'\n", gate.display());
    std::fs::write(&update, script).expect("a hook can be written");
    std::fs::set_permissions(&update, std::fs::Permissions::from_mode(0o755))
        .expect("a hook can be made one");

    let repo = Repo::empty("demo");
    let head = repo.commit("Nothing to run", &[("README", "hello")]);
    let folder = repo.path().to_owned();
    let pushing = tokio::task::spawn_blocking(move || git(&folder, &["push", &url, "main"]));
    let pushes = bare.join("popsicle-pushes");
    let note = until("git notes the push", async || {
        let mut notes = std::fs::read_dir(&pushes).ok()?.flatten();
        notes.find_map(|note| {
            note.file_name()
                .into_string()
                .ok()?
                .strip_suffix(".begun")
                .map(str::to_owned)
        })
    })
    .await;
    ci.kill();
    let opened = tokio::task::spawn_blocking(move || std::fs::write(gate, ""));
    opened
        .await
        .expect("it ends")
        .expect("git's hook waits there");
    let (went_well, said) = pushing.await.expect("git ends");
    assert!(!went_well, "its server is gone: {said}");
    let (_, process) = note.rsplit_once('-').expect("a note names its process");
    let process = Path::new("/proc").join(process);
    until("git has ended", async || (!process.exists()).then_some(())).await;
    ci.restart().await;
    until("it is built", async || {
        (!built(&ci).await.is_empty()).then_some(())
    })
    .await;
    assert_eq!(ci.pipeline(1).await["commit_sha"], json!(head));
}

#[tokio::test]
async fn a_server_that_stops_holds_up_no_push() {
    if !has_machine_jobs().await {
        return;
    }
    let mut ci = Ci::start().await;
    let url = demo(&ci).await;
    let repo = Repo::with_config(&SAY_HELLO.replace("echo", "sleep 3; echo"));
    let folder = repo.path().to_owned();
    let pushing = tokio::task::spawn_blocking(move || git(&folder, &["push", &url, "main"]));
    until("the push is built", async || {
        (!built(&ci).await.is_empty()).then_some(())
    })
    .await;
    ci.until_job(1, "build", "running").await;
    ci.terminate().await;
    let (went_well, said) = pushing.await.expect("git ends");
    assert!(went_well, "{said}");
    assert!(said.contains("not waiting for #1 any more"), "{said}");
    ci.restart().await;
    assert_eq!(ci.settled(1).await, "pipeline success\n  build  success");
}

#[tokio::test]
async fn a_large_push_passes_in_pieces() {
    let ci = Ci::start().await;
    let url = demo(&ci).await;
    let repo = Repo::empty("demo");
    // 50 MB that can't be compressed.
    let mut state = 1_u64;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    })
    .take(50_000_000 / 8)
    .flatten()
    .collect();
    repo.write("noise", &noise);
    repo.commit_all("Large");
    let before = ci.peak_memory_kib();
    push(&repo, &["-o", "ci.skip", &url, "main"]);
    let clone = tempfile::tempdir().expect("a folder can be made");
    let (went_well, said) = git(clone.path(), &["clone", "--quiet", &url, "demo"]);
    assert!(went_well, "{said}");
    let found = std::fs::read(clone.path().join("demo/noise")).expect("the file is there");
    assert!(found == noise, "what comes back is what went in");
    let taken = ci.peak_memory_kib() - before;
    assert!(taken < 32 << 10, "{taken} KiB");
}

#[tokio::test]
async fn repositories_are_managed_by_commands() {
    let ci = Ci::start().await;
    ci.cli(&["repo", "create", "demo"]).await.success();
    for (args, said) in [
        (["repo", "create", "Demo"], "already"),
        (["repo", "create", "../demo"], "only letters"),
        (["repo", "create", "demo.git"], "leave out the `.git`"),
        (["repo", "delete", "none"], "no hosted repository none"),
    ] {
        let told = ci.cli(&args).await;
        assert_eq!(told.code, Some(2), "{told:?}");
        assert!(told.stderr.contains(said), "{told:?}");
    }
    let listed = ci.cli(&["repo", "list", "--json"]).await.success();
    let listed: Value = serde_json::from_str(&listed).expect("it is JSON");
    assert_eq!(listed[0]["path"], json!(path(&ci)));

    let repo = Repo::empty("demo");
    repo.commit("Keep me", &[]);
    push(&repo, &["-o", "ci.skip", &path(&ci), "main"]);
    ci.cli(&["repo", "delete", "demo"]).await.success();
    let (went_well, said) = git(
        repo.path(),
        &["ls-remote", &format!("{}/git/demo.git", ci.url())],
    );
    assert!(!went_well && said.contains("not found"), "{said}");
    let trash = std::fs::read_dir(ci.data().join("repos/.trash")).expect("there is a trash");
    let kept: Vec<_> = trash
        .map(|entry| entry.expect("it can be read").path())
        .collect();
    assert_eq!(kept.len(), 1);
    let (went_well, said) = git(&kept[0], &["cat-file", "-e", &repo.head()]);
    assert!(went_well, "{said}");
    assert_eq!(ci.cli(&["repo", "list"]).await.success(), "");
}
