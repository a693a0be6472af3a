//! What can't be had, and what dies at the wrong time.

use std::fs;
use std::os::unix::fs::symlink;

use executor::native::NativeExecutor;
use executor::{Executor, ExecutorError, Exit};

use super::world::{World, assert_nothing_left, kill_shim, launch, processes, said, settings};

#[tokio::test]
async fn a_job_ends_with_its_shim() {
    let world = World::new();
    let dir = world.job("echo ready > /.popsicle/answer; sleep 424245");
    world.executor.launch(&dir, &launch()).await.unwrap();
    said(&dir).await;
    kill_shim(&dir);
    let gone = world.executor.wait(&dir).await;
    assert!(matches!(gone, Err(ExecutorError::Vanished)), "{gone:?}");
    assert!(processes("424245").is_empty());
    assert_eq!(world.executor.held().await.unwrap(), [dir.key()]);
    world.remove(&dir).await;
}

#[tokio::test]
async fn the_scripts_own_exit_code_outlives_the_shim() {
    let world = World::new();
    let dir = world.job("echo 3 > /.popsicle/exit; echo ready > /.popsicle/answer; sleep 424246");
    world.executor.launch(&dir, &launch()).await.unwrap();
    said(&dir).await;
    kill_shim(&dir);
    assert_eq!(world.wait(&dir).await, Exit::Code(3));
    world.remove(&dir).await;
}

#[tokio::test]
async fn a_shim_that_can_not_be_started_is_named() {
    let world = World::new();
    for (shim, expected) in [
        (
            "/nonexistent/shim",
            "could not start the shim `/nonexistent/shim`: No such file",
        ),
        (
            "/bin/false",
            "could not hear from the shim `/bin/false`: it ended without a word",
        ),
        ("/bin/cat", "it ended: "),
    ] {
        let mut settings = settings(world.folder.path());
        settings.shim = vec![shim.into()];
        let dir = world.job("");
        let error = NativeExecutor::new(settings)
            .launch(&dir, &launch())
            .await
            .unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert_nothing_left(&dir);
    }
}

#[tokio::test]
async fn a_job_that_asks_for_too_much_is_rejected() {
    let world = World::new();
    let mut nowhere = launch();
    nowhere.working_directory = "project".to_owned();
    let mut below_a_file = launch();
    below_a_file.working_directory = "/etc/passwd/x".to_owned();
    let mut large = launch();
    large.environment = vec![("LARGE".to_owned(), "x".repeat(1 << 20))];
    let mut nul = launch();
    nul.environment = vec![("A".to_owned(), "a\0b".to_owned())];
    for (launch, expected) in [
        (nowhere, "`project` must be absolute"),
        (below_a_file, "`/etc/passwd/x` can't be made"),
        (large, "environment is larger"),
        (nul, "NUL"),
    ] {
        let dir = world.job("");
        let error = world.executor.launch(&dir, &launch).await.unwrap_err();
        assert!(matches!(error, ExecutorError::Rejected(_)), "{error:?}");
        assert!(error.to_string().contains(expected), "{error}");
        assert_nothing_left(&dir);
    }
}

#[tokio::test]
async fn a_job_directory_that_lacks_something_is_no_job() {
    let world = World::new();
    let dir = world.job("");
    fs::remove_dir(dir.work()).unwrap();
    let error = world.executor.launch(&dir, &launch()).await.unwrap_err();
    assert!(
        matches!(&error, ExecutorError::Io { path, .. } if *path == dir.work()),
        "{error:?}"
    );
    assert_nothing_left(&dir);

    let dir = world.job("echo reached");
    let target = world.folder.path().join("target");
    fs::write(&target, "").unwrap();
    fs::remove_file(dir.log()).unwrap();
    symlink(&target, dir.log()).unwrap();
    let error = world.executor.launch(&dir, &launch()).await.unwrap_err();
    assert!(
        error.to_string().contains("could not open the job's log"),
        "{error}"
    );
    assert_eq!(
        fs::read_to_string(&target).unwrap(),
        "",
        "a link is not followed"
    );
    assert_nothing_left(&dir);
}

#[tokio::test]
async fn a_job_may_shut_everyone_out_of_its_folders() {
    let world = World::new();
    let (exit, _) = world
        .run("mkdir -p /tmp/a/b ~/c && chmod 000 /tmp/a/b /tmp/a ~/c ~ && exit 6")
        .await;
    assert_eq!(exit, Exit::Code(6));
}

#[tokio::test]
async fn an_exit_file_that_can_not_be_read_is_told() {
    let world = World::new();
    let dir = world.job("");
    world.executor.launch(&dir, &launch()).await.unwrap();
    assert_eq!(world.wait(&dir).await, Exit::Code(0));
    fs::write(dir.path().join("shim.exit"), "nonsense").unwrap();
    let error = world.executor.wait(&dir).await.unwrap_err();
    assert!(matches!(error, ExecutorError::Io { .. }), "{error:?}");
    world.remove(&dir).await;
}
