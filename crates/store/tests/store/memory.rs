//! A plain model of what has to be remembered: everything in lists, and of the rules only what `model`
//! says.

use model::{
    CancelReason, CommitStatus, EventBody, JobEvent, JobId, JobSpec, JobState, JobUuid, Node,
    Outcome, OutcomeKind, PipelineId, Plan, Preparation, Readiness, RunnerId, Status, Timestamp,
    Trigger, advance, pipeline_state, retry, settle,
};
use store::Created;

/// What has to be remembered.
#[derive(Default)]
pub struct Model {
    pub pipelines: Vec<ModelPipeline>,
    pub jobs: Vec<ModelJob>,
    pub events: Vec<(PipelineId, EventBody)>,
    pub reports: Vec<(PipelineId, Option<String>, CommitStatus)>,
    /// Each operation has a moment of its own.
    pub now: Timestamp,
}

pub struct ModelPipeline {
    pub id: PipelineId,
    pub trigger: Trigger,
    pub preparation: Preparation,
    pub status: Status,
    pub started: Option<Timestamp>,
    pub ended: Option<Timestamp>,
    pub plan: Plan,
}

pub struct ModelJob {
    pub pipeline: PipelineId,
    pub workflow: String,
    pub uuid: JobUuid,
    pub spec: JobSpec,
    pub state: JobState,
    /// How each attempt ended that is over; none where it was lost.
    pub ends: Vec<Option<OutcomeKind>>,
}

/// Why an operation is refused.
#[derive(Debug)]
pub enum Refused {
    Illegal,
    Ended,
    NotPreparing,
    NotRetriable,
}

impl Model {
    pub fn create(&mut self, trigger: Trigger) -> Created {
        let known = self
            .pipelines
            .iter()
            .find(|known| trigger.delivery.is_some() && known.trigger.delivery == trigger.delivery);
        if let Some(known) = known {
            return Created {
                id: known.id,
                repeated: true,
            };
        }
        let id = PipelineId(i64::try_from(self.pipelines.len()).unwrap() + 1);
        self.pipelines.push(ModelPipeline {
            id,
            trigger,
            preparation: Preparation::Waiting,
            status: Status::Queued,
            started: None,
            ended: None,
            plan: Plan::default(),
        });
        self.events.push((
            id,
            EventBody::Pipeline {
                status: Status::Queued,
                reason: None,
            },
        ));
        Created {
            id,
            repeated: false,
        }
    }

    pub fn claim_preparation(&mut self) -> Option<PipelineId> {
        let now = self.now;
        let waiting = |pipeline: &&mut ModelPipeline| pipeline.preparation == Preparation::Waiting;
        let pipeline = self.pipelines.iter_mut().find(waiting)?;
        pipeline.preparation = Preparation::Preparing { since: now };
        pipeline.started.get_or_insert(now);
        Some(pipeline.id)
    }

    pub fn requeue(&mut self) -> u64 {
        let mut requeued = 0;
        for pipeline in &mut self.pipelines {
            if matches!(pipeline.preparation, Preparation::Preparing { .. }) {
                pipeline.preparation = Preparation::Waiting;
                requeued += 1;
            }
        }
        requeued
    }

    fn prepared(
        &mut self,
        id: PipelineId,
        then: impl FnOnce(&mut Self, Timestamp) -> Preparation,
    ) -> Result<bool, Refused> {
        match self.pipeline(id).preparation {
            Preparation::Ended { .. } => Ok(false),
            Preparation::Waiting | Preparation::Planned { .. } => Err(Refused::NotPreparing),
            Preparation::Preparing { .. } => {
                let preparation = then(self, self.now);
                self.pipeline(id).preparation = preparation;
                Ok(true)
            }
        }
    }

    pub fn store_plan(
        &mut self,
        id: PipelineId,
        plan: &Plan,
        ids: &[JobUuid],
    ) -> Result<(), Refused> {
        let first = self.jobs.len();
        let prepared = self.prepared(id, |model, at| {
            for ((workflow, spec), uuid) in plan.jobs().zip(ids) {
                model.jobs.push(ModelJob {
                    pipeline: id,
                    workflow: workflow.name.clone(),
                    uuid: *uuid,
                    spec: spec.clone(),
                    state: JobState::Blocked,
                    ends: Vec::new(),
                });
            }
            Preparation::Planned { at }
        })?;
        if prepared {
            self.pipeline(id).plan = plan.clone();
            // A new job is told of once, as far as it could go at once.
            self.settle(id, false);
            for place in first..self.jobs.len() {
                self.tell_job(place);
            }
            self.tell_pipeline(id);
        }
        Ok(())
    }

    pub fn end_preparation(&mut self, id: PipelineId, outcome: OutcomeKind) -> Result<(), Refused> {
        let reason = "no config\nat all".to_owned();
        if self.prepared(id, |_, at| Preparation::Ended {
            outcome,
            reason,
            at,
        })? {
            self.tell_pipeline(id);
        }
        Ok(())
    }

    pub fn claim_job(&mut self, by: RunnerId) -> Option<usize> {
        let since = |place: &usize| match self.jobs[*place].state {
            JobState::Queued { since, .. } => Some((since, *place)),
            JobState::Blocked
            | JobState::OnHold
            | JobState::Running { .. }
            | JobState::Ended { .. } => None,
        };
        let repo = |place: usize| {
            let pipeline = self.jobs[place].pipeline;
            let of = |known: &&ModelPipeline| known.id == pipeline;
            &self.pipelines.iter().find(of).unwrap().trigger.repo
        };
        let share = |place: &usize| {
            let runs = |other: &usize| {
                let state = &self.jobs[*other].state;
                matches!(state, JobState::Running { .. }) && repo(*other) == repo(*place)
            };
            (0..self.jobs.len()).filter(runs).count()
        };
        let place = (0..self.jobs.len())
            .filter(|place| since(place).is_some())
            .min_by_key(|place| (share(place), since(place)))?;
        let at = self.now;
        self.apply(place, JobEvent::Claim { by, at }).unwrap();
        Some(place)
    }

    pub fn apply(&mut self, place: usize, event: JobEvent) -> Result<(), Refused> {
        let finishes = matches!(event, JobEvent::Finish { .. });
        self.happen(place, event)?;
        let job = &self.jobs[place];
        let is_bad = |end: &&Option<OutcomeKind>| {
            matches!(end, Some(OutcomeKind::Failure | OutcomeKind::Error))
        };
        let failures = u32::try_from(job.ends.iter().filter(is_bad).count()).unwrap();
        let retries = job.spec.build().map_or(0, |build| build.retry);
        let failed = matches!(job.state.status(), Status::Failure | Status::Error);
        if finishes && failed && failures <= retries {
            self.happen(place, JobEvent::Retry { at: self.now })?;
        }
        self.settle(self.jobs[place].pipeline, true);
        self.tell_pipeline(self.jobs[place].pipeline);
        Ok(())
    }

    pub fn retry(&mut self, place: usize) -> Result<(), Refused> {
        let job = &self.jobs[place];
        let (pipeline, workflow) = (job.pipeline, job.workflow.clone());
        let places = self.places(pipeline, &workflow);
        let own = places.iter().position(|other| *other == place).unwrap();
        let events = retry(&self.nodes(&places), own, self.now);
        for (place, event) in events.map_err(|_| Refused::NotRetriable)? {
            self.happen(places[place], event).unwrap();
        }
        self.settle(pipeline, true);
        self.tell_pipeline(pipeline);
        Ok(())
    }

    fn happen(&mut self, place: usize, event: JobEvent) -> Result<(), Refused> {
        let before = self.jobs[place].state.clone();
        let was_running = before.status() == Status::Running;
        let after = advance(&before, event).map_err(|_| Refused::Illegal)?;
        let told = |state: &JobState| (state.status(), state.attempt());
        let tell = told(&before) != told(&after);
        if was_running && after.status() != Status::Running {
            let end = after.outcome().map(Outcome::kind);
            self.jobs[place].ends.push(end);
        }
        self.jobs[place].state = after;
        if tell {
            self.tell_job(place);
        }
        Ok(())
    }

    pub fn cancel_pipeline(
        &mut self,
        id: PipelineId,
        reason: &CancelReason,
    ) -> Result<(), Refused> {
        let at = self.now;
        let pipeline = self.pipeline(id);
        if pipeline.status.is_ended() {
            return Err(Refused::Ended);
        }
        if let Preparation::Planned { .. } = pipeline.preparation {
            for place in 0..self.jobs.len() {
                let job = &self.jobs[place];
                if job.pipeline == id && !job.state.status().is_ended() {
                    let event = JobEvent::Cancel {
                        reason: reason.clone(),
                        at,
                    };
                    self.happen(place, event).unwrap();
                }
            }
        } else {
            let (outcome, reason) = (OutcomeKind::Canceled, reason.to_string());
            pipeline.preparation = Preparation::Ended {
                outcome,
                reason,
                at,
            };
        }
        self.tell_pipeline(id);
        Ok(())
    }

    fn settle(&mut self, id: PipelineId, tell: bool) {
        let workflows: Vec<String> = self
            .pipeline(id)
            .plan
            .workflows
            .iter()
            .map(|workflow| workflow.name.clone())
            .collect();
        for workflow in workflows {
            let places = self.places(id, &workflow);
            let nodes = self.nodes(&places);
            for (place, event) in settle(&nodes, self.now) {
                if tell {
                    self.happen(places[place], event).unwrap();
                } else {
                    let job = &mut self.jobs[places[place]];
                    job.state = advance(&job.state, event).unwrap();
                }
            }
        }
    }

    fn places(&self, id: PipelineId, workflow: &str) -> Vec<usize> {
        (0..self.jobs.len())
            .filter(|place| {
                let job = &self.jobs[*place];
                job.pipeline == id && job.workflow == workflow
            })
            .collect()
    }

    fn nodes(&self, places: &[usize]) -> Vec<Node> {
        let place_of = |name: &str| {
            places
                .iter()
                .position(|place| self.jobs[*place].spec.name == name)
                .unwrap()
        };
        places
            .iter()
            .map(|place| Node {
                name: self.jobs[*place].spec.name.clone(),
                state: self.jobs[*place].state.clone(),
                readiness: Readiness::of(&self.jobs[*place].spec.kind),
                requires: self.jobs[*place]
                    .spec
                    .requires
                    .iter()
                    .map(|needs| (place_of(&needs.job), needs.outcomes.clone()))
                    .collect(),
            })
            .collect()
    }

    fn tell_job(&mut self, place: usize) {
        let job = &self.jobs[place];
        let outcome = job.state.outcome();
        let body = EventBody::Job {
            job: id_of(place),
            uuid: job.uuid,
            name: job.spec.name.clone(),
            workflow: job.workflow.clone(),
            status: job.state.status(),
            attempt: job.state.attempt(),
            exit_code: outcome.and_then(Outcome::exit_code),
            reason: outcome.and_then(Outcome::reason),
        };
        self.events.push((job.pipeline, body));
    }

    pub fn tell_pipeline(&mut self, id: PipelineId) {
        let now = self.now;
        let jobs = |model: &Self, workflow: Option<&str>| -> Vec<(String, JobState)> {
            model
                .jobs
                .iter()
                .filter(|job| job.pipeline == id)
                .filter(|job| workflow.is_none_or(|workflow| job.workflow == workflow))
                .map(|job| (job.spec.name.clone(), job.state.clone()))
                .collect()
        };
        let preparation = self.pipeline(id).preparation.clone();
        let status_of = |jobs: &[(String, JobState)]| {
            let state = pipeline_state(&preparation, jobs.iter().map(|(_, state)| state));
            let named: Vec<_> = jobs
                .iter()
                .map(|(name, state)| (name.as_str(), state))
                .collect();
            (state, CommitStatus::of(&preparation, state, &named))
        };
        let (state, told) = status_of(&jobs(self, None));
        if self.pipeline(id).status != state.status() {
            self.pipeline(id).status = state.status();
            let ended = state.status().is_ended();
            self.pipeline(id).ended = ended.then_some(now);
            let reason = if let Preparation::Ended { reason, .. } = &preparation {
                Some(reason.clone())
            } else {
                let bad = ended && state.status() != Status::Success;
                bad.then(|| told.description.clone())
            };
            self.events.push((
                id,
                EventBody::Pipeline {
                    status: state.status(),
                    reason,
                },
            ));
        }

        let mut scopes = vec![None];
        let filled: Vec<String> = self
            .pipeline(id)
            .plan
            .workflows
            .iter()
            .filter(|workflow| !workflow.jobs.is_empty())
            .map(|workflow| workflow.name.clone())
            .collect();
        if filled.len() > 1 {
            scopes.extend(filled.into_iter().map(Some));
        }
        for scope in scopes {
            let (_, told) = status_of(&jobs(self, scope.as_deref()));
            self.report(id, scope, told);
        }
    }

    fn report(&mut self, id: PipelineId, scope: Option<String>, told: CommitStatus) {
        let last = self
            .reports
            .iter()
            .rev()
            .find(|(of, in_scope, _)| *of == id && *in_scope == scope);
        let differs = last.is_none_or(|(_, _, last)| *last != told);
        if differs && self.pipeline(id).trigger.forge.is_some() {
            self.reports.push((id, scope, told));
        }
    }

    fn pipeline(&mut self, id: PipelineId) -> &mut ModelPipeline {
        let place = usize::try_from(id.0).unwrap() - 1;
        &mut self.pipelines[place]
    }
}

/// The number of the job at a place.
pub fn id_of(place: usize) -> JobId {
    JobId(i64::try_from(place).unwrap() + 1)
}
