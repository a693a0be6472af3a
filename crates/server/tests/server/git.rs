//! `/git/<name>.git`, as git itself uses it, and as others would.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::world::{Answer, Ci, PATIENCE, git, try_git};

/// A server with the repository `demo`, and a work tree with one commit.
struct World {
    ci: Ci,
    work: PathBuf,
}

impl World {
    async fn new() -> Self {
        let ci = Ci::start().await;
        let made = ci.post("/repos", &json!({"name": "demo"})).await;
        assert_eq!(made.status, 201, "{}", made.text);
        let work = ci.folder.path().join("work");
        fs::create_dir(&work).unwrap();
        git(&work, &["init", "-q", "-b", "main"]);
        git(&work, &["commit", "-q", "--allow-empty", "-m", "First"]);
        let url = format!("http://{}/git/demo.git", ci.address);
        git(&work, &["remote", "add", "origin", &url]);
        Self { ci, work }
    }

    /// Git in the work tree, while the server goes on.
    async fn git(&self, args: &[&str]) -> Result<String, String> {
        run(&self.work, args).await
    }

    fn repository(&self) -> PathBuf {
        self.ci.folder.path().join("repos/demo.git")
    }

    /// The processes that serve this world's repositories.
    fn backends(&self) -> usize {
        let root = format!("GIT_PROJECT_ROOT={}", self.ci.folder.path().display());
        let processes = fs::read_dir("/proc").unwrap().flatten();
        let environments =
            processes.filter_map(|entry| fs::read(entry.path().join("environ")).ok());
        environments
            .filter(|text| String::from_utf8_lossy(text).contains(&root))
            .count()
    }

    async fn until_backends(&self, so: impl Fn(usize) -> bool) {
        let wait = async {
            while !so(self.backends()) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, wait)
            .await
            .expect("the processes come and go in time");
    }
}

async fn run(folder: &Path, args: &[&str]) -> Result<String, String> {
    let folder = folder.to_owned();
    let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
    let run = move || {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        try_git(&folder, &args)
    };
    tokio::task::spawn_blocking(run).await.unwrap()
}

#[tokio::test]
async fn git_pushes_clones_and_fetches() {
    let world = World::new().await;
    // Large enough to be sent in chunks, and no text that could be compressed away.
    let noise: Vec<u8> = (0..4_u64 << 20)
        .map(|number| (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 29) as u8)
        .collect();
    fs::write(world.work.join("noise"), &noise).unwrap();
    git(&world.work, &["add", "."]);
    git(&world.work, &["commit", "-q", "-m", "Second"]);
    world.git(&["push", "-q", "origin", "main"]).await.unwrap();

    for version in ["0", "2"] {
        let protocol = format!("protocol.version={version}");
        let url = format!("http://{}/git/demo.git", world.ci.address);
        let to = format!("clone-{version}");
        let clone = ["-c", &protocol, "clone", "-q", &url, &to];
        world.git(&clone).await.unwrap();
        let clone = world.work.join(&to);
        assert_eq!(fs::read(clone.join("noise")).unwrap(), noise);
        // Git compresses what it asks for once it has many commits to tell of.
        for number in 0..300 {
            git(
                &clone,
                &["commit", "-q", "--allow-empty", "-m", &number.to_string()],
            );
        }
        let branch = format!("own-{version}");
        git(
            &world.work,
            &["commit", "-q", "--allow-empty", "-m", &branch],
        );
        world
            .git(&["push", "-q", "origin", "HEAD:main"])
            .await
            .unwrap();
        run(&clone, &["-c", &protocol, "fetch", "-q"])
            .await
            .unwrap();
        let tip = git(&world.work, &["rev-parse", "HEAD"]);
        assert_eq!(git(&clone, &["rev-parse", "origin/main"]), tip);
    }
    // Shallow, without its files, and by its id.
    let url = format!("http://{}/git/demo.git", world.ci.address);
    let shallow = [
        "clone",
        "-q",
        "--depth=1",
        "--filter=blob:none",
        "--bare",
        &url,
        "shallow",
    ];
    world.git(&shallow).await.unwrap();
    let counted = git(
        &world.work.join("shallow"),
        &["rev-list", "--count", "HEAD"],
    );
    assert_eq!(counted, "1\n");
    let first = git(&world.work, &["rev-parse", "HEAD~2"]);
    world
        .git(&["fetch", "-q", &url, first.trim()])
        .await
        .unwrap();
    world.until_backends(|count| count == 0).await;
}

#[tokio::test]
async fn a_branch_is_not_overwritten_by_accident_and_can_be_deleted() {
    let world = World::new().await;
    world
        .git(&["push", "-q", "origin", "main", "main:gone"])
        .await
        .unwrap();
    git(
        &world.work,
        &["commit", "-q", "--amend", "--allow-empty", "-m", "Other"],
    );
    let refused = world.git(&["push", "origin", "main"]).await.unwrap_err();
    assert!(refused.contains("non-fast-forward"), "{refused}");
    world
        .git(&["push", "-q", "--force", "origin", "main", ":gone"])
        .await
        .unwrap();
    let there = git(
        &world.repository(),
        &["for-each-ref", "--format=%(refname) %(subject)"],
    );
    assert_eq!(there, "refs/heads/main Other\n");
}

#[tokio::test]
async fn nothing_else_is_served() {
    let world = World::new().await;
    world.git(&["push", "-q", "origin", "main"]).await.unwrap();
    for path in [
        "/git/demo.git",
        "/git/demo.git/HEAD",
        "/git/demo.git/config",
        "/git/demo.git/objects/info/packs",
        "/git/../demo.git/HEAD",
        "/git/%2e%2e/info/refs?service=git-upload-pack",
        "/git/..%2fpopsicle.db/info/refs?service=git-upload-pack",
        "/git/.trash/info/refs?service=git-upload-pack",
        "/git/none.git/info/refs?service=git-upload-pack",
        "/git/demo.git.git/info/refs?service=git-upload-pack",
    ] {
        world.ci.get(path).await.refuses(404, "");
    }
    let refs = "/git/demo.git/info/refs";
    world.ci.get(refs).await.refuses(403, "smart HTTP");
    let other = format!("{refs}?service=git-upload-archive");
    world.ci.get(&other).await.refuses(403, "smart HTTP");
    let service = "/git/demo.git/git-receive-pack";
    world
        .ci
        .post(service, &json!({}))
        .await
        .refuses(415, "x-git-receive-pack-request");
    world.ci.get(service).await.refuses(405, "GET");
    let typed = |encoding: &str| {
        let request = world.ci.request(Method::POST, service);
        let request = request.header("Content-Type", "application/x-git-receive-pack-request");
        request
            .header("Content-Encoding", encoding.to_owned())
            .body("0000")
    };
    Answer::of(typed("br")).await.refuses(415, "gzip");
    // A page of another site has no way in.
    let foreign = typed("identity").header("Origin", "https://evil.example");
    Answer::of(foreign).await.refuses(403, "another site");
    world.until_backends(|count| count == 0).await;
    let found = world.git(&["ls-remote", "origin"]).await.unwrap();
    assert_eq!(found.lines().count(), 2, "{found}");
}

#[tokio::test]
async fn git_ends_with_a_client_that_goes_away() {
    let world = World::new().await;
    let mut client = TcpStream::connect(world.ci.address).await.unwrap();
    let begun = format!(
        "POST /git/demo.git/git-receive-pack HTTP/1.1\r\nHost: {}\r\n\
         Content-Type: application/x-git-receive-pack-request\r\nContent-Length: 1000000\r\n\r\n00",
        world.ci.address
    );
    client.write_all(begun.as_bytes()).await.unwrap();
    world.until_backends(|count| count > 0).await;
    drop(client);
    world.until_backends(|count| count == 0).await;
    world.git(&["push", "-q", "origin", "main"]).await.unwrap();
}
