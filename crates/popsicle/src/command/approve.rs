//! `popsicle approve`: lets a job go on that waits for a person.

use clap::Args;
use model::PipelineId;

use super::{connect, jobs};
use crate::error::{Exit, Failure};
use crate::output::{Output, painted};
use crate::settings::Settings;

/// Which job.
#[derive(Debug, Args)]
pub struct ApproveArgs {
    /// The pipeline's number
    pipeline: PipelineId,
    /// The job's name, `workflow/name` or number
    job: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Carries out the command.
pub async fn run(
    args: &ApproveArgs,
    settings: &Settings,
    out: &mut Output,
) -> Result<Exit, Failure> {
    let client = connect(settings)?;
    let pipeline = client.pipeline(args.pipeline).await?;
    let wanted = jobs::find(&pipeline, &args.job)?;
    let job = client.approve(pipeline.id, wanted.id).await?;
    if args.json {
        out.json(&job)?;
    } else {
        let status = painted(job.status, job.status.as_str());
        out.line(format_args!(
            "{} {status}",
            jobs::label(&job, &pipeline.jobs)
        ))?;
    }
    Ok(Exit::Success)
}
