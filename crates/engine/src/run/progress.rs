//! How far an attempt's steps are, as its markers tell.

use std::collections::BTreeMap;
use std::time::Duration;

use executor::Exit;
use model::{Failure, Fault, JobSpec, Outcome, StepSpec, StepState, Timestamp};
use store::{Claim, StepChange, StoreError};

use super::Begin;
use super::coroutine::{self, Answer};
use super::silence;
use crate::handle::Shared;
use crate::logs::{Marker, Placed};
use crate::persist::{Patience, persist};

/// How long a step's change waits for a database that others hold.
const BUSY: Duration = Duration::from_secs(60);

/// How far an attempt's steps are.
pub(crate) struct Progress<'a> {
    shared: &'a Shared,
    claim: &'a Claim,
    attempt: u32,
    /// The steps that run: since when, and where in the log they began.
    running: BTreeMap<u32, (Timestamp, u64)>,
    /// The first step that failed, and its exit code.
    failed: Option<(u32, i32)>,
    /// The step that was ended because it wrote nothing for too long.
    silenced: Option<u32>,
    /// The step that waits for an answer.
    waiting: Option<u32>,
    /// What of ours went wrong while a step waited.
    fault: Option<Fault>,
}

impl<'a> Progress<'a> {
    /// From nothing, or from what is stored of an attempt taken up.
    pub(crate) async fn new(
        shared: &'a Shared,
        claim: &'a Claim,
        attempt: u32,
        begin: Begin,
    ) -> Result<Self, StoreError> {
        let mut progress = Self {
            shared,
            claim,
            attempt,
            running: BTreeMap::new(),
            failed: None,
            silenced: None,
            waiting: None,
            fault: None,
        };
        if begin == Begin::TakeUp {
            for step in shared.store.steps(claim.job.id, attempt).await? {
                match step.state {
                    StepState::Running { since } => {
                        progress.running.insert(step.index, (since, step.log_start));
                    }
                    StepState::Ended { exit_code, .. } => progress.fail(step.index, exit_code),
                    StepState::Skipped => {}
                }
            }
        }
        Ok(progress)
    }

    /// Stores what a chunk's markers say, in one transaction.
    pub(crate) async fn record(&mut self, markers: &[Placed]) -> Result<(), StoreError> {
        if markers.is_empty() {
            return Ok(());
        }
        let now = self.shared.world.now();
        let changes: Vec<StepChange> = markers
            .iter()
            .filter_map(|placed| self.change(placed, now))
            .collect();
        if changes.is_empty() {
            return Ok(());
        }
        // A program that holds the database for a while must cost no job its life.
        persist("a step", Patience::Busy(BUSY), || {
            let (job, attempt) = (self.claim.job.id, self.attempt);
            self.shared.store.record_steps(job, attempt, &changes, now)
        })
        .await
    }

    fn change(&mut self, placed: &Placed, now: Timestamp) -> Option<StepChange> {
        let change = |index: u32, state, log_start, log_end| {
            // A job can lie about its steps, but not have more than its plan gives it.
            let spec = step_of(&self.claim.spec, index)?;
            let name = spec.name.clone();
            Some(StepChange {
                index,
                name,
                state,
                log_start,
                log_end,
            })
        };
        match placed.marker {
            Marker::Start(index) => {
                step_of(&self.claim.spec, index)?;
                // After a crash it is read again, and has its time already.
                let began = self.running.entry(index).or_insert((now, placed.offset));
                let (since, start) = *began;
                // What a command in the background writes is not in this log.
                let end = self.is_behind(index).then_some(start);
                change(index, StepState::Running { since }, start, end)
            }
            Marker::End(index, exit_code) => {
                let (since, start) = *self.running.get(&index)?;
                let state = StepState::Ended {
                    since,
                    at: now,
                    exit_code,
                };
                let end = if self.is_behind(index) {
                    start
                } else {
                    placed.offset
                };
                let change = change(index, state, start, Some(end))?;
                self.running.remove(&index);
                self.waiting = self.waiting.filter(|waiting| *waiting != index);
                self.fail(index, exit_code);
                Some(change)
            }
            Marker::Skip(index) => change(
                index,
                StepState::Skipped,
                placed.offset,
                Some(placed.offset),
            ),
            Marker::Ask(index) => {
                let asks = step_of(&self.claim.spec, index)
                    .is_some_and(|step| coroutine::asks(&step.action));
                if asks && self.running.contains_key(&index) {
                    self.waiting = Some(index);
                }
                None
            }
        }
    }

    /// The command that runs in the foreground, if one does, and how long nothing may be heard of it.
    pub(crate) fn talking(&self) -> Option<(u32, Duration)> {
        let mut running = self.running.keys().rev();
        let index = *running.find(|index| !self.is_behind(**index))?;
        let step = step_of(&self.claim.spec, index)?;
        silence::command(step).map(|run| (index, silence::patience(run)))
    }

    fn is_behind(&self, index: u32) -> bool {
        step_of(&self.claim.spec, index).is_some_and(StepSpec::is_behind)
    }

    /// That step is ended because it wrote nothing for too long.
    pub(crate) fn silenced(&mut self, index: u32) {
        self.silenced = Some(index);
    }

    /// The step that waits for an answer, if one does.
    pub(crate) fn waiting(&self) -> Option<(u32, &'a StepSpec)> {
        let index = self.waiting?;
        Some((index, step_of(&self.claim.spec, index)?))
    }

    /// A step has its answer. By now a later one may wait already: the script goes on before we hear that
    /// its answer is given.
    pub(crate) fn answered(&mut self, index: u32, answer: Answer) {
        self.waiting = self.waiting.filter(|waiting| *waiting != index);
        match answer {
            Answer::Given => {}
            Answer::Fault(fault) => self.fault = Some(fault),
        }
    }

    /// How the job ended, given how its container exited.
    pub(crate) fn outcome(self, exit: Exit) -> Outcome {
        if let Some(fault) = self.fault {
            return Outcome::Error(fault);
        }
        match (exit, self.failed) {
            (Exit::OutOfMemory, _) => Outcome::Failure(Failure::OutOfMemory),
            (Exit::Code(_), Some((index, exit_code))) => {
                let step = step_of(&self.claim.spec, index);
                let name = step.map_or("", |step| &step.name);
                Outcome::Failure(match step.and_then(silence::command) {
                    // Run again after that, it may have failed in another way.
                    Some(run) if self.silenced == Some(index) && exit_code > 128 => {
                        silence::failure(index, name, run)
                    }
                    Some(_) | None => Failure::Step {
                        index,
                        name: name.to_owned(),
                        exit_code,
                    },
                })
            }
            (Exit::Code(0), None) => Outcome::Success,
            (Exit::Code(exit_code), None) => Outcome::Failure(Failure::Exit { exit_code }),
        }
    }

    fn fail(&mut self, index: u32, exit_code: i32) {
        // What runs in the background fails alone.
        if exit_code != 0 && self.failed.is_none() && !self.is_behind(index) {
            self.failed = Some((index, exit_code));
        }
    }
}

fn step_of(spec: &JobSpec, index: u32) -> Option<&StepSpec> {
    spec.steps().get(usize::try_from(index).ok()?)
}
