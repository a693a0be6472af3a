//! How pipelines go, told to who pushed, line by line.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use api::{Build, Event, EventBody, Job, LogQuery, PipelineDetail};
use client::{Client, ClientError, Events};
use model::{JobId, PipelineId, Status, StepState};
use tokio::time::Instant;

use crate::command::jobs;
use crate::error::Failure;
use crate::output::{Output, clean};

/// How long a push is held up by its pipelines.
const LONGEST: Duration = Duration::from_secs(60 * 60);
/// How long to go without looking at the pipelines themselves.
const LOOK: Duration = Duration::from_secs(30);
/// How many last lines of a step that failed are shown.
const LINES: u64 = 20;
/// How much of them is read, in bytes.
const READ: usize = 64 << 10;

/// Follows pipelines until each has ended, waits for a person, or can't be heard of any more.
pub(super) async fn follow(
    client: &Client,
    mut events: Events,
    builds: &[Build],
    out: &mut Output,
) -> Result<(), Failure> {
    let mut board = Board {
        client,
        several: builds.len() > 1,
        open: builds.iter().map(|build| (build.id, false)).collect(),
        told: HashMap::new(),
        steps: HashSet::new(),
        names: HashMap::new(),
        out,
    };
    let deadline = Instant::now() + LONGEST;
    let gone = loop {
        let ids: Vec<PipelineId> = board.stale();
        for id in ids {
            match client.pipeline(id).await {
                Ok(pipeline) => board.look(&pipeline).await?,
                Err(error) => return board.leave(&error.to_string()),
            }
        }
        if board.open.is_empty() {
            return Ok(());
        }
        tokio::select! {
            heard = tokio::time::timeout(LOOK, events.next()) => match heard {
                Ok(Ok(event)) => board.hear(&event).await?,
                Ok(Err(error)) => break error,
                // Something may have been missed.
                Err(_) => board.forget(),
            },
            () = tokio::time::sleep_until(deadline) => {
                return board.leave("it takes long");
            }
        }
    };
    board.leave(&gone.to_string())
}

struct Board<'a> {
    client: &'a Client,
    /// Whether lines have to say of which pipeline they are.
    several: bool,
    /// The pipelines that go on, and whether they were looked at since something big changed.
    open: BTreeMap<PipelineId, bool>,
    /// What was told of each job: its attempt and status.
    told: HashMap<JobId, (u32, Status)>,
    /// The steps whose end was told: of which job, in which attempt, which.
    steps: HashSet<(JobId, u32, u32)>,
    /// How jobs are called.
    names: HashMap<JobId, String>,
    out: &'a mut Output,
}

impl Board<'_> {
    fn stale(&self) -> Vec<PipelineId> {
        let stale = self.open.iter().filter(|(_, seen)| !**seen);
        stale.map(|(id, _)| *id).collect()
    }

    fn forget(&mut self) {
        self.open.values_mut().for_each(|seen| *seen = false);
    }

    /// Tells what is new in a whole pipeline.
    async fn look(&mut self, pipeline: &PipelineDetail) -> Result<(), Failure> {
        let id = pipeline.id;
        for job in &pipeline.jobs {
            self.names.insert(job.id, jobs::label(job, &pipeline.jobs));
        }
        for job in &pipeline.jobs {
            self.tell(id, job).await?;
        }
        if pipeline.status.is_ended() {
            self.open.remove(&id);
            self.line(id, &format!("#{id} {}", pipeline.status))?;
            // Of a pipeline with jobs, those have said why.
            let reasons = pipeline.reason.iter().filter(|_| pipeline.jobs.is_empty());
            for line in reasons.flat_map(|reason| reason.lines()) {
                self.line(id, &format!("  {}", clean(line)))?;
            }
        } else if pipeline.status == Status::OnHold {
            self.open.remove(&id);
            let held = pipeline
                .jobs
                .iter()
                .find(|job| job.status == Status::OnHold);
            let name = held.and_then(|job| self.names.get(&job.id)).cloned();
            let name = name.unwrap_or_default();
            self.line(id, &format!("#{id} waits: popsicle approve {id} {name}"))?;
        } else {
            self.open.insert(id, true);
        }
        Ok(())
    }

    /// Tells a job's status, if it is news to who watches.
    async fn tell(&mut self, id: PipelineId, job: &Job) -> Result<(), Failure> {
        let is_news = match job.status {
            Status::Blocked | Status::OnHold | Status::Queued => false,
            Status::Running
            | Status::Success
            | Status::Failure
            | Status::Error
            | Status::Canceled
            | Status::Skipped => true,
        };
        let now = (job.attempt, job.status);
        if !is_news || self.told.get(&job.id) == Some(&now) {
            return Ok(());
        }
        self.told.insert(job.id, now);
        let name = self.names.get(&job.id).cloned();
        let name = name.unwrap_or_else(|| clean(&job.job_name).into_owned());
        let reason = job.reason.as_deref().unwrap_or_default();
        let reason = if reason.is_empty() {
            String::new()
        } else {
            format!("  ({})", clean(reason))
        };
        if job.status == Status::Failure {
            self.tail(id, job).await?;
        }
        self.line(id, &format!("{name}  {}{reason}", job.status))
    }

    /// The last lines of the step that failed. Where they can't be had, the page has them.
    async fn tail(&mut self, id: PipelineId, job: &Job) -> Result<(), Failure> {
        let Ok(lines) = last_lines(self.client, id, job.id).await else {
            return Ok(());
        };
        for line in lines.lines() {
            let line = anstream::adapter::strip_str(line).to_string();
            self.line(id, &format!("    | {}", clean(line.trim_end())))?;
        }
        Ok(())
    }

    async fn hear(&mut self, event: &Event) -> Result<(), Failure> {
        let id = event.pipeline;
        if !self.open.contains_key(&id) {
            return Ok(());
        }
        match &event.body {
            // A step's end tells more than its begin, and a job's more than that.
            EventBody::Step {
                job,
                attempt,
                index,
                name,
                step: StepState::Ended { exit_code, .. },
            } => {
                if !self.steps.insert((*job, *attempt, *index)) {
                    return Ok(());
                }
                let status = match exit_code {
                    0 => "success".to_owned(),
                    code => format!("failure (exit code {code})"),
                };
                let of = self.names.get(job).cloned().unwrap_or_default();
                self.line(id, &format!("  {of}: {}  {status}", clean(name)))
            }
            EventBody::Step {
                step: StepState::Running { .. } | StepState::Skipped,
                ..
            } => Ok(()),
            EventBody::Pipeline { .. } | EventBody::Job { .. } => {
                self.open.insert(id, false);
                Ok(())
            }
        }
    }

    fn line(&mut self, id: PipelineId, text: &str) -> Result<(), Failure> {
        if self.several && !text.starts_with('#') {
            self.out.line(format_args!("popsicle: #{id} {text}"))
        } else {
            self.out.line(format_args!("popsicle: {text}"))
        }
    }

    /// Ends the telling; the pipelines go on.
    fn leave(&mut self, why: &str) -> Result<(), Failure> {
        let ids: Vec<String> = self.open.keys().map(|id| format!("#{id}")).collect();
        let line = format!(
            "{}; not waiting for {} any more",
            clean(why),
            ids.join(", ")
        );
        self.out.line(format_args!("popsicle: {line}"))
    }
}

async fn last_lines(client: &Client, id: PipelineId, job: JobId) -> Result<String, ClientError> {
    let steps = client.steps(id, job).await?;
    let failed = steps.iter().find(|step| step.status == Status::Failure);
    let query = LogQuery {
        step: failed.map(|step| step.index),
        tail: Some(LINES),
        ..LogQuery::default()
    };
    let mut log = client.log(id, job, &query).await?;
    let mut text = Vec::new();
    while let Some(bytes) = log.next().await? {
        text.extend_from_slice(&bytes);
        if text.len() > READ {
            break;
        }
    }
    text.truncate(READ);
    Ok(String::from_utf8_lossy(&text).into_owned())
}
