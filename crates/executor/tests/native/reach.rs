//! Files taken out of a job and put into one.

use std::fs;
use std::time::Duration;

use executor::{Executor, ExecutorError, Exit};
use tokio::time::timeout;

use super::world::{BOUND, World, launch, say};
use crate::reach::{SAYS, SCRIPT, agree, many};

async fn says(dir: &executor::JobDir, text: &str) {
    let said = async {
        while !fs::read_to_string(dir.log()).unwrap().contains(text) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(BOUND, said).await.unwrap();
}

#[tokio::test]
async fn files_are_taken_and_put() {
    let world = World::new();
    let dir = world.job(SCRIPT);
    world.executor.launch(&dir, &launch()).await.unwrap();
    says(&dir, "ready").await;
    agree(&world.executor, &dir).await;
    say(&dir, "go").await;
    assert_eq!(world.wait(&dir).await, Exit::Code(0));
    let log = fs::read_to_string(dir.log()).unwrap();
    assert_eq!(log, format!("ready\n{SAYS}"));
    let taken = world.executor.take(&dir, "x").await;
    assert!(matches!(taken, Err(ExecutorError::Vanished)));
    world.remove(&dir).await;
}

#[tokio::test]
async fn very_many_files_are_put_and_taken() {
    let world = World::new();
    let dir = world.job("echo ready; read -r answer </.popsicle/answer");
    world.executor.launch(&dir, &launch()).await.unwrap();
    says(&dir, "ready").await;
    many(&world.executor, &dir, 20_000).await;
    world.remove(&dir).await;
}

#[tokio::test]
async fn what_the_machine_hides_stays_hidden() {
    let world = World::new();
    let dir = world.job("ln -s / ~/project/root; echo ready; read -r answer </.popsicle/answer");
    world.executor.launch(&dir, &launch()).await.unwrap();
    says(&dir, "ready").await;
    // The server's own folder, through a link of the job's and without.
    let own = dir.path().join("order.json").display().to_string();
    for path in [own.clone(), format!("root{own}"), format!("../../..{own}")] {
        let taken = world.executor.take(&dir, &path).await.unwrap();
        assert!(taken.is_none(), "{path}");
    }
    world.remove(&dir).await;
}
