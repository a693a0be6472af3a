//! What a job may use at most, where this machine lets it be limited.

use executor::{Executor, Exit, Limits};

use super::world::{World, launch};

/// Whether a limit can be set here.
async fn can_limit(world: &World, what: &str) -> bool {
    let finding = world.executor.check().await.finding;
    let (_, missing) = finding.split_once("limits of").unwrap();
    let can = !missing.contains("can't be set") || !missing.contains(what);
    can || tests::skip(&finding)
}

#[tokio::test]
async fn want_of_memory_is_told_apart() {
    let world = World::new();
    if !can_limit(&world, "memory").await {
        return;
    }
    let mut launch = launch();
    launch.limits.memory_bytes = Some(64 << 20);
    // `tail` keeps the whole of a line.
    let hungry = "head -c 200000000 /dev/zero | tail";
    let (exit, _) = world
        .run_as(&format!("{hungry} > /dev/null; exit $?"), &launch)
        .await;
    assert_eq!(exit, Exit::OutOfMemory);
    let (exit, _) = world
        .run_as(&format!("{hungry} > /dev/null; exit 0"), &launch)
        .await;
    assert_eq!(exit, Exit::Code(0), "it got over it");
    let (exit, _) = world.run_as("exit 9", &launch).await;
    assert_eq!(exit, Exit::Code(9), "it never met it");
}

#[tokio::test]
async fn a_fork_bomb_is_limited() {
    let world = World::new();
    if !can_limit(&world, "pids").await {
        return;
    }
    let mut launch = launch();
    launch.limits = Limits {
        pids: Some(20),
        millicpus: Some(500),
        memory_bytes: None,
    };
    let script = "bomb() { bomb | bomb & }; bomb; i=0; while sleep 0.01; do i=$((i+1)); [ $i = 20 ] && exit 4; done";
    let (exit, log) = world.run_as(script, &launch).await;
    assert!(
        log.contains("fork") || matches!(exit, Exit::Code(2)),
        "{exit:?} {log}"
    );
}
