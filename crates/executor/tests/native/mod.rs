//! The native executor with real jobs, as whoever runs the tests; and once more as an ordinary user,
//! where root does.

#![allow(
    clippy::unwrap_used,
    reason = "a helper of tests fails as they do; clippy knows only the tests themselves"
)]

mod confinement;
mod faults;
mod images;
mod life;
mod limits;
mod reach;
mod view;
mod world;

use std::fs::{self, Permissions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use executor::Executor;
use tests::skip;
use world::{World, rootless};

#[tokio::test]
async fn the_check_says_what_this_machine_can_do() {
    let world = World::new();
    let check = world.executor.check().await;
    assert!(check.works, "{check:?}");
    assert_eq!(check.mend.is_some(), rootless(), "{check:?}");
    let says_so = check.finding.contains("can't change its files");
    assert_eq!(says_so, rootless(), "{check:?}");
    let left = fs::read_dir(world.folder.path()).unwrap().count();
    assert_eq!(left, 0);
}

#[test]
fn all_of_this_holds_for_an_ordinary_user() {
    const USER: &str = "65534";
    if rootless() {
        return;
    }
    // A copy, because that user may not be let into the folder of the build.
    let everybody = Permissions::from_mode(0o755);
    let folder = tempfile::Builder::new().permissions(everybody).tempdir();
    let folder = folder.unwrap();
    let program = folder.path().join("tests");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    fs::copy(world::shim(), folder.path().join("shim")).unwrap();
    let run = Command::new("setpriv")
        .args(["--reuid", USER, "--regid", USER, "--clear-groups"])
        .arg(&program)
        .args(["native::", "--skip", "for_an_ordinary_user"])
        .current_dir("/")
        // What is only for root to set is no lack of this machine.
        .env_remove("CI")
        .output();
    let run = match run {
        Ok(run) if run.status.code() != Some(126) && run.status.code() != Some(127) => run,
        Ok(run) => {
            skip(&String::from_utf8_lossy(&run.stderr));
            return;
        }
        Err(error) => {
            skip(&format!("no setpriv to become an ordinary user: {error}"));
            return;
        }
    };
    let output = String::from_utf8_lossy(&run.stdout);
    if output.contains("keeps user namespaces from ordinary users") {
        skip("this machine keeps user namespaces from ordinary users");
        return;
    }
    assert!(run.status.success(), "as user {USER}:\n{output}");
    std::io::stderr().write_all(&run.stderr).unwrap();
}
