//! The rule: each change of status is one transaction with the events and the reports that tell of it.
//!
//! A [`Change`] takes up a pipeline with all its jobs, applies what happened, and on
//! [`Change::store`] lets everything that follows from it happen too: blocked jobs are readied, held or
//! skipped (`model::settle`), the pipeline's state is computed from its jobs'
//! (`model::pipeline_state`), and whatever has another status than before is written with its event and,
//! where a forge would see a difference, its report.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use model::{
    CommitStatus, EventBody, JobEvent, JobId, JobState, JobUuid, Node, Outcome, PipelineId,
    PipelineState, Plan, Preparation, Readiness, Requirement, Status, Timestamp, advance,
    pipeline_state, settle,
};
use sqlx::SqliteConnection;

use crate::job::{self, Member};
use crate::report::{self, NewReport};
use crate::write::Write;
use crate::{
    Job, Pipeline, Result, Store, StoreError, attempt, measure, pipeline, rerun, turn, unreadable,
};

/// A change of one pipeline, under way. Dropping it undoes it.
pub(crate) struct Change {
    write: Write,
    at: Timestamp,
    pipeline: Pipeline,
    members: Vec<Member>,
    /// The members that have another state than is stored.
    changed: BTreeSet<usize>,
    events: Vec<EventBody>,
}

/// A change that is stored.
pub(crate) struct Stored {
    pub(crate) pipeline: Pipeline,
    /// All its jobs, in the order of its plan.
    pub(crate) jobs: Vec<Job>,
}

impl Change {
    /// Takes up a pipeline in a transaction of its own.
    pub(crate) async fn begin(store: &Store, id: PipelineId, at: Timestamp) -> Result<Self> {
        Self::within(store, store.write().await?, id, at).await
    }

    /// Takes up the pipeline of a job.
    pub(crate) async fn of_job(store: &Store, job: JobId, at: Timestamp) -> Result<Self> {
        let mut write = store.write().await?;
        let id: i64 = sqlx::query_scalar("SELECT pipeline_id FROM jobs WHERE id = $1")
            .bind(job.0)
            .fetch_optional(write.connection())
            .await?
            .ok_or_else(|| StoreError::not_found("job", &job))?;
        Self::within(store, write, PipelineId(id), at).await
    }

    /// Takes up a pipeline in a transaction that has begun. One that can't be read is ended: it could
    /// never be taken up again.
    pub(crate) async fn within(
        store: &Store,
        write: Write,
        id: PipelineId,
        at: Timestamp,
    ) -> Result<Self> {
        let read = Self::read(write, id, at).await;
        if let Err(error) = &read
            && error.is_unreadable()
        {
            unreadable::give_up(store, id, error, at).await?;
        }
        read
    }

    async fn read(mut write: Write, id: PipelineId, at: Timestamp) -> Result<Self> {
        let pipeline = pipeline::find(write.connection(), id).await?;
        let members = job::members(write.connection(), id).await?;
        Ok(Self {
            write,
            at,
            pipeline,
            members,
            changed: BTreeSet::new(),
            events: Vec::new(),
        })
    }

    pub(crate) fn connection(&mut self) -> &mut SqliteConnection {
        self.write.connection()
    }

    pub(crate) fn pipeline(&self) -> &Pipeline {
        &self.pipeline
    }

    /// Whether the preparation is under way; not if it was canceled meanwhile.
    pub(crate) fn is_preparing(&self) -> Result<bool> {
        match self.pipeline.preparation {
            Preparation::Preparing { .. } => Ok(true),
            Preparation::Ended { .. } => Ok(false),
            Preparation::Waiting | Preparation::Planned { .. } => {
                Err(StoreError::NotPreparing(self.pipeline.id))
            }
        }
    }

    /// The preparation has come that far.
    pub(crate) fn prepare(&mut self, preparation: Preparation) {
        if let Preparation::Preparing { since } = self.pipeline.preparation {
            self.write.took(measure::PREPARED, since, self.at);
        }
        self.pipeline.preparation = preparation;
    }

    /// The preparation has ended with these jobs: stores them, as far as they can go at once.
    pub(crate) async fn plan(
        &mut self,
        plan: &Plan,
        uuids: &[JobUuid],
        warnings: Option<&str>,
    ) -> Result<()> {
        self.prepare(Preparation::Planned { at: self.at });
        self.pipeline.warnings = warnings.map(str::to_owned);
        let of = (self.pipeline.id, &self.pipeline.trigger);
        turn::insert(self.write.connection(), of, plan).await?;
        rerun::insert(self.write.connection(), self.pipeline.id, plan).await?;
        let mut uuids = uuids.iter();
        for workflow in &plan.workflows {
            let nodes: Vec<Node> = nodes(workflow.jobs.iter().map(|job| NodeSource {
                name: &job.name,
                state: &JobState::Blocked,
                readiness: Readiness::of(&job.kind),
                requires: &job.requires,
            }));
            let mut states = vec![JobState::Blocked; nodes.len()];
            for (place, event) in settle(&nodes, self.at) {
                states[place] = advance(&states[place], event)?;
            }
            for ((spec, uuid), state) in workflow.jobs.iter().zip(&mut uuids).zip(states) {
                let member = job::insert(
                    self.write.connection(),
                    (&self.pipeline, workflow),
                    (spec, *uuid),
                    state,
                    self.at,
                )
                .await?;
                self.events.push(event(&member.job));
                self.members.push(member);
            }
        }
        Ok(())
    }

    /// Something happened to a job.
    pub(crate) async fn apply(&mut self, id: JobId, event: JobEvent) -> Result<()> {
        let place = self
            .members
            .iter()
            .position(|member| member.job.id == id)
            .ok_or_else(|| StoreError::not_found("job", &id))?;
        let ends = matches!(event, JobEvent::Finish { .. });
        self.apply_at(place, event).await?;
        if ends {
            self.try_again(place).await?;
        }
        Ok(())
    }

    /// A job that ended is to run again, and what was skipped because of it is to wait for that.
    pub(crate) async fn retry(&mut self, id: JobId) -> Result<()> {
        let place = self
            .members
            .iter()
            .position(|member| member.job.id == id)
            .ok_or_else(|| StoreError::not_found("job", &id))?;
        let workflow = &self.members[place].job.workflow;
        let places: Vec<usize> = (0..self.members.len())
            .filter(|place| self.members[*place].job.workflow == *workflow)
            .collect();
        let in_workflow = places.iter().position(|other| *other == place);
        let in_workflow = in_workflow.ok_or_else(|| StoreError::not_found("job", &id))?;
        let nodes = self.nodes_of(&places);
        for (place, event) in model::retry(&nodes, in_workflow, self.at)? {
            self.apply_at(places[place], event).await?;
        }
        Ok(())
    }

    /// A job whose attempt failed gets another, if its plan grants it one: before anything follows from
    /// the failure.
    async fn try_again(&mut self, place: usize) -> Result<()> {
        let job = &self.members[place].job;
        let failed = match job.state.outcome() {
            Some(Outcome::Failure(_) | Outcome::Error(_)) => true,
            Some(Outcome::Success | Outcome::Canceled(_) | Outcome::Skipped { .. }) | None => false,
        };
        if failed && attempt::tries_again(self.write.connection(), job.id).await? {
            self.apply_at(place, JobEvent::Retry { at: self.at })
                .await?;
        }
        Ok(())
    }

    /// The same for each job that has not ended.
    pub(crate) async fn apply_to_all(&mut self, event: &JobEvent) -> Result<()> {
        self.apply_where(|_| true, event).await
    }

    /// The same for each of a workflow.
    pub(crate) async fn apply_to_workflow(
        &mut self,
        workflow: &str,
        event: &JobEvent,
    ) -> Result<()> {
        self.apply_where(|job| job.workflow == workflow, event)
            .await
    }

    async fn apply_where(&mut self, wanted: impl Fn(&Job) -> bool, event: &JobEvent) -> Result<()> {
        for place in 0..self.members.len() {
            let job = &self.members[place].job;
            if wanted(job) && !job.state.status().is_ended() {
                self.apply_at(place, event.clone()).await?;
            }
        }
        Ok(())
    }

    async fn apply_at(&mut self, place: usize, event: JobEvent) -> Result<()> {
        let job = &mut self.members[place].job;
        let next = advance(&job.state, event.clone())?;
        let before = std::mem::replace(&mut job.state, next);
        if before == job.state {
            return Ok(());
        }
        self.changed.insert(place);
        match (&before, &event) {
            (JobState::Queued { since, .. }, JobEvent::Claim { at, .. }) => {
                self.write.took(measure::QUEUED, *since, *at);
            }
            (
                JobState::Running { since, .. },
                JobEvent::Finish { at, .. } | JobEvent::Lose { at },
            ) => self.write.took(measure::RAN, *since, *at),
            (_, _) => {}
        }
        let steps = attempt::follow(self.write.connection(), job, &before, &event).await?;
        self.events.extend(steps);
        let told = |state: &JobState| (state.status(), state.attempt());
        if told(&before) != told(&job.state) {
            self.events.push(self::event(job));
        }
        Ok(())
    }

    /// Lets follow what follows, and stores all of it.
    pub(crate) async fn store(mut self) -> Result<Stored> {
        self.settle().await?;
        self.rerun().await?;
        for place in std::mem::take(&mut self.changed) {
            let job = &self.members[place].job;
            job::update(self.write.connection(), job.id, &job.state).await?;
        }
        turn::follow(self.write.connection(), self.pipeline.id, &self.members).await?;
        self.settle_pipeline();
        pipeline::update(&mut self.write, &self.pipeline).await?;
        self.write
            .record(self.pipeline.id, self.at, std::mem::take(&mut self.events))
            .await?;
        self.report().await?;
        self.write.commit().await?;
        Ok(Stored {
            pipeline: self.pipeline,
            jobs: self.members.into_iter().map(|member| member.job).collect(),
        })
    }

    async fn settle(&mut self) -> Result<()> {
        for places in self.workflows().into_values() {
            let nodes = self.nodes_of(&places);
            for (place, event) in settle(&nodes, self.at) {
                self.apply_at(places[place], event).await?;
            }
        }
        Ok(())
    }

    /// A workflow that ended with this change, and failed, runs again from what failed, if its plan grants it
    /// another run: before anybody hears that it ended.
    async fn rerun(&mut self) -> Result<()> {
        for ((_, workflow), places) in self.workflows() {
            if !places.iter().any(|place| self.changed.contains(place)) {
                continue;
            }
            let failed = rerun::failed(places.iter().map(|place| &self.members[*place].job));
            let id = self.pipeline.id;
            if failed.is_empty() || !rerun::take(self.write.connection(), id, &workflow).await? {
                continue;
            }
            for job in failed {
                match self.retry(job).await {
                    // What requires another of them must have failed by itself, and stays so for now.
                    Ok(()) | Err(StoreError::NotRetriable(_)) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    fn nodes_of(&self, places: &[usize]) -> Vec<Node> {
        nodes(places.iter().map(|place| {
            let member = &self.members[*place];
            NodeSource {
                name: &member.job.name,
                state: &member.job.state,
                readiness: member.readiness,
                requires: &member.requires,
            }
        }))
    }

    fn settle_pipeline(&mut self) {
        let state = self.state(None);
        let before = self.pipeline.status;
        self.pipeline.status = state.status();
        if !self.pipeline.status.is_ended() {
            self.pipeline.reason = None;
            self.pipeline.ended = None;
        } else if before != self.pipeline.status {
            self.pipeline.ended = Some(self.at);
            self.pipeline.reason = self.reason(state);
        }
        if before != self.pipeline.status {
            self.events.push(EventBody::Pipeline {
                status: self.pipeline.status,
                reason: self.pipeline.reason.clone(),
            });
        }
    }

    fn reason(&self, state: PipelineState) -> Option<String> {
        match (&self.pipeline.preparation, state.status()) {
            (_, Status::Success) => None,
            (Preparation::Ended { reason, .. }, _) => Some(reason.clone()),
            (_, _) => Some(self.status(state, None).description),
        }
    }

    /// Tells the forge what differs from what it was told last.
    async fn report(&mut self) -> Result<()> {
        let trigger = &self.pipeline.trigger;
        if trigger.forge.is_none() || trigger.commit.is_none() {
            return Ok(());
        }
        let workflows: Vec<String> = self.workflows().into_keys().map(|(_, name)| name).collect();
        let mut scopes = vec![None];
        if workflows.len() > 1 {
            scopes.extend(workflows.into_iter().map(Some));
        }
        let last = report::last(self.write.connection(), self.pipeline.id).await?;
        let statuses: Vec<(Option<String>, CommitStatus)> = scopes
            .into_iter()
            .map(|scope| {
                let status = self.status(self.state(scope.as_deref()), scope.as_deref());
                (scope, status)
            })
            .filter(|(scope, status)| last.get(scope.as_deref().unwrap_or("")) != Some(status))
            .collect();
        let reports: Vec<NewReport<'_>> = statuses
            .iter()
            .filter_map(|(scope, status)| {
                let (trigger, id) = (&self.pipeline.trigger, self.pipeline.id);
                NewReport::of(trigger, id, scope.as_deref(), status)
            })
            .collect();
        report::insert(&mut self.write, &reports, self.at).await
    }

    fn state(&self, workflow: Option<&str>) -> PipelineState {
        let states = self.of_workflow(workflow).map(|job| &job.state);
        pipeline_state(&self.pipeline.preparation, states)
    }

    fn status(&self, state: PipelineState, workflow: Option<&str>) -> CommitStatus {
        let jobs: Vec<(&str, &JobState)> = self
            .of_workflow(workflow)
            .map(|job| (job.name.as_str(), &job.state))
            .collect();
        CommitStatus::of(&self.pipeline.preparation, state, &jobs)
    }

    fn of_workflow(&self, workflow: Option<&str>) -> impl Iterator<Item = &Job> {
        self.members
            .iter()
            .map(|member| &member.job)
            .filter(move |job| workflow.is_none_or(|workflow| job.workflow == workflow))
    }

    /// The members of each workflow, in the order of the plan.
    fn workflows(&self) -> BTreeMap<(usize, String), Vec<usize>> {
        let mut first: HashMap<&str, usize> = HashMap::new();
        let mut workflows: BTreeMap<(usize, String), Vec<usize>> = BTreeMap::new();
        for (place, member) in self.members.iter().enumerate() {
            let name = member.job.workflow.as_str();
            let first = *first.entry(name).or_insert(place);
            workflows
                .entry((first, name.to_owned()))
                .or_default()
                .push(place);
        }
        workflows
    }
}

/// What `settle` has to know of a job, wherever it is kept.
struct NodeSource<'a> {
    name: &'a str,
    state: &'a JobState,
    readiness: Readiness,
    requires: &'a [Requirement],
}

/// One workflow's jobs, each requirement by its place.
fn nodes<'a>(jobs: impl Iterator<Item = NodeSource<'a>>) -> Vec<Node> {
    let jobs: Vec<NodeSource<'a>> = jobs.collect();
    let places: HashMap<&str, usize> = jobs
        .iter()
        .enumerate()
        .map(|(place, job)| (job.name, place))
        .collect();
    jobs.iter()
        .map(|job| Node {
            name: job.name.to_owned(),
            state: job.state.clone(),
            readiness: job.readiness,
            requires: job
                .requires
                .iter()
                .filter_map(|requirement| {
                    let place = places.get(requirement.job.as_str())?;
                    Some((*place, requirement.outcomes.clone()))
                })
                .collect(),
        })
        .collect()
}

/// What is told of a job that has another status.
pub(crate) fn event(job: &Job) -> EventBody {
    let outcome = job.state.outcome();
    EventBody::Job {
        job: job.id,
        uuid: job.uuid,
        name: job.name.clone(),
        workflow: job.workflow.clone(),
        status: job.state.status(),
        attempt: job.state.attempt(),
        exit_code: outcome.and_then(Outcome::exit_code),
        reason: outcome.and_then(Outcome::reason),
    }
}
