//! Jobs of a daemon that does not see our files.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use executor::docker::{DockerExecutor, DockerSettings, Sharing};
use executor::{Executor, Exit, JobDir};
use rustix::fs::{Mode, OFlags};

use super::world::{World, bounded, world};

fn copying(world: &World) -> DockerExecutor {
    DockerExecutor::new(DockerSettings {
        sharing: Sharing::Copied,
        ..world.settings()
    })
}

#[tokio::test]
async fn output_and_exit_come_back() {
    world(async |world| {
        let script =
            "echo out; echo err >&2; echo 3 >/.popsicle/exit; printf '\\377\\0end'; exit 3";
        let job = world.job(script);
        job.dir.note("before").unwrap();
        assert_eq!(job.run(&copying(world)).await, Exit::Code(3));
        let log = fs::read(job.dir.log()).unwrap();
        assert_eq!(log, b"before\nout\nerr\n\xff\0end");
        assert_eq!(job.dir.exit_code(), Some(3));
        assert!(world.containers().await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn what_runs_in_the_background_comes_back_too() {
    world(async |world| {
        let job = world.job(
            "{ seq 1 100000; printf '\\377\\0end'; } >>/.popsicle/out.3; rm /.popsicle/out.4; \
             rm /.popsicle/out.5; ln -s /etc/passwd /.popsicle/out.5",
        );
        for step in [3, 4, 5] {
            job.dir.make_output(step).unwrap();
        }
        let executor = copying(world);
        assert_eq!(job.run(&executor).await, Exit::Code(0));
        let mut expected: Vec<u8> = (1..=100_000).fold(Vec::new(), |mut text, number| {
            text.extend_from_slice(format!("{number}\n").as_bytes());
            text
        });
        expected.extend_from_slice(b"\xff\0end");
        assert!(fs::read(job.dir.output(3)).unwrap() == expected);
        assert_eq!(fs::read(job.dir.output(4)).unwrap(), b"");
        // Podman follows a link, to the container's own file; never to this machine's.
        let linked = fs::read(job.dir.output(5)).unwrap();
        assert_ne!(linked, fs::read("/etc/passwd").unwrap());
    })
    .await;
}

#[tokio::test]
async fn much_output_comes_back_whole() {
    world(async |world| {
        let job = world.job("seq 1 100000");
        assert_eq!(job.run(&copying(world)).await, Exit::Code(0));
        let log = job.log();
        let numbers = log.lines().map(|line| line.parse().ok());
        assert!(numbers.eq((1..=100_000).map(Some)));
    })
    .await;
}

#[tokio::test]
async fn the_working_directory_is_copied_in_and_belongs_to_the_user() {
    world(async |world| {
        let job = world
            .job(
                "cd \"$POPSICLE_WORKING_DIRECTORY\"; pwd; cat sub/file; readlink link; \
                 stat -c %U sub/file .; echo more >>sub/file; ls -l ~ | wc -l",
            )
            .user("circleci");
        fs::create_dir(job.dir.work().join("sub")).unwrap();
        fs::write(job.dir.work().join("sub/file"), "content\n").unwrap();
        symlink("sub/file", job.dir.work().join("link")).unwrap();
        assert_eq!(job.run(&copying(world)).await, Exit::Code(0));
        assert_eq!(
            job.log(),
            "/home/circleci/project\ncontent\nsub/file\ncircleci\ncircleci\n2\n"
        );
        // What the job does there stays there.
        let here = fs::read_to_string(job.dir.work().join("sub/file")).unwrap();
        assert_eq!(here, "content\n");
    })
    .await;
}

/// Whether somebody reads the answers to a job.
fn has_reader(dir: &JobDir) -> bool {
    let flags = OFlags::WRONLY | OFlags::NONBLOCK;
    rustix::fs::open(dir.answer(), flags, Mode::empty()).is_ok()
}

/// Asks twice, and changes a file in between.
const ASKS: &str = "cd \"$POPSICLE_WORKING_DIRECTORY\"; \
    echo first?; read -r answer </.popsicle/answer; echo $answer; cat file; \
    echo mine >file; \
    echo second?; read -r answer </.popsicle/answer; echo $answer; cat file late";

#[tokio::test]
async fn an_answer_brings_what_was_laid_and_leaves_what_was_made() {
    world(async |world| {
        let executor = copying(world);
        let job = world.job(ASKS);
        job.launch(&executor).await.unwrap();
        job.says("first?").await;
        fs::write(job.dir.work().join("file"), "laid\n").unwrap();
        job.answer("one 'two'  $three").await;
        job.says("second?").await;
        fs::write(job.dir.work().join("late"), "late\n").unwrap();
        job.answer("four").await;
        assert_eq!(job.wait(&executor).await.unwrap(), Exit::Code(0));
        assert_eq!(
            job.log(),
            "first?\none 'two' $three\nlaid\nsecond?\nfour\nmine\nlate\n"
        );
    })
    .await;
}

#[tokio::test]
async fn an_answer_brings_what_was_laid_for_its_step_to_take_elsewhere() {
    world(async |world| {
        let executor = copying(world);
        let script = "cd /.popsicle; echo first?; read -r answer <answer; cat tree.0/file; \
            stat -c %U tree.0; echo mine >tree.0/file; \
            echo second?; read -r answer <answer; cat tree.0/file tree.12/file; ls -d tree*";
        let job = world.job(script).user("circleci");
        job.launch(&executor).await.unwrap();
        job.says("first?").await;
        let lay = |tree: &str| {
            fs::create_dir(job.dir.io().join(tree)).unwrap();
            fs::write(job.dir.io().join(tree).join("file"), format!("{tree}\n")).unwrap();
        };
        lay("tree.0");
        job.answer("0 0 done").await;
        job.says("second?").await;
        lay("tree.1");
        lay("tree.12");
        job.answer("12 0").await;
        assert_eq!(job.wait(&executor).await.unwrap(), Exit::Code(0));
        assert_eq!(
            job.log(),
            "first?\ntree.0\ncircleci\nsecond?\nmine\ntree.12\ntree.0\ntree.12\n"
        );
    })
    .await;
}

#[tokio::test]
async fn a_new_server_takes_up_where_the_old_one_was() {
    world(async |world| {
        let job = world.job(ASKS);
        job.dir.note("before").unwrap();
        let old = copying(world);
        job.launch(&old).await.unwrap();
        job.says("first?").await;
        drop(old);
        // The old one was killed between what it laid and its answer.
        fs::write(job.dir.work().join("file"), "laid\n").unwrap();
        // A dead server reads no answers; this one is of our own process, so it takes a moment.
        while has_reader(&job.dir) {
            tokio::task::yield_now().await;
        }
        let new = world.executor();
        let answers = async {
            while !has_reader(&job.dir) {
                tokio::task::yield_now().await;
            }
            job.answer("one").await;
            job.says("second?").await;
            fs::write(job.dir.work().join("late"), "late\n").unwrap();
            job.answer("two").await;
        };
        let (exit, ()) = bounded(async { tokio::join!(job.wait(&new), answers) }).await;
        assert_eq!(exit.unwrap(), Exit::Code(0));
        assert_eq!(
            job.log(),
            "before\nfirst?\none\nlaid\nsecond?\ntwo\nmine\nlate\n"
        );
    })
    .await;
}

#[tokio::test]
async fn output_of_a_job_that_ended_meanwhile_is_fetched() {
    world(async |world| {
        let old = copying(world);
        let job = world.job("echo one; echo two; exit 2");
        job.launch(&old).await.unwrap();
        drop(old);
        let new = copying(world);
        assert_eq!(job.wait(&new).await.unwrap(), Exit::Code(2));
        assert_eq!(job.log(), "one\ntwo\n");
        assert_eq!(job.wait(&new).await.unwrap(), Exit::Code(2));
        assert_eq!(job.log(), "one\ntwo\n");
        bounded(new.remove(&job.dir)).await.unwrap();
        // What was fetched outlives the container.
        assert_eq!(job.wait(&new).await.unwrap(), Exit::Code(2));
    })
    .await;
}

/// Set where the daemon does not see the folder of jobs.
const UNSEEN: &str = "POPSICLE_TEST_UNSEEN";

#[tokio::test]
async fn a_folder_is_mounted_where_it_is_seen_and_else_copied() {
    world(async |world| {
        let executor = world.executor();
        for _ in 0..2 {
            let job = world.job("cd \"$POPSICLE_WORKING_DIRECTORY\"; cat file; echo mine >made");
            fs::write(job.dir.work().join("file"), "content\n").unwrap();
            assert_eq!(job.run(&executor).await, Exit::Code(0));
            assert_eq!(job.log(), "content\n");
            let is_mounted = job.dir.work().join("made").exists();
            assert_eq!(is_mounted, std::env::var_os(UNSEEN).is_none());
        }
        assert!(world.containers().await.is_empty());
    })
    .await;
}

#[test]
fn a_folder_that_the_daemon_does_not_see_is_copied() {
    let namespaces = Command::new("unshare").args(["--mount", "true"]).status();
    if !namespaces.is_ok_and(|status| status.success()) {
        tests::skip("no mount namespaces for this user");
        return;
    }
    let hidden = tempfile::tempdir().unwrap();
    let run = Command::new("unshare")
        .args(["--mount", "sh", "-ec"])
        .arg("mount -t tmpfs none \"$TMPDIR\"; exec \"$@\"")
        .arg("sh")
        .arg(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "docker::copied::a_folder_is_mounted_where_it_is_seen_and_else_copied",
        ])
        .env("TMPDIR", hidden.path())
        .env(UNSEEN, "yes")
        .output()
        .unwrap();
    let output = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success(), "{output}");
    assert!(output.contains("1 passed"), "{output}");
}
