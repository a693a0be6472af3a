//! Config texts to a [`model::Plan`], or to diagnostics that say what is wrong with them and where.
//!
//! A library with no world: no I/O, no clock, no randomness, so the same bytes always give the same
//! answer, and whatever the bytes are, the time and memory that they take are bounded. A text goes
//! through four stages, each in a folder of its own:
//!
//! - `read` makes a tree with positions out of YAML: anchors, merge keys, limits;
//! - `expand` makes the tree of a config of version 2 out of it: orbs, commands, executors, parameters,
//!   matrices and conditions are gone;
//! - `schema` makes typed stanzas out of the tree: what a job, a step, a workflow may hold;
//! - `resolve` makes the plan out of the stanzas: names, order, filters, defaults.
//!
//! Each stage goes on after a fault as far as it can, so that one run tells all of them.
#![forbid(unsafe_code)]

mod cron;
pub mod detect;
mod diagnostic;
mod duration;
mod expand;
mod expression;
mod fault;
pub mod ide;
mod inputs;
mod keys;
mod pack;
mod pattern;
mod process;
mod read;
mod resolve;
mod schema;
mod select;
mod suggest;
mod template;

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;

pub use diagnostic::{Diagnostic, ErrorKind, MAX_EXCERPT_CHARS, Related, Severity, Span};
pub use expand::{MAX_EXPANDED_BYTES, MAX_EXPANDED_NODES, MAX_MATRIX, MAX_NESTING, MAX_ORBS};
pub use inputs::{Inputs, OrbSource, Orbs, TriggerValues};
pub use pack::pack;
pub use pattern::MAX_PATTERNS;
pub use process::{Processed, process};
pub use read::{MAX_DEPTH, MAX_FILE_BYTES, MAX_NODES, MAX_TEXT_BYTES};
pub use resolve::{DEFAULT_WORKFLOW, MAX_JOBS, MAX_PLAN_BYTES};
pub use select::{CIRCLECI_FILES, POPSICLE_DIR, select};
pub use template::{Part as KeyPart, key_parts};

use diagnostic::Problems;
use model::Plan;
use pattern::Patterns;
use read::{FileId, Region, Source};

/// How many files one pipeline's config may have.
pub const MAX_FILES: usize = 100;

/// How many workflows one pipeline's config may have: each is told to the forge as a status of its own.
pub const MAX_WORKFLOWS: usize = 250;

/// One file of a config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// As people see it, from the root of the tree: `.circleci/config.yml`.
    pub path: String,
    /// What is in it; should be UTF-8, may be anything.
    pub text: Vec<u8>,
}

/// What came out of a config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compiled {
    /// What to run; present exactly if no diagnostic is an [`Severity::Error`].
    pub plan: Option<Plan>,
    /// All that is wrong or doubtful, by file in the given order, then by position.
    pub diagnostics: Vec<Diagnostic>,
    /// What does not run for this trigger.
    pub left_out: Vec<LeftOut>,
    /// What a condition or a filter stands before, and is let in; a workflow of it may be left out for
    /// another reason.
    pub let_in: Vec<LetIn>,
}

/// A workflow or a job that does not run for the trigger in question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// The workflow.
    pub workflow: String,
    /// The job; none if it is the whole workflow.
    pub job: Option<String>,
    /// Why: a lower-case fragment.
    pub why: String,
}

/// A workflow or a job that a condition or a filter lets in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LetIn {
    /// The workflow.
    pub workflow: String,
    /// The job; none if it is the whole workflow.
    pub job: Option<String>,
    /// What lets it in: a lower-case fragment.
    pub why: String,
}

impl Compiled {
    /// The diagnostics that keep the config from running.
    pub fn errors(&self) -> impl Iterator<Item = &Diagnostic> {
        self.diagnostics
            .iter()
            .filter(|diagnostic| diagnostic.severity == Severity::Error)
    }
}

/// Compiles the files of one config into the plan of one pipeline.
///
/// Each file is a config of its own, with its own jobs, anchors and workflows; the plan has the
/// workflows of all of them. Two workflows of one name are an error, in whichever files they are. A
/// file without `workflows` runs its job `build` (or its only job) in a workflow named `workflow`;
/// where there are several files, that workflow is named after its file instead (`lint` for
/// `.popsicle/lint.yml`).
pub fn compile(files: &[SourceFile], inputs: &Inputs<'_>) -> Compiled {
    let mut diagnostics = Vec::new();
    let mut plan = Plan::default();
    let mut left_out = Vec::new();
    let mut let_in = Vec::new();
    let mut owners = HashMap::new();
    let mut expansion = expand::Budget::default();
    let mut patterns = Patterns::default();
    let mut budget = resolve::Budget::default();

    if files.is_empty() {
        diagnostics.push(Diagnostic::error(
            "",
            "there is no config: neither `.popsicle/*.yml` nor `.circleci/config.yml` exists",
        ));
    }
    if let Some(first_too_many) = files.get(MAX_FILES) {
        diagnostics.push(Diagnostic::error(
            &first_too_many.path,
            format!("a config may have at most {MAX_FILES} files, and this one has more"),
        ));
    }
    let mut declared = BTreeSet::new();
    for (place, file) in files.iter().enumerate().take(MAX_FILES) {
        let source = match Source::decode(FileId::default(), file) {
            Ok(source) => Rc::new(source),
            Err(diagnostic) => {
                diagnostics.push(*diagnostic);
                continue;
            }
        };
        let mut problems = Problems::new(Rc::clone(&source));
        let default_workflow = if files.len() > 1 {
            select::stem(&file.path)
        } else {
            DEFAULT_WORKFLOW
        };
        let resolved = read::read(&source, &mut problems)
            .and_then(|root| {
                let mut expanded =
                    expand::expand(&root, inputs, &mut expansion, &mut patterns, &mut problems)?;
                let (names, declared_at) = std::mem::take(&mut expanded.parameters);
                declared.extend(names);
                if place + 1 == files.len() {
                    tell_undeclared(inputs, &declared, declared_at, &mut problems);
                }
                let none_run = !expanded.left_out.is_empty();
                left_out.append(&mut expanded.left_out);
                let_in.append(&mut expanded.let_in);
                schema::config(&expanded, &root, none_run, &mut patterns, &mut problems)
            })
            .map(|config| {
                plan.setup |= config.setup;
                let trigger = inputs.trigger;
                resolve::resolve(
                    &config,
                    default_workflow,
                    trigger,
                    &mut budget,
                    &mut problems,
                )
            })
            .unwrap_or_default();
        plan.schedules.extend(resolved.schedules);
        left_out.extend(resolved.left_out);
        let_in.extend(resolved.let_in);
        for workflow in resolved.workflows {
            match owners.entry(workflow.spec.name.clone()) {
                Entry::Vacant(_) if plan.workflows.len() >= MAX_WORKFLOWS => {
                    problems.error(
                        workflow.region,
                        format!("the pipeline has more than {MAX_WORKFLOWS} workflows"),
                    );
                    break;
                }
                Entry::Vacant(owner) => {
                    owner.insert(problems.related(workflow.region, "the first is here"));
                    plan.workflows.push(workflow.spec);
                }
                Entry::Occupied(owner) => {
                    problems
                        .error(
                            workflow.region,
                            format!("there are two workflows named `{}`", workflow.spec.name),
                        )
                        .related(owner.get().clone());
                }
            }
        }
        diagnostics.extend(problems.finish());
    }

    let has_errors = diagnostics
        .iter()
        .any(|diagnostic| diagnostic.severity == Severity::Error);
    Compiled {
        plan: (!has_errors).then_some(plan),
        diagnostics,
        left_out,
        let_in,
    }
}

/// Tells which of the given values are of parameters that no file declares.
fn tell_undeclared(
    inputs: &Inputs<'_>,
    declared: &BTreeSet<String>,
    region: Region,
    problems: &mut Problems,
) {
    for name in inputs.parameters.into_iter().flat_map(BTreeMap::keys) {
        if declared.contains(name) {
            continue;
        }
        let nearest = problems.nearest(name, declared.iter().map(String::as_str));
        problems
            .error(region, format!("the config has no parameter `{name}`"))
            .suggest(nearest);
    }
}
