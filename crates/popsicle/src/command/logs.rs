//! `popsicle logs`: a job's log, as it was written.

use api::{Job, LogQuery, PipelineDetail};
use clap::Args;
use client::Client;
use model::PipelineId;
use serde::Serialize;

use super::{connect, jobs};
use crate::error::{Exit, Failure};
use crate::output::{Output, clean};
use crate::settings::Settings;

/// Which log.
#[derive(Debug, Args)]
pub struct LogsArgs {
    /// The pipeline's number
    pipeline: PipelineId,
    /// The job's name, `workflow/name` or number; may be left out if there is only one
    job: Option<String>,
    /// Go on until the job has ended
    #[arg(long, short)]
    follow: bool,
    /// Only this step's output: its name, or its place from 0
    #[arg(long, value_name = "STEP")]
    step: Option<String>,
    /// Only so many last lines
    #[arg(long, value_name = "N")]
    tail: Option<u64>,
    /// Print a JSON object for each line
    #[arg(long)]
    json: bool,
}

/// One line of a log, for programs.
#[derive(Debug, Serialize)]
struct Line<'a> {
    pipeline_id: PipelineId,
    job_id: model::JobId,
    job_name: &'a str,
    line: &'a str,
}

/// Carries out the command.
pub async fn run(args: &LogsArgs, settings: &Settings, out: &mut Output) -> Result<Exit, Failure> {
    let client = connect(settings)?;
    let pipeline = client.pipeline(args.pipeline).await?;
    let job = match &args.job {
        Some(wanted) => jobs::find(&pipeline, wanted)?,
        None => jobs::choose(&pipeline, out)?,
    };
    let step = match &args.step {
        Some(wanted) => Some(step(&client, &pipeline, job, wanted).await?),
        None => None,
    };
    let query = LogQuery {
        step,
        tail: args.tail,
        follow: args.follow.then_some(true),
        attempt: None,
    };
    let mut log = client.log(pipeline.id, job.id, &query).await?;
    if args.json {
        let mut lines = Lines::default();
        loop {
            let bytes = log.next().await?;
            let ready = match &bytes {
                Some(bytes) => lines.feed(bytes),
                None => lines.rest(),
            };
            for line in ready {
                out.json_line(&Line {
                    pipeline_id: pipeline.id,
                    job_id: job.id,
                    job_name: &job.job_name,
                    line: &line,
                })?;
            }
            if bytes.is_none() {
                return Ok(Exit::Success);
            }
        }
    }
    let name = jobs::label(job, &pipeline.jobs);
    out.line(format_args!(
        "--- Log for pipeline {}, job \"{name}\" ---",
        pipeline.id
    ))?;
    let mut last = None;
    while let Some(bytes) = log.next().await? {
        last = bytes.last().copied().or(last);
        out.bytes(&bytes)?;
    }
    if out.to_terminal() && last.is_some_and(|byte| byte != b'\n') {
        out.bytes(b"\n")?;
    }
    Ok(Exit::Success)
}

async fn step(
    client: &Client,
    pipeline: &PipelineDetail,
    job: &Job,
    wanted: &str,
) -> Result<u32, Failure> {
    let steps = client.steps(pipeline.id, job.id).await?;
    let by_name = steps.iter().find(|step| step.name == wanted);
    let found = by_name.or_else(|| steps.iter().find(|step| step.index.to_string() == wanted));
    found.map(|step| step.index).ok_or_else(|| {
        let known: Vec<String> = steps
            .iter()
            .map(|step| format!("{} {}", step.index, clean(&step.name)))
            .collect();
        Failure::usage(format_args!(
            "job `{}` has no step `{}`",
            jobs::label(job, &pipeline.jobs),
            clean(wanted)
        ))
        .hint(if known.is_empty() {
            "none of its steps has started".into()
        } else {
            format!("its steps are {}", known.join(", "))
        })
    })
}

/// Cuts bytes into lines of text.
#[derive(Debug, Default)]
struct Lines {
    begun: Vec<u8>,
}

impl Lines {
    /// The lines that these bytes complete, without their ends.
    fn feed(&mut self, bytes: &[u8]) -> Vec<String> {
        self.begun.extend_from_slice(bytes);
        let Some(end) = self.begun.iter().rposition(|byte| *byte == b'\n') else {
            return Vec::new();
        };
        let whole: Vec<u8> = self.begun.drain(..=end).collect();
        whole[..end]
            .split(|byte| *byte == b'\n')
            .map(|line| String::from_utf8_lossy(line).into_owned())
            .collect()
    }

    /// What is left once no more comes.
    fn rest(&mut self) -> Vec<String> {
        if self.begun.is_empty() {
            return Vec::new();
        }
        self.feed(b"\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_whatever_the_pieces() {
        let text = "a\n\nüb\r\nlast".as_bytes();
        for size in 1..=text.len() {
            let mut lines = Lines::default();
            let mut all: Vec<String> = text.chunks(size).flat_map(|c| lines.feed(c)).collect();
            all.extend(lines.rest());
            assert_eq!(all, ["a", "", "üb\r", "last"], "in pieces of {size}");
            assert!(lines.rest().is_empty());
        }
    }
}
