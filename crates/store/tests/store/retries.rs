//! Another attempt for a job that ended without success.

use model::{
    BuildSpec, CommitState, Failure, JobEvent, JobKind, JobSpec, Outcome, OutcomeKind, RunnerId,
    Status,
};
use sqlx::ConnectOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use store::{Job, StoreError};

use crate::world::{World, due, job, plan, planned, t, told_push};

async fn claim(world: &World, runner: RunnerId, now: i64) -> Job {
    let claim = world.store.claim_job(runner, None, t(now)).await.unwrap();
    claim.expect("a job is queued").job
}

async fn finish(world: &World, job: &Job, outcome: Outcome, now: i64) -> Job {
    let at = t(now);
    let finish = JobEvent::Finish { outcome, at };
    world.store.advance_job(job.id, finish).await.unwrap()
}

fn failure() -> Outcome {
    Outcome::Failure(Failure::OutOfMemory)
}

async fn statuses(world: &World, job: &Job) -> Vec<Status> {
    let jobs = world.store.jobs_of(job.pipeline).await.unwrap();
    jobs.iter().map(|job| job.state.status()).collect()
}

#[tokio::test]
async fn a_retried_job_runs_again_and_its_pipeline_goes_on() {
    let world = World::new().await;
    let store = &world.store;
    let runner = store.ensure_local_runner("here", 2, t(0)).await.unwrap();
    let jobs = vec![job("build", &[]), job("deploy", &["build"])];
    let (pipeline, _) = planned(store, told_push("a"), &plan(jobs), 10).await;
    let build = claim(&world, runner, 20).await;
    finish(&world, &build, failure(), 30).await;
    let ended = store.pipeline(pipeline.id).await.unwrap();
    assert_eq!((ended.status, ended.ended), (Status::Failure, Some(t(30))));
    assert_eq!(
        statuses(&world, &build).await,
        [Status::Failure, Status::Skipped]
    );

    let retried = store.retry_job(build.id, t(40)).await.unwrap();
    assert_eq!(retried.state.status(), Status::Queued);
    assert_eq!(
        statuses(&world, &build).await,
        [Status::Queued, Status::Blocked]
    );
    let going = store.pipeline(pipeline.id).await.unwrap();
    assert_eq!(
        (going.status, going.ended, going.reason),
        (Status::Running, None, None)
    );
    let told = due(store, 40).await.pop().unwrap().status;
    assert_eq!(told.state, CommitState::Pending);
    let again = store.retry_job(build.id, t(41)).await.unwrap_err();
    assert!(again.is_conflict());
    assert_eq!(
        again.to_string(),
        "job `build` has not ended yet: it is queued; cancel it first"
    );

    let second = claim(&world, runner, 50).await;
    assert_eq!((second.id, second.state.attempt()), (build.id, 2));
    finish(&world, &second, Outcome::Success, 60).await;
    let deploy = claim(&world, runner, 70).await;
    finish(&world, &deploy, Outcome::Success, 80).await;
    let ended = store.pipeline(pipeline.id).await.unwrap();
    assert_eq!((ended.status, ended.ended), (Status::Success, Some(t(80))));
    let attempts = store.attempts(build.id).await.unwrap();
    let ends: Vec<_> = attempts
        .into_iter()
        .map(|attempt| attempt.end.unwrap().outcome)
        .collect();
    assert_eq!(
        ends,
        [Some(OutcomeKind::Failure), Some(OutcomeKind::Success)]
    );
    let well = store.retry_job(build.id, t(90)).await.unwrap_err();
    assert!(matches!(well, StoreError::NotRetriable(_)), "{well}");
}

#[tokio::test]
async fn nothing_is_retried_whose_plan_is_gone() {
    let world = World::new().await;
    let store = &world.store;
    let runner = store.ensure_local_runner("here", 2, t(0)).await.unwrap();
    planned(store, told_push("a"), &plan(vec![job("build", &[])]), 10).await;
    let build = claim(&world, runner, 20).await;
    finish(&world, &build, failure(), 30).await;
    let file = world.folder.path().join("popsicle.db");
    let mut database: SqliteConnection = SqliteConnectOptions::new()
        .filename(file)
        .connect()
        .await
        .unwrap();
    sqlx::query("DELETE FROM plans")
        .execute(&mut database)
        .await
        .unwrap();
    let gone = store.retry_job(build.id, t(40)).await.unwrap_err();
    assert!(gone.is_conflict());
    assert_eq!(
        gone.to_string(),
        "the plan of pipeline 1 is not stored any more, so none of its jobs can be retried; rerun \
         the pipeline instead"
    );
    assert_eq!(statuses(&world, &build).await, [Status::Failure]);
}

#[tokio::test]
async fn a_job_that_may_fail_once_is_queued_again_before_anything_follows() {
    let world = World::new().await;
    let store = &world.store;
    let runner = store.ensure_local_runner("here", 2, t(0)).await.unwrap();
    let JobKind::Build(build) = job("flaky", &[]).kind else {
        unreachable!("it has steps")
    };
    let flaky = JobSpec {
        kind: JobKind::Build(Box::new(BuildSpec { retry: 1, ..*build })),
        ..job("flaky", &[])
    };
    let jobs = vec![flaky, job("deploy", &["flaky"])];
    planned(store, told_push("a"), &plan(jobs), 10).await;
    let first = claim(&world, runner, 20).await;
    let again = finish(&world, &first, failure(), 30).await;
    assert_eq!(again.state.status(), Status::Queued);
    assert_eq!(
        statuses(&world, &first).await,
        [Status::Queued, Status::Blocked]
    );
    let second = claim(&world, runner, 40).await;
    assert_eq!(second.state.attempt(), 2);
    finish(&world, &second, failure(), 50).await;
    assert_eq!(
        statuses(&world, &first).await,
        [Status::Failure, Status::Skipped]
    );
    // A person's word is worth one more.
    store.retry_job(first.id, t(60)).await.unwrap();
    let third = claim(&world, runner, 70).await;
    let ended = finish(&world, &third, failure(), 80).await;
    assert_eq!(ended.state.status(), Status::Failure);
}

/// A plan that grants its workflow so many runs after the first.
fn rerun(jobs: Vec<JobSpec>, max_auto_reruns: u32) -> model::Plan {
    let mut plan = plan(jobs);
    plan.workflows[0].max_auto_reruns = max_auto_reruns;
    plan
}

#[tokio::test]
async fn a_failed_workflow_runs_again_from_what_failed_as_often_as_it_may() {
    let mut world = World::new().await;
    let store = &world.store;
    let runner = store.ensure_local_runner("here", 2, t(0)).await.unwrap();
    let jobs = vec![
        job("lint", &[]),
        job("build", &[]),
        job("deploy", &["build"]),
    ];
    let (pipeline, _) = planned(store, told_push("a"), &rerun(jobs, 2), 10).await;
    let lint = claim(&world, runner, 20).await;
    let build = claim(&world, runner, 21).await;
    finish(&world, &build, failure(), 30).await;
    // Nothing runs again while it goes on.
    assert_eq!(
        statuses(&world, &build).await,
        [Status::Running, Status::Failure, Status::Skipped]
    );
    finish(&world, &lint, Outcome::Success, 40).await;
    assert_eq!(
        statuses(&world, &build).await,
        [Status::Success, Status::Queued, Status::Blocked]
    );
    let going = world.store.pipeline(pipeline.id).await.unwrap();
    assert_eq!((going.status, going.ended), (Status::Running, None));
    world.crash().await;
    for (now, status) in [(50, Status::Queued), (60, Status::Failure)] {
        let build = claim(&world, runner, now).await;
        assert_eq!(build.name, "build");
        let ended = finish(&world, &build, failure(), now + 1).await;
        assert_eq!(ended.state.status(), status);
    }
    let ended = world.store.pipeline(pipeline.id).await.unwrap();
    assert_eq!((ended.status, ended.ended), (Status::Failure, Some(t(61))));
}

#[tokio::test]
async fn a_canceled_workflow_does_not_run_again_by_itself() {
    let world = World::new().await;
    let store = &world.store;
    let runner = store.ensure_local_runner("here", 2, t(0)).await.unwrap();
    let jobs = vec![job("a", &[]), job("b", &[])];
    let (pipeline, _) = planned(store, told_push("a"), &rerun(jobs, 2), 10).await;
    let a = claim(&world, runner, 20).await;
    finish(&world, &a, failure(), 30).await;
    let reason = model::CancelReason::Interrupted;
    store
        .cancel_pipeline(pipeline.id, reason, t(40))
        .await
        .unwrap();
    assert_eq!(
        statuses(&world, &a).await,
        [Status::Failure, Status::Canceled]
    );
}
