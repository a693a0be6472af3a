//! Parameters: what a command, a job, an executor or a pipeline declares that it takes, and what it is
//! given.

use std::rc::Rc;

use crate::diagnostic::Problems;
use crate::keys::{Meant, PARAMETER_TYPES, Place, meant};
use crate::read::{Entry, Index, Key, Map, Node, Region, Scalar, Value};

use super::scope::Scope;

/// What a parameter takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    String,
    Boolean,
    Integer,
    Enum(Vec<String>),
    Executor,
    Steps,
    EnvVarName,
    /// It does not say, or says it wrong, which has been told: it takes anything.
    Unknown,
}

/// One declared parameter.
#[derive(Clone, Debug)]
pub(super) struct Parameter {
    pub(super) name: Key,
    pub(super) kind: Kind,
    pub(super) default: Option<Rc<Node>>,
}

/// What a parameter was given.
#[derive(Clone)]
pub(super) struct Binding {
    pub(super) name: Rc<str>,
    pub(super) node: Rc<Node>,
    /// Where the names in it are to be looked up; only executors and steps hold any.
    pub(super) scope: Option<Rc<Scope>>,
}

/// What all parameters of one definition were given.
#[derive(Clone, Default)]
pub(super) struct Bindings {
    list: Vec<Binding>,
    index: Index,
    /// Whether there may be others, as in [`Parameters::is_open`].
    is_open: bool,
}

impl Bindings {
    /// Of what some parameters are given.
    pub(super) fn of(parameters: &Parameters) -> Self {
        Self {
            is_open: parameters.is_open,
            ..Self::default()
        }
    }

    /// Whether a name that is not there has been told by who declares them.
    pub(super) fn is_open(&self) -> bool {
        self.is_open
    }

    pub(super) fn push(&mut self, binding: Binding) {
        self.list.push(binding);
        self.index.forget();
    }

    pub(super) fn get(&self, name: &str) -> Option<&Binding> {
        self.index.find(&self.list, name, |binding| &binding.name)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Binding> {
        self.list.iter()
    }

    /// Their values may be changed, their names not.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Binding> {
        self.list.iter_mut()
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.list.iter().map(|binding| &*binding.name)
    }
}

/// The parameters that one definition declares.
#[derive(Clone, Debug, Default)]
pub(super) struct Parameters {
    list: Vec<Parameter>,
    index: Index,
    /// Whether what they are can't be told, which has been told: any name may be meant.
    is_open: bool,
}

impl Parameters {
    pub(super) fn get(&self, name: &str) -> Option<&Parameter> {
        self.index
            .find(&self.list, name, |parameter| &parameter.name.text)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Parameter> {
        self.list.iter()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// What it costs to give all of them their values, in values.
    pub(super) fn cost(&self) -> usize {
        let cost = |parameter: &Parameter| match &parameter.kind {
            // Each value is looked for among them.
            Kind::Enum(choices) => 1 + choices.len() / 16,
            Kind::String
            | Kind::Boolean
            | Kind::Integer
            | Kind::Executor
            | Kind::Steps
            | Kind::EnvVarName
            | Kind::Unknown => 1,
        };
        self.list.iter().map(cost).sum()
    }
}

/// Reads the `parameters` of a definition; what is wrong is told and left out.
pub(super) fn declared(owner: &Map, of_pipeline: bool, problems: &mut Problems) -> Parameters {
    let Some(Entry { key, value }) = owner.get("parameters") else {
        return Parameters::default();
    };
    if value.is_null() {
        return Parameters::default();
    }
    let Some(map) = value.as_map() else {
        problems.error(
            key.region,
            format!("`parameters` must be a map, not {}", value.describe()),
        );
        return Parameters {
            is_open: true,
            ..Parameters::default()
        };
    };
    let list = map
        .iter()
        .map(|entry| declaration(entry, of_pipeline, problems))
        .collect();
    Parameters {
        list,
        ..Parameters::default()
    }
}

fn declaration(entry: &Entry, of_pipeline: bool, problems: &mut Problems) -> Parameter {
    let Entry { key: name, value } = entry;
    let wrong = || Parameter {
        name: name.clone(),
        kind: Kind::Unknown,
        default: Some(unknown(name.region)),
    };
    let Some(map) = value.as_map() else {
        problems
            .error(
                name.region,
                format!(
                    "the parameter `{}` must be a map with a `type`, not {}",
                    name.text,
                    value.describe()
                ),
            )
            .help("write `type: string` below it");
        return wrong();
    };
    if !is_name(&name.text) {
        problems
            .error(
                name.region,
                format!("`{}` can't be the name of a parameter", name.text),
            )
            .help("begin with a letter, and use letters, digits, `_` and `-`");
        return wrong();
    }
    for Entry { key, .. } in map.iter() {
        if Place::Parameter.key(&key.text).is_none() {
            problems
                .error(
                    key.region,
                    format!("`{}` means nothing in a parameter", key.text),
                )
                .meant(meant(Place::Parameter, &key.text));
        }
    }
    let Some(kind) = kind(name, map, of_pipeline, problems) else {
        return wrong();
    };
    let mut parameter = Parameter {
        name: name.clone(),
        kind,
        default: None,
    };
    if of_pipeline && map.get("default").is_none() {
        problems
            .error(
                name.region,
                format!("the pipeline's parameter `{}` has no `default`", name.text),
            )
            .help("it needs one: a push gives it no value");
    }
    if let Some(Entry { key, value }) = map.get("default") {
        if value.templated {
            parameter.default = Some(Rc::clone(value));
            return parameter;
        }
        match typed(&parameter.kind, value) {
            Ok(node) => parameter.default = Some(node),
            Err(expected) => {
                problems.error_of(
                    key,
                    value,
                    format!(
                        "the default of the parameter `{}` must be {expected}, not {}",
                        name.text,
                        describe(value)
                    ),
                );
                // Whoever uses it is not to blame.
                parameter.default = Some(unknown(value.region));
            }
        }
    }
    parameter
}

fn kind(name: &Key, map: &Map, of_pipeline: bool, problems: &mut Problems) -> Option<Kind> {
    let Some(entry) = map.get("type") else {
        problems
            .error(
                name.region,
                format!("the parameter `{}` has no `type`", name.text),
            )
            .help("write `type: string` below it");
        return None;
    };
    let word = entry.value.as_text().unwrap_or_default();
    let kind = match word {
        "string" => Kind::String,
        "boolean" => Kind::Boolean,
        "integer" => Kind::Integer,
        "enum" => Kind::Enum(choices(name, map, problems)?),
        "executor" => Kind::Executor,
        "steps" => Kind::Steps,
        "env_var_name" => Kind::EnvVarName,
        _ => {
            let nearest = problems.nearest(word, PARAMETER_TYPES.iter().copied());
            let problem = problems.error_of(
                &entry.key,
                &entry.value,
                format!("there is no type of parameters `{word}`"),
            );
            match nearest {
                Some(_) => problem.suggest(nearest),
                None => problem.help(format!("it is one of {}", PARAMETER_TYPES.join(", "))),
            };
            return None;
        }
    };
    let is_plain = matches!(
        kind,
        Kind::String | Kind::Boolean | Kind::Integer | Kind::Enum(_)
    );
    if of_pipeline && !is_plain {
        problems
            .error_of(
                &entry.key,
                &entry.value,
                format!("a pipeline can't have a parameter of the type `{word}`"),
            )
            .help("it is `string`, `boolean`, `integer` or `enum`");
        return None;
    }
    Some(kind)
}

fn choices(name: &Key, map: &Map, problems: &mut Problems) -> Option<Vec<String>> {
    let items = map.get("enum").and_then(|entry| entry.value.as_list());
    let choices: Option<Vec<String>> = items.map(|items| {
        items
            .iter()
            .filter_map(|item| item.as_text().map(str::to_owned))
            .collect()
    });
    match choices {
        Some(choices) if !choices.is_empty() => Some(choices),
        Some(_) | None => {
            problems
                .error(
                    name.region,
                    format!("the parameter `{}` has no list of choices", name.text),
                )
                .help("write `enum: [one, other]` below it");
            None
        }
    }
}

/// Gives a definition's parameters their values. `arguments` are the caller's, already evaluated. What
/// is wrong is told, and bound to something harmless.
pub(super) fn bind(
    what: &What<'_>,
    parameters: &Parameters,
    arguments: &[(Key, Binding)],
    problems: &mut Problems,
) -> Bindings {
    let mut bindings = Bindings::of(parameters);
    let index = Index::default();
    for parameter in parameters.iter() {
        let name = Rc::clone(&parameter.name.text);
        let given = index.find(arguments, &name, |(key, _)| &key.text);
        if let Some((key, given)) = given {
            let node = match typed(&parameter.kind, &given.node) {
                Ok(node) => node,
                Err(expected) => {
                    let related = problems.related(parameter.name.region, "it is declared here");
                    let nearest = match (&parameter.kind, given.node.as_text()) {
                        (Kind::Enum(choices), Some(text)) => problems
                            .nearest(text, choices.iter().map(String::as_str))
                            .map(str::to_owned),
                        (_, _) => None,
                    };
                    problems
                        .misuse_of(
                            key,
                            &given.node,
                            format!(
                                "the parameter `{name}` of {} must be {expected}, not {}",
                                what.told(),
                                describe(&given.node)
                            ),
                        )
                        .suggest(nearest.as_deref())
                        .related(related);
                    unknown(key.region)
                }
            };
            bindings.push(Binding {
                name,
                node,
                scope: given.scope.clone(),
            });
        } else if let Some(default) = &parameter.default {
            bindings.push(Binding {
                name,
                node: Rc::clone(default),
                scope: Some(Rc::clone(what.scope)),
            });
        } else {
            let related = problems.related(parameter.name.region, "it is declared here");
            problems
                .misuse(
                    what.used_at,
                    format!("{} needs the parameter `{name}`", what.told()),
                )
                .help(format!("add `{name}: …`"))
                .related(related);
            bindings.push(Binding {
                name,
                node: unknown(what.used_at),
                scope: None,
            });
        }
    }
    for (key, _) in arguments {
        let is_unknown = key.text.contains(UNKNOWN);
        if parameters.is_open || is_unknown || parameters.get(&key.text).is_some() {
            continue;
        }
        let known = parameters
            .iter()
            .map(|parameter| &*parameter.name.text)
            .chain(what.other_keys.into_iter().flat_map(Place::names));
        let nearest = problems.nearest(&key.text, known);
        let meant = what.other_keys.and_then(|place| meant(place, &key.text));
        let problem = problems.misuse(
            key.region,
            format!("{} has no parameter `{}`", what.told(), key.text),
        );
        match (nearest, meant) {
            (_, Some(Meant::Help(help))) => problem.help(help),
            (Some(_), _) => problem.suggest(nearest),
            (None, Some(_)) => problem.meant(meant),
            (None, None) if parameters.is_empty() => problem.help("it has none"),
            (None, None) => problem.help(format!(
                "it has {}",
                shown(parameters.iter().map(|parameter| &*parameter.name.text))
            )),
        };
    }
    bindings
}

/// The first of some words, for messages.
fn shown<'w>(words: impl Iterator<Item = &'w str>) -> String {
    const SHOWN: usize = 12;
    let mut first: Vec<String> = Vec::new();
    for word in words {
        if first.len() == SHOWN {
            first.push("…".to_owned());
            break;
        }
        first.push(format!("`{word}`"));
    }
    first.join(", ")
}

/// What is given values, for messages.
pub(super) struct What<'a> {
    pub(super) noun: &'static str,
    pub(super) name: &'a str,
    pub(super) used_at: Region,
    /// Where the names in defaults are to be looked up.
    pub(super) scope: &'a Rc<Scope>,
    /// The keys beside the parameters that could be meant.
    pub(super) other_keys: Option<Place>,
}

impl What<'_> {
    fn told(&self) -> String {
        format!("{} `{}`", self.noun, self.name)
    }
}

/// A value as a parameter of that type has it, or what was expected.
pub(super) fn typed(kind: &Kind, node: &Rc<Node>) -> Result<Rc<Node>, String> {
    let scalar = match &node.value {
        Value::Scalar(scalar) => Some(scalar),
        Value::List(_) | Value::Map(_) => None,
    };
    // What has holes is checked when they are filled.
    let same = || Ok(Rc::clone(node));
    if scalar.is_some_and(|scalar| scalar.text.contains(UNKNOWN)) {
        return same();
    }
    match kind {
        Kind::Unknown => same(),
        Kind::String => match scalar {
            Some(scalar) if scalar.is_null() => Ok(Rc::new(Node::text(node.region, ""))),
            // `3.10` is taken for what its author meant; a boolean could be a mistake of another kind.
            Some(scalar) if scalar.as_bool().is_some() => Err("a string".to_owned()),
            Some(scalar) if scalar.plain => Ok(Rc::new(as_text(node, scalar))),
            Some(_) => same(),
            None => Err("a string".to_owned()),
        },
        Kind::Boolean => match scalar {
            Some(scalar) if scalar.as_bool().is_some() => same(),
            Some(_) | None => Err("a boolean".to_owned()),
        },
        Kind::Integer => match scalar {
            Some(scalar) if scalar.plain && scalar.text.parse::<i64>().is_ok() => same(),
            Some(_) | None => Err("a whole number".to_owned()),
        },
        Kind::Enum(choices) => match scalar {
            Some(scalar) if choices.contains(&scalar.text) => Ok(Rc::new(as_text(node, scalar))),
            Some(_) | None => {
                let words = shown(choices.iter().map(String::as_str));
                Err(format!("one of {words}"))
            }
        },
        Kind::Executor => match &node.value {
            Value::Scalar(scalar) if !scalar.is_null() => same(),
            Value::Map(map) if map.get("name").is_some() => same(),
            Value::Scalar(_) | Value::List(_) | Value::Map(_) => {
                Err("the name of an executor".to_owned())
            }
        },
        Kind::Steps => match &node.value {
            Value::List(_) => same(),
            Value::Scalar(scalar) if scalar.is_null() => {
                Ok(Rc::new(Node::list(node.region, Vec::new())))
            }
            Value::Scalar(_) | Value::Map(_) => Err("a list of steps".to_owned()),
        },
        Kind::EnvVarName => match scalar {
            Some(scalar) if is_variable(&scalar.text) => Ok(Rc::new(as_text(node, scalar))),
            Some(_) | None => Err(
                "the name of an environment variable (letters, digits and `_`, no digit first)"
                    .to_owned(),
            ),
        },
    }
}

/// The scalar as a text with the digits and letters that its author wrote.
fn as_text(node: &Node, scalar: &Scalar) -> Node {
    Node::text(node.region, scalar.text.clone())
}

/// A value of which nothing is known.
pub(super) fn unknown(region: Region) -> Rc<Node> {
    Rc::new(Node::text(region, UNKNOWN))
}

/// Whether nothing is known of a value, or of a part of it.
pub(super) fn is_unknown(node: &Node) -> bool {
    match &node.value {
        Value::Scalar(scalar) => scalar.text.contains(UNKNOWN),
        Value::List(items) => items.iter().any(|item| is_unknown(item)),
        Value::Map(map) => map
            .iter()
            .any(|entry| entry.key.text.contains(UNKNOWN) || is_unknown(&entry.value)),
    }
}

/// Stands for a value that is missing or wrong, which has been told, and for any value in what nothing runs.
/// No text of a config has it without an error: whoever reads the YAML refuses it.
pub(crate) const UNKNOWN: &str = "\0";

fn is_variable(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// CircleCI's reference asks for `^[a-z][a-z0-9_-]+$`, and takes more.
fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphabetic() || c == '_')
        && text
            .chars()
            .all(|c| c.is_alphanumeric() || matches!(c, '_' | '-'))
}

/// What a value is, with the value itself if it is short.
fn describe(node: &Node) -> String {
    const SHOWN: usize = 40;
    match node.as_text() {
        Some(text) if text.len() <= SHOWN && !text.contains('\n') => {
            format!("{} (`{text}`)", node.describe())
        }
        Some(_) | None => node.describe().to_owned(),
    }
}
