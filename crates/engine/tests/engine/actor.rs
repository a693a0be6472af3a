//! An executor whose containers are played: each job's name says what its container does. It keeps the
//! trait's contract, down to what a new executor finds of an old one's containers.

use std::collections::HashMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use executor::{Archive, Check, Executor, ExecutorError, Exit, JobDir, Launch, Place};
use model::{AttemptKey, ImageSpec};
use tokio::sync::watch;

/// What a played container does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Writes a line and ends with that code.
    Exit(i32),
    /// Prints these variables, each in two goes, and ends well.
    Print(&'static [&'static str]),
    /// Runs until it is stopped, or [`Stage::finish`] ends it.
    Stay,
    /// Can't be started, through the job's own fault.
    Reject(&'static str),
    /// Is gone when one looks for it.
    Vanish,
    /// Takes down whoever starts it.
    Panic,
}

/// All played containers; outlives engines, as containers do.
#[derive(Clone, Debug, Default)]
pub struct Stage {
    acts: Arc<Mutex<HashMap<String, Vec<Act>>>>,
    held: Arc<Mutex<HashMap<AttemptKey, Held>>>,
    launched: Arc<Mutex<Vec<String>>>,
    given: Arc<Mutex<Vec<String>>>,
    refusals: Arc<Mutex<Refusals>>,
}

/// How often what is asked for fails, from now on.
#[derive(Clone, Copy, Debug, Default)]
pub struct Refusals {
    pub stops: u32,
    pub removals: u32,
}

#[derive(Clone, Debug)]
struct Held {
    job: String,
    exit: watch::Sender<Option<Result<Exit, ()>>>,
}

impl Stage {
    /// What each launch of that job does, in turn; the last goes on.
    pub fn act(&self, job: &str, acts: &[Act]) {
        self.acts
            .lock()
            .unwrap()
            .insert(job.to_owned(), acts.to_vec());
    }

    /// The jobs in the order in which they were launched.
    pub fn launched(&self) -> Vec<String> {
        self.launched.lock().unwrap().clone()
    }

    /// What the last container that printed variables had in them, a line each.
    pub fn given(&self) -> Vec<String> {
        self.given.lock().unwrap().clone()
    }

    /// How many containers there are.
    pub fn held(&self) -> usize {
        self.held.lock().unwrap().len()
    }

    /// Whether there is a container of that job.
    pub fn holds(&self, job: &str) -> bool {
        self.held
            .lock()
            .unwrap()
            .values()
            .any(|held| held.job == job)
    }

    /// Lets so many requests fail.
    pub fn refuse(&self, refusals: Refusals) {
        *self.refusals.lock().unwrap() = refusals;
    }

    /// How many requests are still to fail.
    pub fn refusals(&self) -> Refusals {
        *self.refusals.lock().unwrap()
    }

    fn refused(&self, count: impl Fn(&mut Refusals) -> &mut u32) -> Result<(), ExecutorError> {
        let mut refusals = self.refusals.lock().unwrap();
        let left = count(&mut refusals);
        if *left == 0 {
            return Ok(());
        }
        *left -= 1;
        Err(ExecutorError::Unavailable {
            what: "the stage".to_owned(),
            cause: "not now".to_owned(),
        })
    }

    /// Ends a container that stays.
    pub fn finish(&self, job: &str, code: i32) {
        for held in self
            .held
            .lock()
            .unwrap()
            .values()
            .filter(|held| held.job == job)
        {
            held.exit.send_replace(Some(Ok(Exit::Code(code))));
        }
    }

    fn next_act(&self, job: &str) -> Act {
        let mut acts = self.acts.lock().unwrap();
        let acts = acts
            .entry(job.to_owned())
            .or_insert_with(|| vec![Act::Exit(0)]);
        if acts.len() > 1 {
            acts.remove(0)
        } else {
            acts[0].clone()
        }
    }
}

/// The executor of a stage.
#[derive(Debug)]
pub struct Actor(pub Stage);

/// The line that a script would write, with the attempt's nonce.
pub fn mark(dir: &JobDir, text: &str) -> String {
    let nonce = fs::read_to_string(dir.path().join("nonce")).unwrap();
    format!("\x1b]7770;{nonce};{text}\x07")
}

fn write(dir: &JobDir, text: &str) {
    let mut log = OpenOptions::new().append(true).open(dir.log()).unwrap();
    log.write_all(text.as_bytes()).unwrap();
}

#[async_trait]
impl Executor for Actor {
    fn name(&self) -> &'static str {
        "actor"
    }

    fn accepts(&self, place: &Place, _: &[ImageSpec]) -> Result<(), String> {
        match place {
            Place::Machine => Ok(()),
            Place::Container(_) => Err("it plays machines only".to_owned()),
        }
    }

    async fn launch(&self, dir: &JobDir, launch: &Launch) -> Result<(), ExecutorError> {
        let value = |name: &str| {
            let found = launch.environment.iter().rfind(|(key, _)| key == name);
            found.map(|(_, value)| value.clone()).unwrap_or_default()
        };
        let job = value("CIRCLE_JOB");
        self.0.launched.lock().unwrap().push(job.clone());
        let act = self.0.next_act(&job);
        let exit = match &act {
            Act::Reject(why) => return Err(ExecutorError::Rejected((*why).to_owned())),
            Act::Exit(code) => {
                write(
                    dir,
                    &format!(
                        "{}{job} says hello\n{}",
                        mark(dir, "start;0"),
                        mark(dir, &format!("end;0;{code}"))
                    ),
                );
                Some(Ok(Exit::Code(*code)))
            }
            Act::Print(names) => {
                write(dir, &mark(dir, "start;0"));
                let lines = names.iter().map(|name| format!("{name}={}", value(name)));
                let lines: Vec<String> = lines.collect();
                for line in &lines {
                    let (first, second) = line.split_at(line.len() - 2);
                    write(dir, first);
                    tokio::task::yield_now().await;
                    write(dir, &format!("{second}\n"));
                }
                write(dir, &mark(dir, "end;0;0"));
                *self.0.given.lock().unwrap() = lines;
                Some(Ok(Exit::Code(0)))
            }
            Act::Stay => {
                write(dir, &format!("{}{job} stays\n", mark(dir, "start;0")));
                None
            }
            Act::Vanish => Some(Err(())),
            Act::Panic => panic!("the actor forgot its part"),
        };
        let held = Held {
            job,
            exit: watch::Sender::new(exit),
        };
        self.0.held.lock().unwrap().insert(dir.key(), held);
        Ok(())
    }

    async fn wait(&self, dir: &JobDir) -> Result<Exit, ExecutorError> {
        let held = self.0.held.lock().unwrap().get(&dir.key()).cloned();
        let Some(held) = held else {
            return Err(ExecutorError::Vanished);
        };
        let mut exit = held.exit.subscribe();
        let exit = exit.wait_for(Option::is_some).await.unwrap();
        match *exit {
            Some(Ok(exit)) => Ok(exit),
            Some(Err(())) | None => Err(ExecutorError::Vanished),
        }
    }

    async fn take(&self, _: &JobDir, _: &str) -> Result<Option<Archive>, ExecutorError> {
        Ok(None)
    }

    async fn put(&self, _: &JobDir, _: &str, _: Archive) -> Result<(), ExecutorError> {
        Err(ExecutorError::Rejected("a stage has no files".to_owned()))
    }

    async fn interrupt(&self, dir: &JobDir) -> Result<(), ExecutorError> {
        if let Some(held) = self.0.held.lock().unwrap().get(&dir.key()) {
            held.exit.send_if_modified(|exit| {
                let runs = exit.is_none();
                if runs {
                    write(dir, &mark(dir, "end;0;143"));
                    *exit = Some(Ok(Exit::Code(143)));
                }
                runs
            });
        }
        Ok(())
    }

    async fn stop(&self, dir: &JobDir, _grace: Duration) -> Result<(), ExecutorError> {
        self.0.refused(|refusals| &mut refusals.stops)?;
        if let Some(held) = self.0.held.lock().unwrap().get(&dir.key()) {
            held.exit.send_if_modified(|exit| {
                exit.is_none() && exit.replace(Ok(Exit::Code(143))).is_none()
            });
        }
        Ok(())
    }

    async fn remove(&self, dir: &JobDir) -> Result<(), ExecutorError> {
        self.0.refused(|refusals| &mut refusals.removals)?;
        self.0.held.lock().unwrap().remove(&dir.key());
        Ok(())
    }

    async fn held(&self) -> Result<Vec<AttemptKey>, ExecutorError> {
        Ok(self.0.held.lock().unwrap().keys().copied().collect())
    }

    async fn check(&self) -> Check {
        Check {
            works: true,
            finding: "a stage".to_owned(),
            mend: None,
        }
    }
}
