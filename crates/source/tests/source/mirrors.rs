//! Mirrors: what breaks them, and what does not.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Command;
use std::time::Duration;

use model::{CommitSha, Origin};
use source::{Credential, Source, SourceError, SourceSettings, Token};

use crate::http::{GitServer, Mood, TOKEN};
use crate::world::{PATIENCE, World, branch, files, git, trigger, until};

/// Removes the object from a repository.
fn lose(git_dir: &std::path::Path, object: &str) {
    let file = git_dir
        .join("objects")
        .join(&object[..2])
        .join(&object[2..]);
    fs::remove_file(file).unwrap();
}

/// Gives each object of the mirror a file of its own, so that one can be lost.
fn unpack(world: &World) {
    let mirror = world.mirror();
    let packs = world.temp.path().join("packs");
    fs::create_dir(&packs).unwrap();
    for file in files(&mirror.join("objects/pack")) {
        fs::rename(&file, packs.join(file.file_name().unwrap())).unwrap();
    }
    for file in files(&packs) {
        if file.extension().is_some_and(|e| e == "pack") {
            let unpacked = Command::new("git")
                .arg("--git-dir")
                .arg(&mirror)
                .args(["unpack-objects", "-q"])
                .stdin(fs::File::open(&file).unwrap())
                .status()
                .unwrap();
            assert!(unpacked.success());
        }
    }
    fs::remove_dir_all(packs).unwrap();
}

#[tokio::test]
async fn trouble_of_the_remote_costs_no_mirror() {
    let world = World::new();
    let first = world.commit("a", "1");
    world.fetch(&first).await.unwrap();
    // From now on the first commit is in the mirror alone.
    world.git(&["reset", "-q", "--hard", "HEAD^"]);
    world.commit("a", "2");
    world.git(&["reflog", "expire", "--expire=now", "--all"]);
    world.git(&["gc", "-q", "--prune=now"]);
    let third = world.commit("b", "3");
    let lost = world.git(&["rev-parse", &format!("{third}:b")]);
    lose(&world.remote().join(".git"), &lost);

    let error = world.fetch(&third).await.unwrap_err();
    assert!(error.to_string().contains("remote"), "{error}");
    let tree = world.fetch(&first).await.unwrap();
    let to = world.lay_out(&tree, "work").await;
    assert_eq!(fs::read_to_string(to.join("a")).unwrap(), "1");
}

#[tokio::test]
async fn a_files_name_is_no_sign_of_a_broken_mirror() {
    let world = World::new();
    let blob = world.git(&["rev-parse", "HEAD:README"]);
    let name = format!("corrupt-{}", "x".repeat(300));
    let tree = world.make_tree(&format!("100644 blob {blob}\t{name}\n"));
    let commit: CommitSha = world
        .git(&["commit-tree", &tree, "-m", "Long"])
        .parse()
        .unwrap();
    world.git(&["update-ref", "refs/heads/main", commit.as_str()]);
    let tree = world.fetch(&commit).await.unwrap();
    let made = || fs::metadata(world.mirror()).unwrap().ino();
    let before = made();
    let error = tree.lay_out(&world.folder("work")).await.unwrap_err();
    assert!(error.to_string().contains("File name too long"), "{error}");
    assert!(error.is_users());
    assert_eq!(made(), before, "the mirror is the same");
}

#[tokio::test]
async fn several_jobs_mend_a_broken_mirror_once() {
    let world = World::new();
    let commit = world.commit("a", "1");
    let tree = world.fetch(&commit).await.unwrap();
    for file in files(&world.mirror().join("objects/pack")) {
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(file, "garbage").unwrap();
    }
    let folders: Vec<_> = (0..4).map(|n| world.folder(&format!("work-{n}"))).collect();
    let (a, b, c, d) = tokio::join!(
        tree.lay_out(&folders[0]),
        tree.lay_out(&folders[1]),
        tree.lay_out(&folders[2]),
        tree.lay_out(&folders[3]),
    );
    for laid_out in [a, b, c, d] {
        laid_out.unwrap();
    }
    for folder in folders {
        assert_eq!(fs::read_to_string(folder.join("a")).unwrap(), "1");
    }
    world.mirror();
}

#[tokio::test]
async fn a_mirror_that_can_not_be_made_anew_stays() {
    let world = World::new();
    let first = world.commit("a", "1");
    let tree = world.fetch(&first).await.unwrap();
    let second = world.commit("a", "2");
    world.fetch(&second).await.unwrap();
    let mirror = world.mirror();
    // Of the second commit a file is lost here, and the remote is away.
    unpack(&world);
    lose(
        &mirror,
        &git(&mirror, &["rev-parse", &format!("{second}:a")]),
    );
    let broken = world.fetch(&second).await.unwrap();
    fs::rename(world.remote(), world.temp.path().join("away")).unwrap();

    assert!(broken.lay_out(&world.folder("second")).await.is_err());
    let to = world.lay_out(&tree, "first").await;
    assert_eq!(fs::read_to_string(to.join("a")).unwrap(), "1");
}

#[tokio::test]
async fn a_mirror_stays_where_its_renewal_is_given_up() {
    let world = World::new();
    let server = GitServer::start(world.temp.path().to_owned(), Mood::Guarded).await;
    let source = Source::new(SourceSettings {
        credentials: vec![Credential {
            host_url: server.host(),
            token: Token::new(TOKEN),
        }],
        ..SourceSettings::new(world.mirrors())
    });
    let fetch = async |commit: &CommitSha| {
        let origin = Origin::Git { url: server.url() };
        let push = trigger(origin, Some(branch("main")), Some(commit.clone()));
        source.fetch(&push).await.unwrap()
    };
    let first = world.commit("a", "1");
    let kept = fetch(&first).await;
    let second = world.commit("a", "2");
    let broken = fetch(&second).await;
    unpack(&world);
    let mirror = world.mirror();
    let lost = git(&mirror, &["rev-parse", &format!("{second}:a")]);
    lose(&mirror, &lost);

    server.state.lock().unwrap().mood = Mood::Silent;
    let (before, to) = (server.requests(), world.folder("second"));
    let mut renewal = Box::pin(broken.lay_out(&to));
    let asked = until("the mirror is fetched anew", || server.requests() > before);
    tokio::select! {
        laid_out = &mut renewal => panic!("{laid_out:?}"),
        () = asked => {}
    }
    drop(renewal);
    // What the remote may not have any more is here all the same.
    let to = world.lay_out(&kept, "first").await;
    assert_eq!(fs::read_to_string(to.join("a")).unwrap(), "1");

    server.state.lock().unwrap().mood = Mood::Guarded;
    let to = world.lay_out(&broken, "again").await;
    assert_eq!(fs::read_to_string(to.join("a")).unwrap(), "2");
    world.mirror();
}

#[tokio::test]
async fn a_server_that_was_killed_as_it_swapped_mirrors_lost_none() {
    let world = World::new();
    let first = world.tip();
    world.fetch(&first).await.unwrap();
    let mirror = world.mirror();
    let beside = |what| mirror.with_extension(format!("git.{what}"));
    fs::rename(&mirror, beside("old")).unwrap();
    fs::create_dir(beside("new")).unwrap();
    // The remote has it no more.
    world.git(&["checkout", "-q", "--orphan", "other"]);
    world.git(&["commit", "-q", "-m", "Other"]);
    world.git(&["branch", "-q", "-M", "main"]);
    world.git(&["reflog", "expire", "--expire=now", "--all"]);
    world.git(&["gc", "-q", "--prune=now"]);
    world.fetch(&world.tip()).await.unwrap();
    world.fetch(&first).await.unwrap();
    assert_eq!(world.mirror(), mirror);
}

#[tokio::test]
async fn a_git_that_outlived_its_server_blocks_nobody() {
    let world = World::new();
    world.fetch(&world.tip()).await.unwrap();
    let lock = fs::File::open(world.mirror().with_extension("git.lock")).unwrap();
    lock.lock().unwrap();
    // It holds the lock as git does, in a group of its own, and its parent is gone.
    let orphaned = Command::new("setsid")
        .args(["--fork", "sh", "-c", "echo $$; exec sleep 600 >&- 2>&-"])
        .stdin(lock)
        .output()
        .unwrap();
    let id = String::from_utf8(orphaned.stdout).unwrap();
    let stat = format!("/proc/{}/stat", id.trim());
    let runs = || fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z "));
    assert!(runs());
    let commit = world.commit("a", "1");
    tokio::time::timeout(PATIENCE, world.fetch(&commit))
        .await
        .unwrap()
        .unwrap();
    until("it is gone", || !runs()).await;
}

#[tokio::test]
async fn a_git_that_is_waited_for_is_let_be() {
    let world = World::new();
    world.fetch(&world.tip()).await.unwrap();
    let lock = fs::File::open(world.mirror().with_extension("git.lock")).unwrap();
    lock.lock().unwrap();
    // This process stands for another server on the same data.
    let mut waited_for = Command::new("setsid")
        .args(["sleep", "600"])
        .stdin(lock.try_clone().unwrap())
        .spawn()
        .unwrap();
    let source = Source::new(SourceSettings {
        fetch_timeout: Duration::from_millis(300),
        ..SourceSettings::new(world.mirrors())
    });
    let commit = world.commit("a", "1");
    let error = source.fetch(&world.push(branch("main"), &commit)).await;
    let error = error.unwrap_err();
    assert!(matches!(error, SourceError::TimedOut { .. }), "{error:?}");
    assert_eq!(waited_for.try_wait().unwrap(), None);
    waited_for.kill().unwrap();
    waited_for.wait().unwrap();
}

#[tokio::test]
async fn a_config_that_the_mirror_lost_is_fetched_again() {
    let world = World::new();
    let commit = world.commit(".popsicle/ci.yml", "version: 2.1");
    let path = [".popsicle/ci.yml".to_owned()];
    for lost in [":.popsicle/ci.yml", ":.popsicle", "^{tree}"] {
        world.fetch(&commit).await.unwrap();
        unpack(&world);
        let mirror = world.mirror();
        let object = git(&mirror, &["rev-parse", &format!("{commit}{lost}")]);
        lose(&mirror, &object);
        let tree = world.fetch(&commit).await.unwrap();
        if lost != ":.popsicle/ci.yml" {
            let names = tree.files_in(".popsicle").await.unwrap();
            assert_eq!(names, ["ci.yml"], "{lost}");
        }
        let files = tree.read(&path, 1000).await.unwrap();
        let expected = (path[0].clone(), b"version: 2.1".to_vec());
        assert_eq!(files, [expected], "{lost}");
    }
    // What was never there is looked for once, and costs no mirror.
    let tree = world.fetch(&commit).await.unwrap();
    let before = fs::metadata(world.mirror()).unwrap().ino();
    for folder in [".circleci", ".popsicle/sub", "README/sub"] {
        assert!(tree.files_in(folder).await.unwrap().is_empty(), "{folder}");
    }
    assert_eq!(fs::metadata(world.mirror()).unwrap().ino(), before);
}

#[tokio::test]
async fn a_name_that_is_no_text_stops_nobody() {
    let world = World::new();
    let tagged = Command::new("git")
        .arg("update-ref")
        .arg(OsStr::from_bytes(b"refs/tags/v1-\xe4"))
        .arg("HEAD")
        .current_dir(world.remote())
        .status()
        .unwrap();
    assert!(tagged.success());
    world.git(&["tag", "v2"]);
    let tree = world.fetch(&world.tip()).await.unwrap();
    let to = world.lay_out(&tree, "work").await;
    assert_eq!(git(&to, &["tag"]), "v2");
}

#[tokio::test]
async fn a_longer_hash_is_found_out_where_no_commit_tells_it() {
    let world = World::new();
    let remote = world.folder("sha256");
    let init = ["init", "-q", "-b", "main", "--object-format=sha256"];
    git(&remote, &init);
    fs::write(remote.join("a"), "1").unwrap();
    git(&remote, &["add", "a"]);
    git(&remote, &["commit", "-q", "-m", "One"]);
    let origin = Origin::Git {
        url: remote.display().to_string(),
    };
    let asked = trigger(origin, Some(branch("main")), None);
    let tree = world.source.fetch(&asked).await.unwrap();
    let tip = git(&remote, &["rev-parse", "HEAD"]);
    assert_eq!(tree.commit().unwrap().as_str(), tip);
}

#[tokio::test]
async fn a_tree_that_names_itself_without_end_is_refused() {
    let world = World::new();
    let blob = world.git(&["rev-parse", "HEAD:README"]);
    let mut tree = world.make_tree(&format!("100644 blob {blob}\tf\n"));
    // 16^8 files: more than any memory holds.
    for _ in 0..8 {
        let lines: String = (0..16)
            .map(|n| format!("040000 tree {tree}\t{n:02}\n"))
            .collect();
        tree = world.make_tree(&lines);
    }
    let commit: CommitSha = world
        .git(&["commit-tree", &tree, "-m", "Bomb"])
        .parse()
        .unwrap();
    world.git(&["update-ref", "refs/heads/main", commit.as_str()]);
    let tree = world.fetch(&commit).await.unwrap();
    let error = tree.lay_out(&world.folder("work")).await.unwrap_err();
    assert!(matches!(error, SourceError::BadTree { .. }), "{error:?}");
    assert!(error.is_users());
}
