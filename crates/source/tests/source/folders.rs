//! Folders of this machine: what `popsicle run` sees.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use model::Origin;
use source::{SourceError, Tree};

use crate::world::{World, files, git, trigger};

async fn open(world: &World, path: &Path) -> Result<Tree, SourceError> {
    let origin = Origin::Folder {
        path: path.to_owned(),
    };
    world.source.fetch(&trigger(origin, None, None)).await
}

/// The names of the files below a folder, without those of its `.git`.
fn names(folder: &Path) -> Vec<String> {
    files(folder)
        .iter()
        .map(|path| path.strip_prefix(folder).unwrap().display().to_string())
        .filter(|name| !name.starts_with(".git/"))
        .collect()
}

#[tokio::test]
async fn a_checkout_is_taken_as_it_is() {
    let world = World::new();
    fs::write(world.remote().join(".gitignore"), "target\n*.log\n").unwrap();
    world.commit("deleted", "1");
    world.commit("kept", "1");
    let commit = world.commit("sub/changed", "old");
    world.git(&["branch", "other"]);
    world.git(&["config", "credential.helper", "store"]);
    world.git(&["remote", "add", "origin", "https://me:s3cret@host/x.git"]);
    let folder = world.remote();
    fs::remove_file(folder.join("deleted")).unwrap();
    fs::write(folder.join("sub/changed"), "new").unwrap();
    fs::write(folder.join("sub/untracked"), "1").unwrap();
    fs::write(folder.join("noise.log"), "1").unwrap();
    fs::create_dir(folder.join("target")).unwrap();
    fs::write(folder.join("target/big"), "1").unwrap();
    fs::write(folder.join("run.sh"), "#!/bin/sh").unwrap();
    fs::set_permissions(folder.join("run.sh"), fs::Permissions::from_mode(0o700)).unwrap();
    symlink("kept", folder.join("link")).unwrap();
    let made = Command::new("mkfifo")
        .arg(folder.join("fifo"))
        .status()
        .unwrap();
    assert!(made.success());
    world.git(&["add", "run.sh"]);
    let status = world.git(&["status", "--porcelain"]);
    let before = (files(&folder), fs::read(folder.join(".git/index")).unwrap());

    let tree = open(&world, &folder).await.unwrap();
    assert_eq!(tree.commit(), Some(&commit));
    assert_eq!(tree.head(), format!("{} Write sub/changed", commit.short()));
    let to = world.lay_out(&tree, "work").await;
    assert_eq!(
        names(&to),
        [
            ".gitignore",
            "README",
            "kept",
            "link",
            "run.sh",
            "sub/changed",
            "sub/untracked"
        ]
    );
    assert_eq!(fs::read_to_string(to.join("sub/changed")).unwrap(), "new");
    assert_eq!(fs::read_link(to.join("link")).unwrap(), Path::new("kept"));
    let mode = fs::metadata(to.join("run.sh"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o777);
    let time = |path: &Path| fs::metadata(path.join("kept")).unwrap().modified().unwrap();
    assert_eq!(time(&folder), time(&to));

    // The fifo is all that git would see of the folder and not of the copy.
    assert_eq!(git(&to, &["status", "--porcelain"]), status);
    assert_eq!(git(&to, &["log", "--format=%s", "-1"]), "Write sub/changed");
    assert_eq!(git(&to, &["symbolic-ref", "HEAD"]), "refs/heads/main");
    assert_eq!(git(&to, &["rev-parse", "other"]), commit.as_str());
    assert_eq!(
        git(&to, &["remote", "get-url", "origin"]),
        "https://host/x.git"
    );
    let config = fs::read_to_string(to.join(".git/config")).unwrap();
    assert!(
        !config.contains("s3cret") && !config.contains("store"),
        "{config}"
    );
    git(&to, &["fsck", "--strict"]);
    let after = (files(&folder), fs::read(folder.join(".git/index")).unwrap());
    assert_eq!(before, after, "the folder was only read");
}

#[tokio::test]
async fn a_config_that_is_not_committed_counts() {
    let world = World::new();
    let folder = world.remote();
    fs::create_dir(folder.join(".popsicle")).unwrap();
    fs::write(folder.join(".popsicle/ci.yml"), "version: 2.1").unwrap();
    symlink("/etc/passwd", folder.join(".popsicle/out.yml")).unwrap();
    let tree = open(&world, &folder).await.unwrap();
    assert_eq!(
        tree.files_in(".popsicle").await.unwrap(),
        ["ci.yml", "out.yml"]
    );
    assert_eq!(tree.files_in(".circleci").await.unwrap(), [""; 0]);
    assert_eq!(tree.files_in("README").await.unwrap(), [""; 0]);
    let paths = ["nothing.yml", ".popsicle", ".popsicle/ci.yml"].map(str::to_owned);
    let read = tree.read(&paths, 5).await.unwrap();
    assert_eq!(read, [(".popsicle/ci.yml".to_owned(), b"versio".to_vec())]);
    let error = tree
        .read(&[".popsicle/out.yml".to_owned()], 5)
        .await
        .unwrap_err();
    assert!(matches!(error, SourceError::Outside { .. }), "{error:?}");
}

#[tokio::test]
async fn a_folder_without_git_is_taken_whole() {
    let world = World::new();
    let folder = world.folder("plain");
    fs::create_dir_all(folder.join("sub/empty")).unwrap();
    fs::write(folder.join("sub/a"), "1").unwrap();
    fs::write(folder.join(".hidden"), "1").unwrap();
    symlink("nowhere", folder.join("dangling")).unwrap();
    // A job's folder may lie in the folder that is copied.
    let to = folder.join("data");
    fs::create_dir(&to).unwrap();
    let tree = open(&world, &folder).await.unwrap();
    assert_eq!(tree.commit(), None);
    let checked_out = tree.lay_out(&to).await.unwrap();
    assert!(checked_out.head.ends_with("/plain"), "{}", checked_out.head);
    assert_eq!(names(&to), [".hidden", "dangling", "sub/a"]);
    assert!(to.join("sub/empty").is_dir());
}

#[tokio::test]
async fn a_part_of_a_checkout_is_taken_without_what_is_ignored() {
    let world = World::new();
    fs::write(world.remote().join(".gitignore"), "target\nscratch\n").unwrap();
    let commit = world.commit("examples/shell/a", "1");
    let part = world.remote().join("examples/shell");
    fs::create_dir(part.join("target")).unwrap();
    fs::write(part.join("target/big"), "1").unwrap();
    let tree = open(&world, &part).await.unwrap();
    assert_eq!(tree.commit(), Some(&commit));
    let to = world.lay_out(&tree, "work").await;
    assert_eq!(names(&to), ["a"]);
    assert!(!to.join(".git").exists());

    let scratch = world.remote().join("scratch");
    fs::create_dir(&scratch).unwrap();
    fs::write(scratch.join("b"), "1").unwrap();
    let tree = open(&world, &scratch).await.unwrap();
    let to = world.lay_out(&tree, "work-2").await;
    assert_eq!(names(&to), ["b"]);
}

#[tokio::test]
async fn a_linked_work_tree_gets_a_git_dir_of_its_own() {
    let world = World::new();
    let linked = world.temp.path().join("linked");
    world.git(&[
        "worktree",
        "add",
        "-q",
        "-b",
        "topic",
        linked.to_str().unwrap(),
    ]);
    fs::write(linked.join("a"), "1").unwrap();
    git(&linked, &["add", "a"]);
    git(&linked, &["commit", "-q", "-m", "Topic"]);
    let tree = open(&world, &linked).await.unwrap();
    let to = world.lay_out(&tree, "work").await;
    fs::remove_dir_all(world.remote()).unwrap();
    assert_eq!(git(&to, &["symbolic-ref", "HEAD"]), "refs/heads/topic");
    assert_eq!(git(&to, &["log", "--format=%s"]), "Topic\nWrite README");
    assert_eq!(git(&to, &["status", "--porcelain"]), "");
}

#[tokio::test]
async fn borrowed_objects_are_taken_along() {
    let world = World::new();
    let clone = world.temp.path().join("clone");
    let (from, to) = (world.remote(), clone.display().to_string());
    world.git(&["clone", "-q", "--shared", from.to_str().unwrap(), &to]);
    let tree = open(&world, &clone).await.unwrap();
    let to = world.lay_out(&tree, "work").await;
    fs::remove_dir_all(from).unwrap();
    git(&to, &["fsck", "--strict"]);
    assert_eq!(git(&to, &["status", "--porcelain"]), "");
}

#[tokio::test]
async fn repositories_in_a_checkout_are_taken_along() {
    let world = World::new();
    let nested = world.remote().join("nested");
    fs::create_dir(&nested).unwrap();
    git(&nested, &["init", "-q", "--template="]);
    fs::write(nested.join(".gitignore"), "out\n").unwrap();
    fs::write(nested.join("a"), "1").unwrap();
    fs::write(nested.join("out"), "1").unwrap();
    let tree = open(&world, &world.remote()).await.unwrap();
    let to = world.lay_out(&tree, "work").await;
    assert_eq!(names(&to), ["README", "nested/.gitignore", "nested/a"]);
}

#[tokio::test]
async fn nothing_is_written_through_a_link() {
    let world = World::new();
    let outside = world.folder("outside");
    fs::write(outside.join("a"), "theirs").unwrap();
    world.commit("sub/a", "1");
    fs::remove_dir_all(world.remote().join("sub")).unwrap();
    symlink(&outside, world.remote().join("sub")).unwrap();
    let tree = open(&world, &world.remote()).await.unwrap();
    let to = world.lay_out(&tree, "work").await;
    assert_eq!(fs::read_link(to.join("sub")).unwrap(), outside);
    assert_eq!(fs::read_to_string(outside.join("a")).unwrap(), "theirs");
}

#[tokio::test]
async fn a_checkout_without_commits_has_none() {
    let world = World::new();
    let fresh = world.folder("fresh");
    git(&fresh, &["init", "-q", "-b", "main", "--template="]);
    fs::write(fresh.join("a"), "1").unwrap();
    let tree = open(&world, &fresh).await.unwrap();
    assert_eq!(tree.commit(), None);
    let to = world.lay_out(&tree, "work").await;
    assert_eq!(git(&to, &["status", "--porcelain"]), "?? a");
}

#[tokio::test]
async fn a_folder_that_is_none_is_told() {
    let world = World::new();
    for path in [
        world.temp.path().join("nowhere"),
        world.remote().join("README"),
    ] {
        let error = open(&world, &path).await.unwrap_err();
        assert!(matches!(error, SourceError::Folder { .. }), "{error:?}");
        assert!(error.is_users());
    }
}
