//! What was meant by a key that means nothing where it stands: the nearest one, what another language calls
//! so, or the place where it belongs.

use crate::suggest::nearest;

use super::Place;

/// What was likely meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meant {
    /// Another key of the same place.
    Key(&'static str),
    /// Something else: what to do.
    Help(&'static str),
}

/// What people write for a key.
const OTHER_WORDS: &[(&str, &[&str])] = &[
    (
        "environment",
        &["env", "envs", "env_vars", "envvars", "variables", "vars"],
    ),
    (
        "working_directory",
        &["cwd", "workdir", "working_dir", "dir", "directory"],
    ),
    (
        "command",
        &["script", "cmd", "commands", "sh", "bash", "exec"],
    ),
    (
        "no_output_timeout",
        &["timeout", "timeout_minutes", "timeout-minutes"],
    ),
    ("max_auto_reruns", &["retry", "retries", "attempts"]),
    ("retry", &["retries", "attempts", "max_auto_reruns"]),
    (
        "timeout",
        &["timeout-minutes", "no_output_timeout", "max_time"],
    ),
    (
        "requires",
        &["needs", "depends_on", "depends-on", "dependencies", "after"],
    ),
    (
        "run",
        &["script", "command", "cmd", "sh", "bash", "shell", "exec"],
    ),
    ("steps", &["script", "run", "commands", "command"]),
    ("when", &["if", "condition", "only_if"]),
    ("enum", &["values", "options", "choices", "allowed"]),
    ("parameters", &["params", "inputs", "with", "arguments"]),
    ("at", &["path", "root", "to"]),
];

const OF_A_USE: &str = "it belongs to the job where a workflow uses it";
const CONDITION: &str =
    "conditions are for workflows (`when`) and steps (`when: {condition: …, steps: […]}`)";
const FILTERS: &str = "write `filters: {branches: {only: …}}`";

/// What was likely meant by a key that is none of a place.
pub(crate) fn meant(place: Place, key: &str) -> Option<Meant> {
    if let Some(help) = belonging(place, key) {
        return Some(Meant::Help(help));
    }
    let other_word = OTHER_WORDS
        .iter()
        .filter(|(name, _)| place.key(name).is_some())
        .find(|(_, words)| words.contains(&key));
    match other_word {
        Some((name, _)) => Some(Meant::Key(name)),
        None => nearest(key, place.names()).map(Meant::Key),
    }
}

/// Where a key belongs that has no like in a place.
fn belonging(place: Place, key: &str) -> Option<&'static str> {
    let help = match (place, key) {
        (Place::Job | Place::Executor, "image") => "write `docker: [{image: …}]`",
        (Place::Job | Place::Executor, "services") => {
            "add them to `docker`, after the job's own image"
        }
        (Place::Job, "requires" | "needs" | "depends_on" | "depends-on") => {
            "write `requires` where a workflow uses the job"
        }
        (Place::Job, "filters" | "context" | "contexts" | "matrix" | "serial-group") => OF_A_USE,
        (Place::Job, "if" | "when" | "unless") => CONDITION,
        (Place::Run, "if" | "condition" | "unless") => {
            "put the step below `when: {condition: …, steps: […]}`"
        }
        (Place::Use, "if" | "when" | "unless") => {
            "conditions are for workflows; `filters` of a job may be an expression"
        }
        (Place::Use, "branches" | "tags" | "only" | "ignore") => FILTERS,
        (Place::Use, "environment" | "env") => "it belongs to the job itself",
        (Place::Workflow, "filters" | "branches" | "requires" | "context") => {
            "it belongs to each job of the workflow"
        }
        (Place::Workflow, "on") => {
            "a workflow runs for every push; `when` and `filters` say for which"
        }
        (Place::Filters, "only" | "ignore") => "write it below `branches` or `tags`",
        (Place::Parameter, "required") => "a parameter without `default` must be given",
        (Place::Step, "uses") => "commands of others are in orbs: `- orb/command`",
        (_, _) => return None,
    };
    Some(help)
}

#[cfg(test)]
mod tests {
    use super::{Meant, OTHER_WORDS, meant};
    use crate::keys::Place;

    #[test]
    fn words_of_other_languages_are_known() {
        for (place, written, key) in [
            (Place::Job, "env", "environment"),
            (Place::Image, "env", "environment"),
            (Place::Run, "env", "environment"),
            (Place::Run, "timeout", "no_output_timeout"),
            (Place::Run, "script", "command"),
            (Place::Job, "script", "steps"),
            (Place::Use, "needs", "requires"),
            (Place::Step, "script", "run"),
            (Place::Run, "comand", "command"),
        ] {
            assert_eq!(meant(place, written), Some(Meant::Key(key)), "{written}");
        }
        let of_a_use = meant(Place::Job, "filters");
        assert!(matches!(of_a_use, Some(Meant::Help(_))), "{of_a_use:?}");
        assert_eq!(meant(Place::Command, "env"), None);
    }

    #[test]
    fn they_stand_for_keys_that_there_are() {
        let places = [
            Place::Job,
            Place::Run,
            Place::Use,
            Place::Workflow,
            Place::Parameter,
            Place::Matrix,
            Place::AttachWorkspace,
            Place::Step,
        ];
        for (name, _) in OTHER_WORDS {
            let is_key = places.iter().any(|place| place.key(name).is_some());
            assert!(is_key, "{name}");
        }
    }
}
