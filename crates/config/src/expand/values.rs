//! The values of a pipeline: what its trigger brings (`pipeline.git.branch`), and its parameters.
//!
//! What a trigger does not bring is empty, so that a config means the same whoever started it.

use std::rc::Rc;

use model::ParameterValue;

use crate::diagnostic::Problems;
use crate::inputs::{Inputs, TriggerValues};
use crate::keys::{Empty, PIPELINE_VALUES};
use crate::read::{Index, Key, Map, Node, Region};

use super::Version;
use super::parameter::{self, Kind, Parameter, Parameters, UNKNOWN};

/// All that `pipeline.` stands for.
pub(super) struct PipelineValues {
    trigger: TriggerValues,
    has_trigger: bool,
    parameters: Vec<(Parameter, Rc<Node>)>,
    /// Of `parameters`.
    index: Index,
}

/// Below these, names are the forge's or the trigger's own.
const OPEN: &[&str] = &[
    "event.",
    "trigger_parameters.",
    "git.pull_request.",
    "config.",
    "deploy.",
    "trigger.",
    "schedule.",
];

/// What a name that stands for nothing is told with.
pub(super) struct Unknown {
    pub(super) message: String,
    pub(super) nearest: Option<String>,
}

impl PipelineValues {
    /// Reads the config's `parameters` and gives them their values.
    pub(super) fn new(
        top: &Map,
        inputs: &Inputs<'_>,
        version: Version,
        problems: &mut Problems,
    ) -> Self {
        let declared = match version {
            Version::V2_0 => Parameters::default(),
            Version::V2_1 => parameter::declared(top, true, problems),
        };
        let mut parameters = Vec::new();
        for parameter in declared.iter() {
            let given = inputs
                .parameters
                .and_then(|given| given.get(&*parameter.name.text));
            let given = given.map(|value| (value, Rc::new(node(value, parameter.name.region))));
            let value = match given {
                Some((value, given)) => match parameter::typed(&parameter.kind, &given) {
                    Ok(value) => value,
                    Err(expected) => {
                        problems.error(
                            parameter.name.region,
                            format!(
                                "the pipeline's parameter `{}` must be {expected}, and was given {}",
                                parameter.name.text,
                                told(value)
                            ),
                        );
                        given
                    }
                },
                None => match &parameter.default {
                    Some(default) => Rc::clone(default),
                    None => Rc::new(empty(&parameter.kind, parameter.name.region)),
                },
            };
            parameters.push((parameter.clone(), value));
        }
        Self {
            has_trigger: inputs.trigger.is_some(),
            trigger: inputs.trigger.cloned().unwrap_or_default(),
            parameters,
            index: Index::default(),
        }
    }

    /// What a name below `pipeline.` stands for.
    pub(super) fn get(
        &self,
        name: &str,
        region: Region,
        problems: &mut Problems,
    ) -> Result<Rc<Node>, Unknown> {
        if let Some(name) = name.strip_prefix("parameters.") {
            let found = self.index.find(&self.parameters, name, |(parameter, _)| {
                &parameter.name.text
            });
            return match found {
                Some((_, node)) => Ok(Rc::clone(node)),
                None => Err(Unknown {
                    message: format!("the pipeline has no parameter `{name}`"),
                    nearest: problems
                        .nearest(
                            name,
                            self.parameters
                                .iter()
                                .map(|(parameter, _)| &*parameter.name.text),
                        )
                        .map(str::to_owned),
                }),
            };
        }
        if let Some(value) = self.trigger.values.get(name) {
            return Ok(Rc::new(node(value, region)));
        }
        let known = PIPELINE_VALUES.iter().find(|known| known.name == name);
        if name == "git.revision" {
            // As git writes a commit that there is not.
            return Ok(Rc::new(Node::text(region, "0".repeat(40))));
        }
        let is_open = OPEN.iter().any(|open| name.starts_with(open));
        if !self.has_trigger && (known.is_some() || is_open) {
            return Ok(Rc::new(stand_in(
                name,
                known.map(|known| known.empty),
                region,
            )));
        }
        if let Some(known) = known {
            return Ok(Rc::new(match known.empty {
                Empty::Text => Node::word(region, ""),
                Empty::Number => Node::word(region, "0"),
                Empty::False => Node::word(region, "false"),
            }));
        }
        if is_open {
            return Ok(Rc::new(Node::word(region, "")));
        }
        Err(Unknown {
            message: format!("there is no value `pipeline.{name}`"),
            nearest: problems
                .nearest(name, PIPELINE_VALUES.iter().map(|known| known.name))
                .map(|nearest| format!("pipeline.{nearest}")),
        })
    }

    /// The names of its parameters, where they are declared.
    pub(super) fn declared(&self) -> impl Iterator<Item = &Key> {
        self.parameters.iter().map(|(parameter, _)| &parameter.name)
    }

    /// Whether there is a trigger at all; a config may just be looked over.
    pub(super) fn has_trigger(&self) -> bool {
        self.has_trigger
    }
}

fn node(value: &ParameterValue, region: Region) -> Node {
    match value {
        // No program can be given a NUL, and it is not for a trigger to bring what stands for a fault.
        ParameterValue::Text(text) => Node::text(region, text.replace(UNKNOWN, "\u{fffd}")),
        ParameterValue::Integer(number) => Node::word(region, number.to_string()),
        ParameterValue::Boolean(truth) => Node::word(region, truth.to_string()),
    }
}

/// What a value is where nothing is known of the trigger: of its type, and not empty, so that what is made
/// of it can be looked over.
fn stand_in(name: &str, empty: Option<Empty>, region: Region) -> Node {
    let last = name.rsplit('.').next().unwrap_or(name);
    match empty {
        Some(Empty::Number) => Node::word(region, "1"),
        Some(Empty::False) => Node::word(region, "false"),
        // Of a push, which is of a branch.
        Some(Empty::Text) if name == "git.tag" => Node::word(region, ""),
        Some(Empty::Text) if name == "git.branch" => Node::text(region, "main"),
        Some(Empty::Text) => Node::text(region, last),
        // The forge's own: its words for what it tells say which they are.
        None => match last {
            "draft" | "merged" | "fork" | "private" | "forced" | "created" | "deleted"
            | "locked" | "archived" | "prerelease" => Node::word(region, "false"),
            "number" | "id" => Node::word(region, "1"),
            _ => Node::text(region, last),
        },
    }
}

fn told(value: &ParameterValue) -> String {
    match value {
        ParameterValue::Text(text) => format!("the text `{text}`"),
        ParameterValue::Integer(number) => format!("the number `{number}`"),
        ParameterValue::Boolean(truth) => format!("the boolean `{truth}`"),
    }
}

fn empty(kind: &Kind, region: Region) -> Node {
    match kind {
        Kind::Boolean => Node::word(region, "false"),
        Kind::Integer => Node::word(region, "0"),
        Kind::Enum(choices) => Node::text(region, choices.first().map_or("", String::as_str)),
        Kind::String | Kind::EnvVarName | Kind::Executor | Kind::Steps => Node::text(region, ""),
        Kind::Unknown => Node::text(region, UNKNOWN),
    }
}
