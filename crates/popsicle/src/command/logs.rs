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
        ..LogQuery::default()
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

/// The longest line, in bytes; a longer one comes in parts. Something that only prints `\r` must not be
/// kept in memory whole.
const LONGEST: usize = 1 << 20;

/// Cuts bytes into lines of text.
#[derive(Debug, Default)]
struct Lines {
    begun: Vec<u8>,
}

impl Lines {
    /// The lines that these bytes complete, without their ends.
    fn feed(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        let mut pieces = bytes.split(|byte| *byte == b'\n');
        let rest = pieces.next_back().unwrap_or_default();
        for piece in pieces {
            self.begun.extend_from_slice(piece);
            lines.push(self.line());
        }
        self.begun.extend_from_slice(rest);
        if self.begun.len() >= LONGEST {
            lines.push(self.line());
        }
        lines
    }

    fn line(&mut self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.begun)).into_owned()
    }

    /// What is left once no more comes.
    fn rest(&mut self) -> Vec<String> {
        if self.begun.is_empty() {
            return Vec::new();
        }
        vec![self.line()]
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

    #[test]
    fn a_line_without_an_end_comes_in_parts() {
        let mut lines = Lines::default();
        let piece = [b'x'; 64 << 10];
        let parts: Vec<usize> = (0..64)
            .flat_map(|_| lines.feed(&piece))
            .map(|part| part.len())
            .collect();
        assert_eq!(parts, [LONGEST; 4]);
        assert!(lines.rest().is_empty());
    }
}
