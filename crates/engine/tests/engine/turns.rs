//! Workflows of a concurrency group.

use model::Status;

use super::actor::Act;
use super::stories::config;
use super::world::Ci;

fn grouped(job: &str, keys: &str) -> String {
    let concurrency = format!("  ci:\n    concurrency: {{group: deploy{keys}}}\n");
    config(&[(job, "")]).replace("  ci:\n", &concurrency)
}

#[tokio::test]
async fn a_workflow_waits_for_another_of_its_group_and_for_the_next_engine() {
    let mut ci = Ci::start().await;
    ci.stage.act("first", &[Act::Stay]);
    let first = ci.push(&grouped("first", "")).await;
    ci.launched(first, "first").await;
    let second = ci.push(&grouped("second", "")).await;
    ci.until(second, |_, jobs| !jobs.is_empty()).await;
    ci.restart().await;
    // What comes later and waits for nobody shows that the second was passed over.
    let third = ci.push(&config(&[("third", "")])).await;
    ci.settled(third).await;
    assert_eq!(ci.status(second).await, Status::Queued);
    ci.stage.finish("first", 0);
    assert_eq!(ci.settled(second).await, "second success\n");
    assert_eq!(ci.status(first).await, Status::Success);
    ci.stop().await;
}

#[tokio::test]
async fn what_waited_goes_on_when_what_it_waited_for_is_canceled_before_it_ran() {
    let mut ci = Ci::start_with(|settings| {
        settings.reconcile_interval = std::time::Duration::from_secs(3600);
    })
    .await;
    ci.stage.act("first", &[Act::Stay]);
    let first = ci.push(&grouped("first", "")).await;
    ci.launched(first, "first").await;
    let second = ci.push(&grouped("second", "")).await;
    let third = ci.push(&grouped("third", "")).await;
    ci.until(third, |_, jobs| !jobs.is_empty()).await;
    ci.engine.cancel(second, None).await.unwrap();
    ci.engine.cancel(first, None).await.unwrap();
    assert_eq!(ci.settled(third).await, "third success\n");
    ci.stop().await;
}

#[tokio::test]
async fn a_newer_workflow_ends_what_runs_and_what_waits() {
    let mut ci = Ci::start().await;
    ci.stage.act("first", &[Act::Stay]);
    let first = ci.push(&grouped("first", "")).await;
    ci.launched(first, "first").await;
    let second = ci.push(&grouped("second", "")).await;
    ci.until(second, |_, jobs| !jobs.is_empty()).await;
    let third = ci
        .push(&grouped("third", ", cancel-in-progress: true"))
        .await;
    assert_eq!(ci.settled(third).await, "third success\n");
    let why = "superseded by pipeline 3";
    assert_eq!(ci.settled(first).await, format!("first canceled: {why}\n"));
    assert_eq!(
        ci.settled(second).await,
        format!("second canceled: {why}\n")
    );
    assert_eq!(ci.stage.launched(), ["first", "third"]);
    ci.stop().await;
}
