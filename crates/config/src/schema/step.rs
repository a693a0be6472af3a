//! `steps`: what a job does, in order.

use model::{RunStep, StepAction, StepSpec, StepWhen};

use crate::keys::{self, Meant, Place, meant};
use crate::read::{Entry, Key, Map, Node, Value};

use super::environment::{Names, environment};
use super::ignored as no;
use super::reader::{Reader, UnknownKeys, is_unknown};
use super::{at_item, built_in};

/// Reads them. None if there are none, or one is wrong; that has been told then.
pub(super) fn steps(job: &Key, entry: &Entry, reader: &mut Reader<'_>) -> Option<Vec<StepSpec>> {
    let Entry { key, value } = entry;
    let mut specs = Vec::new();
    let right = match &value.value {
        Value::List(items) if !items.is_empty() => {
            let mut right = true;
            for item in items {
                let outer = reader.problems.current_use();
                reader.problems.leave(item.via.or(outer));
                right &= step(key, item, reader, &mut specs);
                reader.problems.leave(outer);
            }
            right
        }
        // What conditions leave of a list; "steps": [] in CircleCI's own examples of expanded configs.
        Value::List(_) => {
            reader.problems.warning(
                key.region,
                format!("no step of job `{}` is left: it does nothing", job.text),
            );
            true
        }
        Value::Scalar(_) => {
            reader
                .problems
                .error(
                    key.region,
                    format!("the `steps` of job `{}` are empty", job.text),
                )
                .help("add at least one step, such as `- run: make`");
            false
        }
        Value::Map(_) => false,
    };
    right.then_some(specs)
}

/// Adds one step; false if it is wrong, which has been told.
fn step(steps: &Key, item: &Node, reader: &mut Reader<'_>, specs: &mut Vec<StepSpec>) -> bool {
    match &item.value {
        Value::Scalar(scalar) if !scalar.is_null() => {
            let key = Key::new(&scalar.text, item.region);
            let nothing = Node::word(item.region, "");
            add(&key, &nothing, reader, specs)
        }
        Value::Map(map) => match map.only() {
            Some(entry) => add(&entry.key, &entry.value, reader, specs),
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

fn add(key: &Key, value: &Node, reader: &mut Reader<'_>, specs: &mut Vec<StepSpec>) -> bool {
    let spec = match &*key.text {
        "run" => run(key, value, reader),
        "deploy" => {
            reader.ignore(key.region, no::DEPLOY);
            run(key, value, reader)
        }
        "install_signing_bundle" => {
            reader.ignore(key.region, no::SIGNING);
            return true;
        }
        // What else there is was told where commands are looked up.
        _ => built_in::step(key, value, reader),
    };
    let right = spec.is_some();
    specs.extend(spec);
    right
}

/// A step has one key; more of them mostly means that the keys of `run` are not indented.
fn several_keys(map: &Map, item: &Node, reader: &mut Reader<'_>) {
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
    // Whatever it begins with, the step is the one that there is.
    let is_step = |entry: &&Entry| keys::is_built_in(&entry.key.text);
    let first = map.iter().find(is_step).unwrap_or(first);
    let place = map
        .iter()
        .find(|other| other.key.text != first.key.text)
        .map_or(first.key.region, |other| other.key.region);
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

fn run(key: &Key, value: &Node, reader: &mut Reader<'_>) -> Option<StepSpec> {
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

fn run_map(run: &Key, map: &Map, reader: &mut Reader<'_>) -> Option<StepSpec> {
    let mut name = None;
    let mut when = StepWhen::OnSuccess;
    let mut step = RunStep::default();
    let mut script = None;
    let has_command = map.get("command").is_some();
    // Then one of its keys may be a misspelt `command`.
    let is_command_typo =
        |key: &str| !has_command && { meant(Place::Run, key) == Some(Meant::Key("command")) };
    for entry in map.iter() {
        let Entry { key, value } = entry;
        match Place::Run.own(&key.text) {
            "command" => script = command(key, value, reader),
            "name" => name = reader.optional_text(key, value),
            "when" => when = run_when(key, value, reader),
            "environment" => step.environment = environment(entry, Names::Shell, reader),
            "working_directory" => step.working_directory = reader.optional_text(key, value),
            "shell" => step.shell = reader.optional_text(key, value),
            "background" => step.background = reader.boolean(key, value).unwrap_or(false),
            "no_output_timeout" => step.no_output_timeout_ms = reader.duration(key, value),
            "max_auto_reruns" => step.max_auto_reruns = reruns(key, value, reader).unwrap_or(0),
            "auto_rerun_delay" => {
                step.auto_rerun_delay_ms = rerun_delay(key, value, reader).unwrap_or(0);
            }
            // Told below, as the missing command.
            _ if is_command_typo(&key.text) => {}
            _ => reader.unknown_key(key, "`run`", Place::Run, UnknownKeys::Refused),
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
    let reruns = map.get("max_auto_reruns");
    let delay = map.get("auto_rerun_delay");
    if let (Some(delay), None) = (delay, reruns) {
        reader
            .problems
            .error(
                delay.key.region,
                "`auto_rerun_delay` means nothing without `max_auto_reruns`",
            )
            .help("add `max_auto_reruns: 1`");
    }
    if let Some(entry) = reruns.or(delay).filter(|_| step.background) {
        reader.problems.error(
            entry.key.region,
            format!("a `background` command can't have `{}`", entry.key.text),
        );
    }
    step.command = script?;
    Some(run_spec(name.as_deref(), when, step))
}

/// How often a failure is run again: 1 to 5 times, as CircleCI has it.
pub(super) fn reruns(key: &Key, value: &Node, reader: &mut Reader<'_>) -> Option<u32> {
    const MOST: u32 = 5;
    let number = reader.number(key, value, 1)?;
    if number > MOST {
        reader
            .problems
            .error_of(key, value, format!("`{}` must be at most {MOST}", key.text));
        return None;
    }
    Some(number)
}

/// How long before that: minutes or seconds, at most ten minutes.
fn rerun_delay(key: &Key, value: &Node, reader: &mut Reader<'_>) -> Option<u64> {
    const MOST_MS: u64 = 10 * 60 * 1000;
    let text = reader.text(key, value)?;
    if is_unknown(&text) {
        return None;
    }
    let number = text.strip_suffix(['m', 's']).unwrap_or_default();
    let is_whole = number.bytes().all(|byte| byte.is_ascii_digit()) && !number.starts_with('0');
    let delay = crate::duration::parse(&text).ok();
    match delay {
        Some(delay) if is_whole && !number.is_empty() && delay <= MOST_MS => Some(delay),
        Some(_) | None => {
            reader
                .problems
                .error_of(key, value, format!("`{}` can't be `{text}`", key.text))
                .help("it is `1m` to `10m`, or seconds: `90s`");
            None
        }
    }
}

fn command(key: &Key, value: &Node, reader: &mut Reader<'_>) -> Option<String> {
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

pub(super) fn run_when(key: &Key, value: &Node, reader: &mut Reader<'_>) -> StepWhen {
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
    if !is_unknown(&text) {
        let nearest = reader.problems.nearest(&text, WORDS.map(|(word, _)| word));
        let problem = reader
            .problems
            .error_of(key, value, format!("`when` can't be `{text}`"));
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
pub(super) fn one_line(text: &str) -> Option<String> {
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
