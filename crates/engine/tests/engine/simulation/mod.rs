//! Random histories of the engine: pipelines of all shapes, people who cancel, approve and retry, containers
//! that vanish, executors that fail, a database that others hold, and servers that are killed in the midst
//! of it. Whatever happened, in the end everything has ended as its containers say.
//!
//! What a history does follows from its seed; in which order the threads of the database and of the files
//! come does not. A failure tells its seed: `POPSICLE_SEED=7 cargo test -p engine simulation` runs it again.
//! `POPSICLE_HISTORIES=100000` runs more than usual.

mod checks;
mod player;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use engine::{Engine, EngineTasks, World};
use fastrand::Rng;
use model::{ForgeKind, JobId, PipelineId, RerunFrom, Status};
use tempfile::TempDir;

use super::forge::Listener;
use super::world::{PATIENCE, TestWorld, hold_database, start, trigger};
use player::{Players, Troupe};

/// How many pipelines one world has, each a history of its own.
const PIPELINES: u64 = 25;

/// How many worlds go on at once: most of the time each waits for something.
const THREADS: u32 = 6;

/// One world, of which everything follows from a seed.
struct Simulation {
    rng: Rng,
    dir: TempDir,
    players: Arc<Players>,
    forge: Listener,
    world: Arc<TestWorld>,
    engine: Engine,
    tasks: Option<EngineTasks>,
    /// What somebody was told is stored, with the commit's project.
    stored: Vec<(PipelineId, String)>,
    submitted: u64,
}

impl Simulation {
    async fn new(seed: u64) -> Self {
        // Nothing here depends on a disk, and much waits for one.
        let memory = Path::new("/dev/shm");
        let dir = match memory.is_dir() {
            true => tempfile::tempdir_in(memory),
            false => tempfile::tempdir(),
        };
        let dir = dir.unwrap();
        let (players, world) = (Players::new(seed), Arc::new(TestWorld::default()));
        let forge = Listener::new(Arc::clone(&world));
        let (engine, tasks) = serve(&dir, &players, &forge, &world).await;
        Self {
            rng: Rng::with_seed(seed),
            dir,
            players,
            forge,
            world,
            engine,
            tasks: Some(tasks),
            stored: Vec::new(),
            submitted: 0,
        }
    }

    /// All that happens until every pipeline is there.
    async fn go_on(&mut self) {
        while self.submitted < PIPELINES {
            match self.rng.u32(..100) {
                0..40 => self.submit().await,
                40..50 => self.cancel().await,
                50..56 => self.retry().await,
                56..60 => self.rerun().await,
                60..75 => self.approve_some().await,
                75..80 => self.crash().await,
                80..82 => self.restart().await,
                82..85 => self.outage().await,
                85..90 => self.world.advance(Duration::from_secs(self.rng.u64(..60))),
                _ => tokio::time::sleep(Duration::from_millis(self.rng.u64(..4))).await,
            }
        }
    }

    /// Nothing fails from now on: everything comes to its end.
    async fn end(&mut self) {
        self.players.calm();
        self.crash().await;
        let ended = tokio::time::timeout(PATIENCE, async {
            for (id, _) in self.stored.clone() {
                while !self.status(id).await.is_ended() {
                    self.approve(id).await;
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
        });
        assert!(ended.await.is_ok(), "{}", self.unfinished().await);
        let swept = tokio::time::timeout(PATIENCE, async {
            while self.players.held() > 0 || self.folders() > 0 {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        });
        let left = swept.await.is_err();
        let (held, folders) = (self.players.held(), self.folders());
        assert!(!left, "{held} containers and {folders} folders are left");
    }

    async fn unfinished(&self) -> String {
        let mut text = "not ended:\n".to_owned();
        for (id, _) in &self.stored {
            if !self.status(*id).await.is_ended() {
                for job in self.engine.store().jobs_of(*id).await.unwrap() {
                    text += &format!("{id} {} {:?}\n", job.name, job.state);
                }
            }
        }
        text
    }

    fn folders(&self) -> usize {
        let folders = std::fs::read_dir(self.dir.path().join("jobs"));
        folders.map_or(0, Iterator::count)
    }

    async fn submit(&mut self) {
        self.submitted += 1;
        let repo = format!("octo/{}", self.submitted);
        let folder = self.dir.path().join(format!("project{}", self.submitted));
        std::fs::create_dir_all(folder.join(".popsicle")).unwrap();
        std::fs::write(folder.join(".popsicle/ci.yml"), config(&mut self.rng)).unwrap();
        let mut trigger = trigger(folder);
        trigger.repo = repo.parse().unwrap();
        trigger.commit = Some(format!("{:040x}", self.submitted).parse().unwrap());
        trigger.forge = Some(ForgeKind::Github);
        if self.rng.u32(..12) == 0 {
            // The server is killed while it receives: who was told nothing is owed nothing.
            let engine = self.engine.clone();
            let submitting = tokio::spawn(async move { engine.submit(trigger).await });
            self.crash().await;
            if let Ok(Ok(created)) = submitting.await {
                self.stored.push((created.id, repo));
            }
        } else if let Ok(created) = self.engine.submit(trigger).await {
            self.stored.push((created.id, repo));
        }
    }

    fn any_pipeline(&mut self) -> Option<(PipelineId, String)> {
        self.rng.choice(&self.stored).cloned()
    }

    async fn any_job(&mut self, status: impl Fn(Status) -> bool) -> Option<JobId> {
        let (id, _) = self.any_pipeline()?;
        let jobs = self.engine.store().jobs_of(id).await.unwrap();
        let fitting = jobs.iter().filter(|job| status(job.state.status()));
        let fitting: Vec<JobId> = fitting.map(|job| job.id).collect();
        self.rng.choice(fitting)
    }

    // What is asked for may come too late or too early; then it is refused, and nothing more.

    async fn cancel(&mut self) {
        if self.rng.bool() {
            if let Some((id, _)) = self.any_pipeline() {
                let _refused = self.engine.cancel(id, None).await;
            }
        } else if let Some(job) = self.any_job(|status| !status.is_ended()).await {
            let _refused = self.engine.cancel_job(job, None).await;
        }
    }

    async fn retry(&mut self) {
        if let Some(job) = self.any_job(Status::is_ended).await {
            let _refused = self.engine.retry(job, None).await;
        }
    }

    async fn rerun(&mut self) {
        if let Some((id, repo)) = self.any_pipeline() {
            let from = if self.rng.bool() {
                RerunFrom::Failed
            } else {
                RerunFrom::Start
            };
            if let Ok(created) = self.engine.rerun(id, from, None).await {
                self.stored.push((created.id, repo));
            }
        }
    }

    async fn approve_some(&mut self) {
        for _ in 0..3 {
            if let Some((id, _)) = self.any_pipeline() {
                self.approve(id).await;
            }
        }
    }

    async fn approve(&self, id: PipelineId) {
        for job in self.engine.store().jobs_of(id).await.unwrap() {
            if job.state.status() == Status::OnHold {
                let _refused = self.engine.approve(job.id, None).await;
            }
        }
    }

    async fn status(&self, id: PipelineId) -> Status {
        self.engine.store().pipeline(id).await.unwrap().status
    }

    /// As after `kill -9`: every future of the engine ends where it is.
    async fn crash(&mut self) {
        drop(self.tasks.take());
        self.begin_again().await;
    }

    /// As after `SIGTERM`.
    async fn restart(&mut self) {
        if let Some(tasks) = self.tasks.take() {
            tasks.stop().await;
        }
        self.begin_again().await;
    }

    async fn begin_again(&mut self) {
        self.engine.store().close().await;
        let served = serve(&self.dir, &self.players, &self.forge, &self.world).await;
        self.engine = served.0;
        self.tasks = Some(served.1);
    }

    /// Somebody else holds the database for a while.
    async fn outage(&mut self) {
        let held = hold_database(&self.dir).await;
        tokio::time::sleep(Duration::from_millis(self.rng.u64(1..20))).await;
        drop(held);
    }
}

async fn serve(
    dir: &TempDir,
    players: &Arc<Players>,
    forge: &Listener,
    world: &Arc<TestWorld>,
) -> (Engine, EngineTasks) {
    let troupe = Arc::new(Troupe(Arc::clone(players)));
    let key = "0123456789abcdef0123456789abcdef";
    start(dir, troupe, forge, world, key, |settings| {
        settings.max_attempts = 3;
        settings.retry_pause = Duration::from_millis(2);
        settings.reconcile_interval = Duration::from_millis(5);
    })
    .await
}

/// A config of up to six jobs in any order and of any kind.
fn config(rng: &mut Rng) -> String {
    let count = rng.usize(1..7);
    let mut text = "version: 2.1\njobs:\n".to_owned();
    for job in 0..count {
        text += &match rng.u32(..10) {
            0 => format!("  j{job}: {{type: approval}}\n"),
            1 => format!("  j{job}: {{type: no-op}}\n"),
            2 => format!("  j{job}: {{machine: true, retry: 1, steps: [run: a, run: b]}}\n"),
            _ => format!("  j{job}: {{machine: true, steps: [run: a, run: b]}}\n"),
        };
    }
    text += "workflows:\n  w:\n";
    match rng.u32(..10) {
        0 => text += "    concurrency: {group: g, cancel-in-progress: true}\n",
        1 => text += "    max_auto_reruns: 1\n",
        _ => {}
    }
    text += "    jobs:\n";
    for job in 0..count {
        let required: Vec<String> = (0..job)
            .filter_map(|other| match rng.u32(..24) {
                0 => Some(format!("j{other}: [failed, success]")),
                1 => Some(format!("j{other}: terminal")),
                2 => Some(format!("j{other}: [failed, canceled]")),
                3..8 => Some(format!("j{other}")),
                _ => None,
            })
            .collect();
        let group = match rng.u32(..12) {
            0 => ", serial-group: s",
            _ => "",
        };
        text += &format!(
            "      - j{job}: {{requires: [{}]{group}}}\n",
            required.join(", ")
        );
    }
    text
}

/// Tells of which seed it was, should it come to nothing.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "failed: POPSICLE_SEED={} cargo test -p engine simulation",
                self.0
            );
        }
    }
}

async fn simulate(seed: u64) -> u64 {
    let _seed = Seed(seed);
    let mut simulation = Simulation::new(seed).await;
    simulation.go_on().await;
    simulation.end().await;
    checks::check(&simulation).await;
    let histories = simulation.stored.len() as u64;
    if let Some(tasks) = simulation.tasks.take() {
        tasks.stop().await;
    }
    simulation.engine.store().close().await;
    histories
}

/// Worlds, one after another in each of some threads, until there are enough histories.
fn simulate_many(wanted: u64) {
    let first = TestWorld::default().now().as_millis().cast_unsigned();
    let (next, done) = (AtomicU64::new(first), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .unwrap();
                while done.load(Ordering::SeqCst) < wanted {
                    let seed = next.fetch_add(1, Ordering::SeqCst);
                    done.fetch_add(runtime.block_on(simulate(seed)), Ordering::SeqCst);
                }
            });
        }
    });
}

#[test]
fn random_histories_end_as_their_containers_say() {
    let number = |name: &str| Some(std::env::var(name).ok()?.parse::<u64>().unwrap());
    match number("POPSICLE_SEED") {
        Some(seed) => {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            runtime.block_on(simulate(seed));
        }
        None => {
            // All of them take minutes.
            let usual = if std::env::var_os("CI").is_some() {
                10_000
            } else {
                1_000
            };
            simulate_many(number("POPSICLE_HISTORIES").unwrap_or(usual));
        }
    }
}
