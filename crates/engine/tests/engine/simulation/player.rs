//! An executor whose containers do what a seed says, faults among it, and that notes all that is done to
//! them.

use std::collections::HashMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use executor::{Archive, Check, Executor, ExecutorError, Exit, JobDir, Launch, Place};
use fastrand::Rng;
use model::{AttemptKey, ImageSpec, JobUuid};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use super::super::actor::mark;

/// What becomes of one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Its steps run, and the last one of them ends with this code.
    Ends(i32),
    /// Its container is gone in the midst of it.
    Vanishes,
    /// It runs until it is stopped, or all is to come to an end.
    Stays,
    /// It can't be started, by the job's fault.
    Rejected,
    /// It can't be started, by the machine's.
    Unavailable,
}

impl Fate {
    /// What its last step ends with.
    fn code(self) -> i32 {
        match self {
            Self::Ends(code) => code,
            Self::Vanishes | Self::Stays | Self::Rejected | Self::Unavailable => 0,
        }
    }
}

/// What is known of one attempt.
#[derive(Clone, Debug, Default)]
pub struct Played {
    /// In the order of all that happened: when its container was made.
    pub launched: Option<u64>,
    /// When it ended by itself, and with what code.
    pub ended: Option<(u64, i32)>,
    /// What the steps wrote.
    pub text: String,
}

/// All containers; outlives engines, as containers do.
#[derive(Debug)]
pub struct Players {
    seed: u64,
    /// No more faults, and what stays ends.
    calm: watch::Sender<bool>,
    /// Whether what is asked may fail for now.
    shaky: AtomicBool,
    clock: AtomicU64,
    held: Mutex<HashMap<AttemptKey, Held>>,
    played: Mutex<HashMap<AttemptKey, Played>>,
    wrongs: Mutex<Vec<String>>,
}

#[derive(Debug)]
struct Held {
    exit: watch::Sender<Option<Result<Exit, ()>>>,
    _play: Option<AbortOnDropHandle<()>>,
}

impl Players {
    pub fn new(seed: u64) -> Arc<Self> {
        Arc::new(Self {
            seed,
            calm: watch::Sender::new(false),
            shaky: AtomicBool::new(true),
            clock: AtomicU64::new(1),
            held: Mutex::default(),
            played: Mutex::default(),
            wrongs: Mutex::default(),
        })
    }

    /// From now on nothing fails, and what stays ends.
    pub fn calm(&self) {
        self.shaky.store(false, Ordering::SeqCst);
        self.calm.send_replace(true);
    }

    pub fn held(&self) -> usize {
        self.held.lock().unwrap().len()
    }

    /// What is known of every attempt that was begun.
    pub fn played(&self) -> HashMap<AttemptKey, Played> {
        self.played.lock().unwrap().clone()
    }

    /// What must not happen and did.
    pub fn wrongs(&self) -> Vec<String> {
        self.wrongs.lock().unwrap().clone()
    }

    fn rng(&self, key: AttemptKey, salt: u64) -> Rng {
        let (high, low) = key.job.0.as_u64_pair();
        let attempt = u64::from(key.attempt);
        Rng::with_seed(
            self.seed ^ high.rotate_left(40) ^ low.rotate_left(20) ^ (attempt << 8) ^ salt,
        )
    }

    /// The same each time that it is asked.
    fn fate(&self, key: AttemptKey) -> Fate {
        match self.rng(key, 1).u32(..100) {
            0..60 => Fate::Ends(0),
            60..75 => Fate::Ends(1),
            75..83 => Fate::Vanishes,
            83..92 => Fate::Stays,
            92..95 => Fate::Rejected,
            _ => Fate::Unavailable,
        }
    }

    fn tick(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::SeqCst)
    }

    fn wrong(&self, what: String) {
        self.wrongs.lock().unwrap().push(what);
    }

    fn with<T>(&self, key: AttemptKey, note: impl FnOnce(&mut Played) -> T) -> T {
        note(self.played.lock().unwrap().entry(key).or_default())
    }

    /// Now and then what is asked of the machine fails.
    fn fails(&self) -> Result<(), ExecutorError> {
        if self.shaky.load(Ordering::SeqCst) && self.tick().is_multiple_of(17) {
            return Err(unavailable());
        }
        Ok(())
    }

    fn alive(&self, job: JobUuid) -> Vec<AttemptKey> {
        let held = self.held.lock().unwrap();
        let alive = held
            .iter()
            .filter(|(key, held)| key.job == job && held.exit.borrow().is_none());
        alive.map(|(key, _)| *key).collect()
    }
}

fn unavailable() -> ExecutorError {
    ExecutorError::Unavailable {
        what: "the players".to_owned(),
        cause: "they are on strike".to_owned(),
    }
}

async fn pause(rng: &mut Rng) {
    match rng.u32(..8) {
        0 => tokio::time::sleep(Duration::from_millis(rng.u64(1..4))).await,
        1..4 => tokio::task::yield_now().await,
        _ => {}
    }
}

/// The executor of these players.
#[derive(Clone, Debug)]
pub struct Troupe(pub Arc<Players>);

impl Troupe {
    /// Writes as a container does, wherever its server is.
    fn write(&self, dir: &JobDir, bytes: &[u8]) {
        let written = OpenOptions::new()
            .append(true)
            .open(dir.log())
            .and_then(|mut log| log.write_all(bytes));
        if let Err(error) = written {
            self.0.wrong(format!("{}: can't write: {error}", dir.key()));
        }
    }

    async fn play(self, dir: JobDir, fate: Fate, exit: watch::Sender<Option<Result<Exit, ()>>>) {
        let key = dir.key();
        let mut rng = self.0.rng(key, 2);
        let steps = 2;
        for step in 0..steps {
            self.write(&dir, mark(&dir, &format!("start;{step}")).as_bytes());
            for line in 0..rng.u32(..6) {
                pause(&mut rng).await;
                let text = format!("{key} step {step} line {line} 🧊\n");
                self.0.with(key, |played| played.text += &text);
                // In two goes, anywhere: in the midst of a character too.
                let (first, second) = text.as_bytes().split_at(rng.usize(..text.len()));
                self.write(&dir, first);
                pause(&mut rng).await;
                self.write(&dir, second);
            }
            let is_last = step == steps - 1;
            if is_last && fate == Fate::Vanishes {
                exit.send_replace(Some(Err(())));
                return;
            }
            if is_last && fate == Fate::Stays {
                let mut calm = self.0.calm.subscribe();
                let _ = calm.wait_for(|calm| *calm).await;
            }
            let code = if is_last { fate.code() } else { 0 };
            self.write(&dir, mark(&dir, &format!("end;{step};{code}")).as_bytes());
            pause(&mut rng).await;
            if is_last {
                let at = self.0.tick();
                self.0.with(key, |played| played.ended = Some((at, code)));
                exit.send_replace(Some(Ok(Exit::Code(code))));
            }
        }
    }
}

#[async_trait]
impl Executor for Troupe {
    fn name(&self) -> &'static str {
        "players"
    }

    fn accepts(&self, place: &Place, _: &[ImageSpec]) -> Result<(), String> {
        match place {
            Place::Machine => Ok(()),
            Place::Container(_) => Err("they play machines only".to_owned()),
        }
    }

    async fn launch(&self, dir: &JobDir, _: &Launch) -> Result<(), ExecutorError> {
        let key = dir.key();
        let mut rng = self.0.rng(key, 3);
        pause(&mut rng).await;
        let fate = self.0.fate(key);
        match fate {
            Fate::Rejected => return Err(ExecutorError::Rejected("never heard of it".to_owned())),
            Fate::Unavailable => return Err(unavailable()),
            Fate::Ends(_) | Fate::Vanishes | Fate::Stays => {}
        }
        if self.0.with(key, |played| played.launched.is_some()) {
            self.0.wrong(format!("{key} is launched again"));
        }
        for other in self.0.alive(key.job) {
            self.0.wrong(format!("{key} is launched beside {other}"));
        }
        let at = self.0.tick();
        self.0.with(key, |played| {
            *played = Played {
                launched: Some(at),
                ..Played::default()
            };
        });
        let exit = watch::Sender::new(None);
        let play = tokio::spawn(self.clone().play(dir.clone(), fate, exit.clone()));
        let held = Held {
            exit,
            _play: Some(AbortOnDropHandle::new(play)),
        };
        self.0.held.lock().unwrap().insert(key, held);
        pause(&mut rng).await;
        Ok(())
    }

    async fn wait(&self, dir: &JobDir) -> Result<Exit, ExecutorError> {
        let exit = {
            let held = self.0.held.lock().unwrap();
            held.get(&dir.key()).map(|held| held.exit.subscribe())
        };
        let Some(mut exit) = exit else {
            return Err(ExecutorError::Vanished);
        };
        let exit = exit.wait_for(Option::is_some).await.map(|exit| *exit);
        match exit {
            Ok(Some(Ok(exit))) => Ok(exit),
            Ok(Some(Err(())) | None) | Err(_) => Err(ExecutorError::Vanished),
        }
    }

    async fn take(&self, _: &JobDir, _: &str) -> Result<Option<Archive>, ExecutorError> {
        Ok(None)
    }

    async fn put(&self, _: &JobDir, _: &str, _: Archive) -> Result<(), ExecutorError> {
        Err(ExecutorError::Rejected("they have no files".to_owned()))
    }

    async fn interrupt(&self, _: &JobDir) -> Result<(), ExecutorError> {
        Ok(())
    }

    async fn stop(&self, dir: &JobDir, _: Duration) -> Result<(), ExecutorError> {
        tokio::task::yield_now().await;
        let mut held = self.0.held.lock().unwrap();
        if let Some(held) = held.get_mut(&dir.key())
            && held.exit.borrow().is_none()
        {
            held._play = None;
            held.exit.send_replace(Some(Ok(Exit::Code(143))));
        }
        Ok(())
    }

    async fn remove(&self, dir: &JobDir) -> Result<(), ExecutorError> {
        self.0.fails()?;
        tokio::task::yield_now().await;
        self.0.held.lock().unwrap().remove(&dir.key());
        Ok(())
    }

    async fn held(&self) -> Result<Vec<AttemptKey>, ExecutorError> {
        self.0.fails()?;
        Ok(self.0.held.lock().unwrap().keys().copied().collect())
    }

    async fn check(&self) -> Check {
        Check {
            works: true,
            finding: "players".to_owned(),
            mend: None,
        }
    }
}
