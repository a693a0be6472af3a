//! What forges are told, in which order, and what happens when they don't listen.

use model::{CommitState, ForgeKind, JobEvent, JobId, Outcome, Plan, ReportId, WorkflowSpec};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Executor};
use store::{DueReport, Except, Store};

use crate::world::{World, due, job, plan, planned, t, told_push};

async fn next_at(store: &Store) -> Option<model::Timestamp> {
    store.next_report_at(&Except::default()).await.unwrap()
}

fn words(reports: &[DueReport]) -> Vec<(Option<&str>, CommitState, &str)> {
    reports
        .iter()
        .map(|report| {
            let status = &report.status;
            (
                report.workflow.as_deref(),
                status.state,
                status.description.as_str(),
            )
        })
        .collect()
}

/// A pipeline of one job that has ended well.
async fn run(store: &Store, now: i64) -> JobId {
    let runner = store
        .ensure_local_runner("localhost", 1, t(now))
        .await
        .unwrap();
    planned(store, told_push("a"), &plan(vec![job("build", &[])]), now).await;
    let id = store
        .claim_job(runner, None, t(now + 5))
        .await
        .unwrap()
        .unwrap()
        .job
        .id;
    let finish = JobEvent::Finish {
        outcome: Outcome::Success,
        at: t(now + 9),
    };
    store.advance_job(id, finish).await.unwrap();
    id
}

#[tokio::test]
async fn a_forge_that_was_away_hears_the_first_word_and_the_last() {
    let mut world = World::new().await;
    run(&world.store, 10).await;
    world.reopen().await;
    let store = &world.store;
    // queued, running and success wait; one at a time is due.
    let first = due(store, 100).await;
    assert_eq!(words(&first), [(None, CommitState::Pending, "queued")]);
    assert_eq!(due(store, 100).await, first, "until its fate is told");
    store.report_delivered(first[0].id, t(101)).await.unwrap();
    let last = due(store, 102).await;
    assert_eq!(
        words(&last),
        [(None, CommitState::Success, "1 job succeeded")]
    );
    store.report_delivered(last[0].id, t(103)).await.unwrap();
    assert_eq!(due(store, 999).await, []);
    assert_eq!(next_at(store).await, None);
}

#[tokio::test]
async fn a_report_that_fails_is_tried_again_and_holds_back_those_behind_it() {
    let world = World::new().await;
    let store = &world.store;
    run(store, 10).await;
    let first = due(store, 100).await.remove(0);
    assert_eq!(next_at(store).await, Some(t(10)));
    store
        .retry_report(first.id, t(500), "502 from api.github.com")
        .await
        .unwrap();
    assert_eq!(due(store, 499).await, []);
    assert_eq!(next_at(store).await, Some(t(500)));
    let again = due(store, 500).await;
    assert_eq!(
        again,
        [DueReport {
            tries: 1,
            ..first.clone()
        }]
    );
    store
        .drop_report(first.id, "no such commit", t(501))
        .await
        .unwrap();
    assert_eq!(due(store, 501).await[0].status.state, CommitState::Success);

    for settled in [first.id, ReportId(99)] {
        assert!(
            store
                .report_delivered(settled, t(502))
                .await
                .unwrap_err()
                .is_not_found()
        );
        assert!(
            store
                .retry_report(settled, t(502), "x")
                .await
                .unwrap_err()
                .is_not_found()
        );
    }
}

#[tokio::test]
async fn pipelines_of_one_commit_take_turns() {
    let world = World::new().await;
    let store = &world.store;
    run(store, 10).await;
    let first = due(store, 100).await.remove(0);
    // A rerun of the same commit, while the first report is on its way.
    run(store, 200).await;
    assert_eq!(due(store, 300).await, std::slice::from_ref(&first));
    store.report_delivered(first.id, t(301)).await.unwrap();
    let last = due(store, 302).await;
    assert_eq!(
        words(&last),
        [(None, CommitState::Success, "1 job succeeded")]
    );
    assert_eq!(last[0].pipeline.0, 2);
    store.report_delivered(last[0].id, t(303)).await.unwrap();
    assert_eq!(due(store, 999).await, []);
}

#[tokio::test]
async fn several_workflows_are_told_of_each_by_itself() {
    let world = World::new().await;
    let store = &world.store;
    let runner = store
        .ensure_local_runner("localhost", 2, t(0))
        .await
        .unwrap();
    let workflow = |name: &str| WorkflowSpec::new(name, vec![job("build", &[])]);
    let plan = Plan::from(vec![workflow("test"), workflow("nightly")]);
    planned(store, told_push("a"), &plan, 10).await;
    let reports = due(store, 100).await;
    assert_eq!(
        words(&reports),
        [
            (None, CommitState::Pending, "queued"),
            (Some("test"), CommitState::Pending, "queued"),
            (Some("nightly"), CommitState::Pending, "queued"),
        ]
    );
    for report in reports {
        store.report_delivered(report.id, t(100)).await.unwrap();
    }
    let test = store
        .claim_job(runner, None, t(101))
        .await
        .unwrap()
        .unwrap()
        .job
        .id;
    let finish = JobEvent::Finish {
        outcome: Outcome::Success,
        at: t(102),
    };
    store.advance_job(test, finish).await.unwrap();
    assert_eq!(
        words(&due(store, 103).await),
        [
            (None, CommitState::Pending, "running"),
            (Some("test"), CommitState::Pending, "running"),
        ]
    );
}

#[tokio::test]
async fn what_is_passed_over_is_neither_due_nor_next() {
    let world = World::new().await;
    let store = &world.store;
    run(store, 10).await;
    planned(store, told_push("b"), &plan(vec![job("build", &[])]), 20).await;
    let reports = due(store, 100).await;
    let [a, b] = &reports[..] else {
        panic!("{reports:?}");
    };
    let under_way = Except {
        reports: vec![a.id],
        ..Except::default()
    };
    let left = store.due_reports(t(100), 1, &under_way).await.unwrap();
    assert_eq!(left.len(), 1);
    assert_eq!(
        left[0].1.as_ref().unwrap(),
        b,
        "and none that waits behind a"
    );
    assert_eq!(store.next_report_at(&under_way).await.unwrap(), Some(t(20)));
    let forge = Except {
        forges: vec![ForgeKind::Github],
        ..Except::default()
    };
    assert!(
        store
            .due_reports(t(100), 9, &forge)
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(store.next_report_at(&forge).await.unwrap(), None);
}

#[tokio::test]
async fn a_row_that_cannot_be_read_holds_up_nobody_else() {
    let world = World::new().await;
    let store = &world.store;
    planned(store, told_push("a"), &plan(vec![job("build", &[])]), 10).await;
    planned(store, told_push("b"), &plan(vec![job("build", &[])]), 20).await;
    let mut raw = SqliteConnectOptions::new()
        .filename(world.folder.path().join("popsicle.db"))
        .connect()
        .await
        .unwrap();
    raw.execute("UPDATE reports SET state = 'odd' WHERE id = 1")
        .await
        .unwrap();
    let found = store
        .due_reports(t(100), 9, &Except::default())
        .await
        .unwrap();
    let (id, unreadable) = &found[0];
    assert_eq!(*id, ReportId(1));
    assert_eq!(
        unreadable.as_ref().unwrap_err().to_string(),
        "the stored state of report 1 can't be read"
    );
    assert_eq!(found[1].1.as_ref().unwrap().repo.as_str(), "octo/b");

    // Its pipeline goes on, and is told of.
    store.drop_report(*id, "unreadable", t(101)).await.unwrap();
    let runner = store
        .ensure_local_runner("localhost", 1, t(102))
        .await
        .unwrap();
    let claim = store
        .claim_job(runner, None, t(103))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(claim.pipeline.id.0, 1);
    let due = due(store, 104).await;
    assert_eq!(due[1].status.description, "running");
    assert_eq!(due[1].repo.as_str(), "octo/a");
}
