//! `workflows`: which jobs run, and after which others.

use model::{Concurrency, JobKind, OutcomeKind};

use crate::cron::Cron;
use crate::keys::Place;
use crate::read::{Entry, Key, Map, Node, Value};

use super::filter::filter;
use super::job::idle_kind;
use super::paths::paths;
use super::reader::{Reader, UnknownKeys, is_unknown};
use super::step::reruns;
use super::{
    Filters, JobUse, Name, RequireStanza, ScheduleStanza, WorkflowStanza, at_item, is_empty,
};

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
pub(super) fn workflows(
    entry: &Entry,
    none_run: bool,
    reader: &mut Reader<'_>,
) -> Vec<WorkflowStanza> {
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
        // What is left of a config whose conditions all don't hold.
        if none_run {
            return stanzas;
        }
        if !map.is_empty() {
            reader
                .problems
                .warning(key.region, "`workflows` holds no workflow")
                .help("nothing runs");
            return stanzas;
        }
    }
    reader
        .problems
        .error(key.region, "`workflows` holds no workflow")
        .help("add one, or remove `workflows` to run the job `build`");
    stanzas
}

/// Reads one; none if it has no jobs, which has been told.
pub(super) fn workflow(entry: &Entry, reader: &mut Reader<'_>) -> Option<WorkflowStanza> {
    let Entry { key, value } = entry;
    reader.check_name(&key.text, key.region, "the name of a workflow");
    if value.is_null() {
        tell_no_jobs(key, reader);
        return None;
    }
    let map = reader.map(key, value)?;
    let mut stanza = WorkflowStanza {
        name: Name {
            text: key.text.to_string(),
            region: key.region,
        },
        jobs: Vec::new(),
        schedules: Vec::new(),
        max_auto_reruns: 0,
        concurrency: None,
        priority: 0,
        paths: None,
    };
    for Entry { key, value } in map.iter() {
        match Place::Workflow.own(&key.text) {
            "jobs" | "description" => {}
            "triggers" if is_empty(value) => {}
            "triggers" => stanza.schedules = triggers(key, value, reader),
            "max_auto_reruns" => {
                stanza.max_auto_reruns = reruns(key, value, reader).unwrap_or(0);
            }
            "concurrency" => stanza.concurrency = concurrency(key, value, reader),
            "priority" => stanza.priority = priority(key, value, reader).unwrap_or(0),
            "paths" => stanza.paths = Some(paths(key, value, reader)),
            _ => reader.unknown_key(key, "a workflow", Place::Workflow, UnknownKeys::Refused),
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
    stanza.jobs = items
        .iter()
        .filter_map(|item| job_use(key, item, reader))
        .collect();
    Some(stanza)
}

fn triggers(key: &Key, value: &Node, reader: &mut Reader<'_>) -> Vec<ScheduleStanza> {
    let Some(items) = value.as_list() else {
        reader.wrong_type(key, value, "a list");
        return Vec::new();
    };
    items
        .iter()
        .filter_map(|item| {
            let entry = item.as_map().and_then(Map::only);
            match entry {
                Some(entry) if &*entry.key.text == "schedule" => schedule(entry, reader),
                Some(_) | None => {
                    reader
                        .problems
                        .error(
                            at_item(key, item),
                            "a trigger of a workflow must be a `schedule`",
                        )
                        .help("write `- schedule: {cron: \"0 0 * * *\", filters: …}`");
                    None
                }
            }
        })
        .collect()
}

fn schedule(entry: &Entry, reader: &mut Reader<'_>) -> Option<ScheduleStanza> {
    let Entry { key, value } = entry;
    let map = reader.map(key, value)?;
    for Entry { key, .. } in map.iter() {
        if Place::Schedule.key(&key.text).is_none() {
            reader.unknown_key(key, "a `schedule`", Place::Schedule, UnknownKeys::Refused);
        }
    }
    let Some(cron) = map.get("cron") else {
        reader
            .problems
            .error(key.region, "a `schedule` has no `cron`")
            .help("add `cron: \"0 0 * * *\"`");
        return None;
    };
    let text = reader.text(&cron.key, &cron.value)?;
    if !is_unknown(&text) {
        check_cron(&text, cron, reader);
    }
    let branches = map
        .get("filters")
        .and_then(|filters| reader.map(&filters.key, &filters.value))
        .and_then(|filters| filters.get("branches"))
        .map(|entry| filter(&entry.key, &entry.value, reader));
    let Some(branches) = branches else {
        reader
            .problems
            .error(key.region, "a `schedule` has no `filters` with `branches`")
            .help("add `filters: {branches: {only: main}}`");
        return None;
    };
    Some(ScheduleStanza {
        cron: text,
        branches,
    })
}

fn check_cron(text: &str, entry: &Entry, reader: &mut Reader<'_>) {
    let place = entry.value.place(&entry.key);
    let tell = |problem: &mut crate::Diagnostic, fault: &crate::fault::Fault| {
        if let Some(help) = &fault.help {
            problem.help(help.clone());
        }
    };
    match Cron::parse(text) {
        Ok(cron) => {
            for doubt in cron.doubts() {
                let message = format!("the schedule `{text}`: {}", doubt.message);
                tell(reader.problems.warning(place, message), doubt);
            }
        }
        Err(fault) => {
            let message = format!("`{text}` is no schedule: {}", fault.message);
            tell(reader.problems.error(place, message), &fault);
        }
    }
}

fn concurrency(key: &Key, value: &Node, reader: &mut Reader<'_>) -> Option<Concurrency> {
    if let Some(group) = value.as_text() {
        return Some(Concurrency {
            group: group.to_owned(),
            cancel_in_progress: false,
        });
    }
    let map = reader.map(key, value)?;
    for Entry { key, .. } in map.iter() {
        if Place::Concurrency.key(&key.text).is_none() {
            let shown = "`concurrency`";
            reader.unknown_key(key, shown, Place::Concurrency, UnknownKeys::Refused);
        }
    }
    let Some(group) = map.get("group") else {
        reader
            .problems
            .error(key.region, "`concurrency` has no `group`")
            .help("add what those that must not run at once have in common");
        return None;
    };
    let cancel = map.get("cancel-in-progress");
    Some(Concurrency {
        group: reader.text(&group.key, &group.value)?,
        cancel_in_progress: cancel
            .and_then(|entry| reader.boolean(&entry.key, &entry.value))
            .unwrap_or(false),
    })
}

fn priority(key: &Key, value: &Node, reader: &mut Reader<'_>) -> Option<i16> {
    const MOST: i16 = 100;
    let text = value.as_text().unwrap_or_default().trim();
    match text.parse::<i16>() {
        Ok(number) if number.abs() <= MOST => Some(number),
        _ if is_unknown(text) => None,
        _ => {
            let range = format!("a whole number from -{MOST} to {MOST}");
            reader.wrong_type(key, value, &range);
            None
        }
    }
}

fn tell_no_jobs(workflow: &Key, reader: &mut Reader<'_>) {
    reader
        .problems
        .error(
            workflow.region,
            format!("workflow `{}` has no jobs", workflow.text),
        )
        .help("add `jobs:` with at least one job");
}

fn job_use(workflow: &Key, item: &Node, reader: &mut Reader<'_>) -> Option<JobUse> {
    match &item.value {
        Value::Scalar(scalar) if !scalar.is_null() => {
            let key = Key::new(&scalar.text, item.region);
            Some(JobUse::of(&key))
        }
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

impl JobUse {
    fn of(job: &Key) -> Self {
        Self {
            job: Name {
                text: job.text.to_string(),
                region: job.region,
            },
            alias: None,
            requires: Vec::new(),
            kind: None,
            contexts: Vec::new(),
            filters: Filters::default(),
            serial_group: None,
        }
    }
}

fn several_keys(map: &Map, item: &Node, reader: &mut Reader<'_>) {
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

fn job_use_map(entry: &Entry, reader: &mut Reader<'_>) -> Option<JobUse> {
    let Entry { key, value } = entry;
    let mut stanza = JobUse::of(key);
    if value.is_null() {
        return Some(stanza);
    }
    let map = reader.map(key, value)?;
    if let Some(entry) = map.get("type") {
        let word = reader.text(&entry.key, &entry.value);
        stanza.kind = word.filter(|word| word != "build").map(|word| {
            let kind = idle_kind(&word, entry.value.place(&entry.key), reader);
            // What it is has been told; nobody is to look for it in `jobs`.
            kind.unwrap_or(JobKind::NoOp)
        });
    }
    for entry in map.iter() {
        let Entry { key, value } = entry;
        match Place::Use.own(&key.text) {
            "requires" => stanza.requires = requires(key, value, reader),
            "name" => stanza.alias = use_name(key, value, reader),
            "context" => stanza.contexts = reader.texts(key, value),
            "filters" => stanza.filters = filters(key, value, reader),
            "serial-group" => stanza.serial_group = serial_group(key, value, reader),
            "type" | "override-with" | "matrix" => {}
            // `release` names its plan, `lock` its key.
            _ if stanza.kind.is_some() && Place::Idle.key(&key.text).is_some() => {}
            _ => reader.unknown_key(
                key,
                &format!("the job `{}` of a workflow", stanza.job.text),
                Place::Use,
                UnknownKeys::Refused,
            ),
        }
    }
    Some(stanza)
}

/// What a use is called. A name that could not be told is kept: another job may require it.
fn use_name(key: &Key, value: &Node, reader: &mut Reader<'_>) -> Option<Name> {
    match value.as_text() {
        Some(text) if is_unknown(text) => Some(Name {
            text: text.to_owned(),
            region: value.place(key),
        }),
        Some(_) | None => reader.name(key, value),
    }
}

fn serial_group(key: &Key, value: &Node, reader: &mut Reader<'_>) -> Option<String> {
    const MAX_CHARS: usize = 512;
    let text = reader.text(key, value)?;
    if is_unknown(&text) {
        return None;
    }
    let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '/');
    if text.is_empty() || text.len() > MAX_CHARS || !text.chars().all(is_word) {
        reader
            .problems
            .error_of(key, value, format!("`{text}` can't be a `serial-group`"))
            .help(format!(
                "use letters, digits, `.`, `-`, `_` and `/`, at most {MAX_CHARS}"
            ));
        return None;
    }
    Some(text)
}

fn filters(key: &Key, value: &Node, reader: &mut Reader<'_>) -> Filters {
    let mut stanza = Filters::default();
    if value.is_null() {
        return stanza;
    }
    // An expression, decided while the config was expanded.
    if let Some(holds) = value.as_bool() {
        stanza.expression = Some(holds);
        return stanza;
    }
    let Some(map) = reader.map(key, value) else {
        return stanza;
    };
    for Entry { key, value } in map.iter() {
        match Place::Filters.own(&key.text) {
            "branches" => stanza.branches = Some(filter(key, value, reader)),
            "tags" => stanza.tags = Some(filter(key, value, reader)),
            _ => reader.unknown_key(key, "`filters`", Place::Filters, UnknownKeys::Refused),
        }
    }
    stanza
}

fn requires(key: &Key, value: &Node, reader: &mut Reader<'_>) -> Vec<RequireStanza> {
    match &value.value {
        Value::List(items) => items
            .iter()
            .filter_map(|item| require(key, item, reader))
            .collect(),
        Value::Scalar(scalar) if scalar.is_null() || is_unknown(&scalar.text) => Vec::new(),
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

fn require(key: &Key, item: &Node, reader: &mut Reader<'_>) -> Option<RequireStanza> {
    match &item.value {
        Value::Scalar(scalar) if !scalar.is_null() => Some(RequireStanza {
            job: Name {
                text: scalar.text.clone(),
                region: item.region,
            },
            outcomes: vec![OutcomeKind::Success],
        }),
        Value::Map(map) if map.only().is_some() => {
            let Entry { key, value } = map.only()?;
            Some(RequireStanza {
                job: Name {
                    text: key.text.to_string(),
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

fn outcomes(key: &Key, value: &Node, reader: &mut Reader<'_>) -> Vec<OutcomeKind> {
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
        if is_unknown(&text) {
            continue;
        }
        let nearest = reader
            .problems
            .nearest(&text, STATUSES.iter().map(|(status, _)| *status));
        let problem = reader
            .problems
            .error(word.place(key), format!("a job can't end as `{text}`"));
        match nearest {
            Some(_) => problem.suggest(nearest),
            None => problem.help(
                "it is `success`, `failed`, `canceled`, `not_run`, `unauthorized` or `terminal`",
            ),
        };
    }
    outcomes
}
