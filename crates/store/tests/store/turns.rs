//! Groups of which only one runs at a time.

use model::{
    CancelReason, Concurrency, JobEvent, JobKind, JobSpec, Outcome, Plan, PullRequest, RunnerId,
    Status, Trigger, WorkflowSpec,
};
use store::{Job, Store};

use crate::world::{World, job, plan, planned, push, t};

/// A plan of these jobs whose workflow shares the group `deploy`.
fn grouped(jobs: &[&str], cancel_in_progress: bool) -> Plan {
    let mut plan = plan(jobs.iter().map(|name| job(name, &[])).collect());
    plan.workflows[0].concurrency = Some(Concurrency {
        group: "deploy".into(),
        cancel_in_progress,
    });
    plan
}

fn serial(name: &str) -> JobSpec {
    let mut spec = job(name, &[]);
    if let JobKind::Build(build) = &mut spec.kind {
        build.serial_group = Some("production".into());
    }
    spec
}

async fn runner(store: &Store) -> RunnerId {
    store.ensure_local_runner("here", 9, t(0)).await.unwrap()
}

/// The next job that may run, if one may.
async fn next(store: &Store, now: i64) -> Option<Job> {
    let runner = runner(store).await;
    let claim = store.claim_job(runner, None, t(now)).await.unwrap();
    claim.map(|claim| claim.job)
}

async fn end(store: &Store, job: &Job, outcome: Outcome, now: i64) {
    let at = t(now);
    let finish = JobEvent::Finish { outcome, at };
    store.advance_job(job.id, finish).await.unwrap();
}

#[tokio::test]
async fn one_workflow_of_a_group_runs_at_a_time_in_order() {
    let mut world = World::new().await;
    let of = async |trigger: Trigger, now| {
        let planned = planned(&world.store, trigger, &grouped(&["a", "b"], false), now).await;
        planned.0.id
    };
    let (first, second) = (of(push("x"), 10).await, of(push("x"), 20).await);
    let third = of(push("x"), 30).await;
    let other = of(push("y"), 40).await;
    let store = &world.store;
    let mut jobs = Vec::new();
    while let Some(job) = next(store, 50).await {
        jobs.push(job);
    }
    // Another project's group is another one.
    let pipelines: Vec<_> = jobs.iter().map(|job| job.pipeline).collect();
    assert_eq!(pipelines, [first, other, first, other]);
    let (a, b) = (&jobs[0], &jobs[2]);
    end(store, a, Outcome::Success, 60).await;
    assert_eq!(next(store, 61).await, None, "the first has not ended");

    world.crash().await;
    let store = &world.store;
    assert_eq!(next(store, 62).await, None);
    end(store, b, Outcome::Success, 63).await;
    let a = next(store, 64).await.unwrap();
    assert_eq!(a.pipeline, second);
    // What is canceled while it waits or runs gives way.
    let reason = CancelReason::Interrupted;
    let running = store.cancel_pipeline(second, reason, t(70)).await.unwrap();
    assert_eq!(running.len(), 1);
    assert_eq!(next(store, 71).await, None, "it runs still");
    end(store, &a, Outcome::Success, 72).await;
    assert_eq!(next(store, 73).await.unwrap().pipeline, third);
}

#[tokio::test]
async fn a_retried_workflow_waits_for_its_next_turn() {
    let world = World::new().await;
    let store = &world.store;
    let plan = grouped(&["a"], false);
    planned(store, push("x"), &plan, 10).await;
    let a = next(store, 20).await.unwrap();
    end(store, &a, Outcome::Failure(model::Failure::OutOfMemory), 30).await;
    let (second, _) = planned(store, push("x"), &plan, 40).await;
    let b = next(store, 50).await.unwrap();
    assert_eq!(b.pipeline, second.id);
    store.retry_job(a.id, t(60)).await.unwrap();
    assert_eq!(next(store, 61).await, None);
    end(store, &b, Outcome::Success, 70).await;
    assert_eq!(next(store, 71).await.map(|job| job.id), Some(a.id));
}

#[tokio::test]
async fn a_newer_workflow_ends_older_ones_if_it_says_so() {
    let world = World::new().await;
    let store = &world.store;
    let (first, _) = planned(store, push("x"), &grouped(&["a", "b"], false), 10).await;
    let running = next(store, 20).await.unwrap();
    let (second, _) = planned(store, push("x"), &grouped(&["a"], false), 30).await;
    assert_eq!(store.cancel_superseded(t(40)).await.unwrap(), []);
    let (third, _) = planned(store, push("x"), &grouped(&["a"], true), 50).await;
    let stopping = store.cancel_superseded(t(60)).await.unwrap();
    let stopping: Vec<_> = stopping.iter().map(|job| job.id).collect();
    assert_eq!(stopping, [running.id]);
    let status = async |id| store.pipeline(id).await.unwrap().status;
    assert_eq!(status(second.id).await, Status::Canceled);
    assert_eq!(next(store, 61).await, None, "the first runs still");
    end(store, &running, Outcome::Success, 70).await;
    assert_eq!(status(first.id).await, Status::Canceled);
    let reason = store.job(running.id).await.unwrap().state;
    let reason = reason.outcome().and_then(Outcome::reason).unwrap();
    assert!(
        reason.contains(&format!("pipeline {}", third.id)),
        "{reason}"
    );
    assert_eq!(next(store, 71).await.unwrap().pipeline, third.id);
    assert_eq!(store.cancel_superseded(t(80)).await.unwrap(), []);
}

#[tokio::test]
async fn a_succession_ends_the_workflows_of_that_name_that_have_no_group() {
    let world = World::new().await;
    let store = &world.store;
    let pushed = async |succession: Option<&str>, now| {
        let own = Concurrency {
            group: "deploy".into(),
            cancel_in_progress: false,
        };
        let mut plan = Plan::from(vec![
            WorkflowSpec::new("test", vec![job("test", &[])]),
            WorkflowSpec {
                concurrency: Some(own),
                ..WorkflowSpec::new("deploy", vec![job("deploy", &[])])
            },
        ]);
        plan.succession = succession.map(str::to_owned);
        planned(store, push("x"), &plan, now).await.0.id
    };
    let first = pushed(Some("push a"), 10).await;
    let other = pushed(Some("push b"), 20).await;
    let rerun = pushed(None, 30).await;
    assert_eq!(store.cancel_superseded(t(35)).await.unwrap(), []);
    let newer = pushed(Some("push a"), 40).await;
    store.cancel_superseded(t(50)).await.unwrap();
    let statuses = async |id| {
        let jobs = store.jobs_of(id).await.unwrap();
        let statuses = jobs.iter().map(|job| job.state.status());
        <[Status; 2]>::try_from(statuses.collect::<Vec<_>>()).unwrap()
    };
    use Status::{Canceled, Queued};
    assert_eq!(statuses(first).await, [Canceled, Queued]);
    for id in [other, rerun, newer] {
        assert_eq!(statuses(id).await, [Queued, Queued]);
    }
}

#[tokio::test]
async fn jobs_of_a_serial_group_run_one_after_another_on_the_whole_server() {
    let world = World::new().await;
    let store = &world.store;
    planned(
        store,
        push("x"),
        &plan(vec![serial("deploy"), job("test", &[])]),
        10,
    )
    .await;
    let (other, _) = planned(store, push("y"), &plan(vec![serial("release")]), 20).await;
    let deploy = next(store, 30).await.unwrap();
    assert_eq!(deploy.name, "deploy");
    assert_eq!(next(store, 31).await.unwrap().name, "test");
    assert_eq!(next(store, 32).await, None);
    end(store, &deploy, Outcome::Success, 40).await;
    assert_eq!(next(store, 41).await.unwrap().pipeline, other.id);
}

#[tokio::test]
async fn a_group_of_jobs_takes_its_turn_as_a_whole() {
    let mut world = World::new().await;
    let mut after = serial("ship/after");
    after.requires = vec![model::Requirement::success_of("ship/first")];
    let ship = plan(vec![
        serial("ship/first"),
        serial("ship/beside"),
        after,
        job("shipment", &[]),
    ]);
    let (first, _) = planned(&world.store, push("x"), &ship, 10).await;
    let (second, _) = planned(&world.store, push("x"), &ship, 20).await;
    let of = |job: &Job| (job.pipeline, job.name.clone());
    let mut running = Vec::new();
    while let Some(job) = next(&world.store, 30).await {
        running.push(job);
    }
    let begun: Vec<_> = running.iter().map(of).collect();
    let expected = [
        (first.id, "ship/first"),
        (first.id, "ship/beside"),
        (first.id, "shipment"),
        (second.id, "shipment"),
    ];
    assert_eq!(begun, expected.map(|(id, name)| (id, name.to_owned())));
    for job in &running[..3] {
        end(&world.store, job, Outcome::Success, 40).await;
    }
    world.crash().await;
    // Between two jobs of the first group, none of the second comes.
    let after = next(&world.store, 50).await.unwrap();
    assert_eq!(of(&after), (first.id, "ship/after".to_owned()));
    assert_eq!(next(&world.store, 51).await, None);
    end(&world.store, &after, Outcome::Success, 60).await;
    let then = next(&world.store, 70).await.unwrap();
    assert_eq!(of(&then), (second.id, "ship/first".to_owned()));
}

#[tokio::test]
async fn a_pull_request_of_a_fork_holds_up_nobody_but_itself() {
    let world = World::new().await;
    let store = &world.store;
    let mut all = grouped(&["a"], true);
    all.workflows[0].jobs.push(serial("deploy"));
    let mut of_fork = push("x");
    of_fork.pull_request = Some(PullRequest {
        number: 7,
        base_branch: "main".into(),
        from_fork: true,
        fork: None,
        fetch_ref: "refs/pull/7/head".into(),
        url: None,
    });
    planned(store, push("x"), &all, 10).await;
    let (first, _) = planned(store, of_fork.clone(), &all, 20).await;
    assert_eq!(store.cancel_superseded(t(30)).await.unwrap(), []);
    for _ in 0..4 {
        assert!(next(store, 40).await.is_some());
    }
    planned(store, of_fork, &all, 50).await;
    let stopping = store.cancel_superseded(t(60)).await.unwrap();
    let stopping: Vec<_> = stopping.iter().map(|job| job.pipeline).collect();
    assert_eq!(stopping, [first.id; 2]);
}
