//! The real binary, as people and scripts meet it: what it prints, where, and how it exits. The server
//! is a stand-in that speaks the types of `api`; the real one has its own stories.
#![allow(clippy::unwrap_used, reason = "a test that fails should panic")]

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use api::{Job, NewRunner, PipelineDetail};
use axum::extract::{Path as At, RawQuery};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

const BUILD: &str = "550e8400-e29b-41d4-a716-446655440001";
const LINT: &str = "550e8400-e29b-41d4-a716-446655440002";

/// How one run of the binary ended.
#[derive(Debug)]
struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Ran {
    #[track_caller]
    fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    #[track_caller]
    fn says(self, text: &str) -> Self {
        assert!(self.err.contains(text), "{text:?} is not said: {self:#?}");
        self
    }

    #[track_caller]
    fn prints(self, text: &str) -> Self {
        assert_eq!(self.out, text, "{self:#?}");
        self
    }

    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }
}

/// The binary with nothing of this process's environment but where programs are.
fn command(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_popsicle"));
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .current_dir(dir)
        .args(args)
        .stdin(Stdio::null());
    command
}

fn run_in(dir: &Path, args: &[&str]) -> Ran {
    let output = command(dir, args).output().unwrap();
    Ran {
        code: output.status.code(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

fn run(args: &[&str]) -> Ran {
    run_in(tempfile::tempdir().unwrap().path(), args)
}

/// A server that has what FMG's README shows, and some more.
struct Server {
    url: String,
    _runtime: tokio::runtime::Runtime,
}

impl Server {
    fn start() -> Self {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let listener = runtime
            .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
            .unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        runtime.spawn(async move { axum::serve(listener, router()).await });
        Self {
            url,
            _runtime: runtime,
        }
    }

    fn run(&self, args: &[&str]) -> Ran {
        let mut all = vec!["--server-url", &self.url];
        all.extend(args);
        run(&all)
    }
}

fn router() -> Router {
    Router::new()
        .route("/pipelines", get(list))
        .route("/pipelines/{id}", get(show))
        .route("/pipelines/{id}/cancel", post(show))
        .route("/pipelines/{id}/rerun", post(rerun))
        .route("/pipelines/{id}/jobs/{job}/log", get(log))
        .route("/pipelines/{id}/jobs/{job}/steps", get(steps))
        .route("/pipelines/{id}/jobs/{job}/approve", post(approve))
        .route("/runners", get(runners).post(add_runner))
        .route("/events", get(events))
}

fn job(id: i64, uuid: &str, name: &str, status: &str) -> Value {
    json!({
        "id": id, "uuid": uuid, "job_name": name, "workflow": "main", "status": status,
        "start_time": "2024-06-01T12:00:00Z", "end_time": "2024-06-01T12:00:12Z",
        "requires": [], "attempt": 1, "exit_code": 0,
        "reason": (status == "failure").then_some("step \"make\" ended with exit code 2"),
    })
}

/// 5 has one job, 4 has two of which one failed, 3 has none; there are no others.
fn pipeline(id: i64) -> Option<PipelineDetail> {
    let mut value = json!({
        "id": id, "repo": "octo/repo", "commit_sha": "a1b2c3d4e5".repeat(4), "branch": "main",
        "tag": null, "status": "success", "trigger": "push", "author": "octocat",
        "message": "Say hello", "created_at": "2024-06-01T11:59:59Z",
        "start_time": "2024-06-01T12:00:00.400Z", "end_time": "2024-06-01T12:03:40.900Z",
        "reason": null, "warnings": null, "pull_request": null, "rerun_of": null,
        "jobs": [job(1, BUILD, "build", "success")],
    });
    match id {
        5 => {}
        4 => {
            value["branch"] = json!("feature/login\u{1b}[2J");
            value["status"] = json!("failure");
            value["start_time"] = json!("2024-05-31T18:21:10Z");
            value["end_time"] = Value::Null;
            value["jobs"] = json!([
                job(2, BUILD, "build", "failure"),
                job(3, LINT, "lint", "success")
            ]);
        }
        3 => {
            value["status"] = json!("failure");
            value["reason"] = json!("job `a` has no steps");
            value["jobs"] = json!([]);
        }
        _ => return None,
    }
    Some(serde_json::from_value(value).unwrap())
}

fn missing(id: i64) -> Response {
    let body =
        json!({"error": {"code": "not_found", "message": format!("there is no pipeline {id}")}});
    (StatusCode::NOT_FOUND, Json(body)).into_response()
}

async fn list(RawQuery(query): RawQuery) -> Response {
    let all = [5, 4].map(|id| pipeline(id).unwrap().pipeline);
    match query.as_deref() {
        Some("limit=20") => Json(all.to_vec()).into_response(),
        Some("limit=1") => Json(all[..1].to_vec()).into_response(),
        Some("limit=200") => {
            let next = "</pipelines?limit=200&cursor=second>; rel=\"next\"";
            ([(header::LINK, next)], Json(vec![all[0].clone(); 200])).into_response()
        }
        Some("limit=1&cursor=second") => Json(all[1..].to_vec()).into_response(),
        Some("repo=octo%2Frepo&branch=main&status=success&trigger=push&limit=3") => {
            Json(Vec::<Value>::new()).into_response()
        }
        other => {
            let message = format!("unexpected query {other:?}");
            let body = json!({"error": {"code": "invalid", "message": message}});
            (StatusCode::BAD_REQUEST, Json(body)).into_response()
        }
    }
}

async fn show(At(id): At<i64>) -> Response {
    match pipeline(id) {
        Some(pipeline) => Json(pipeline).into_response(),
        None => missing(id),
    }
}

async fn rerun(At(id): At<i64>, Json(body): Json<Value>) -> Response {
    assert_eq!(body, json!({"from": "failed"}));
    match pipeline(id) {
        Some(_) => (StatusCode::CREATED, Json(pipeline(5))).into_response(),
        None => missing(id),
    }
}

async fn log(At((id, job)): At<(i64, i64)>, RawQuery(query): RawQuery) -> Response {
    let text = match (id, job, query.as_deref()) {
        (5, 1, None) => "Installing dependencies...\n\u{1b}[32mRunning pytest...\u{1b}[0m\n",
        (5, 1, Some("step=1&follow=true&tail=1")) => "last",
        (4, 3, None) => "lint\n",
        _ => return missing(id),
    };
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response()
}

async fn steps() -> Json<Value> {
    let step = |index: u32, name: &str| {
        json!({
            "index": index, "name": name, "status": "success", "start_time": null,
            "end_time": null, "exit_code": 0, "log_start": 0, "log_end": 1,
        })
    };
    Json(json!([step(0, "Checkout"), step(1, "Test")]))
}

async fn approve(At((_, id)): At<(i64, i64)>) -> Json<Job> {
    Json(serde_json::from_value(job(id, LINT, "lint", "success")).unwrap())
}

fn runner(id: i64, host: &str, active: bool) -> Value {
    json!({
        "id": id, "host": host, "active": active, "labels": [], "last_seen": null, "busy": 0,
        "capacity": 1,
    })
}

async fn runners() -> Json<Value> {
    Json(json!([
        runner(1, "localhost", true),
        runner(2, "10.0.0.5", false)
    ]))
}

async fn add_runner(Json(new): Json<NewRunner>) -> Response {
    (StatusCode::CREATED, Json(runner(3, &new.host, true))).into_response()
}

async fn events() -> Response {
    let text = ": nothing changes any more\n\n";
    ([(header::CONTENT_TYPE, "text/event-stream")], text).into_response()
}

const LIST: &str = "\
#5 [octo/repo @ a1b2c3d on main] status: SUCCESS (started 2024-06-01T12:00:00Z finished 2024-06-01T12:03:40Z)
#4 [octo/repo @ a1b2c3d on feature/login\u{fffd}[2J] status: FAILURE (started 2024-05-31T18:21:10Z)
";

#[test]
fn list_prints_what_fmg_printed() {
    let server = Server::start();
    server.run(&["list"]).exits(0).prints(LIST);
    let json = server
        .run(&["list", "--json", "--limit", "1"])
        .exits(0)
        .json();
    assert_eq!(json[0]["id"], 5);
    assert_eq!(json.as_array().unwrap().len(), 1);
}

#[test]
fn list_filters_and_goes_on_to_the_next_page() {
    let server = Server::start();
    let filters = [
        "list",
        "--repo",
        "octo/repo",
        "--branch",
        "main",
        "--status",
        "SUCCESS",
        "--trigger",
        "push",
        "-n",
        "3",
    ];
    server
        .run(&filters)
        .exits(0)
        .prints("")
        .says("no pipelines");
    let many = server.run(&["list", "--limit", "201"]).exits(0);
    assert_eq!(many.out.lines().count(), 201);
    assert!(many.out.lines().next_back().unwrap().starts_with("#4 "));
    server
        .run(&["list", "--status", "fine"])
        .exits(2)
        .says("on_hold");
}

#[test]
fn the_server_is_named_by_flag_or_environment() {
    let server = Server::start();
    let dir = tempfile::tempdir().unwrap();
    for name in [
        "POPSICLE_SERVER_URL",
        "popsicle_SERVER_URL",
        "FMG_SERVER_URL",
    ] {
        let output = command(dir.path(), &["list"])
            .env(name, &server.url)
            .output()
            .unwrap();
        assert!(output.status.success(), "{name}: {output:?}");
    }
    let file = format!("server_url = '{}'\n", server.url);
    std::fs::write(dir.path().join("popsicle.toml"), file).unwrap();
    run_in(dir.path(), &["list"]).exits(0).prints(LIST);
    std::fs::write(dir.path().join("popsicle.toml"), "server-url = 'x'\n").unwrap();
    run_in(dir.path(), &["list"])
        .exits(2)
        .says("unknown key `server-url`")
        .says("hint: did you mean `server_url`?");
}

#[test]
fn logs_of_the_only_job_are_printed_as_they_are() {
    let server = Server::start();
    let want = "--- Log for pipeline 5, job \"build\" ---\n\
        Installing dependencies...\n\u{1b}[32mRunning pytest...\u{1b}[0m\n";
    server.run(&["logs", "5"]).exits(0).prints(want);
    server.run(&["logs", "5", "build"]).exits(0).prints(want);
    server
        .run(&["logs", "5", "main/build"])
        .exits(0)
        .prints(want);
    let lines = server.run(&["logs", "5", "--json"]).exits(0);
    let first: Value = serde_json::from_str(lines.out.lines().next().unwrap()).unwrap();
    assert_eq!(first["line"], "Installing dependencies...");
    assert_eq!(first["job_name"], "build");
}

#[test]
fn a_part_of_a_log_can_be_asked_for() {
    let server = Server::start();
    for step in ["Test", "1"] {
        server
            .run(&["logs", "5", "--step", step, "--tail", "1", "-f"])
            .exits(0)
            .prints("--- Log for pipeline 5, job \"build\" ---\nlast");
    }
    server
        .run(&["logs", "5", "--step", "Deploy"])
        .exits(2)
        .says("job `build` has no step `Deploy`")
        .says("hint: its steps are 0 Checkout, 1 Test");
}

#[test]
fn of_several_jobs_one_has_to_be_named() {
    let server = Server::start();
    server
        .run(&["logs", "4"])
        .exits(2)
        .prints("")
        .says("build  failure")
        .says("lint   success")
        .says("error: pipeline 4 has 2 jobs: name one of them");
    server
        .run(&["logs", "4", "lint"])
        .exits(0)
        .prints("--- Log for pipeline 4, job \"lint\" ---\nlint\n");
    server
        .run(&["logs", "4", "deploy"])
        .exits(2)
        .says("error: pipeline 4 has no job `deploy`")
        .says("hint: its jobs are build, lint");
    server
        .run(&["logs", "3"])
        .exits(2)
        .says("pipeline 3 has no jobs")
        .says("job `a` has no steps");
}

#[test]
fn watch_exits_as_the_pipeline_ended() {
    let server = Server::start();
    let good = server.run(&["watch", "5"]).exits(0);
    assert_eq!(
        good.out,
        "#5 [octo/repo @ a1b2c3d on main]\n  build  success (12s)\n#5 success (3m 40s)\n"
    );
    let bad = server.run(&["watch", "4"]).exits(1);
    let line = "  build  failure: step \"make\" ended with exit code 2 (12s)\n";
    assert!(bad.out.contains(line), "{bad:#?}");
    bad.says("popsicle logs 4 build");
    let json = server.run(&["watch", "4", "--json"]).exits(1).json();
    assert_eq!(json["status"], "failure");
}

#[test]
fn deeds_tell_what_became_of_the_pipeline() {
    let server = Server::start();
    let line = LIST.lines().next().unwrap();
    let line = format!("{line}\n");
    server.run(&["cancel", "5"]).exits(0).prints(&line);
    server
        .run(&["rerun", "4", "--from", "failed"])
        .exits(0)
        .prints(&line);
    let watched = server
        .run(&["rerun", "4", "--from", "failed", "--watch"])
        .exits(0);
    assert!(
        watched.out.ends_with("#5 success (3m 40s)\n"),
        "{watched:#?}"
    );
    server
        .run(&["approve", "4", "lint"])
        .exits(0)
        .prints("lint success\n");
    let page = format!("{}/ui/pipelines/5\n", server.url);
    server.run(&["open", "5"]).exits(0).prints(&page);
    for deed in [
        &["cancel", "9"][..],
        &["watch", "9"],
        &["open", "9"],
        &["logs", "9"],
    ] {
        server
            .run(deed)
            .exits(2)
            .says("error: there is no pipeline 9");
    }
}

#[test]
fn runners_are_listed_and_added() {
    let server = Server::start();
    server
        .run(&["configure", "list-runners"])
        .exits(0)
        .prints("1: localhost [active]\n2: 10.0.0.5 [inactive]\n");
    server
        .run(&["configure", "add-runner", "ci-2"])
        .exits(0)
        .prints("3: ci-2 [active]\n");
    let json = server
        .run(&["configure", "list-runners", "--json"])
        .exits(0)
        .json();
    assert_eq!(json[1]["host"], "10.0.0.5");
}

#[test]
fn a_server_that_is_not_there_is_told_with_a_hint() {
    // A port that was free a moment ago.
    let address: SocketAddr = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let url = format!("http://{address}");
    for command in [
        &["list"][..],
        &["watch", "1"],
        &["configure", "list-runners"],
    ] {
        let mut args = command.to_vec();
        args.extend(["--server-url", &url]);
        run(&args)
            .exits(3)
            .prints("")
            .says(&format!("error: could not reach {url}/"))
            .says("hint: is `popsicle serve` running there?");
    }
    run(&["list", "--server-url", "ci:5000"])
        .exits(2)
        .says("http://");
}

#[test]
fn bad_usage_exits_with_2() {
    for args in [
        &["no-such-command"][..],
        &["logs"],
        &["logs", "zero"],
        &["logs", "0"],
        &["list", "--limit", "0"],
        &["rerun", "1", "--from", "middle"],
        &["run", "--param", "novalue"],
        &["completions", "tcsh"],
    ] {
        run(args).exits(2).prints("").says("error:");
    }
    run(&["serve", "--listen", "0.0.0.0:0"])
        .exits(2)
        .says("--allow-unauthenticated");
    run(&["serve", "--listen", "nowhere"])
        .exits(2)
        .says("--listen says listen is \"nowhere\", expected an address and a port");
    let help = run(&["--help"]).exits(0);
    assert!(
        help.out.contains("serve") && !help.out.contains("shim"),
        "{help:#?}"
    );
    run(&["--version"]).exits(0);
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let server = Server::start();
    let dir = tempfile::tempdir().unwrap();
    let args = [
        "--server-url",
        &server.url,
        "list",
        "--json",
        "--limit",
        "201",
    ];
    let mut child = command(dir.path(), &args)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::with_capacity(1, child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
}

fn write(dir: &Path, name: &str, text: &str) {
    let path = dir.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::File::create(path)
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
}

const CONFIG: &str = "\
version: 2.1
jobs:
  build:
    docker: [{image: alpine}]
    steps: [checkout, run: make]
  deploy:
    machine: true
    steps: [run: make deploy]
workflows:
  main:
    jobs:
      - build
      - deploy:
          requires: [build]
";

#[test]
fn a_good_config_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), ".circleci/config.yml", CONFIG);
    let want = ".circleci/config.yml is valid: 1 workflow, 2 jobs\n";
    run_in(dir.path(), &["config", "validate"])
        .exits(0)
        .prints(want);
    write(dir.path(), ".popsicle/a.yml", CONFIG);
    let other = CONFIG.replace("main:", "other:");
    write(dir.path(), ".popsicle/b.yaml", &other);
    let path = dir.path().to_str().unwrap();
    run(&["config", "validate", path])
        .exits(0)
        .prints(".popsicle/a.yml, .popsicle/b.yaml are valid: 2 workflows, 4 jobs\n");
    let json = run(&["config", "validate", path, "--json"]).exits(0).json();
    assert_eq!(json["valid"], true);
    assert_eq!(json["workflows"][0]["jobs"], json!(["build", "deploy"]));
}

#[test]
fn a_config_is_printed_as_what_it_stands_for() {
    let dir = tempfile::tempdir().unwrap();
    let config = "version: 2.1\ncommands: {greet: {parameters: {who: {type: string}}, steps: [run: echo << parameters.who >>]}}\njobs: {build: {machine: true, steps: [greet: {who: you}]}}\n";
    write(dir.path(), "ci.yml", config);
    let printed =
        "version: 2\njobs:\n  build:\n    machine: true\n    steps:\n    - run: echo you\n";
    run_in(dir.path(), &["config", "process", "ci.yml"])
        .exits(0)
        .prints(printed);
    write(
        dir.path(),
        "bad.yml",
        &config.replace("who: you", "woh: you"),
    );
    run_in(dir.path(), &["config", "process", "bad.yml"])
        .exits(2)
        .prints("")
        .says("did you mean `who`?");
}

#[test]
fn a_bad_config_is_told_with_its_line() {
    let dir = tempfile::tempdir().unwrap();
    let bad = CONFIG.replace("requires: [build]", "requires: [biuld]");
    write(dir.path(), "ci.yml", &bad);
    let told = run_in(dir.path(), &["config", "validate", "ci.yml"])
        .exits(2)
        .prints("")
        .says("error: job `deploy` requires `biuld`")
        .says("ci.yml:14:22")
        .says("requires: [biuld]")
        .says("^^^^^ did you mean `build`?")
        .says("ci.yml: 1 error");
    assert!(
        !told.err.contains('\u{1b}'),
        "no colour where nobody sees it"
    );
    let json = run_in(dir.path(), &["config", "validate", "ci.yml", "--json"])
        .exits(2)
        .json();
    assert_eq!(json["valid"], false);
    assert_eq!(json["diagnostics"][0]["line"], 14);
    assert_eq!(json["diagnostics"][0]["kind"], "config");

    run_in(dir.path(), &["config", "validate"])
        .exits(2)
        .says("there is no config in `.`")
        .says("hint: `popsicle init`");
    run_in(dir.path(), &["config", "validate", "none.yml"])
        .exits(2)
        .says("none.yml");
}

#[test]
fn init_writes_a_config_that_is_valid() {
    for (file, detected) in [
        ("Cargo.toml", "detected Cargo"),
        ("package.json", "detected Node.js"),
        ("notes", "nothing"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), file, "");
        run_in(dir.path(), &["init"])
            .exits(0)
            .prints("wrote ./.popsicle/ci.yml\n")
            .says(detected)
            .says("popsicle run");
        run_in(dir.path(), &["config", "validate"]).exits(0);

        write(dir.path(), ".popsicle/ci.yml", "mine");
        run_in(dir.path(), &["init"])
            .exits(2)
            .says("already has the config `.popsicle/ci.yml`")
            .says("--force");
        let text = std::fs::read_to_string(dir.path().join(".popsicle/ci.yml")).unwrap();
        assert_eq!(text, "mine");
        run_in(dir.path(), &["init", "--force"]).exits(0);
        run_in(dir.path(), &["config", "validate"]).exits(0);
    }
}

#[test]
fn a_hook_is_run_by_git_in_a_hosted_repository() {
    run(&["hook", "post-receive"])
        .exits(2)
        .says("no hosted repository");
}

#[test]
fn init_respects_a_config_for_circleci() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), ".circleci/config.yml", CONFIG);
    run_in(dir.path(), &["init"])
        .exits(2)
        .says("`.circleci/config.yml`")
        .says("Popsicle uses it as it is");
    assert!(!dir.path().join(".popsicle").exists());
    run(&["init", "/no/such/dir"]).exits(2).says("/no/such/dir");
}

#[test]
fn completions_exist_for_the_usual_shells() {
    for (shell, mark) in [
        ("bash", "complete -F _popsicle"),
        ("zsh", "#compdef popsicle"),
        ("fish", "complete -c popsicle"),
    ] {
        let ran = run(&["completions", shell]).exits(0);
        assert!(ran.out.contains(mark), "{shell}: {ran:#?}");
        assert!(ran.out.contains("list-runners"), "{shell}");
    }
}

#[test]
fn doctor_looks_at_everything_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let ran = run_in(dir.path(), &["doctor", "--json"]);
    let report = ran.json();
    let names: Vec<&str> = report["checks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|check| check["name"].as_str().unwrap())
        .collect();
    let want = [
        "settings", "git", "native", "docker", "data", "space", "port", "server", "github", "nix",
    ];
    assert_eq!(names, want);
    let works = |name: &str| {
        let checks = report["checks"].as_array().unwrap();
        checks
            .iter()
            .any(|check| check["name"] == name && check["state"] == "ok")
    };
    assert!(works("data"), "{report:#}");
    let can_run = works("native") || works("docker");
    assert_eq!(report["can_run_jobs"], can_run);
    assert_eq!(ran.code, Some(if can_run { 0 } else { 1 }));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);

    let told = command(dir.path(), &["doctor"])
        .env("PORT", "none")
        .env("GITHUB_TOKEN", "hunter2")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&told.stdout);
    assert!(text.contains("PORT says listen is \"none\""), "{text}");
    assert!(!text.contains("hunter2"), "{text}");
}
