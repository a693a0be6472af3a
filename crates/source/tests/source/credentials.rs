//! Tokens and keys: who gets them, and where they never show.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use model::Origin;
use source::{Credential, Source, SourceError, SourceSettings, Token};

use crate::http::{GitServer, Mood, TOKEN};
use crate::world::{World, branch, files, git, in_environment, trigger};

fn with_token(world: &World, host_url: String, token: &str) -> Source {
    Source::new(SourceSettings {
        credentials: vec![Credential {
            host_url,
            token: Token::new(token),
        }],
        ..SourceSettings::new(world.mirrors())
    })
}

#[tokio::test]
async fn a_token_opens_its_host_and_shows_nowhere() {
    let world = World::new();
    let server = GitServer::start(world.temp.path().to_owned(), Mood::Guarded).await;
    let source = with_token(&world, server.host(), TOKEN);
    let origin = Origin::Git { url: server.url() };
    let push = trigger(origin, Some(branch("main")), Some(world.tip()));
    let tree = source.fetch(&push).await.unwrap();
    let to = world.lay_out(&tree, "work").await;

    let state = server.state.lock().unwrap();
    assert!(state.authorized > 0);
    let ours = state
        .seen
        .iter()
        .filter(|line| line.contains(&server.url()));
    assert!(ours.count() > 0, "git was seen");
    for line in &state.seen {
        assert!(!line.contains(TOKEN), "{line}");
    }
    for file in files(&world.mirrors()).into_iter().chain(files(&to)) {
        let content = fs::read(&file).unwrap();
        assert!(
            !content
                .windows(TOKEN.len())
                .any(|part| part == TOKEN.as_bytes()),
            "{}",
            file.display()
        );
    }
    assert_eq!(git(&to, &["remote", "get-url", "origin"]), server.url());
}

#[tokio::test]
async fn a_wrong_token_is_refused_and_not_repeated() {
    let world = World::new();
    let server = GitServer::start(world.temp.path().to_owned(), Mood::Guarded).await;
    let source = with_token(&world, server.host(), "wr0ngt0ken");
    let origin = Origin::Git { url: server.url() };
    let push = trigger(origin, Some(branch("main")), Some(world.tip()));
    let error = source.fetch(&push).await.unwrap_err();
    assert!(matches!(error, SourceError::Denied { .. }), "{error:?}");
    assert!(
        error.to_string().contains("POPSICLE_GITHUB_TOKEN"),
        "{error}"
    );
    assert!(!format!("{error} {error:?}").contains("wr0ngt0ken"));
}

#[tokio::test]
async fn another_host_gets_no_token() {
    let world = World::new();
    let server = GitServer::start(world.temp.path().to_owned(), Mood::Guarded).await;
    let source = with_token(&world, "https://github.com".to_owned(), TOKEN);
    let origin = Origin::Git { url: server.url() };
    let push = trigger(origin, Some(branch("main")), Some(world.tip()));
    let error = source.fetch(&push).await.unwrap_err();
    assert!(matches!(error, SourceError::Denied { .. }), "{error:?}");
    assert_eq!(server.state.lock().unwrap().authorized, 0);
}

#[tokio::test]
async fn nobody_is_followed_elsewhere() {
    let world = World::new();
    let server = GitServer::start(world.temp.path().to_owned(), Mood::Redirecting).await;
    let source = with_token(&world, server.host(), TOKEN);
    let origin = Origin::Git { url: server.url() };
    let push = trigger(origin, Some(branch("main")), Some(world.tip()));
    let error = source.fetch(&push).await.unwrap_err();
    assert!(matches!(error, SourceError::BadUrl { .. }), "{error:?}");
    assert!(error.to_string().contains("redirects"), "{error}");
}

#[test]
fn ssh_is_called_without_questions() {
    let temp = tempfile::tempdir().unwrap();
    let ssh = temp.path().join("ssh");
    // Runs here what it is asked to run there, and notes how it was called.
    let script = "#!/bin/sh\n\
                  echo \"$*\" >> \"${0%/*}/calls\"\n\
                  for last; do :; done\n\
                  case $last in *forbidden*) echo 'git@host: Permission denied (publickey).' >&2; exit 255;; esac\n\
                  eval \"$last\"\n";
    fs::write(&ssh, script).unwrap();
    fs::set_permissions(&ssh, fs::Permissions::from_mode(0o755)).unwrap();
    let path = std::env::var("PATH").unwrap();
    let path = format!("{}:{path}", temp.path().display());

    in_environment("credentials::over_ssh", &[("PATH", path.as_str())]);
    let calls = fs::read_to_string(temp.path().join("calls")).unwrap();
    for expected in [
        "BatchMode=yes",
        "accept-new",
        "ConnectTimeout",
        "git@host",
        "-p 2222",
    ] {
        assert!(calls.contains(expected), "{expected}: {calls}");
    }

    let own = format!("{} -o OwnOption=yes", ssh.display());
    fs::remove_file(temp.path().join("calls")).unwrap();
    in_environment(
        "credentials::over_ssh",
        &[("GIT_SSH_COMMAND", own.as_str())],
    );
    let calls = fs::read_to_string(temp.path().join("calls")).unwrap();
    assert!(
        calls.contains("OwnOption") && !calls.contains("BatchMode"),
        "{calls}"
    );
}

#[tokio::test]
#[ignore = "needs the `ssh` that `ssh_is_called_without_questions` puts in its way"]
async fn over_ssh() {
    let world = World::new();
    let path = world.remote().display().to_string();
    for url in [
        format!("git@host:{path}"),
        format!("ssh://git@host:2222{path}"),
    ] {
        let origin = Origin::Git { url: url.clone() };
        let push = trigger(origin, Some(branch("main")), Some(world.tip()));
        let tree = world.source.fetch(&push).await.unwrap();
        assert_eq!(tree.files_in("").await.unwrap(), ["README"], "{url}");
    }
    let origin = Origin::Git {
        url: "git@host:/forbidden".to_owned(),
    };
    let push = trigger(origin, Some(branch("main")), Some(world.tip()));
    let error = world.source.fetch(&push).await.unwrap_err();
    assert!(matches!(error, SourceError::Denied { .. }), "{error:?}");
    assert!(error.to_string().contains("~/.ssh"), "{error}");
}

#[test]
fn the_servers_own_environment_stays_out_of_git() {
    let world = World::new();
    let elsewhere = world.temp.path().join("elsewhere");
    let trace = world.temp.path().join("trace");
    in_environment(
        "credentials::under_a_hook",
        &[
            ("GIT_DIR", elsewhere.to_str().unwrap()),
            ("GIT_WORK_TREE", elsewhere.to_str().unwrap()),
            ("GIT_TRACE", trace.to_str().unwrap()),
        ],
    );
    assert!(!elsewhere.exists() && !trace.exists());
}

#[tokio::test]
#[ignore = "needs the environment that `the_servers_own_environment_stays_out_of_git` sets"]
async fn under_a_hook() {
    // `World::new` would obey `GIT_DIR`; so the repository is made by a command without it.
    let temp = tempfile::tempdir().unwrap();
    let made = Command::new("sh")
        .args([
            "-c",
            "unset GIT_DIR GIT_WORK_TREE GIT_TRACE; git init -q -b main . && touch a && git add a \
                && git -c user.name=A -c user.email=a@b commit -qm One && git rev-parse HEAD",
        ])
        .current_dir(temp.path())
        .output()
        .unwrap();
    let commit = String::from_utf8(made.stdout)
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    let source = Source::new(SourceSettings::new(temp.path().join(".git/mirrors")));
    let origin = Origin::Git {
        url: temp.path().display().to_string(),
    };
    let push = trigger(origin, Some(branch("main")), Some(commit));
    let tree = source.fetch(&push).await.unwrap();
    assert_eq!(tree.files_in("").await.unwrap(), ["a"]);
}
