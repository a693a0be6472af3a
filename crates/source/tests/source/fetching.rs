//! Mirrors: what is fetched, what is not, and what is said when it can't be.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use model::{GitRef, Origin};
use source::{Source, SourceError, SourceSettings};
use tokio::task::JoinSet;

use crate::http::{GitServer, Mood};
use crate::world::{
    PATIENCE, World, branch, command_lines, files, git, pull_request, trigger, until,
};

#[tokio::test]
async fn a_commit_that_is_there_needs_no_remote() {
    let world = World::new();
    let commit = world.tip();
    let tree = world.fetch(&commit).await.unwrap();
    assert_eq!(tree.commit(), Some(&commit));
    assert_eq!(tree.head(), format!("{} Write README", commit.short()));

    fs::remove_dir_all(world.remote()).unwrap();
    let again = world.fetch(&commit).await.unwrap();
    assert_eq!(again.commit(), Some(&commit));
}

#[tokio::test]
async fn later_commits_come_as_packs_of_their_own() {
    let world = World::new();
    world.fetch(&world.tip()).await.unwrap();
    world.git(&["branch", "other"]);
    let commit = world.commit("a", "1");
    let tree = world.fetch(&commit).await.unwrap();
    assert_eq!(tree.files_in("").await.unwrap(), ["README", "a"]);

    let mirror = world.mirror();
    let packs = fs::read_dir(mirror.join("objects/pack")).unwrap().count();
    assert_eq!(packs, 4, "a pack and its index for each fetch");
    let branches = git(&mirror, &["branch", "--format=%(refname:short)"]);
    assert_eq!(branches, "main", "only the branch that was pushed");
}

#[tokio::test]
async fn many_packs_are_folded_and_nothing_is_lost() {
    let world = World::new();
    let first = world.tip();
    for round in 0..40 {
        let commit = world.commit("counter", &round.to_string());
        world.fetch(&commit).await.unwrap();
    }
    let packs = fs::read_dir(world.mirror().join("objects/pack"))
        .unwrap()
        .filter(|entry| {
            let path = entry.as_ref().unwrap().path();
            path.extension()
                .is_some_and(|extension| extension == "pack")
        })
        .count();
    assert!(packs < 20, "{packs} packs");
    git(&world.mirror(), &["fsck", "--strict"]);
    fs::remove_dir_all(world.remote()).unwrap();
    let tree = world.fetch(&first).await.unwrap();
    let to = world.lay_out(&tree, "work").await;
    assert_eq!(git(&to, &["rev-list", "--count", "origin/main"]), "41");
}

#[tokio::test]
async fn a_commit_that_was_forced_away_is_gone_unless_it_is_here() {
    let world = World::new();
    world.fetch(&world.tip()).await.unwrap();
    let seen = world.commit("a", "seen");
    world.fetch(&seen).await.unwrap();
    let unseen = world.commit("a", "unseen");
    world.git(&["reset", "-q", "--hard", "HEAD~2"]);
    let now = world.commit("a", "now");

    let error = world.fetch(&unseen).await.unwrap_err();
    assert!(
        matches!(&error, SourceError::CommitGone { commit, git_ref: Some(git_ref), .. }
            if *commit == unseen && git_ref == "refs/heads/main"),
        "{error:?}"
    );
    assert!(error.is_users());
    assert!(error.to_string().contains("force-pushed"), "{error}");
    // A rerun of an older pipeline, and the push that took its place, both work.
    world.fetch(&seen).await.unwrap();
    world.fetch(&now).await.unwrap();
}

#[tokio::test]
async fn a_commit_of_a_deleted_branch_is_found_where_it_was_merged() {
    let world = World::new();
    world.fetch(&world.tip()).await.unwrap();
    world.git(&["checkout", "-q", "-b", "topic"]);
    let merged = world.commit("a", "1");
    let lost = world.commit("a", "2");
    world.git(&["checkout", "-q", "-b", "trunk", merged.as_str()]);
    world.git(&["branch", "-q", "-D", "topic"]);

    let push = |commit| world.push(branch("topic"), commit);
    let tree = world.source.fetch(&push(&merged)).await.unwrap();
    assert_eq!(tree.commit(), Some(&merged));
    let error = world.source.fetch(&push(&lost)).await.unwrap_err();
    assert!(matches!(error, SourceError::CommitGone { .. }), "{error:?}");

    let mut tip = push(&merged);
    tip.commit = None;
    let error = world.source.fetch(&tip).await.unwrap_err();
    assert!(
        matches!(&error, SourceError::NoSuchRef { git_ref, .. } if git_ref == "refs/heads/topic"),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_branch_can_take_the_place_of_a_folder_of_branches() {
    let world = World::new();
    world.git(&["branch", "topic"]);
    world.fetch(&world.tip()).await.unwrap();
    world.git(&["branch", "-D", "topic"]);
    world.git(&["checkout", "-q", "-b", "topic/one"]);
    let commit = world.commit("a", "1");
    let push = world.push(branch("topic/one"), &commit);
    let tree = world.source.fetch(&push).await.unwrap();
    assert_eq!(tree.commit(), Some(&commit));
}

#[tokio::test]
async fn without_a_commit_the_ref_or_the_default_branch_decides() {
    let world = World::new();
    let first = world.tip();
    world.git(&["tag", "-a", "-m", "One", "v1"]);
    world.git(&["checkout", "-q", "-b", "topic"]);
    let topic = world.commit("a", "1");
    world.git(&["checkout", "-q", "main"]);

    let fetch = async |git_ref: Option<GitRef>| {
        let trigger = trigger(Origin::Git { url: world.url() }, git_ref, None);
        world
            .source
            .fetch(&trigger)
            .await
            .map(|tree| tree.commit().cloned().unwrap())
    };
    for _ in 0..2 {
        assert_eq!(fetch(None).await.unwrap(), first);
        assert_eq!(fetch(Some(GitRef::Tag("v1".into()))).await.unwrap(), first);
        assert_eq!(fetch(Some(branch("topic"))).await.unwrap(), topic);
    }
    let later = world.commit("b", "1");
    assert_eq!(fetch(None).await.unwrap(), later);
    for odd in ["no:where", "a b", "../x", "*"] {
        let error = fetch(Some(branch(odd))).await.unwrap_err();
        assert!(
            matches!(error, SourceError::NoSuchRef { .. }),
            "{odd}: {error:?}"
        );
    }
}

#[tokio::test]
async fn a_commit_needs_no_ref() {
    let world = World::new();
    world.fetch(&world.tip()).await.unwrap();
    let commit = world.commit("a", "1");
    let trigger = trigger(Origin::Git { url: world.url() }, None, Some(commit.clone()));
    let tree = world.source.fetch(&trigger).await.unwrap();
    assert_eq!(tree.commit(), Some(&commit));
}

#[tokio::test]
async fn pull_requests_come_from_their_own_ref() {
    let world = World::new();
    let main = world.tip();
    world.git(&["checkout", "-q", "--detach"]);
    let commit = world.commit("a", "1");
    world.git(&["update-ref", "refs/pull/7/head", commit.as_str()]);
    world.git(&["checkout", "-q", "main"]);
    for already_mirrored in [false, true] {
        let mut push = world.push(branch("main"), &commit);
        push.pull_request = Some(pull_request(7, true));
        let tree = world.source.fetch(&push).await.unwrap();
        let to = world
            .lay_out(&tree, &format!("work-{already_mirrored}"))
            .await;
        assert_eq!(git(&to, &["rev-parse", "HEAD"]), commit.as_str());
        assert_eq!(git(&to, &["symbolic-ref", "HEAD"]), "refs/heads/main");
        assert_eq!(git(&to, &["rev-parse", "origin/main"]), main.as_str());
    }
}

#[tokio::test]
async fn a_branch_may_be_named_oddly() {
    let world = World::new();
    world.fetch(&world.tip()).await.unwrap();
    for name in [
        "--upload-pack=touch pwned".replace(' ', "-").as_str(),
        "-x",
        "feature/ü",
        "quo\"te'$(id)`id`",
        "a;b&c|d",
        "{a,b}",
        "@",
        "HEAD",
    ] {
        world.git(&["checkout", "-q", "--detach"]);
        let commit = world.commit("a", name);
        let full = branch(name).full();
        world.git(&["update-ref", &full, commit.as_str()]);
        let tree = world.source.fetch(&world.push(branch(name), &commit)).await;
        let tree = tree.unwrap_or_else(|error| panic!("{name}: {error}"));
        let to = world.folder("work");
        tree.lay_out(&to).await.unwrap();
        assert_eq!(git(&to, &["symbolic-ref", "HEAD"]), full);
        assert_eq!(git(&to, &["rev-parse", "HEAD"]), commit.as_str(), "{name}");
        assert_eq!(git(&to, &["status", "--porcelain"]), "", "{name}");
        let merge = format!("branch.{name}.merge");
        assert_eq!(git(&to, &["config", "--get", &merge]), full);
        fs::remove_dir_all(&to).unwrap();
    }
}

#[tokio::test]
async fn what_is_no_repository_or_does_not_answer_is_told_apart() {
    let world = World::new();
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port();
    drop(silent);
    let fetch = async |url: String| {
        let trigger = trigger(Origin::Git { url }, Some(branch("main")), Some(world.tip()));
        world.source.fetch(&trigger).await.unwrap_err()
    };
    let closed = fetch(format!("http://127.0.0.1:{port}/x")).await;
    assert!(
        matches!(closed, SourceError::Unreachable { .. }),
        "{closed:?}"
    );
    assert!(closed.is_users());
    let unknown = fetch("https://no-such-host.invalid/x".to_owned()).await;
    assert!(
        matches!(unknown, SourceError::Unreachable { .. }),
        "{unknown:?}"
    );
    let nothing = fetch(format!("file://{}/nothing", world.temp.path().display())).await;
    assert!(
        matches!(nothing, SourceError::NoSuchRepository { .. }),
        "{nothing:?}"
    );
    world.folder("empty");
    let empty = fetch(world.temp.path().join("empty").display().to_string()).await;
    assert!(
        matches!(empty, SourceError::NoSuchRepository { .. }),
        "{empty:?}"
    );
    let program = fetch("ext::sh -c id".to_owned()).await;
    assert!(matches!(program, SourceError::BadUrl { .. }), "{program:?}");
}

#[tokio::test]
async fn an_empty_repository_has_no_commit() {
    let world = World::new();
    let commit = world.tip();
    let empty = world.folder("empty");
    git(&empty, &["init", "-q", "--bare", "--template="]);
    let origin = Origin::Git {
        url: empty.display().to_string(),
    };
    let push = trigger(origin, Some(branch("main")), Some(commit));
    let error = world.source.fetch(&push).await.unwrap_err();
    assert!(matches!(error, SourceError::CommitGone { .. }), "{error:?}");
}

#[tokio::test]
async fn one_of_many_fetches_goes_out() {
    let world = World::new();
    world.fetch(&world.tip()).await.unwrap();
    let commit = world.commit("a", "1");
    let mut fetches = JoinSet::new();
    for round in 0..10 {
        // Every other one is another server on the same data.
        let source = if round % 2 == 0 {
            world.source.clone()
        } else {
            Source::new(SourceSettings::new(world.mirrors()))
        };
        let push = world.push(branch("main"), &commit);
        fetches.spawn(async move { source.fetch(&push).await.map(|_| ()) });
    }
    while let Some(fetched) = fetches.join_next().await {
        fetched.unwrap().unwrap();
    }
    let packs = fs::read_dir(world.mirror().join("objects/pack"))
        .unwrap()
        .count();
    assert_eq!(packs, 4, "two fetches in all");
}

#[tokio::test]
async fn a_first_fetch_by_two_servers_makes_one_mirror() {
    let world = World::new();
    let other = Source::new(SourceSettings::new(world.mirrors()));
    let push = world.push(branch("main"), &world.tip());
    let (one, two) = tokio::join!(world.source.fetch(&push), other.fetch(&push));
    one.unwrap();
    two.unwrap();
    world.mirror();
}

#[tokio::test]
async fn a_fetch_that_is_given_up_ends_git_and_the_next_one_works() {
    let world = World::new();
    let server = GitServer::start(world.temp.path().to_owned(), Mood::Silent).await;
    let origin = Origin::Git { url: server.url() };
    let push = trigger(origin, Some(branch("main")), Some(world.tip()));

    let mut fetch = Box::pin(world.source.fetch(&push));
    let asked = until("git asks", || server.requests() > 0);
    tokio::select! {
        fetched = &mut fetch => panic!("{fetched:?}"),
        () = asked => {}
    }
    let runs = || {
        command_lines()
            .iter()
            .any(|line| line.contains(&server.url()))
    };
    assert!(runs());
    drop(fetch);
    until("git is gone", || !runs()).await;

    // The server wants a password now: the lock is free, and git comes to ask.
    server.state.lock().unwrap().mood = Mood::Guarded;
    let error = world.source.fetch(&push).await.unwrap_err();
    assert!(matches!(error, SourceError::Denied { .. }), "{error:?}");
}

#[tokio::test]
async fn a_fetch_that_takes_too_long_is_ended() {
    let world = World::new();
    let server = GitServer::start(world.temp.path().to_owned(), Mood::Silent).await;
    let source = Source::new(SourceSettings {
        fetch_timeout: Duration::from_millis(300),
        ..SourceSettings::new(world.mirrors())
    });
    let origin = Origin::Git { url: server.url() };
    let push = trigger(origin, Some(branch("main")), Some(world.tip()));
    let error = tokio::time::timeout(PATIENCE, source.fetch(&push))
        .await
        .unwrap()
        .unwrap_err();
    assert!(matches!(error, SourceError::TimedOut { .. }), "{error:?}");
    assert!(error.is_users());
    assert!(
        error.to_string().contains("POPSICLE_FETCH_TIMEOUT"),
        "{error}"
    );
    let runs = || {
        command_lines()
            .iter()
            .any(|line| line.contains(&server.url()))
    };
    until("git is gone", || !runs()).await;
}

#[tokio::test]
async fn what_a_killed_git_left_behind_stops_nobody() {
    let world = World::new();
    world.fetch(&world.tip()).await.unwrap();
    let mirror = world.mirror();
    let left = [
        "HEAD.lock",
        "config.lock",
        "packed-refs.lock",
        "refs/heads/main.lock",
        "objects/pack/tmp_pack_x1y2z3",
        "objects/info/commit-graph.lock",
    ];
    for name in left {
        fs::write(mirror.join(name), "").unwrap();
    }
    // And a mirror that was being made.
    let new = mirror.with_file_name("half.git.new");
    fs::create_dir(&new).unwrap();
    let commit = world.commit("a", "1");
    world.fetch(&commit).await.unwrap();
    for name in left {
        assert!(!mirror.join(name).exists(), "{name}");
    }
}

#[tokio::test]
async fn a_broken_mirror_is_made_anew() {
    let world = World::new();
    let commit = world.tip();
    world.fetch(&commit).await.unwrap();
    let mirror = world.mirror();
    for (round, break_it) in [
        &(|| fs::write(mirror.join("HEAD"), "").unwrap()) as &dyn Fn(),
        &|| fs::write(mirror.join("config"), "[core\n").unwrap(),
        &|| fs::remove_dir_all(mirror.join("refs")).unwrap(),
        &|| {
            for file in files(&mirror.join("objects/pack")) {
                fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
                fs::write(file, "garbage").unwrap();
            }
        },
    ]
    .into_iter()
    .enumerate()
    {
        break_it();
        let tree = world.fetch(&commit).await;
        let tree = tree.unwrap_or_else(|error| panic!("{round}: {error}"));
        let to = world.lay_out(&tree, &format!("work-{round}")).await;
        assert_eq!(fs::read_to_string(to.join("README")).unwrap(), "hello");
        git(&mirror, &["fsck", "--strict"]);
    }
    world.mirror();
}

#[tokio::test]
async fn a_mirror_that_lost_a_file_is_mended_when_it_is_laid_out() {
    let world = World::new();
    for round in 0..3 {
        world.commit("a", &round.to_string());
        world.fetch(&world.tip()).await.unwrap();
    }
    let commit = world.tip();
    let mirror = world.mirror();
    // The commit can still be found; the content of `a` can't.
    git(&mirror, &["repack", "-q", "-a", "-d"]);
    let pack = files(&mirror.join("objects/pack"))
        .into_iter()
        .find(|file| {
            file.extension()
                .is_some_and(|extension| extension == "pack")
        })
        .unwrap();
    fs::set_permissions(&pack, fs::Permissions::from_mode(0o600)).unwrap();
    let moved = world.temp.path().join("pack");
    fs::rename(&pack, &moved).unwrap();
    fs::remove_file(pack.with_extension("idx")).unwrap();
    let unpacked = std::process::Command::new("git")
        .arg("--git-dir")
        .arg(&mirror)
        .args(["unpack-objects", "-q"])
        .stdin(fs::File::open(&moved).unwrap())
        .status()
        .unwrap();
    assert!(unpacked.success());
    let blob = git(&mirror, &["rev-parse", &format!("{commit}:a")]);
    fs::remove_file(mirror.join("objects").join(&blob[..2]).join(&blob[2..])).unwrap();

    let tree = world.fetch(&commit).await.unwrap();
    let to = world.lay_out(&tree, "work").await;
    assert_eq!(fs::read_to_string(to.join("a")).unwrap(), "2");
    assert_eq!(git(&to, &["status", "--porcelain"]), "");
}

#[tokio::test]
async fn a_repository_may_use_the_longer_hash() {
    let world = World::new();
    let remote = world.folder("sha256");
    git(
        &remote,
        &[
            "init",
            "-q",
            "-b",
            "main",
            "--object-format=sha256",
            "--template=",
        ],
    );
    fs::write(remote.join("a"), "1").unwrap();
    git(&remote, &["add", "a"]);
    git(&remote, &["commit", "-q", "-m", "One"]);
    let commit = git(&remote, &["rev-parse", "HEAD"]).parse().unwrap();
    let origin = Origin::Git {
        url: remote.display().to_string(),
    };
    let push = trigger(origin, Some(branch("main")), Some(commit));
    let tree = world.source.fetch(&push).await.unwrap();
    assert_eq!(tree.files_in("").await.unwrap(), ["a"]);
    let to = world.lay_out(&tree, "work").await;
    assert_eq!(git(&to, &["status", "--porcelain"]), "");
}

#[tokio::test]
async fn git_is_new_enough() {
    let version = World::new().source.git_version().await.unwrap();
    assert!(
        version.starts_with(|first: char| first.is_ascii_digit()),
        "{version}"
    );
}
