//! What forges are told, and when, if they don't take it at once.

use std::time::Duration;

use engine::World;
use forge::ReportError;
use model::{ForgeKind, PipelineId, ReportId, Timestamp, Trigger};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Executor};
use store::{DueReport, Except};

use super::forge::{Answer, Heard};
use super::world::{Ci, PATIENCE, trigger};

const CONFIG: &str = "
version: 2.1
jobs:
  build:
    machine: true
    steps: [run: 'true']
";
const MINUTE: Duration = Duration::from_secs(60);

fn a_fault() -> Answer {
    Answer::Fails(ReportError::Retryable {
        reason: "502".to_owned(),
        retry_after: None,
    })
}

fn denied() -> Answer {
    Answer::Fails(ReportError::Denied {
        status: 401,
        message: "Bad credentials".to_owned(),
    })
}

/// A pipeline that the forge is told of.
async fn told_push(ci: &Ci, repo: &str) -> PipelineId {
    let trigger = Trigger {
        repo: repo.parse().unwrap(),
        commit: Some("a1b2c3d4e5a1b2c3d4e5a1b2c3d4e5a1b2c3d4e5".parse().unwrap()),
        forge: Some(ForgeKind::Github),
        ..trigger(ci.folder(CONFIG))
    };
    ci.engine.submit(trigger).await.unwrap().id
}

/// Lets some time pass, and something happen.
async fn pass(ci: &Ci, time: Duration) {
    ci.world.advance(time);
    let other = ci.push(CONFIG).await;
    ci.settled(other).await;
}

/// The oldest report of that project that waits, whenever it is due.
async fn waiting(ci: &Ci, repo: &str) -> Option<DueReport> {
    let ever = Timestamp::from_millis(i64::MAX);
    let store = ci.engine.store();
    let due = store.due_reports(ever, 100, &Except::default()).await;
    let mut reports = due.unwrap().into_iter().filter_map(|(_, due)| due.ok());
    reports.find(|due| due.repo.as_str() == repo)
}

/// Waits until the oldest report of that project that waits is so.
async fn until_waiting(ci: &Ci, repo: &str, so: impl Fn(Option<DueReport>) -> bool) {
    let waited = tokio::time::timeout(PATIENCE, async {
        while !so(waiting(ci, repo).await) {
            tokio::task::yield_now().await;
        }
    });
    waited.await.expect("the outbox gets there in time");
}

/// Waits until that many tries to tell of that project have failed, and that is stored.
async fn until_failed(ci: &Ci, repo: &str, tries: u32) {
    until_waiting(ci, repo, |due| due.is_some_and(|due| due.tries == tries)).await;
}

async fn database(ci: &Ci) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(ci.dir.path().join("popsicle.db"));
    options.connect().await.unwrap()
}

#[tokio::test]
async fn a_forge_that_asks_for_quiet_is_left_alone_by_all() {
    let answers = [
        ReportError::RateLimited {
            retry_after: 50 * MINUTE,
        },
        ReportError::Retryable {
            reason: "503".to_owned(),
            retry_after: Some(50 * MINUTE),
        },
    ];
    for answer in answers {
        let mut ci = Ci::start().await;
        ci.forge.answer("octo/a", [Answer::Fails(answer)]);
        let start = ci.world.now();
        told_push(&ci, "octo/a").await;
        until_failed(&ci, "octo/a", 1).await;

        let other = told_push(&ci, "octo/b").await;
        ci.settled(other).await;
        pass(&ci, 50 * MINUTE - Duration::from_secs(1)).await;
        let first = Heard {
            at: start,
            repo: "octo/a".to_owned(),
            state: "pending",
        };
        assert_eq!(ci.forge.heard(), [first]);

        pass(&ci, Duration::from_secs(1)).await;
        ci.forge.until("octo/a", &["pending", "success"]).await;
        ci.forge.until("octo/b", &["pending", "success"]).await;
        let heard = ci.forge.heard();
        assert!(
            heard[1..]
                .iter()
                .all(|heard| heard.at.since(start) == 50 * MINUTE),
            "{heard:?}"
        );
        ci.stop().await;
    }
}

#[tokio::test]
async fn a_fault_holds_back_its_own_commit_alone_and_longer_each_time() {
    let mut ci = Ci::start().await;
    ci.forge.answer("octo/a", [a_fault(), a_fault(), a_fault()]);
    let start = ci.world.now();
    told_push(&ci, "octo/a").await;
    until_failed(&ci, "octo/a", 1).await;
    told_push(&ci, "octo/b").await;
    ci.forge.until("octo/b", &["pending", "success"]).await;
    pass(&ci, Duration::from_secs(1)).await;
    until_failed(&ci, "octo/a", 2).await;
    pass(&ci, Duration::from_secs(2)).await;
    until_failed(&ci, "octo/a", 3).await;
    pass(&ci, Duration::from_secs(3)).await;
    pass(&ci, Duration::from_secs(1)).await;
    ci.forge.until("octo/a", &["success"]).await;
    let heard = ci.forge.heard();
    let of_a = heard.iter().filter(|heard| heard.repo == "octo/a");
    let seconds: Vec<u64> = of_a.map(|heard| heard.at.since(start).as_secs()).collect();
    assert_eq!(seconds, [0, 1, 3, 7, 7]);
    ci.stop().await;
}

#[tokio::test]
async fn a_report_that_hangs_does_not_hide_when_the_next_is_due() {
    let mut ci = Ci::start().await;
    ci.forge.answer("octo/a", [Answer::Silence]);
    ci.forge.answer("octo/b", [a_fault()]);
    let (a, b) = (
        told_push(&ci, "octo/a").await,
        told_push(&ci, "octo/b").await,
    );
    ci.settled(a).await;
    ci.settled(b).await;
    until_failed(&ci, "octo/b", 1).await;
    // No event tells the engine of it. Without a reason it would look again in a minute only.
    ci.world.advance(Duration::from_secs(1));
    let retried = ci.forge.until("octo/b", &["pending", "pending", "success"]);
    let retried = tokio::time::timeout(PATIENCE / 2, retried).await;
    assert!(retried.is_ok(), "{:?}", ci.forge.heard());
    ci.stop().await;
}

#[tokio::test]
async fn a_status_whose_fate_cannot_be_stored_is_not_sent_again_meanwhile() {
    let mut ci = Ci::start().await;
    database(&ci)
        .await
        .execute(
            "CREATE TRIGGER full BEFORE UPDATE ON reports WHEN OLD.repo = 'octo/a' \
             BEGIN SELECT RAISE(ABORT, 'no space'); END",
        )
        .await
        .unwrap();
    let full = told_push(&ci, "octo/a").await;
    ci.forge.until("octo/a", &["pending"]).await;
    ci.settled(full).await;
    told_push(&ci, "octo/b").await;
    ci.forge.until("octo/b", &["pending", "success"]).await;
    until_waiting(&ci, "octo/b", |due| due.is_none()).await;
    assert_eq!(ci.forge.states("octo/a"), ["pending"]);

    database(&ci)
        .await
        .execute("DROP TRIGGER full")
        .await
        .unwrap();
    until_waiting(&ci, "octo/a", |due| due.is_none()).await;
    assert_eq!(ci.forge.states("octo/a"), ["pending", "success"]);
    ci.stop().await;
}

#[tokio::test]
async fn a_forge_that_denies_is_asked_again_but_seldom() {
    let mut ci = Ci::start().await;
    ci.forge.answer("octo/a", [denied(), denied()]);
    let start = ci.world.now();
    told_push(&ci, "octo/a").await;
    until_failed(&ci, "octo/a", 1).await;
    pass(&ci, 10 * MINUTE - Duration::from_secs(1)).await;
    pass(&ci, Duration::from_secs(1)).await;
    until_failed(&ci, "octo/a", 2).await;
    pass(&ci, 10 * MINUTE).await;
    ci.forge.until("octo/a", &["success"]).await;
    let heard = ci.forge.heard();
    let minutes: Vec<u64> = heard
        .iter()
        .map(|heard| heard.at.since(start).as_secs() / 60)
        .collect();
    assert_eq!(minutes, [0, 10, 20, 20]);
    assert_eq!(
        ci.forge.states("octo/a"),
        ["pending", "pending", "pending", "success"]
    );
    ci.stop().await;
}

#[tokio::test]
async fn a_delivery_that_dies_disturbs_no_other() {
    let mut ci = Ci::start().await;
    ci.forge.answer("octo/hangs", [Answer::Silence]);
    ci.forge.answer("octo/dies", [Answer::Panic]);
    told_push(&ci, "octo/hangs").await;
    ci.forge.until("octo/hangs", &["pending"]).await;
    told_push(&ci, "octo/dies").await;
    until_failed(&ci, "octo/dies", 1).await;
    told_push(&ci, "octo/good").await;
    ci.forge.until("octo/good", &["pending", "success"]).await;
    assert_eq!(ci.forge.states("octo/hangs"), ["pending"]);
    assert_eq!(ci.forge.states("octo/dies"), ["pending"]);

    pass(&ci, 10 * MINUTE).await;
    ci.forge.until("octo/dies", &["pending", "success"]).await;
    assert_eq!(ci.forge.states("octo/hangs"), ["pending"]);

    // What was on its way when an engine ended is sent by the next.
    ci.restart().await;
    ci.forge
        .until("octo/hangs", &["pending", "pending", "success"])
        .await;
    ci.stop().await;
}

#[tokio::test]
async fn a_report_that_cannot_be_read_is_dropped() {
    let mut ci = Ci::start().await;
    ci.forge.answer("octo/a", [Answer::Silence]);
    let a = told_push(&ci, "octo/a").await;
    ci.settled(a).await;
    ci.forge.until("octo/a", &["pending"]).await;
    let first: ReportId = waiting(&ci, "octo/a").await.unwrap().id;
    ci.stop().await;
    let mut database = database(&ci).await;
    sqlx::query("UPDATE reports SET state = 'odd' WHERE id = $1")
        .bind(first.0)
        .execute(&mut database)
        .await
        .unwrap();
    ci.restart().await;
    ci.forge.until("octo/a", &["pending", "success"]).await;
    told_push(&ci, "octo/b").await;
    ci.forge.until("octo/b", &["pending", "success"]).await;
    let (fate, error): (String, String) =
        sqlx::query_as("SELECT fate, error FROM reports WHERE id = $1")
            .bind(first.0)
            .fetch_one(&mut database)
            .await
            .unwrap();
    assert_eq!(fate, "dropped");
    assert!(error.contains("the stored state of report"), "{error}");
    ci.stop().await;
}
