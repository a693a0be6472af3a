//! A daemon that is not there, or not all the time.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bollard::query_parameters::{KillContainerOptions, WaitContainerOptions};
use executor::docker::{DockerExecutor, DockerSettings, Sharing};
use executor::{Executor, ExecutorError, Exit};
use futures_util::StreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::{JoinHandle, JoinSet};

use super::world::{World, bounded, world};

/// Stands between the executor and the daemon; where it is cut, the daemon seems to be gone.
struct Line {
    path: PathBuf,
    /// The answer to the first request with this in it is lost.
    loses: Arc<Mutex<Option<&'static str>>>,
    task: Option<JoinHandle<()>>,
}

impl Line {
    /// `None` where the daemon is not on a local socket.
    fn lay(world: &World) -> Option<Self> {
        let mut line = Self {
            path: world.folder().join("docker.sock"),
            loses: Arc::default(),
            task: None,
        };
        Self::daemon()?;
        line.restore();
        Some(line)
    }

    fn daemon() -> Option<PathBuf> {
        let host = std::env::var("DOCKER_HOST").unwrap_or("unix:///var/run/docker.sock".to_owned());
        host.strip_prefix("unix://").map(PathBuf::from)
    }

    fn restore(&mut self) {
        let listener = UnixListener::bind(&self.path).unwrap();
        let daemon = Self::daemon().unwrap();
        let loses = Arc::clone(&self.loses);
        self.task = Some(tokio::spawn(async move {
            let mut calls = JoinSet::new();
            while let Ok((mut near, _)) = listener.accept().await {
                let (daemon, loses) = (daemon.clone(), Arc::clone(&loses));
                calls.spawn(async move {
                    let mut far = UnixStream::connect(daemon).await?;
                    let mut request = vec![0; 4096];
                    let read = near.read(&mut request).await?;
                    request.truncate(read);
                    far.write_all(&request).await?;
                    let has = |text: &str| String::from_utf8_lossy(&request).contains(text);
                    let is_lost = loses.lock().unwrap().take_if(|text| has(text)).is_some();
                    if is_lost {
                        let (mut answer, mut rest) = far.split();
                        let sent = tokio::io::copy(&mut near, &mut rest);
                        let answered = answer.read(&mut request);
                        // By then the daemon has done it.
                        tokio::select! {
                            _ = sent => {}
                            _ = answered => {}
                        }
                        return Ok((0, 0));
                    }
                    tokio::io::copy_bidirectional(&mut near, &mut far).await
                });
            }
        }));
    }

    fn lose_answer_to(&self, request: &'static str) {
        *self.loses.lock().unwrap() = Some(request);
    }

    fn has_lost_it(&self) -> bool {
        self.loses.lock().unwrap().is_none()
    }

    async fn cut(&mut self) {
        let task = self.task.take().unwrap();
        task.abort();
        let _ = task.await;
        std::fs::remove_file(&self.path).unwrap();
    }

    fn executor(&self, world: &World, patience: Duration) -> DockerExecutor {
        DockerExecutor::new(DockerSettings {
            host: Some(self.path.display().to_string()),
            patience,
            ..world.settings()
        })
    }
}

const WAITS: &str =
    "echo ready; read -r code </.popsicle/answer; echo $code >/.popsicle/exit; exit $code";

#[tokio::test]
async fn a_daemon_that_comes_back_finds_us_waiting() {
    world(async |world| {
        let Some(mut line) = Line::lay(world) else {
            return;
        };
        let executor = line.executor(world, Duration::from_secs(50));
        let job = world.job(WAITS);
        job.launch(&executor).await.unwrap();
        job.says("ready").await;
        let interruption = async {
            line.cut().await;
            job.answer("9").await;
            line.restore();
        };
        let (exit, ()) = tokio::join!(job.wait(&executor), interruption);
        assert_eq!(exit.unwrap(), Exit::Code(9));
    })
    .await;
}

#[tokio::test]
async fn a_daemon_that_stays_away_ends_the_wait() {
    world(async |world| {
        let Some(mut line) = Line::lay(world) else {
            return;
        };
        let executor = line.executor(world, Duration::from_millis(300));
        let job = world.job(WAITS);
        job.launch(&executor).await.unwrap();
        job.says("ready").await;
        let (exit, ()) = tokio::join!(job.wait(&executor), line.cut());
        let error = exit.unwrap_err();
        assert!(
            matches!(error, ExecutorError::Unavailable { .. }),
            "{error}"
        );
        assert!(
            error.to_string().contains("Docker stopped answering"),
            "{error}"
        );
        for error in [
            executor.stop(&job.dir, Duration::ZERO).await.unwrap_err(),
            executor.remove(&job.dir).await.unwrap_err(),
            executor.held().await.unwrap_err(),
            job.launch(&executor).await.unwrap_err(),
        ] {
            assert!(
                matches!(error, ExecutorError::Unavailable { .. }),
                "{error}"
            );
        }
        assert!(!executor.check().await.works);
    })
    .await;
}

#[tokio::test]
async fn a_launch_waits_for_a_daemon_that_went_away_and_runs_its_script_once() {
    world(async |world| {
        let Some(line) = Line::lay(world) else {
            return;
        };
        let executor = line.executor(world, Duration::from_secs(50));
        for request in ["/version", "/images/", "/containers/create", "/start "] {
            let job = world.job("echo ran; exit 3");
            line.lose_answer_to(request);
            assert_eq!(job.run(&executor).await, Exit::Code(3), "{request}");
            assert_eq!(job.log(), "ran\n", "{request}");
            assert!(line.has_lost_it(), "{request}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_launch_that_went_on_without_us_has_its_files_copied() {
    world(async |world| {
        let Some(line) = Line::lay(world) else {
            return;
        };
        let executor = DockerExecutor::new(DockerSettings {
            host: Some(line.path.display().to_string()),
            sharing: Sharing::Copied,
            ..world.settings()
        });
        for request in ["/archive?", "/start "] {
            let job = world.job("cat \"$POPSICLE_WORKING_DIRECTORY/file\"");
            std::fs::write(job.dir.work().join("file"), "content\n").unwrap();
            line.lose_answer_to(request);
            assert_eq!(job.run(&executor).await, Exit::Code(0), "{request}");
            assert_eq!(job.log(), "content\n", "{request}");
            assert!(line.has_lost_it(), "{request}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_container_that_went_down_with_the_daemon_is_no_failure_of_the_job() {
    world(async |world| {
        let Some(mut line) = Line::lay(world) else {
            return;
        };
        let executor = line.executor(world, Duration::from_secs(50));
        let job = world.job(WAITS);
        job.launch(&executor).await.unwrap();
        job.says("ready").await;
        let container = world.containers().await.remove(0);
        // The executor is made to wait before anything happens, so that it sees the line go down.
        let interruption = async {
            line.cut().await;
            let docker = &world.docker;
            docker
                .kill_container(&container, None::<KillContainerOptions>)
                .await
                .unwrap();
            let mut exits = docker.wait_container(&container, None::<WaitContainerOptions>);
            let _ = bounded(exits.next()).await;
            line.restore();
        };
        let (exit, ()) = tokio::join!(job.wait(&executor), interruption);
        let error = exit.unwrap_err();
        assert!(matches!(error, ExecutorError::Vanished), "{error}");
    })
    .await;
}

#[tokio::test]
async fn a_missing_daemon_is_named_with_a_mend() {
    let nowhere = Path::new("/nowhere/docker.sock");
    let executor = DockerExecutor::new(DockerSettings {
        host: Some(format!("unix://{}", nowhere.display())),
        ..DockerSettings::default()
    });
    let error = executor.held().await.unwrap_err();
    assert!(
        matches!(error, ExecutorError::Unavailable { .. }),
        "{error}"
    );
    assert!(
        error.to_string().contains("/nowhere/docker.sock"),
        "{error}"
    );
    let check = executor.check().await;
    assert!(!check.works);
    assert!(check.finding.contains("/nowhere/docker.sock"), "{check:?}");
    assert!(check.mend.is_some_and(|mend| mend.contains("DOCKER_HOST")));
}
