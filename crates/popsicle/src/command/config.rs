//! `popsicle config`: what is wrong with a config, before anything runs it.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use ::config::{Compiled, Diagnostic, Inputs, POPSICLE_DIR, Severity, SourceFile};
use clap::{Args, Subcommand};
use owo_colors::OwoColorize;
use serde::Serialize;

use crate::error::{Exit, Failure};
use crate::output::{Output, plural};

/// The most of a file that is read; the compiler refuses long before.
const READ_LIMIT: u64 = 32 << 20;

/// What to do.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Check a config, and say all that is wrong with it
    Validate(ValidateArgs),
    /// Print what a config stands for: plain jobs, without commands, parameters and conditions
    Process(ProcessArgs),
}

/// Which config.
#[derive(Debug, Args)]
pub struct ValidateArgs {
    /// A config file, or a project's directory
    #[arg(default_value = ".")]
    path: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Which config.
#[derive(Debug, Args)]
pub struct ProcessArgs {
    /// A config file, or a project's directory
    #[arg(default_value = ".")]
    path: PathBuf,
}

/// Carries out the command.
pub fn run(command: &ConfigCommand, out: &mut Output) -> Result<Exit, Failure> {
    match command {
        ConfigCommand::Validate(args) => validate(args, out),
        ConfigCommand::Process(args) => process(args, out),
    }
}

/// Each file of the config becomes a config of its own; where there are several, its name is above it.
fn process(args: &ProcessArgs, out: &mut Output) -> Result<Exit, Failure> {
    let files = files(&args.path)?;
    let mut exit = Exit::Success;
    for file in &files {
        let processed = ::config::process(file, &Inputs::default());
        for diagnostic in &processed.diagnostics {
            out.say(painted(diagnostic));
            out.say("");
        }
        match &processed.text {
            Some(text) if files.len() > 1 => {
                out.line(format_args!("# {}\n{}", file.path, text.trim_end()))?;
            }
            Some(text) => out.line(text.trim_end())?,
            None => exit = Exit::Usage,
        }
    }
    Ok(exit)
}

fn validate(args: &ValidateArgs, out: &mut Output) -> Result<Exit, Failure> {
    let files = files(&args.path)?;
    let compiled = ::config::compile(&files, &Inputs::default());
    let exit = match compiled.plan {
        Some(_) => Exit::Success,
        None => Exit::Usage,
    };
    if args.json {
        out.json(&Report::new(&files, &compiled))?;
        return Ok(exit);
    }
    for diagnostic in &compiled.diagnostics {
        out.say(painted(diagnostic));
        out.say("");
    }
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

/// The files of the config at `path`: the file itself, or what a pipeline of that directory would use.
pub(super) fn files(path: &Path) -> Result<Vec<SourceFile>, Failure> {
    let unreadable = |path: &Path, error: &io::Error| {
        Failure::usage(format_args!("could not read `{}`: {error}", path.display()))
    };
    let metadata = fs::metadata(path).map_err(|error| unreadable(path, &error))?;
    if !metadata.is_dir() {
        let text = read(path).map_err(|error| unreadable(path, &error))?;
        return Ok(vec![SourceFile {
            path: path.display().to_string(),
            text,
        }]);
    }
    let mut found = Vec::new();
    for dir in [POPSICLE_DIR, ".circleci"] {
        let dir_path = path.join(dir);
        let entries = match fs::read_dir(&dir_path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(unreadable(&dir_path, &error)),
        };
        for entry in entries {
            let entry = entry.map_err(|error| unreadable(&dir_path, &error))?;
            found.push(format!("{dir}/{}", entry.file_name().to_string_lossy()));
        }
    }
    let selected = ::config::select(found.iter().map(String::as_str));
    if selected.is_empty() {
        return Err(Failure::usage(format_args!(
            "there is no config in `{}`: neither .popsicle/*.yml nor .circleci/config.yml",
            path.display()
        ))
        .hint("`popsicle init` writes a first one"));
    }
    selected
        .into_iter()
        .map(|name| {
            let file = path.join(name);
            let text = read(&file).map_err(|error| unreadable(&file, &error))?;
            Ok(SourceFile {
                path: name.to_owned(),
                text,
            })
        })
        .collect()
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    fs::File::open(path)?
        .take(READ_LIMIT)
        .read_to_end(&mut text)?;
    Ok(text)
}

/// The diagnostic with its first word in colour.
fn painted(diagnostic: &Diagnostic) -> String {
    let text = diagnostic.to_string();
    let word = diagnostic.severity.as_str();
    let rest = text.strip_prefix(word).unwrap_or(&text);
    match diagnostic.severity {
        Severity::Error => format!("{}{rest}", word.red().bold()),
        Severity::Warning => format!("{}{rest}", word.yellow().bold()),
    }
}

/// What is told to programs.
#[derive(Debug, Serialize)]
struct Report<'a> {
    valid: bool,
    files: Vec<&'a str>,
    workflows: Vec<WorkflowReport<'a>>,
    diagnostics: Vec<DiagnosticReport<'a>>,
}

#[derive(Debug, Serialize)]
struct WorkflowReport<'a> {
    name: &'a str,
    jobs: Vec<&'a str>,
}

#[derive(Debug, Serialize)]
struct DiagnosticReport<'a> {
    severity: &'static str,
    kind: &'static str,
    message: &'a str,
    path: &'a str,
    line: Option<usize>,
    column: Option<usize>,
    length: Option<usize>,
    help: Option<&'a str>,
    related: Vec<RelatedReport<'a>>,
}

#[derive(Debug, Serialize)]
struct RelatedReport<'a> {
    message: &'a str,
    path: &'a str,
    line: usize,
    column: usize,
}

impl<'a> Report<'a> {
    fn new(files: &'a [SourceFile], compiled: &'a Compiled) -> Self {
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
        }
    }
}

impl<'a> DiagnosticReport<'a> {
    fn new(diagnostic: &'a Diagnostic) -> Self {
        Self {
            severity: diagnostic.severity.as_str(),
            kind: diagnostic.kind.as_str(),
            message: &diagnostic.message,
            path: &diagnostic.path,
            line: diagnostic.span.map(|span| span.line),
            column: diagnostic.span.map(|span| span.column),
            length: diagnostic.span.map(|span| span.length),
            help: diagnostic.help.as_deref(),
            related: diagnostic
                .related
                .iter()
                .map(|related| RelatedReport {
                    message: &related.message,
                    path: &related.path,
                    line: related.span.line,
                    column: related.span.column,
                })
                .collect(),
        }
    }
}
