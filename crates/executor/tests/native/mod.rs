//! The native executor with real jobs, as whoever runs the tests; and once more as an ordinary user,
//! where root does.

#![allow(
    clippy::unwrap_used,
    reason = "a helper of tests fails as they do; clippy knows only the tests themselves"
)]

mod confinement;
mod faults;
mod life;
mod limits;
mod view;
mod world;

use std::process::Command;

use executor::Executor;
use world::{World, rootless};

#[tokio::test]
async fn the_check_says_what_this_machine_can_do() {
    let world = World::new();
    let check = world.executor.check().await;
    assert!(check.works, "{check:?}");
    assert_eq!(check.mend.is_some(), rootless(), "{check:?}");
    let says_so = check.finding.contains("can't change its files");
    assert_eq!(says_so, rootless(), "{check:?}");
    let left = std::fs::read_dir(world.folder.path()).unwrap().count();
    assert_eq!(left, 0);
}

#[test]
fn all_of_this_holds_for_an_ordinary_user() {
    const USER: &str = "65534";
    if rootless() {
        return;
    }
    let program = std::env::current_exe().unwrap();
    let run = Command::new("setpriv")
        .args(["--reuid", USER, "--regid", USER, "--clear-groups"])
        .arg(&program)
        .args(["native::", "--skip", "for_an_ordinary_user"])
        .current_dir("/")
        .output();
    // Not every machine has the tool, and the user may not be let into the folder of the build.
    let run = match run {
        Ok(run) if run.status.code() != Some(126) && run.status.code() != Some(127) => run,
        Ok(_) | Err(_) => {
            println!("skipped: the tests can't be started as an ordinary user here");
            return;
        }
    };
    let output = String::from_utf8_lossy(&run.stdout);
    if output.contains("keeps user namespaces from ordinary users") {
        println!("skipped: this machine keeps user namespaces from ordinary users");
        return;
    }
    assert!(run.status.success(), "as user {USER}:\n{output}");
}
