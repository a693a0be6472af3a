//! What can't be read is ended with an error, and everybody else goes on.

use model::{CommitState, EventBody, JobEvent, Outcome, RunnerId, Status, StepState};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions};
use store::{Page, Pipeline, PipelineFilter, StepChange, StoreError};

use crate::world::{World, due, events, job, plan, planned, push, t, told_push};

async fn runner(world: &World) -> RunnerId {
    let store = &world.store;
    store
        .ensure_local_runner("localhost", 9, t(0))
        .await
        .unwrap()
}

/// What somebody does by hand.
async fn by_hand(world: &World, sql: &str) {
    let path = world.folder.path().join("popsicle.db");
    let mut connection: SqliteConnection = SqliteConnectOptions::new()
        .filename(path)
        .connect()
        .await
        .unwrap();
    let changed = sqlx::query(AssertSqlSafe(sql.to_owned()))
        .execute(&mut connection)
        .await
        .unwrap();
    assert_eq!(changed.rows_affected(), 1, "{sql}");
}

#[tokio::test]
async fn a_queued_job_whose_spec_can_not_be_read_ends_and_the_next_is_claimed() {
    let world = World::new().await;
    let runner = runner(&world).await;
    let jobs = plan(vec![
        job("bad", &[]),
        job("good", &[]),
        job("then", &["bad"]),
    ]);
    let (pipeline, jobs) = planned(&world.store, push("a"), &jobs, 1).await;
    by_hand(&world, "UPDATE jobs SET spec = '{' WHERE job_name = 'bad'").await;

    let claim = world
        .store
        .claim_job(runner, None, t(10))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(claim.job.name, "good");
    let bad = world.store.job(jobs[0].id).await.unwrap();
    assert_eq!(bad.state.status(), Status::Error);
    let reason = bad.state.outcome().and_then(Outcome::reason).unwrap();
    assert!(
        reason.starts_with("the stored spec of job 1 can't be read: "),
        "{reason}"
    );
    let attempts = world.store.attempts(bad.id).await.unwrap();
    assert_eq!(attempts.len(), 1);
    assert!(attempts[0].end.is_some());
    let then = world.store.job(jobs[2].id).await.unwrap();
    assert_eq!(then.state.status(), Status::Skipped);

    let finish = JobEvent::Finish {
        outcome: Outcome::Success,
        at: t(20),
    };
    world.store.advance_job(claim.job.id, finish).await.unwrap();
    let ended = world.store.pipeline(pipeline.id).await.unwrap();
    assert_eq!(ended.status, Status::Error);
}

#[tokio::test]
async fn a_pipeline_that_can_not_be_taken_up_ends_whatever_is_wrong_with_it() {
    for wrong in [
        "UPDATE jobs SET state = '{' WHERE job_name = 'bad'",
        "UPDATE jobs SET requires = '?' WHERE job_name = 'then'",
        "UPDATE jobs SET uuid = 'none' WHERE job_name = 'then'",
        "UPDATE pipelines SET cause = '{}' WHERE id = 1",
        "UPDATE pipelines SET preparation = '' WHERE id = 1",
        "UPDATE pipelines SET status = 'well' WHERE id = 1",
    ] {
        let world = World::new().await;
        let runner = runner(&world).await;
        let jobs = plan(vec![job("bad", &[]), job("then", &["bad"])]);
        planned(&world.store, told_push("a"), &jobs, 1).await;
        planned(&world.store, push("b"), &plan(vec![job("good", &[])]), 5).await;
        by_hand(&world, wrong).await;

        let claim = world.store.claim_job(runner, None, t(10)).await.unwrap();
        assert_eq!(claim.unwrap().job.name, "good", "{wrong}");
        assert_eq!(
            world.store.claim_job(runner, None, t(11)).await.unwrap(),
            None
        );
        let told = events(&world.store).await;
        let ended = told.iter().find_map(|event| match &event.body {
            EventBody::Pipeline {
                status: Status::Error,
                reason,
            } => Some((event.pipeline.0, reason.clone().unwrap())),
            EventBody::Pipeline { .. } | EventBody::Job { .. } | EventBody::Step { .. } => None,
        });
        let (pipeline, reason) = ended.unwrap();
        assert_eq!(pipeline, 1, "{wrong}");
        assert!(reason.contains("can't be read"), "{reason}");
        // The forge hears of it: first what waited, then this.
        let first = due(&world.store, 20).await;
        assert_eq!(first[0].status.state, CommitState::Pending);
        world
            .store
            .report_delivered(first[0].id, t(21))
            .await
            .unwrap();
        let last = due(&world.store, 22).await;
        assert_eq!(last[0].status.state, CommitState::Error, "{wrong}");
        assert!(last[0].status.description.contains("can't be read"));
    }
}

#[tokio::test]
async fn a_running_job_that_can_not_be_read_ends_and_the_others_are_found() {
    for wrong in [
        "UPDATE jobs SET spec = '{' WHERE job_name = 'bad'",
        "UPDATE jobs SET state = '{' WHERE job_name = 'bad'",
        "UPDATE pipelines SET cause = '{' WHERE id = 1",
    ] {
        let world = World::new().await;
        let runner = runner(&world).await;
        planned(&world.store, push("a"), &plan(vec![job("bad", &[])]), 1).await;
        planned(&world.store, push("b"), &plan(vec![job("good", &[])]), 5).await;
        for _ in 0..2 {
            world
                .store
                .claim_job(runner, None, t(10))
                .await
                .unwrap()
                .unwrap();
        }
        by_hand(&world, wrong).await;

        for _ in 0..2 {
            let running = world.store.running_jobs(runner, t(20)).await.unwrap();
            let names: Vec<_> = running.iter().map(|claim| &claim.job.name).collect();
            assert_eq!(names, ["good"], "{wrong}");
        }
        let bad = world.store.job(model::JobId(1)).await.unwrap();
        assert_eq!(bad.state.status(), Status::Error);
        assert_eq!(bad.state.attempt(), 1);
        let attempts = world.store.attempts(bad.id).await.unwrap();
        assert!(attempts[0].end.is_some(), "{wrong}");
    }
}

#[tokio::test]
async fn a_preparation_that_can_not_be_read_ends_and_the_next_is_claimed() {
    let world = World::new().await;
    let store = &world.store;
    let created = store
        .create_pipelines(&[push("a"), push("b")], t(1))
        .await
        .unwrap();
    by_hand(&world, "UPDATE pipelines SET cause = '{' WHERE id = 1").await;
    let claimed = store.claim_preparation(&[], t(2)).await.unwrap().unwrap();
    assert_eq!(claimed.id, created[1].id);
    assert_eq!(store.claim_preparation(&[], t(3)).await.unwrap(), None);
    assert_eq!(events(store).await.len(), 3);
}

#[tokio::test]
async fn the_end_of_a_job_whose_neighbour_can_not_be_read_ends_them_all() {
    let world = World::new().await;
    let runner = runner(&world).await;
    let jobs = plan(vec![job("a", &[]), job("b", &["a"])]);
    planned(&world.store, push("a"), &jobs, 1).await;
    let claim = world
        .store
        .claim_job(runner, None, t(5))
        .await
        .unwrap()
        .unwrap();
    by_hand(&world, "UPDATE jobs SET state = '{' WHERE job_name = 'b'").await;
    let finish = JobEvent::Finish {
        outcome: Outcome::Success,
        at: t(6),
    };
    let step = StepChange {
        index: 0,
        name: "test".into(),
        state: StepState::Running { since: t(5) },
        log_start: 0,
        log_end: None,
    };
    let store = &world.store;
    store
        .record_steps(claim.job.id, 1, &[step], t(5))
        .await
        .unwrap();
    let before = store.last_event().await.unwrap();
    let error = world.store.advance_job(claim.job.id, finish).await;
    assert!(
        matches!(error, Err(StoreError::Corrupt { .. })),
        "{error:?}"
    );
    assert_eq!(store.running_jobs(runner, t(7)).await.unwrap(), []);
    for job in world.store.jobs_of(claim.pipeline.id).await.unwrap() {
        assert_eq!(job.state.status(), Status::Error, "{}", job.name);
    }
    let told: Vec<String> = store
        .events_after(before, 9)
        .await
        .unwrap()
        .iter()
        .map(|event| match &event.body {
            EventBody::Pipeline { status, .. } => format!("pipeline {status}"),
            EventBody::Job { name, status, .. } => format!("{name} {status}"),
            EventBody::Step { step, .. } => format!("step {}", step.status()),
        })
        .collect();
    assert_eq!(
        told,
        ["step failure", "a error", "b error", "pipeline error"]
    );
}

#[tokio::test]
async fn a_list_leaves_out_what_can_not_be_read() {
    let world = World::new().await;
    let store = &world.store;
    for (at, name) in ["a", "b", "c"].into_iter().enumerate() {
        let at = i64::try_from(at).unwrap() * 10;
        planned(store, push(name), &plan(vec![job(name, &[])]), at).await;
    }
    by_hand(&world, "UPDATE pipelines SET cause = '{' WHERE id = 2").await;
    by_hand(&world, "UPDATE jobs SET state = '{' WHERE id = 2").await;
    let two = Page {
        limit: 2,
        cursor: None,
    };
    let pipelines = store.pipelines(&PipelineFilter::default(), &two).await;
    let first = pipelines.unwrap();
    let rest = Page {
        cursor: first.next.clone(),
        ..two.clone()
    };
    let pipelines = store.pipelines(&PipelineFilter::default(), &rest).await;
    let second = pipelines.unwrap();
    let ids = |items: &[Pipeline]| -> Vec<i64> { items.iter().map(|item| item.id.0).collect() };
    assert_eq!((ids(&first.items), ids(&second.items)), (vec![3], vec![1]));
    assert_eq!(second.next, None);

    let jobs = store.jobs(&Page::default()).await.unwrap().items;
    let names: Vec<_> = jobs.iter().map(|job| job.name.as_str()).collect();
    assert_eq!(names, ["c", "a"]);
    let projects = store.projects(&Page::default(), t(99)).await.unwrap().items;
    let names: Vec<_> = projects
        .iter()
        .map(|project| project.repo.as_str())
        .collect();
    assert_eq!(names, ["octo/c", "octo/a"]);
}
