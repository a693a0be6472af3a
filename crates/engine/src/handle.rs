//! The engine as the server and the command line see it.

use std::sync::Arc;

use executor::Executor;
use forge::Forge;
use model::{
    CancelReason, CommitSha, Delivery, JobEvent, JobId, PipelineId, RepoName, Rerun, RerunFrom,
    Trigger, TriggerKind,
};
use source::Source;
use store::{Blobs, Created, Job, Keyring, Logs, Page, PipelineFilter, Store};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::feed::Feed;
use crate::follow::LogFollow;
use crate::hosted::{self, Hosting};
use crate::intake::Intake;
use crate::recover::Owned;
use crate::schedule::{Ask, Ends, Scheduler};
use crate::secrets::Secrets;
use crate::{EngineError, EngineSettings, World, recover, report, sweep};

/// How many requests to stop jobs may wait for the scheduler.
const ASKS: usize = 256;

/// What an engine is made of.
#[derive(Debug)]
pub struct Parts {
    /// What is remembered.
    pub store: Store,
    /// The jobs' logs.
    pub logs: Logs,
    /// What secrets are encrypted with; without a key there are none.
    pub keys: Keyring,
    /// The files that jobs keep.
    pub blobs: Blobs,
    /// Where code comes from.
    pub source: Source,
    /// Who is told of outcomes.
    pub forges: Vec<Arc<dyn Forge>>,
    /// What runs jobs; for each job the first that accepts it.
    pub executors: Vec<Arc<dyn Executor>>,
    /// Time and randomness.
    pub world: Arc<dyn World>,
    /// What it was told.
    pub settings: EngineSettings,
}

/// What the modules of the engine share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) store: Store,
    pub(crate) logs: Logs,
    pub(crate) secrets: Secrets,
    pub(crate) blobs: Blobs,
    pub(crate) source: Source,
    pub(crate) forges: Vec<Arc<dyn Forge>>,
    pub(crate) executors: Vec<Arc<dyn Executor>>,
    pub(crate) world: Arc<dyn World>,
    pub(crate) settings: EngineSettings,
    pub(crate) feed: Feed,
    pub(crate) owned: Owned,
    pub(crate) hosting: Hosting,
}

/// The engine, to ask things of. Clones ask the same engine.
#[derive(Clone, Debug)]
pub struct Engine {
    pub(crate) shared: Arc<Shared>,
    intake: Intake,
    asks: mpsc::Sender<Ask>,
    pub(crate) stop: CancellationToken,
}

/// The engine's tasks; dropping it ends them, leaving jobs that run to the next server.
#[derive(Debug)]
pub struct EngineTasks {
    tasks: JoinSet<()>,
    ends: Ends,
    /// Whether the scheduler has ended.
    idle: CancellationToken,
    shared: Arc<Shared>,
}

impl EngineTasks {
    /// Begins no more jobs and preparations from now on.
    pub fn rest(&self) {
        self.ends.finish.cancel();
    }

    /// Takes no more work, and returns once every task has ended. Containers go on: the next engine
    /// over the same store takes them up again.
    pub async fn stop(mut self) {
        self.end().await;
    }

    /// Takes no more work, lets jobs that run end and be cleaned up after until `patience` is at its end,
    /// then ends them, and removes every container and folder of this engine's jobs: for an engine whose
    /// store ends with it. Whether nothing is left.
    pub async fn finish(mut self, patience: impl Future<Output = ()>) -> bool {
        self.rest();
        // In time or not, what is left is removed.
        tokio::select! {
            () = self.idle.cancelled() => {}
            () = patience => {}
        }
        self.end().await;
        recover::remove_all(&self.shared).await
    }

    /// Returns if a task ends before it was told to: a bug, after which the engine takes no more work.
    pub async fn died(&mut self) {
        if let Some(Err(error)) = self.tasks.join_next().await {
            tracing::error!(%error, "a part of the engine died");
        }
    }

    async fn end(&mut self) {
        self.ends.stop.cancel();
        while self.tasks.join_next().await.is_some() {}
        let exchanges = &self.shared.hosting.exchanges;
        exchanges.close();
        exchanges.wait().await;
    }
}

impl Engine {
    /// Starts an engine: makes store and executors agree, then takes work.
    ///
    /// # Errors
    /// Where the store can't be read.
    pub async fn start(parts: Parts) -> Result<(Self, EngineTasks), EngineError> {
        let Parts {
            store,
            logs,
            keys,
            blobs,
            source,
            forges,
            executors,
            world,
            settings,
        } = parts;
        let feed = Feed::new(store.clone());
        let secrets = Secrets::new(store.clone(), keys, Arc::clone(&world));
        secrets.settle().await?;
        let shared = Arc::new(Shared {
            store,
            logs,
            secrets,
            blobs,
            source,
            forges,
            executors,
            world,
            settings,
            feed,
            owned: Owned::default(),
            hosting: Hosting::default(),
        });
        let ends = Ends::default();
        let stop = ends.stop.clone();
        let (intake, storing) = Intake::new(
            shared.store.clone(),
            Arc::clone(&shared.world),
            stop.clone(),
        );
        let (asks, inbox) = mpsc::channel(ASKS);

        let runner = recover::runner(&shared).await?;
        let taken_up = recover::agree(&shared, runner).await?;
        hosted::agree(&shared).await;
        let scheduler = Scheduler::new(Arc::clone(&shared), runner, inbox, ends.clone());

        let idle = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(storing);
        tasks.spawn({
            let idle = idle.clone();
            async move {
                let _idle = idle.drop_guard();
                scheduler.run(taken_up).await;
            }
        });
        tasks.spawn(report::deliver(Arc::clone(&shared), stop.clone()));
        tasks.spawn(sweep::sweep(Arc::clone(&shared), stop.clone()));
        let engine = Self {
            shared: Arc::clone(&shared),
            intake,
            asks,
            stop,
        };
        if shared.source.hosted().is_some() {
            tasks.spawn(hosted::deliver(engine.clone()));
        }
        let tasks = EngineTasks {
            tasks,
            ends,
            idle,
            shared,
        };
        Ok((engine, tasks))
    }

    /// Makes a pipeline of the trigger. Once this returns, it is on disk.
    ///
    /// # Errors
    /// [`EngineError::Busy`] where too many wait; the store's where it can't be written.
    pub async fn submit(&self, trigger: Trigger) -> Result<Created, EngineError> {
        let (repo, kind) = (trigger.repo.clone(), trigger.kind.as_str());
        let branch = trigger
            .git_ref
            .as_ref()
            .map(|git_ref| git_ref.short().to_owned());
        let created = self.intake.submit(trigger).await?;
        tracing::info!(
            pipeline = created.id.0,
            %repo,
            branch,
            trigger = kind,
            repeated = created.repeated,
            "pipeline stored"
        );
        Ok(created)
    }

    /// Makes a new pipeline that repeats an earlier one.
    ///
    /// # Errors
    /// Where there is no such pipeline, where it has not ended, or where nothing of it failed.
    pub async fn rerun(
        &self,
        of: PipelineId,
        from: RerunFrom,
        by: Option<String>,
    ) -> Result<Created, EngineError> {
        let earlier = self.shared.store.pipeline(of).await?;
        if !earlier.status.is_ended() {
            let why = format!("it is {} still; cancel it first", earlier.status);
            return Err(EngineError::NotRerunnable { of, why });
        }
        if from == RerunFrom::Failed && earlier.status == model::Status::Success {
            let why = "none of its jobs failed; rerun it from its start".to_owned();
            return Err(EngineError::NotRerunnable { of, why });
        }
        self.submit(Trigger {
            kind: TriggerKind::Rerun,
            rerun: Some(Rerun { of, from }),
            delivery: None,
            author: by.or(earlier.trigger.author.clone()),
            ..earlier.trigger
        })
        .await
    }

    /// Reruns the newest pipeline of that commit, as a forge's button asks for. If that has not ended,
    /// it is what was asked for, and is given as repeated.
    ///
    /// # Errors
    /// As [`Engine::submit`]; `None` where the commit never had a pipeline.
    pub async fn rerequest(
        &self,
        repo: &RepoName,
        commit: &CommitSha,
        delivery: Option<Delivery>,
    ) -> Result<Option<Created>, EngineError> {
        let filter = PipelineFilter {
            repo: Some(repo.clone()),
            commit: Some(commit.clone()),
            ..PipelineFilter::default()
        };
        let newest = Page {
            limit: 1,
            cursor: None,
        };
        let found = self.shared.store.pipelines(&filter, &newest).await?;
        let Some(earlier) = found.items.into_iter().next() else {
            return Ok(None);
        };
        if !earlier.status.is_ended() {
            return Ok(Some(Created {
                id: earlier.id,
                repeated: true,
            }));
        }
        let rerun = Rerun {
            of: earlier.id,
            from: RerunFrom::Start,
        };
        let trigger = Trigger {
            kind: TriggerKind::Rerun,
            rerun: Some(rerun),
            delivery,
            ..earlier.trigger
        };
        self.submit(trigger).await.map(Some)
    }

    /// Ends a pipeline: what waits at once, what runs as soon as it has stopped.
    ///
    /// # Errors
    /// Where there is no such pipeline, or it has ended.
    pub async fn cancel(
        &self,
        pipeline: PipelineId,
        by: Option<String>,
    ) -> Result<(), EngineError> {
        self.cancel_because(pipeline, CancelReason::Requested { by })
            .await
    }

    /// [`Engine::cancel`], for a reason of the caller's.
    ///
    /// # Errors
    /// As there.
    pub async fn cancel_because(
        &self,
        pipeline: PipelineId,
        reason: CancelReason,
    ) -> Result<(), EngineError> {
        let (store, now) = (&self.shared.store, self.shared.world.now());
        for job in store.cancel_pipeline(pipeline, reason, now).await? {
            self.ask(Ask::StopJob(job.id)).await;
        }
        self.ask(Ask::StopPreparation(pipeline)).await;
        Ok(())
    }

    /// Ends one job, as [`Engine::cancel`] does all.
    ///
    /// # Errors
    /// Where there is no such job, or it has ended.
    pub async fn cancel_job(&self, job: JobId, by: Option<String>) -> Result<Job, EngineError> {
        let reason = CancelReason::Requested { by };
        let job = self
            .shared
            .store
            .cancel_job(job, reason, self.shared.world.now())
            .await?;
        if !job.state.status().is_ended() {
            self.ask(Ask::StopJob(job.id)).await;
        }
        Ok(job)
    }

    /// Lets a job go on that waits for a person.
    ///
    /// # Errors
    /// Where there is no such job, or it does not wait.
    pub async fn approve(&self, job: JobId, by: Option<String>) -> Result<Job, EngineError> {
        let at = self.shared.world.now();
        let job = self
            .shared
            .store
            .advance_job(job, JobEvent::Approve { at })
            .await?;
        self.tell(&job, by, "job approved").await;
        Ok(job)
    }

    /// A line of the server's log on what was done to a job.
    async fn tell(&self, job: &Job, by: Option<String>, deed: &str) {
        // It is done, whether or not its pipeline can be read for the line.
        let pipeline = self.shared.store.pipeline(job.pipeline).await.ok();
        let trigger = pipeline.as_ref().map(|pipeline| &pipeline.trigger);
        tracing::info!(
            pipeline = job.pipeline.0,
            repo = trigger.map(|trigger| trigger.repo.as_str()),
            branch = trigger.and_then(|trigger| Some(trigger.git_ref.as_ref()?.short())),
            job = job.id.0,
            by,
            "{deed}"
        );
    }

    /// Gives a job that ended without success another attempt; its pipeline goes on.
    ///
    /// # Errors
    /// Where there is no such job, or it can't be retried: the store's error says why.
    pub async fn retry(&self, job: JobId, by: Option<String>) -> Result<Job, EngineError> {
        let now = self.shared.world.now();
        let job = self.shared.store.retry_job(job, now).await?;
        self.tell(&job, by, "job retried").await;
        Ok(job)
    }

    /// Reads a job's log from a byte offset to its end, as it grows.
    ///
    /// # Errors
    /// Where there is no such job.
    pub async fn follow(&self, job: JobId, from: u64) -> Result<LogFollow, EngineError> {
        LogFollow::new(
            &self.shared.store,
            &self.shared.logs,
            &self.shared.feed,
            job,
            from,
        )
        .await
    }

    /// What is remembered, to read.
    pub fn store(&self) -> &Store {
        &self.shared.store
    }

    /// The jobs' logs, to read.
    pub fn logs(&self) -> &Logs {
        &self.shared.logs
    }

    /// What is kept secret.
    pub fn secrets(&self) -> &Secrets {
        &self.shared.secrets
    }

    /// The files that jobs keep, to read.
    pub fn blobs(&self) -> &Blobs {
        &self.shared.blobs
    }

    /// What changes.
    pub fn feed(&self) -> &Feed {
        &self.shared.feed
    }

    /// How often a job is tried again whose machine or container was lost.
    pub fn max_retries(&self) -> u32 {
        self.shared.settings.max_attempts.saturating_sub(1)
    }

    /// Whether it takes work.
    pub fn is_ready(&self) -> bool {
        !self.stop.is_cancelled() && !self.asks.is_closed()
    }

    async fn ask(&self, ask: Ask) {
        // If the scheduler is gone, the next one finds in the store what is wanted.
        let _ = self.asks.send(ask).await;
    }
}
