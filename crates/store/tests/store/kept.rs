//! What jobs keep: artifacts, test results, layers of workspaces, caches.

use model::{JobEvent, JobId, Outcome, RepoName, Rerun, RerunFrom, RunnerId, Trigger};
use store::{
    Blob, CachePart, Digest, NewCache, NewLayer, Page, Store, StoreError, TestCounts, TestOutcome,
    TestResult,
};

use crate::world::{World, job, plan, planned, push, t};

fn blob(seed: u8, bytes: u64) -> Blob {
    let digest = Digest::parse(&format!("{seed:02x}").repeat(32)).unwrap();
    Blob { digest, bytes }
}

/// Claims the next job, and lets it keep what `keep` does before it ends in success.
async fn run(store: &Store, runner: RunnerId, keep: impl AsyncFnOnce(JobId)) -> String {
    let claim = store.claim_job(runner, None, t(50)).await.unwrap().unwrap();
    keep(claim.job.id).await;
    let finish = JobEvent::Finish {
        outcome: Outcome::Success,
        at: t(60),
    };
    store.advance_job(claim.job.id, finish).await.unwrap();
    claim.job.name
}

async fn running(world: &World) -> JobId {
    let runner = world
        .store
        .ensure_local_runner("here", 9, t(1))
        .await
        .unwrap();
    planned(&world.store, push("a"), &plan(vec![job("a", &[])]), 10).await;
    let claim = world.store.claim_job(runner, None, t(20)).await.unwrap();
    claim.unwrap().job.id
}

#[tokio::test]
async fn artifacts_are_listed_in_order_and_replaced_by_path() {
    let world = World::new().await;
    let job = running(&world).await;
    let many: Vec<_> = (0..250)
        .map(|number| (format!("f/{number}"), blob(1, number)))
        .collect();
    for _ in 0..2 {
        world.store.add_artifacts(job, 1, 0, &many).await.unwrap();
    }
    let again = [("f/0".to_owned(), blob(2, 7))];
    world.store.add_artifacts(job, 1, 0, &again).await.unwrap();

    let mut page = Page {
        limit: 100,
        cursor: None,
    };
    let mut paths = Vec::new();
    loop {
        let found = world.store.artifacts(job, 1, &page).await.unwrap();
        paths.extend(found.items.into_iter().map(|artifact| artifact.path));
        page.cursor = found.next;
        if page.cursor.is_none() {
            break;
        }
    }
    assert_eq!(
        paths,
        many.iter()
            .map(|(path, _)| path.clone())
            .collect::<Vec<_>>()
    );
    let one = world.store.artifact(job, 1, 0, "f/0").await.unwrap();
    assert_eq!(one.blob, blob(2, 7));
    let none = world.store.artifact(job, 1, 0, "f").await.unwrap_err();
    assert!(none.is_not_found());
    let late = world
        .store
        .add_artifacts(job, 2, 0, &again)
        .await
        .unwrap_err();
    assert!(matches!(late, StoreError::NotRunning { .. }));
}

fn test(name: &str, outcome: TestOutcome) -> TestResult {
    TestResult {
        classname: "c".into(),
        name: name.into(),
        file: None,
        outcome,
        duration_us: Some(5),
        message: None,
    }
}

#[tokio::test]
async fn tests_that_failed_come_first_whichever_step_told_them() {
    let world = World::new().await;
    let job = running(&world).await;
    let first = [
        test("good", TestOutcome::Success),
        test("bad", TestOutcome::Failure),
        test("not", TestOutcome::Skipped),
    ];
    let second = [
        test("worse", TestOutcome::Failure),
        test("broken", TestOutcome::Error),
    ];
    let set = async |step, results: &[TestResult]| {
        let stored = world.store.set_test_results((job, 1), (0, step), results);
        stored.await.unwrap();
    };
    set(0, &first).await;
    set(1, &second).await;
    // As after a crash.
    set(1, &second).await;
    let mut page = Page {
        limit: 2,
        cursor: None,
    };
    let mut names = Vec::new();
    loop {
        let found = world.store.test_results(job, 1, &page).await.unwrap();
        names.extend(found.items.into_iter().map(|test| test.name));
        page.cursor = found.next;
        if page.cursor.is_none() {
            break;
        }
    }
    assert_eq!(names, ["bad", "worse", "broken", "not", "good"]);
    let counts = world.store.test_counts(job, 1).await.unwrap();
    let expected = TestCounts {
        failed: 3,
        skipped: 1,
        total: 5,
    };
    assert_eq!(counts, expected);
}

#[tokio::test]
async fn a_workspace_has_the_layers_of_all_jobs_above() {
    let world = World::new().await;
    let store = &world.store;
    let runner = store.ensure_local_runner("here", 9, t(1)).await.unwrap();
    let jobs = vec![
        job("a", &[]),
        job("aside", &[]),
        job("b", &["a"]),
        job("c", &["b"]),
    ];
    let (pipeline, stored) = planned(store, push("a"), &plan(jobs), 10).await;
    for seed in 1..=3 {
        let name = run(store, runner, async |job| {
            let layer = NewLayer {
                job,
                attempt: 1,
                step_index: 0,
                blob: blob(seed, 9),
            };
            store.add_layer(&layer).await.unwrap();
            store.add_layer(&layer).await.unwrap();
        });
        assert_eq!(name.await, ["a", "aside", "b"][usize::from(seed) - 1]);
    }
    let expected = [("a".to_owned(), blob(1, 9)), ("b".to_owned(), blob(3, 9))];
    let c = stored.iter().find(|job| job.name == "c").unwrap();
    assert_eq!(store.workspace(c.id).await.unwrap(), expected);

    // A rerun of what failed has only `c`, and nothing that it requires.
    let rerun = Trigger {
        rerun: Some(Rerun {
            of: pipeline.id,
            from: RerunFrom::Failed,
        }),
        ..push("a")
    };
    let (_, again) = planned(store, rerun, &plan(vec![job("c", &[])]), 80).await;
    assert_eq!(store.workspace(again[0].id).await.unwrap(), expected);
}

#[tokio::test]
async fn the_newest_cache_of_a_key_is_found_and_none_of_others() {
    let world = World::new().await;
    let store = &world.store;
    let (repo, other): (RepoName, RepoName) =
        ("octo/a".parse().unwrap(), "octo/b".parse().unwrap());
    let cache = |scope: &str, key: &str, seed: u8| NewCache {
        repo: repo.clone(),
        scope: scope.into(),
        key: key.into(),
        parts: vec![CachePart {
            path: "~/x".into(),
            blob: blob(seed, 100),
        }],
    };
    let add = async |cache: NewCache, at| store.add_cache(&cache, t(at)).await.unwrap();
    assert!(add(cache("", "v1-%-a", 1), 1).await);
    assert!(add(cache("", "v1-%-b", 2), 2).await);
    assert!(!add(cache("", "v1-%-a", 3), 3).await);
    assert!(add(cache("pull/7", "v1-%-c", 4), 4).await);
    let find = async |repo: &RepoName, scope: &str, key: &str, at| {
        let found = store.find_cache(repo, scope, key, t(at)).await.unwrap();
        found.map(|cache| (cache.key, cache.parts[0].blob.clone()))
    };
    assert_eq!(
        find(&repo, "", "v1-", 5).await,
        Some(("v1-%-b".into(), blob(2, 100)))
    );
    assert_eq!(
        find(&repo, "", "v1-%-a", 9).await,
        Some(("v1-%-a".into(), blob(1, 100)))
    );
    assert_eq!(
        find(&repo, "pull/7", "v1-", 6).await.unwrap().1,
        blob(4, 100)
    );
    assert_eq!(find(&repo, "", "v1-x", 6).await, None);
    assert_eq!(find(&repo, "", "v1-%-c", 6).await, None);
    assert_eq!(find(&other, "", "v1-", 6).await, None);

    // The one that was asked for last stays; a blob that something else names does too.
    let layer = running(&world).await;
    let artifact = [("kept".to_owned(), blob(4, 100))];
    store.add_artifacts(layer, 1, 0, &artifact).await.unwrap();
    let saved = cache("", "v1-%-x", 5);
    assert!(add(saved.clone(), 7).await);
    let gone = store.evict_caches(&saved, 350).await.unwrap();
    assert_eq!(gone, [blob(2, 100).digest]);
    assert!(store.has_cache(&repo, "", "v1-%-a").await.unwrap());
    assert!(!store.has_cache(&repo, "", "v1-%-b").await.unwrap());
    let digests = vec![blob(4, 0).digest, blob(2, 0).digest];
    assert_eq!(
        store.unnamed_blobs(digests).await.unwrap(),
        [blob(2, 0).digest]
    );
}

#[tokio::test]
async fn who_saves_a_cache_makes_room_of_its_own_ones_first() {
    let world = World::new().await;
    let store = &world.store;
    let cache = |repo: &str, scope: &str, seed: u8, bytes: u64| NewCache {
        repo: repo.parse().unwrap(),
        scope: scope.into(),
        key: format!("k{seed}"),
        parts: vec![CachePart {
            path: "~/x".into(),
            blob: blob(seed, bytes),
        }],
    };
    let other = cache("octo/b", "", 1, 100);
    let scoped = cache("octo/a", "pull/7", 2, 100);
    let (old, older) = (cache("octo/a", "", 3, 100), cache("octo/a", "", 4, 100));
    let saved = cache("octo/a", "", 5, 250);
    for (cache, at) in [
        (&other, 1),
        (&scoped, 2),
        (&old, 3),
        (&older, 4),
        (&saved, 0),
    ] {
        assert!(store.add_cache(cache, t(at)).await.unwrap());
    }
    store.find_cache(&old.repo, "", "k3", t(5)).await.unwrap();
    let evict = async |limit| {
        let gone = store.evict_caches(&saved, limit).await.unwrap();
        gone.iter()
            .map(|digest| digest.as_str()[..2].to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(evict(650).await, [""; 0]);
    assert_eq!(evict(550).await, ["04"]);
    assert_eq!(evict(449).await, ["03", "01"]);
    assert_eq!(evict(250).await, ["02"]);
    assert!(store.has_cache(&saved.repo, "", "k5").await.unwrap());

    let found = store.find_cache(&saved.repo, "", "k5", t(9)).await.unwrap();
    for _ in 0..2 {
        store.drop_cache(found.as_ref().unwrap()).await.unwrap();
        assert!(!store.has_cache(&saved.repo, "", "k5").await.unwrap());
    }
}

#[tokio::test]
async fn what_is_old_is_dropped_and_nothing_else() {
    let world = World::new().await;
    let store = &world.store;
    let runner = store.ensure_local_runner("here", 9, t(1)).await.unwrap();
    let jobs = vec![job("a", &[]), job("b", &["a"])];
    let (_, stored) = planned(store, push("a"), &plan(jobs), 10).await;
    // More than one batch has.
    let many: Vec<_> = (0..2_500)
        .map(|number| (format!("f/{number}"), blob(1, number)))
        .collect();
    // It ends at 60.
    run(store, runner, async |job| {
        store.add_artifacts(job, 1, 0, &many).await.unwrap();
        let layer = NewLayer {
            job,
            attempt: 1,
            step_index: 0,
            blob: blob(2, 9),
        };
        store.add_layer(&layer).await.unwrap();
    })
    .await;
    let cache = NewCache {
        repo: "octo/a".parse().unwrap(),
        scope: String::new(),
        key: "k".into(),
        parts: vec![CachePart {
            path: "x".into(),
            blob: blob(3, 9),
        }],
    };
    store.add_cache(&cache, t(20)).await.unwrap();
    store.find_cache(&cache.repo, "", "k", t(60)).await.unwrap();
    // This one still runs, however old.
    let claim = store.claim_job(runner, None, t(50)).await.unwrap().unwrap();
    let own = [("own".to_owned(), blob(4, 1))];
    store.add_artifacts(claim.job.id, 1, 0, &own).await.unwrap();

    for (before, artifacts, others) in [(60, 0, 0), (61, 2_500, 1), (900, 0, 0)] {
        assert_eq!(store.expire_artifacts(t(before)).await.unwrap(), artifacts);
        assert_eq!(store.expire_layers(t(before)).await.unwrap(), others);
        assert_eq!(store.expire_caches(t(before)).await.unwrap(), others);
    }
    let all = Page {
        limit: 9,
        cursor: None,
    };
    let left = store.artifacts(stored[0].id, 1, &all).await.unwrap();
    assert_eq!(left.items, []);
    let left = store.artifacts(claim.job.id, 1, &all).await.unwrap();
    assert_eq!(left.items.len(), 1);
    assert_eq!(store.workspace(claim.job.id).await.unwrap(), []);
    let unnamed = [1, 2, 3].map(|seed| blob(seed, 0).digest);
    let asked = (1..=4).map(|seed| blob(seed, 0).digest).collect();
    assert_eq!(store.unnamed_blobs(asked).await.unwrap(), unnamed);
}
