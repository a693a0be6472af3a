//! `popsicle cancel`: ends a pipeline early.

use clap::Args;
use model::PipelineId;

use super::{connect, list};
use crate::error::{Exit, Failure};
use crate::output::Output;
use crate::settings::Settings;

/// Which pipeline.
#[derive(Debug, Args)]
pub struct CancelArgs {
    /// The pipeline's number
    pipeline: PipelineId,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Carries out the command. Jobs that run are told to end; the pipeline may be a moment from its end.
pub async fn run(
    args: &CancelArgs,
    settings: &Settings,
    out: &mut Output,
) -> Result<Exit, Failure> {
    let pipeline = connect(settings)?.cancel(args.pipeline).await?;
    if args.json {
        out.json(&pipeline)?;
    } else {
        out.line(list::line(&pipeline))?;
    }
    Ok(Exit::Success)
}
