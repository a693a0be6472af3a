//! The loop that owns what runs, and starts what can.
//!
//! It works from what is stored, not from what it is told: a notice only makes it look, and a timer
//! makes it look where a notice was missed. Nobody else starts or stops a run.

use std::collections::HashMap;
use std::sync::Arc;

use model::{
    AttemptKey, EventBody, Fault, FaultKind, JobEvent, JobId, Outcome, OutcomeKind, PipelineId,
    RepoName, RunnerId, Status,
};
use store::{Claim, Pipeline};
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
    StopJob(JobId),
    /// To stop a preparation whose pipeline has ended.
    StopPreparation(PipelineId),
}

/// What can happen to the scheduler.
enum Happening {
    RunEnded(Result<(Id, ()), JoinError>),
    PreparationEnded(Result<(Id, ()), JoinError>),
    ReclaimEnded(Result<(), JoinError>),
    Asked(Ask),
    Stored(Result<model::Event, broadcast::error::RecvError>),
    Sweep,
}

/// A run of a job, and what lines about it name.
struct Running {
    pipeline: PipelineId,
    repo: RepoName,
    branch: Option<String>,
    job: JobId,
    key: AttemptKey,
    stop: CancellationToken,
}

/// A preparation of a pipeline.
struct Preparing {
    pipeline: PipelineId,
    repo: RepoName,
    branch: Option<String>,
    stop: CancellationToken,
}

/// How the scheduler is told to end.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ends {
    /// At once: what runs is let go, not ended.
    pub(crate) stop: CancellationToken,
    /// Once what runs has ended; nothing new is begun.
    pub(crate) finish: CancellationToken,
}

/// The loop's state.
pub(crate) struct Scheduler {
    shared: Arc<Shared>,
    runner: RunnerId,
    inbox: mpsc::Receiver<Ask>,
    stored: broadcast::Receiver<model::Event>,
    ends: Ends,
    runs: JoinSet<()>,
    running: HashMap<Id, Running>,
    preparations: JoinSet<()>,
    preparing: HashMap<Id, Preparing>,
    /// At most one look for what nobody wants.
    reclaims: JoinSet<()>,
    sweeps: u32,
}

impl Scheduler {
    pub(crate) fn new(
        shared: Arc<Shared>,
        runner: RunnerId,
        inbox: mpsc::Receiver<Ask>,
        ends: Ends,
    ) -> Self {
        // Listen before the first look, so that nothing falls between.
        let stored = shared.feed.events();
        Self {
            shared,
            runner,
            inbox,
            stored,
            ends,
            runs: JoinSet::new(),
            running: HashMap::new(),
            preparations: JoinSet::new(),
            preparing: HashMap::new(),
            reclaims: JoinSet::new(),
            sweeps: 0,
        }
    }

    /// Runs until it is told to end.
    pub(crate) async fn run(mut self, taken_up: Vec<Claim>) {
        for claim in taken_up {
            self.start(claim, Begin::TakeUp);
        }
        self.reclaim();
        self.supersede().await;
        self.fill().await;
        let mut sweep = tokio::time::interval(self.shared.settings.reconcile_interval);
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let Ends { stop, finish } = self.ends.clone();
        loop {
            if finish.is_cancelled() && self.runs.is_empty() {
                break;
            }
            let happening = tokio::select! {
                () = stop.cancelled() => break,
                () = finish.cancelled(), if !finish.is_cancelled() => continue,
                Some(ended) = self.runs.join_next_with_id() => Happening::RunEnded(ended),
                Some(ended) = self.preparations.join_next_with_id() => {
                    Happening::PreparationEnded(ended)
                }
                Some(ended) = self.reclaims.join_next() => Happening::ReclaimEnded(ended),
                Some(ask) = self.inbox.recv() => Happening::Asked(ask),
                event = self.stored.recv() => Happening::Stored(event),
                _ = sweep.tick() => Happening::Sweep,
            };
            self.handle(happening).await;
        }
        self.runs.shutdown().await;
        self.preparations.shutdown().await;
        self.reclaims.shutdown().await;
    }

    async fn handle(&mut self, happening: Happening) {
        match happening {
            Happening::RunEnded(ended) => {
                self.run_ended(ended).await;
                self.fill().await;
            }
            Happening::PreparationEnded(ended) => {
                self.preparation_ended(ended).await;
                self.supersede().await;
                self.fill().await;
            }
            Happening::ReclaimEnded(ended) => {
                if let Err(error) = ended {
                    tracing::error!(%error, "the look for leftovers died");
                }
            }
            Happening::Asked(Ask::StopJob(job)) => self.stop_run(job),
            Happening::Asked(Ask::StopPreparation(pipeline)) => self.stop_preparation(pipeline),
            Happening::Stored(first) => {
                // All that is known already costs one look.
                let mut work = tells_of_work(&first);
                loop {
                    match self.stored.try_recv() {
                        Ok(event) => work |= is_work(&event.body),
                        Err(broadcast::error::TryRecvError::Lagged(_)) => work = true,
                        Err(
                            broadcast::error::TryRecvError::Empty
                            | broadcast::error::TryRecvError::Closed,
                        ) => break,
                    }
                }
                if work {
                    self.fill().await;
                }
            }
            Happening::Sweep => self.sweep().await,
        }
    }

    /// Starts what is ready, up to the limits.
    async fn fill(&mut self) {
        if self.ends.finish.is_cancelled() {
            return;
        }
        let (store, world) = (self.shared.store.clone(), Arc::clone(&self.shared.world));
        while self.preparations.len() < self.shared.settings.max_preparations {
            // One a project: a remote that does not answer holds up no other's.
            let busy: Vec<RepoName> = self.preparing.values().map(|p| p.repo.clone()).collect();
            match store.claim_preparation(&busy, world.now()).await {
                Ok(Some(pipeline)) => self.prepare(pipeline),
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
            let most_of_project = self.shared.settings.max_jobs_per_project;
            let claim = store.claim_job(self.runner, most_of_project, world.now());
            match claim.await {
                Ok(Some(claim)) => self.start(claim, Begin::Launch),
                Ok(None) => break,
                Err(error) => {
                    tracing::error!(error = run::chain(&error), "could not look for ready jobs");
                    break;
                }
            }
        }
    }

    fn prepare(&mut self, pipeline: Pipeline) {
        let preparing = Preparing {
            pipeline: pipeline.id,
            repo: pipeline.trigger.repo.clone(),
            branch: pipeline
                .trigger
                .git_ref
                .as_ref()
                .map(|r| r.short().to_owned()),
            stop: CancellationToken::new(),
        };
        let prepare = prepare::prepare(Arc::clone(&self.shared), pipeline, preparing.stop.clone());
        let task = self.preparations.spawn(prepare).id();
        self.preparing.insert(task, preparing);
    }

    fn start(&mut self, claim: Claim, begin: Begin) {
        let trigger = &claim.pipeline.trigger;
        let running = Running {
            pipeline: claim.pipeline.id,
            repo: trigger.repo.clone(),
            branch: trigger.git_ref.as_ref().map(|r| r.short().to_owned()),
            job: claim.job.id,
            key: recover::key_of(&claim),
            stop: CancellationToken::new(),
        };
        if is_stopping(&claim) {
            running.stop.cancel();
        }
        self.shared.owned.insert(running.key);
        let run = run::attempt(Arc::clone(&self.shared), claim, begin, running.stop.clone());
        let task = self.runs.spawn(run).id();
        self.running.insert(task, running);
    }

    fn stop_run(&self, job: JobId) {
        for running in self.running.values().filter(|running| running.job == job) {
            running.stop.cancel();
        }
    }

    fn stop_preparation(&self, pipeline: PipelineId) {
        let preparations = self.preparing.values();
        for preparing in preparations.filter(|preparing| preparing.pipeline == pipeline) {
            preparing.stop.cancel();
        }
    }

    async fn run_ended(&mut self, ended: Result<(Id, ()), JoinError>) {
        let (task, died) = task_of(ended);
        let Some(running) = self.running.remove(&task) else {
            return;
        };
        let Running { job, key, .. } = running;
        self.shared.owned.remove(key);
        let Some(message) = died else { return };
        tracing::error!(
            pipeline = running.pipeline.0,
            repo = %running.repo,
            branch = running.branch,
            job = job.0,
            message,
            "a job's run died"
        );
        let fault = Fault {
            kind: FaultKind::Internal,
            message,
        };
        let event = JobEvent::Finish {
            outcome: Outcome::Error(fault),
            at: self.shared.world.now(),
        };
        if let Err(error) = self.shared.store.advance_job(job, event).await {
            // It runs still as far as the store knows, so the next sweep takes it up.
            tracing::error!(
                pipeline = running.pipeline.0,
                repo = %running.repo,
                branch = running.branch,
                job = job.0,
                error = run::chain(&error),
                "could not store its end"
            );
        }
    }

    async fn preparation_ended(&mut self, ended: Result<(Id, ()), JoinError>) {
        let (task, died) = task_of(ended);
        let Some(preparing) = self.preparing.remove(&task) else {
            return;
        };
        let Some(message) = died else { return };
        let Preparing {
            pipeline,
            repo,
            branch,
            ..
        } = preparing;
        tracing::error!(pipeline = pipeline.0, %repo, branch, message, "a preparation died");
        let reason = format!("popsicle failed while it prepared this pipeline: {message}");
        let now = self.shared.world.now();
        let stored = self
            .shared
            .store
            .end_preparation(pipeline, OutcomeKind::Error, &reason, now);
        if let Err(error) = stored.await {
            tracing::error!(
                pipeline = pipeline.0,
                %repo,
                branch,
                error = run::chain(&error),
                "could not store its end; it is prepared again at the next start"
            );
        }
    }

    /// A look at everything, in case a notice was missed.
    async fn sweep(&mut self) {
        match self
            .shared
            .store
            .running_jobs(self.runner, self.shared.world.now())
            .await
        {
            Ok(claims) => {
                for claim in claims {
                    if !self.running.values().any(|run| run.job == claim.job.id) {
                        tracing::warn!(
                            pipeline = claim.pipeline.id.0,
                            repo = %claim.pipeline.trigger.repo,
                            branch = claim.pipeline.trigger.git_ref.as_ref().map(model::GitRef::short),
                            job = claim.job.id.0,
                            "nobody looks after this running job; taking it up again"
                        );
                        self.start(claim, Begin::TakeUp);
                    } else if is_stopping(&claim) {
                        self.stop_run(claim.job.id);
                    }
                }
            }
            Err(error) => {
                tracing::error!(error = run::chain(&error), "could not look at running jobs");
            }
        }
        self.sweeps += 1;
        if self.sweeps >= SWEEPS_TO_RECLAIM {
            self.sweeps = 0;
            self.reclaim();
        }
        self.supersede().await;
        self.fill().await;
    }

    /// Ends what a newer one of its concurrency group ends.
    async fn supersede(&self) {
        let now = self.shared.world.now();
        match self.shared.store.cancel_superseded(now).await {
            Ok(running) => {
                for job in running {
                    self.stop_run(job.id);
                }
            }
            Err(error) => {
                tracing::error!(
                    error = run::chain(&error),
                    "could not end what is superseded; it is tried again later"
                );
            }
        }
    }

    /// Looks for what nobody wants, beside everything else: a container that resists must not hold up
    /// those that are wanted.
    fn reclaim(&mut self) {
        if self.reclaims.is_empty() {
            self.reclaims
                .spawn(recover::reclaim(Arc::clone(&self.shared), self.runner));
        }
    }
}

/// Which task ended, and of what it died if it did.
fn task_of(ended: Result<(Id, ()), JoinError>) -> (Id, Option<String>) {
    match ended {
        Ok((task, ())) => (task, None),
        Err(error) => (error.id(), Some(error.to_string())),
    }
}

fn tells_of_work(event: &Result<model::Event, broadcast::error::RecvError>) -> bool {
    match event {
        Ok(event) => is_work(&event.body),
        // Some notices were missed.
        Err(_) => true,
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
        // What ends may be what others waited for; of a job that ran, its run tells.
        EventBody::Pipeline { status, .. } => *status == Status::Queued || status.is_ended(),
        EventBody::Job { status, .. } => matches!(status, Status::Queued | Status::Canceled),
        EventBody::Step { .. } => false,
    }
}
