//! The tree to typed stanzas: what a config may hold, and a diagnostic for what it may not.
//!
//! What is read here is what `expand` left: a config of version 2, without holes. Stanzas keep the names
//! that they use, with their places, unresolved. What the language has and can't mean anything here is
//! told once a file by `ignored`, never passed over in silence.

mod built_in;
mod environment;
mod filter;
mod ignored;
mod job;
mod machine;
mod paths;
mod reader;
mod step;
mod workflow;

use model::{Concurrency, JobKind, OutcomeKind};

use crate::diagnostic::Problems;
use crate::expand::Expanded;
use crate::keys::Place;
use crate::pattern::{Pattern, Patterns};
use crate::read::{Entry, Key, Map, Node, Region, Value};
pub(crate) use paths::PathFilter;
use reader::Reader;

/// A name where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Name {
    pub(crate) text: String,
    pub(crate) region: Region,
}

/// One file.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) jobs: Vec<JobStanza>,
    /// The names of jobs that no workflow uses.
    pub(crate) unused: Vec<Name>,
    /// The first job as it is written, if there are more.
    pub(crate) first_of_several: Option<Region>,
    /// None if the file leaves it to us.
    pub(crate) workflows: Option<Vec<WorkflowStanza>>,
    /// Whether jobs may be missing, because they are of an orb that is not at hand.
    pub(crate) is_open: bool,
    /// Whether it makes the config that the pipeline goes on with.
    pub(crate) setup: bool,
    /// Where to tell what is wrong with the file as a whole.
    pub(crate) region: Region,
}

/// One entry of `jobs`.
#[derive(Debug)]
pub(crate) struct JobStanza {
    pub(crate) name: Name,
    /// None if it is wrong, which has been told.
    pub(crate) kind: Option<JobKind>,
    /// `branches` of a job, from before there were workflows.
    pub(crate) branches: Option<FilterStanza>,
}

/// One entry of `workflows`.
#[derive(Debug)]
pub(crate) struct WorkflowStanza {
    pub(crate) name: Name,
    pub(crate) jobs: Vec<JobUse>,
    pub(crate) schedules: Vec<ScheduleStanza>,
    pub(crate) max_auto_reruns: u32,
    pub(crate) concurrency: Option<Concurrency>,
    pub(crate) priority: i16,
    pub(crate) paths: Option<PathFilter>,
}

/// One entry of `triggers`.
#[derive(Debug)]
pub(crate) struct ScheduleStanza {
    pub(crate) cron: String,
    pub(crate) branches: FilterStanza,
}

/// One entry of a workflow's `jobs`.
#[derive(Debug)]
pub(crate) struct JobUse {
    /// The job that it uses; for a job that runs nothing, just its name.
    pub(crate) job: Name,
    /// `name`, if given.
    pub(crate) alias: Option<Name>,
    pub(crate) requires: Vec<RequireStanza>,
    /// What it is, if it says so itself and is none of `jobs`.
    pub(crate) kind: Option<JobKind>,
    pub(crate) contexts: Vec<String>,
    pub(crate) filters: Filters,
    pub(crate) serial_group: Option<String>,
}

/// What a job of a workflow is for.
#[derive(Debug, Default)]
pub(crate) struct Filters {
    pub(crate) branches: Option<FilterStanza>,
    pub(crate) tags: Option<FilterStanza>,
    /// Whether an expression in their place holds; none if there is none.
    pub(crate) expression: Option<bool>,
}

/// `only` and `ignore`.
#[derive(Debug, Default)]
pub(crate) struct FilterStanza {
    pub(crate) only: Option<Vec<Filter>>,
    pub(crate) ignore: Option<Vec<Filter>>,
}

/// One name or regular expression.
#[derive(Debug)]
pub(crate) struct Filter {
    pub(crate) text: String,
    pub(crate) pattern: Pattern,
}

/// One entry of `requires`.
#[derive(Debug)]
pub(crate) struct RequireStanza {
    pub(crate) job: Name,
    pub(crate) outcomes: Vec<OutcomeKind>,
}

/// Reads what a file was expanded to, and the jobs that its workflows don't use. `none_run`: whether there
/// were workflows whose conditions don't hold.
pub(crate) fn config(
    expanded: &Expanded,
    written: &Node,
    none_run: bool,
    patterns: &mut Patterns,
    problems: &mut Problems,
) -> Option<Config> {
    let top = expanded.root.as_map()?;
    let mut reader = Reader::new(problems, patterns, expanded.is_strict);
    if let Some(written) = written.as_map() {
        suggest_top_level(written, &mut reader);
    }
    // What is wrong in them is told; they themselves are of no use.
    reader.set_idle(true);
    for body in &expanded.looked_over {
        job::job(body, &mut reader);
    }
    for group in &expanded.unused_groups {
        workflow::workflow(group, &mut reader);
    }
    reader.set_idle(false);
    let name = |key: &Key| Name {
        text: key.text.to_string(),
        region: key.region,
    };
    let unused = expanded.unused.iter().map(name).collect();
    let region = expanded.root.region;
    let config = Config {
        jobs: jobs(top, written, &mut reader),
        unused,
        first_of_several: first_of_several(written),
        workflows: top
            .get("workflows")
            .map(|entry| workflow::workflows(entry, none_run, &mut reader)),
        is_open: expanded.is_open,
        setup: top.get("setup").is_some(),
        region: Region::point(region.file, region.line, region.column),
    };
    let has_jobs = written
        .as_map()
        .is_some_and(|top| top.get("jobs").is_some());
    if !has_jobs && config.workflows.is_none() {
        reader
            .problems
            .error(config.region, "the config has no `jobs`")
            .help("add `jobs:` with at least one job");
    }
    reader.finish();
    Some(config)
}

fn first_of_several(written: &Node) -> Option<Region> {
    let jobs = written.as_map()?.get("jobs")?.value.as_map()?;
    let mut jobs = jobs.iter();
    let first = jobs.next()?;
    jobs.next().map(|_| first.key.region)
}

fn jobs(top: &Map, written: &Node, reader: &mut Reader<'_>) -> Vec<JobStanza> {
    let written = written.as_map().and_then(|top| top.get("jobs"));
    if let Some(Entry { key, value }) = written {
        if is_empty(value) {
            // With orbs or only approvals, workflows may do without jobs of the file's own.
            if top.get("workflows").is_none() {
                reader
                    .problems
                    .error(key.region, "`jobs` holds no job")
                    .help("add a job below it");
            }
        } else {
            reader.map(key, value);
        }
    }
    let jobs = top.get("jobs").and_then(|entry| entry.value.as_map());
    jobs.into_iter()
        .flat_map(Map::iter)
        .map(|entry| job::job(entry, reader))
        .collect()
}

/// A misspelt `jobs` or `workflows` would be taken for a home of anchors: all others are fine at the top.
fn suggest_top_level(top: &Map, reader: &mut Reader<'_>) {
    for entry in top.iter() {
        // `_jobs` and `.jobs` are how people name a home of anchors.
        let is_typo = entry.key.text.starts_with(char::is_alphanumeric)
            && Place::Top.key(&entry.key.text).is_none();
        if !is_typo {
            continue;
        }
        let nearest = crate::suggest::nearest(&entry.key.text, Place::Top.names())
            .filter(|nearest| top.get(nearest).is_none());
        if nearest.is_some() {
            reader
                .problems
                .warning(
                    entry.key.region,
                    format!("`{}` means nothing at the top of a config", entry.key.text),
                )
                .suggest(nearest);
        }
    }
}

/// Where to tell what is wrong with an item of a list: at itself if there is anything to see.
fn at_item(list: &Key, item: &Node) -> Region {
    if item.is_null() && item.region.line <= list.region.line {
        list.region
    } else {
        item.region
    }
}

/// Nothing, an empty list or an empty map.
fn is_empty(node: &Node) -> bool {
    match &node.value {
        Value::Scalar(scalar) => scalar.is_null(),
        Value::List(items) => items.is_empty(),
        Value::Map(map) => map.is_empty(),
    }
}
