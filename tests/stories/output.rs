//! Output: kept as it is, however much and whatever it is; and what happens when there is too much of it.

use insta::assert_snapshot;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use std::ffi::CString;
use std::path::PathBuf;

use crate::world::{Answered, Ci, Repo, has_machine_jobs, processes_with, skip, unique, until};

/// A repository with one job of one step.
fn one_step(command: &str) -> Repo {
    let indented: Vec<String> = command
        .lines()
        .map(|line| format!("          {line}"))
        .collect();
    Repo::with_config(&format!(
        "
version: 2.1
jobs:
  build:
    machine: true
    steps:
      - run: |
{}
workflows: {{main: {{jobs: [build]}}}}
",
        indented.join("\n")
    ))
}

#[tokio::test]
async fn bytes_are_kept_as_they_are() {
    if !has_machine_jobs().await {
        return;
    }
    let ci = Ci::start().await;
    // No UTF-8, a NUL, colours, half of one of our own markers, and no line end.
    let repo = one_step(r"printf '\377\376\000 \033[31mred\033[0m \033]7770;x\r\nno end'");
    let id = ci.push(&repo).await;
    assert_eq!(ci.settled(id).await, "pipeline success\n  build  success");
    assert_eq!(
        ci.log_bytes(id, "build").await,
        b"\xff\xfe\0 \x1b[31mred\x1b[0m \x1b]7770;x\r\nno end"
    );
}

#[tokio::test]
async fn no_line_of_many_is_lost() {
    if !has_machine_jobs().await {
        return;
    }
    let ci = Ci::start().await;
    let repo = one_step("seq 1 300000");
    let id = ci.push(&repo).await;
    assert_eq!(ci.settled(id).await, "pipeline success\n  build  success");
    let log = ci.log(id, "build").await;
    let mut lines = log.lines();
    for number in 1..=300_000 {
        assert_eq!(lines.next(), Some(number.to_string().as_str()));
    }
    assert_eq!(lines.next(), None);
}

#[tokio::test]
async fn a_job_that_writes_without_end_is_ended() {
    if !has_machine_jobs().await {
        return;
    }
    let mut ci = Ci::start_with(&[("POPSICLE_LOG_LIMIT", "1MiB")]).await;
    let repo = one_step("trap '' TERM; yes 'and so on'");
    let id = ci.push(&repo).await;
    assert_snapshot!(ci.settled(id).await, @"
    pipeline failure
      build  failure  (the job wrote more output than its limit of 1048576 bytes)
    ");
    assert_eq!(ci.log_bytes(id, "build").await.len(), 1 << 20);
    ci.assert_alive();
    ci.until_clean().await;
    let repo = one_step("echo short");
    let id = ci.push(&repo).await;
    assert_eq!(ci.settled(id).await, "pipeline success\n  build  success");
}

/// The most memory that the server may ever have taken, whatever jobs print.
const MEMORY_KIB: u64 = 300 * 1024;

/// How long the job's stored log is, without reading all of it.
async fn log_length(ci: &Ci, id: u64) -> u64 {
    let path = ci.log_path(id, "build").await;
    let end = ci.request(&path).header("range", "bytes=-4").send().await;
    let end = Answered::read(end.expect("the server answers")).await;
    assert_eq!((end.code, &end.body[..]), (206, &b"xend"[..]));
    let range = end.header("content-range").expect("a part has its range");
    let (_, length) = range.split_once('/').expect("a range tells the length");
    length.parse().expect("a length is a number")
}

#[tokio::test]
async fn a_gigabyte_is_kept_in_little_memory() {
    if !has_machine_jobs().await {
        return;
    }
    let repo = one_step("head -c 999999997 /dev/zero | tr '\\0' x; printf end");
    let ci = Ci::start_with(&[("POPSICLE_LOG_LIMIT", "2GiB")]).await;
    let id = ci.push(&repo).await;
    assert_eq!(ci.settled(id).await, "pipeline success\n  build  success");
    assert_eq!(log_length(&ci, id).await, 1_000_000_000);

    // Whoever reads all of it costs no more.
    let log = ci.request(&ci.log_path(id, "build").await).send().await;
    let mut log = log.expect("the server answers");
    let mut length = 0;
    while let Some(part) = log.chunk().await.expect("the log is told to its end") {
        length += part.len();
    }
    assert_eq!(length, 1_000_000_000);
    let peak = ci.peak_memory_kib();
    assert!(peak < MEMORY_KIB, "{peak} KiB");
}

#[tokio::test]
async fn a_gigabyte_is_too_much_for_the_default_limit() {
    if !has_machine_jobs().await {
        return;
    }
    let repo = one_step("head -c 1000000000 /dev/zero | tr '\\0' x");
    let mut ci = Ci::start().await;
    let id = ci.push(&repo).await;
    assert_snapshot!(ci.settled(id).await, @"
    pipeline failure
      build  failure  (the job wrote more output than its limit of 536870912 bytes)
    ");
    let path = ci.log_path(id, "build").await;
    let log = ci.request(&path).header("range", "bytes=0-0").send().await;
    let range = Answered::read(log.expect("the server answers")).await;
    assert_eq!(range.header("content-range"), Some("bytes 0-0/536870912"));
    let peak = ci.peak_memory_kib();
    assert!(peak < MEMORY_KIB, "{peak} KiB");
    ci.assert_alive();
    ci.until_clean().await;
}

#[tokio::test]
async fn a_job_ends_although_it_left_a_process_behind() {
    if !has_machine_jobs().await {
        return;
    }
    let ci = Ci::start().await;
    let mark = unique();
    let repo = one_step(&format!("sh -c 'sleep 600; : {mark}' &\necho done"));
    let id = ci.push(&repo).await;
    assert_eq!(ci.settled(id).await, "pipeline success\n  build  success");
    assert_eq!(ci.log(id, "build").await, "done\n");
    until("what it left is gone", async || {
        processes_with(&mark).is_empty().then_some(())
    })
    .await;
    ci.until_clean().await;
}

/// A file system of a size of its own; unmounted with this value.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounted there; none if that is not for us to do. The size is as `mount` takes it: `24m`.
    fn at(path: PathBuf, size: &str) -> Option<Self> {
        std::fs::create_dir_all(&path).expect("the folder can be made");
        let data = CString::new(format!("size={size},mode=0700")).expect("a size has no zero");
        let mounted = mount(
            "tmpfs",
            &path,
            "tmpfs",
            MountFlags::empty(),
            Some(data.as_c_str()),
        );
        mounted.ok().map(|()| Self(path))
    }

    fn empty(&self) {
        for entry in std::fs::read_dir(&self.0).expect("the disk can be read") {
            std::fs::remove_dir_all(entry.expect("the disk can be read").path())
                .expect("the disk can be written");
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = unmount(&self.0, UnmountFlags::DETACH);
    }
}

#[tokio::test]
async fn a_full_disk_ends_the_job_and_not_the_server() {
    if !has_machine_jobs().await {
        return;
    }
    let mut ci = Ci::prepare(&[]).await;
    let Some(disk) = SmallDisk::at(ci.data().join("logs"), "1m") else {
        skip("only root can mount a small disk");
        return;
    };
    ci.restart().await;
    let repo = one_step("seq 1 1000000");
    let id = ci.push(&repo).await;
    let settled = ci.settled(id).await;
    let logs = disk.0.display().to_string();
    assert_snapshot!(settled.replace(&logs, "LOGS"), @"
    pipeline error
      build  error  (could not store the job's log: no space is left on the disk of `LOGS/1/1.1.log`)
    ");
    ci.assert_alive();
    ci.until_clean().await;

    disk.empty();
    let repo = one_step("echo room again");
    let id = ci.push(&repo).await;
    assert_eq!(ci.settled(id).await, "pipeline success\n  build  success");
    assert_eq!(ci.log(id, "build").await, "room again\n");
}

#[tokio::test]
async fn a_disk_that_a_job_fills_is_free_again_after_it() {
    if !has_machine_jobs().await {
        return;
    }
    let mut ci = Ci::prepare(&[]).await;
    // The database, the logs and the jobs' folders, all on one, as they are by default.
    let Some(_disk) = SmallDisk::at(ci.data(), "32m") else {
        skip("only root can mount a small disk");
        return;
    };
    ci.restart().await;
    for filler in ["seq 1 100000000", "cat /dev/zero >zeros"] {
        let repo = one_step(filler);
        let id = ci.push(&repo).await;
        let settled = ci.settled(id).await;
        assert!(
            settled.starts_with("pipeline error") || settled.starts_with("pipeline failure"),
            "{settled}"
        );
        assert!(
            settled.contains("no space is left") || settled.contains("ended with exit code 1"),
            "{settled}"
        );
        ci.assert_alive();
        ci.until_clean().await;

        let repo = one_step("echo room again");
        let id = ci.push(&repo).await;
        assert_eq!(ci.settled(id).await, "pipeline success\n  build  success");
    }
}

#[tokio::test]
async fn a_job_whose_output_finds_no_room_does_not_pass() {
    if !has_machine_jobs().await {
        return;
    }
    let mut ci = Ci::prepare(&[]).await;
    let Some(_disk) = SmallDisk::at(ci.data().join("jobs"), "16m") else {
        skip("only root can mount a small disk");
        return;
    };
    ci.restart().await;
    let repo = one_step("seq 1 100000000 || true");
    let id = ci.push(&repo).await;
    assert_snapshot!(ci.settled(id).await, @"
    pipeline error
      build  error  (the job's output could not be written: no space is left on the disk of its folder)
    ");
    ci.until_clean().await;
}
