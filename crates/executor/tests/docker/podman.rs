//! All of the docker executor's tests once more, over Podman's socket, where Podman is installed.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use tempfile::TempDir;

use super::world::BOUND;

/// A Podman with folders of its own, listening; ended with the test.
struct Podman {
    home: TempDir,
    service: Child,
}

impl Podman {
    fn start() -> Option<Self> {
        Command::new("podman").arg("--version").output().ok()?;
        let home = tempfile::tempdir().unwrap();
        let path = |name: &str| home.path().join(name);
        // By default it wants more than a limited root may give; and a registry of the tests' has no TLS.
        let limits =
            "[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=4096:4096\"]\n";
        fs::write(path("containers.conf"), limits).unwrap();
        let registries = "[[registry]]\nlocation = \"127.0.0.1\"\ninsecure = true\n";
        fs::write(path("registries.conf"), registries).unwrap();
        let log = File::create(path("log")).unwrap();
        let service = Command::new("podman")
            .arg("--root")
            .arg(path("root"))
            .arg("--runroot")
            .arg(path("run"))
            .args([
                "--cgroup-manager",
                "cgroupfs",
                "system",
                "service",
                "--time",
                "0",
            ])
            .arg(format!("unix://{}", path("socket").display()))
            .env("CONTAINERS_CONF", path("containers.conf"))
            .env("CONTAINERS_REGISTRIES_CONF", path("registries.conf"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let podman = Self { home, service };
        let deadline = Instant::now() + BOUND;
        while std::os::unix::net::UnixStream::connect(podman.socket()).is_err() {
            let log = || fs::read_to_string(podman.home.path().join("log")).unwrap();
            assert!(Instant::now() < deadline, "it does not start: {}", log());
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(podman)
    }

    fn socket(&self) -> std::path::PathBuf {
        self.home.path().join("socket")
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        let _ = self.service.kill();
        let _ = self.service.wait();
        // It watches what ran inside a container for minutes longer, and tidies up then.
        for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let line = fs::read(process.path().join("cmdline")).unwrap_or_default();
            let is_ours =
                String::from_utf8_lossy(&line).contains(self.home.path().to_str().unwrap());
            let pid = process
                .file_name()
                .to_str()
                .and_then(|name| name.parse().ok());
            if let Some(pid) = pid.and_then(Pid::from_raw).filter(|_| is_ours) {
                let _ = rustix::process::kill_process(pid, Signal::KILL);
            }
        }
        let flags = rustix::mount::UnmountFlags::DETACH;
        let _ = rustix::mount::unmount(self.home.path().join("root/overlay"), flags);
    }
}

#[test]
fn all_of_this_holds_over_podmans_socket() {
    if !rustix::process::geteuid().is_root() || !Path::new("/bin/busybox").exists() {
        tests::skip("not root, or no busybox");
        return;
    }
    let Some(podman) = Podman::start() else {
        tests::skip("no podman");
        return;
    };
    let run = Command::new(std::env::current_exe().unwrap())
        .arg("docker::")
        .args(["--skip", "podman", "--test-threads", "2"])
        // Of a control group of version 1 it does not tell that memory ran out.
        .args(["--skip", "too_much_memory"])
        .env(
            "DOCKER_HOST",
            format!("unix://{}", podman.socket().display()),
        )
        // What only Docker can be tested for is passed over here.
        .env_remove("CI")
        .output()
        .unwrap();
    assert!(
        run.status.success(),
        "over Podman's socket:\n{}",
        String::from_utf8_lossy(&run.stdout)
    );
}
