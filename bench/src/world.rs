//! The real binary, started on a folder of its own, and what it is fed with.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use tempfile::TempDir;

/// A benchmark that can't go on says why and ends.
pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

const SECRET: &str = "the secret of the bench";
const PATIENCE: Duration = Duration::from_secs(60);

/// Builds the binary to measure.
pub(crate) fn build() -> Result<PathBuf> {
    let built = Command::new("cargo")
        .args(["build", "--release", "--quiet", "--package", "popsicle"])
        .args(["--message-format", "json-render-diagnostics"])
        .stderr(Stdio::inherit())
        .output()?;
    if !built.status.success() {
        return Err("the binary does not build".into());
    }
    let told = String::from_utf8(built.stdout)?;
    let artifacts = told.lines().map(serde_json::from_str::<Value>);
    let mut binaries = artifacts.filter_map(|artifact| {
        let binary = artifact.ok()?["executable"].as_str()?.to_owned();
        Some(PathBuf::from(binary))
    });
    Ok(binaries.next().ok_or("cargo names no binary")?)
}

/// A server of its own, ended with this value.
pub(crate) struct Server {
    child: Child,
    /// Its address: `http://127.0.0.1:…`.
    pub(crate) url: String,
    pub(crate) http: reqwest::Client,
    dir: TempDir,
}

impl Server {
    pub(crate) async fn start(binary: &Path) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let port = std::net::TcpListener::bind("127.0.0.1:0")?
            .local_addr()?
            .port();
        let listen = format!("127.0.0.1:{port}");
        let child = Command::new(binary)
            .arg("serve")
            .env("POPSICLE_DATA_DIR", dir.path().join("data"))
            .env("POPSICLE_LISTEN", &listen)
            // Another server's containers are none of ours.
            .env(
                "POPSICLE_NAMESPACE",
                format!("bench-{}", std::process::id()),
            )
            .env("POPSICLE_WEBHOOK_SECRET", SECRET)
            .env("RUST_LOG", "warn")
            .stdin(Stdio::null())
            .spawn()?;
        let http = reqwest::Client::builder()
            .pool_max_idle_per_host(64)
            .build()?;
        let server = Self {
            child,
            url: format!("http://{listen}"),
            http,
            dir,
        };
        let start = Instant::now();
        while server.get("/readyz").await.is_err() {
            if start.elapsed() > PATIENCE {
                return Err("the server did not start".into());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(server)
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Value> {
        let answer = self.http.get(format!("{}{path}", self.url)).send().await?;
        Ok(answer.error_for_status()?.json().await?)
    }

    /// Posts a signed push; the number of its pipeline.
    pub(crate) async fn push(&self, url: &str, commit: &str, delivery: &str) -> Result<i64> {
        let body = payload(url, commit);
        let request = signed(
            &self.http,
            &format!("{}/webhook", self.url),
            &body,
            delivery,
        )?;
        let answer: Value = request.send().await?.error_for_status()?.json().await?;
        Ok(answer["pipeline_id"]
            .as_i64()
            .ok_or("the webhook's answer has no pipeline_id")?)
    }

    /// Waits for a pipeline's end; the pipeline with its jobs.
    pub(crate) async fn ended(&self, pipeline: i64) -> Result<Value> {
        let start = Instant::now();
        loop {
            let found = self.get(&format!("/pipelines/{pipeline}")).await?;
            match found["status"].as_str() {
                Some("success") => return Ok(found),
                Some("queued" | "running") if start.elapsed() < PATIENCE => {}
                other => return Err(format!("pipeline {pipeline} is {other:?}: {found}").into()),
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Follows the log of a pipeline's first job until that text has come.
    pub(crate) async fn until_log(&self, pipeline: i64, text: &str) -> Result<()> {
        let start = Instant::now();
        let job = loop {
            let found = self.get(&format!("/pipelines/{pipeline}")).await?;
            if let Some(job) = found["jobs"][0]["id"].as_i64() {
                break job;
            }
            if start.elapsed() > PATIENCE {
                return Err(format!("pipeline {pipeline} has no job: {found}").into());
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        };
        let url = format!(
            "{}/pipelines/{pipeline}/jobs/{job}/log?follow=true",
            self.url
        );
        let mut log = self.http.get(url).send().await?.error_for_status()?;
        let mut read = Vec::new();
        while let Some(part) = log.chunk().await? {
            read.extend(part);
            if String::from_utf8_lossy(&read).contains(text) {
                return Ok(());
            }
        }
        Err(format!(
            "the log ended without {text:?}: {}",
            String::from_utf8_lossy(&read)
        )
        .into())
    }

    /// The only mirror that it has.
    pub(crate) fn mirror(&self) -> Result<PathBuf> {
        for entry in std::fs::read_dir(self.dir.path().join("data/mirrors"))? {
            let path = entry?.path();
            if path.join("HEAD").exists() {
                return Ok(path);
            }
        }
        Err("the server has no mirror".into())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A push as GitHub sends it, as far as anybody reads it.
pub(crate) fn payload(url: &str, commit: &str) -> String {
    json!({
        "ref": "refs/heads/main",
        "before": "0".repeat(40),
        "after": commit,
        "deleted": false,
        "repository": {
            "full_name": "bench/project",
            "clone_url": url,
            "html_url": url,
            "default_branch": "main",
            "private": false,
        },
        "pusher": {"name": "bench"},
        "head_commit": {"id": commit, "message": "Measure", "author": {"name": "Bench", "username": "bench"}},
    })
    .to_string()
}

/// A request as GitHub signs it.
pub(crate) fn signed(
    http: &reqwest::Client,
    url: &str,
    body: &str,
    delivery: &str,
) -> Result<reqwest::RequestBuilder> {
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes())?;
    mac.update(body.as_bytes());
    let signature = format!("sha256={}", hex::encode(mac.finalize().into_bytes()));
    Ok(http
        .post(url)
        .header("content-type", "application/json")
        .header("x-github-event", "push")
        .header("x-github-delivery", delivery)
        .header("x-hub-signature-256", signature)
        .body(body.to_owned()))
}

/// A repository with one config, and the id of its commit.
pub(crate) struct Repository {
    pub(crate) dir: TempDir,
    pub(crate) commit: String,
}

impl Repository {
    pub(crate) fn new(config: &str) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        std::fs::create_dir(dir.path().join(".circleci"))?;
        std::fs::write(dir.path().join(".circleci/config.yml"), config)?;
        // A project is more than its config: a few hundred files.
        for place in 0..300 {
            let folder = dir.path().join(format!("src/{}", place / 20));
            std::fs::create_dir_all(&folder)?;
            std::fs::write(
                folder.join(format!("{place}.txt")),
                format!("file {place}\n").repeat(50),
            )?;
        }
        let git = |args: &[&str]| git(dir.path(), args);
        git(&["init", "--quiet", "--initial-branch=main"])?;
        git(&["add", "--all"])?;
        git(&[
            "-c",
            "user.name=b",
            "-c",
            "user.email=b@localhost",
            "commit",
            "--quiet",
            "-m",
            "All",
        ])?;
        let commit = git(&["rev-parse", "HEAD"])?;
        Ok(Self { dir, commit })
    }

    pub(crate) fn url(&self) -> String {
        format!("file://{}", self.dir.path().display())
    }
}

fn git(dir: &Path, args: &[&str]) -> Result<String> {
    let output = Command::new("git").arg("-C").arg(dir).args(args).output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// Runs a program to its end; how long that took.
pub(crate) fn time(program: &str, args: &[&str]) -> Result<Duration> {
    let start = Instant::now();
    let output = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .output()?;
    let taken = start.elapsed();
    if output.status.success() {
        Ok(taken)
    } else {
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        Err(format!("`{program} {}`: {words}", args.join(" ")).into())
    }
}

/// A small image of busybox, by its name; removed with this value.
pub(crate) struct Image(pub(crate) String);

impl Drop for Image {
    fn drop(&mut self) {
        let _ = time("docker", &["image", "rm", "--force", &self.0]);
    }
}

/// Makes the image, here and now.
pub(crate) fn docker_image() -> Result<Image> {
    let busybox = tests::busybox().ok_or("there is no static busybox to make an image of")?;
    let dir = tempfile::tempdir()?;
    let root = dir.path().join("root");
    std::fs::create_dir_all(root.join("bin"))?;
    std::fs::create_dir_all(root.join("tmp"))?;
    std::fs::copy(busybox, root.join("bin/busybox"))?;
    for tool in ["sh", "mkdir", "true", "cat"] {
        std::os::unix::fs::symlink("busybox", root.join("bin").join(tool))?;
    }
    let (archive, root) = (dir.path().join("image.tar"), root.display().to_string());
    let archive = archive.display().to_string();
    let image = Image(format!("popsicle-bench/busybox:{}", std::process::id()));
    time("tar", &["-C", &root, "-cf", &archive, "."])?;
    time("docker", &["import", &archive, &image.0])?;
    Ok(image)
}
