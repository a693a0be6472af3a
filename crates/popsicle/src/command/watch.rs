//! `popsicle watch`: follows a pipeline to its end, a line for each change.
//!
//! It lives on the server's events, and reads the pipeline itself first, last, and now and then in
//! between, so that an event that got lost costs time and nothing else.

use std::collections::BTreeMap;
use std::time::Duration;

use api::{Event, EventBody, Job, PipelineDetail};
use clap::Args;
use client::Client;
use indicatif::{ProgressBar, ProgressStyle};
use model::{JobId, PipelineId, Status, Timestamp};

use super::{connect, jobs, list};
use crate::error::{Exit, Failure};
use crate::output::{Output, clean, painted};
use crate::settings::Settings;

/// How long to go without looking at the pipeline itself.
const LOOK: Duration = Duration::from_secs(30);

/// Which pipeline.
#[derive(Debug, Args)]
pub struct WatchArgs {
    /// The pipeline's number
    pipeline: PipelineId,
    /// Print each event as a line of JSON
    #[arg(long)]
    json: bool,
}

/// Carries out the command.
pub async fn run(args: &WatchArgs, settings: &Settings, out: &mut Output) -> Result<Exit, Failure> {
    follow(&connect(settings)?, args.pipeline, args.json, out).await
}

/// Follows a pipeline to its end; the exit code tells how it ended.
pub async fn follow(
    client: &Client,
    id: PipelineId,
    json: bool,
    out: &mut Output,
) -> Result<Exit, Failure> {
    // Listen before looking, so that nothing falls between.
    let mut events = client.events(None).await?;
    let pipeline = client.pipeline(id).await?;
    let mut board = Board::new(json, out);
    if !json {
        board.print(&format!("#{id} [{}]", list::source(&pipeline)))?;
    }
    board.look(&pipeline)?;
    let mut pipeline = pipeline;
    while !pipeline.status.is_ended() {
        let ended = match tokio::time::timeout(LOOK, events.next()).await {
            Ok(event) => board.hear(&event?, id)?,
            Err(_) => true,
        };
        if ended {
            match client.pipeline(id).await {
                Ok(seen) => {
                    pipeline = seen;
                    board.look(&pipeline)?;
                }
                // The events go on once the server is there again, or tell that it stays away.
                Err(error) if error.is_passing() => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    board.end(&pipeline)
}

/// What is known of the pipeline's jobs, and has been told.
struct Board<'a> {
    out: &'a mut Output,
    json: bool,
    told: BTreeMap<JobId, Told>,
    /// The jobs as they were last seen whole, for their names.
    jobs: Vec<Job>,
    spinner: Option<ProgressBar>,
}

struct Told {
    name: String,
    status: Status,
    attempt: u32,
}

impl<'a> Board<'a> {
    fn new(json: bool, out: &'a mut Output) -> Self {
        let spinner = (out.to_terminal() && !json).then(|| {
            let style = ProgressStyle::with_template("{spinner} {wide_msg} {elapsed}");
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = style {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        Self {
            out,
            json,
            told: BTreeMap::new(),
            jobs: Vec::new(),
            spinner,
        }
    }

    /// Tells what is new in the whole pipeline.
    fn look(&mut self, pipeline: &PipelineDetail) -> Result<(), Failure> {
        self.jobs.clone_from(&pipeline.jobs);
        for job in &pipeline.jobs {
            let name = jobs::label(job, &pipeline.jobs);
            let took = match (job.start_time, job.end_time) {
                (Some(start), Some(end)) => format!(" ({})", span(start, end)),
                (_, _) => String::new(),
            };
            self.tell(
                job.id,
                name,
                job.status,
                job.attempt,
                job.reason.as_deref(),
                &took,
            )?;
        }
        self.refresh();
        Ok(())
    }

    /// Tells what an event says, if it is about this pipeline; whether it is time to look at the whole.
    fn hear(&mut self, event: &Event, id: PipelineId) -> Result<bool, Failure> {
        if event.pipeline != id {
            return Ok(false);
        }
        if self.json {
            self.out.json_line(event)?;
        }
        match &event.body {
            EventBody::Pipeline { status, .. } => Ok(status.is_ended()),
            // With what the event does not tell: how long it took.
            EventBody::Job { status, .. } if status.is_ended() => Ok(true),
            EventBody::Job {
                job,
                name,
                status,
                attempt,
                reason,
                ..
            } => {
                let known = self.jobs.iter().find(|known| known.id == *job);
                let name = match known {
                    Some(known) => jobs::label(known, &self.jobs),
                    None => clean(name).into_owned(),
                };
                self.tell(*job, name, *status, *attempt, reason.as_deref(), "")?;
                self.refresh();
                Ok(false)
            }
            EventBody::Step { .. } => Ok(false),
        }
    }

    /// Tells a job's status, unless it was told already or is older than what was.
    fn tell(
        &mut self,
        id: JobId,
        name: String,
        status: Status,
        attempt: u32,
        reason: Option<&str>,
        took: &str,
    ) -> Result<(), Failure> {
        let age = |attempt: u32, status: Status| (status.is_ended(), attempt, rank(status));
        if let Some(told) = self.told.get(&id)
            && age(attempt, status) <= age(told.attempt, told.status)
        {
            return Ok(());
        }
        let reason = reason.map_or_else(String::new, |reason| format!(": {}", clean(reason)));
        let again = if attempt > 1 && status == Status::Running {
            format!(", attempt {attempt}")
        } else {
            String::new()
        };
        let word = painted(status, status.as_str());
        let line = format!("  {name}  {word}{again}{reason}{took}");
        let is_news = status != Status::Blocked && !self.json;
        let told = Told {
            name,
            status,
            attempt,
        };
        self.told.insert(id, told);
        if is_news { self.print(&line) } else { Ok(()) }
    }

    fn print(&mut self, line: &str) -> Result<(), Failure> {
        let out = &mut *self.out;
        match &self.spinner {
            Some(spinner) => spinner.suspend(|| out.line(line)),
            None => out.line(line),
        }
    }

    /// Names on the terminal's last line what runs now.
    fn refresh(&self) {
        if let Some(spinner) = &self.spinner {
            let running: Vec<&str> = self
                .told
                .values()
                .filter(|told| told.status == Status::Running)
                .map(|told| told.name.as_str())
                .collect();
            spinner.set_message(if running.is_empty() {
                "waiting".to_owned()
            } else {
                running.join(", ")
            });
        }
    }

    /// Tells how it all ended.
    fn end(self, pipeline: &PipelineDetail) -> Result<Exit, Failure> {
        if let Some(spinner) = &self.spinner {
            spinner.finish_and_clear();
        }
        let exit = match pipeline.status {
            Status::Success | Status::Skipped => Exit::Success,
            Status::Failure
            | Status::Error
            | Status::Canceled
            | Status::Blocked
            | Status::OnHold
            | Status::Queued
            | Status::Running => Exit::Failed,
        };
        if self.json {
            self.out.json_line(pipeline)?;
            return Ok(exit);
        }
        let took = match (pipeline.start_time, pipeline.end_time) {
            (Some(start), Some(end)) => format!(" ({})", span(start, end)),
            (_, _) => String::new(),
        };
        let word = painted(pipeline.status, pipeline.status.as_str());
        self.out
            .line(format_args!("#{} {word}{took}", pipeline.id))?;
        for line in pipeline.reason.iter().flat_map(|reason| reason.lines()) {
            self.out.line(format_args!("  {}", clean(line)))?;
        }
        for line in pipeline.warnings.iter().flat_map(|text| text.lines()) {
            self.out.say(clean(line));
        }
        for job in pipeline
            .jobs
            .iter()
            .filter(|job| job.status == Status::Failure)
        {
            let name = jobs::label(job, &pipeline.jobs);
            self.out.say(format_args!(
                "its log: popsicle logs {} {name}",
                pipeline.id
            ));
        }
        Ok(exit)
    }
}

/// How far along a status is; events are told in this order within an attempt.
fn rank(status: Status) -> u8 {
    match status {
        Status::Blocked => 0,
        Status::OnHold => 1,
        Status::Queued => 2,
        Status::Running => 3,
        Status::Success | Status::Failure | Status::Error | Status::Canceled | Status::Skipped => 4,
    }
}

/// `0.8s`, `12s`, `1m 5s`.
fn span(start: Timestamp, end: Timestamp) -> String {
    let duration = end.since(start);
    let seconds = duration.as_secs();
    if seconds < 10 {
        return format!("{:.1}s", duration.as_secs_f64());
    }
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, _) => format!("{minutes}m {seconds}s"),
        (_, _) => format!("{hours}h {minutes}m"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_short() {
        let took = |ms: i64| span(Timestamp::default(), Timestamp::from_millis(ms));
        assert_eq!(took(840), "0.8s");
        assert_eq!(took(12_900), "12s");
        assert_eq!(took(65_000), "1m 5s");
        assert_eq!(took(3_720_000), "1h 2m");
    }
}
