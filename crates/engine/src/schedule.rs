//! The loop that owns what runs, and starts what can.
//!
//! It works from what is stored, not from what it is told: a notice only makes it look, and a timer
//! makes it look where a notice was missed. Nobody else starts or stops a run.

use std::collections::HashMap;
use std::sync::Arc;

use model::{EventBody, Fault, FaultKind, JobEvent, JobId, Outcome, RunnerId, Status};
use store::Claim;
use tokio::sync::{broadcast, mpsc};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::handle::Shared;
use crate::run::{self, Begin};
use crate::{prepare, recover};

/// How many sweeps pass between two looks for containers that nobody wants.
const SWEEPS_TO_RECLAIM: u32 = 30;

/// What the scheduler can be asked.
#[derive(Debug)]
pub(crate) enum Ask {
    /// To stop a job whose end is stored as wanted.
    Stop(JobId),
}

/// What can happen to the scheduler.
enum Happening {
    RunEnded(Result<(Id, ()), JoinError>),
    PreparationEnded(Result<(), JoinError>),
    Asked(Ask),
    Stored(Result<model::Event, broadcast::error::RecvError>),
    Sweep,
}

/// The loop's state.
pub(crate) struct Scheduler {
    shared: Arc<Shared>,
    runner: RunnerId,
    inbox: mpsc::Receiver<Ask>,
    stored: broadcast::Receiver<model::Event>,
    stop: CancellationToken,
    runs: JoinSet<()>,
    /// The job of each run's task, and the token that stops it.
    running: HashMap<Id, (JobId, CancellationToken)>,
    preparations: JoinSet<()>,
    sweeps: u32,
}

impl Scheduler {
    pub(crate) fn new(
        shared: Arc<Shared>,
        runner: RunnerId,
        inbox: mpsc::Receiver<Ask>,
        stop: CancellationToken,
    ) -> Self {
        // Listen before the first look, so that nothing falls between.
        let stored = shared.feed.events();
        Self {
            shared,
            runner,
            inbox,
            stored,
            stop,
            runs: JoinSet::new(),
            running: HashMap::new(),
            preparations: JoinSet::new(),
            sweeps: 0,
        }
    }

    /// Runs until it is stopped. What runs then is let go, not ended: containers outlive the server.
    pub(crate) async fn run(mut self, taken_up: Vec<Claim>) {
        for claim in taken_up {
            self.start(claim, Begin::TakeUp);
        }
        self.fill().await;
        let mut sweep = tokio::time::interval(self.shared.settings.reconcile_interval);
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let stop = self.stop.clone();
        loop {
            let happening = tokio::select! {
                () = stop.cancelled() => break,
                Some(ended) = self.runs.join_next_with_id() => Happening::RunEnded(ended),
                Some(ended) = self.preparations.join_next() => Happening::PreparationEnded(ended),
                Some(ask) = self.inbox.recv() => Happening::Asked(ask),
                event = self.stored.recv() => Happening::Stored(event),
                _ = sweep.tick() => Happening::Sweep,
            };
            self.handle(happening).await;
        }
        self.runs.shutdown().await;
        self.preparations.shutdown().await;
    }

    async fn handle(&mut self, happening: Happening) {
        match happening {
            Happening::RunEnded(ended) => {
                self.ended(ended).await;
                self.fill().await;
            }
            Happening::PreparationEnded(ended) => {
                if let Err(error) = ended {
                    tracing::error!(%error, "a preparation died; it is repeated at the next start");
                }
                self.fill().await;
            }
            Happening::Asked(Ask::Stop(job)) => self.stop_run(job),
            Happening::Stored(Ok(event)) => {
                if is_work(&event.body) {
                    self.fill().await;
                }
            }
            // Some notices were missed.
            Happening::Stored(Err(_)) => self.fill().await,
            Happening::Sweep => self.sweep().await,
        }
    }

    /// Starts what is ready, up to the limits.
    async fn fill(&mut self) {
        let (store, world) = (self.shared.store.clone(), Arc::clone(&self.shared.world));
        while self.preparations.len() < self.shared.settings.max_preparations {
            match store.claim_preparation(world.now()).await {
                Ok(Some(pipeline)) => {
                    self.preparations
                        .spawn(prepare::prepare(Arc::clone(&self.shared), pipeline));
                }
                Ok(None) => break,
                Err(error) => {
                    tracing::error!(
                        error = run::chain(&error),
                        "could not look for new pipelines"
                    );
                    break;
                }
            }
        }
        while self.runs.len() < self.shared.settings.max_jobs {
            match store.claim_job(self.runner, world.now()).await {
                Ok(Some(claim)) => self.start(claim, Begin::Launch),
                Ok(None) => break,
                Err(error) => {
                    tracing::error!(error = run::chain(&error), "could not look for ready jobs");
                    break;
                }
            }
        }
    }

    fn start(&mut self, claim: Claim, begin: Begin) {
        let (job, stop) = (claim.job.id, CancellationToken::new());
        if is_stopping(&claim) {
            stop.cancel();
        }
        let run = run::attempt(Arc::clone(&self.shared), claim, begin, stop.clone());
        let task = self.runs.spawn(run).id();
        self.running.insert(task, (job, stop));
    }

    fn stop_run(&self, job: JobId) {
        for (_, stop) in self.running.values().filter(|(running, _)| *running == job) {
            stop.cancel();
        }
    }

    async fn ended(&mut self, ended: Result<(Id, ()), JoinError>) {
        let (task, died) = match &ended {
            Ok((task, ())) => (*task, None),
            Err(error) => (error.id(), Some(error.to_string())),
        };
        let Some((job, _)) = self.running.remove(&task) else {
            return;
        };
        let Some(message) = died else { return };
        tracing::error!(job = job.0, message, "a job's run died");
        let fault = Fault {
            kind: FaultKind::Internal,
            message,
        };
        let event = JobEvent::Finish {
            outcome: Outcome::Error(fault),
            at: self.shared.world.now(),
        };
        if let Err(error) = self.shared.store.advance_job(job, event).await {
            tracing::error!(
                job = job.0,
                error = run::chain(&error),
                "could not store its end"
            );
        }
    }

    /// A look at everything, in case a notice was missed.
    async fn sweep(&mut self) {
        match self.shared.store.running_jobs(self.runner).await {
            Ok(claims) => {
                for claim in claims.iter().filter(|claim| is_stopping(claim)) {
                    self.stop_run(claim.job.id);
                }
            }
            Err(error) => {
                tracing::error!(error = run::chain(&error), "could not look at running jobs");
            }
        }
        self.sweeps += 1;
        if self.sweeps >= SWEEPS_TO_RECLAIM {
            self.sweeps = 0;
            recover::reclaim(&self.shared, self.runner).await;
        }
        self.fill().await;
    }
}

fn is_stopping(claim: &Claim) -> bool {
    matches!(
        claim.job.state,
        model::JobState::Running {
            stopping: Some(_),
            ..
        }
    )
}

fn is_work(body: &EventBody) -> bool {
    match body {
        EventBody::Pipeline { status, .. } | EventBody::Job { status, .. } => {
            *status == Status::Queued
        }
        EventBody::Step { .. } => false,
    }
}
