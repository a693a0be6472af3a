//! Repositories of our own: how they come, what they do after a push, how they go.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use model::HostedName;
use source::{Hosted, HostedSettings, KeptPush};
use tempfile::TempDir;

struct World {
    temp: TempDir,
    hosted: Hosted,
}

impl World {
    /// Repositories whose hook writes down what it hears.
    fn new() -> Self {
        let temp = tempfile::tempdir().unwrap();
        let program = temp.path().join("it's a program");
        write_program(&program, "heard");
        let hosted = hosted(&temp, &program);
        Self { temp, hosted }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.temp.path().join(name)
    }

    /// A work tree with a commit, that pushes to that repository.
    fn clone_of(&self, name: &str) -> PathBuf {
        let work = self.at("work");
        fs::create_dir(&work).unwrap();
        git(&work, &["init", "-q", "-b", "main", "--template="]);
        git(
            &work,
            &["commit", "-q", "--allow-empty", "-m", "First\n\nBecause."],
        );
        let path = self.hosted.path(&format!("{name}.git"));
        git(&work, &["remote", "add", "origin", path.to_str().unwrap()]);
        work
    }

    fn heard(&self) -> String {
        fs::read_to_string(self.at("heard")).unwrap_or_default()
    }
}

fn hosted(temp: &TempDir, program: &Path) -> Hosted {
    Hosted::new(HostedSettings {
        root: temp.path().join("repos"),
        hook: vec![program.into(), "hook".into()],
    })
}

fn write_program(path: &Path, to: &str) {
    let to = path.parent().unwrap().join(to);
    let script = format!("#!/bin/sh\n{{ echo \"$@\"; cat; }} >>'{}'\n", to.display());
    fs::write(path, script).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// What git says, on both its outputs.
fn git(folder: &Path, args: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "user.name=Octo Cat", "-c", "user.email=o@example.com"])
        .args(args)
        .current_dir(folder)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).trim().to_owned();
    assert!(output.status.success(), "git {args:?}: {said}");
    said
}

fn name(text: &str) -> HostedName {
    text.parse().unwrap()
}

#[tokio::test]
async fn a_new_repository_takes_pushes_and_tells_of_them() {
    let world = World::new();
    world.hosted.create(&name("demo"), "A demo").await.unwrap();
    let again = world.hosted.create(&name("demo"), "").await.unwrap_err();
    assert!(again.to_string().contains("already"), "{again}");

    let work = world.clone_of("demo");
    git(
        &work,
        &["push", "-q", "-o", "some=option", "origin", "main"],
    );
    let head = git(&work, &["rev-parse", "HEAD"]);
    let expected = format!("hook\n{} {head} refs/heads/main\n", "0".repeat(40));
    assert_eq!(world.heard(), expected);

    let found = world.hosted.refresh().await.unwrap();
    assert_eq!(found, [(name("demo"), "A demo".to_owned())]);
    let bare = world.hosted.path("demo.git");
    assert_eq!(git(&bare, &["symbolic-ref", "HEAD"]), "refs/heads/main");
    git(&bare, &["fsck", "--strict"]);
}

#[tokio::test]
async fn a_commit_is_found_by_its_id_and_by_a_tags() {
    let world = World::new();
    world.hosted.create(&name("demo"), "").await.unwrap();
    let work = world.clone_of("demo");
    git(&work, &["tag", "-a", "-m", "One", "v1"]);
    git(&work, &["tag", "tree", "HEAD^{tree}"]);
    git(&work, &["push", "-q", "origin", "main", "--tags"]);
    let id = |rev: &str| git(&work, &["rev-parse", rev]).parse().unwrap();
    let head = world
        .hosted
        .commit("demo.git", &id("HEAD"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(head.author, "Octo Cat");
    assert_eq!(head.message, "First\n\nBecause.");
    let tagged = world.hosted.commit("demo.git", &id("v1")).await.unwrap();
    assert_eq!(tagged, Some(head));
    assert_eq!(
        world.hosted.commit("demo.git", &id("tree")).await.unwrap(),
        None
    );
    let other = "1".repeat(40).parse().unwrap();
    assert_eq!(world.hosted.commit("demo.git", &other).await.unwrap(), None);
    assert!(world.hosted.commit("none.git", &other).await.is_err());
}

#[tokio::test]
async fn a_push_is_kept_where_the_program_is_gone() {
    let world = World::new();
    world.hosted.create(&name("demo"), "").await.unwrap();
    let work = world.clone_of("demo");
    fs::remove_file(world.at("it's a program")).unwrap();
    git(
        &work,
        &["push", "-q", "-o", "ci.skip", "origin", "main:other"],
    );
    assert!(
        world
            .hosted
            .kept_pushes("demo.git")
            .await
            .unwrap()
            .is_empty()
    );
    let said = git(&work, &["push", "origin", "main", "main:second"]);
    assert!(said.contains("is gone; CI hears of this push"), "{said}");

    let mut kept = world.hosted.kept_pushes("demo.git").await.unwrap();
    let push = kept.pop().unwrap();
    assert!(kept.is_empty());
    let head = git(&work, &["rev-parse", "HEAD"]);
    let told: Vec<_> = push
        .updates
        .iter()
        .map(|update| (update.git_ref.full(), update.after.as_str() == head))
        .collect();
    let expected = ["refs/heads/main", "refs/heads/second"];
    assert_eq!(told, expected.map(|name| (name.to_owned(), true)));
    push.forget().unwrap();
    assert!(
        world
            .hosted
            .kept_pushes("demo.git")
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn a_push_in_which_git_died_is_kept_as_far_as_it_came() {
    let world = World::new();
    world.hosted.create(&name("demo"), "").await.unwrap();
    let work = world.clone_of("demo");
    let bare = world.hosted.path("demo.git");
    // Git gets no further than that: one ref has moved, and the hook after it is not run.
    fs::remove_file(bare.join("hooks/post-receive")).unwrap();
    let update = bare.join("hooks/update");
    fs::write(&update, "#!/bin/sh\n[ \"$1\" = refs/heads/main ]\n").unwrap();
    fs::set_permissions(&update, fs::Permissions::from_mode(0o755)).unwrap();
    let pushed = Command::new("git")
        .args(["push", "-q", "origin", "main", "main:refused"])
        .current_dir(&work)
        .output()
        .unwrap();
    assert!(!pushed.status.success());

    let kept = world.hosted.kept_pushes("demo.git").await.unwrap();
    let told: Vec<_> = kept.iter().flat_map(|push| &push.updates).collect();
    assert_eq!(told.len(), 1, "{kept:?}");
    assert_eq!(told[0].git_ref.full(), "refs/heads/main");
    let again = world.hosted.kept_pushes("demo.git").await.unwrap();
    assert_eq!(again[0].id, kept[0].id);
    // Of one that goes on, nothing is known yet.
    let note = bare.join(format!("popsicle-pushes/9-{}.begun", std::process::id()));
    let told = format!(
        "{} {} refs/heads/main\n",
        "0".repeat(40),
        git(&work, &["rev-parse", "HEAD"])
    );
    fs::write(&note, &told).unwrap();
    assert_eq!(world.hosted.kept_pushes("demo.git").await.unwrap().len(), 1);
    let forget = |told: &str| KeptPush::forget_begun(&bare, std::process::id(), told).unwrap();
    forget("another's");
    assert!(note.exists());
    forget(&told);
    assert!(!note.exists());
}

#[tokio::test]
async fn a_start_mends_what_an_earlier_server_left() {
    let world = World::new();
    world.hosted.create(&name("demo"), "").await.unwrap();
    // A creation that was cut short, a repository from elsewhere, and what is none.
    fs::create_dir(world.at("repos/.new-x.git")).unwrap();
    fs::create_dir(world.at("repos/nothing.git")).unwrap();
    git(&world.at("repos"), &["init", "-q", "--bare", "foreign.git"]);
    let own = world.at("repos/foreign.git/hooks/post-receive");
    fs::create_dir_all(own.parent().unwrap()).unwrap();
    fs::write(&own, "#!/bin/sh\necho mine\n").unwrap();

    // The program has moved.
    let moved = world.at("moved");
    write_program(&moved, "heard elsewhere");
    let hosted = hosted(&world.temp, &moved);
    let found = hosted.refresh().await.unwrap();
    let none = String::new;
    assert_eq!(found, [(name("demo"), none()), (name("foreign"), none())]);
    assert!(!world.at("repos/.new-x.git").exists());
    assert!(own.with_file_name("post-receive.before-popsicle").exists());
    git(&world.clone_of("demo"), &["push", "-q", "origin", "main"]);
    assert_eq!(world.heard(), "");
    assert!(
        fs::read_to_string(world.at("heard elsewhere"))
            .unwrap()
            .contains("refs/heads/main")
    );
}

#[tokio::test]
async fn what_is_thrown_away_stays_for_a_while() {
    let world = World::new();
    for (moment, deed) in [(5, "first"), (9, "second")] {
        world.hosted.create(&name("demo"), deed).await.unwrap();
        world.hosted.trash("demo.git", moment).unwrap();
        assert!(world.hosted.refresh().await.unwrap().is_empty());
    }
    world.hosted.trash("demo.git", 9).unwrap();
    world.hosted.empty_trash(9).await.unwrap();
    assert!(!world.at("repos/.trash/5-demo.git").exists());
    let kept = fs::read_to_string(world.at("repos/.trash/9-demo.git/description"));
    assert_eq!(kept.unwrap(), "second\n");
}
