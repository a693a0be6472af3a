//! `popsicle open`: a pipeline's page, in a browser where there is one.

use std::process::{Command, Stdio};

use clap::Args;
use model::PipelineId;
use serde::Serialize;

use super::connect;
use crate::error::{Exit, Failure};
use crate::output::Output;
use crate::settings::Settings;

/// Which pipeline.
#[derive(Debug, Args)]
pub struct OpenArgs {
    /// The pipeline's number
    pipeline: PipelineId,
    /// Print the address only
    #[arg(long)]
    print: bool,
    /// Print the address only, as JSON
    #[arg(long)]
    json: bool,
}

/// A pipeline's page, for programs.
#[derive(Debug, Serialize)]
struct Page<'a> {
    pipeline_id: PipelineId,
    url: &'a str,
}

/// Carries out the command: prints the address, and opens it if somebody sits at a screen.
pub async fn run(args: &OpenArgs, settings: &Settings, out: &mut Output) -> Result<Exit, Failure> {
    let client = connect(settings)?;
    let pipeline = client.pipeline(args.pipeline).await?;
    let mut url = client.url(&["ui", "pipelines", &pipeline.id.to_string()]);
    // Only an address without a host refuses these, and the client has one.
    let _ = url.set_password(None);
    let _ = url.set_username("");
    if args.json {
        out.json(&Page {
            pipeline_id: pipeline.id,
            url: url.as_str(),
        })?;
        return Ok(Exit::Success);
    }
    out.line(&url)?;
    if !args.print
        && out.to_terminal()
        && let Some(opener) = opener()
        && let Err(error) = browse(opener, url.as_str())
    {
        out.say(format_args!("{opener} could not be started: {error}"));
    }
    Ok(Exit::Success)
}

/// The program that opens addresses on this machine, if it has a screen.
fn opener() -> Option<&'static str> {
    if cfg!(target_os = "macos") {
        return Some("open");
    }
    let has_screen = ["DISPLAY", "WAYLAND_DISPLAY"]
        .iter()
        .any(|name| std::env::var_os(name).is_some());
    let path = std::env::var_os("PATH")?;
    let exists = std::env::split_paths(&path).any(|dir| dir.join("xdg-open").is_file());
    (has_screen && exists).then_some("xdg-open")
}

/// Starts the opener and leaves it to itself: the browser outlives this command.
fn browse(opener: &str, url: &str) -> std::io::Result<()> {
    Command::new(opener)
        .arg(url)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map(drop)
}
