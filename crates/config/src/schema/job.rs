//! One entry of `jobs`.

use model::{BuildSpec, JobKind};

use crate::keys::{JOB_TYPES, Place};
use crate::read::{Entry, Key, Map, Node, Region};

use super::environment::{Names, environment};
use super::ignored as no;
use super::machine::runs_in;
use super::reader::{Reader, UnknownKeys, is_unknown};
use super::step::steps;
use super::{JobStanza, Name};

/// Reads it; its name is kept even where the job is wrong, so that who requires it is not blamed.
pub(super) fn job(entry: &Entry, reader: &mut Reader<'_>) -> JobStanza {
    let Entry { key, value } = entry;
    let outer = reader.problems.current_use();
    reader.problems.leave(value.via.or(outer));
    reader.check_name(&key.text, key.region, "the name of a job");
    let map = reader.map(key, value);
    let kind = map.and_then(|map| match map.get("type") {
        None => build(key, map, reader),
        Some(entry) => {
            let word = reader.text(&entry.key, &entry.value)?;
            match word.as_str() {
                "build" => build(key, map, reader),
                _ => {
                    check_idle(&word, key, map, reader);
                    idle_kind(&word, entry.value.place(&entry.key), reader)
                }
            }
        }
    });
    let branches = map.and_then(|map| map.get("branches")).map(|entry| {
        reader.ignore(entry.key.region, no::JOB_BRANCHES);
        super::filter::filter(&entry.key, &entry.value, reader)
    });
    reader.problems.leave(outer);
    JobStanza {
        name: Name {
            text: key.text.to_string(),
            region: key.region,
        },
        kind,
        branches,
    }
}

/// Tells what a job that runs nothing can't be without.
fn check_idle(word: &str, job: &Key, map: &Map, reader: &mut Reader<'_>) {
    let needed = match word {
        "release" => "plan_name",
        "lock" | "unlock" => "key",
        _ => return,
    };
    if map.get(needed).is_none_or(|entry| entry.value.is_null()) {
        reader.problems.error(
            job.region,
            format!("job `{}` of the type `{word}` has no `{needed}`", job.text),
        );
    }
}

/// What a job of a type is that runs no steps; tells if there is no such type.
pub(super) fn idle_kind(word: &str, region: Region, reader: &mut Reader<'_>) -> Option<JobKind> {
    match word {
        "approval" => Some(JobKind::Approval),
        "no-op" => Some(JobKind::NoOp),
        "release" => {
            reader.ignore(region, no::RELEASE);
            Some(JobKind::NoOp)
        }
        "lock" | "unlock" => {
            reader.ignore(region, no::LOCK);
            Some(JobKind::NoOp)
        }
        _ if is_unknown(word) => None,
        _ => {
            let nearest = reader.problems.nearest(word, JOB_TYPES.iter().copied());
            let problem = reader
                .problems
                .error(region, format!("there is no type of jobs `{word}`"));
            match nearest {
                Some(_) => problem.suggest(nearest),
                None => problem.help(format!("it is one of {}", JOB_TYPES.join(", "))),
            };
            None
        }
    }
}

fn build(job: &Key, map: &Map, reader: &mut Reader<'_>) -> Option<JobKind> {
    let runs_in = runs_in(job, map, reader);
    let mut variables = Vec::new();
    let mut working_directory = None;
    let mut shell = of_machine(map, "shell");
    let mut resource_class = of_machine(map, "resource_class");
    let mut parallelism = 1;
    let mut timeout_ms = None;
    let mut retry = 0;
    for entry in map.iter() {
        let Entry { key, value } = entry;
        match Place::Job.own(&key.text) {
            "docker" | "machine" | "macos" | "windows" | "executor" | "steps" | "type"
            | "description" | "branches" | "parameters" => {}
            "environment" => variables = environment(entry, Names::Shell, reader),
            "working_directory" => working_directory = directory(key, value, reader),
            "shell" => shell = reader.optional_text(key, value).or(shell),
            "resource_class" => {
                resource_class = reader.optional_text(key, value).or(resource_class);
            }
            "circleci_ip_ranges" => {
                if reader.boolean(key, value) == Some(true) {
                    reader.ignore(key.region, no::IP_RANGES);
                }
            }
            "retention" => retention(key, value, reader),
            "parallelism" => parallelism = reader.number(key, value, 1).unwrap_or(1),
            "timeout" => timeout_ms = reader.duration(key, value),
            "retry" => retry = reader.number(key, value, 0).unwrap_or(0),
            _ => reader.unknown_key(key, "a job", Place::Job, UnknownKeys::Refused),
        }
    }
    if parallelism > MAX_PARALLELISM
        && let Some(Entry { key, value }) = map.get("parallelism")
    {
        let message = format!("`parallelism` must not be more than {MAX_PARALLELISM}");
        reader.problems.error_of(key, value, message);
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
    build.resource_class = resource_class.filter(|class| !class.is_empty());
    build.parallelism = parallelism;
    build.timeout_ms = timeout_ms;
    build.retry = retry;
    if let Some(directory) = working_directory {
        build.working_directory = directory;
    }
    Some(JobKind::Build(Box::new(build)))
}

fn retention(key: &Key, value: &Node, reader: &mut Reader<'_>) {
    reader.ignore(key.region, no::RETENTION);
    let Some(map) = reader.map(key, value) else {
        return;
    };
    for Entry { key, value } in map.iter() {
        if Place::Retention.key(&key.text).is_none() {
            reader.unknown_key(key, "`retention`", Place::Retention, UnknownKeys::Refused);
            continue;
        }
        let Some(text) = reader.text(key, value) else {
            continue;
        };
        let days = text
            .strip_suffix('d')
            .and_then(|days| days.parse::<u32>().ok());
        if !is_unknown(&text) && !days.is_some_and(|days| (1..=15).contains(&days)) {
            reader
                .problems
                .error_of(key, value, format!("caches can't be kept for `{text}`"))
                .help("it is `1d` to `15d`");
        }
    }
}

/// On how many nodes a job may run at once; CircleCI's own highest limit.
const MAX_PARALLELISM: u32 = 256;

/// What a machine says of its job.
fn of_machine(map: &Map, key: &str) -> Option<String> {
    let machine = map.get("machine")?.value.as_map()?;
    machine.get(key)?.value.as_text().map(str::to_owned)
}

/// Where a job's code is laid out: absolute, or from `~`; what is neither is taken from `~` too.
fn directory(key: &Key, value: &Node, reader: &mut Reader<'_>) -> Option<String> {
    let text = reader.optional_text(key, value)?;
    let trimmed = text.trim_end_matches('/');
    let is_home = trimmed == "~" || trimmed.starts_with("~/");
    let fault = if text.is_empty() || is_unknown(&text) {
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
        .error_of(key, value, format!("`working_directory` {fault}"))
        .help("write it as `~/project`");
    None
}
