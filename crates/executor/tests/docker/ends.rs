//! How jobs end: by themselves, by us, by their limits; and what is left of them.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::Command;
use std::time::Duration;

use bollard::query_parameters::{KillContainerOptionsBuilder, StopContainerOptions};
use executor::docker::{DockerExecutor, DockerSettings};
use executor::{Executor, ExecutorError, Exit, Limits};

use super::world::{bounded, world};

const LONG: Duration = Duration::from_secs(50);

#[tokio::test]
async fn a_job_is_asked_to_end_and_may_tidy_up() {
    world(async |world| {
        let executor = world.executor();
        let job = world.job(
            "trap 'echo tidied; exit 7' TERM; sleep 1000 & echo ready; while :; do wait; done",
        );
        job.launch(&executor).await.unwrap();
        job.says("ready").await;
        bounded(executor.stop(&job.dir, LONG)).await.unwrap();
        bounded(executor.stop(&job.dir, LONG)).await.unwrap();
        assert_eq!(job.wait(&executor).await.unwrap(), Exit::Code(7));
        assert_eq!(job.log(), "ready\ntidied\n");
    })
    .await;
}

#[tokio::test]
async fn a_job_that_does_not_listen_is_killed() {
    world(async |world| {
        let executor = world.executor();
        let job = world.job("trap '' TERM; echo ready; while :; do sleep 1; done");
        job.launch(&executor).await.unwrap();
        job.says("ready").await;
        let (waited, stopped) = tokio::join!(
            job.wait(&executor),
            bounded(executor.stop(&job.dir, Duration::from_millis(100)))
        );
        stopped.unwrap();
        assert_eq!(waited.unwrap(), Exit::Code(137));
    })
    .await;
}

#[tokio::test]
async fn a_container_that_others_end_is_lost_and_not_failed() {
    world(async |world| {
        // As the engine's script does: asked to end, it leaves no exit code.
        let asked = "trap 'trap - EXIT; echo asked; exit 143' TERM; sleep 1000 & echo ready; wait";
        let deaf = "trap '' TERM; echo ready; while :; do sleep 1; done";
        for (script, signal) in [
            (asked, None),
            (asked, Some("SIGTERM")),
            (deaf, Some("SIGKILL")),
        ] {
            let executor = world.executor();
            let job = world.job(script);
            job.launch(&executor).await.unwrap();
            job.says("ready").await;
            let container = world.containers().await.remove(0);
            // Nobody waits, as while the server is down.
            match signal {
                None => {
                    let stopped = world
                        .docker
                        .stop_container(&container, None::<StopContainerOptions>);
                    bounded(stopped).await.unwrap();
                }
                Some(signal) => {
                    let options = KillContainerOptionsBuilder::default().signal(signal);
                    let killed = world
                        .docker
                        .kill_container(&container, Some(options.build()));
                    bounded(killed).await.unwrap();
                }
            }
            let lost = job.wait(&executor).await.unwrap_err();
            assert!(
                matches!(lost, ExecutorError::Vanished),
                "{signal:?}: {lost}"
            );
            bounded(executor.remove(&job.dir)).await.unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn a_shell_that_can_not_run_the_script_fails_the_job() {
    world(async |world| {
        let job = world.job("");
        fs::remove_file(job.dir.script()).unwrap();
        let exit = job.run(&world.executor()).await;
        assert!(
            matches!(exit, Exit::Code(2 | 127)),
            "{exit:?}, {}",
            job.log()
        );
    })
    .await;
}

#[tokio::test]
async fn what_is_not_there_can_be_stopped_and_removed_but_not_waited_for() {
    world(async |world| {
        let executor = world.executor();
        let job = world.job("");
        executor.stop(&job.dir, LONG).await.unwrap();
        executor.remove(&job.dir).await.unwrap();
        let vanished = job.wait(&executor).await.unwrap_err();
        assert!(matches!(vanished, ExecutorError::Vanished), "{vanished}");
        fs::write(job.dir.exit(), "4\n").unwrap();
        assert_eq!(job.wait(&executor).await.unwrap(), Exit::Code(4));
    })
    .await;
}

#[tokio::test]
async fn a_running_job_can_be_removed_and_removed_again() {
    world(async |world| {
        let executor = world.executor();
        let job = world.job("echo ready; sleep 1000");
        job.launch(&executor).await.unwrap();
        job.says("ready").await;
        let (one, other) = tokio::join!(executor.remove(&job.dir), executor.remove(&job.dir));
        one.unwrap();
        other.unwrap();
        assert!(world.containers().await.is_empty());
        assert!(matches!(
            job.wait(&executor).await,
            Err(ExecutorError::Vanished)
        ));
    })
    .await;
}

#[tokio::test]
async fn each_server_holds_its_own() {
    world(async |world| {
        let ours = world.executor();
        let theirs = DockerExecutor::new(DockerSettings {
            namespace: format!("{}-other", world.namespace),
            ..DockerSettings::default()
        });
        let (running, exited, other) = (world.job("sleep 1000"), world.job(""), world.job(""));
        running.launch(&ours).await.unwrap();
        exited.launch(&ours).await.unwrap();
        exited.wait(&ours).await.unwrap();
        other.launch(&theirs).await.unwrap();
        let mut held = ours.held().await.unwrap();
        held.sort();
        let mut expected = [running.dir.key(), exited.dir.key()];
        expected.sort();
        assert_eq!(held, expected);
        assert_eq!(theirs.held().await.unwrap(), [other.dir.key()]);

        theirs.remove(&running.dir).await.unwrap();
        assert_eq!(ours.held().await.unwrap().len(), 2);
        for job in [&running, &exited] {
            ours.remove(&job.dir).await.unwrap();
        }
        theirs.remove(&other.dir).await.unwrap();
        assert!(ours.held().await.unwrap().is_empty());
        assert!(theirs.held().await.unwrap().is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_new_server_takes_up_what_an_old_one_started() {
    world(async |world| {
        let job = world.job("echo one; read -r go </.popsicle/answer; echo $go; exit 5");
        let old = world.executor();
        job.launch(&old).await.unwrap();
        drop(old);
        let new = world.executor();
        assert_eq!(new.held().await.unwrap(), [job.dir.key()]);
        let (exit, ()) = tokio::join!(job.wait(&new), job.answer("two"));
        assert_eq!(exit.unwrap(), Exit::Code(5));
        assert_eq!(job.log(), "one\ntwo\n");
    })
    .await;
}

#[tokio::test]
async fn too_much_memory_is_told_from_a_failure() {
    world(async |world| {
        let limits = Limits {
            memory_bytes: Some(32 << 20),
            ..Limits::default()
        };
        // `tail` keeps what has no end of line.
        let job = world
            .job("head -c 500000000 /dev/zero | tail -n 1 | wc -c; exit 1")
            .within(limits);
        assert_eq!(job.run(&world.executor()).await, Exit::OutOfMemory);
        let job = world.job("exit 1").within(limits);
        assert_eq!(job.run(&world.executor()).await, Exit::Code(1));
    })
    .await;
}

#[tokio::test]
async fn too_many_processes_are_refused() {
    world(async |world| {
        let limits = Limits {
            pids: Some(16),
            millicpus: Some(500),
            ..Limits::default()
        };
        let script = "i=0; while [ $i -lt 50 ]; do sleep 1000 & i=$((i + 1)); done; echo all";
        let job = world.job(script).within(limits);
        assert_ne!(job.run(&world.executor()).await, Exit::Code(0));
        assert!(job.log().contains("fork"), "{}", job.log());
        assert!(!job.log().contains("all"), "{}", job.log());
    })
    .await;
}

#[tokio::test]
async fn what_a_job_leaves_as_root_can_be_deleted() {
    world(async |world| {
        let executor = world.executor();
        let job = world.job(
            "cd \"$POPSICLE_WORKING_DIRECTORY\"; mkdir -p target/a .hidden; touch target/a/x .hidden/x; \
             mkdir /.popsicle/mine; touch /.popsicle/mine/x; chmod 700 target . /.popsicle; \
             ls -l / >/.popsicle/mine/ls; echo ready; sleep 1000",
        );
        job.launch(&executor).await.unwrap();
        job.says("ready").await;
        // It runs still: nothing of what it makes until its end may stay either.
        bounded(executor.remove(&job.dir)).await.unwrap();
        job.dir.delete().unwrap();
        assert!(!job.dir.path().exists());
        assert!(world.containers().await.is_empty());
    })
    .await;
}

#[test]
fn an_ordinary_user_can_delete_what_a_job_leaves_as_root() {
    let socket = std::env::var("DOCKER_HOST").unwrap_or("unix:///var/run/docker.sock".to_owned());
    let socket = socket.strip_prefix("unix://").map(fs::metadata);
    let Some(Ok(socket)) = socket else {
        tests::skip("no daemon on a local socket");
        return;
    };
    if !rustix::process::geteuid().is_root() || socket.mode() & 0o060 != 0o060 {
        tests::skip("not root, or the socket is root's alone");
        return;
    }
    let run = Command::new("setpriv")
        .args(["--reuid", "65534", "--clear-groups"])
        .args(["--regid", &socket.gid().to_string()])
        .arg(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "docker::ends::what_a_job_leaves_as_root_can_be_deleted",
        ])
        .current_dir("/")
        .output()
        .unwrap();
    // The user may not be let into the folder of the build.
    if matches!(run.status.code(), Some(126 | 127)) {
        tests::skip("the tests can't be started as an ordinary user here");
        return;
    }
    let output = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success(), "{output}");
    assert!(output.contains("1 passed"), "{output}");
}

#[tokio::test]
async fn a_launch_dropped_anywhere_leaves_nothing_and_can_be_repeated() {
    world(async |world| {
        let executor = world.executor();
        for delay_ms in (0..120).step_by(12) {
            let job = world.job("echo ran; sleep 1000");
            let delay = Duration::from_millis(delay_ms);
            let _ = tokio::time::timeout(delay, executor.launch(&job.dir, &job.launch)).await;
            bounded(executor.remove(&job.dir)).await.unwrap();
            assert!(world.containers().await.is_empty(), "after {delay_ms} ms");
        }
        for delay_ms in (0..120).step_by(40) {
            let job = world.job("exit 6");
            let delay = Duration::from_millis(delay_ms);
            let _ = tokio::time::timeout(delay, executor.launch(&job.dir, &job.launch)).await;
            assert_eq!(
                job.run(&executor).await,
                Exit::Code(6),
                "after {delay_ms} ms"
            );
        }
        assert!(world.containers().await.is_empty());
    })
    .await;
}
