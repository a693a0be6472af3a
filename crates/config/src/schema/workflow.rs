//! `workflows`: which jobs run, and after which others.

use model::OutcomeKind;

use crate::read::{Entry, Key, Map, Node, Value};

use super::reader::{Reader, UnknownKeys};
use super::unsupported as no;
use super::{JobUse, Name, RequireStanza, WorkflowStanza, at, at_item, is_empty};

const KEYS: &[&str] = &[
    "jobs",
    "when",
    "unless",
    "triggers",
    "max_auto_reruns",
    "description",
];

/// The keys of an entry of a workflow's `jobs`; others are arguments to the job's parameters.
pub(super) const JOB_USE_KEYS: &[&str] = &[
    "requires",
    "name",
    "type",
    "context",
    "filters",
    "matrix",
    "pre-steps",
    "post-steps",
    "serial-group",
    "override-with",
];

/// CircleCI's words for how a required job may end, and ours for each.
///
/// `failed` is any end in red, whosever fault; `not_run` is a job that was skipped; `unauthorized`
/// can't happen here; `terminal` is any end.
const STATUSES: &[(&str, &[OutcomeKind])] = &[
    ("success", &[OutcomeKind::Success]),
    ("failed", &[OutcomeKind::Failure, OutcomeKind::Error]),
    ("canceled", &[OutcomeKind::Canceled]),
    ("not_run", &[OutcomeKind::Skipped]),
    ("unauthorized", &[]),
    (
        "terminal",
        &[
            OutcomeKind::Success,
            OutcomeKind::Failure,
            OutcomeKind::Error,
            OutcomeKind::Canceled,
            OutcomeKind::Skipped,
        ],
    ),
];

/// Reads all of them; what is wrong is told and left out.
pub(super) fn workflows(entry: &Entry, reader: &mut Reader<'_, '_>) -> Vec<WorkflowStanza> {
    let Entry { key, value } = entry;
    let mut stanzas = Vec::new();
    if !is_empty(value) {
        let Some(map) = reader.map(key, value) else {
            return stanzas;
        };
        for entry in map.iter() {
            // 2.0 wrote the version of workflows here.
            if &*entry.key.text == "version" {
                continue;
            }
            stanzas.extend(workflow(entry, reader));
        }
        if map.iter().any(|entry| &*entry.key.text != "version") {
            return stanzas;
        }
    }
    reader
        .problems
        .error(key.region, "`workflows` holds no workflow")
        .help("add one, or remove `workflows` to run the job `build`");
    stanzas
}

fn workflow(entry: &Entry, reader: &mut Reader<'_, '_>) -> Option<WorkflowStanza> {
    let Entry { key, value } = entry;
    reader.check_name(&key.text, key.region, "the name of a workflow");
    if value.is_null() {
        tell_no_jobs(key, reader);
        return None;
    }
    let map = reader.map(key, value)?;
    for Entry { key, value } in map.iter() {
        match &*key.text {
            "jobs" | "description" => {}
            "when" | "unless" => reader.unsupported(key.region, no::CONDITIONS),
            "triggers" if is_empty(value) => {}
            "triggers" => reader.unsupported(key.region, no::TRIGGERS),
            "max_auto_reruns" => reader.unsupported(key.region, no::RERUNS),
            _ => reader.unknown_key(key, "a workflow", KEYS, UnknownKeys::Refused),
        }
    }
    let items = match map.get("jobs").map(|jobs| (jobs, &jobs.value.value)) {
        Some((_, Value::List(items))) if !items.is_empty() => items,
        Some((jobs, Value::Map(_))) => {
            reader
                .problems
                .error(
                    jobs.key.region,
                    "`jobs` of a workflow must be a list, not a map",
                )
                .help("begin each job with `-`");
            return None;
        }
        Some((jobs, Value::Scalar(_))) if !is_empty(&jobs.value) => {
            reader.wrong_type(&jobs.key, &jobs.value, "a list");
            return None;
        }
        Some((_, Value::List(_) | Value::Scalar(_))) | None => {
            tell_no_jobs(key, reader);
            return None;
        }
    };
    let uses = items
        .iter()
        .filter_map(|item| job_use(key, item, reader))
        .collect();
    Some(WorkflowStanza {
        name: Name {
            text: key.text.to_string(),
            region: key.region,
        },
        jobs: uses,
    })
}

fn tell_no_jobs(workflow: &Key, reader: &mut Reader<'_, '_>) {
    reader
        .problems
        .error(
            workflow.region,
            format!("workflow `{}` has no jobs", workflow.text),
        )
        .help("add `jobs:` with at least one job");
}

fn job_use(workflow: &Key, item: &Node, reader: &mut Reader<'_, '_>) -> Option<JobUse> {
    match &item.value {
        Value::Scalar(scalar) if !scalar.is_null() => Some(JobUse {
            job: Name {
                text: reader.expanded(&scalar.text, item.region),
                region: item.region,
            },
            alias: None,
            requires: Vec::new(),
            is_approval: false,
            has_matrix: false,
            arguments: Vec::new(),
        }),
        Value::Map(map) => match map.only() {
            Some(entry) => job_use_map(entry, reader),
            None => {
                several_keys(map, item, reader);
                None
            }
        },
        Value::Scalar(_) | Value::List(_) => {
            reader
                .problems
                .error(
                    at_item(workflow, item),
                    format!(
                        "a job of workflow `{}` must be a name or a map, not {}",
                        workflow.text,
                        item.describe()
                    ),
                )
                .help("write `- build`");
            None
        }
    }
}

fn several_keys(map: &Map, item: &Node, reader: &mut Reader<'_, '_>) {
    let mut entries = map.iter();
    let (Some(first), Some(second)) = (entries.next(), entries.next()) else {
        reader
            .problems
            .error(
                item.region,
                "an entry of a workflow's `jobs` is an empty map",
            )
            .help("write `- build`");
        return;
    };
    reader
        .problems
        .error(
            second.key.region,
            format!(
                "an entry of a workflow's `jobs` has one key, this one has `{}` and `{}`",
                first.key.text, second.key.text
            ),
        )
        .help(format!(
            "indent it below `{}`, or begin a new entry with `-`",
            first.key.text
        ));
}

fn job_use_map(entry: &Entry, reader: &mut Reader<'_, '_>) -> Option<JobUse> {
    let Entry { key, value } = entry;
    let mut stanza = JobUse {
        job: Name {
            text: reader.expanded(&key.text, key.region),
            region: key.region,
        },
        alias: None,
        requires: Vec::new(),
        is_approval: false,
        has_matrix: false,
        arguments: Vec::new(),
    };
    if value.is_null() {
        return Some(stanza);
    }
    for entry in reader.map(key, value)?.iter() {
        let Entry { key, value } = entry;
        match &*key.text {
            "requires" => stanza.requires = requires(key, value, reader),
            "name" => stanza.alias = reader.name(key, value),
            "type" => stanza.is_approval = is_approval(key, value, reader),
            "context" if is_empty(value) => {}
            "filters" if is_empty(value) => {}
            "context" => reader.unsupported(key.region, no::CONTEXT),
            "filters" => reader.unsupported(key.region, no::FILTERS),
            "matrix" => {
                stanza.has_matrix = true;
                reader.unsupported(key.region, no::MATRIX);
            }
            "pre-steps" | "post-steps" => reader.unsupported(key.region, no::EXTRA_STEPS),
            "serial-group" => reader.unsupported(key.region, no::SERIAL_GROUP),
            "override-with" => reader.unsupported(key.region, no::OVERRIDE),
            _ => stanza.arguments.push(Name {
                text: key.text.to_string(),
                region: key.region,
            }),
        }
    }
    Some(stanza)
}

fn is_approval(key: &Key, value: &Node, reader: &mut Reader<'_, '_>) -> bool {
    match reader.text(key, value).as_deref() {
        Some("approval") => true,
        Some("build") | None => false,
        Some(_) => {
            reader.unsupported(at(key, value), no::JOB_TYPE);
            false
        }
    }
}

fn requires(key: &Key, value: &Node, reader: &mut Reader<'_, '_>) -> Vec<RequireStanza> {
    match &value.value {
        Value::List(items) => items
            .iter()
            .filter_map(|item| require(key, item, reader))
            .collect(),
        Value::Scalar(scalar) if scalar.is_null() => Vec::new(),
        Value::Scalar(scalar) => {
            reader
                .problems
                .error(value.region, "`requires` must be a list, not a string")
                .help(format!("write `[{}]`", scalar.text));
            Vec::new()
        }
        Value::Map(_) => {
            reader
                .problems
                .error(key.region, "`requires` must be a list, not a map")
                .help("begin each job with `-`");
            Vec::new()
        }
    }
}

fn require(key: &Key, item: &Node, reader: &mut Reader<'_, '_>) -> Option<RequireStanza> {
    match &item.value {
        Value::Scalar(scalar) if !scalar.is_null() => Some(RequireStanza {
            job: Name {
                text: reader.expanded(&scalar.text, item.region),
                region: item.region,
            },
            outcomes: vec![OutcomeKind::Success],
        }),
        Value::Map(map) if map.only().is_some() => {
            let Entry { key, value } = map.only()?;
            Some(RequireStanza {
                job: Name {
                    text: reader.expanded(&key.text, key.region),
                    region: key.region,
                },
                outcomes: outcomes(key, value, reader),
            })
        }
        Value::Scalar(_) | Value::List(_) | Value::Map(_) => {
            reader
                .problems
                .error(
                    at_item(key, item),
                    format!(
                        "an entry of `requires` must name a job, and this is {}",
                        item.describe()
                    ),
                )
                .help("write `- build` or `- build: [success, failed]`");
            None
        }
    }
}

fn outcomes(key: &Key, value: &Node, reader: &mut Reader<'_, '_>) -> Vec<OutcomeKind> {
    let words: Vec<&Node> = match &value.value {
        Value::Scalar(scalar) if !scalar.is_null() => vec![value],
        Value::List(items) if !items.is_empty() => items.iter().map(|item| &**item).collect(),
        Value::Scalar(_) | Value::List(_) | Value::Map(_) => {
            reader
                .problems
                .error(
                    key.region,
                    format!("how `{}` may end must be a list of statuses", key.text),
                )
                .help(format!("write `{}: [success, failed]`", key.text));
            return Vec::new();
        }
    };
    let mut outcomes = Vec::new();
    for word in words {
        let Some(text) = reader.text(key, word) else {
            continue;
        };
        if let Some((_, kinds)) = STATUSES.iter().find(|(status, _)| *status == text) {
            outcomes.extend_from_slice(kinds);
            continue;
        }
        let nearest = reader
            .problems
            .nearest(&text, STATUSES.iter().map(|(status, _)| *status));
        let problem = reader
            .problems
            .error(at(key, word), format!("a job can't end as `{text}`"));
        match nearest {
            Some(_) => problem.suggest(nearest),
            None => problem.help(
                "it is `success`, `failed`, `canceled`, `not_run`, `unauthorized` or `terminal`",
            ),
        };
    }
    outcomes
}
