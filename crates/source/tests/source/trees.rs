//! Commits: their config as it is read, and their work trees as jobs get them.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::time::Duration;

use model::{GitRef, Origin};
use source::{Source, SourceError, SourceSettings};

use crate::world::{World, branch, files, git, in_environment, trigger};

#[tokio::test]
async fn a_config_is_listed_and_read() {
    let world = World::new();
    fs::create_dir(world.remote().join(".popsicle")).unwrap();
    symlink(
        "../shared/ci.yml",
        world.remote().join(".popsicle/link.yml"),
    )
    .unwrap();
    world.commit("shared/ci.yml", "shared: 1");
    world.commit(".popsicle/sub/deeper.yml", "no");
    world.commit(".popsicle/with space.yml", "space: 1");
    world.commit(".popsicle/big.yml", &"x".repeat(100_000));
    let commit = world.commit(".popsicle/ci.yml", "version: 2.1");
    let tree = world.fetch(&commit).await.unwrap();

    let names = ["big.yml", "ci.yml", "link.yml", "with space.yml"];
    assert_eq!(tree.files_in(".popsicle").await.unwrap(), names);
    assert_eq!(tree.files_in(".circleci").await.unwrap(), [""; 0]);
    assert_eq!(tree.files_in("README").await.unwrap(), [""; 0]);
    assert_eq!(tree.files_in("..").await.unwrap(), [""; 0]);

    let paths = [
        "flake.nix",
        ".popsicle/big.yml",
        ".popsicle/ci.yml",
        ".popsicle/sub",
        ".popsicle/link.yml",
        "a\nb",
        "/etc/passwd",
        "../x",
        ".popsicle/with space.yml",
    ]
    .map(str::to_owned);
    let files = tree.read(&paths, 1000).await.unwrap();
    let read: Vec<(&str, &[u8])> = files
        .iter()
        .map(|(path, content)| (path.as_str(), content.as_slice()))
        .collect();
    assert_eq!(
        read,
        [
            (".popsicle/big.yml", [b'x'; 1001].as_slice()),
            (".popsicle/ci.yml", b"version: 2.1"),
            (".popsicle/link.yml", b"shared: 1"),
            (".popsicle/with space.yml", b"space: 1"),
        ]
    );
}

#[tokio::test]
async fn a_config_can_not_lead_out_of_the_repository() {
    let world = World::new();
    for (name, target) in [
        ("absolute.yml", "/etc/passwd"),
        ("above.yml", "../../outside.yml"),
        ("loop.yml", "loop.yml"),
    ] {
        symlink(target, world.remote().join(name)).unwrap();
    }
    symlink("nowhere", world.remote().join("dangling.yml")).unwrap();
    let commit = world.commit("a", "1");
    let tree = world.fetch(&commit).await.unwrap();
    for name in ["absolute.yml", "above.yml", "loop.yml"] {
        let error = tree.read(&[name.to_owned()], 1000).await.unwrap_err();
        assert!(
            matches!(&error, SourceError::Outside { path } if path == name),
            "{error:?}"
        );
        assert!(error.is_users());
    }
    let read = ["dangling.yml", "a"].map(str::to_owned);
    let read = tree.read(&read, 1000).await.unwrap();
    assert_eq!(read, [("a".to_owned(), b"1".to_vec())]);
}

#[tokio::test]
async fn a_work_tree_is_a_clone_of_its_own() {
    let world = World::new();
    world.git(&["tag", "-a", "-m", "One", "v1"]);
    let script = world.remote().join("run.sh");
    fs::write(&script, "#!/bin/sh\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let commit = world.commit("sub/a", "1\r\n");
    world.git(&["branch", "other"]);
    world.commit("later", "1");
    let tree = world.fetch(&commit).await.unwrap();
    let to = world.lay_out(&tree, "work").await;
    drop(tree);
    fs::remove_dir_all(world.mirrors()).unwrap();
    fs::remove_dir_all(world.remote()).unwrap();

    assert_eq!(
        git(&to, &["status", "--porcelain=2", "--branch"]),
        format!(
            "# branch.oid {commit}\n# branch.head main\n# branch.upstream origin/main\n# branch.ab +0 -1"
        )
    );
    assert_eq!(git(&to, &["remote", "get-url", "origin"]), world.url());
    assert_eq!(
        git(&to, &["log", "--format=%s"]),
        "Write sub/a\nWrite README"
    );
    assert_eq!(git(&to, &["describe", "HEAD~1"]), "v1");
    assert_eq!(git(&to, &["rev-parse", "origin/other"]), commit.as_str());
    git(&to, &["fsck", "--strict"]);
    assert_eq!(fs::read_to_string(to.join("sub/a")).unwrap(), "1\r\n");
    assert!(!to.join("later").exists());

    // It can be worked in.
    fs::write(to.join("new"), "1").unwrap();
    git(&to, &["add", "new"]);
    git(&to, &["commit", "-q", "-m", "New"]);
    git(&to, &["checkout", "-q", "--detach", "origin/main"]);
    git(&to, &["gc", "-q"]);
    assert!(to.join("later").exists());
}

#[tokio::test]
async fn whoever_a_job_runs_as_can_write_to_it() {
    let world = World::new();
    let script = world.remote().join("run.sh");
    fs::write(&script, "#!/bin/sh\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let commit = world.commit("sub/a", "1");
    let tree = world.fetch(&commit).await.unwrap();
    let to = world.lay_out(&tree, "work").await;
    let mode = |path: &str| fs::metadata(to.join(path)).unwrap().mode() & 0o777;
    for folder in [
        "",
        "sub",
        ".git",
        ".git/objects",
        ".git/objects/pack",
        ".git/refs/heads",
    ] {
        assert_eq!(mode(folder), 0o777, "{folder}");
    }
    for file in [
        "README",
        "sub/a",
        ".git/HEAD",
        ".git/index",
        ".git/config",
        ".git/packed-refs",
    ] {
        assert_eq!(mode(file), 0o666, "{file}");
    }
    assert_eq!(mode("run.sh"), 0o777);
}

#[tokio::test]
async fn nothing_that_a_job_does_reaches_the_mirror() {
    let world = World::new();
    let commit = world.tip();
    let tree = world.fetch(&commit).await.unwrap();
    let to = world.lay_out(&tree, "work").await;
    for file in files(&to) {
        assert_eq!(
            fs::metadata(&file).unwrap().nlink(),
            1,
            "{}",
            file.display()
        );
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&file, "poison").unwrap();
    }
    git(&world.mirror(), &["fsck", "--strict"]);
    let again = world.lay_out(&tree, "again").await;
    assert_eq!(fs::read_to_string(again.join("README")).unwrap(), "hello");
}

#[tokio::test]
async fn a_tag_is_on_no_branch() {
    let world = World::new();
    world.git(&["tag", "-a", "-m", "One", "v1"]);
    let commit = world.tip();
    let push = world.push(GitRef::Tag("v1".into()), &commit);
    let tree = world.source.fetch(&push).await.unwrap();
    let to = world.lay_out(&tree, "work").await;
    assert_eq!(git(&to, &["rev-parse", "--abbrev-ref", "HEAD"]), "HEAD");
    assert_eq!(git(&to, &["describe", "--exact-match"]), "v1");
    assert_eq!(git(&to, &["status", "--porcelain"]), "");
}

#[test]
fn a_pushed_tree_runs_no_program() {
    let temp = tempfile::tempdir().unwrap();
    let (config, pwned) = (temp.path().join("config"), temp.path().join("pwned"));
    let touch = format!("touch {}; cat", pwned.display());
    let hooks = temp.path().join("hooks");
    fs::create_dir(&hooks).unwrap();
    for hook in [
        "post-checkout",
        "post-index-change",
        "reference-transaction",
    ] {
        let hook = hooks.join(hook);
        fs::write(&hook, format!("#!/bin/sh\ntouch {}\n", pwned.display())).unwrap();
        fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    }
    fs::write(
        &config,
        format!(
            "[filter \"evil\"]\n\tsmudge = \"{touch}\"\n\trequired = true\n\
             [core]\n\tautocrlf = true\n\thooksPath = {}\n",
            hooks.display()
        ),
    )
    .unwrap();
    let environment = [("GIT_CONFIG_GLOBAL", config.to_str().unwrap())];
    in_environment("trees::with_a_filter_of_the_operators", &environment);
    assert!(!pwned.exists());
}

#[tokio::test]
#[ignore = "needs the configuration that `a_pushed_tree_runs_no_program` writes"]
async fn with_a_filter_of_the_operators() {
    let world = World::new();
    fs::write(world.remote().join(".gitattributes"), "a filter=evil\n").unwrap();
    let commit = world.commit("a", "1\n");
    let tree = world.fetch(&commit).await.unwrap();
    let to = world.lay_out(&tree, "work").await;
    assert_eq!(fs::read_to_string(to.join("a")).unwrap(), "1\n");
}

#[tokio::test]
async fn a_pushed_tree_stays_in_its_folder() {
    let world = World::new();
    let outside = world.folder("outside");
    let first = world.tip();
    world.fetch(&first).await.unwrap();
    // Trees that no honest git makes: a file behind a link, and one in `.git`.
    let blob = world.git(&["rev-parse", "HEAD:README"]);
    let folder = world.make_tree(&format!("100644 blob {blob}\tfile\n"));
    symlink(&outside, world.remote().join("link")).unwrap();
    world.commit("a", "1");
    let link = world.git(&["rev-parse", "HEAD:link"]);
    for (name, tree) in [
        (
            "link",
            format!("120000 blob {link}\tx\n040000 tree {folder}\tx\n"),
        ),
        ("git", format!("040000 tree {folder}\t.git\n")),
        ("above", format!("040000 tree {folder}\t..\n")),
    ] {
        let tree = world.make_tree(&tree);
        let commit = world.git(&["commit-tree", "-m", "Evil", &tree]);
        let full = branch(name).full();
        world.git(&["update-ref", &full, &commit]);
        let push = world.push(branch(name), &commit.parse().unwrap());
        let tree = world.source.fetch(&push).await.unwrap();
        let to = world.folder(&format!("work-{name}"));
        let laid_out = tree.lay_out(&to).await;
        let is_refused = laid_out.as_ref().is_err_and(SourceError::is_users);
        assert!(is_refused || name == "link", "{name}: {laid_out:?}");
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 0, "{name}");
        assert!(!to.join(".git/file").exists());
        assert!(!world.temp.path().join("file").exists());
    }
}

#[tokio::test]
async fn submodules_stay_empty() {
    let world = World::new();
    let other = world.folder("other");
    git(&other, &["init", "-q", "-b", "main", "--template="]);
    git(&other, &["commit", "-q", "--allow-empty", "-m", "One"]);
    let path = other.display().to_string();
    world.git(&[
        "-c",
        "protocol.file.allow=always",
        "submodule",
        "--quiet",
        "add",
        &path,
        "sub",
    ]);
    let commit = world.commit("a", "1");
    let tree = world.fetch(&commit).await.unwrap();
    let to = world.lay_out(&tree, "work").await;
    assert_eq!(fs::read_dir(to.join("sub")).unwrap().count(), 0);
    assert_eq!(git(&to, &["status", "--porcelain"]), "");
}

#[tokio::test]
async fn a_folder_that_takes_too_long_is_no_fault_of_the_remote() {
    let world = World::new();
    let source = Source::new(SourceSettings {
        // No git has answered by then.
        fetch_timeout: Duration::ZERO,
        ..SourceSettings::new(world.mirrors())
    });
    let origin = Origin::Folder {
        path: world.remote(),
    };
    let error = source
        .fetch(&trigger(origin, None, None))
        .await
        .unwrap_err();
    assert!(matches!(error, SourceError::TimedOut { .. }), "{error:?}");
    assert!(!error.is_users());
}

#[tokio::test]
async fn a_folder_that_is_in_use_is_left_alone() {
    let world = World::new();
    let tree = world.fetch(&world.tip()).await.unwrap();
    let to = world.folder("work");
    fs::write(to.join("mine"), "1").unwrap();
    let error = tree.lay_out(&to).await.unwrap_err();
    assert!(matches!(error, SourceError::Io { .. }), "{error:?}");
    assert_eq!(fs::read_dir(&to).unwrap().count(), 1);
    assert!(
        tree.lay_out(&world.temp.path().join("nowhere"))
            .await
            .is_err()
    );
}

#[tokio::test]
async fn work_trees_can_be_laid_out_while_commits_come_in() {
    let world = World::new();
    let first = world.tip();
    let tree = world.fetch(&first).await.unwrap();
    let laying = async {
        for round in 0..30 {
            let to = world.lay_out(&tree, &format!("work-{round}")).await;
            git(&to, &["fsck", "--connectivity-only"]);
            fs::remove_dir_all(to).unwrap();
        }
    };
    let fetching = async {
        for round in 0..40 {
            let commit = world.commit("counter", &round.to_string());
            world
                .source
                .fetch(&world.push(branch("main"), &commit))
                .await
                .unwrap();
        }
    };
    tokio::join!(laying, fetching);
}
