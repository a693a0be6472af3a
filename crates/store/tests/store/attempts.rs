//! Claims, attempts and steps.

use model::{
    CancelReason, EventBody, Failure, JobEvent, JobState, Outcome, OutcomeKind, RunnerId, Status,
    StepState,
};
use store::{NewRunner, RunnerPatch, StepChange, StoreError};

use crate::world::{World, events, job, plan, planned, push, t};

async fn runner(world: &World) -> RunnerId {
    world
        .store
        .ensure_local_runner("localhost", 2, t(0))
        .await
        .unwrap()
}

fn running(index: u32, since: i64, log_start: u64) -> StepChange {
    let state = StepState::Running { since: t(since) };
    StepChange {
        index,
        name: format!("step {index}"),
        state,
        log_start,
        log_end: None,
    }
}

fn ended(index: u32, since: i64, at: i64, exit_code: i32) -> StepChange {
    let state = StepState::Ended {
        since: t(since),
        at: t(at),
        exit_code,
    };
    StepChange {
        state,
        log_end: Some(100),
        ..running(index, since, 10)
    }
}

#[tokio::test]
async fn jobs_are_claimed_in_the_order_in_which_they_were_queued() {
    let world = World::new().await;
    let runner = runner(&world).await;
    planned(
        &world.store,
        push("a"),
        &plan(vec![job("a1", &[]), job("a2", &["a1"])]),
        10,
    )
    .await;
    planned(&world.store, push("b"), &plan(vec![job("b1", &[])]), 20).await;

    let first = world
        .store
        .claim_job(runner, None, t(30))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(first.job.name, "a1");
    assert_eq!(first.pipeline.status, Status::Running);
    assert_eq!(first.spec, job("a1", &[]));
    let finish = JobEvent::Finish {
        outcome: Outcome::Success,
        at: t(31),
    };
    world.store.advance_job(first.job.id, finish).await.unwrap();
    // a2 is queued only now, after b1.
    assert_eq!(
        world
            .store
            .claim_job(runner, None, t(32))
            .await
            .unwrap()
            .unwrap()
            .job
            .name,
        "b1"
    );
    assert_eq!(
        world
            .store
            .claim_job(runner, None, t(32))
            .await
            .unwrap()
            .unwrap()
            .job
            .name,
        "a2"
    );
    assert_eq!(
        world.store.claim_job(runner, None, t(32)).await.unwrap(),
        None
    );
    let running = world.store.running_jobs(runner, t(99)).await.unwrap();
    let names: Vec<_> = running
        .iter()
        .map(|claim| claim.job.name.as_str())
        .collect();
    assert_eq!(names, ["a2", "b1"]);
    assert_eq!(running[0].spec, job("a2", &["a1"]));
}

#[tokio::test]
async fn only_an_active_runner_is_given_jobs() {
    let world = World::new().await;
    let new = NewRunner {
        host: "other".into(),
        labels: vec![],
        capacity: 1,
    };
    let other = world.store.add_runner(&new, t(1)).await.unwrap();
    let patch = RunnerPatch {
        active: Some(false),
        ..RunnerPatch::default()
    };
    world.store.update_runner(other.id, &patch).await.unwrap();
    planned(&world.store, push("a"), &plan(vec![job("build", &[])]), 10).await;
    assert_eq!(
        world.store.claim_job(other.id, None, t(20)).await.unwrap(),
        None
    );
    assert_eq!(
        world
            .store
            .claim_job(RunnerId(99), None, t(20))
            .await
            .unwrap(),
        None
    );

    let patch = RunnerPatch {
        active: Some(true),
        ..RunnerPatch::default()
    };
    world.store.update_runner(other.id, &patch).await.unwrap();
    let claim = world
        .store
        .claim_job(other.id, None, t(21))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        claim.job.state,
        JobState::Running {
            on: other.id,
            attempt: 1,
            since: t(21),
            stopping: None
        }
    );
    let seen = world.store.runners().await.unwrap()[0].last_seen;
    assert_eq!(seen, Some(t(21)));
}

#[tokio::test]
async fn each_execution_is_an_attempt() {
    let mut world = World::new().await;
    let runner = runner(&world).await;
    let (pipeline, jobs) =
        planned(&world.store, push("a"), &plan(vec![job("build", &[])]), 10).await;
    let id = jobs[0].id;
    world.store.claim_job(runner, None, t(20)).await.unwrap();
    let retries = world.store.retries_of(&[pipeline.id]).await.unwrap();
    assert!(retries.is_empty(), "{retries:?}");
    world.store.set_executor(id, 1, "native").await.unwrap();

    world.reopen().await;
    let running = world.store.attempts(id).await.unwrap();
    assert_eq!(running[0].executor.as_deref(), Some("native"));
    assert_eq!((running[0].started, &running[0].end), (t(20), &None));

    world
        .store
        .advance_job(id, JobEvent::Lose { at: t(25) })
        .await
        .unwrap();
    world.store.claim_job(runner, None, t(30)).await.unwrap();
    let late = world.store.set_executor(id, 1, "docker").await.unwrap_err();
    assert_eq!(
        late.to_string(),
        format!("attempt 1 of job {id} is not running")
    );
    let step = Failure::Step {
        index: 0,
        name: "test".into(),
        exit_code: 3,
    };
    let finish = JobEvent::Finish {
        outcome: Outcome::Failure(step),
        at: t(40),
    };
    world.store.advance_job(id, finish).await.unwrap();

    let attempts = world.store.attempts(id).await.unwrap();
    let numbers: Vec<_> = attempts.iter().map(|attempt| attempt.number).collect();
    assert_eq!(numbers, [1, 2]);
    let lost = attempts[0].end.as_ref().unwrap();
    assert_eq!((lost.at, lost.outcome, lost.exit_code), (t(25), None, None));
    let failed = attempts[1].end.as_ref().unwrap();
    assert_eq!(failed.outcome, Some(OutcomeKind::Failure));
    assert_eq!((failed.at, failed.exit_code), (t(40), Some(3)));
    assert_eq!(
        failed.reason.as_deref(),
        Some("step \"test\" ended with exit code 3")
    );
    assert_eq!(attempts[1].runner, Some(runner));
    let retries = world.store.retries_of(&[pipeline.id]).await.unwrap();
    assert_eq!(retries.into_iter().collect::<Vec<_>>(), [(pipeline.id, 1)]);
}

#[tokio::test]
async fn steps_go_forward_only_and_each_change_is_told_once() {
    let world = World::new().await;
    let runner = runner(&world).await;
    let (_, jobs) = planned(&world.store, push("a"), &plan(vec![job("build", &[])]), 10).await;
    let id = jobs[0].id;
    let early = world
        .store
        .record_steps(id, 1, &[running(0, 15, 0)], t(15))
        .await;
    assert!(
        matches!(early, Err(StoreError::NotRunning { .. })),
        "{early:?}"
    );
    world.store.claim_job(runner, None, t(20)).await.unwrap();
    let before = world.store.last_event().await.unwrap();

    let first = [running(0, 21, 10), ended(0, 21, 22, 0), running(1, 22, 100)];
    world
        .store
        .record_steps(id, 1, &first, t(22))
        .await
        .unwrap();
    // The same output, read again after a crash, at another time.
    let again = [running(0, 31, 10), ended(0, 31, 32, 0), running(1, 32, 100)];
    world
        .store
        .record_steps(id, 1, &again, t(32))
        .await
        .unwrap();
    let skipped = StepChange {
        state: StepState::Skipped,
        ..running(2, 0, 100)
    };
    world
        .store
        .record_steps(id, 1, &[skipped.clone(), skipped], t(33))
        .await
        .unwrap();

    let steps = world.store.steps(id, 1).await.unwrap();
    let states: Vec<_> = steps
        .iter()
        .map(|step| (step.index, step.state.clone()))
        .collect();
    assert_eq!(
        states,
        [
            (
                0,
                StepState::Ended {
                    since: t(21),
                    at: t(22),
                    exit_code: 0
                }
            ),
            (1, StepState::Running { since: t(22) }),
            (2, StepState::Skipped),
        ]
    );
    assert_eq!((steps[0].log_start, steps[0].log_end), (10, Some(100)));
    let told: Vec<_> = world
        .store
        .events_after(before, 100)
        .await
        .unwrap()
        .into_iter()
        .map(|event| match event.body {
            EventBody::Step {
                index,
                step,
                attempt: 1,
                ..
            } => (index, step.status()),
            other @ (EventBody::Pipeline { .. }
            | EventBody::Job { .. }
            | EventBody::Step { .. }) => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        told,
        [
            (0, Status::Running),
            (0, Status::Success),
            (1, Status::Running),
            (2, Status::Skipped),
        ]
    );
}

#[tokio::test]
async fn a_step_ends_with_its_attempt() {
    let world = World::new().await;
    let runner = runner(&world).await;
    let outcomes = [
        (Outcome::Failure(Failure::Exit { exit_code: 7 }), 7),
        (Outcome::Failure(Failure::OutOfMemory), 137),
        (
            Outcome::Failure(Failure::Step {
                index: 0,
                name: "x".into(),
                exit_code: 2,
            }),
            2,
        ),
        (
            Outcome::Failure(Failure::Step {
                index: 5,
                name: "x".into(),
                exit_code: 2,
            }),
            137,
        ),
    ];
    for (outcome, exit_code) in outcomes {
        planned(&world.store, push("a"), &plan(vec![job("build", &[])]), 10).await;
        let id = world
            .store
            .claim_job(runner, None, t(20))
            .await
            .unwrap()
            .unwrap()
            .job
            .id;
        world
            .store
            .record_steps(id, 1, &[running(0, 21, 0)], t(21))
            .await
            .unwrap();
        world
            .store
            .advance_job(id, JobEvent::Finish { outcome, at: t(30) })
            .await
            .unwrap();
        let steps = world.store.steps(id, 1).await.unwrap();
        assert_eq!(
            steps[0].state,
            StepState::Ended {
                since: t(21),
                at: t(30),
                exit_code
            }
        );
        assert_eq!(steps[0].log_end, None);
        // The step is told of before its job.
        let told = events(&world.store).await;
        let [.., step, job, pipeline] = &told[..] else {
            panic!("{told:?}")
        };
        assert!(matches!(step.body, EventBody::Step { .. }));
        assert!(matches!(job.body, EventBody::Job { .. }));
        assert!(matches!(pipeline.body, EventBody::Pipeline { .. }));
    }
}

#[tokio::test]
async fn a_running_job_is_canceled_when_its_runner_says_so() {
    let world = World::new().await;
    let runner = runner(&world).await;
    let jobs = plan(vec![job("build", &[]), job("deploy", &["build"])]);
    let (pipeline, _) = planned(&world.store, push("a"), &jobs, 10).await;
    let id = world
        .store
        .claim_job(runner, None, t(20))
        .await
        .unwrap()
        .unwrap()
        .job
        .id;
    let reason = CancelReason::Requested { by: None };
    let stop = world
        .store
        .cancel_pipeline(pipeline.id, reason.clone(), t(21))
        .await
        .unwrap();
    assert_eq!(stop.iter().map(|job| job.id).collect::<Vec<_>>(), [id]);
    assert_eq!(
        world.store.pipeline(pipeline.id).await.unwrap().status,
        Status::Running
    );

    let finish = JobEvent::Finish {
        outcome: Outcome::Success,
        at: t(22),
    };
    let job = world.store.advance_job(id, finish).await.unwrap();
    assert_eq!(
        job.state.outcome(),
        Some(&Outcome::Canceled(reason.clone()))
    );
    let ended = world.store.pipeline(pipeline.id).await.unwrap();
    assert_eq!((ended.status, ended.ended), (Status::Canceled, Some(t(22))));
    assert_eq!(
        ended.reason.as_deref(),
        Some("build and 1 more was canceled: canceled on request")
    );
    let again = world
        .store
        .cancel_pipeline(pipeline.id, reason.clone(), t(23))
        .await
        .unwrap_err();
    assert_eq!(
        again.to_string(),
        format!("pipeline {} has already ended: canceled", pipeline.id)
    );
    assert!(again.is_conflict());
    let again = world.store.cancel_job(id, reason, t(23)).await.unwrap_err();
    assert_eq!(
        again.to_string(),
        "a job that is canceled can't be canceled"
    );
}

#[tokio::test]
async fn what_the_store_decides_itself_can_not_be_said_to_it() {
    let world = World::new().await;
    let runner = runner(&world).await;
    let (_, jobs) = planned(&world.store, push("a"), &plan(vec![job("build", &[])]), 10).await;
    for event in [
        JobEvent::Ready { at: t(20) },
        JobEvent::Hold,
        JobEvent::Pass { at: t(20) },
        JobEvent::Skip {
            because_of: "x".into(),
            at: t(20),
        },
        JobEvent::Claim {
            by: runner,
            at: t(20),
        },
    ] {
        let refused = world.store.advance_job(jobs[0].id, event).await;
        assert!(matches!(refused, Err(StoreError::OwnEvent)), "{refused:?}");
    }
    assert_eq!(world.store.job(jobs[0].id).await.unwrap(), jobs[0]);
}
