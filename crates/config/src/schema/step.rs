//! `steps`: what a job does, in order.

use model::{RunStep, StepAction, StepSpec, StepWhen};

use crate::read::{Entry, Key, Map, Node, Region, Value};
use crate::suggest::nearest;

use super::environment::{Names, environment};
use super::reader::{Reader, UnknownKeys};
use super::unsupported::{self as no, Feature};
use super::{at, at_item};

/// The built-in steps, for suggestions.
const STEPS: &[&str] = &[
    "run",
    "checkout",
    "save_cache",
    "restore_cache",
    "store_artifacts",
    "store_test_results",
    "persist_to_workspace",
    "attach_workspace",
    "add_ssh_keys",
    "setup_remote_docker",
    "deploy",
    "when",
    "unless",
];

const RUN_KEYS: &[&str] = &[
    "name",
    "command",
    "environment",
    "working_directory",
    "shell",
    "when",
    "background",
    "no_output_timeout",
    "max_auto_reruns",
    "auto_rerun_delay",
];

/// What CircleCI shows for a checkout.
const CHECKOUT_NAME: &str = "Checkout code";

/// Reads them. None if there are none, or one is wrong; that has been told then.
pub(super) fn steps(
    job: &Key,
    entry: &Entry,
    reader: &mut Reader<'_, '_>,
) -> Option<Vec<StepSpec>> {
    let Entry { key, value } = entry;
    let mut specs = Vec::new();
    let right = match &value.value {
        Value::List(items) if !items.is_empty() => {
            let mut right = true;
            for item in items {
                right &= step(key, item, reader, &mut specs);
            }
            right
        }
        // `steps: checkout` is one step.
        Value::Scalar(scalar) if !scalar.is_null() => step(key, value, reader, &mut specs),
        Value::List(_) | Value::Scalar(_) => {
            reader
                .problems
                .error(
                    key.region,
                    format!("the `steps` of job `{}` are empty", job.text),
                )
                .help("add at least one step, such as `- run: make`");
            false
        }
        Value::Map(_) => {
            reader
                .problems
                .error(key.region, "`steps` must be a list, not a map")
                .help("begin each step with `-`");
            false
        }
    };
    right.then_some(specs)
}

/// Adds one step; false if it is wrong, which has been told. What is only ignored adds nothing.
fn step(steps: &Key, item: &Node, reader: &mut Reader<'_, '_>, specs: &mut Vec<StepSpec>) -> bool {
    match &item.value {
        Value::Scalar(scalar) if !scalar.is_null() => {
            let name = scalar.text.as_str();
            if name == "checkout" {
                specs.push(checkout(None));
                return true;
            }
            other_step(name, at(steps, item), reader)
        }
        Value::Map(map) => match map.only() {
            Some(entry) => keyed_step(entry, reader, specs),
            None => {
                several_keys(map, item, reader);
                false
            }
        },
        Value::Scalar(_) => {
            reader
                .problems
                .error(at_item(steps, item), "a step is empty")
                .help("remove the `-` that nothing follows");
            false
        }
        Value::List(_) => {
            reader
                .problems
                .error(item.region, "a step must be a string or a map, not a list")
                .help("put its steps directly into `steps`");
            false
        }
    }
}

fn keyed_step(entry: &Entry, reader: &mut Reader<'_, '_>, specs: &mut Vec<StepSpec>) -> bool {
    let Entry { key, value } = entry;
    match &*key.text {
        "run" => match run(key, value, reader) {
            Some(spec) => {
                specs.push(spec);
                true
            }
            None => false,
        },
        "checkout" => {
            let path = checkout_path(key, value, reader);
            specs.push(checkout(path));
            true
        }
        name => other_step(name, key.region, reader),
    }
}

/// A step that is neither `run` nor `checkout`; whether it is right, and just does nothing.
fn other_step(name: &str, region: Region, reader: &mut Reader<'_, '_>) -> bool {
    if let Some(feature) = unsupported_step(name) {
        reader.unsupported(region, feature);
        return true;
    }
    // The import or definition has been told as unsupported; its use is no news.
    let is_from_orb = name
        .split_once('/')
        .is_some_and(|(orb, _)| reader.orbs.contains(orb));
    if reader.commands.contains(name) || is_from_orb {
        return false;
    }
    if reader.is_expression(name) {
        reader.expanded(name, region);
        return false;
    }
    if let Some((orb, _)) = name.split_once('/') {
        reader
            .problems
            .error(
                region,
                format!(
                    "the step `{name}` is of an orb `{orb}`, which this config does not import"
                ),
            )
            .help("`orbs` are not supported yet");
        return false;
    }
    if name == "run" {
        reader
            .problems
            .error(region, "`run` has no command")
            .help("write `run: make`, or a map with `command`");
        return false;
    }
    let commands = reader.commands.iter().map(String::as_str);
    let nearest = reader
        .problems
        .nearest(name, STEPS.iter().copied().chain(commands));
    let problem = reader
        .problems
        .error(region, format!("there is no step `{name}`"));
    match nearest {
        Some(_) => problem.suggest(nearest),
        None => problem.help("write `- run: …` for a command"),
    };
    false
}

fn unsupported_step(name: &str) -> Option<Feature> {
    Some(match name {
        "save_cache" => no::SAVE_CACHE,
        "restore_cache" => no::RESTORE_CACHE,
        "store_artifacts" => no::ARTIFACTS,
        "store_test_results" => no::TEST_RESULTS,
        "persist_to_workspace" => no::PERSIST,
        "attach_workspace" => no::ATTACH,
        "add_ssh_keys" => no::SSH_KEYS,
        "setup_remote_docker" => no::REMOTE_DOCKER,
        "deploy" => no::DEPLOY,
        "when" | "unless" => no::CONDITIONS,
        "steps" => no::STEPS,
        _ => return None,
    })
}

/// A step has one key; more of them mostly means that the keys of `run` are not indented.
fn several_keys(map: &Map, item: &Node, reader: &mut Reader<'_, '_>) {
    let Some(first) = map.iter().next() else {
        reader
            .problems
            .error(item.region, "a step is an empty map")
            .help("write `- run: …` for a command");
        return;
    };
    let keys: Vec<String> = map
        .iter()
        .take(4)
        .map(|entry| format!("`{}`", entry.key.text))
        .collect();
    let dots = if map.len() > keys.len() { ", …" } else { "" };
    let place = map
        .iter()
        .nth(1)
        .map_or(first.key.region, |second| second.key.region);
    reader
        .problems
        .error(
            place,
            format!("a step has one key, this one has {}{dots}", keys.join(", ")),
        )
        .help(format!(
            "indent it below `{}`, or begin a new step with `-`",
            first.key.text
        ));
}

fn checkout(path: Option<String>) -> StepSpec {
    StepSpec {
        name: CHECKOUT_NAME.to_owned(),
        when: StepWhen::OnSuccess,
        action: StepAction::Checkout { path },
    }
}

fn checkout_path(key: &Key, value: &Node, reader: &mut Reader<'_, '_>) -> Option<String> {
    if value.is_null() {
        return None;
    }
    let mut path = None;
    for Entry { key, value } in reader.map(key, value)?.iter() {
        match &*key.text {
            "path" => path = reader.optional_text(key, value),
            "method" => reader.unsupported(key.region, no::CHECKOUT_METHOD),
            _ => reader.unknown_key(key, "`checkout`", &["path", "method"], UnknownKeys::Doubted),
        }
    }
    path
}

fn run(key: &Key, value: &Node, reader: &mut Reader<'_, '_>) -> Option<StepSpec> {
    match &value.value {
        Value::Scalar(scalar) if !scalar.is_null() => {
            let command = command(key, value, reader)?;
            let run = RunStep {
                command,
                ..RunStep::default()
            };
            Some(run_spec(None, StepWhen::OnSuccess, run))
        }
        Value::Map(map) => run_map(key, map, reader),
        Value::Scalar(_) => {
            reader
                .problems
                .error(key.region, "`run` has no command")
                .help("write `run: make`, or a map with `command`");
            None
        }
        Value::List(_) => {
            reader
                .problems
                .error(key.region, "`run` must be a string or a map, not a list")
                .help("write one `- run: …` for each command, or one text of many lines with `|`");
            None
        }
    }
}

fn run_map(run: &Key, map: &Map, reader: &mut Reader<'_, '_>) -> Option<StepSpec> {
    let mut name = None;
    let mut when = StepWhen::OnSuccess;
    let mut step = RunStep::default();
    let mut script = None;
    let has_command = map.get("command").is_some();
    // Then one of its keys may be a misspelt `command`.
    let is_command_typo = |key: &str| !has_command && nearest(key, ["command"]).is_some();
    for entry in map.iter() {
        let Entry { key, value } = entry;
        match &*key.text {
            "command" => script = command(key, value, reader),
            "name" => name = reader.optional_text(key, value),
            "when" => when = run_when(key, value, reader),
            "environment" => step.environment = environment(entry, Names::Shell, reader),
            "working_directory" => step.working_directory = reader.optional_text(key, value),
            "shell" => step.shell = reader.optional_text(key, value),
            "background" => {
                if value.as_bool() != Some(false) {
                    reader.unsupported(key.region, no::BACKGROUND);
                }
            }
            "no_output_timeout" => reader.unsupported(key.region, no::NO_OUTPUT_TIMEOUT),
            "max_auto_reruns" | "auto_rerun_delay" => reader.unsupported(key.region, no::RERUNS),
            // Told below, as the missing command.
            text if is_command_typo(text) => {}
            _ => reader.unknown_key(key, "`run`", RUN_KEYS, UnknownKeys::Doubted),
        }
    }
    if !has_command {
        let typo = map.iter().find(|entry| is_command_typo(&entry.key.text));
        let region = typo.map_or(run.region, |entry| entry.key.region);
        reader
            .problems
            .error(region, "`run` has no `command`")
            .suggest(typo.map(|_| "command"));
    }
    step.command = script?;
    Some(run_spec(name.as_deref(), when, step))
}

fn command(key: &Key, value: &Node, reader: &mut Reader<'_, '_>) -> Option<String> {
    let command = reader.text(key, value)?;
    if command.trim().is_empty() {
        reader
            .problems
            .error(key.region, "the command is empty")
            .help("write `true` for a command that does nothing");
        return None;
    }
    Some(command)
}

fn run_when(key: &Key, value: &Node, reader: &mut Reader<'_, '_>) -> StepWhen {
    const WORDS: [(&str, StepWhen); 3] = [
        ("on_success", StepWhen::OnSuccess),
        ("on_fail", StepWhen::OnFail),
        ("always", StepWhen::Always),
    ];
    let Some(text) = reader.text(key, value) else {
        return StepWhen::OnSuccess;
    };
    if let Some((_, when)) = WORDS.iter().find(|(word, _)| *word == text) {
        return *when;
    }
    if !reader.is_expression(&text) {
        let nearest = reader.problems.nearest(&text, WORDS.map(|(word, _)| word));
        let problem = reader
            .problems
            .error(at(key, value), format!("`when` can't be `{text}`"));
        match nearest {
            Some(_) => problem.suggest(nearest),
            None => problem.help("it is `on_success`, `on_fail` or `always`"),
        };
    }
    StepWhen::OnSuccess
}

fn run_spec(name: Option<&str>, when: StepWhen, run: RunStep) -> StepSpec {
    let name = name
        .and_then(one_line)
        .or_else(|| one_line(&run.command))
        .unwrap_or_else(|| "run".to_owned());
    StepSpec {
        name,
        when,
        action: StepAction::Run(run),
    }
}

/// The first line with something in it, short enough for a heading.
fn one_line(text: &str) -> Option<String> {
    const MAX_CHARS: usize = 200;
    let line = text.lines().map(str::trim).find(|line| !line.is_empty())?;
    let line: String = line
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if line.chars().count() <= MAX_CHARS {
        return Some(line);
    }
    Some(line.chars().take(MAX_CHARS - 1).chain(['…']).collect())
}
