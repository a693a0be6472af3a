//! SSH with a real `sshd`: which hosts are trusted, and what is said of those that are not.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use model::Origin;
use source::{SourceError, Tree};

use crate::world::{PATIENCE, World, branch, in_environment, trigger};

/// Where the story's process finds what the test made for it.
const FOLDER: &str = "POPSICLE_TEST_SSH";

#[test]
fn a_host_is_trusted_at_first_sight_and_by_its_key_after_that() {
    let Some(sshd) = sshd() else { return };
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path().display().to_string();
    for key in ["host", "other-host", "user"] {
        run(Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-f"])
            .arg(temp.path().join(key)));
    }
    fs::copy(temp.path().join("user.pub"), temp.path().join("authorized")).unwrap();
    for host in ["host", "other-host"] {
        let config = format!(
            "HostKey {folder}/{host}\nAuthorizedKeysFile {folder}/authorized\nStrictModes no\n\
             UsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n\
             PermitRootLogin prohibit-password\n"
        );
        fs::write(temp.path().join(format!("{host}.conf")), config).unwrap();
    }
    // OpenSSH takes the user's folder from the user database, not from `HOME`; so the files have to
    // be named. What the server asks for comes after that, and is what is tested.
    let path = std::env::var("PATH").unwrap();
    let ssh = found("ssh").expect("`ssh` comes with `sshd`");
    let config = format!(
        "IdentityFile {folder}/user\nIdentitiesOnly yes\nUserKnownHostsFile {folder}/known\n\
         GlobalKnownHostsFile /dev/null\n"
    );
    fs::write(temp.path().join("config"), config).unwrap();
    let bin = temp.path().join("bin");
    fs::create_dir(&bin).unwrap();
    let script = format!(
        "#!/bin/sh\nexec {} -F {folder}/config \"$@\"\n",
        ssh.display()
    );
    fs::write(bin.join("ssh"), script).unwrap();
    fs::set_permissions(bin.join("ssh"), fs::Permissions::from_mode(0o755)).unwrap();
    let ours = format!("{}:{path}", bin.display());
    let sshd = sshd.display().to_string();
    let environment = [
        ("PATH", ours.as_str()),
        (FOLDER, folder.as_str()),
        ("POPSICLE_TEST_SSHD", sshd.as_str()),
    ];
    in_environment("ssh::over_a_real_one", &environment);

    // An operator may ask for more than we do.
    fs::remove_file(temp.path().join("known")).unwrap();
    let strict = format!(
        "{}/ssh -o BatchMode=yes -o StrictHostKeyChecking=yes",
        bin.display()
    );
    let strict = [environment.as_slice(), &[("GIT_SSH_COMMAND", &strict)]].concat();
    in_environment("ssh::over_a_real_one_that_nobody_knows", &strict);
}

#[tokio::test]
#[ignore = "needs the keys that `a_host_is_trusted_at_first_sight_and_by_its_key_after_that` makes"]
async fn over_a_real_one() {
    let folder = PathBuf::from(std::env::var(FOLDER).unwrap());
    let (world, known) = (World::new(), folder.join("known"));
    let port = serve(&folder, "host");
    let tree = fetch(&world, port).await.unwrap();
    assert_eq!(tree.files_in("").await.unwrap(), ["README"]);
    let noted = fs::read_to_string(&known).unwrap();
    let key = fs::read_to_string(folder.join("host.pub")).unwrap();
    let key = key.split(' ').nth(1).unwrap();
    assert!(
        noted.contains(&format!("[127.0.0.1]:{port} ")) && noted.contains(key),
        "{noted}"
    );

    // It is known now.
    world.commit("a", "1");
    let tree = fetch(&world, port).await.unwrap();
    assert_eq!(tree.files_in("").await.unwrap(), ["README", "a"]);
    assert_eq!(fs::read_to_string(&known).unwrap(), noted);

    // And then another one answers in its place.
    let port = serve(&folder, "other-host");
    fs::write(&known, format!("[127.0.0.1]:{port} ssh-ed25519 {key}\n")).unwrap();
    let error = refused(&world, port).await;
    assert!(error.contains("HAS CHANGED"), "{error}");
}

#[tokio::test]
#[ignore = "needs the keys that `a_host_is_trusted_at_first_sight_and_by_its_key_after_that` makes"]
async fn over_a_real_one_that_nobody_knows() {
    let folder = PathBuf::from(std::env::var(FOLDER).unwrap());
    let world = World::new();
    let error = refused(&world, serve(&folder, "host")).await;
    assert!(error.contains("No ED25519 host key is known"), "{error}");
    assert!(!folder.join("known").exists());
}

async fn fetch(world: &World, port: u16) -> Result<Tree, SourceError> {
    let user = Command::new("id").arg("-un").output().unwrap().stdout;
    let user = String::from_utf8(user).unwrap();
    let path = world.remote();
    let url = format!("ssh://{}@127.0.0.1:{port}{}", user.trim(), path.display());
    let push = trigger(Origin::Git { url }, Some(branch("main")), Some(world.tip()));
    // Whoever waits for an answer from nobody would wait longer.
    tokio::time::timeout(PATIENCE, world.source.fetch(&push))
        .await
        .unwrap()
}

/// What is told of a host that is not trusted.
async fn refused(world: &World, port: u16) -> String {
    // So that it is not there yet.
    world.commit("a", &port.to_string());
    let error = fetch(world, port).await.unwrap_err();
    assert!(matches!(error, SourceError::Denied { .. }), "{error:?}");
    let told = error.to_string();
    assert!(told.contains("Host key verification failed"), "{told}");
    assert!(told.contains("knows the host"), "{told}");
    told
}

/// One `sshd` a connection, as `inetd` would start it; they end with their connections.
fn serve(folder: &Path, host: &str) -> u16 {
    let sshd = std::env::var("POPSICLE_TEST_SSHD").unwrap();
    let config = folder.join(format!("{host}.conf"));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    // Ends with the process, which is the story's own.
    thread::spawn(move || {
        for stream in listener.incoming() {
            let answered = answer(stream.unwrap(), &sshd, &config);
            assert!(answered.is_ok(), "{answered:?}");
        }
    });
    port
}

fn answer(stream: TcpStream, sshd: &str, config: &Path) -> std::io::Result<()> {
    let end = OwnedFd::from(stream);
    let mut running = Command::new(sshd)
        .args(["-i", "-e", "-f"])
        .arg(config)
        .stdin(Stdio::from(end.try_clone()?))
        .stdout(Stdio::from(end))
        .spawn()?;
    thread::spawn(move || running.wait());
    Ok(())
}

/// Where it is, if it can be started.
fn sshd() -> Option<PathBuf> {
    let Some(sshd) = found("sshd") else {
        tests::skip("no sshd (on Debian it is in the package openssh-server)");
        return None;
    };
    // Root's refuses to start without this folder, which its service makes.
    let made = fs::create_dir_all("/run/sshd");
    if let Err(cause) = made
        && rustix::process::geteuid().is_root()
    {
        tests::skip(&format!("no /run/sshd: {cause}"));
        return None;
    }
    Some(sshd)
}

fn found(program: &str) -> Option<PathBuf> {
    let path = std::env::var("PATH").unwrap();
    path.split(':')
        .chain(["/usr/sbin", "/sbin"])
        .map(|folder| Path::new(folder).join(program))
        .find(|path| path.is_file())
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
}
