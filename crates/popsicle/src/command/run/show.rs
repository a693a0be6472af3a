//! What people see of a pipeline that runs here: jobs and steps as they go, all output if they want it,
//! and what the failing step said last.

use std::collections::BTreeMap;
use std::time::Duration;

use engine::Engine;
use indicatif::{ProgressBar, ProgressStyle};
use model::{Event, EventBody, JobId, Outcome, Status, StepState};
use owo_colors::OwoColorize;
use store::{Pipeline, Step};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::error::{Exit, Failure};
use crate::output::{Output, clean, painted};

/// How many lines of a failing step are shown at the end.
const LAST_LINES: usize = 20;
/// How much of a log's end is read for them.
const LAST_BYTES: u64 = 64 << 10;
/// How many lines of output may wait to be shown; a job's log waits in its file.
const QUEUE: usize = 256;

/// A line of a job's output.
#[derive(Debug)]
pub struct Line {
    job: String,
    text: String,
}

/// Tells what happens.
#[derive(Debug)]
pub struct Show<'a> {
    engine: Engine,
    out: &'a mut Output,
    verbose: bool,
    spinner: Option<ProgressBar>,
    running: BTreeMap<JobId, String>,
    followers: JoinSet<()>,
    lines: mpsc::Receiver<Line>,
    sender: mpsc::Sender<Line>,
}

impl<'a> Show<'a> {
    /// Tells nothing yet.
    pub fn new(engine: Engine, verbose: bool, out: &'a mut Output) -> Self {
        let spinner = out.to_terminal().then(|| {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg} {elapsed}") {
                bar.set_style(style);
            }
            bar.set_message("preparing");
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        let (sender, lines) = mpsc::channel(QUEUE);
        Self {
            engine,
            out,
            verbose,
            spinner,
            running: BTreeMap::new(),
            followers: JoinSet::new(),
            lines,
            sender,
        }
    }

    /// Tells of a change.
    pub async fn event(&mut self, event: &Event) -> Result<(), Failure> {
        match &event.body {
            EventBody::Pipeline { .. } => Ok(()),
            EventBody::Job {
                job,
                name,
                status,
                attempt,
                reason,
                ..
            } => {
                let is_waiting = matches!(status, Status::Blocked | Status::Queued);
                if *status == Status::Running {
                    self.running.insert(*job, name.clone());
                    if self.verbose && *attempt == 1 {
                        self.follow(*job, name).await;
                    }
                } else {
                    self.running.remove(job);
                }
                self.refresh();
                if is_waiting {
                    return Ok(());
                }
                let reason = reason
                    .as_deref()
                    .map_or_else(String::new, |why| format!(": {}", clean(why)));
                let word = painted(*status, status.as_str());
                self.print(&format!("{}  {word}{reason}", clean(name)))
            }
            EventBody::Step {
                job, name, step, ..
            } => {
                let StepState::Ended {
                    since,
                    at,
                    exit_code,
                } = step
                else {
                    return Ok(());
                };
                let job = self.running.get(job).cloned().unwrap_or_default();
                let took = at.since(*since).as_secs_f64();
                let (mark, code) = match exit_code {
                    0 => ("✓".green().to_string(), String::new()),
                    code => ("✗".red().to_string(), format!(", exit code {code}")),
                };
                self.print(&format!(
                    "{}  {mark} {} ({took:.1}s{code})",
                    clean(&job),
                    clean(name)
                ))
            }
        }
    }

    /// The next line of output, if output is shown. Can be dropped and called again.
    pub async fn next_line(&mut self) -> Line {
        match self.lines.recv().await {
            Some(line) => line,
            // We hold a sender, so this does not happen; waiting for ever is what it would mean.
            None => std::future::pending().await,
        }
    }

    /// Shows a line of output.
    pub fn output(&mut self, line: &Line) -> Result<(), Failure> {
        let Line { job, text } = line;
        self.print(&format!("{} {text}", format_args!("{job} │").dimmed()))
    }

    /// Says something beside the result.
    pub fn say(&mut self, text: &str) {
        match &self.spinner {
            Some(spinner) => spinner.suspend(|| self.out.say(text)),
            None => self.out.say(text),
        }
    }

    /// Tells how it ended; the exit code for it.
    pub async fn end(mut self, pipeline: &Pipeline) -> Result<Exit, Failure> {
        if let Some(spinner) = self.spinner.take() {
            spinner.finish_and_clear();
        }
        // What is shown makes room for what is read, so both go on together.
        loop {
            tokio::select! {
                Some(line) = self.lines.recv() => self.output(&line)?,
                ended = self.followers.join_next() => if ended.is_none() { break },
            }
        }
        while let Ok(line) = self.lines.try_recv() {
            self.output(&line)?;
        }
        let jobs = self
            .engine
            .store()
            .jobs_of(pipeline.id)
            .await
            .map_err(Failure::unable)?;
        for job in jobs
            .iter()
            .filter(|job| job.state.status() == Status::Failure)
        {
            self.last_words(job).await?;
        }
        for line in pipeline
            .reason
            .iter()
            .filter(|_| jobs.is_empty())
            .flat_map(|text| text.lines())
        {
            self.out.line(clean(line))?;
        }
        let took = match (pipeline.started, pipeline.ended) {
            (Some(started), Some(ended)) => {
                format!(" ({:.1}s)", ended.since(started).as_secs_f64())
            }
            (_, _) => String::new(),
        };
        self.out.line(format_args!(
            "{}{took}",
            painted(pipeline.status, pipeline.status.as_str())
        ))?;
        Ok(if pipeline.status == Status::Success {
            Exit::Success
        } else {
            Exit::Failed
        })
    }

    /// What the failing step of a job said last.
    async fn last_words(&mut self, job: &store::Job) -> Result<(), Failure> {
        let attempt = job.state.attempt();
        let store = self.engine.store();
        let steps = store
            .steps(job.id, attempt)
            .await
            .map_err(Failure::unable)?;
        // What failed in the background failed alone.
        let failed = match job.state.outcome() {
            Some(Outcome::Failure(
                model::Failure::Step { index, .. } | model::Failure::Silent { index, .. },
            )) => steps.into_iter().find(|step| step.index == *index),
            _ => steps
                .into_iter()
                .rfind(|step| step.state.status() == Status::Failure),
        };
        let title = match &failed {
            Some(step) => format!("{}, step \"{}\":", clean(&job.name), clean(&step.name)),
            None => format!("{}:", clean(&job.name)),
        };
        let logs = self.engine.logs().clone();
        let (pipeline, id) = (job.pipeline, job.id);
        let read = tokio::task::spawn_blocking(move || -> Result<Vec<u8>, store::StoreError> {
            let log = logs.reader(pipeline, id, attempt)?;
            let (start, end) = range(failed.as_ref(), log.len()?);
            let from = start.max(end.saturating_sub(LAST_BYTES));
            log.read_at(from, usize::try_from(end - from).unwrap_or(usize::MAX))
        });
        let Ok(Ok(bytes)) = read.await else {
            return Ok(());
        };
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text.lines().collect();
        if lines.is_empty() {
            return Ok(());
        }
        self.out.line("")?;
        self.out.line(title.bold())?;
        for line in &lines[lines.len().saturating_sub(LAST_LINES)..] {
            self.out.line(format_args!("  {line}"))?;
        }
        self.out.line("")
    }

    /// Starts to show a job's output, line by line.
    async fn follow(&mut self, job: JobId, name: &str) {
        let Ok(mut log) = self.engine.follow(job, 0).await else {
            return;
        };
        let (sender, name) = (self.sender.clone(), clean(name).into_owned());
        self.followers.spawn(async move {
            let mut rest = Vec::new();
            while let Ok(Some(bytes)) = log.next().await {
                rest.extend_from_slice(&bytes);
                for line in take_lines(&mut rest, bytes.len()) {
                    let text = String::from_utf8_lossy(&line).into_owned();
                    if sender
                        .send(Line {
                            job: name.clone(),
                            text,
                        })
                        .await
                        .is_err()
                    {
                        return;
                    }
                }
            }
            if !rest.is_empty() {
                let text = String::from_utf8_lossy(&rest).into_owned();
                // Nobody shows it if the command is over.
                let _ = sender.send(Line { job: name, text }).await;
            }
        });
    }

    fn print(&mut self, line: &str) -> Result<(), Failure> {
        let out = &mut *self.out;
        match &self.spinner {
            Some(spinner) => spinner.suspend(|| out.line(line)),
            None => out.line(line),
        }
    }

    fn refresh(&self) {
        if let Some(spinner) = &self.spinner {
            let names: Vec<&str> = self.running.values().map(String::as_str).collect();
            spinner.set_message(if names.is_empty() {
                "waiting".to_owned()
            } else {
                names.join(", ")
            });
        }
    }
}

/// Takes the lines that the last `new` bytes have ended, without their ends. What has no end is cut off at
/// a megabyte, so that a progress bar of any length takes neither time nor memory.
fn take_lines(text: &mut Vec<u8>, new: usize) -> Vec<Vec<u8>> {
    const LONGEST: usize = 1 << 20;
    let mut lines = Vec::new();
    let (mut start, mut searched) = (0, text.len() - new);
    while let Some(found) = text[searched..].iter().position(|byte| *byte == b'\n') {
        let end = searched + found;
        lines.push(text[start..end].to_vec());
        start = end + 1;
        searched = start;
    }
    text.drain(..start);
    if text.len() >= LONGEST {
        lines.push(std::mem::take(text));
    }
    lines
}

/// Where a step's output is in the log.
fn range(step: Option<&Step>, length: u64) -> (u64, u64) {
    match step {
        Some(step) => (
            step.log_start.min(length),
            step.log_end.unwrap_or(length).min(length),
        ),
        None => (0, length),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_taken_as_they_end() {
        let mut text = b"one\ntw".to_vec();
        assert_eq!(take_lines(&mut text, 6), [b"one".to_vec()]);
        text.extend_from_slice(b"o\n\nthree");
        assert_eq!(take_lines(&mut text, 8), [b"two".to_vec(), Vec::new()]);
        assert_eq!(text, b"three");
        text.resize(1 << 20, b'.');
        assert_eq!(take_lines(&mut text, (1 << 20) - 5).len(), 1);
        assert!(text.is_empty());
    }
}
