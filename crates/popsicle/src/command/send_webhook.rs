//! `popsicle send-webhook`: a local repository's newest commit as a signed GitHub push, to try a server
//! without GitHub.

use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Args;
use forge::github;
use model::RepoName;
use serde_json::json;

use crate::error::{Exit, Failure};
use crate::output::Output;
use crate::settings::{Settings, webhook_secret};

/// The arguments of `send-webhook`.
#[derive(Debug, Args)]
pub struct SendWebhookArgs {
    /// The repository's directory
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// The name that the project gets
    #[arg(long, value_name = "OWNER/NAME", default_value = "local/project")]
    repo: RepoName,
    /// Who pushes
    #[arg(long, value_name = "NAME")]
    author: Option<String>,
}

/// Sends it, and prints the number of the pipeline that the server made of it.
pub async fn run(
    args: &SendWebhookArgs,
    settings: &Settings,
    out: &mut Output,
) -> Result<Exit, Failure> {
    let dir = args.dir.canonicalize().map_err(|error| {
        Failure::usage(format_args!("can't use `{}`: {error}", args.dir.display()))
    })?;
    let commit = git(&dir, &["rev-parse", "HEAD"])?;
    let branch = git(&dir, &["symbolic-ref", "HEAD"])?;
    let message = git(&dir, &["log", "-1", "--format=%B"])?;
    let author = match &args.author {
        Some(author) => author.clone(),
        None => git(&dir, &["log", "-1", "--format=%an"])?,
    };
    let url = url::Url::from_directory_path(&dir)
        .map_err(|()| Failure::usage(format_args!("`{}` makes no URL", dir.display())))?;
    let body = json!({
        "ref": branch,
        "before": "0".repeat(commit.len()),
        "after": commit,
        "deleted": false,
        "repository": {"full_name": args.repo, "clone_url": url.as_str()},
        "pusher": {"name": author},
        "head_commit": {"id": commit, "message": message, "author": {"name": author}},
    })
    .to_string();
    let secret = webhook_secret(settings)
        .map_err(|error| Failure::unable(format_args!("can't read the webhook secret: {error}")))?;
    let signature = github::sign(&secret, body.as_bytes());
    let client = client::Client::new(&settings.server_url)?;
    let pipeline = client.send_webhook("push", &signature, body).await?;
    out.line(pipeline)?;
    Ok(Exit::Success)
}

fn git(dir: &Path, args: &[&str]) -> Result<String, Failure> {
    let output = Command::new("git")
        .arg("-C")
        .arg(dir)
        .args(args)
        .output()
        .map_err(|error| Failure::unable(format_args!("could not run git: {error}")))?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        let words = words.lines().next().unwrap_or("it said nothing").to_owned();
        return Err(Failure::usage(format_args!(
            "`{}` has no commit to send: {words}",
            dir.display()
        )));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
