//! The tree to typed stanzas: what a config may hold, and a diagnostic for what it may not.
//!
//! Stanzas keep the names that they use, with their places, unresolved. What the language has and
//! Popsicle has not yet is told once a file by `unsupported`, never passed over in silence.

mod environment;
mod expression;
mod job;
mod machine;
mod reader;
mod step;
mod unsupported;
mod workflow;

use std::collections::BTreeSet;

use model::{JobKind, OutcomeKind};

use crate::diagnostic::Problems;
use crate::read::{Entry, Key, Map, Node, Region, Value};
use reader::Reader;
use unsupported as no;

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
    /// None if the file leaves it to us.
    pub(crate) workflows: Option<Vec<WorkflowStanza>>,
    /// Whether it uses orbs, which may hold jobs that we don't know.
    pub(crate) has_orbs: bool,
    /// Where to tell what is wrong with the file as a whole.
    pub(crate) region: Region,
}

/// One entry of `jobs`.
#[derive(Debug)]
pub(crate) struct JobStanza {
    pub(crate) name: Name,
    /// None if it is wrong, which has been told.
    pub(crate) kind: Option<JobKind>,
    /// Whether it has parameters.
    pub(crate) takes_arguments: bool,
}

/// One entry of `workflows`.
#[derive(Debug)]
pub(crate) struct WorkflowStanza {
    pub(crate) name: Name,
    pub(crate) jobs: Vec<JobUse>,
}

/// One entry of a workflow's `jobs`.
#[derive(Debug)]
pub(crate) struct JobUse {
    /// The job that it uses; for an approval, just its name.
    pub(crate) job: Name,
    /// `name`, if given.
    pub(crate) alias: Option<Name>,
    pub(crate) requires: Vec<RequireStanza>,
    pub(crate) is_approval: bool,
    /// Whether it stands for several jobs, whose names are not known.
    pub(crate) has_matrix: bool,
    /// Keys that only mean something as arguments to the job's parameters.
    pub(crate) arguments: Vec<Name>,
}

/// One entry of `requires`.
#[derive(Debug)]
pub(crate) struct RequireStanza {
    pub(crate) job: Name,
    pub(crate) outcomes: Vec<OutcomeKind>,
}

/// The keys of a whole file that mean something. Others are fine: people keep anchors there.
const TOP_LEVEL: &[&str] = &[
    "version",
    "jobs",
    "workflows",
    "orbs",
    "commands",
    "executors",
    "parameters",
    "setup",
    "job-groups",
];

impl JobUse {
    /// The keys that an entry may have, for suggestions.
    pub(crate) fn known_keys() -> &'static [&'static str] {
        workflow::JOB_USE_KEYS
    }
}

/// Reads a whole file. None if it is no config at all; that has been told then.
pub(crate) fn config(root: &Node, problems: &mut Problems<'_>) -> Option<Config> {
    let Value::Map(top) = &root.value else {
        if root.is_null() {
            problems.file_error("the config is empty");
        } else {
            problems
                .error(
                    root.region,
                    format!("a config is a map with `jobs`, not {}", root.describe()),
                )
                .help("begin with `version: 2.1` and `jobs:`");
        }
        return None;
    };
    let mut reader = Reader::new(problems, version(top));
    reader.check_version(top);
    for (key, feature) in [
        ("orbs", no::ORBS),
        ("commands", no::COMMANDS),
        ("executors", no::EXECUTORS),
        ("parameters", no::PARAMETERS),
        ("job-groups", no::JOB_GROUPS),
    ] {
        if let Some(entry) = top.get(key).filter(|entry| !is_empty(&entry.value)) {
            reader.unsupported(entry.key.region, feature);
        }
    }
    if let Some(entry) = top.get("setup")
        && entry.value.as_bool() != Some(false)
    {
        reader.unsupported(entry.key.region, no::SETUP);
    }
    reader.commands = names_in(top, "commands");
    reader.orbs = names_in(top, "orbs");
    suggest_top_level(top, &mut reader);

    let config = Config {
        jobs: jobs(top, &mut reader),
        workflows: top
            .get("workflows")
            .map(|entry| workflow::workflows(entry, &mut reader)),
        has_orbs: top.get("orbs").is_some(),
        region: Region::point(root.region.line, root.region.column),
    };
    if top.get("jobs").is_none() && config.workflows.is_none() {
        reader
            .problems
            .error(config.region, "the config has no `jobs`")
            .help("add `jobs:` with at least one job");
    }
    reader.finish();
    Some(config)
}

/// Which version of the language a file is in, as far as reading it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    V2_0,
    V2_1,
}

fn version(top: &Map) -> Version {
    match top.get("version").map(|entry| &entry.value.value) {
        Some(Value::Scalar(scalar)) if matches!(scalar.text.as_str(), "2" | "2.0") => Version::V2_0,
        _ => Version::V2_1,
    }
}

impl Reader<'_, '_> {
    fn check_version(&mut self, top: &Map) {
        let Some(Entry { key, value }) = top.get("version") else {
            let region = Region::point(1, 1);
            self.problems
                .warning(region, "the config does not say its `version`")
                .help("it is read as `version: 2.1`");
            return;
        };
        if let Value::Scalar(scalar) = &value.value
            && matches!(scalar.text.as_str(), "2" | "2.0" | "2.1")
        {
            return;
        }
        self.problems
            .error(
                at(key, value),
                "this `version` of the language is not known",
            )
            .help("write `version: 2.1`");
    }
}

fn jobs(top: &Map, reader: &mut Reader<'_, '_>) -> Vec<JobStanza> {
    let Some(Entry { key, value }) = top.get("jobs") else {
        return Vec::new();
    };
    if is_empty(value) {
        // With orbs or only approvals, workflows may do without jobs of the file's own.
        if top.get("workflows").is_none() {
            reader
                .problems
                .error(key.region, "`jobs` holds no job")
                .help("add a job below it");
        }
        return Vec::new();
    }
    let Some(map) = reader.map(key, value) else {
        return Vec::new();
    };
    map.iter().map(|entry| job::job(entry, reader)).collect()
}

/// A misspelt `jobs` or `workflows` would be taken for a home of anchors.
fn suggest_top_level(top: &Map, reader: &mut Reader<'_, '_>) {
    for entry in top.iter() {
        // `_jobs` and `.jobs` are how people name a home of anchors.
        let is_typo = entry.key.text.starts_with(char::is_alphanumeric)
            && !TOP_LEVEL.contains(&&*entry.key.text);
        if !is_typo {
            continue;
        }
        let nearest = crate::suggest::nearest(&entry.key.text, TOP_LEVEL.iter().copied())
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

fn names_in(top: &Map, key: &str) -> BTreeSet<String> {
    match top.get(key).map(|entry| &entry.value.value) {
        Some(Value::Map(map)) => map.iter().map(|entry| entry.key.text.to_string()).collect(),
        _ => BTreeSet::new(),
    }
}

/// Where to tell what is wrong with a value: at itself if it is on one line, else at its key.
fn at(key: &Key, value: &Node) -> Region {
    match &value.value {
        Value::Scalar(scalar) if !scalar.is_null() && !scalar.text.contains('\n') => value.region,
        Value::Scalar(_) | Value::List(_) | Value::Map(_) => key.region,
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
