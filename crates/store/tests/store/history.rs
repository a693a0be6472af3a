//! Random histories, legal and not, against a plain model (`memory`). After each operation all that can be
//! seen of the store must be what the model has, also after a restart and after a
//! crash.

use std::collections::BTreeSet;

use model::{
    CancelReason, CommitStatus, Failure, Fault, FaultKind, ForgeKind, JobEvent, JobId, JobKind,
    JobSpec, Outcome, OutcomeKind, PipelineId, Plan, Requirement, RunnerId, Status, Trigger,
    WorkflowSpec,
};
use proptest::prelude::*;
use store::StoreError;

use crate::memory::{Model, Refused, id_of};
use crate::world::{
    World, approval, delivered_push, due, events, job, point, push, t, told_push, uuids,
};

/// What can be done; places are taken modulo what there is.
#[derive(Clone, Debug)]
enum Op {
    Create(Vec<NewTrigger>),
    ClaimPreparation,
    RequeuePreparations,
    StorePlan(u8, Plan),
    EndPreparation(u8, OutcomeKind),
    ClaimJob,
    Finish(u8, Outcome),
    Lose(u8),
    Retry(u8),
    Approve(u8),
    CancelJob(u8),
    CancelPipeline(u8),
    Reopen,
    Crash,
}

#[derive(Clone, Debug)]
enum NewTrigger {
    Local,
    Told,
    Delivered(u8),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        3 => prop::collection::vec(new_trigger(), 1..4).prop_map(Op::Create),
        4 => Just(Op::ClaimPreparation),
        1 => Just(Op::RequeuePreparations),
        4 => (any::<u8>(), plan()).prop_map(|(place, plan)| Op::StorePlan(place, plan)),
        1 => (any::<u8>(), prop_oneof![Just(OutcomeKind::Failure), Just(OutcomeKind::Error)])
            .prop_map(|(place, outcome)| Op::EndPreparation(place, outcome)),
        8 => Just(Op::ClaimJob),
        8 => (any::<u8>(), outcome()).prop_map(|(place, outcome)| Op::Finish(place, outcome)),
        2 => any::<u8>().prop_map(Op::Lose),
        4 => any::<u8>().prop_map(Op::Retry),
        3 => any::<u8>().prop_map(Op::Approve),
        2 => any::<u8>().prop_map(Op::CancelJob),
        1 => any::<u8>().prop_map(Op::CancelPipeline),
        1 => Just(Op::Reopen),
        1 => Just(Op::Crash),
    ]
}

fn new_trigger() -> impl Strategy<Value = NewTrigger> {
    prop_oneof![
        Just(NewTrigger::Local),
        Just(NewTrigger::Told),
        (0..4_u8).prop_map(NewTrigger::Delivered),
    ]
}

fn outcome() -> impl Strategy<Value = Outcome> {
    let step = Failure::Step {
        index: 0,
        name: "test".into(),
        exit_code: 2,
    };
    let fault = Fault {
        kind: FaultKind::Executor,
        message: "no engine".into(),
    };
    prop_oneof![
        4 => Just(Outcome::Success),
        2 => Just(Outcome::Failure(step)),
        1 => Just(Outcome::Failure(Failure::OutOfMemory)),
        1 => Just(Outcome::Error(fault)),
    ]
}

/// Workflows of jobs that require some of those before them.
fn plan() -> impl Strategy<Value = Plan> {
    let needs = prop_oneof![
        4 => Just(vec![OutcomeKind::Success]),
        1 => Just(vec![OutcomeKind::Failure]),
        1 => Just(vec![OutcomeKind::Success, OutcomeKind::Failure, OutcomeKind::Canceled]),
    ];
    let job = (0..10_u8, prop::collection::vec((any::<u8>(), needs), 0..3));
    let workflow = prop::collection::vec(job, 0..6);
    prop::collection::vec(workflow, 0..3).prop_map(|workflows| {
        let workflow = |(number, jobs): (usize, Vec<_>)| {
            let jobs = jobs.into_iter().enumerate();
            let jobs = jobs.map(|(place, job)| spec(place, job)).collect();
            WorkflowSpec::new(format!("workflow-{number}"), jobs)
        };
        Plan::from(
            workflows
                .into_iter()
                .enumerate()
                .map(workflow)
                .collect::<Vec<_>>(),
        )
    })
}

/// Some get another attempt of themselves.
fn trying_again(mut spec: JobSpec, retry: u32) -> JobSpec {
    if let JobKind::Build(build) = &mut spec.kind {
        build.retry = retry;
    }
    spec
}

fn spec(place: usize, (kind, needs): (u8, Vec<(u8, Vec<OutcomeKind>)>)) -> JobSpec {
    let name = format!("job-{place}");
    let spec = match kind {
        0 => point(&name, &[]),
        1 | 2 => approval(&name, &[]),
        3 | 4 => trying_again(job(&name, &[]), 1),
        _ => job(&name, &[]),
    };
    let requires = needs
        .into_iter()
        .filter(|_| place > 0)
        .map(|(earlier, outcomes)| Requirement {
            job: format!("job-{}", usize::from(earlier) % place),
            outcomes: outcomes.into_iter().collect::<BTreeSet<_>>(),
        })
        .collect();
    JobSpec { requires, ..spec }
}

fn asked() -> CancelReason {
    CancelReason::Requested {
        by: Some("octocat".into()),
    }
}

/// Both, side by side.
struct History {
    world: World,
    model: Model,
    runner: RunnerId,
    /// What forges were told.
    delivered: Vec<(PipelineId, Option<String>, CommitStatus)>,
    plans: u64,
    triggers: u64,
}

impl History {
    async fn new() -> Self {
        let world = World::new().await;
        let runner = world
            .store
            .ensure_local_runner("localhost", 2, t(0))
            .await
            .unwrap();
        let (model, delivered) = (Model::default(), Vec::new());
        Self {
            world,
            model,
            runner,
            delivered,
            plans: 0,
            triggers: 0,
        }
    }

    async fn perform(&mut self, op: Op) {
        self.model.now = t(self.model.now.as_millis() + 1000);
        let (now, at) = (self.model.now, self.model.now);
        let store = self.world.store.clone();
        match op {
            Op::Create(new) => {
                let triggers: Vec<Trigger> = new.iter().map(|new| self.trigger(new)).collect();
                let created = store.create_pipelines(&triggers, now).await.unwrap();
                let mut expected = Vec::new();
                for trigger in triggers {
                    let made = self.model.create(trigger);
                    expected.push(made);
                    if !made.repeated {
                        self.model.tell_pipeline(made.id);
                    }
                }
                assert_eq!(created, expected);
            }
            Op::ClaimPreparation => {
                let claimed = store.claim_preparation(&[], now).await.unwrap();
                assert_eq!(
                    claimed.map(|pipeline| pipeline.id),
                    self.model.claim_preparation()
                );
            }
            Op::RequeuePreparations => {
                assert_eq!(
                    store.requeue_preparations().await.unwrap(),
                    self.model.requeue()
                );
            }
            Op::StorePlan(place, plan) => {
                let Some(id) = self.pipeline_at(place) else {
                    return;
                };
                self.plans += 1;
                let ids = uuids(self.plans, plan.jobs().count());
                let stored = store
                    .store_plan(id, &plan, &ids, Some("careful"), now)
                    .await;
                agree(&stored, &self.model.store_plan(id, &plan, &ids));
            }
            Op::EndPreparation(place, outcome) => {
                let Some(id) = self.pipeline_at(place) else {
                    return;
                };
                let ended = store
                    .end_preparation(id, outcome, "no config\nat all", now)
                    .await;
                agree(&ended, &self.model.end_preparation(id, outcome));
            }
            Op::ClaimJob => {
                let claimed = store.claim_job(self.runner, None, now).await.unwrap();
                let expected = self.model.claim_job(self.runner);
                assert_eq!(
                    claimed.as_ref().map(|claim| claim.job.id),
                    expected.map(id_of)
                );
                if let (Some(claim), Some(place)) = (claimed, expected) {
                    assert_eq!(claim.spec, self.model.jobs[place].spec);
                    assert_eq!(claim.job.state, self.model.jobs[place].state);
                    assert_eq!(claim.pipeline.id, self.model.jobs[place].pipeline);
                }
            }
            Op::Finish(place, outcome) => {
                self.happen(place, JobEvent::Finish { outcome, at }).await;
            }
            Op::Lose(place) => self.happen(place, JobEvent::Lose { at }).await,
            Op::Retry(place) => {
                let Some(place) = self.ended_job_at(place) else {
                    return;
                };
                let retried = store.retry_job(id_of(place), now).await;
                if let Ok(job) = &retried {
                    assert_eq!(job.id, id_of(place));
                }
                agree(&retried, &self.model.retry(place));
            }
            Op::Approve(place) => self.happen(place, JobEvent::Approve { at }).await,
            Op::CancelJob(place) => {
                let Some(place) = self.job_at(place) else {
                    return;
                };
                let canceled = store.cancel_job(id_of(place), asked(), now).await;
                let event = JobEvent::Cancel {
                    reason: asked(),
                    at,
                };
                agree(&canceled, &self.model.apply(place, event));
            }
            Op::CancelPipeline(place) => {
                let Some(id) = self.pipeline_at(place) else {
                    return;
                };
                let canceled = store.cancel_pipeline(id, asked(), now).await;
                let refused = self.model.cancel_pipeline(id, &asked());
                if let Ok(running) = &canceled {
                    let expected: Vec<JobId> = (0..self.model.jobs.len())
                        .filter(|place| {
                            let job = &self.model.jobs[*place];
                            job.pipeline == id && job.state.status() == Status::Running
                        })
                        .map(id_of)
                        .collect();
                    let running: Vec<JobId> = running.iter().map(|job| job.id).collect();
                    assert_eq!(running, expected);
                }
                agree(&canceled, &refused);
            }
            Op::Reopen => self.world.reopen().await,
            Op::Crash => self.world.crash().await,
        }
    }

    /// Each of a commit of its own, so that none waits for another's report.
    fn trigger(&mut self, new: &NewTrigger) -> Trigger {
        let trigger = match new {
            NewTrigger::Local => push("local"),
            NewTrigger::Told => told_push("told"),
            NewTrigger::Delivered(id) => delivered_push("told", &id.to_string()),
        };
        self.triggers += 1;
        let commit = format!("{:040x}", self.triggers).parse().unwrap();
        Trigger {
            commit: Some(commit),
            ..trigger
        }
    }

    async fn happen(&mut self, place: u8, event: JobEvent) {
        let Some(place) = self.job_at(place) else {
            return;
        };
        let advanced = self
            .world
            .store
            .advance_job(id_of(place), event.clone())
            .await;
        agree(&advanced, &self.model.apply(place, event));
    }

    fn pipeline_at(&self, place: u8) -> Option<PipelineId> {
        let count = self.model.pipelines.len();
        // The newest ones, so that histories go on instead of beginning.
        let place = count.checked_sub(1 + usize::from(place) % count.clamp(1, 4))?;
        Some(self.model.pipelines[place].id)
    }

    /// Mostly a job to which something can happen.
    fn job_at(&self, place: u8) -> Option<usize> {
        let alive: Vec<usize> = (0..self.model.jobs.len())
            .filter(|job| {
                let status = self.model.jobs[*job].state.status();
                matches!(status, Status::Running | Status::OnHold) || *job % 5 == 0
            })
            .collect();
        alive.get(usize::from(place) % alive.len().max(1)).copied()
    }

    /// Mostly a job that can be retried.
    fn ended_job_at(&self, place: u8) -> Option<usize> {
        let ended: Vec<usize> = (0..self.model.jobs.len())
            .filter(|job| {
                let status = self.model.jobs[*job].state.status();
                let can = [Status::Failure, Status::Error, Status::Canceled];
                can.contains(&status) || *job % 4 == 0
            })
            .collect();
        ended.get(usize::from(place) % ended.len().max(1)).copied()
    }

    async fn compare(&mut self) {
        let store = &self.world.store;
        for expected in &self.model.pipelines {
            let found = store.pipeline(expected.id).await.unwrap();
            assert_eq!(found.trigger, expected.trigger);
            assert_eq!(found.preparation, expected.preparation);
            assert_eq!(found.status, expected.status);
            assert_eq!(
                (found.started, found.ended),
                (expected.started, expected.ended)
            );
            let jobs = store.jobs_of(expected.id).await.unwrap();
            let states: Vec<_> = jobs.into_iter().map(|job| (job.id, job.state)).collect();
            let expected: Vec<_> = (0..self.model.jobs.len())
                .filter(|place| self.model.jobs[*place].pipeline == expected.id)
                .map(|place| (id_of(place), self.model.jobs[place].state.clone()))
                .collect();
            assert_eq!(states, expected);
        }
        for (place, job) in self.model.jobs.iter().enumerate() {
            let attempts = store.attempts(id_of(place)).await.unwrap();
            let numbers: Vec<u32> = attempts.iter().map(|attempt| attempt.number).collect();
            assert_eq!(numbers, (1..=job.state.attempt()).collect::<Vec<_>>());
            let ends: Vec<_> = attempts
                .into_iter()
                .filter_map(|attempt| attempt.end.map(|end| end.outcome))
                .collect();
            assert_eq!(ends, job.ends);
        }
        let found: Vec<_> = events(store)
            .await
            .into_iter()
            .map(|event| (event.pipeline, event.body))
            .collect();
        assert_eq!(found, self.model.events);

        while let reports @ [_, ..] = &due(store, self.model.now.as_millis()).await[..] {
            for report in reports {
                assert_eq!(report.forge, ForgeKind::Github);
                store
                    .report_delivered(report.id, self.model.now)
                    .await
                    .unwrap();
                let scope = report.workflow.clone();
                self.delivered
                    .push((report.pipeline, scope, report.status.clone()));
            }
        }
        // The order counts within a scope, not between scopes.
        let by_scope = |reports: &[(PipelineId, Option<String>, CommitStatus)]| {
            let mut reports = reports.to_vec();
            reports.sort_by_key(|(id, scope, _)| (*id, scope.clone()));
            reports
        };
        assert_eq!(by_scope(&self.delivered), by_scope(&self.model.reports));
    }
}

/// Both let it happen, or both refuse it for the same reason.
fn agree<T: std::fmt::Debug>(found: &Result<T, StoreError>, expected: &Result<(), Refused>) {
    match (found, expected) {
        (Ok(_), Ok(()))
        | (Err(StoreError::Illegal(_)), Err(Refused::Illegal))
        | (Err(StoreError::AlreadyEnded { .. }), Err(Refused::Ended))
        | (Err(StoreError::NotPreparing(_)), Err(Refused::NotPreparing))
        | (Err(StoreError::NotRetriable(_)), Err(Refused::NotRetriable)) => {}
        _ => panic!("{found:?}, but {expected:?} was expected"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 48,
        max_shrink_iters: 400,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_history_is_remembered_as_it_was(ops in prop::collection::vec(op(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut history = History::new().await;
            for op in ops {
                history.perform(op).await;
                history.compare().await;
            }
        });
    }
}
