//! From launch to removal.

use std::time::Duration;

use executor::native::NativeExecutor;
use executor::{Executor, ExecutorError, Exit, JobDir};

use super::world::{World, launch, processes, said, say, settings};

#[tokio::test]
async fn output_and_exit_code_are_the_scripts() {
    let world = World::new();
    let (exit, log) = world
        .run("echo out; echo err >&2; printf '\\377\\n'; exit 3")
        .await;
    assert_eq!(exit, Exit::Code(3));
    assert_eq!(log, "out\nerr\n\u{fffd}\n");
    let (exit, _) = world.run("kill -s KILL $$; sh -c 'kill -s SEGV $$'").await;
    assert_eq!(
        exit,
        Exit::Code(139),
        "the first process is spared by itself"
    );
}

#[tokio::test]
async fn what_runs_on_in_the_background_ends_with_the_script() {
    let world = World::new();
    let (exit, log) = world
        .run("sleep 424242 & setsid sleep 424242 & echo started; exit 0")
        .await;
    assert_eq!((exit, log.as_str()), (Exit::Code(0), "started\n"));
    assert!(processes("424242").is_empty());
}

#[tokio::test]
async fn two_jobs_run_at_once() {
    let world = World::new();
    let script = "echo ready > /.popsicle/answer; read word < /.popsicle/answer; echo $word";
    let (first, second) = (world.job(script), world.job(script));
    world.executor.launch(&first, &launch()).await.unwrap();
    world.executor.launch(&second, &launch()).await.unwrap();
    for dir in [&first, &second] {
        assert_eq!(said(dir).await, "ready\n");
    }
    let mut expected = [first.key(), second.key()];
    expected.sort();
    assert_eq!(world.executor.held().await.unwrap(), expected);
    for (dir, word) in [(&second, "two"), (&first, "one")] {
        say(dir, word).await;
        assert_eq!(world.wait(dir).await, Exit::Code(0));
        let log = std::fs::read_to_string(dir.log()).unwrap();
        assert_eq!(log, format!("{word}\n"));
        world.remove(dir).await;
    }
}

#[tokio::test]
async fn stop_asks_all_processes() {
    let world = World::new();
    let script = "echo ready > /.popsicle/answer; sleep 424243; sleep 424243; echo $?; exit 7";
    let dir = world.job(script);
    world.executor.launch(&dir, &launch()).await.unwrap();
    said(&dir).await;
    let executor = &world.executor;
    executor.stop(&dir, Duration::from_secs(60)).await.unwrap();
    assert_eq!(world.wait(&dir).await, Exit::Code(7));
    let log = std::fs::read_to_string(dir.log()).unwrap();
    assert!(log.ends_with("143\n"), "{log}");
    executor.stop(&dir, Duration::ZERO).await.unwrap();
    world.remove(&dir).await;
    executor.stop(&dir, Duration::ZERO).await.unwrap();
}

#[tokio::test]
async fn stop_kills_what_does_not_listen() {
    let world = World::new();
    let dir = world.job("trap '' TERM; echo ready > /.popsicle/answer; while :; do sleep 9; done");
    world.executor.launch(&dir, &launch()).await.unwrap();
    said(&dir).await;
    let grace = Duration::from_millis(50);
    world.executor.stop(&dir, grace).await.unwrap();
    assert_eq!(world.wait(&dir).await, Exit::Code(137));
    world.remove(&dir).await;
}

#[tokio::test]
async fn remove_ends_what_runs() {
    let world = World::new();
    let dir = world.job("echo ready > /.popsicle/answer; sleep 424244");
    world.executor.launch(&dir, &launch()).await.unwrap();
    said(&dir).await;
    world.remove(&dir).await;
    world.remove(&dir).await;
    assert!(processes("424244").is_empty());
    assert!(world.executor.held().await.unwrap().is_empty());
    let gone = world.executor.wait(&dir).await;
    assert!(matches!(gone, Err(ExecutorError::Vanished)), "{gone:?}");
}

#[tokio::test]
async fn another_executor_takes_a_job_up() {
    let world = World::new();
    let dir = world.job("read word < /.popsicle/answer; exit 5");
    world.executor.launch(&dir, &launch()).await.unwrap();

    let World { folder, executor } = world;
    drop(executor);
    let world = World::in_folder(folder);
    let mut settings = settings(world.folder.path());
    settings.namespace = "someone else's".to_owned();
    let stranger = NativeExecutor::new(settings);

    assert_eq!(world.executor.held().await.unwrap(), [dir.key()]);
    assert!(stranger.held().await.unwrap().is_empty());
    say(&dir, "go").await;
    assert_eq!(world.wait(&dir).await, Exit::Code(5));
    assert_eq!(world.executor.held().await.unwrap(), [dir.key()]);
    world.remove(&dir).await;
    assert!(world.executor.held().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_launch_given_up_is_launched_again() {
    let world = World::new();
    let dir = world.job("echo $$ >> ~/project/runs; read word < /.popsicle/answer");
    for _ in 0..3 {
        give_up(&world, &dir).await;
    }
    world.executor.launch(&dir, &launch()).await.unwrap();
    assert_eq!(processes(&dir.key().to_string()).len(), 1, "one shim");
    say(&dir, "go").await;
    assert_eq!(world.wait(&dir).await, Exit::Code(0));
    world.remove(&dir).await;
}

/// Polls a launch until it has started something, and drops it.
async fn give_up(world: &World, dir: &JobDir) {
    let launch = launch();
    let mut launching = world.executor.launch(dir, &launch);
    let order = dir.path().join("shim.lock");
    std::future::poll_fn(|context| {
        let launched = launching.as_mut().poll(context);
        let begun = launched.is_ready() || order.exists();
        context.waker().wake_by_ref();
        if begun {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
}

#[tokio::test]
async fn no_file_keeps_the_variables_of_a_job_that_runs() {
    let world = World::new();
    let dir =
        world.job("echo ready > /.popsicle/answer; read word < /.popsicle/answer; echo $TOKEN");
    let mut launch = launch();
    launch.environment = vec![("TOKEN".to_owned(), "hunter2".to_owned())];
    assert!(!format!("{launch:?}").contains("hunter2"));
    world.executor.launch(&dir, &launch).await.unwrap();
    assert_eq!(said(&dir).await, "ready\n");
    let files = std::fs::read_dir(dir.path()).unwrap();
    let mut seen = 0;
    for path in files.map(|entry| entry.unwrap().path()) {
        if path.is_file() {
            seen += 1;
            let text = std::fs::read(&path).unwrap();
            let held = text.windows(7).any(|part| part == b"hunter2");
            assert!(!held, "{}", path.display());
        }
    }
    assert!(seen > 0, "there is the order at least");
    say(&dir, "go").await;
    assert_eq!(world.wait(&dir).await, Exit::Code(0));
    assert_eq!(std::fs::read_to_string(dir.log()).unwrap(), "hunter2\n");
    world.remove(&dir).await;
}
