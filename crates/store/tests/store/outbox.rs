//! What forges are told, in which order, and what happens when they don't listen.

use model::{CommitState, JobEvent, JobId, Outcome, Plan, ReportId, WorkflowSpec};
use store::{DueReport, Store};

use crate::world::{World, job, plan, planned, t, told_push};

async fn due(store: &Store, now: i64) -> Vec<DueReport> {
    store.due_reports(t(now), 100).await.unwrap()
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
        .claim_job(runner, t(now + 5))
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
    assert_eq!(store.next_report_at().await.unwrap(), None);
}

#[tokio::test]
async fn a_report_that_fails_is_tried_again_and_holds_back_those_behind_it() {
    let world = World::new().await;
    let store = &world.store;
    run(store, 10).await;
    let first = due(store, 100).await.remove(0);
    assert_eq!(store.next_report_at().await.unwrap(), Some(t(10)));
    store
        .retry_report(first.id, t(500), "502 from api.github.com")
        .await
        .unwrap();
    assert_eq!(due(store, 499).await, []);
    assert_eq!(store.next_report_at().await.unwrap(), Some(t(500)));
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
    let workflow = |name: &str| WorkflowSpec {
        name: name.into(),
        jobs: vec![job("build", &[])],
    };
    let plan = Plan {
        workflows: vec![workflow("test"), workflow("nightly")],
    };
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
        .claim_job(runner, t(101))
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
