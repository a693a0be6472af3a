//! What the engine does when the database, an executor or a remote lets it down.

use std::net::TcpListener;
use std::time::Duration;

use model::{Origin, Status};

use super::actor::{Act, Refusals};
use super::stories::config;
use super::world::{Ci, trigger};

#[tokio::test]
async fn an_end_that_can_not_be_stored_at_once_is_stored_later() {
    let mut ci = Ci::start().await;
    ci.stage.act("build", &[Act::Stay]);
    let id = ci.push(&config(&[("build", "")])).await;
    ci.running(id, "build").await;
    ci.until(id, |_, _| ci.stage.held() == 1).await;
    let held = ci.hold_database().await;
    ci.stage.finish("build", 0);
    // Once it has not been stored, what takes room is freed.
    let work = ci.job_folder().join("work");
    ci.until_true(|| !work.exists()).await;
    assert_eq!(ci.status(id).await, Status::Running);
    drop(held);
    assert_eq!(ci.settled(id).await, "build success\n");
    ci.swept().await;
    ci.stop().await;
}

#[tokio::test]
async fn a_job_whose_run_dies_ends_with_a_reason() {
    let mut ci = Ci::start().await;
    ci.stage.act("build", &[Act::Panic]);
    let id = ci.push(&config(&[("build", "")])).await;
    let jobs = ci.settled(id).await;
    assert!(jobs.starts_with("build error: "), "{jobs}");
    assert!(jobs.contains("panic"), "{jobs}");
    ci.stop().await;
}

#[tokio::test]
async fn a_job_that_can_not_be_stopped_is_asked_again() {
    let mut ci = Ci::start().await;
    ci.stage.act("build", &[Act::Stay]);
    let id = ci.push(&config(&[("build", "")])).await;
    ci.running(id, "build").await;
    ci.until(id, |_, _| ci.stage.held() == 1).await;
    ci.stage.refuse(Refusals {
        stops: 1,
        removals: 0,
    });
    ci.engine.cancel(id, None).await.unwrap();
    assert_eq!(
        ci.settled(id).await,
        "build canceled: canceled on request\n"
    );
    ci.swept().await;
    ci.stop().await;
}

#[tokio::test]
async fn a_folder_stays_as_long_as_its_container() {
    let mut ci = Ci::start_with(|settings| {
        settings.reconcile_interval = Duration::from_millis(10);
    })
    .await;
    // The run's own removal fails, and so do the first looks for leftovers.
    ci.stage.refuse(Refusals {
        stops: 0,
        removals: 3,
    });
    let id = ci.push(&config(&[("build", "")])).await;
    ci.settled(id).await;
    while ci.stage.refusals().removals > 0 {
        let folders = std::fs::read_dir(ci.dir.path().join("jobs")).unwrap();
        assert_eq!((ci.stage.held(), folders.count()), (1, 1));
        tokio::task::yield_now().await;
    }
    ci.swept().await;
    ci.stop().await;
}

#[tokio::test]
async fn an_engine_that_finishes_leaves_nothing() {
    let mut ci = Ci::start().await;
    ci.stage.act("build", &[Act::Stay]);
    let id = ci.push(&config(&[("build", "")])).await;
    ci.running(id, "build").await;
    ci.until(id, |_, _| ci.stage.held() == 1).await;
    ci.finish(Duration::ZERO).await;
    let folders = std::fs::read_dir(ci.dir.path().join("jobs")).unwrap();
    assert_eq!((ci.stage.held(), folders.count()), (0, 0));
}

#[tokio::test]
async fn an_engine_that_finishes_lets_jobs_end() {
    let mut ci = Ci::start().await;
    ci.stage.act("build", &[Act::Stay]);
    let id = ci.push(&config(&[("build", ""), ("next", "build")])).await;
    ci.running(id, "build").await;
    ci.until(id, |_, _| ci.stage.held() == 1).await;
    ci.stage.finish("build", 0);
    ci.finish(Duration::from_secs(60)).await;
    let build = ci.job(id, "build").await;
    assert_eq!(build.state.status(), Status::Success);
    assert_eq!(ci.stage.held(), 0);
}

/// A remote that takes connections and says nothing.
fn silent_remote() -> (TcpListener, Origin) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let url = format!("http://127.0.0.1:{port}/octo/silent.git");
    (listener, Origin::Git { url })
}

#[tokio::test]
async fn a_silent_remote_holds_up_no_other_project_and_can_be_canceled() {
    let mut ci = Ci::start_with(|settings| settings.max_preparations = 2).await;
    let (_listener, origin) = silent_remote();
    let mut silent = trigger(ci.dir.path().to_owned());
    silent.repo = "octo/silent".parse().unwrap();
    silent.commit = Some("a1b2c3d4e5a1b2c3d4e5a1b2c3d4e5a1b2c3d4e5".parse().unwrap());
    silent.origin = origin;
    let first = ci.engine.submit(silent.clone()).await.unwrap().id;
    let second = ci.engine.submit(silent).await.unwrap().id;

    let other = ci.push(&config(&[("build", "")])).await;
    assert_eq!(ci.settled(other).await, "build success\n");
    assert!(!ci.status(first).await.is_ended());

    for id in [first, second] {
        ci.engine.cancel(id, None).await.unwrap();
        assert_eq!(ci.status(id).await, Status::Canceled);
    }
    // Both slots are free again.
    for _ in 0..2 {
        let other = ci.push(&config(&[("build", "")])).await;
        ci.settled(other).await;
    }
    ci.stop().await;
}
