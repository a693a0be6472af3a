//! A forge that writes down what it is told, and when on the test's clock.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use engine::World;
use forge::{Forge, Received, Report, ReportError, WebhookError};
use model::{ForgeKind, Timestamp};
use tokio::sync::watch;

use super::world::{PATIENCE, TestWorld};

/// How it takes a report.
#[derive(Clone, Debug)]
pub enum Answer {
    /// It does not.
    Fails(ReportError),
    /// It never says.
    Silence,
    /// What tells it dies.
    Panic,
}

/// One report, well taken or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    pub at: Timestamp,
    pub repo: String,
    pub state: &'static str,
}

/// The forge; outlives engines, as forges do.
#[derive(Clone, Debug)]
pub struct Listener {
    world: Arc<TestWorld>,
    answers: Arc<Mutex<HashMap<String, VecDeque<Answer>>>>,
    heard: watch::Sender<Vec<Heard>>,
}

impl Listener {
    pub fn new(world: Arc<TestWorld>) -> Self {
        Self {
            world,
            answers: Arc::default(),
            heard: watch::Sender::default(),
        }
    }

    /// How it takes the next reports of that project; those after them it takes well.
    pub fn answer(&self, repo: &str, answers: impl IntoIterator<Item = Answer>) {
        let mut all = self.answers.lock().unwrap();
        all.entry(repo.to_owned()).or_default().extend(answers);
    }

    /// All that it heard.
    pub fn heard(&self) -> Vec<Heard> {
        self.heard.borrow().clone()
    }

    /// The states of that project that it heard, in order.
    pub fn states(&self, repo: &str) -> Vec<&'static str> {
        states(&self.heard(), repo)
    }

    /// Waits until the last states of that project that it heard are these.
    pub async fn until(&self, repo: &str, last: &[&str]) {
        let mut heard = self.heard.subscribe();
        let waited = heard.wait_for(|heard| states(heard, repo).ends_with(last));
        let waited = tokio::time::timeout(PATIENCE, waited).await;
        let heard = || format!("{:?}", self.heard());
        let _heard = waited.unwrap_or_else(|_| panic!("{repo} {last:?}: {}", heard()));
    }
}

fn states(heard: &[Heard], repo: &str) -> Vec<&'static str> {
    heard
        .iter()
        .filter(|heard| heard.repo == repo)
        .map(|heard| heard.state)
        .collect()
}

#[async_trait]
impl Forge for Listener {
    fn kind(&self) -> ForgeKind {
        ForgeKind::Github
    }

    fn receive(&self, _: &http::HeaderMap, _: &[u8]) -> Result<Received, WebhookError> {
        Ok(Received::Pong)
    }

    async fn report(&self, report: &Report) -> Result<(), ReportError> {
        let repo = report.repo.to_string();
        let answer = {
            let mut answers = self.answers.lock().unwrap();
            answers.get_mut(&repo).and_then(VecDeque::pop_front)
        };
        let heard = Heard {
            at: self.world.now(),
            repo,
            state: report.status.state.as_str(),
        };
        self.heard.send_modify(|all| all.push(heard));
        match answer {
            None => Ok(()),
            Some(Answer::Fails(error)) => Err(error),
            Some(Answer::Silence) => std::future::pending().await,
            Some(Answer::Panic) => panic!("as the test wants it"),
        }
    }
}
