//! From triggers to stored jobs.

use model::{
    CancelReason, CommitSha, ForgeKind, JobState, OutcomeKind, Plan, Preparation, Status,
    WorkflowSpec,
};
use store::{Created, StoreError};

use crate::world::{
    World, approval, delivered_push, due, job, plan, planned, push, requirement, t, uuids,
};

#[tokio::test]
async fn a_delivery_makes_one_pipeline_however_often_it_comes() {
    let mut world = World::new().await;
    let batch = [
        delivered_push("a", "x"),
        push("b"),
        delivered_push("a", "y"),
        delivered_push("a", "x"),
        push("b"),
    ];
    let created = world.store.create_pipelines(&batch, t(1)).await.unwrap();
    let told: Vec<_> = created
        .iter()
        .map(|Created { id, repeated }| (id.0, *repeated))
        .collect();
    assert_eq!(
        told,
        [(1, false), (2, false), (3, false), (1, true), (4, false)]
    );

    world.reopen().await;
    let again = world
        .store
        .create_pipelines(&batch[..1], t(2))
        .await
        .unwrap();
    assert!(again[0].repeated);
    assert_eq!(again[0].id.0, 1);
    assert_eq!(world.store.create_pipelines(&[], t(3)).await.unwrap(), []);
}

#[tokio::test]
async fn a_batch_larger_than_a_statement_is_stored_whole_and_in_order() {
    let world = World::new().await;
    let batch: Vec<_> = (0..350)
        .map(|n| delivered_push("a", &(n % 300).to_string()))
        .collect();
    let created = world.store.create_pipelines(&batch, t(1)).await.unwrap();
    let repeated = created.iter().filter(|created| created.repeated).count();
    assert_eq!(repeated, 50);
    for (place, created) in created.iter().enumerate() {
        let pipeline = world.store.pipeline(created.id).await.unwrap();
        assert_eq!(pipeline.trigger.delivery, batch[place].delivery);
    }
}

#[tokio::test]
async fn pipelines_are_prepared_in_the_order_in_which_they_came() {
    let mut world = World::new().await;
    world
        .store
        .create_pipelines(&[push("a"), push("b")], t(1))
        .await
        .unwrap();
    let first = world
        .store
        .claim_preparation(&[], t(5))
        .await
        .unwrap()
        .unwrap();
    assert_eq!((first.id.0, first.started), (1, Some(t(5))));
    assert_eq!(first.preparation, Preparation::Preparing { since: t(5) });

    // The server dies, and the next one begins again with what was under way.
    world.reopen().await;
    assert_eq!(world.store.requeue_preparations().await.unwrap(), 1);
    let first = world
        .store
        .claim_preparation(&[], t(9))
        .await
        .unwrap()
        .unwrap();
    assert_eq!((first.id.0, first.started), (1, Some(t(5))));
    assert_eq!(
        world
            .store
            .claim_preparation(&[], t(9))
            .await
            .unwrap()
            .unwrap()
            .id
            .0,
        2
    );
    assert_eq!(
        world.store.claim_preparation(&[], t(9)).await.unwrap(),
        None
    );
}

#[tokio::test]
async fn projects_can_be_passed_over() {
    let world = World::new().await;
    let (one, other) = (push("one"), push("other"));
    let triggers = [one.clone(), one.clone(), other.clone()];
    world.store.create_pipelines(&triggers, t(1)).await.unwrap();
    let busy = [one.repo];
    let claimed = world.store.claim_preparation(&busy, t(2)).await.unwrap();
    assert_eq!(claimed.unwrap().trigger.repo, other.repo);
    assert_eq!(
        world.store.claim_preparation(&busy, t(2)).await.unwrap(),
        None
    );
    let claimed = world.store.claim_preparation(&[], t(2)).await.unwrap();
    assert_eq!(claimed.unwrap().id.0, 1);
}

#[tokio::test]
async fn jobs_are_stored_as_far_as_they_can_go() {
    let world = World::new().await;
    let plan = plan(vec![
        job("build", &[]),
        approval("gate", &[]),
        job("deploy", &["build", "gate"]),
    ]);
    let (pipeline, jobs) = planned(&world.store, push("a"), &plan, 10).await;
    assert_eq!(pipeline.status, Status::Queued);
    let states: Vec<_> = jobs
        .iter()
        .map(|job| (job.name.as_str(), &job.state))
        .collect();
    assert_eq!(
        states,
        [
            (
                "build",
                &JobState::Queued {
                    since: t(12),
                    attempt: 1
                }
            ),
            ("gate", &JobState::OnHold),
            ("deploy", &JobState::Blocked),
        ]
    );
    assert_eq!(jobs[2].requires, ["build", "gate"]);
    assert_eq!(world.store.plan(pipeline.id).await.unwrap(), Some(plan));
    assert_eq!(world.store.job(jobs[2].id).await.unwrap(), jobs[2]);
    assert_eq!(
        world.store.job_by_uuid(jobs[1].uuid).await.unwrap(),
        jobs[1]
    );
    assert_eq!(world.store.jobs_of(pipeline.id).await.unwrap(), jobs);
}

#[tokio::test]
async fn a_plan_without_jobs_is_a_success() {
    let world = World::new().await;
    let (pipeline, jobs) = planned(&world.store, push("a"), &Plan::default(), 10).await;
    assert_eq!(jobs, []);
    assert_eq!(
        (pipeline.status, pipeline.ended),
        (Status::Success, Some(t(12)))
    );
}

#[tokio::test]
async fn what_was_canceled_meanwhile_gets_no_jobs() {
    let world = World::new().await;
    let id = world
        .store
        .create_pipelines(&[push("a")], t(1))
        .await
        .unwrap()[0]
        .id;
    world.store.claim_preparation(&[], t(2)).await.unwrap();
    let reason = CancelReason::Requested {
        by: Some("octocat".into()),
    };
    assert_eq!(
        world.store.cancel_pipeline(id, reason, t(3)).await.unwrap(),
        []
    );

    let plan = plan(vec![job("build", &[])]);
    assert_eq!(
        world
            .store
            .store_plan(id, &plan, &uuids(1, 1), None, t(4))
            .await
            .unwrap(),
        []
    );
    world
        .store
        .end_preparation(id, OutcomeKind::Failure, "no config", t(4))
        .await
        .unwrap();
    let pipeline = world.store.pipeline(id).await.unwrap();
    assert_eq!(
        (pipeline.status, pipeline.ended),
        (Status::Canceled, Some(t(3)))
    );
    assert_eq!(pipeline.reason.as_deref(), Some("canceled by octocat"));
    assert_eq!(world.store.plan(id).await.unwrap(), None);
}

#[tokio::test]
async fn a_failed_preparation_says_why() {
    let world = World::new().await;
    let id = world
        .store
        .create_pipelines(&[push("a")], t(1))
        .await
        .unwrap()[0]
        .id;
    let early = world
        .store
        .end_preparation(id, OutcomeKind::Failure, "x", t(2))
        .await;
    assert!(
        matches!(early, Err(StoreError::NotPreparing(_))),
        "{early:?}"
    );
    world.store.claim_preparation(&[], t(2)).await.unwrap();
    let reason = "config.yml:3:1: no such job\n3 | biuld\n    ^^^^^";
    world
        .store
        .end_preparation(id, OutcomeKind::Failure, reason, t(3))
        .await
        .unwrap();
    let pipeline = world.store.pipeline(id).await.unwrap();
    assert_eq!(pipeline.status, Status::Failure);
    assert_eq!(pipeline.reason.as_deref(), Some(reason));
}

#[tokio::test]
async fn a_plan_that_contradicts_itself_is_refused_and_changes_nothing() {
    let world = World::new().await;
    let id = world
        .store
        .create_pipelines(&[push("a")], t(1))
        .await
        .unwrap()[0]
        .id;
    world.store.claim_preparation(&[], t(2)).await.unwrap();
    let mut unknown = job("build", &[]);
    unknown.requires = vec![requirement("biuld", &[OutcomeKind::Success])];
    let workflow = |name: &str| WorkflowSpec::new(name, vec![]);
    let twice = Plan::from(vec![workflow("main"), workflow("main")]);
    for (bad, ids, says) in [
        (plan(vec![unknown]), 1, "requires `biuld`"),
        (plan(vec![job("a", &["a"])]), 1, "requires `a`"),
        (
            plan(vec![job("a", &[]), job("a", &[])]),
            2,
            "two jobs named `a`",
        ),
        (plan(vec![job("a", &[])]), 2, "1 jobs and was given 2 ids"),
        (twice, 0, "named `main`"),
    ] {
        let refused = world
            .store
            .store_plan(id, &bad, &uuids(1, ids), None, t(3))
            .await;
        let error = refused.unwrap_err();
        assert!(matches!(error, StoreError::BadPlan(_)));
        assert!(error.to_string().contains(says), "{error}");
    }
    assert_eq!(world.store.plan(id).await.unwrap(), None);
    let good = plan(vec![job("a", &[])]);
    world
        .store
        .store_plan(id, &good, &uuids(1, 1), Some("careful"), t(4))
        .await
        .unwrap();
    let pipeline = world.store.pipeline(id).await.unwrap();
    assert_eq!(pipeline.warnings.as_deref(), Some("careful"));
}

#[tokio::test]
async fn a_commit_that_is_found_later_is_told_of_from_then_on() {
    let world = World::new().await;
    let mut trigger = push("a");
    trigger.commit = None;
    trigger.forge = Some(ForgeKind::Github);
    let id = world
        .store
        .create_pipelines(&[trigger], t(1))
        .await
        .unwrap()[0]
        .id;
    world.store.claim_preparation(&[], t(2)).await.unwrap();
    assert_eq!(due(&world.store, 9).await, []);

    let commit: CommitSha = "b".repeat(40).parse().unwrap();
    world.store.set_commit(id, &commit).await.unwrap();
    assert_eq!(
        world.store.pipeline(id).await.unwrap().trigger.commit,
        Some(commit.clone())
    );
    world
        .store
        .end_preparation(id, OutcomeKind::Error, "no disk", t(3))
        .await
        .unwrap();
    let reports = due(&world.store, 9).await;
    assert_eq!((reports.len(), &reports[0].commit), (1, &commit));
}

#[tokio::test]
async fn what_does_not_exist_is_said_so() {
    let world = World::new().await;
    let none = model::PipelineId(7);
    let error = world.store.pipeline(none).await.unwrap_err();
    assert_eq!(error.to_string(), "there is no pipeline 7");
    assert!(error.is_not_found());
    assert!(world.store.plan(none).await.unwrap_err().is_not_found());
    assert!(
        world
            .store
            .job(model::JobId(7))
            .await
            .unwrap_err()
            .is_not_found()
    );
    let error = world.store.job_by_uuid(uuids(1, 1)[0]).await.unwrap_err();
    assert!(error.is_not_found());
    let reason = CancelReason::Interrupted;
    assert!(
        world
            .store
            .cancel_pipeline(none, reason, t(1))
            .await
            .unwrap_err()
            .is_not_found()
    );
}
