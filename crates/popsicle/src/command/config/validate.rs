//! `popsicle config validate`: all that is wrong with a config, before anything runs it.

use ::config::{Compiled, Diagnostic, SourceFile};
use clap::Args;
use serde::Serialize;

use super::project::{ConfigArgs, Project, Workflows, tell};
use crate::error::{Exit, Failure};
use crate::output::{Output, plural};
use crate::settings::Settings;

/// Which config.
#[derive(Debug, Args)]
pub struct ValidateArgs {
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Carries out the command.
pub fn run(args: &ValidateArgs, settings: &Settings, out: &mut Output) -> Result<Exit, Failure> {
    let project = Project::open(&args.config.path, &args.config.context, settings)?;
    let (compiled, orbs) = project.compile(Workflows::Checked);
    let files = &project.files;
    let exit = match compiled.plan {
        Some(_) => Exit::Success,
        None => Exit::Usage,
    };
    if args.json {
        out.json(&Report::new(files, &compiled, orbs.missing()))?;
        return Ok(exit);
    }
    tell(&compiled.diagnostics, out);
    let names: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
    let names = names.join(", ");
    match &compiled.plan {
        Some(plan) => out.line(format_args!(
            "{names} {} valid: {}, {}",
            if files.len() == 1 { "is" } else { "are" },
            plural(plan.workflows.len(), "workflow"),
            plural(plan.jobs().count(), "job")
        ))?,
        None => out.say(format_args!(
            "{names}: {}",
            plural(compiled.errors().count(), "error")
        )),
    }
    Ok(exit)
}

/// What is told to programs.
#[derive(Debug, Serialize)]
struct Report<'a> {
    valid: bool,
    files: Vec<&'a str>,
    workflows: Vec<WorkflowReport<'a>>,
    diagnostics: Vec<DiagnosticReport<'a>>,
    orbs_missing: Vec<String>,
}

#[derive(Debug, Serialize)]
struct WorkflowReport<'a> {
    name: &'a str,
    jobs: Vec<&'a str>,
}

#[derive(Debug, Serialize)]
struct DiagnosticReport<'a> {
    severity: &'static str,
    message: &'a str,
    path: &'a str,
    line: Option<usize>,
    column: Option<usize>,
    length: Option<usize>,
    help: Option<&'a str>,
    kind: &'static str,
    related: Vec<RelatedReport<'a>>,
}

#[derive(Debug, Serialize)]
struct RelatedReport<'a> {
    message: &'a str,
    path: &'a str,
    line: usize,
    column: usize,
    length: usize,
}

impl<'a> Report<'a> {
    fn new(files: &'a [SourceFile], compiled: &'a Compiled, orbs_missing: Vec<String>) -> Self {
        let workflows = compiled.plan.iter().flat_map(|plan| &plan.workflows);
        Self {
            valid: compiled.plan.is_some(),
            files: files.iter().map(|file| file.path.as_str()).collect(),
            workflows: workflows
                .map(|workflow| WorkflowReport {
                    name: &workflow.name,
                    jobs: workflow.jobs.iter().map(|job| job.name.as_str()).collect(),
                })
                .collect(),
            diagnostics: compiled
                .diagnostics
                .iter()
                .map(DiagnosticReport::new)
                .collect(),
            orbs_missing,
        }
    }
}

impl<'a> DiagnosticReport<'a> {
    fn new(diagnostic: &'a Diagnostic) -> Self {
        Self {
            severity: diagnostic.severity.as_str(),
            message: &diagnostic.message,
            path: &diagnostic.path,
            line: diagnostic.span.map(|span| span.line),
            column: diagnostic.span.map(|span| span.column),
            length: diagnostic.span.map(|span| span.length),
            help: diagnostic.help.as_deref(),
            kind: diagnostic.kind.as_str(),
            related: diagnostic
                .related
                .iter()
                .map(|related| RelatedReport {
                    message: &related.message,
                    path: &related.path,
                    line: related.span.line,
                    column: related.span.column,
                    length: related.span.length,
                })
                .collect(),
        }
    }
}
