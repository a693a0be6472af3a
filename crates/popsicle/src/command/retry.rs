//! `popsicle retry`: runs a job again, in the same pipeline.

use clap::Args;
use model::PipelineId;

use super::{connect, jobs, watch};
use crate::error::{Exit, Failure};
use crate::output::{Output, painted};
use crate::settings::Settings;

/// Which job.
#[derive(Debug, Args)]
pub struct RetryArgs {
    /// The pipeline's number
    pipeline: PipelineId,
    /// The job's name, `workflow/name` or number
    job: String,
    /// Follow the pipeline to its end; exits with its result
    #[arg(long, short)]
    watch: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Carries out the command.
pub async fn run(args: &RetryArgs, settings: &Settings, out: &mut Output) -> Result<Exit, Failure> {
    let client = connect(settings)?;
    let pipeline = client.pipeline(args.pipeline).await?;
    let wanted = jobs::find(&pipeline, &args.job)?;
    let job = client.retry(pipeline.id, wanted.id).await?;
    if args.watch {
        return watch::follow(&client, pipeline.id, args.json, out).await;
    }
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
