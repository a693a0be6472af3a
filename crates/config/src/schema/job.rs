//! One entry of `jobs`.

use model::{BuildSpec, JobKind};

use crate::read::{Entry, Key, Map, Node, Value};

use super::environment::{Names, environment};
use super::machine::runs_in;
use super::reader::{Reader, UnknownKeys};
use super::step::steps;
use super::unsupported as no;
use super::{JobStanza, Name, at};

const KEYS: &[&str] = &[
    "docker",
    "machine",
    "macos",
    "executor",
    "steps",
    "environment",
    "working_directory",
    "shell",
    "parameters",
    "parallelism",
    "resource_class",
    "description",
    "type",
    "branches",
    "circleci_ip_ranges",
    "retention",
];

/// Reads it; its name is kept even where the job is wrong, so that who requires it is not blamed.
pub(super) fn job(entry: &Entry, reader: &mut Reader<'_, '_>) -> JobStanza {
    let Entry { key, value } = entry;
    reader.check_name(&key.text, key.region, "the name of a job");
    let kind = reader
        .map(key, value)
        .and_then(|map| match map.get("type") {
            None => build(key, map, reader),
            Some(entry) => {
                let kind = reader.text(&entry.key, &entry.value)?;
                match kind.as_str() {
                    "build" => build(key, map, reader),
                    "approval" => Some(JobKind::Approval),
                    _ => {
                        reader.unsupported(at(&entry.key, &entry.value), no::JOB_TYPE);
                        None
                    }
                }
            }
        });
    JobStanza {
        name: Name {
            text: key.text.to_string(),
            region: key.region,
        },
        kind,
        takes_arguments: match &value.value {
            Value::Map(map) => map.get("parameters").is_some(),
            Value::Scalar(_) | Value::List(_) => false,
        },
    }
}

fn build(job: &Key, map: &Map, reader: &mut Reader<'_, '_>) -> Option<JobKind> {
    let runs_in = runs_in(job, map, reader);
    let mut variables = Vec::new();
    let mut working_directory = None;
    let mut shell = None;
    for entry in map.iter() {
        let Entry { key, value } = entry;
        match &*key.text {
            "docker" | "machine" | "macos" | "executor" | "steps" | "type" | "description" => {}
            "environment" => variables = environment(entry, Names::Shell, reader),
            "working_directory" => working_directory = directory(key, value, reader),
            "shell" => shell = reader.optional_text(key, value),
            "parameters" => reader.unsupported(key.region, no::PARAMETERS),
            "branches" => reader.unsupported(key.region, no::BRANCHES),
            "resource_class" => reader.unsupported(key.region, no::RESOURCE_CLASS),
            "circleci_ip_ranges" => reader.unsupported(key.region, no::IP_RANGES),
            "retention" => reader.unsupported(key.region, no::RETENTION),
            "parallelism" => {
                let is_one = matches!(&value.value, Value::Scalar(scalar) if scalar.text == "1");
                if !is_one {
                    reader.unsupported(key.region, no::PARALLELISM);
                }
            }
            _ => reader.unknown_key(key, "a job", KEYS, UnknownKeys::Refused),
        }
    }
    let steps = match map.get("steps") {
        Some(entry) => steps(job, entry, reader),
        None => {
            reader
                .problems
                .error(job.region, format!("job `{}` has no `steps`", job.text))
                .help("add `steps:` with at least one step");
            None
        }
    };
    let mut build = BuildSpec::new(runs_in?, steps?);
    build.environment = variables;
    build.shell = shell.filter(|shell| !shell.trim().is_empty());
    if let Some(directory) = working_directory {
        build.working_directory = directory;
    }
    Some(JobKind::Build(Box::new(build)))
}

/// Where a job's code is laid out: absolute, or from `~`; what is neither is taken from `~` too.
fn directory(key: &Key, value: &Node, reader: &mut Reader<'_, '_>) -> Option<String> {
    let text = reader.optional_text(key, value)?;
    let trimmed = text.trim_end_matches('/');
    let is_home = trimmed == "~" || trimmed.starts_with("~/");
    let fault = if text.is_empty() || reader.is_expression(&text) {
        return None;
    } else if text.split('/').any(|part| part == "..") {
        "must not lead upwards with `..`"
    } else if trimmed.is_empty() {
        "must not be the root of the file system"
    } else if trimmed.starts_with('~') && !is_home {
        "can't be the home of somebody else"
    } else if is_home || trimmed.starts_with('/') {
        return Some(trimmed.to_owned());
    } else {
        return Some(format!("~/{}", trimmed.trim_start_matches("./")));
    };
    reader
        .problems
        .error(at(key, value), format!("`working_directory` {fault}"))
        .help("write it as `~/project`");
    None
}
