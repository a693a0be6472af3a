//! Files taken out of a container and put into one, mounted and copied.

use executor::docker::{DockerExecutor, DockerSettings, Sharing};
use executor::{Executor, ExecutorError, Exit};

use super::world::{bounded, world};
use crate::reach::{SAYS, SCRIPT, agree, many};

#[tokio::test]
async fn files_are_taken_and_put() {
    world(async |world| {
        for sharing in [Sharing::Shared, Sharing::Copied] {
            for user in ["root", "circleci"] {
                let executor = DockerExecutor::new(DockerSettings {
                    sharing,
                    ..world.settings()
                });
                let job = world.job(SCRIPT).of(&world.image).user(user);
                job.launch(&executor).await.unwrap();
                job.says("ready").await;
                // Another server, as after a restart.
                let next = DockerExecutor::new(world.settings());
                bounded(agree(&next, &job.dir)).await;
                job.answer("go").await;
                assert_eq!(job.wait(&executor).await.unwrap(), Exit::Code(0));
                assert_eq!(job.log(), format!("ready\n{SAYS}"), "{sharing:?} {user}");
                bounded(executor.remove(&job.dir)).await.unwrap();
            }
        }
    })
    .await;
}

#[tokio::test]
async fn very_many_files_are_put_and_taken() {
    world(async |world| {
        let executor = world.executor();
        let job = world.job("echo ready; read -r answer </.popsicle/answer");
        job.launch(&executor).await.unwrap();
        job.says("ready").await;
        bounded(many(&executor, &job.dir, 20_000)).await;
    })
    .await;
}

#[tokio::test]
async fn a_job_that_is_gone_is_told_from_a_file_that_is() {
    world(async |world| {
        let executor = world.executor();
        let job = world.job("true");
        job.run(&executor).await;
        let taken = bounded(executor.take(&job.dir, "x")).await;
        assert!(matches!(taken, Err(ExecutorError::Vanished)));
    })
    .await;
}
