//! Which of the jobs that wait is handed out: fair shares between projects, then priority, then age.

use model::{JobEvent, Outcome, Plan, WorkflowSpec};
use store::{Job, Store};

use crate::world::{World, job, plan, planned, push, t};

/// The names of all jobs that are handed out by turns, each as `<project> <job>`.
async fn handed_out(store: &Store, most_of_project: Option<u32>) -> Vec<String> {
    let mut names = Vec::new();
    while let Some(job) = next(store, most_of_project).await {
        let pipeline = store.pipeline(job.pipeline).await.unwrap();
        names.push(format!("{} {}", pipeline.trigger.repo, job.name));
    }
    names
}

async fn next(store: &Store, most_of_project: Option<u32>) -> Option<Job> {
    let runner = store.ensure_local_runner("here", 9, t(0)).await.unwrap();
    let claim = store.claim_job(runner, most_of_project, t(99)).await;
    claim.unwrap().map(|claim| claim.job)
}

fn of(names: &[&str]) -> Plan {
    plan(names.iter().map(|name| job(name, &[])).collect())
}

#[tokio::test]
async fn a_long_queue_of_one_project_holds_up_no_other() {
    let world = World::new().await;
    let store = &world.store;
    planned(store, push("big"), &of(&["a", "b", "c"]), 10).await;
    planned(store, push("small"), &of(&["x"]), 20).await;
    planned(store, push("other"), &of(&["y", "z"]), 30).await;
    let order = [
        "octo/big a",
        "octo/small x",
        "octo/other y",
        "octo/big b",
        "octo/other z",
        "octo/big c",
    ];
    assert_eq!(handed_out(store, None).await, order);
}

#[tokio::test]
async fn a_project_that_runs_its_most_gets_no_further_job() {
    let world = World::new().await;
    let store = &world.store;
    planned(store, push("big"), &of(&["a", "b", "c"]), 10).await;
    planned(store, push("small"), &of(&["x"]), 20).await;
    let a = next(store, Some(2)).await.unwrap();
    let order = ["octo/small x", "octo/big b"];
    assert_eq!(handed_out(store, Some(2)).await, order);
    let finish = JobEvent::Finish {
        outcome: Outcome::Success,
        at: t(100),
    };
    store.advance_job(a.id, finish).await.unwrap();
    assert_eq!(handed_out(store, Some(2)).await, ["octo/big c"]);
}

#[tokio::test]
async fn within_a_project_the_higher_priority_goes_first_and_then_the_older() {
    let mut world = World::new().await;
    let with = |names: &[&str], priority| {
        let jobs = names.iter().map(|name| job(name, &[])).collect();
        Plan::from(vec![WorkflowSpec {
            priority,
            ..WorkflowSpec::new("main", jobs)
        }])
    };
    planned(&world.store, push("x"), &with(&["low"], -5), 10).await;
    planned(&world.store, push("x"), &with(&["a", "b"], 0), 20).await;
    planned(&world.store, push("x"), &with(&["high"], 7), 30).await;
    planned(&world.store, push("y"), &with(&["lower"], -9), 40).await;
    world.crash().await;
    // What one project calls urgent takes nothing from another's share.
    let order = [
        "octo/x high",
        "octo/y lower",
        "octo/x a",
        "octo/x b",
        "octo/x low",
    ];
    assert_eq!(handed_out(&world.store, None).await, order);
}
