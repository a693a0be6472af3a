//! A server under test: how it is started, stopped, pushed to and asked.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Once;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use reqwest::RequestBuilder;
use rustix::process::{Pid, Signal};
use serde_json::Value;
use tempfile::TempDir;

use super::{
    Answered, Github, Repo, SECRET, TOKEN, Told, Webhook, docker, popsicle, traces, unique, until,
};

/// A server, its data and its GitHub. All of it ends with this value.
#[derive(Debug)]
pub struct Ci {
    /// Whom it tells.
    pub github: Github,
    /// What its containers are marked with.
    pub namespace: String,
    home: TempDir,
    url: String,
    settings: BTreeMap<String, String>,
    server: Option<Child>,
    http: reqwest::Client,
    uses_docker: bool,
}

impl Ci {
    /// Starts a server with the stories' settings.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// The same with other settings (environment variables) besides.
    pub async fn start_with(settings: &[(&str, &str)]) -> Self {
        let mut ci = Self::prepare(settings).await;
        ci.restart().await;
        ci
    }

    /// The same without one of the stories' settings.
    pub async fn start_without(setting: &str) -> Self {
        let mut ci = Self::prepare(&[]).await;
        ci.settings.remove(setting);
        ci.restart().await;
        ci
    }

    /// A server that has not been started yet.
    pub async fn prepare(settings: &[(&str, &str)]) -> Self {
        let home = tempfile::Builder::new()
            .prefix("popsicle-story-")
            .tempdir()
            .expect("a temporary folder can be made");
        let github = Github::start().await;
        let (port, namespace) = (free_port(), unique());
        let own = [
            ("POPSICLE_LISTEN", format!("127.0.0.1:{port}")),
            (
                "POPSICLE_DATA_DIR",
                home.path().join("data").display().to_string(),
            ),
            ("POPSICLE_NAMESPACE", namespace.clone()),
            ("POPSICLE_WEBHOOK_SECRET", SECRET.to_owned()),
            ("POPSICLE_GITHUB_API_URL", github.url().to_owned()),
            ("POPSICLE_GITHUB_TOKEN", TOKEN.to_owned()),
            ("POPSICLE_STOP_GRACE", "1s".to_owned()),
            ("POPSICLE_MAX_JOBS", "4".to_owned()),
        ];
        let given = settings
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()));
        let settings = own.into_iter().chain(given);
        Self {
            github,
            namespace,
            url: format!("http://127.0.0.1:{port}"),
            settings: settings
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
            home,
            server: None,
            http: http(),
            uses_docker: false,
        }
    }

    /// The same, whose containers of the machine's Docker are removed at the end whatever happens.
    pub fn with_docker(mut self) -> Self {
        self.uses_docker = true;
        self
    }

    // Its life.

    /// Starts the server, over what an earlier one left, and waits until it takes work.
    pub async fn restart(&mut self) {
        assert!(self.server.is_none(), "the server runs already");
        let log = File::options()
            .append(true)
            .create(true)
            .open(self.server_log_path());
        let log = log.expect("the server's log can be made");
        let mut command = Command::new(popsicle());
        clean(&mut command, self.home.path());
        let server = command
            .arg("serve")
            .envs(&self.settings)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file can be shared"))
            .stderr(log)
            .spawn()
            .expect("popsicle starts");
        self.server = Some(server);
        until("the server is ready", async || {
            self.assert_alive();
            let asked = self.http.get(format!("{}/readyz", self.url)).send().await;
            asked
                .is_ok_and(|answer| answer.status() == 200)
                .then_some(())
        })
        .await;
    }

    /// Ends the server as a power cut would: `SIGKILL`.
    pub fn kill(&mut self) {
        let mut server = self.server.take().expect("the server runs");
        server.kill().expect("the server can be killed");
        server.wait().expect("the server is ours");
    }

    /// Asks the server to end: `SIGTERM`.
    pub async fn terminate(&mut self) {
        let server = self.server.as_mut().expect("the server runs");
        let pid = i32::try_from(server.id()).ok().and_then(Pid::from_raw);
        rustix::process::kill_process(pid.expect("a process has an id"), Signal::TERM)
            .expect("the server can be told to end");
        let status = until("the server ends", async || {
            server.try_wait().expect("the server is ours")
        })
        .await;
        self.server = None;
        assert!(status.success(), "{status}\n{}", self.server_log());
    }

    /// That the server has not ended by itself.
    pub fn assert_alive(&mut self) {
        let server = self.server.as_mut().expect("the server runs");
        let ended = server.try_wait().expect("the server is ours");
        assert!(
            ended.is_none(),
            "the server ended: {ended:?}\n{}",
            self.server_log()
        );
    }

    /// The most memory that the server has ever taken.
    pub fn peak_memory_kib(&self) -> u64 {
        let server = self.server.as_ref().expect("the server runs");
        let status = fs::read_to_string(format!("/proc/{}/status", server.id()));
        let status = status.expect("the kernel tells of the server");
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak = peak.expect("the kernel tells the peak").trim();
        let kib = peak.trim_end_matches(" kB").parse();
        kib.expect("the peak is a number")
    }

    // What it keeps.

    /// Its data folder.
    pub fn data(&self) -> PathBuf {
        self.home.path().join("data")
    }

    /// Where its jobs' folders are.
    fn jobs_folder(&self) -> PathBuf {
        self.data().join("jobs").join(&self.namespace)
    }

    /// The folders of the jobs that run, or that have left something.
    pub fn job_folders(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.jobs_folder()).into_iter().flatten();
        entries
            .map(|entry| entry.expect("the folder can be read").path())
            .collect()
    }

    /// Everything that it ever said.
    pub fn server_log(&self) -> String {
        let bytes = fs::read(self.server_log_path()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn server_log_path(&self) -> PathBuf {
        self.home.path().join("server.log")
    }

    // Pushing.

    /// Pushes the repository's current branch; the pipeline's number.
    pub async fn push(&self, repo: &Repo) -> u64 {
        self.deliver(&Webhook::new("push", &repo.push()))
            .await
            .pipeline()
    }

    /// Sends a delivery.
    pub async fn deliver(&self, webhook: &Webhook) -> Answered {
        send(self.delivery(webhook)).await
    }

    /// A delivery, to be sent.
    pub fn delivery(&self, webhook: &Webhook) -> RequestBuilder {
        let mut request = self
            .http
            .post(format!("{}/webhook", self.url))
            .header("Content-Type", "application/json")
            .header("X-GitHub-Event", &webhook.event)
            .header("X-GitHub-Delivery", &webhook.delivery)
            .body(webhook.body.clone());
        if let Some((header, value)) = &webhook.signature {
            request = request.header(*header, value);
        }
        request
    }

    // Asking.

    /// Its address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// `GET` of a path.
    pub async fn get(&self, path: &str) -> Answered {
        send(self.request(path)).await
    }

    /// A `GET` of a path, to add to and to send.
    pub fn request(&self, path: &str) -> RequestBuilder {
        self.http.get(format!("{}{path}", self.url))
    }

    /// `POST` of JSON to a path.
    pub async fn post(&self, path: &str, body: &Value) -> Answered {
        send(self.http.post(format!("{}{path}", self.url)).json(body)).await
    }

    /// `DELETE` of a path.
    pub async fn delete(&self, path: &str) -> Answered {
        send(self.http.delete(format!("{}{path}", self.url))).await
    }

    /// The pipeline as the API has it.
    pub async fn pipeline(&self, id: u64) -> Value {
        let answer = self.get(&format!("/pipelines/{id}")).await;
        assert_eq!(answer.code, 200, "{}", answer.text());
        answer.json()
    }

    /// The job as the API has it.
    pub async fn job(&self, id: u64, name: &str) -> Value {
        let pipeline = self.pipeline(id).await;
        let mut jobs = pipeline["jobs"].as_array().into_iter().flatten();
        let found = jobs.find(|job| job["job_name"] == name).cloned();
        found.unwrap_or_else(|| panic!("no job {name} in {pipeline}"))
    }

    /// Waits for the pipeline's end; tells it and its jobs, a line each, with their reasons.
    pub async fn settled(&self, id: u64) -> String {
        let pipeline = until(&format!("pipeline {id} ends"), async || {
            let pipeline = self.pipeline(id).await;
            (!pipeline["end_time"].is_null()).then_some(pipeline)
        })
        .await;
        told(&pipeline)
    }

    /// Waits until the job has that status.
    pub async fn until_job(&self, id: u64, name: &str, status: &str) {
        until(&format!("job {name} is {status}"), async || {
            let pipeline = self.pipeline(id).await;
            assert!(
                pipeline["end_time"].is_null() || !["queued", "running"].contains(&status),
                "it has ended: {}",
                told(&pipeline)
            );
            let mut jobs = pipeline["jobs"].as_array().into_iter().flatten();
            jobs.any(|job| job["job_name"] == name && job["status"] == status)
                .then_some(())
        })
        .await;
    }

    /// Waits until the job's log has that text; the log.
    pub async fn until_log(&self, id: u64, name: &str, text: &str) -> String {
        until(&format!("the log of {name} has {text:?}"), async || {
            let pipeline = self.pipeline(id).await;
            let mut jobs = pipeline["jobs"].as_array().into_iter().flatten();
            let job = jobs.find(|job| job["job_name"] == name)?;
            let path = format!("/pipelines/{id}/jobs/{}/log", job["id"]);
            Some(self.get(&path).await.text()).filter(|log| log.contains(text))
        })
        .await
    }

    /// The job's log.
    pub async fn log(&self, id: u64, name: &str) -> String {
        let log = self.log_bytes(id, name).await;
        String::from_utf8(log).expect("the log is text")
    }

    /// The job's log, whatever it is.
    pub async fn log_bytes(&self, id: u64, name: &str) -> Vec<u8> {
        let path = self.log_path(id, name).await;
        let answer = self.get(&path).await;
        assert_eq!(answer.code, 200, "{}", answer.text());
        answer.body
    }

    /// Where the job's log is found.
    pub async fn log_path(&self, id: u64, name: &str) -> String {
        format!(
            "/pipelines/{id}/jobs/{}/log",
            self.job(id, name).await["id"]
        )
    }

    /// Runs a command against the server.
    pub async fn cli(&self, args: &[&str]) -> Told {
        run(self.command(args)).await
    }

    /// Runs a command against the server, with that on its standard input.
    pub async fn cli_with(&self, args: &[&str], input: &str) -> Told {
        let path = self.home.path().join(format!("{}.in", unique()));
        fs::write(&path, input).expect("a file can be made");
        let stdin = File::open(&path).expect("the file can be read");
        run_with(self.command(args), stdin.into()).await
    }

    /// Runs a command on the server's machine, with that in its environment.
    pub async fn cli_set(&self, settings: &[(&str, &str)], args: &[&str]) -> Told {
        let mut command = self.command(args);
        command.envs(settings.iter().copied());
        run(command).await
    }

    /// Starts a command against the server, which may be stopped and started meanwhile. What it tells
    /// is written to a file as it comes.
    pub fn start_cli(&self, args: &[&str]) -> Running {
        let name = unique();
        let at = |end: &str| self.home.path().join(format!("{name}.{end}"));
        let (stdout, stderr) = (at("out"), at("err"));
        let file = |path: &Path| File::create(path).expect("a file can be made");
        let child = tokio::process::Command::from(self.command(args))
            .stdin(Stdio::null())
            .stdout(file(&stdout))
            .stderr(file(&stderr))
            .kill_on_drop(true)
            .spawn()
            .expect("popsicle starts");
        Running {
            child,
            stdout,
            stderr,
        }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(popsicle());
        clean(&mut command, self.home.path());
        command.args(args).env("POPSICLE_SERVER_URL", &self.url);
        command
    }

    /// Waits until nothing is left of the jobs that ran: no folder, no container, no mount.
    pub async fn until_clean(&self) {
        until("the jobs' folders are gone", async || {
            self.job_folders().is_empty().then_some(())
        })
        .await;
        let mounts = traces::mounts_below(&self.jobs_folder());
        assert!(mounts.is_empty(), "still mounted: {mounts:?}");
        let shims = traces::processes_with(&self.home.path().display().to_string());
        assert!(
            shims.iter().all(|line| !line.contains(" shim ")),
            "still there: {shims:?}"
        );
        if self.uses_docker {
            until("the containers are gone", async || {
                docker::containers(&self.namespace).is_empty().then_some(())
            })
            .await;
        }
    }
}

impl Drop for Ci {
    fn drop(&mut self) {
        if let Some(mut server) = self.server.take() {
            let _ = server.kill();
            let _ = server.wait();
        }
        traces::end_processes_of(self.home.path());
        traces::remove_groups(&self.jobs_folder());
        if self.uses_docker {
            docker::end_containers(&self.namespace);
        }
        if std::thread::panicking() {
            eprintln!("--- the server said:\n{}---", self.server_log());
        }
    }
}

/// A command that runs. Ends with this value.
#[derive(Debug)]
pub struct Running {
    child: tokio::process::Child,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Running {
    /// Waits until it has told that.
    pub async fn until_it_tells(&self, text: &str) {
        until(&format!("it tells {text:?}"), async || {
            read(&self.stdout).contains(text).then_some(())
        })
        .await;
    }

    /// Waits until it has said that beside its result; all that it has said.
    pub async fn until_it_says(&self, text: &str) -> String {
        until(&format!("it says {text:?}"), async || {
            Some(read(&self.stderr)).filter(|said| said.contains(text))
        })
        .await
    }

    /// Asks it to end: `SIGTERM`.
    pub fn terminate(&self) {
        let pid = self.child.id().and_then(|pid| i32::try_from(pid).ok());
        let pid = pid.and_then(Pid::from_raw).expect("the command runs");
        rustix::process::kill_process(pid, Signal::TERM).expect("the command can be told to end");
    }

    /// Waits for its end.
    pub async fn told(mut self) -> Told {
        let status = tokio::time::timeout(super::wait::PATIENCE, self.child.wait())
            .await
            .expect("commands end")
            .expect("the command is ours");
        Told {
            code: status.code(),
            stdout: read(&self.stdout),
            stderr: read(&self.stderr),
        }
    }
}

fn read(path: &Path) -> String {
    let bytes = fs::read(path).expect("the file can be read");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Runs a command without a server, in that folder.
pub async fn cli_in(folder: &Path, args: &[&str]) -> Told {
    let mut command = Command::new(popsicle());
    clean(&mut command, folder);
    command.args(args);
    run(command).await
}

/// A pipeline and its jobs, a line each: how they ended and why.
fn told(pipeline: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let because = |value: &Value| match value["reason"].as_str() {
        Some(reason) => format!("  ({reason})"),
        None => String::new(),
    };
    let jobs = pipeline["jobs"].as_array().cloned().unwrap_or_default();
    let workflow = |job: &Value| text(&job["workflow"]);
    let is_one = jobs.iter().all(|job| workflow(job) == workflow(&jobs[0]));
    let name = |job: &Value| {
        let name = text(&job["job_name"]);
        if is_one {
            name
        } else {
            format!("{}/{name}", workflow(job))
        }
    };
    let width = jobs
        .iter()
        .map(|job| name(job).len())
        .max()
        .unwrap_or_default();
    let reason = if jobs.is_empty() {
        because(pipeline)
    } else {
        String::new()
    };
    let mut lines = vec![format!("pipeline {}{reason}", text(&pipeline["status"]))];
    for job in &jobs {
        lines.push(format!(
            "  {:width$}  {}{}",
            name(job),
            text(&job["status"]),
            because(job)
        ));
    }
    lines.join("\n")
}

/// Nothing of the environment that the stories run in must matter to what they start.
fn clean(command: &mut Command, home: &Path) {
    command.env_clear().current_dir(home).env("HOME", home);
    for kept in ["PATH", "TMPDIR", "DOCKER_HOST", "LD_LIBRARY_PATH"] {
        if let Some(value) = std::env::var_os(kept) {
            command.env(kept, value);
        }
    }
}

async fn run(command: Command) -> Told {
    run_with(command, Stdio::null()).await
}

async fn run_with(command: Command, stdin: Stdio) -> Told {
    let mut command = tokio::process::Command::from(command);
    let output = command.stdin(stdin).kill_on_drop(true).output();
    tokio::time::timeout(super::wait::PATIENCE, output)
        .await
        .expect("commands end")
        .expect("popsicle starts")
        .into()
}

async fn send(request: RequestBuilder) -> Answered {
    Answered::read(request.send().await.expect("the server answers")).await
}

fn http() -> reqwest::Client {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        // Only fails if there is one already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
    reqwest::Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(60))
        .build()
        .expect("a client can be made")
}

/// A port that nobody listens on, below those that the system gives to whoever asks for any: it must
/// still be free when a server is started again.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let base = 12_000 + u16::try_from(std::process::id() % 180).unwrap_or_default() * 100;
    loop {
        let port = base + NEXT.fetch_add(1, Ordering::Relaxed);
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}
