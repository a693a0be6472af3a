//! Jobs in images, without a daemon: what the docker executor's tests ask of it, asked of this one.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use executor::native::NativeExecutor;
use executor::{Executor, ExecutorError, Exit, JobDir, Launch, Place};
use image::{ImageStore, ImageStoreSettings, Keep, Origin};
use model::ImageSpec;
use sha2::{Digest as _, Sha256};
use tests::skip;
use tokio::time::timeout;

use super::world::{BOUND, World, launch, processes, rootless, say, settings};
use crate::docker::world::busybox;
use crate::reach::{SAYS, SCRIPT, agree};

const IMAGE: &str = "localhost/test/busybox:1";

/// A world whose store has [`IMAGE`] of busybox, with a configuration of these words; none where there can't be.
fn world(config: &str) -> Option<World> {
    if rootless() {
        skip("only root runs images");
        return None;
    }
    if tests::busybox().is_none() {
        skip("no static busybox to make images of");
        return None;
    }
    let world = World::new();
    take_in(&world, IMAGE, config, &busybox());
    Some(world)
}

/// Takes an image of one layer in, as `docker save` has it.
fn take_in(world: &World, name: &str, config: &str, layer: &[u8]) {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
    let diff_id: String = Sha256::digest(layer)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let config =
        format!(r#"{{"config": {{{config}}}, "rootfs": {{"diff_ids": ["sha256:{diff_id}"]}}}}"#);
    file("config.json", config.as_bytes());
    file("layer.tar", layer);
    let manifest = format!(
        r#"[{{"Config": "config.json", "RepoTags": ["{name}"], "Layers": ["layer.tar"]}}]"#
    );
    file("manifest.json", manifest.as_bytes());
    store(world)
        .import(folder.path(), None, Origin::Import)
        .unwrap();
}

fn store(world: &World) -> ImageStore {
    ImageStore::new(ImageStoreSettings::new(world.folder.path().join("images")))
}

fn spec() -> ImageSpec {
    ImageSpec {
        image: IMAGE.to_owned(),
        ..ImageSpec::default()
    }
}

fn of(spec: ImageSpec) -> Launch {
    Launch {
        place: Place::Container(spec),
        ..launch()
    }
}

fn user(user: &str) -> Launch {
    of(ImageSpec {
        user: Some(user.to_owned()),
        ..spec()
    })
}

async fn says(dir: &JobDir, text: &str) {
    let said = async {
        while !fs::read_to_string(dir.log()).unwrap().contains(text) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(BOUND, said).await.unwrap();
}

async fn rejected(world: &World, launch: &Launch) -> String {
    let dir = world.job("");
    match world.executor.launch(&dir, launch).await {
        Err(ExecutorError::Rejected(reason)) => {
            super::world::assert_nothing_left(&dir);
            reason
        }
        other => panic!("not rejected: {other:?}"),
    }
}

#[tokio::test]
async fn root_finds_its_folder_below_its_home() {
    let Some(world) = world("") else { return };
    let script = "pwd; echo $HOME $POPSICLE_WORKING_DIRECTORY $ONE $PATH; cd ~/project; cat file; \
                  echo x >made; ls /bin/busybox; echo $$; cat; echo $#; exit 3";
    let dir = world.job(script);
    let mut launch = of(spec());
    let pairs = [("ONE", "1"), ("ONE", "2")];
    launch.environment = pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec();
    fs::write(dir.work().join("file"), "content\n").unwrap();
    world.executor.launch(&dir, &launch).await.unwrap();
    assert_eq!(world.wait(&dir).await, Exit::Code(3));
    let expected = "/\n/root /root/project 2 \
                    /usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n\
                    content\n/bin/busybox\n1\n0\n";
    assert_eq!(fs::read_to_string(dir.log()).unwrap(), expected);
    assert_eq!(fs::read_to_string(dir.work().join("made")).unwrap(), "x\n");
    world.remove(&dir).await;
}

#[tokio::test]
async fn a_user_has_the_home_of_the_images_passwd() {
    let Some(world) = world(r#""User": "circleci""#) else {
        return;
    };
    let script = "echo $(id -u):$(id -g) $HOME $POPSICLE_WORKING_DIRECTORY; touch ~/project/made";
    for launch in [of(spec()), user("circleci"), user("1001")] {
        let dir = world.job(script);
        world.executor.launch(&dir, &launch).await.unwrap();
        assert_eq!(world.wait(&dir).await, Exit::Code(0));
        let log = fs::read_to_string(dir.log()).unwrap();
        assert_eq!(log, "1001:1002 /home/circleci /home/circleci/project\n");
        assert_eq!(fs::metadata(dir.work().join("made")).unwrap().uid(), 1001);
        world.remove(&dir).await;
    }
    let (_, log) = world.run_as("id -u; echo $HOME", &user("0")).await;
    assert_eq!(log, "0\n/root\n");
}

#[tokio::test]
async fn an_images_variables_come_first_and_its_way_to_start_does_not_matter() {
    let config = r#""Env": ["HOME=/tmp/home", "A=image", "B=image", "PATH=/bin"],
        "Entrypoint": ["/bin/false"], "Cmd": ["wrong"], "WorkingDir": "/tmp""#;
    let Some(world) = world(config) else { return };
    let mut launch = of(ImageSpec {
        environment: vec![("A".to_owned(), "stanza".to_owned())],
        ..spec()
    });
    launch.environment = vec![("C".to_owned(), "job".to_owned())];
    let script = "pwd; echo $HOME $POPSICLE_WORKING_DIRECTORY $A $B $C $PATH";
    let (exit, log) = world.run_as(script, &launch).await;
    assert_eq!(exit, Exit::Code(0));
    assert_eq!(
        log,
        "/\n/tmp/home /tmp/home/project stanza image job /bin\n"
    );
}

#[tokio::test]
async fn what_the_image_lacks_is_named() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let Some(world) = world("") else { return };
    let error = rejected(&world, &user("nobody-here")).await;
    assert!(
        error.contains("nobody-here") && error.contains(IMAGE),
        "{error}"
    );

    let layer = |fill: &dyn Fn(&mut tar::Builder<Vec<u8>>)| {
        let mut archive = tar::Builder::new(Vec::new());
        fill(&mut archive);
        archive.into_inner().unwrap()
    };
    let link = |archive: &mut tar::Builder<Vec<u8>>, name: &str, target: &str| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_mode(0o777);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(0);
        archive.append_link(&mut header, name, target).unwrap();
    };
    let file = |archive: &mut tar::Builder<Vec<u8>>, name: &str, text: &str| {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o755);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(text.len() as u64);
        archive
            .append_data(&mut header, name, text.as_bytes())
            .unwrap();
    };
    for (name, layer, expected) in [
        (
            "empty",
            layer(&|archive| file(archive, "file", "")),
            "has no `/bin/sh`",
        ),
        (
            "foreign",
            layer(&|archive| file(archive, "bin/sh", "\u{7f}ELF of another machine")),
            "can't be started",
        ),
        (
            "astray",
            layer(&|archive| {
                file(archive, "bin/sh", "");
                link(archive, "proc", "/etc");
            }),
            "`/proc` is no folder",
        ),
    ] {
        let name = format!("localhost/test/{name}:1");
        take_in(&world, &name, "", &layer);
        let image = ImageSpec {
            image: name,
            ..ImageSpec::default()
        };
        let error = rejected(&world, &of(image)).await;
        assert!(error.contains(expected), "{error}");
    }
    let mut nowhere = of(spec());
    nowhere.working_directory = "project".to_owned();
    let error = rejected(&world, &nowhere).await;
    assert!(error.contains("`project`"), "{error}");
    for name in ["", "Not A Name", "../containers"] {
        let image = ImageSpec {
            image: name.to_owned(),
            ..ImageSpec::default()
        };
        let error = rejected(&world, &of(image)).await;
        assert!(error.contains(&format!("`{name}`")), "{error}");
    }
    let away = ImageSpec {
        image: "127.0.0.1:1/away/image:1".to_owned(),
        ..ImageSpec::default()
    };
    let dir = world.job("");
    let error = world.executor.launch(&dir, &of(away)).await.unwrap_err();
    assert!(
        matches!(error, ExecutorError::Unavailable { .. }),
        "{error}"
    );
}

#[tokio::test]
async fn nothing_that_a_job_does_to_its_image_lasts() {
    let Some(world) = world("") else { return };
    let script = "cat /etc/world >/dev/null && rm -r /etc/world /home && echo mine >/bin/mine && ls -d /home; \
                  ls /bin/mine; ls /bin/cat";
    for _ in 0..2 {
        let (_, log) = world.run_as(script, &of(spec())).await;
        let lines = log
            .lines()
            .filter(|line| line.starts_with('/'))
            .collect::<Vec<_>>();
        assert_eq!(lines, ["/bin/mine", "/bin/cat"], "{log}");
    }
}

#[tokio::test]
async fn a_job_in_an_image_is_kept_from_the_machine() {
    let Some(world) = world("") else { return };
    let secret = world.folder.path().join("secret");
    fs::write(&secret, "").unwrap();
    let script = format!(
        "ls {}; cat /proc/self/status; echo x >/proc/sys/kernel/hostname && echo renamed; \
         echo h >/proc/sysrq-trigger && echo triggered; \
         busybox mknod /dev/disk b 8 0 && echo made; busybox mount -t tmpfs none /tmp && echo mounted; \
         head -c 1 /proc/kcore; ls /proc | busybox grep -c '^[0-9]'; ls -a /dev; ls /sys/kernel >/dev/null; \
         busybox hostname; cat /etc/hostname; cat /etc/hosts",
        secret.display()
    );
    let dir = world.job(&script);
    world.executor.launch(&dir, &of(spec())).await.unwrap();
    world.wait(&dir).await;
    let log = fs::read_to_string(dir.log()).unwrap();
    world.remove(&dir).await;
    assert!(log.contains("secret: No such file"), "{log}");
    assert!(log.contains("CapBnd:\t00000000a00405fb"), "{log}");
    // `sudo` works in images made for CI.
    assert!(log.contains("NoNewPrivs:\t0"), "{log}");
    assert!(log.contains("Seccomp:\t2"), "{log}");
    for done in ["renamed", "triggered", "made", "mounted"] {
        assert!(!log.lines().any(|line| line == done), "{log}");
    }
    let named = log
        .lines()
        .filter(|line| line.starts_with("job-"))
        .collect::<Vec<_>>();
    assert_eq!(named.len(), 2, "{log}");
    assert_eq!(named[0], named[1], "{log}");
    assert!(log.contains(&format!("127.0.1.1\t{}", named[0])), "{log}");
    for device in ["null", "zero", "shm", "pts"] {
        assert!(log.lines().any(|line| line == device), "{log}");
    }
    assert!(!log.contains("vda") && !log.contains("kmsg"), "{log}");

    let (_, log) = world
        .run_as("cat /proc/self/status; id", &user("circleci"))
        .await;
    assert!(log.contains("CapEff:\t0000000000000000"), "{log}");
    assert!(log.contains("Seccomp:\t2"), "{log}");
    assert!(
        log.contains("Groups:\t\n") || log.contains("Groups:\t \n"),
        "{log}"
    );
}

#[tokio::test]
async fn files_are_taken_and_put() {
    let Some(world) = world("") else { return };
    for name in ["root", "circleci"] {
        let dir = world.job(SCRIPT);
        world.executor.launch(&dir, &user(name)).await.unwrap();
        says(&dir, "ready").await;
        // Another server, as after a restart.
        let next = NativeExecutor::new(settings(world.folder.path()));
        timeout(BOUND, agree(&next, &dir)).await.unwrap();
        say(&dir, "go").await;
        assert_eq!(world.wait(&dir).await, Exit::Code(0));
        let log = fs::read_to_string(dir.log()).unwrap();
        assert_eq!(log, format!("ready\n{SAYS}"), "{name}");
        world.remove(&dir).await;
    }
}

#[tokio::test]
async fn a_job_that_is_stopped_or_removed_leaves_nothing() {
    let Some(world) = world("") else { return };
    let script = "trap 'echo asked; exit 7' TERM USR1; echo ready; while :; do sleep 424247; done";
    for name in ["root", "circleci"] {
        let dir = world.job(script);
        world.executor.launch(&dir, &user(name)).await.unwrap();
        says(&dir, "ready").await;
        assert_eq!(world.executor.held().await.unwrap(), [dir.key()]);
        // What runs is never removed.
        assert_eq!(store(&world).prune(Keep::Used).unwrap().images, [""; 0]);
        world.executor.stop(&dir, BOUND).await.unwrap();
        assert_eq!(world.wait(&dir).await, Exit::Code(7));
        world.remove(&dir).await;
        let dir = world.job(script);
        world.executor.launch(&dir, &user(name)).await.unwrap();
        says(&dir, "ready").await;
        // However its shim ends, the job ends with it.
        super::world::kill_shim(&dir);
        let gone = world.executor.wait(&dir).await;
        assert!(matches!(gone, Err(ExecutorError::Vanished)), "{gone:?}");
        world.remove(&dir).await;
        assert!(processes("424247").is_empty());
    }
    assert_eq!(store(&world).prune(Keep::Used).unwrap().images, [IMAGE]);
}

#[tokio::test]
async fn no_file_keeps_what_is_secret_of_an_image() {
    let Some(world) = world("") else { return };
    let dir = world.job("echo ready; read -r answer </.popsicle/answer");
    let auth = model::ImageAuth::Registry {
        username: "me".to_owned(),
        password: "hunter2".to_owned(),
    };
    let launch = of(ImageSpec {
        environment: vec![("TOKEN".to_owned(), "hunter2".to_owned())],
        auth: Some(auth),
        ..spec()
    });
    world.executor.launch(&dir, &launch).await.unwrap();
    says(&dir, "ready").await;
    for entry in fs::read_dir(dir.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let text = fs::read_to_string(&path).unwrap();
            assert!(!text.contains("hunter2"), "{}", path.display());
        }
    }
    world.remove(&dir).await;
}

#[tokio::test]
async fn a_job_with_services_is_left_to_others() {
    let world = World::new();
    let accepted = world.executor.accepts(&of(spec()).place, &[spec()]);
    let why = accepted.unwrap_err();
    assert!(why.contains("Docker or Podman"), "{why}");
    let dir = world.job("");
    let launch = Launch {
        services: vec![spec()],
        ..of(spec())
    };
    let error = world.executor.launch(&dir, &launch).await.unwrap_err();
    assert!(matches!(error, ExecutorError::Rejected(_)), "{error}");
}

#[tokio::test]
async fn an_ordinary_user_is_told_that_images_are_roots() {
    let world = World::new();
    let accepted = world.executor.accepts(&of(spec()).place, &[]);
    if rootless() {
        let why = accepted.unwrap_err();
        assert!(why.contains("run the server as root"), "{why}");
    } else {
        accepted.unwrap();
    }
}
