//! Docker as stories use it: an image that needs no network, and a daemon that can be killed.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal};
use tempfile::TempDir;

use super::{traces, unique, until};

/// An image of a static busybox, made here; removed with this value.
#[derive(Debug)]
pub struct Image {
    /// Its name, for configs.
    pub name: String,
    host: Option<String>,
}

impl Image {
    /// Makes it in the machine's own daemon.
    pub fn busybox() -> Self {
        Self::made_in(None)
    }

    fn made_in(host: Option<String>) -> Self {
        let root = tempfile::tempdir().expect("a temporary folder can be made");
        let bin = root.path().join("bin");
        fs::create_dir(&bin).expect("the folder can be made");
        fs::create_dir(root.path().join("tmp")).expect("the folder can be made");
        let busybox = tests::busybox().expect("the story asked whether there is one");
        fs::copy(busybox, bin.join("busybox")).expect("busybox can be copied");
        for name in [
            "cat", "cp", "echo", "env", "httpd", "id", "ls", "mkdir", "mv", "rm", "seq", "sh",
            "sleep", "true", "usleep", "wget",
        ] {
            symlink("busybox", bin.join(name)).expect("the link can be made");
        }
        let tar = root.path().join("root.tar");
        let packed = Command::new("tar")
            .args(["--create", "--owner=0", "--group=0", "--file"])
            .arg(&tar)
            .args(["bin", "tmp"])
            .current_dir(root.path())
            .status();
        assert!(
            packed.is_ok_and(|status| status.success()),
            "tar packs the image"
        );

        let name = format!("popsicle-{}:local", unique());
        docker(host.as_deref(), &["import", &tar.to_string_lossy(), &name]);
        Self { name, host }
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        let _ = command(self.host.as_deref())
            .args(["rmi", "--force", &self.name])
            .output();
    }
}

/// A Docker daemon of the story's own, with nothing but its core: no network, no other's containers.
#[derive(Debug)]
pub struct Dockerd {
    home: TempDir,
    daemon: Child,
}

impl Dockerd {
    /// Starts one; none if this machine does not let it start.
    pub async fn start() -> Option<Self> {
        let home = tempfile::Builder::new()
            .prefix("popsicle-story-dockerd-")
            .tempdir()
            .expect("a temporary folder can be made");
        let daemon = Self::spawn(&home)?;
        let mut this = Self { home, daemon };
        this.until_it_answers().await.then_some(this)
    }

    fn spawn(home: &TempDir) -> Option<Child> {
        let log = File::options()
            .append(true)
            .create(true)
            .open(home.path().join("log"))
            .expect("the log can be made");
        let path = |name: &str| home.path().join(name).display().to_string();
        // In a network of its own: a daemon that is told to have no bridge takes away the machine's.
        Command::new("unshare")
            .args(["--net", "dockerd"])
            .args(["--data-root", &path("data"), "--exec-root", &path("exec")])
            .args([
                "--pidfile",
                &path("pid"),
                "--host",
                &format!("unix://{}", path("socket")),
            ])
            .args(["--bridge", "none", "--iptables=false", "--ip6tables=false"])
            .stdin(Stdio::null())
            .stderr(log.try_clone().expect("a file can be shared"))
            .stdout(log)
            .spawn()
            .ok()
    }

    async fn until_it_answers(&mut self) -> bool {
        let answers = until("the story's own dockerd answers, or ends", async || {
            if self.daemon.try_wait().is_ok_and(|ended| ended.is_some()) {
                return Some(false);
            }
            let asked = command(Some(&self.host())).arg("version").output();
            asked
                .is_ok_and(|output| output.status.success())
                .then_some(true)
        });
        let answers = answers.await;
        if !answers {
            let log = fs::read_to_string(self.home.path().join("log")).unwrap_or_default();
            eprintln!("{}", log.lines().last().unwrap_or("dockerd said nothing"));
        }
        answers
    }

    /// Ends the daemon as `systemctl stop` does: it asks its containers to end first.
    pub async fn stop(&mut self) {
        let pid = i32::try_from(self.daemon.id()).ok().and_then(Pid::from_raw);
        rustix::process::kill_process(pid.expect("a process has an id"), Signal::TERM)
            .expect("the daemon can be told to end");
        until("the story's own dockerd ends", async || {
            self.daemon.try_wait().expect("the daemon is ours")
        })
        .await;
    }

    /// Starts the daemon again, over what the last one left.
    ///
    /// # Panics
    /// If it does not start.
    pub async fn start_again(&mut self) {
        self.daemon = Self::spawn(&self.home).expect("it started before");
        assert!(self.until_it_answers().await, "dockerd starts again");
    }

    /// Where it answers.
    pub fn host(&self) -> String {
        format!("unix://{}/socket", self.home.path().display())
    }

    /// The busybox image, in this daemon.
    pub fn image(&self) -> Image {
        Image::made_in(Some(self.host()))
    }

    /// Ends the daemon as a crash would: it cleans nothing up.
    pub fn kill(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

impl Drop for Dockerd {
    fn drop(&mut self) {
        self.kill();
        // Its containerd, that one's shims, and what they hold.
        traces::end_processes_of(self.home.path());
        for place in traces::mounts_below(self.home.path()).into_iter().rev() {
            let flags = rustix::mount::UnmountFlags::DETACH;
            let _ = rustix::mount::unmount(Path::new(&place), flags);
        }
    }
}

/// The containers of a namespace, whether they run or not.
pub fn containers(namespace: &str) -> Vec<String> {
    let filter = format!("label=popsicle.namespace={namespace}");
    let listed = docker(None, &["ps", "--all", "--quiet", "--filter", &filter]);
    listed.lines().map(str::to_owned).collect()
}

/// Ends a container without Popsicle: `docker kill`, `docker stop`.
pub fn end_container(how: &str, container: &str) {
    docker(None, &[how, container]);
}

/// Removes the containers of a namespace, if there is a daemon.
pub fn end_containers(namespace: &str) {
    let filter = format!("label=popsicle.namespace={namespace}");
    let listed = command(None)
        .args(["ps", "--all", "--quiet", "--filter", &filter])
        .output();
    let Ok(listed) = listed else { return };
    for id in String::from_utf8_lossy(&listed.stdout).lines() {
        let _ = command(None).args(["rm", "--force", id]).output();
    }
}

fn docker(host: Option<&str>, args: &[&str]) -> String {
    let output = command(host).args(args).output().expect("docker runs");
    assert!(
        output.status.success(),
        "docker {args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn command(host: Option<&str>) -> Command {
    let mut command = Command::new("docker");
    if let Some(host) = host {
        command.env("DOCKER_HOST", host);
    }
    command
}
