//! What a job sees of this machine, and what becomes of what it does to it.

use std::fs;
use std::path::Path;

use executor::native::NativeExecutor;
use executor::{Exit, WORK_DIR_VARIABLE};

use super::world::{World, launch, rootless, settings};

#[tokio::test]
async fn the_environment_is_the_launchs_and_no_one_elses() {
    let world = World::new();
    let mut launch = launch();
    let variables = [
        ("A", "1"),
        ("A", "two words"),
        (WORK_DIR_VARIABLE, "lie"),
        ("HOME", "/tmp"),
    ];
    launch.environment = variables
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec();
    let (_, log) = world
        .run_as(
            "env | grep -v -e ^PWD= -e ^_= -e ^SHLVL= -e ^OLDPWD= | sort",
            &launch,
        )
        .await;
    let (path, rest): (Vec<_>, Vec<_>) = log.lines().partition(|line| line.starts_with("PATH="));
    let directory = format!("{WORK_DIR_VARIABLE}=/home/circleci/project");
    assert_eq!(rest, ["A=two words", "HOME=/tmp", &directory]);
    assert!(path[0].contains("/usr/bin"), "{path:?}");
}

#[tokio::test]
async fn the_working_directory_is_the_job_directorys() {
    let world = World::new();
    let places = ["~/project", "~", "/tmp/deep/down", "/var/tmp/x y"];
    for place in places {
        let mut launch = launch();
        launch.working_directory = place.to_owned();
        let script = format!(
            "pwd; cd \"${WORK_DIR_VARIABLE}\" && cat given && echo made > made && echo $HOME"
        );
        let dir = world.job(&script);
        fs::write(dir.work().join("given"), "given\n").unwrap();
        executor::Executor::launch(&world.executor, &dir, &launch)
            .await
            .unwrap();
        assert_eq!(world.wait(&dir).await, Exit::Code(0), "{place}");
        let log = fs::read_to_string(dir.log()).unwrap();
        assert_eq!(log, "/\ngiven\n/home/circleci\n");
        world.remove(&dir).await;
        assert_eq!(
            fs::read_to_string(dir.work().join("made")).unwrap(),
            "made\n"
        );
    }
}

#[tokio::test]
async fn nothing_done_to_the_machine_lasts() {
    let world = World::new();
    let script = "
        echo here > /usr/popsicle-test && echo here > /etc/popsicle-test && rm /bin/env && mkdir /popsicle-test
        echo $?
        cat /usr/popsicle-test /etc/popsicle-test; ls /bin/env
        echo 192.0.2.1 example.test >> /etc/hosts; echo > /etc/resolv.conf
        for folder in ~ /tmp /var/tmp /run /root /dev/shm; do echo x > $folder/popsicle-test || echo $folder; done
    ";
    let before = fs::read(Path::new("/etc/hosts")).unwrap();
    let (_, log) = world.run(script).await;
    if rootless() {
        assert!(log.contains("Read-only") && !log.contains("here"), "{log}");
    } else {
        assert!(
            log.starts_with("0\nhere\nhere\n") && log.contains("No such file"),
            "{log}"
        );
    }
    assert!(!log.contains("/dev/shm"), "{log}");
    for kept in ["/bin/env", "/usr/bin/env"] {
        assert!(Path::new(kept).exists());
    }
    for folder in [
        "/", "/usr", "/etc", "/home", "/tmp", "/var/tmp", "/run", "/dev/shm",
    ] {
        assert!(
            !Path::new(folder).join("popsicle-test").exists(),
            "{folder}"
        );
    }
    assert_eq!(fs::read(Path::new("/etc/hosts")).unwrap(), before);
}

#[tokio::test]
async fn what_is_nobodys_business_is_hidden() {
    let world = World::new();
    let folder = world.folder.path().display();
    let script = format!(
        "ls -A /home /root /tmp /var/tmp /usr/share; cat /etc/os-release; ls -d {folder}/*; ls -A /run; \
         test -e /var/run/docker.sock || echo no socket"
    );
    let (_, log) = world.run(&script).await;
    let shown = log
        .lines()
        .filter(|line| !line.is_empty() && !line.contains("cannot access"));
    let expected = [
        "/home:",
        "circleci",
        "/root:",
        "/tmp:",
        "/usr/share:",
        "/var/tmp:",
        "lock",
        "no socket",
    ];
    assert_eq!(shown.collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn the_jobs_folder_is_hidden_where_the_view_would_show_it() {
    // An ordinary user has no folder that the view would show.
    if rootless() {
        return;
    }
    let world = World::in_folder(tempfile::tempdir_in("/var").unwrap());
    let other = world.job("");
    let script = format!(
        "ls -A {}; ls {}",
        world.folder.path().display(),
        other.path().display()
    );
    let (_, log) = world.run(&script).await;
    assert!(
        log.contains("No such file") && log.lines().count() == 1,
        "{log}"
    );
}

/// Starts the shim `$0` for the job `$2` on a machine made in `$1`, where `/home` and `/root` are links
/// and nothing else is new. Its root has as many layers as `$MOST`: the kernel's limit, or none.
const MACHINE: &str = r#"
mount -t tmpfs none "$1"
cd "$1"
mkdir base root upper1 work1 one upper2 work2
mkdir -p base/homes/home/somebody base/homes/root/secret
ln -s homes/home base/home
ln -s homes/root base/root
for path in /*; do
  name=${path#/}
  case $name in home | root) continue ;; esac
  if [ -L "$path" ]; then cp -P "$path" base; elif [ -d "$path" ]; then mkdir "base/$name"; fi
done
if [ -n "$MOST" ]; then
  mount -t overlay -o lowerdir=base,upperdir=upper1,workdir=work1 none one
  mount -t overlay -o lowerdir=one,upperdir=upper2,workdir=work2 none root
else
  mount --bind base root
fi
for path in /*; do
  name=${path#/}
  case $name in home | root) continue ;; esac
  if [ -d "$path" ] && [ ! -L "$path" ]; then mount --rbind "$path" "root/$name"; fi
done
exec chroot root "$0" "$2"
"#;

#[tokio::test]
async fn homes_are_hidden_where_links_lead_to_them() {
    // An ordinary user can't make such a machine.
    if rootless() {
        return;
    }
    for most in ["", "yes"] {
        let (folder, machine) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut settings = settings(folder.path());
        let most = format!("MOST={most}");
        let unshare = [
            "/usr/bin/env",
            &most,
            "unshare",
            "--mount",
            "/bin/sh",
            "-ec",
            MACHINE,
        ];
        let shim = std::mem::take(&mut settings.shim);
        settings.shim = unshare.into_iter().map(Into::into).chain(shim).collect();
        settings.shim.push(machine.path().into());
        let executor = NativeExecutor::new(settings);
        let world = World { folder, executor };
        let script =
            "ls -A /home /root /homes/home /homes/root; echo made > ~/made; cat /homes/home/*/made";
        let (exit, log) = world.run(script).await;
        let (notes, shown): (Vec<_>, Vec<_>) =
            log.lines().partition(|line| line.contains("are read-only"));
        let shown = shown.into_iter().filter(|line| !line.is_empty());
        let expected = [
            "/home:",
            "circleci",
            "/homes/home:",
            "circleci",
            "/homes/root:",
            "/root:",
            "made",
        ];
        assert_eq!(shown.collect::<Vec<_>>(), expected, "{most}");
        assert_eq!(exit, Exit::Code(0));
        assert_eq!(notes.len(), usize::from(most == "MOST=yes"), "{notes:?}");
    }
}

#[tokio::test]
async fn names_are_found_as_on_the_machine() {
    let world = World::new();
    let (exit, log) = world
        .run("cat /etc/resolv.conf; getent hosts $(hostname)")
        .await;
    assert_eq!(exit, Exit::Code(0), "{log}");
    let resolvers = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    assert!(
        log.starts_with(&resolvers) && log.contains("127.0.1.1"),
        "{log}"
    );
}

#[tokio::test]
async fn usual_devices_are_there_and_no_others() {
    let world = World::new();
    let script = "
        head -c 3 /dev/zero | od -An -tx1; head -c 1 /dev/urandom > /dev/null && echo x > /dev/full || echo full
        ls -l /dev/fd /dev/ptmx > /dev/null && : > /dev/shm/x && ls /dev
    ";
    let (exit, log) = world.run(script).await;
    assert_eq!(exit, Exit::Code(0), "{log}");
    assert!(
        log.contains("00 00 00") && log.contains("\nfull\n"),
        "{log}"
    );
    let devices = ["null", "zero", "tty", "pts"];
    assert!(
        devices
            .iter()
            .all(|name| log.lines().any(|line| line == *name)),
        "{log}"
    );
    let disks = ["vda", "sda", "nvme0n1", "mem", "kmsg", "loop0"];
    assert!(
        !disks
            .iter()
            .any(|name| log.lines().any(|line| line == *name)),
        "{log}"
    );
}
