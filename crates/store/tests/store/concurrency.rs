//! Many callers at once, over one store and over two, and callers that go away.

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use model::{Event, JobEvent, Outcome};
use store::{Page, PipelineFilter, Store, StoreError};
use tokio::sync::broadcast::Receiver;
use tokio::task::JoinSet;

use crate::world::{World, delivered_push, events, job, plan, planned, push, t};

/// What was told and not yet heard.
fn heard(events: &mut Receiver<Event>) -> Vec<Event> {
    std::iter::from_fn(|| events.try_recv().ok()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_writers_over_two_stores_all_get_through() {
    let world = World::new().await;
    let stores = [world.store.clone(), world.another().await];
    let mut writers = JoinSet::new();
    for writer in 0..32_usize {
        let store = stores[writer % 2].clone();
        writers.spawn(async move {
            let mut made = Vec::new();
            for number in 0..8 {
                // Each delivery comes twice, by two writers, through both stores.
                let delivery = format!("{}-{number}", writer / 2);
                let trigger = delivered_push("a", &delivery);
                made.extend(store.create_pipelines(&[trigger], t(1)).await?);
            }
            Ok::<_, StoreError>(made)
        });
    }
    let made: Vec<_> = writers
        .join_all()
        .await
        .into_iter()
        .flat_map(|made| made.unwrap())
        .collect();
    let ids: BTreeSet<i64> = made.iter().map(|created| created.id.0).collect();
    assert_eq!(ids, (1..=128).collect());
    assert_eq!(made.iter().filter(|created| !created.repeated).count(), 128);
    assert_eq!(events(&world.store).await.len(), 128);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_job_is_claimed_once() {
    let world = World::new().await;
    let runner = world
        .store
        .ensure_local_runner("localhost", 8, t(0))
        .await
        .unwrap();
    let names: Vec<String> = (0..40).map(|n| format!("job-{n}")).collect();
    let jobs = plan(names.iter().map(|name| job(name, &[])).collect());
    planned(&world.store, push("a"), &jobs, 1).await;
    let stores = [world.store.clone(), world.another().await];
    let mut claimers = JoinSet::new();
    for claimer in 0..8_usize {
        let store = stores[claimer % 2].clone();
        claimers.spawn(async move {
            let mut claimed = Vec::new();
            while let Some(claim) = store.claim_job(runner, None, t(9)).await.unwrap() {
                claimed.push(claim.job.id.0);
            }
            claimed
        });
    }
    let mut claimed = claimers.join_all().await.concat();
    claimed.sort_unstable();
    assert_eq!(claimed, (1..=40).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn events_are_told_in_the_order_in_which_they_are_stored() {
    let world = World::new().await;
    let mut told = world.store.subscribe();
    let runner = world
        .store
        .ensure_local_runner("localhost", 8, t(0))
        .await
        .unwrap();
    let mut writers = JoinSet::new();
    for _ in 0..8 {
        let store = world.store.clone();
        writers.spawn(async move {
            store
                .create_pipelines(&[push("a"), push("b")], t(1))
                .await
                .unwrap();
        });
    }
    writers.join_all().await;
    while let Some(pipeline) = world.store.claim_preparation(&[], t(2)).await.unwrap() {
        let seed = pipeline.id.0.cast_unsigned();
        let uuids = crate::world::uuids(seed, 1);
        let plan = plan(vec![job("build", &[])]);
        world
            .store
            .store_plan(pipeline.id, &plan, &uuids, None, t(3))
            .await
            .unwrap();
    }
    let mut runs = JoinSet::new();
    for _ in 0..8 {
        let store = world.store.clone();
        runs.spawn(async move {
            while let Some(claim) = store.claim_job(runner, None, t(4)).await.unwrap() {
                let finish = JobEvent::Finish {
                    outcome: Outcome::Success,
                    at: t(5),
                };
                store.advance_job(claim.job.id, finish).await.unwrap();
            }
        });
    }
    runs.join_all().await;
    let stored = events(&world.store).await;
    // Queued, running and success of 16 pipelines and their jobs.
    assert_eq!(stored.len(), 16 * 6);
    assert_eq!(heard(&mut told), stored);
}

/// Polls a future so many times, or until it is done, then drops it.
async fn polled<T>(times: usize, future: impl Future<Output = T>) {
    let mut future = pin!(future);
    let mut polls = 0;
    poll_fn(|context| {
        if polls == times {
            return Poll::Ready(());
        }
        polls += 1;
        future.as_mut().poll(context).map(|_| ())
    })
    .await;
}

#[tokio::test]
async fn a_caller_that_goes_away_leaves_a_write_whole_or_undone() {
    for memory in [false, true] {
        let world = World::new().await;
        let store = if memory {
            Store::memory().await.unwrap()
        } else {
            world.store.clone()
        };
        let mut told = store.subscribe();
        for round in 1..=60 {
            // How far so many polls get differs from time to time; some get to the end.
            let batch = [delivered_push("a", &round.to_string()), push("b")];
            polled(round % 15, store.create_pipelines(&batch, t(1))).await;
            // Waits for its turn, and so for what the one before left behind.
            store.create_pipelines(&[push("c")], t(2)).await.unwrap();
            let stored = events(&store).await;
            let (all, page) = (
                PipelineFilter::default(),
                Page {
                    limit: 200,
                    cursor: None,
                },
            );
            let count = store.pipelines(&all, &page).await.unwrap().items.len();
            assert_eq!(stored.len(), count, "in round {round}");
            assert_eq!((count - round) % 2, 0, "in round {round}");
        }
        assert_eq!(heard(&mut told), events(&store).await);
    }
}

#[tokio::test]
async fn a_closed_store_says_so() {
    let world = World::new().await;
    world.store.ping().await.unwrap();
    world.store.close().await;
    assert!(world.store.ping().await.is_err());
    assert!(
        world
            .store
            .create_pipelines(&[push("a")], t(1))
            .await
            .is_err()
    );
}
