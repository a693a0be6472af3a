//! The machines that take jobs.

use store::{NewRunner, RunnerPatch, StoreError};

use crate::world::{World, job, plan, planned, push, t};

fn new(host: &str) -> NewRunner {
    NewRunner {
        host: host.into(),
        labels: vec!["arm64".into()],
        capacity: 3,
    }
}

#[tokio::test]
async fn the_local_runner_stays_the_same_one() {
    let mut world = World::new().await;
    let id = world
        .store
        .ensure_local_runner("one", 2, t(1))
        .await
        .unwrap();
    world.reopen().await;
    assert_eq!(
        world
            .store
            .ensure_local_runner("two", 4, t(2))
            .await
            .unwrap(),
        id
    );
    let other = world.store.add_runner(&new("three"), t(3)).await.unwrap();
    // Its name is another's now: the number counts.
    assert_eq!(
        world
            .store
            .ensure_local_runner("three", 4, t(4))
            .await
            .unwrap(),
        id
    );
    let runners = world.store.runners().await.unwrap();
    let told: Vec<_> = runners
        .iter()
        .map(|r| (r.id, r.host.as_str(), r.local, r.capacity))
        .collect();
    assert_eq!(told, [(id, "two", true, 4), (other.id, "three", false, 3)]);
    assert_eq!(runners[0].last_seen, Some(t(4)));
    let refused = world.store.remove_runner(id).await.unwrap_err();
    assert!(matches!(refused, StoreError::LocalRunner(_)));
    assert!(refused.is_conflict());
}

#[tokio::test]
async fn a_machine_that_was_added_before_its_server_ran_becomes_the_local_one() {
    let world = World::new().await;
    let added = world.store.add_runner(&new("here"), t(1)).await.unwrap();
    assert_eq!(
        world
            .store
            .ensure_local_runner("here", 2, t(2))
            .await
            .unwrap(),
        added.id
    );
    assert!(world.store.runners().await.unwrap()[0].local);
}

#[tokio::test]
async fn runners_are_added_changed_and_removed() {
    let world = World::new().await;
    let added = world
        .store
        .add_runner(&new("build-1.example.org"), t(1))
        .await
        .unwrap();
    assert_eq!(
        (added.active, added.local, added.busy, added.last_seen),
        (true, false, 0, None)
    );
    let taken = world
        .store
        .add_runner(&new("build-1.example.org"), t(2))
        .await
        .unwrap_err();
    assert_eq!(
        taken.to_string(),
        "there is a runner on `build-1.example.org` already"
    );
    assert!(taken.is_conflict());

    let patch = RunnerPatch {
        active: Some(false),
        ..RunnerPatch::default()
    };
    let changed = world.store.update_runner(added.id, &patch).await.unwrap();
    assert_eq!(
        (changed.active, changed.capacity, &changed.labels[..]),
        (false, 3, &["arm64".into()][..])
    );
    let patch = RunnerPatch {
        labels: Some(vec![]),
        capacity: Some(1),
        ..RunnerPatch::default()
    };
    let changed = world.store.update_runner(added.id, &patch).await.unwrap();
    assert_eq!(
        (changed.active, changed.capacity, changed.labels.len()),
        (false, 1, 0)
    );

    world.store.remove_runner(added.id).await.unwrap();
    assert!(
        world
            .store
            .remove_runner(added.id)
            .await
            .unwrap_err()
            .is_not_found()
    );
    assert!(
        world
            .store
            .update_runner(added.id, &patch)
            .await
            .unwrap_err()
            .is_not_found()
    );
}

#[tokio::test]
async fn a_busy_runner_is_not_removed_and_its_attempts_outlive_it() {
    let world = World::new().await;
    let runner = world.store.add_runner(&new("build-1"), t(1)).await.unwrap();
    planned(&world.store, push("a"), &plan(vec![job("build", &[])]), 10).await;
    let id = world
        .store
        .claim_job(runner.id, None, t(20))
        .await
        .unwrap()
        .unwrap()
        .job
        .id;
    assert_eq!(world.store.runners().await.unwrap()[0].busy, 1);
    let refused = world.store.remove_runner(runner.id).await.unwrap_err();
    assert!(matches!(refused, StoreError::RunnerBusy(_)), "{refused:?}");

    let finish = model::JobEvent::Finish {
        outcome: model::Outcome::Success,
        at: t(21),
    };
    world.store.advance_job(id, finish).await.unwrap();
    world.store.remove_runner(runner.id).await.unwrap();
    assert_eq!(world.store.attempts(id).await.unwrap()[0].runner, None);
}

#[tokio::test]
async fn hosts_have_names_that_hosts_can_have() {
    let world = World::new().await;
    for bad in ["", "a b", "-x", "http://a/b", "a\nb", &"x".repeat(254)] {
        let refused = world.store.add_runner(&new(bad), t(1)).await.unwrap_err();
        assert!(refused.is_bad_request(), "{bad:?}: {refused}");
    }
    for good in ["localhost", "10.0.0.7", "[::1]:5000", "build_1.example.org"] {
        world.store.add_runner(&new(good), t(1)).await.unwrap();
    }
}
