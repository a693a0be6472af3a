//! Lists: their filters, their order, and their pages while the list grows.

use model::{GitRef, JobEvent, Outcome, PipelineId, Status, Timestamp, Trigger, TriggerKind};
use store::{Page, PipelineFilter, Store, StoreError};

use crate::world::{World, job, plan, planned, push, t};

const OTHER_COMMIT: &str = "0123456789012345678901234567890123456789";

fn page(limit: u32, cursor: Option<String>) -> Page {
    Page { limit, cursor }
}

async fn ids(store: &Store, filter: &PipelineFilter) -> Vec<i64> {
    let found = store.pipelines(filter, &Page::default()).await.unwrap();
    found.items.iter().map(|pipeline| pipeline.id.0).collect()
}

#[tokio::test]
async fn pipelines_are_filtered_by_all_that_is_asked() {
    let world = World::new().await;
    let store = &world.store;
    let branch = |name: &str, trigger: Trigger| Trigger {
        git_ref: Some(GitRef::Branch(name.into())),
        ..trigger
    };
    let tag = Trigger {
        git_ref: Some(GitRef::Tag("main".into())),
        ..push("a")
    };
    let triggers = [
        push("a"),
        branch("--upload-pack=x", push("a")),
        push("b"),
        Trigger {
            kind: TriggerKind::Tag,
            ..tag
        },
        Trigger {
            kind: TriggerKind::Api,
            ..push("a")
        },
        Trigger {
            commit: Some(OTHER_COMMIT.parse().unwrap()),
            ..push("a")
        },
    ];
    store.create_pipelines(&triggers, t(1)).await.unwrap();
    let reason = model::CancelReason::Interrupted;
    store
        .cancel_pipeline(PipelineId(1), reason, t(2))
        .await
        .unwrap();

    let all = PipelineFilter::default();
    assert_eq!(ids(store, &all).await, [6, 5, 4, 3, 2, 1]);
    let repo = PipelineFilter {
        repo: Some("octo/a".parse().unwrap()),
        ..all.clone()
    };
    assert_eq!(ids(store, &repo).await, [6, 5, 4, 2, 1]);
    let commit = PipelineFilter {
        commit: Some(OTHER_COMMIT.parse().unwrap()),
        ..repo.clone()
    };
    assert_eq!(ids(store, &commit).await, [6]);
    let main = PipelineFilter {
        branch: Some("main".into()),
        ..all.clone()
    };
    assert_eq!(ids(store, &main).await, [6, 5, 3, 1]);
    let both = PipelineFilter {
        branch: Some("main".into()),
        ..repo.clone()
    };
    assert_eq!(ids(store, &both).await, [6, 5, 1]);
    let odd = PipelineFilter {
        branch: Some("--upload-pack=x".into()),
        ..all.clone()
    };
    assert_eq!(ids(store, &odd).await, [2]);
    let canceled = PipelineFilter {
        status: Some(Status::Canceled),
        ..all.clone()
    };
    assert_eq!(ids(store, &canceled).await, [1]);
    let api = PipelineFilter {
        trigger: Some(TriggerKind::Api),
        ..both
    };
    assert_eq!(ids(store, &api).await, [5]);
    let none = PipelineFilter {
        branch: Some("' OR 1=1 --".into()),
        ..all
    };
    assert_eq!(ids(store, &none).await, [] as [i64; 0]);
}

#[tokio::test]
async fn pages_neither_repeat_nor_miss_anything_while_the_list_grows() {
    let world = World::new().await;
    let store = &world.store;
    let filter = PipelineFilter {
        repo: Some("octo/a".parse().unwrap()),
        ..PipelineFilter::default()
    };
    let batch = |count: usize| -> Vec<Trigger> {
        (0..count)
            .map(|n| push(if n % 2 == 0 { "a" } else { "b" }))
            .collect()
    };
    store.create_pipelines(&batch(50), t(1)).await.unwrap();
    let (mut seen, mut cursor) = (Vec::new(), None);
    loop {
        let found = store.pipelines(&filter, &page(4, cursor)).await.unwrap();
        seen.extend(found.items.iter().map(|pipeline| pipeline.id.0));
        store.create_pipelines(&batch(3), t(2)).await.unwrap();
        cursor = match found.next {
            Some(next) => Some(next),
            None => break,
        };
    }
    let expected: Vec<i64> = (1..=50).rev().filter(|id| id % 2 == 1).collect();
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn a_page_that_is_just_full_has_a_next_only_if_there_is_more() {
    let world = World::new().await;
    let store = &world.store;
    let all = PipelineFilter::default();
    store
        .create_pipelines(&[push("a"), push("a"), push("a")], t(1))
        .await
        .unwrap();
    let found = store.pipelines(&all, &page(3, None)).await.unwrap();
    assert_eq!((found.items.len(), found.next), (3, None));
    let found = store.pipelines(&all, &page(2, None)).await.unwrap();
    let rest = store.pipelines(&all, &page(2, found.next)).await.unwrap();
    assert_eq!((rest.items.len(), rest.next), (1, None));
    // Nonsense is bounded, not refused.
    assert_eq!(
        store
            .pipelines(&all, &page(0, None))
            .await
            .unwrap()
            .items
            .len(),
        1
    );
    assert_eq!(
        store
            .pipelines(&all, &page(u32::MAX, None))
            .await
            .unwrap()
            .items
            .len(),
        3
    );
}

#[tokio::test]
async fn a_cursor_is_good_for_its_own_list_only() {
    let world = World::new().await;
    let store = &world.store;
    let all = PipelineFilter::default();
    store
        .create_pipelines(&[push("a"), push("a")], t(1))
        .await
        .unwrap();
    let cursor = store.pipelines(&all, &page(1, None)).await.unwrap().next;
    assert!(cursor.is_some());
    let refused = store.jobs(&page(1, cursor)).await.unwrap_err();
    assert!(matches!(refused, StoreError::BadCursor(_)));
    for bad in [
        "",
        "1",
        "p",
        "px",
        "p1; DROP TABLE pipelines",
        "p99999999999999999999",
    ] {
        let refused = store
            .pipelines(&all, &page(1, Some(bad.into())))
            .await
            .unwrap_err();
        assert!(refused.is_bad_request(), "{bad}: {refused}");
    }
}

#[tokio::test]
async fn jobs_are_listed_newest_first() {
    let world = World::new().await;
    let store = &world.store;
    let jobs = plan(vec![job("a", &[]), job("b", &[]), job("c", &[])]);
    planned(store, push("a"), &jobs, 1).await;
    let found = store.jobs(&page(2, None)).await.unwrap();
    let rest = store.jobs(&page(2, found.next)).await.unwrap();
    let names: Vec<_> = found
        .items
        .iter()
        .chain(&rest.items)
        .map(|job| &job.name[..])
        .collect();
    assert_eq!(names, ["c", "b", "a"]);
}

/// A pipeline that began at `start` and took so long.
async fn run(store: &Store, repo: &str, start: Timestamp, millis: i64, outcome: Outcome) {
    let runner = store
        .ensure_local_runner("localhost", 1, start)
        .await
        .unwrap();
    let at = start.as_millis();
    planned(store, push(repo), &plan(vec![job("build", &[])]), at - 1).await;
    let id = store
        .claim_job(runner, None, start)
        .await
        .unwrap()
        .unwrap()
        .job
        .id;
    store
        .advance_job(
            id,
            JobEvent::Finish {
                outcome,
                at: t(at + millis),
            },
        )
        .await
        .unwrap();
}

#[tokio::test]
async fn projects_are_summed_up() {
    let world = World::new().await;
    let store = &world.store;
    let day = 24 * 60 * 60 * 1000;
    let failed = || Outcome::Failure(model::Failure::OutOfMemory);
    run(store, "a", t(day), 50, failed()).await;
    run(store, "a", t(40 * day), 100, Outcome::Success).await;
    run(store, "a", t(41 * day), 300, Outcome::Success).await;
    run(store, "b", t(42 * day), 7, Outcome::Success).await;
    run(store, "a", t(43 * day), 200, failed()).await;
    let canceled = store
        .create_pipelines(&[push("a")], t(44 * day))
        .await
        .unwrap()[0]
        .id;
    let reason = model::CancelReason::Interrupted;
    store
        .cancel_pipeline(canceled, reason, t(44 * day))
        .await
        .unwrap();
    let waiting = store
        .create_pipelines(&[push("a")], t(44 * day))
        .await
        .unwrap()[0]
        .id;

    let now = t(45 * day);
    let repo = "octo/a".parse().unwrap();
    let a = store.project(&repo, now).await.unwrap();
    assert_eq!(
        (a.pipelines, a.last.id, a.last.status),
        (6, waiting, Status::Queued)
    );
    // Of the last 30 days, and without what was canceled: two of three.
    assert_eq!(a.success_rate, Some(2.0 / 3.0));
    let trend: Vec<_> = a
        .recent
        .iter()
        .map(|run| (run.status, run.duration_ms))
        .collect();
    assert_eq!(
        trend,
        [
            (Status::Failure, Some(50)),
            (Status::Success, Some(100)),
            (Status::Success, Some(300)),
            (Status::Failure, Some(200)),
            (Status::Canceled, None),
        ]
    );
    assert_eq!(a.median_ms, Some(150));
    assert_eq!(store.branches(&repo).await.unwrap(), ["main"]);

    let found = store.projects(&page(1, None), now).await.unwrap();
    assert_eq!(found.items, [a]);
    let rest = store.projects(&page(1, found.next), now).await.unwrap();
    assert_eq!((rest.items[0].repo.as_str(), &rest.next), ("octo/b", &None));
    assert_eq!(rest.items[0].success_rate, Some(1.0));
    let unknown = store
        .project(&"octo/none".parse().unwrap(), now)
        .await
        .unwrap_err();
    assert_eq!(unknown.to_string(), "there is no project octo/none");
}
