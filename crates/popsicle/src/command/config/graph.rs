//! `popsicle config graph`: the jobs of each workflow and what they wait for, for people and for the
//! programs that draw.

use std::collections::HashMap;
use std::fmt::Write as _;

use clap::{Args, ValueEnum};
use model::{JobKind, JobSpec, OutcomeKind, Plan, Requirement, WorkflowSpec};
use serde::Serialize;

use super::project::{ConfigArgs, Project, Workflows, refuse};
use crate::error::{Exit, Failure};
use crate::output::{Output, clean};
use crate::settings::Settings;

/// Which config, and in which form.
#[derive(Debug, Args)]
pub struct GraphArgs {
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Form of the graph
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Print JSON
    #[arg(long, conflicts_with = "format")]
    json: bool,
}

/// The form of a graph.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// For people.
    Text,
    /// For Mermaid.
    Mermaid,
    /// For Graphviz.
    Dot,
}

/// Carries out the command.
pub fn run(args: &GraphArgs, settings: &Settings, out: &mut Output) -> Result<Exit, Failure> {
    let project = Project::open(&args.config.path, &args.config.context, settings)?;
    let (compiled, _) = project.compile(Workflows::Triggered);
    let Some(plan) = compiled.plan else {
        return Ok(refuse(&compiled.diagnostics, out));
    };
    if plan.workflows.is_empty() {
        out.say("no workflow runs; `popsicle config explain` says why a job does not");
    }
    if args.json {
        let workflows: Vec<WorkflowReport<'_>> =
            plan.workflows.iter().map(WorkflowReport::new).collect();
        out.json(&workflows)?;
        return Ok(Exit::Success);
    }
    let text = match args.format {
        Format::Text => text(&plan),
        Format::Mermaid => mermaid(&plan),
        Format::Dot => dot(&plan),
    };
    out.bytes(text.as_bytes())?;
    Ok(Exit::Success)
}

/// A workflow for programs.
#[derive(Debug, Serialize)]
struct WorkflowReport<'p> {
    workflow: &'p str,
    jobs: Vec<JobReport<'p>>,
}

#[derive(Debug, Serialize)]
struct JobReport<'p> {
    job: &'p str,
    kind: &'static str,
    requires: Vec<RequirementReport<'p>>,
}

#[derive(Debug, Serialize)]
struct RequirementReport<'p> {
    job: &'p str,
    outcomes: Vec<String>,
}

impl<'p> WorkflowReport<'p> {
    fn new(workflow: &'p WorkflowSpec) -> Self {
        let requirement = |required: &'p Requirement| RequirementReport {
            job: &required.job,
            outcomes: words(required),
        };
        let job = |job: &'p JobSpec| JobReport {
            job: &job.name,
            kind: match job.kind {
                JobKind::Build(_) => "build",
                JobKind::Approval => "approval",
                JobKind::NoOp => "no-op",
            },
            requires: job.requires.iter().map(requirement).collect(),
        };
        Self {
            workflow: &workflow.name,
            jobs: workflow.jobs.iter().map(job).collect(),
        }
    }
}

/// How a required job may end.
fn words(required: &Requirement) -> Vec<String> {
    let outcomes = required.outcomes.iter();
    outcomes
        .map(|outcome| outcome.status().to_string())
        .collect()
}

/// What follows a job's name for people.
fn remark(job: &JobSpec) -> &'static str {
    match job.kind {
        JobKind::Build(_) => "",
        JobKind::Approval => " (waits for an approval)",
        JobKind::NoOp => " (does nothing)",
    }
}

/// How a required job may end, unless that is success alone.
pub(super) fn outcomes(required: &Requirement) -> Option<String> {
    let is_plain =
        required.outcomes.len() == 1 && required.outcomes.contains(&OutcomeKind::Success);
    (!is_plain).then(|| words(required).join(" or "))
}

/// What a job waits for: `build, test (failure)`.
pub(super) fn requirements(job: &JobSpec) -> String {
    let required = job
        .requires
        .iter()
        .map(|required| match outcomes(required) {
            Some(outcomes) => format!("{} ({outcomes})", required.job),
            None => required.job.clone(),
        });
    required.collect::<Vec<_>>().join(", ")
}

fn text(plan: &Plan) -> String {
    let mut text = String::new();
    for workflow in &plan.workflows {
        let labels = workflow.jobs.iter();
        let labels: Vec<String> = labels
            .map(|job| clean(&format!("{}{}", job.name, remark(job))).into_owned())
            .collect();
        let widths = labels.iter().map(|label| label.chars().count());
        let width = widths.max().unwrap_or_default();
        text.push_str(&clean(&workflow.name));
        text.push('\n');
        for (job, label) in workflow.jobs.iter().zip(&labels) {
            let required = requirements(job);
            let line = if required.is_empty() {
                format!("  {label}")
            } else {
                format!("  {label:width$}  after {}", clean(&required))
            };
            text.push_str(&line);
            text.push('\n');
        }
    }
    text
}

/// The place of each job and of what it requires, with how that may end.
fn edges(workflow: &WorkflowSpec) -> impl Iterator<Item = (usize, usize, &Requirement)> {
    let names = workflow.jobs.iter().map(|job| job.name.as_str());
    let places: HashMap<&str, usize> = names.zip(0..).collect();
    let jobs = workflow.jobs.iter().enumerate();
    let required = jobs.flat_map(|(place, job)| job.requires.iter().map(move |one| (place, one)));
    required.filter_map(move |(place, one)| Some((*places.get(one.job.as_str())?, place, one)))
}

// Writing to a text does not fail.
fn mermaid(plan: &Plan) -> String {
    let quoted = |text: &str| {
        // `#` begins an entity there, as `&` does in HTML; a backtick begins Markdown.
        let mut escaped = String::new();
        for c in clean(text).chars() {
            match c {
                '"' | '&' | '<' | '>' | '#' | '`' => {
                    let _ = write!(escaped, "#{};", u32::from(c));
                }
                c => escaped.push(c),
            }
        }
        format!("\"{escaped}\"")
    };
    let mut text = "flowchart LR\n".to_owned();
    for (number, workflow) in plan.workflows.iter().enumerate() {
        let _ = writeln!(text, "  subgraph w{number} [{}]", quoted(&workflow.name));
        for (place, job) in workflow.jobs.iter().enumerate() {
            let name = quoted(&job.name);
            let _ = match job.kind {
                JobKind::Build(_) => writeln!(text, "    w{number}j{place}[{name}]"),
                JobKind::Approval => writeln!(text, "    w{number}j{place}{{{{{name}}}}}"),
                JobKind::NoOp => writeln!(text, "    w{number}j{place}([{name}])"),
            };
        }
        for (from, place, required) in edges(workflow) {
            let label = outcomes(required).map(|label| format!("|{}|", quoted(&label)));
            let label = label.unwrap_or_default();
            let _ = writeln!(text, "    w{number}j{from} -->{label} w{number}j{place}");
        }
        text.push_str("  end\n");
    }
    text
}

fn dot(plan: &Plan) -> String {
    let quoted = |text: &str| {
        let text = clean(text).replace('\\', "\\\\").replace('"', "\\\"");
        format!("\"{text}\"")
    };
    let mut text = "digraph {\n  rankdir=LR;\n  node [shape=box];\n".to_owned();
    for (number, workflow) in plan.workflows.iter().enumerate() {
        let _ = writeln!(text, "  subgraph cluster_{number} {{");
        let _ = writeln!(text, "    label={};", quoted(&workflow.name));
        for (place, job) in workflow.jobs.iter().enumerate() {
            let shape = match job.kind {
                JobKind::Build(_) => "",
                JobKind::Approval => ", shape=hexagon",
                JobKind::NoOp => ", shape=ellipse",
            };
            let name = quoted(&job.name);
            let _ = writeln!(text, "    w{number}j{place} [label={name}{shape}];");
        }
        for (from, place, required) in edges(workflow) {
            let label = outcomes(required).map(|label| format!(" [label={}]", quoted(&label)));
            let label = label.unwrap_or_default();
            let _ = writeln!(text, "    w{number}j{from} -> w{number}j{place}{label};");
        }
        text.push_str("  }\n");
    }
    text.push_str("}\n");
    text
}
