//! One attempt of one job, from claim to outcome.
//!
//! A future here may be dropped at any point: that is how the server stops. The container goes on, and
//! the next server takes the attempt up where its stored log ends.

mod behind;
mod coroutine;
mod ending;
mod environment;
mod given;
mod images;
mod limit;
mod progress;
pub(crate) mod resources;
mod script;
mod silence;
mod tool;

use std::error::Error;
use std::fs::Permissions;
use std::future::pending;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use executor::{CONTAINER_DIR, Executor, ExecutorError, Exit, JobDir, Launch, Place};
use futures_util::future::BoxFuture;
use model::{
    AttemptKey, Failure, Fault, FaultKind, ImageSpec, JobEvent, JobSpec, Outcome, RunsIn, StepSpec,
};
use store::{Claim, StoreError};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument;

use crate::feed::LogGrowth;
use crate::handle::Shared;
use crate::logs::{Nonce, Output, Pumped};
use crate::persist::{Patience, persist};
use crate::secrets::Grant;
use crate::support;
use behind::Behind;
use coroutine::{Answer, Asked};
use ending::{Ending, Problem};
use images::Images;
use progress::Progress;
use silence::Silence;

/// How often a job that can't be stopped is asked again, and how long to wait in between.
const STOP_TRIES: u32 = 10;
const STOP_RETRY: Duration = Duration::from_secs(1);

/// Where an attempt begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Begin {
    /// From nothing.
    Launch,
    /// With the container that an earlier server started.
    TakeUp,
}

/// Runs one attempt to its end and stores how it ended.
#[tracing::instrument(
    name = "job",
    skip_all,
    fields(
        pipeline = claim.pipeline.id.0,
        repo = %claim.pipeline.trigger.repo,
        branch = claim.pipeline.trigger.git_ref.as_ref().map(model::GitRef::short),
        job = claim.job.id.0,
        name = claim.job.name,
        attempt = claim.job.state.attempt(),
    )
)]
pub(crate) async fn attempt(
    shared: Arc<Shared>,
    claim: Claim,
    begin: Begin,
    stop: CancellationToken,
) {
    let key = AttemptKey {
        job: claim.job.uuid,
        attempt: claim.job.state.attempt(),
    };
    let dir = JobDir::new(&shared.settings.jobs, key);
    let claim = Arc::new(claim);
    let run = Run {
        shared: &shared,
        claim: &claim,
        dir: &dir,
        stop: &stop,
    };
    tracing::info!(taken_up = begin == Begin::TakeUp, "job starts");

    let (executor, ending) = match run.executor(begin).await {
        Ok(Some(executor)) => {
            let ending = run.conduct(&executor, begin).await;
            (Some(executor), ending.unwrap_or_else(Problem::into_ending))
        }
        // It never got as far as a container.
        Ok(None) => (None, Ending::gone("it was never started")),
        Err(Problem::Store(error)) if begin == Begin::TakeUp => {
            // Its container may run well. The next sweep takes it up.
            tracing::error!(error = chain(&error), "could not take the job up");
            return;
        }
        Err(problem @ Problem::Gone(_)) => {
            // Its container may be there still, and is found again by its folder.
            run.store(problem.into_ending()).await;
            return;
        }
        Err(problem) => (None, problem.into_ending()),
    };
    match ending {
        Ending::Lost(fault) if run.may_retry() => {
            // Another attempt must not run beside what is left of this one.
            let cleaned = run.clean_up(executor.as_deref()).await;
            let ending = match cleaned {
                Ok(()) => {
                    run.pause_before_retry(&fault).await;
                    Ending::Lost(fault)
                }
                Err(error) => {
                    tracing::warn!(error = chain(&*error), "could not clean up after the job");
                    if fault.kind == FaultKind::Lost {
                        Ending::Lost(fault)
                    } else {
                        Ending::Outcome(Outcome::Error(fault))
                    }
                }
            };
            run.store(ending).await;
        }
        Ending::Outcome(_) | Ending::Lost(_) => {
            run.store(ending).await;
            if let Err(error) = run.clean_up(executor.as_deref()).await {
                tracing::warn!(error = chain(&*error), "could not clean up after the job");
            }
        }
    }
}

/// Why a running job is being stopped.
enum Stopping {
    Asked,
    TimedOut,
    LogTooLong,
    Fault(Problem),
}

struct Run<'a> {
    shared: &'a Arc<Shared>,
    claim: &'a Arc<Claim>,
    dir: &'a JobDir,
    stop: &'a CancellationToken,
}

impl Run<'_> {
    /// The first executor that accepts the job; for one taken up, the one that has it, if any got it.
    async fn executor(&self, begin: Begin) -> Result<Option<Arc<dyn Executor>>, Problem> {
        let executors = &self.shared.executors;
        if begin == Begin::TakeUp {
            let attempts = self.shared.store.attempts(self.claim.job.id).await?;
            let started_by = attempts
                .into_iter()
                .find(|attempt| attempt.number == self.dir.key().attempt)
                .and_then(|attempt| attempt.executor);
            let Some(started_by) = started_by else {
                return Ok(None);
            };
            let executor = executors
                .iter()
                .find(|executor| executor.name() == started_by);
            return match executor {
                Some(executor) => Ok(Some(Arc::clone(executor))),
                None => Err(Problem::Gone(started_by)),
            };
        }
        let place = self.place()?;
        let mut refusals = Vec::new();
        for executor in executors {
            match executor.accepts(&place, self.services()) {
                Ok(()) => {
                    // Before the launch: a server that is killed in the midst of it leaves it to the next
                    // to ask this executor what came of it.
                    let (job, attempt) = (self.claim.job.id, self.dir.key().attempt);
                    self.shared
                        .store
                        .set_executor(job, attempt, executor.name())
                        .await?;
                    return Ok(Some(Arc::clone(executor)));
                }
                Err(why) => refusals.push(format!("{}: {why}", executor.name())),
            }
        }
        Err(Problem::Start(format!(
            "no executor here can run this job ({})",
            refusals.join("; ")
        )))
    }

    fn place(&self) -> Result<Place, Problem> {
        let spec = &self.claim.spec;
        if let Some(why) = support::refusal(spec) {
            return Err(Problem::Start(why));
        }
        let place = spec.build().and_then(|build| match &build.runs_in {
            RunsIn::Machine => Some(Place::Machine),
            RunsIn::Containers(images) => images.first().cloned().map(Place::Container),
            RunsIn::Foreign { .. } => None,
        });
        place.ok_or_else(|| Problem::Start("the job has nothing to run".to_owned()))
    }

    /// The images of its services.
    fn services(&self) -> &[ImageSpec] {
        match self.claim.spec.build().map(|build| &build.runs_in) {
            Some(RunsIn::Containers(images)) => images.get(1..).unwrap_or_default(),
            Some(RunsIn::Machine | RunsIn::Foreign { .. }) | None => &[],
        }
    }

    async fn conduct(&self, executor: &Arc<dyn Executor>, begin: Begin) -> Result<Ending, Problem> {
        let (nonce, granted) = match begin {
            Begin::Launch => {
                let granted = self.shared.secrets.grant(self.claim).await?;
                let nonce = self.lay_out_dir(granted.clone()).await;
                (nonce.map_err(Problem::Dir)?, granted)
            }
            Begin::TakeUp => {
                let nonce = self.read_nonce().ok_or(ExecutorError::Vanished)?;
                (nonce, Grant::default())
            }
        };
        let (job, attempt) = (&self.claim.job, self.dir.key().attempt);
        let limit = self.shared.settings.log_limit_bytes;
        let (mut output, mut behind) = self.open_output(nonce, attempt, limit).await?;
        let mut progress = Progress::new(self.shared, self.claim, attempt, begin).await?;

        // What is polled here beside the handlers below must never wait for the store: a handler that
        // waits for the store's writer would wait for a future that nobody polls.
        let (mut launching, mut exited) = match begin {
            Begin::Launch => (Some(self.launch(&**executor, self.order(granted)?)), None),
            Begin::TakeUp => (None, Some(executor.wait(self.dir))),
        };
        let mut deadline = pin!(tokio::time::sleep(self.time_left()));
        let mut stopping: Option<Stopping> = None;
        let mut stopped: Option<BoxFuture<'_, Result<(), ExecutorError>>> = None;
        let mut stop_tries = 0;
        let mut asked: Option<BoxFuture<'_, (u32, Answer)>> = None;
        let asked_stop = CancellationToken::new();
        let mut silence = Silence::new(self.shared.settings.stop_grace);
        let mut interrupting: Option<BoxFuture<'_, Result<(), ExecutorError>>> = None;

        let exit = loop {
            let cause = tokio::select! {
                exit = or_pending(&mut exited) => break exit,
                launched = or_pending(&mut launching) => {
                    launching = None;
                    match launched {
                        Ok(()) => {
                            exited = Some(executor.wait(self.dir));
                            None
                        }
                        Err(error) => break Err(error),
                    }
                }
                pumped = output.next(), if !matches!(stopping, Some(Stopping::Fault(_))) => {
                    let taken = self.take(&mut output, &mut progress, pumped).await;
                    silence.broken();
                    match taken {
                        Ok(taken) => taken.is_too_much().then_some(Stopping::LogTooLong),
                        Err(error) => Some(Stopping::Fault(error)),
                    }
                }
                pumped = behind.next(|| self.shared.world.now()), if !matches!(stopping, Some(Stopping::Fault(_))) => {
                    match pumped {
                        Ok(pumped) => pumped.is_too_much().then_some(Stopping::LogTooLong),
                        Err(error) => Some(Stopping::Fault(error.into())),
                    }
                }
                step = silence.over(progress.talking()), if stopping.is_none() => {
                    // What it wrote may not have been read yet: we may have been stopped ourselves.
                    let pumped = output.step().await;
                    match self.take(&mut output, &mut progress, pumped).await {
                        Ok(taken) if taken.read > 0 => {
                            silence.broken();
                            taken.is_too_much().then_some(Stopping::LogTooLong)
                        }
                        Ok(_) => {
                            silence.end(step);
                            progress.silenced(step);
                            interrupting = Some(executor.interrupt(self.dir));
                            None
                        }
                        Err(error) => Some(Stopping::Fault(error)),
                    }
                }
                done = or_pending(&mut interrupting) => {
                    interrupting = None;
                    if let Err(error) = done {
                        // It is tried again while the step goes on.
                        tracing::warn!(error = chain(&error), "could not end a silent step");
                    }
                    None
                }
                (index, answer) = or_pending(&mut asked) => {
                    asked = None;
                    progress.answered(index, answer);
                    None
                }
                done = or_pending(&mut stopped) => {
                    stopped = None;
                    if let Err(error) = done {
                        tracing::warn!(error = chain(&error), "could not stop the job");
                        stop_tries += 1;
                        if stop_tries == STOP_TRIES {
                            break Err(error);
                        }
                        stopped = Some(Box::pin(async {
                            tokio::time::sleep(STOP_RETRY).await;
                            executor.stop(self.dir, Duration::ZERO).await
                        }));
                    }
                    None
                }
                () = self.stop.cancelled(), if stopping.is_none() => Some(Stopping::Asked),
                () = &mut deadline, if stopping.is_none() => Some(Stopping::TimedOut),
            };
            if asked.is_none()
                && !asked_stop.is_cancelled()
                && let Some(step) = progress.waiting()
            {
                asked = Some(self.ask(step, executor, asked_stop.child_token()));
            }
            let Some(cause) = cause.filter(|_| stopping.is_none()) else {
                continue;
            };
            let grace = match &cause {
                Stopping::Asked | Stopping::TimedOut => self.shared.settings.stop_grace,
                Stopping::LogTooLong | Stopping::Fault(_) => Duration::ZERO,
            };
            stopping = Some(cause);
            // An archive that is on its way would hold the stop up.
            asked_stop.cancel();
            if launching.is_some() {
                break Err(ExecutorError::Vanished);
            }
            stopped = Some(Box::pin(executor.stop(self.dir, grace)));
        };

        if let Some(asked) = asked {
            // What it has begun in the job's folder must not go on while that is deleted.
            asked_stop.cancel();
            asked.await;
        }
        if let Some(Stopping::Fault(problem)) = stopping {
            return Err(problem);
        }
        // The rest of the output, as far as there is room for it. The first chunk may have been read
        // before the exit, so that its end is not the end.
        let mut fresh = false;
        loop {
            let pumped = output.step().await;
            let taken = self.take(&mut output, &mut progress, pumped).await?;
            if taken.is_full {
                stopping.get_or_insert(Stopping::LogTooLong);
                break;
            }
            if fresh && taken.read == 0 {
                break;
            }
            fresh = true;
        }
        if behind.finish().await? {
            stopping.get_or_insert(Stopping::LogTooLong);
        }
        let size = output.finish().await?;
        self.shared.feed.grew(
            job.id,
            LogGrowth {
                attempt,
                bytes: size.bytes,
            },
        );
        Ok(match stopping {
            // What it is canceled for is in its state already.
            Some(Stopping::Asked) => Ending::Outcome(Outcome::Success),
            Some(Stopping::TimedOut) => Ending::Outcome(Outcome::Failure(Failure::TimedOut {
                limit_ms: millis(self.time_limit()),
            })),
            Some(Stopping::LogTooLong) => {
                Ending::Outcome(Outcome::Failure(Failure::LogTooLong { limit_bytes: limit }))
            }
            Some(Stopping::Fault(_)) | None if self.dir.is_unheard() => {
                Ending::Outcome(Outcome::Error(Fault {
                    kind: FaultKind::Storage,
                    message: "the job's output could not be written: no space is left on the disk of its folder".to_owned(),
                }))
            }
            Some(Stopping::Fault(_)) | None => {
                // What the script itself has said of its end counts, though who runs it can't be asked: a job that
                // has ended must not run again.
                let said = || self.dir.exit_code().map(Exit::Code);
                let exit = match exit {
                    Err(error @ ExecutorError::Rejected(_)) => Err(error),
                    exit => exit.or_else(|error| said().ok_or(error)),
                };
                Ending::Outcome(progress.outcome(exit?))
            }
        })
    }

    /// What the executor is to start, with what the job was given.
    fn order(&self, granted: Grant) -> Result<Launch, Problem> {
        let mut place = self.place()?;
        let build = self.claim.spec.build();
        let images = build.map(|build| Images::of(build, &granted.variables));
        let images = images.unwrap_or_default();
        for line in &images.warnings {
            self.dir.note(line).map_err(Problem::Dir)?;
        }
        if let Some(own) = images.own {
            place = Place::Container(own);
        }
        let working_directory = build.map(|build| build.working_directory.clone());
        let settings = &self.shared.settings;
        Ok(Launch {
            place,
            services: images.services,
            working_directory: working_directory.unwrap_or_default(),
            environment: environment::variables(
                self.claim,
                settings.public_url.as_deref(),
                granted.variables,
            ),
            limits: build.map_or(settings.limits, |build| {
                resources::limits(build, settings.limits)
            }),
            // Nor does a stranger's config get what `docker login` opens.
            anonymous: self.claim.pipeline.trigger.is_from_fork(),
        })
    }

    fn launch<'a>(
        &'a self,
        executor: &'a dyn Executor,
        order: Launch,
    ) -> BoxFuture<'a, Result<(), ExecutorError>> {
        Box::pin(async move { executor.launch(self.dir, &order).await })
    }

    /// Deals with a chunk of output, and hands it back.
    async fn take(
        &self,
        output: &mut Output,
        progress: &mut Progress<'_>,
        pumped: Result<Pumped, StoreError>,
    ) -> Result<Pumped, Problem> {
        let pumped = pumped?;
        progress.record(&pumped.markers).await?;
        // A question that no one has answered must be heard again after a crash.
        if progress.waiting().is_none() {
            output.checkpoint(self.shared.world.now())?;
        }
        let growth = LogGrowth {
            attempt: self.dir.key().attempt,
            bytes: pumped.bytes,
        };
        self.shared.feed.grew(self.claim.job.id, growth);
        Ok(pumped)
    }

    /// Does what a step waits for, in a task of its own that ends with the future.
    fn ask(
        &self,
        (index, step): (u32, &StepSpec),
        executor: &Arc<dyn Executor>,
        stop: CancellationToken,
    ) -> BoxFuture<'static, (u32, Answer)> {
        let asked = Asked {
            shared: Arc::clone(self.shared),
            claim: Arc::clone(self.claim),
            executor: Arc::clone(executor),
            dir: self.dir.clone(),
            index,
            step: step.clone(),
            stop,
        };
        let task = tokio::spawn(asked.answer().in_current_span());
        let task = AbortOnDropHandle::new(task);
        Box::pin(async move {
            let answer = task.await.unwrap_or_else(|panic| {
                let message = format!("a step's work failed: {panic}");
                let kind = FaultKind::Executor;
                Answer::Fault(Fault { kind, message })
            });
            (index, answer)
        })
    }

    /// Makes the attempt's folder, with the script in it and what the job's log must not tell.
    async fn lay_out_dir(&self, granted: Grant) -> io::Result<Nonce> {
        let nonce = Nonce::new(self.shared.world.uuid());
        let (dir, spec, kept) = (self.dir.clone(), self.claim.spec.clone(), nonce.clone());
        let secrets = self.shared.secrets.clone();
        let made = tokio::task::spawn_blocking(move || {
            lay_out_dir(&dir, &spec, &kept)?;
            given::keep(&secrets, &dir, &granted)?;
            match &granted.withheld {
                Some(line) => dir.note(line),
                None => Ok(()),
            }
        });
        made.await.map_err(io::Error::other)??;
        Ok(nonce)
    }

    fn read_nonce(&self) -> Option<Nonce> {
        let text = std::fs::read_to_string(self.dir.path().join("nonce")).ok()?;
        Nonce::parse(text.trim())
    }

    fn time_limit(&self) -> Duration {
        limit::of_job(&self.claim.spec, self.shared.settings.job_timeout)
    }

    fn time_left(&self) -> Duration {
        let now = self.shared.world.now();
        limit::left(self.time_limit(), &self.claim.job.state, now)
    }

    /// Goes on with the stored logs where they end.
    async fn open_output(
        &self,
        nonce: Nonce,
        attempt: u32,
        limit: u64,
    ) -> Result<(Output, Behind), Problem> {
        let (logs, raw) = (self.shared.logs.clone(), self.dir.log());
        let (pipeline, job) = (self.claim.job.pipeline, self.claim.job.id);
        let (secrets, dir) = (self.shared.secrets.clone(), self.dir.clone());
        let no_marker = Nonce::new(self.shared.world.uuid());
        let steps: Vec<u32> = behind::steps(&self.claim.spec).collect();
        let opened = tokio::task::spawn_blocking(move || {
            let masks = || {
                given::masks(&secrets, &dir).map_err(|why| {
                    Problem::Secrets(format!("the job's log can't be masked any more: {why}"))
                })
            };
            let mut behind = Behind::default();
            for step in steps {
                let writer = logs.step_writer(pipeline, job, attempt, step)?;
                behind.add((&dir, step), &no_marker, masks()?, writer, limit)?;
            }
            let writer = logs.writer(pipeline, job, attempt)?;
            let output = Output::open(&raw, &nonce, masks()?, writer, limit)?;
            Ok((output, behind))
        });
        opened
            .await
            .map_err(|panic| Problem::Dir(io::Error::other(panic)))?
    }

    /// Whether a job that is lost gets another attempt.
    fn may_retry(&self) -> bool {
        self.dir.key().attempt < self.shared.settings.max_attempts
    }

    /// What let us down may be on its way up again: waits longer each time, unless the job is not wanted
    /// any more.
    async fn pause_before_retry(&self, fault: &Fault) {
        // The next container of a job whose own was lost can start at once.
        if fault.kind == FaultKind::Lost {
            return;
        }
        let pause = self.shared.settings.retry_pause * self.dir.key().attempt;
        tokio::select! {
            () = self.stop.cancelled() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }

    /// Stores how it ended, however long that takes.
    async fn store(&self, ending: Ending) {
        let job = self.claim.job.id;
        let event = |at| match &ending {
            Ending::Outcome(outcome) => JobEvent::Finish {
                outcome: outcome.clone(),
                at,
            },
            Ending::Lost(_) if self.may_retry() => JobEvent::Lose { at },
            Ending::Lost(fault) => JobEvent::Finish {
                outcome: Outcome::Error(fault.clone()),
                at,
            },
        };
        if let Ending::Lost(fault) = &ending {
            tracing::warn!(why = fault.message, "attempt lost");
        }
        let at = self.shared.world.now();
        let mut stored = self.shared.store.advance_job(job, event(at)).await;
        if stored.as_ref().is_err_and(StoreError::is_passing) {
            // What it leaves on a full disk may be what fills it.
            let dir = self.dir.clone();
            match tokio::task::spawn_blocking(move || dir.shed()).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(%error, "could not make room"),
                Err(panic) => tracing::error!(%panic, "making room failed"),
            }
            stored = persist("how a job ended", Patience::Endless, || {
                self.shared.store.advance_job(job, event(at))
            })
            .await;
        }
        match stored {
            Ok(job) => {
                let reason = job.state.outcome().and_then(Outcome::reason);
                tracing::info!(status = %job.state.status(), reason, "job ended");
            }
            // Somebody else stored another end, or deleted the pipeline.
            Err(error) => tracing::error!(error = chain(&error), "the job's end was not taken"),
        }
    }

    async fn clean_up(
        &self,
        executor: Option<&dyn Executor>,
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        if let Some(executor) = executor {
            executor.remove(self.dir).await?;
        }
        Ok(blocking_delete(self.dir.clone()).await?)
    }
}

/// Deletes an attempt's folder; the error is for people.
pub(crate) async fn blocking_delete(dir: JobDir) -> Result<(), String> {
    let path = dir.path().display().to_string();
    let deleted = tokio::task::spawn_blocking(move || dir.delete()).await;
    match deleted {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(format!("could not delete `{path}`: {error}")),
        Err(panic) => Err(panic.to_string()),
    }
}

fn lay_out_dir(dir: &JobDir, spec: &JobSpec, nonce: &Nonce) -> io::Result<()> {
    dir.create()?;
    let script = script::generate(spec, nonce, CONTAINER_DIR);
    std::fs::write(dir.path().join("nonce"), nonce.to_string())?;
    write_readable(&dir.script(), &script.text)?;
    tool::lay_out(&dir.io())?;
    for step in behind::steps(spec) {
        dir.make_output(step)?;
    }
    for (index, command) in script.commands {
        write_readable(&dir.io().join("steps").join(index.to_string()), &command)?;
    }
    Ok(())
}

/// Writes a file that whoever the job runs as can read, whatever our own umask.
fn write_readable(path: &Path, text: &str) -> io::Result<()> {
    std::fs::write(path, text)?;
    std::fs::set_permissions(path, Permissions::from_mode(0o644))
}

async fn or_pending<T>(future: &mut Option<BoxFuture<'_, T>>) -> T {
    match future {
        Some(future) => future.await,
        None => pending().await,
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// An error with its causes, on one line.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
