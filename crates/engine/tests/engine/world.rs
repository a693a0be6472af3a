//! A small world: one engine over a folder, on a clock of its own.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use engine::{Engine, EngineSettings, EngineTasks, Parts, World};
use executor::Executor;
use model::{JobUuid, Origin, PipelineId, Status, Timestamp, Trigger, TriggerKind};
use source::{Source, SourceSettings};
use sqlx::Connection;
use store::{Job, Keyring, Logs, Store};
use tempfile::TempDir;

use super::actor::{Actor, Stage};
use super::forge::Listener;

/// What secrets are encrypted with at first.
const KEY: &str = "0123456789abcdef0123456789abcdef";

/// How long anything may take that a test waits for.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A clock that stands still, and numbers that count.
#[derive(Debug, Default)]
pub struct TestWorld {
    now_ms: AtomicI64,
    next: AtomicU64,
}

impl TestWorld {
    pub fn advance(&self, by: Duration) {
        self.now_ms
            .fetch_add(i64::try_from(by.as_millis()).unwrap(), Ordering::SeqCst);
    }
}

impl World for TestWorld {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_717_243_200_000 + self.now_ms.load(Ordering::SeqCst))
    }

    fn uuid(&self) -> JobUuid {
        let number = self.next.fetch_add(1, Ordering::SeqCst);
        JobUuid(uuid::Uuid::from_u64_pair(7, number))
    }
}

pub struct Ci {
    pub dir: TempDir,
    pub stage: Stage,
    pub forge: Listener,
    pub world: Arc<TestWorld>,
    pub engine: Engine,
    /// What secrets are encrypted with from the next start on; nothing if it is empty.
    pub key: &'static str,
    tasks: Option<EngineTasks>,
    tweak: fn(&mut EngineSettings),
}

impl Ci {
    pub async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub async fn start_with(tweak: fn(&mut EngineSettings)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (stage, world) = (Stage::default(), Arc::new(TestWorld::default()));
        let forge = Listener::new(world.clone());
        let actor = Arc::new(Actor(stage.clone()));
        let (engine, tasks) = start(&dir, actor, &forge, &world, KEY, tweak).await;
        Self {
            dir,
            stage,
            forge,
            world,
            engine,
            key: KEY,
            tasks: Some(tasks),
            tweak,
        }
    }

    /// Stops the engine; what it launched stays on the stage.
    pub async fn stop(&mut self) {
        if let Some(tasks) = self.tasks.take() {
            tasks.stop().await;
            self.engine.store().close().await;
        }
    }

    /// Lets the engine finish; nothing of its jobs is to be left.
    pub async fn finish(&mut self, patience: Duration) {
        if let Some(tasks) = self.tasks.take() {
            tasks.finish(tokio::time::sleep(patience)).await;
        }
    }

    /// Holds the database, as another program may, until the guard is dropped.
    pub async fn hold_database(&self) -> sqlx::SqliteConnection {
        hold_database(&self.dir).await
    }

    /// A new engine over what the old one left.
    pub async fn restart(&mut self) {
        self.stop().await;
        let (forge, world) = (&self.forge, &self.world);
        let actor = Arc::new(Actor(self.stage.clone()));
        let started = start(&self.dir, actor, forge, world, self.key, self.tweak);
        let (engine, tasks) = started.await;
        self.engine = engine;
        self.tasks = Some(tasks);
    }

    /// Makes a pipeline of a folder with that config.
    pub async fn push(&self, config: &str) -> PipelineId {
        let path = self.folder(config);
        self.engine.submit(trigger(path)).await.unwrap().id
    }

    pub fn folder(&self, config: &str) -> PathBuf {
        let folder = tempfile::Builder::new()
            .prefix("project")
            .tempdir_in(self.dir.path())
            .unwrap()
            .keep();
        std::fs::create_dir(folder.join(".popsicle")).unwrap();
        std::fs::write(folder.join(".popsicle/ci.yml"), config).unwrap();
        folder
    }

    /// Waits until the pipeline is as wanted; its jobs, a line each.
    pub async fn until(&self, id: PipelineId, wanted: impl Fn(Status, &[Job]) -> bool) -> String {
        let mut events = self.engine.feed().events();
        let waited = tokio::time::timeout(PATIENCE, async {
            loop {
                let status = self.engine.store().pipeline(id).await.unwrap().status;
                let jobs = self.engine.store().jobs_of(id).await.unwrap();
                if wanted(status, &jobs) {
                    return render(&jobs);
                }
                // Lagging is a reason to look again, as an event is.
                let _ = events.recv().await;
            }
        });
        waited.await.expect("the pipeline gets there in time")
    }

    /// Waits until the pipeline has ended.
    pub async fn settled(&self, id: PipelineId) -> String {
        self.until(id, |status, _| status.is_ended()).await
    }

    /// Waits until that job runs.
    pub async fn running(&self, id: PipelineId, name: &str) -> Job {
        self.until(id, |_, jobs| status_of(jobs, name) == Some(Status::Running))
            .await;
        self.job(id, name).await
    }

    /// Waits until that job runs in a container of its own.
    pub async fn launched(&self, id: PipelineId, name: &str) -> Job {
        let job = self.running(id, name).await;
        // Who runs it is stored before, or the next engine would start it again.
        self.until_true(|| self.stage.holds(name)).await;
        job
    }

    pub async fn job(&self, id: PipelineId, name: &str) -> Job {
        let jobs = self.engine.store().jobs_of(id).await.unwrap();
        jobs.into_iter().find(|job| job.name == name).unwrap()
    }

    pub async fn status(&self, id: PipelineId) -> Status {
        self.engine.store().pipeline(id).await.unwrap().status
    }

    /// All of a job's log, followed to its end.
    pub async fn log(&self, job: &Job) -> String {
        let mut follow = self.engine.follow(job.id, 0).await.unwrap();
        let mut text = Vec::new();
        while let Some(bytes) = tokio::time::timeout(PATIENCE, follow.next())
            .await
            .unwrap()
            .unwrap()
        {
            text.extend_from_slice(&bytes);
        }
        String::from_utf8(text).unwrap()
    }

    /// The folder of the only attempt.
    pub fn job_folder(&self) -> PathBuf {
        let mut folders = std::fs::read_dir(self.dir.path().join("jobs")).unwrap();
        folders.next().unwrap().unwrap().path()
    }

    /// Waits until that holds.
    pub async fn until_true(&self, holds: impl Fn() -> bool) {
        let waited = tokio::time::timeout(PATIENCE, async {
            while !holds() {
                tokio::task::yield_now().await;
            }
        });
        waited.await.expect("it holds in time");
    }

    /// Waits until nothing is left of any job.
    pub async fn swept(&self) {
        let swept = tokio::time::timeout(PATIENCE, async {
            loop {
                let folders = std::fs::read_dir(self.dir.path().join("jobs"))
                    .into_iter()
                    .flatten();
                if self.stage.held() == 0 && folders.count() == 0 {
                    return;
                }
                tokio::task::yield_now().await;
            }
        });
        swept.await.expect("nothing is left in time");
    }
}

pub fn trigger(path: PathBuf) -> Trigger {
    Trigger {
        kind: TriggerKind::Local,
        repo: "octo/repo".parse().unwrap(),
        origin: Origin::Folder { path },
        commit: None,
        git_ref: None,
        base: None,
        author: None,
        message: None,
        pull_request: None,
        rerun: None,
        forge: None,
        parameters: std::collections::BTreeMap::new(),
        delivery: None,
    }
}

pub fn status_of(jobs: &[Job], name: &str) -> Option<Status> {
    jobs.iter()
        .find(|job| job.name == name)
        .map(|job| job.state.status())
}

/// Holds that folder's database, as another program may, until the guard is dropped.
pub async fn hold_database(dir: &TempDir) -> sqlx::SqliteConnection {
    let path = dir.path().join("popsicle.db");
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path);
    let mut connection = sqlx::SqliteConnection::connect_with(&options)
        .await
        .unwrap();
    sqlx::query("BEGIN IMMEDIATE")
        .execute(&mut connection)
        .await
        .unwrap();
    connection
}

/// An engine over what is in that folder.
pub async fn start(
    dir: &TempDir,
    executor: Arc<dyn Executor>,
    forge: &Listener,
    world: &Arc<TestWorld>,
    key: &str,
    tweak: fn(&mut EngineSettings),
) -> (Engine, EngineTasks) {
    let database = dir.path().join("popsicle.db").display().to_string();
    let mut settings = EngineSettings::new(dir.path().join("jobs"));
    settings.max_jobs = 4;
    tweak(&mut settings);
    let parts = Parts {
        store: Store::open(&database).await.unwrap(),
        logs: Logs::new(dir.path().join("logs")),
        keys: Keyring::parse(key).unwrap_or_default(),
        blobs: store::Blobs::new(dir.path().join("blobs")),
        source: Source::new(SourceSettings::new(dir.path().join("mirrors"))),
        forges: vec![Arc::new(forge.clone())],
        executors: vec![executor],
        world: world.clone(),
        settings,
    };
    Engine::start(parts).await.unwrap()
}

fn render(jobs: &[Job]) -> String {
    let lines = jobs.iter().map(|job| {
        let reason = job.state.outcome().and_then(model::Outcome::reason);
        let reason = reason.map_or_else(String::new, |reason| format!(": {reason}"));
        format!("{} {}{reason}\n", job.name, job.state.status())
    });
    lines.collect()
}
