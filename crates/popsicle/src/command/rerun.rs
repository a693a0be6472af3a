//! `popsicle rerun`: runs a pipeline again, as a new one.

use clap::{Args, ValueEnum};
use model::{PipelineId, RerunFrom};

use super::{connect, list, watch};
use crate::error::{Exit, Failure};
use crate::output::Output;
use crate::settings::Settings;

/// What to run again.
#[derive(Debug, Args)]
pub struct RerunArgs {
    /// The pipeline's number
    pipeline: PipelineId,
    /// Which of its jobs: all of them, or those that did not succeed
    #[arg(long, value_enum, default_value_t = From::Start)]
    from: From,
    /// Follow the new pipeline to its end; exits with its result
    #[arg(long, short)]
    watch: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum From {
    Start,
    Failed,
}

/// Carries out the command.
pub async fn run(args: &RerunArgs, settings: &Settings, out: &mut Output) -> Result<Exit, Failure> {
    let client = connect(settings)?;
    let from = match args.from {
        From::Start => RerunFrom::Start,
        From::Failed => RerunFrom::Failed,
    };
    let pipeline = client.rerun(args.pipeline, from).await?;
    if args.watch {
        return watch::follow(&client, pipeline.id, args.json, out).await;
    }
    if args.json {
        out.json(&pipeline)?;
    } else {
        out.line(list::line(&pipeline))?;
    }
    Ok(Exit::Success)
}
