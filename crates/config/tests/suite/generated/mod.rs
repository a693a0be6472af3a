//! Configs that are right, made up: each of a list of choices, so that a shorter list is a smaller config.
//!
//! They are JSON, which is YAML. An orb has commands, executors and jobs by the same names as the config,
//! so that what is looked up in the wrong place is another thing.

mod step;
mod workflow;

use serde_json::{Map, Value, json};

/// A config, as text.
pub(crate) fn config(choices: &[u8]) -> String {
    let mut maker = Maker { choices };
    serde_json::to_string_pretty(&maker.config()).expect("a value can be written")
}

/// Texts that YAML may take for something else.
const TEXTS: &[&str] = &[
    "make",
    "a: b # c",
    "'single' \"double\" `back`",
    "back\\slash\\n",
    "two\nlines\n",
    "  blanks before and after  ",
    "tab\there",
    "yes",
    "1.10",
    "0777",
    "1e3",
    "~",
    "null",
    "é 日本 🦀",
    "{{ .Branch }}-{{ checksum \"a b\" }}",
    "%a &b *c !d |e @f",
    "\\<< kept >>",
    "cat \\<<EOF\n  x\n\tEOF\n",
    "\n\nlines before",
    "lines after\n\n\n",
    "- dash",
    "? question",
    ": colon",
    "[list, {map: x}]",
    "--- ",
    "...\n---\n",
    "\u{7f}\u{1}\u{85}\u{2028}",
    "carriage\r\nreturn\r",
];

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Text,
    Truth,
    Number,
    Choice,
    Variable,
    Steps,
    Executor,
}

/// What a parameter of a kind is called, everywhere.
const NAMES: &[(&str, Kind)] = &[
    ("text", Kind::Text),
    ("truth", Kind::Truth),
    ("number", Kind::Number),
    ("choice", Kind::Choice),
    ("variable", Kind::Variable),
    ("steps-given", Kind::Steps),
    ("where", Kind::Executor),
];

#[derive(Clone)]
struct Parameter {
    name: &'static str,
    kind: Kind,
    has_default: bool,
}

/// Something that takes parameters, by the name that it is used under.
#[derive(Clone)]
struct Definition {
    name: String,
    parameters: Vec<Parameter>,
}

/// What can be named in a place.
#[derive(Clone, Default)]
struct Scope {
    commands: Vec<Definition>,
    executors: Vec<Definition>,
    jobs: Vec<Definition>,
    is_orb: bool,
}

/// What has a value in a place.
#[derive(Clone, Copy)]
struct Env<'a> {
    scope: &'a Scope,
    prefix: &'static str,
    parameters: &'a [Parameter],
}

impl<'a> Env<'a> {
    fn outside(scope: &'a Scope) -> Self {
        Self {
            scope,
            prefix: "parameters",
            parameters: &[],
        }
    }

    fn of(self, kind: Kind) -> Option<&'a Parameter> {
        self.parameters.iter().find(|found| found.kind == kind)
    }
}

struct Maker<'a> {
    choices: &'a [u8],
}

impl Maker<'_> {
    /// The next choice, below `count`; the first of all once there are no more.
    fn below(&mut self, count: usize) -> usize {
        let Some((choice, rest)) = self.choices.split_first() else {
            return 0;
        };
        self.choices = rest;
        usize::from(*choice) % count
    }

    fn once_in(&mut self, count: usize) -> bool {
        self.below(count) == count - 1
    }

    fn one_of<'t, T>(&mut self, things: &'t [T]) -> &'t T {
        &things[self.below(things.len())]
    }

    fn config(&mut self) -> Value {
        let mut scope = Scope {
            is_orb: true,
            ..Scope::default()
        };
        let orb = self.definitions(&mut scope);
        let imported = |definitions: &[Definition]| {
            let rename = |definition: &Definition| Definition {
                name: format!("orb/{}", definition.name),
                ..definition.clone()
            };
            definitions.iter().map(rename).collect()
        };
        let mut scope = Scope {
            commands: imported(&scope.commands),
            executors: imported(&scope.executors),
            jobs: imported(&scope.jobs),
            is_orb: false,
        };
        let mut config = self.definitions(&mut scope);
        let workflows: Map<String, Value> = (0..=self.below(3))
            .map(|number| (format!("workflow-{number}"), self.workflow(&scope)))
            .collect();
        config.insert("version".into(), json!(2.1));
        config.insert("orbs".into(), json!({ "orb": orb }));
        config.insert(
            "parameters".into(),
            json!({
                "text": {"type": "string", "default": self.one_of(TEXTS)},
                "truth": {"type": "boolean", "default": self.once_in(2)},
                "number": {"type": "integer", "default": self.below(9) + 1},
                "choice": {"type": "enum", "enum": ["red", "green"], "default": "green"},
            }),
        );
        config.insert("workflows".into(), workflows.into());
        config.into()
    }

    /// Executors, commands and jobs, added to a scope.
    fn definitions(&mut self, scope: &mut Scope) -> Map<String, Value> {
        let mut executors = Map::new();
        for name in ["default", "other"] {
            let kinds = &[Kind::Text, Kind::Number];
            let (definition, mut body) = self.definition(name, kinds, scope);
            let env = Env {
                parameters: &definition.parameters,
                ..Env::outside(scope)
            };
            let place = if scope.is_orb { "orb" } else { "own" };
            body.insert(
                "docker".into(),
                json!([{"image": format!("{place}/{name}"), "environment": self.variables(env)}]),
            );
            body.insert("environment".into(), self.variables(env));
            executors.insert(name.into(), body.into());
            scope.executors.push(definition);
        }
        let mut commands = Map::new();
        for name in ["say", "wrap", "both"] {
            let kinds: Vec<Kind> = NAMES.iter().map(|(_, kind)| *kind).collect();
            let (definition, mut body) = self.definition(name, &kinds, scope);
            let env = Env {
                parameters: &definition.parameters,
                ..Env::outside(scope)
            };
            body.insert("steps".into(), self.steps(env, 2));
            commands.insert(name.into(), body.into());
            scope.commands.push(definition);
        }
        let mut jobs = Map::new();
        for name in ["build", "test", "ship"] {
            let kinds: Vec<Kind> = NAMES.iter().map(|(_, kind)| *kind).collect();
            let (definition, body) = self.definition(name, &kinds, scope);
            let env = Env {
                parameters: &definition.parameters,
                ..Env::outside(scope)
            };
            jobs.insert(name.into(), self.job(body, env));
            scope.jobs.push(definition);
        }
        let mut all = Map::new();
        all.insert("executors".into(), executors.into());
        all.insert("commands".into(), commands.into());
        all.insert("jobs".into(), jobs.into());
        all
    }

    /// Something with some of the parameters of these kinds, and the beginning of its body.
    fn definition(
        &mut self,
        name: &str,
        kinds: &[Kind],
        scope: &Scope,
    ) -> (Definition, Map<String, Value>) {
        let mut parameters = Vec::new();
        let mut declared = Map::new();
        for (name, kind) in NAMES {
            if !kinds.contains(kind) || !self.once_in(2) {
                continue;
            }
            let (word, choices) = match kind {
                Kind::Text => ("string", None),
                Kind::Truth => ("boolean", None),
                Kind::Number => ("integer", None),
                Kind::Choice => ("enum", Some(["red", "green", "blue"])),
                Kind::Variable => ("env_var_name", None),
                Kind::Steps => ("steps", None),
                Kind::Executor => ("executor", None),
            };
            let mut body = json!({ "type": word });
            if let Some(choices) = choices {
                body["enum"] = json!(choices);
            }
            let has_default = self.once_in(2);
            if has_default {
                body["default"] = self.value(*kind, Env::outside(scope), 1);
            }
            declared.insert((*name).into(), body);
            parameters.push(Parameter {
                name,
                kind: *kind,
                has_default,
            });
        }
        let mut body = Map::new();
        body.insert("parameters".into(), declared.into());
        let name = name.to_owned();
        (Definition { name, parameters }, body)
    }

    /// A value of a kind, as one writes it where `env` is known.
    fn value(&mut self, kind: Kind, env: Env<'_>, depth: usize) -> Value {
        if let Some(parameter) = env.of(kind)
            && self.once_in(2)
        {
            return json!(format!("<< {}.{} >>", env.prefix, parameter.name));
        }
        let is_own = !env.scope.is_orb;
        match kind {
            Kind::Text if is_own && self.once_in(4) => json!("<< pipeline.parameters.text >>"),
            Kind::Text => {
                // A value alone would keep its own kind.
                let text = self.text(env);
                let before = if text.starts_with("<<") { "=" } else { "" };
                json!(format!("{before}{text}"))
            }
            Kind::Truth if is_own && self.once_in(4) => json!("<< pipeline.parameters.truth >>"),
            Kind::Truth => json!(self.once_in(2)),
            Kind::Number if is_own && self.once_in(4) => json!("<< pipeline.parameters.number >>"),
            Kind::Number => json!(self.below(9) + 1),
            Kind::Choice if is_own && self.once_in(4) => json!("<< pipeline.parameters.choice >>"),
            Kind::Choice => json!(self.one_of(&["red", "green"])),
            Kind::Variable => json!(self.one_of(&["TOKEN", "_other"])),
            Kind::Steps if depth == 0 => json!([]),
            Kind::Steps => self.steps(env, depth - 1),
            Kind::Executor => self.executor(env),
        }
    }

    fn executor(&mut self, env: Env<'_>) -> Value {
        let definition = self.one_of(&env.scope.executors).clone();
        let mut arguments = self.arguments(&definition, env, 0);
        if arguments.is_empty() && self.once_in(2) {
            return json!(definition.name);
        }
        arguments.insert("name".into(), json!(definition.name));
        arguments.into()
    }

    /// What a use gives: all that has to be given, and some of the rest.
    fn arguments(
        &mut self,
        definition: &Definition,
        env: Env<'_>,
        depth: usize,
    ) -> Map<String, Value> {
        let mut arguments = Map::new();
        for parameter in &definition.parameters {
            if !parameter.has_default || self.once_in(2) {
                let value = self.value(parameter.kind, env, depth);
                arguments.insert(parameter.name.into(), value);
            }
        }
        arguments
    }

    /// Some text, with values in it.
    fn text(&mut self, env: Env<'_>) -> String {
        let prefix = env.prefix;
        let mut text = String::new();
        for _ in 0..=self.below(3) {
            let piece = match self.below(6) {
                0..=2 => (*self.one_of(TEXTS)).to_owned(),
                3 => "<<\tpipeline.git.branch or \"none\" >>".to_owned(),
                4 => {
                    let scalar =
                        |found: &&Parameter| !matches!(found.kind, Kind::Steps | Kind::Executor);
                    let found: Vec<_> = env.parameters.iter().filter(scalar).collect();
                    if found.is_empty() {
                        "<<pipeline.number>>".to_owned()
                    } else {
                        format!("<< {prefix}.{} >>", self.one_of(&found).name)
                    }
                }
                _ => match (env.of(Kind::Truth), env.of(Kind::Number)) {
                    (Some(truth), _) if prefix == "parameters" && self.once_in(2) => {
                        let name = truth.name;
                        format!(
                            "<<# parameters.{name} >>yes<</ parameters.{name} >><<^ parameters.{name} >>no<</ parameters.{name} >>"
                        )
                    }
                    (_, Some(number)) => {
                        format!("<< {prefix}.{} > 4 and \"many\" or \"few\" >>", number.name)
                    }
                    (_, None) => "<< pipeline.number == 1 >>".to_owned(),
                },
            };
            text.push_str(&piece);
        }
        text
    }
}
