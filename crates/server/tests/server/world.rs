//! A small world: a server with all that is below it, a repository to push from, and an executor
//! that runs jobs as plain processes of this machine.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use engine::{Engine, EngineSettings, EngineTasks, SystemWorld};
use forge::{Forge, Github, GithubSettings, Secret};
use model::{PipelineId, Status};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use server::{Parts, ServerSettings};
use source::{HostedSettings, Source, SourceSettings};
use store::{Keyring, Logs, Store};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::processes::Processes;

/// No wait in a test is longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) const REPO: &str = "octo/repo";
const SECRET: &str = "It's a Secret to Everybody";

/// A server, and who talks to it.
pub(crate) struct Ci {
    pub(crate) address: SocketAddr,
    pub(crate) engine: Engine,
    pub(crate) stop: CancellationToken,
    pub(crate) serving: JoinHandle<std::io::Result<()>>,
    http: reqwest::Client,
    pub(crate) folder: TempDir,
    tasks: Mutex<Option<EngineTasks>>,
}

impl Ci {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| ()).await
    }

    /// Starts with settings that differ from the defaults.
    pub(crate) async fn start_with(change: impl FnOnce(&mut ServerSettings)) -> Self {
        // Already there, if another test was first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let github = Github::new(GithubSettings::new(Secret::new(SECRET))).unwrap();
        let forges: Vec<Arc<dyn Forge>> = vec![Arc::new(github)];
        let mut settings = EngineSettings::new(at("jobs"));
        settings.max_jobs = 4;
        let (engine, tasks) = Engine::start(engine::Parts {
            store: Store::open(&format!("sqlite:{}", at("popsicle.db").display()))
                .await
                .unwrap(),
            logs: Logs::new(at("logs")),
            keys: Keyring::parse(&"0123456789abcdef".repeat(2)).unwrap(),
            blobs: store::Blobs::new(at("blobs")),
            source: Source::new(SourceSettings {
                mirrors: at("mirrors"),
                credentials: Vec::new(),
                fetch_timeout: PATIENCE,
            })
            .hosting(HostedSettings {
                root: at("repos"),
                hook: vec!["/bin/true".into()],
            }),
            forges: forges.clone(),
            executors: vec![Arc::new(Processes::default())],
            world: Arc::new(SystemWorld),
            settings,
        })
        .await
        .unwrap();

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let mut settings = ServerSettings::default();
        change(&mut settings);
        let router = server::router(Parts {
            engine: engine.clone(),
            forges,
            settings,
            world: Arc::new(SystemWorld),
            metrics: None,
            stop: stop.clone(),
        });
        let serving = tokio::spawn(server::serve(listener, router, stop.clone()));
        let http = reqwest::Client::builder()
            .timeout(PATIENCE)
            .no_proxy()
            .build()
            .unwrap();
        Self {
            address,
            engine,
            stop,
            serving,
            http,
            folder,
            tasks: Mutex::new(Some(tasks)),
        }
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http
            .request(method, format!("http://{}{path}", self.address))
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        Answer::of(self.request(Method::GET, path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        Answer::of(self.request(Method::POST, path).json(body)).await
    }

    pub(crate) async fn send(&self, method: Method, path: &str) -> Answer {
        Answer::of(self.request(method, path)).await
    }

    /// Commits a config, and says where it is.
    pub(crate) fn commit(&self, config: &str) -> Commit {
        let folder = self.folder.path().join("origin");
        if !folder.exists() {
            fs::create_dir(&folder).unwrap();
            git(&folder, &["init", "--quiet", "--initial-branch=main"]);
        }
        fs::create_dir_all(folder.join(".popsicle")).unwrap();
        fs::write(folder.join(".popsicle/ci.yml"), config).unwrap();
        git(&folder, &["add", "."]);
        git(
            &folder,
            &["commit", "--quiet", "--allow-empty", "--message=Say hello"],
        );
        Commit {
            sha: git(&folder, &["rev-parse", "HEAD"]).trim().to_owned(),
            url: format!("file://{}", folder.display()),
        }
    }

    /// A push as GitHub sends it, without its signature.
    pub(crate) fn push_of(commit: &Commit) -> Value {
        json!({
            "ref": "refs/heads/main",
            "before": "0".repeat(40),
            "after": commit.sha,
            "deleted": false,
            "head_commit": {
                "id": commit.sha,
                "message": "Say hello",
                "author": {"username": "octocat"},
            },
            "pusher": {"name": "octocat"},
            "repository": {"full_name": REPO, "clone_url": commit.url},
        })
    }

    /// A delivery as GitHub sends it, signed.
    pub(crate) fn delivery(&self, event: &str, body: &[u8]) -> RequestBuilder {
        self.request(Method::POST, "/webhook")
            .header("X-GitHub-Event", event)
            .header("X-Hub-Signature-256", sign(body))
            .header("Content-Type", "application/json")
            .body(body.to_vec())
    }

    /// Pushes a config, and gives the pipeline's number.
    pub(crate) async fn push(&self, config: &str) -> PipelineId {
        let body = Self::push_of(&self.commit(config)).to_string();
        let answer = Answer::of(self.delivery("push", body.as_bytes())).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        PipelineId(answer.json()["pipeline_id"].as_i64().unwrap())
    }

    /// A pipeline that failed at once, since its code is nowhere.
    pub(crate) async fn push_nothing(&self) -> PipelineId {
        let body = Self::push_of(&nowhere()).to_string();
        let answer = Answer::of(self.delivery("push", body.as_bytes())).await;
        let pipeline = PipelineId(answer.json()["pipeline_id"].as_i64().unwrap());
        self.until(pipeline, Status::is_ended).await;
        pipeline
    }

    /// Waits until a pipeline has such a status, and gives the status.
    pub(crate) async fn until(&self, pipeline: PipelineId, so: impl Fn(Status) -> bool) -> Status {
        let mut events = self.engine.feed().events();
        let wait = async {
            loop {
                let status = self.engine.store().pipeline(pipeline).await.unwrap().status;
                if so(status) {
                    return status;
                }
                events.recv().await.unwrap();
            }
        };
        tokio::time::timeout(PATIENCE, wait)
            .await
            .expect("the status comes in time")
    }

    /// Pushes a config and waits for its success.
    pub(crate) async fn run(&self, config: &str) -> PipelineId {
        let pipeline = self.push(config).await;
        let status = self.until(pipeline, Status::is_ended).await;
        let detail = self.get(&format!("/pipelines/{pipeline}")).await;
        assert_eq!(status, Status::Success, "{}", detail.text);
        pipeline
    }

    /// Ends the engine, while the server goes on.
    pub(crate) async fn stop_engine(&self) {
        let tasks = self.tasks.lock().await.take();
        tasks.expect("the engine is stopped once").stop().await;
    }

    /// The last job of a pipeline, once it has any.
    pub(crate) async fn job(&self, pipeline: PipelineId) -> store::Job {
        let mut events = self.engine.feed().events();
        let wait = async {
            loop {
                let mut jobs = self.engine.store().jobs_of(pipeline).await.unwrap();
                if let Some(job) = jobs.pop() {
                    return job;
                }
                events.recv().await.unwrap();
            }
        };
        tokio::time::timeout(PATIENCE, wait)
            .await
            .expect("the job comes in time")
    }

    /// A gate that a job can wait at, with `cat <path>`.
    pub(crate) fn gate(&self, name: &str) -> Gate {
        let path = self.folder.path().join(name);
        let made = Command::new("mkfifo").arg(&path).status().unwrap();
        assert!(made.success());
        Gate { path }
    }
}

/// Lets a job wait until the test says so.
pub(crate) struct Gate {
    pub(crate) path: PathBuf,
}

impl Gate {
    /// Waits until the job is there, and lets it go on.
    pub(crate) async fn open(&self) {
        let path = self.path.clone();
        let opened = tokio::task::spawn_blocking(move || fs::write(path, "").unwrap());
        tokio::time::timeout(PATIENCE, opened)
            .await
            .expect("the job comes in time")
            .unwrap();
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        // A job that waits still would wait for ever. `O_NONBLOCK`: where none does, this fails.
        const NONBLOCK: i32 = 0o4000;
        let _ = fs::File::options()
            .write(true)
            .custom_flags(NONBLOCK)
            .open(&self.path);
    }
}

/// A commit of the repository that is pushed from.
#[derive(Clone, Debug)]
pub(crate) struct Commit {
    pub(crate) sha: String,
    pub(crate) url: String,
}

/// A commit that can't be fetched.
pub(crate) fn nowhere() -> Commit {
    Commit {
        sha: "a1b2c3d4e5a1b2c3d4e5a1b2c3d4e5a1b2c3d4e5".to_owned(),
        url: "file:///nonexistent/repo.git".to_owned(),
    }
}

/// A pipeline of one job with one step.
pub(crate) fn one_job(command: &str) -> String {
    many_steps(&[command])
}

/// A pipeline of one job.
pub(crate) fn many_steps(commands: &[&str]) -> String {
    let steps: Vec<Value> = commands
        .iter()
        .map(|command| json!({"run": command}))
        .collect();
    json!({
        "version": 2.1,
        "jobs": {"build": {"machine": true, "steps": steps}},
    })
    .to_string()
}

pub(crate) fn sign(body: &[u8]) -> String {
    forge::github::sign(&Secret::new(SECRET), body)
}

/// What the server answered, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) async fn of(request: RequestBuilder) -> Self {
        Self::read(request.send().await.unwrap()).await
    }

    pub(crate) async fn read(response: Response) -> Self {
        Self {
            status: response.status(),
            headers: response.headers().clone(),
            text: response.text().await.unwrap(),
        }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// Checks that it is an error as the contract has them, and that its message names something.
    #[track_caller]
    pub(crate) fn refuses(&self, status: u16, names: &str) {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        let error: api::ErrorBody = serde_json::from_str(&self.text)
            .unwrap_or_else(|why| panic!("not an error's JSON ({why}): {}", self.text));
        assert!(!error.error.code.is_empty());
        assert!(
            error.error.message.contains(names),
            "{:?} not in {:?}",
            names,
            error.error
        );
    }
}

/// Reads a stream in its pieces, each within a bound.
pub(crate) struct Pieces {
    response: Response,
    /// What came and was not asked for yet.
    ahead: String,
}

impl Pieces {
    pub(crate) async fn of(request: RequestBuilder) -> Self {
        Self::from(request.send().await.unwrap())
    }

    pub(crate) fn from(response: Response) -> Self {
        assert_eq!(response.status(), StatusCode::OK);
        Self {
            response,
            ahead: String::new(),
        }
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.response
            .headers()
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// All up to and with that text.
    pub(crate) async fn up_to(&mut self, text: &str) -> String {
        let read = async {
            loop {
                if let Some(at) = self.ahead.find(text) {
                    let rest = self.ahead.split_off(at + text.len());
                    return std::mem::replace(&mut self.ahead, rest);
                }
                let bytes = self.response.chunk().await.unwrap();
                let bytes =
                    bytes.unwrap_or_else(|| panic!("ended before {text:?}: {}", self.ahead));
                self.ahead.push_str(std::str::from_utf8(&bytes).unwrap());
            }
        };
        tokio::time::timeout(PATIENCE, read)
            .await
            .unwrap_or_else(|_| panic!("{text:?} does not come"))
    }

    /// All that is left, where it does not end but breaks off.
    pub(crate) async fn until_it_breaks(mut self) -> String {
        let read = async {
            loop {
                match self.response.chunk().await {
                    Ok(Some(bytes)) => self.ahead.push_str(std::str::from_utf8(&bytes).unwrap()),
                    Ok(None) => panic!("it looks whole: {}", self.ahead),
                    Err(_) => return self.ahead,
                }
            }
        };
        tokio::time::timeout(PATIENCE, read)
            .await
            .expect("the stream breaks off in time")
    }

    /// All that is left, to the end.
    pub(crate) async fn rest(mut self) -> String {
        let read = async {
            while let Some(bytes) = self.response.chunk().await.unwrap() {
                self.ahead.push_str(std::str::from_utf8(&bytes).unwrap());
            }
            self.ahead
        };
        tokio::time::timeout(PATIENCE, read)
            .await
            .expect("the stream ends in time")
    }
}

/// What git says on its output; its last words where it fails.
pub(crate) fn try_git(folder: &Path, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new("git")
        .current_dir(folder)
        .args([
            "-c",
            "user.name=Octo Cat",
            "-c",
            "user.email=octo@example.com",
        ])
        .args(arguments)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_TERMINAL_PROMPT", "0")
        .output()
        .unwrap();
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    Ok(String::from_utf8(output.stdout).unwrap())
}

pub(crate) fn git(folder: &Path, arguments: &[&str]) -> String {
    try_git(folder, arguments).unwrap_or_else(|said| panic!("git {arguments:?}: {said}"))
}
