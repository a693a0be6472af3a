//! What the engine does with jobs, whatever runs them.

use std::time::Duration;

use engine::EngineError;
use model::{RerunFrom, Status};

use super::actor::Act;
use super::world::{Ci, status_of};

/// A config of `machine` jobs, each with what it requires: `deploy: build lint`.
pub fn config(jobs: &[(&str, &str)]) -> String {
    let mut text = "version: 2.1\njobs:\n".to_owned();
    for (name, _) in jobs {
        text += &format!("  {name}:\n    machine: true\n    steps:\n      - run: {name}\n");
    }
    text += "workflows:\n  ci:\n    jobs:\n";
    for (name, requires) in jobs {
        let requires = requires.split_whitespace().collect::<Vec<_>>().join(", ");
        text += &format!("      - {name}:\n          requires: [{requires}]\n");
    }
    text
}

#[tokio::test]
async fn jobs_run_after_what_they_require() {
    let mut ci = Ci::start().await;
    let id = ci
        .push(&config(&[
            ("deploy", "build lint"),
            ("build", ""),
            ("lint", ""),
        ]))
        .await;
    ci.settled(id).await;
    assert_eq!(ci.status(id).await, Status::Success);
    assert_eq!(
        ci.stage.launched().last().map(String::as_str),
        Some("deploy")
    );
    let log = ci.log(&ci.job(id, "build").await).await;
    assert_eq!(log, "build says hello\n");
    ci.swept().await;
    ci.stop().await;
}

#[tokio::test]
async fn a_failed_job_stops_what_needs_it_and_nothing_else() {
    let mut ci = Ci::start().await;
    ci.stage.act("build", &[Act::Exit(2)]);
    let id = ci
        .push(&config(&[
            ("build", ""),
            ("deploy", "build"),
            ("lint", ""),
            ("docs", "lint"),
        ]))
        .await;
    let jobs = ci.settled(id).await;
    assert!(
        jobs.contains("build failure: step \"build\" ended with exit code 2\n"),
        "{jobs}"
    );
    assert!(
        jobs.contains("deploy skipped: it requires `build`"),
        "{jobs}"
    );
    assert!(jobs.contains("docs success\n"), "{jobs}");
    assert_eq!(ci.status(id).await, Status::Failure);
    ci.stop().await;
}

#[tokio::test]
async fn no_more_jobs_run_at_once_than_may() {
    let mut ci = Ci::start_with(|settings| settings.max_jobs = 2).await;
    for job in ["a", "b", "c"] {
        ci.stage.act(job, &[Act::Stay]);
    }
    let id = ci.push(&config(&[("a", ""), ("b", ""), ("c", "")])).await;
    ci.running(id, "a").await;
    ci.running(id, "b").await;
    assert_eq!(ci.job(id, "c").await.state.status(), Status::Queued);
    ci.until(id, |_, _| ci.stage.held() == 2).await;
    ci.stage.finish("a", 0);
    ci.running(id, "c").await;
    ci.until(id, |_, _| ci.stage.held() == 2).await;
    ci.stage.finish("b", 0);
    ci.stage.finish("c", 0);
    ci.settled(id).await;
    ci.stop().await;
}

#[tokio::test]
async fn a_canceled_pipeline_stops_what_runs_and_drops_what_waits() {
    let mut ci = Ci::start().await;
    ci.stage.act("build", &[Act::Stay]);
    let id = ci
        .push(&config(&[("build", ""), ("deploy", "build")]))
        .await;
    ci.running(id, "build").await;
    ci.engine.cancel(id, Some("ada".into())).await.unwrap();
    let jobs = ci.settled(id).await;
    assert_eq!(
        jobs,
        "build canceled: canceled by ada\ndeploy canceled: canceled by ada\n"
    );
    ci.swept().await;
    let again = ci.engine.cancel(id, None).await.unwrap_err();
    assert!(again.is_conflict(), "{again}");
    ci.stop().await;
}

#[tokio::test]
async fn a_lost_attempt_is_followed_by_another_up_to_the_limit() {
    let mut ci = Ci::start_with(|settings| settings.max_attempts = 3).await;
    ci.stage
        .act("unlucky", &[Act::Vanish, Act::Vanish, Act::Exit(0)]);
    ci.stage.act("doomed", &[Act::Vanish]);
    let id = ci.push(&config(&[("unlucky", ""), ("doomed", "")])).await;
    let jobs = ci.settled(id).await;
    assert!(jobs.contains("unlucky success\n"), "{jobs}");
    assert!(
        jobs.contains("doomed error: the job's container is gone"),
        "{jobs}"
    );
    assert_eq!(ci.job(id, "unlucky").await.state.attempt(), 3);
    assert_eq!(ci.status(id).await, Status::Error);
    ci.stop().await;
}

#[tokio::test]
async fn what_cannot_start_fails_with_its_reason() {
    let mut ci = Ci::start().await;
    ci.stage.act("build", &[Act::Reject("no such image")]);
    let id = ci.push(&config(&[("build", "")])).await;
    assert_eq!(ci.settled(id).await, "build failure: no such image\n");
    let docker = "version: 2.1\njobs:\n  build:\n    docker: [{image: x}]\n    steps: [checkout]\n";
    let id = ci.push(docker).await;
    let jobs = ci.settled(id).await;
    assert!(
        jobs.starts_with("build failure: no executor here can run this job (actor: it plays"),
        "{jobs}"
    );
    ci.stop().await;
}

#[tokio::test]
async fn a_job_outlives_its_engine() {
    let mut ci = Ci::start().await;
    ci.stage.act("build", &[Act::Stay]);
    let id = ci
        .push(&config(&[("build", ""), ("deploy", "build")]))
        .await;
    let job = ci.launched(id, "build").await;
    ci.restart().await;
    assert_eq!(ci.job(id, "build").await.state.status(), Status::Running);
    ci.stage.finish("build", 0);
    ci.settled(id).await;
    assert_eq!(ci.status(id).await, Status::Success);
    assert_eq!(ci.job(id, "build").await.state.attempt(), 1);
    assert_eq!(ci.log(&job).await, "build stays\n");
    assert_eq!(ci.stage.launched(), ["build", "deploy"]);
    ci.swept().await;
    ci.stop().await;
}

#[tokio::test]
async fn a_cancel_that_no_engine_heard_is_carried_out_by_the_next() {
    let mut ci = Ci::start().await;
    ci.stage.act("build", &[Act::Stay]);
    let id = ci.push(&config(&[("build", "")])).await;
    ci.launched(id, "build").await;
    ci.stop().await;
    let database = ci.dir.path().join("popsicle.db").display().to_string();
    let store = store::Store::open(&database).await.unwrap();
    let reason = model::CancelReason::Requested { by: None };
    store
        .cancel_pipeline(id, reason, model::Timestamp::default())
        .await
        .unwrap();
    store.close().await;
    ci.restart().await;
    assert_eq!(
        ci.settled(id).await,
        "build canceled: canceled on request\n"
    );
    ci.swept().await;
    ci.stop().await;
}

#[tokio::test]
async fn a_job_that_takes_too_long_is_ended() {
    let mut ci = Ci::start_with(|settings| settings.job_timeout = Duration::from_millis(50)).await;
    ci.stage.act("build", &[Act::Stay]);
    let id = ci.push(&config(&[("build", "")])).await;
    let jobs = ci.settled(id).await;
    assert!(
        jobs.starts_with("build failure: the job took longer than its limit"),
        "{jobs}"
    );
    ci.swept().await;
    ci.stop().await;
}

#[tokio::test]
async fn a_job_that_takes_longer_than_its_config_grants_is_ended() {
    let mut ci = Ci::start().await;
    ci.stage.act("build", &[Act::Stay]);
    let config = config(&[("build", "")]).replace("machine:", "timeout: 50ms\n    machine:");
    let id = ci.push(&config).await;
    let expected = "build failure: the job took longer than its limit of 50 ms\n";
    assert_eq!(ci.settled(id).await, expected);
    ci.swept().await;
    ci.stop().await;
}

#[tokio::test]
async fn a_jobs_time_runs_on_while_no_engine_is_there() {
    let mut ci = Ci::start().await;
    ci.stage.act("build", &[Act::Stay]);
    let config = config(&[("build", "")]).replace("machine:", "timeout: 30m\n    machine:");
    let id = ci.push(&config).await;
    ci.launched(id, "build").await;
    ci.stop().await;
    ci.world.advance(Duration::from_secs(31 * 60));
    ci.restart().await;
    let expected = "build failure: the job took longer than its limit of 1800 s\n";
    assert_eq!(ci.settled(id).await, expected);
    ci.swept().await;
    ci.stop().await;
}

#[tokio::test]
async fn a_step_that_writes_nothing_is_ended() {
    let mut ci = Ci::start().await;
    ci.stage.act("build", &[Act::Stay]);
    let step = "run: {command: build, no_output_timeout: 50ms}";
    let id = ci
        .push(&config(&[("build", "")]).replace("run: build", step))
        .await;
    let expected = "build failure: step \"build\" wrote nothing for its limit of 50 ms\n";
    assert_eq!(ci.settled(id).await, expected);
    ci.swept().await;
    ci.stop().await;
}

#[tokio::test]
async fn an_approval_waits_for_a_person() {
    let mut ci = Ci::start().await;
    let config = config(&[("build", "")]).replace(
        "workflows:\n  ci:\n    jobs:\n      - build:\n          requires: []\n",
        "workflows:\n  ci:\n    jobs:\n      - gate: {type: approval}\n      - build: {requires: [gate]}\n",
    );
    let id = ci.push(&config).await;
    ci.until(id, |status, _| status == Status::OnHold).await;
    let gate = ci.job(id, "gate").await;
    ci.engine
        .approve(gate.id, Some("ada".into()))
        .await
        .unwrap();
    assert_eq!(ci.settled(id).await, "gate success\nbuild success\n");
    let again = ci.engine.approve(gate.id, None).await.unwrap_err();
    assert!(again.is_conflict(), "{again}");
    ci.stop().await;
}

#[tokio::test]
async fn a_rerun_repeats_all_or_what_did_not_succeed() {
    let mut ci = Ci::start().await;
    ci.stage.act("build", &[Act::Exit(1), Act::Exit(0)]);
    let id = ci
        .push(&config(&[
            ("lint", ""),
            ("build", ""),
            ("deploy", "build lint"),
        ]))
        .await;
    ci.settled(id).await;
    let again = ci
        .engine
        .rerun(id, RerunFrom::Failed, None)
        .await
        .unwrap()
        .id;
    ci.settled(again).await;
    let jobs = ci.engine.store().jobs_of(again).await.unwrap();
    assert_eq!(status_of(&jobs, "lint"), None, "it went well before");
    assert_eq!(status_of(&jobs, "build"), Some(Status::Success));
    assert_eq!(status_of(&jobs, "deploy"), Some(Status::Success));

    let whole = ci
        .engine
        .rerun(id, RerunFrom::Start, None)
        .await
        .unwrap()
        .id;
    ci.settled(whole).await;
    assert_eq!(ci.engine.store().jobs_of(whole).await.unwrap().len(), 3);
    let refused = ci
        .engine
        .rerun(whole, RerunFrom::Failed, None)
        .await
        .unwrap_err();
    assert!(
        matches!(refused, EngineError::NotRerunnable { .. }),
        "{refused}"
    );
    ci.stop().await;
}

#[tokio::test]
async fn a_rerun_of_what_failed_leaves_out_what_must_follow_a_failure() {
    let mut ci = Ci::start().await;
    ci.stage.act("test", &[Act::Exit(1), Act::Exit(0)]);
    let jobs = [
        ("build", ""),
        ("test", ""),
        ("rollback", "build"),
        ("notice", "rollback"),
    ];
    let config = config(&jobs).replace("requires: [build]", "requires: [{build: [failed]}]");
    let id = ci.push(&config).await;
    ci.settled(id).await;
    let rerun = ci.engine.rerun(id, RerunFrom::Failed, None).await;
    let again = rerun.unwrap().id;
    assert_eq!(ci.settled(again).await, "test success\n");
    ci.stop().await;
}

#[tokio::test]
async fn a_config_that_does_not_compile_is_a_failure_that_says_where() {
    let mut ci = Ci::start().await;
    let id = ci
        .push(&config(&[("deploy", "biuld"), ("build", "")]))
        .await;
    ci.settled(id).await;
    let pipeline = ci.engine.store().pipeline(id).await.unwrap();
    assert_eq!(pipeline.status, Status::Failure);
    let reason = pipeline.reason.unwrap();
    assert!(reason.contains("did you mean `build`?"), "{reason}");
    assert!(reason.contains(".popsicle/ci.yml:"), "{reason}");
    ci.stop().await;
}

#[tokio::test]
async fn times_come_from_the_worlds_clock() {
    let mut ci = Ci::start().await;
    ci.stage.act("build", &[Act::Stay]);
    let id = ci.push(&config(&[("build", "")])).await;
    ci.running(id, "build").await;
    ci.until(id, |_, _| ci.stage.held() == 1).await;
    ci.world.advance(Duration::from_secs(90));
    ci.stage.finish("build", 0);
    ci.settled(id).await;
    let job = ci.job(id, "build").await;
    let (started, ended) = (job.state.started().unwrap(), job.state.ended().unwrap());
    assert_eq!(ended.since(started), Duration::from_secs(90));
    ci.stop().await;
}

#[tokio::test]
async fn a_retried_job_frees_what_was_skipped_because_of_it() {
    let mut ci = Ci::start().await;
    ci.stage.act("build", &[Act::Exit(2), Act::Exit(0)]);
    let id = ci
        .push(&config(&[("build", ""), ("deploy", "build")]))
        .await;
    ci.settled(id).await;
    assert_eq!(ci.status(id).await, Status::Failure);
    let build = ci.job(id, "build").await;
    let retried = ci.engine.retry(build.id, Some("ada".into())).await.unwrap();
    assert_eq!(retried.id, build.id);
    assert_eq!(ci.settled(id).await, "build success\ndeploy success\n");
    assert_eq!(ci.status(id).await, Status::Success);
    assert_eq!(ci.job(id, "build").await.state.attempt(), 2);
    let well = ci.engine.retry(build.id, None).await.unwrap_err();
    assert!(well.is_conflict(), "{well}");
    ci.swept().await;
    ci.stop().await;
}

#[tokio::test]
async fn a_failed_workflow_runs_again_by_itself() {
    let mut ci = Ci::start().await;
    ci.stage.act("build", &[Act::Exit(2), Act::Exit(0)]);
    let config = config(&[("lint", ""), ("build", ""), ("deploy", "build")])
        .replace("  ci:\n", "  ci:\n    max_auto_reruns: 1\n");
    let id = ci.push(&config).await;
    let jobs = ci.settled(id).await;
    assert_eq!(jobs, "lint success\nbuild success\ndeploy success\n");
    assert_eq!(ci.job(id, "build").await.state.attempt(), 2);
    assert_eq!(ci.job(id, "lint").await.state.attempt(), 1);
    ci.swept().await;
    ci.stop().await;
}
