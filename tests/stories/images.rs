//! Docker jobs on a machine that has no Docker.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use sha2::{Digest as _, Sha256};
use tests::skip;

use crate::world::{Repo, cli_in, has_machine_jobs};

/// Where no daemon is.
const NOWHERE: &str = "unix:///nowhere/docker.sock";

/// Writes an image of busybox as `docker save` does, in a folder.
fn save(folder: &Path, name: &str) {
    let root = tempfile::tempdir().expect("a temporary folder can be made");
    let bin = root.path().join("bin");
    fs::create_dir(&bin).expect("the folder can be made");
    let busybox = tests::busybox().expect("the story asked whether there is one");
    fs::copy(busybox, bin.join("busybox")).expect("busybox can be copied");
    for applet in [
        "cat", "echo", "id", "ls", "mkdir", "rm", "sh", "sleep", "true",
    ] {
        symlink("busybox", bin.join(applet)).expect("the link can be made");
    }
    let layer = folder.join("layer.tar");
    let packed = Command::new("tar")
        .args(["--create", "--owner=0", "--group=0", "--file"])
        .arg(&layer)
        .arg("bin")
        .current_dir(root.path())
        .status();
    assert!(packed.is_ok_and(|status| status.success()), "tar packs it");
    let bytes = fs::read(&layer).expect("the layer is there");
    let diff_id = format!("sha256:{}", hex::encode(Sha256::digest(&bytes)));
    let config = serde_json::json!({
        "os": "linux",
        "config": {"Env": ["KIND=image"]},
        "rootfs": {"type": "layers", "diff_ids": [diff_id]},
    });
    let manifest = serde_json::json!([
        {"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}
    ]);
    fs::write(folder.join("config.json"), config.to_string()).expect("it can be written");
    fs::write(folder.join("manifest.json"), manifest.to_string()).expect("it can be written");
}

async fn can_run() -> bool {
    if !rustix::process::geteuid().is_root() {
        return skip("only root unpacks images");
    }
    if tests::busybox().is_none() {
        return skip("there is no static busybox to make an image of");
    }
    has_machine_jobs().await
}

#[tokio::test]
async fn a_docker_job_runs_where_no_docker_is() {
    if !can_run().await {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let images = folder.path().join("images").display().to_string();
    let saved = folder.path().join("saved");
    fs::create_dir(&saved).expect("the folder can be made");
    save(&saved, "localhost/story/busybox:1");
    let image = async |words: &[&str]| {
        let words = [&["image"], words, &["--images", &images]].concat();
        let told = cli_in(folder.path(), &words).await;
        assert_eq!(told.code, Some(0), "{told:?}");
        told
    };
    let empty = image(&["list"]).await;
    assert!(empty.stderr.contains("no images"), "{empty:?}");
    let taken = image(&["import", "saved"]).await;
    assert!(
        taken.stdout.starts_with("localhost/story/busybox:1  "),
        "{taken:?}"
    );

    let repo = Repo::with(&[
        ("README.md", "readme"),
        (
            ".circleci/config.yml",
            "
version: 2.1
jobs:
  build:
    docker: [{image: 'localhost/story/busybox:1', environment: {COLOUR: green}}]
    steps:
      - checkout
      - run: echo \"$KIND $COLOUR $CIRCLE_JOB in $HOME\"; cat README.md; ls /
      - run: mkdir kept; echo kept >kept/file
      - persist_to_workspace: {root: ., paths: [kept]}
  next:
    docker: [{image: 'localhost/story/busybox:1'}]
    steps:
      - attach_workspace: {at: .}
      - run: cat kept/file; ls /bin/busybox && rm /bin/ls
      - run: circleci tests glob 'k*/f{a,i}le' | sed s/^/found:/; circleci-agent step halt
      - run: exit 1
workflows: {main: {jobs: [build, {next: {requires: [build]}}]}}
",
        ),
    ]);
    let path = repo.path().display().to_string();
    let run = [
        "run",
        "-v",
        &path,
        "--images",
        &images,
        "--docker-host",
        NOWHERE,
    ];
    for _ in 0..2 {
        let ran = cli_in(folder.path(), &run).await;
        assert_eq!(ran.code, Some(0), "{ran:?}");
        let told = format!("{}{}", ran.stdout, ran.stderr);
        for said in [
            "image green build in /root",
            "readme",
            "kept",
            "/bin/busybox",
            "found:kept/file",
        ] {
            assert!(told.contains(said), "{said}: {told}");
        }
    }

    let listed = image(&["list", "--json"]).await;
    let listed: serde_json::Value = serde_json::from_str(&listed.stdout).expect("it is JSON");
    assert_eq!(listed[0]["origin"], "import");
    assert_eq!(listed[0]["layers"], 1);
    let pruned = image(&["prune"]).await;
    assert!(
        pruned.stderr.contains("0 images and 0 layers"),
        "{pruned:?}"
    );
    let pruned = image(&["prune", "--all", "--json"]).await;
    assert!(
        pruned.stdout.contains("localhost/story/busybox:1"),
        "{pruned:?}"
    );

    // It is nowhere now: its registry, this machine, has none.
    let ran = cli_in(folder.path(), &run).await;
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let told = format!("{}{}", ran.stdout, ran.stderr);
    assert!(
        told.contains("could not pull image `localhost/story/busybox:1`"),
        "{told}"
    );
}

#[tokio::test]
async fn what_is_wrong_with_an_image_is_said() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let images = folder.path().join("images").display().to_string();
    let pulled = cli_in(
        folder.path(),
        &["image", "pull", "Not A Name", "--images", &images],
    )
    .await;
    assert_eq!(pulled.code, Some(2), "{pulled:?}");
    assert!(
        pulled.stderr.contains("is not the name of an image"),
        "{pulled:?}"
    );
    if !can_run().await {
        return;
    }
    let away = ["image", "pull", "127.0.0.1:1/a:1", "--images", &images];
    let pulled = cli_in(folder.path(), &away).await;
    assert_eq!(pulled.code, Some(3), "{pulled:?}");
    assert!(
        pulled
            .stderr
            .contains("could not pull image `127.0.0.1:1/a:1`"),
        "{pulled:?}"
    );
    let imported = cli_in(
        folder.path(),
        &["image", "import", ".", "--images", &images],
    )
    .await;
    assert_eq!(imported.code, Some(2), "{imported:?}");
    assert!(
        imported.stderr.contains("neither an OCI layout"),
        "{imported:?}"
    );
}
