//! Steps: commands become their steps, conditions are decided, and lists from parameters are put in.

use std::rc::Rc;

use crate::keys::{self, Place};
use crate::read::{Entry, Key, Node, Region, Value};

use super::executor::bound;
use super::parameter::{Binding, Bindings, Kind, Parameters, UNKNOWN, What, typed, unknown};
use super::scope::{Definition, Found, Scope};
use super::{Env, Expander, MAX_NESTING, USE_COST, text};

/// Whether a step is one of ours. "It is possible to override the special keys with a custom command."
fn is_built_in(name: &str, scope: &Scope) -> bool {
    keys::is_built_in(name) && !scope.commands.contains_key(name)
}

impl Expander<'_> {
    /// Adds what a list of steps stands for. What is no list of steps is added as it is, for the reader
    /// of jobs to tell.
    pub(super) fn steps(
        &mut self,
        entry: &Entry,
        scope: &Rc<Scope>,
        env: Env<'_>,
        steps: &mut Vec<Rc<Node>>,
    ) {
        let Entry { key, value } = entry;
        match &value.value {
            Value::List(items) => {
                for item in items {
                    self.step(item, scope, env, steps);
                }
            }
            Value::Scalar(scalar) if !scalar.is_null() => self.step(value, scope, env, steps),
            Value::Scalar(_) => {}
            Value::Map(_) => {
                self.problems
                    .error(
                        key.region,
                        format!("`{}` must be a list, not a map", key.text),
                    )
                    .help("begin each step with `-`");
            }
        }
    }

    fn step(
        &mut self,
        item: &Rc<Node>,
        scope: &Rc<Scope>,
        env: Env<'_>,
        steps: &mut Vec<Rc<Node>>,
    ) {
        if self.is_spent() {
            return;
        }
        match &item.value {
            Value::Scalar(scalar) if !scalar.is_null() => {
                if item.templated
                    && let Some(hole) = text::only_hole(&scalar.text)
                {
                    if let Some(binding) = self.value(hole.inner, item.region, env) {
                        self.splice(&binding, item.region, scope, env, steps);
                    }
                    return;
                }
                let name = self.filled_name(&scalar.text, item.region, env);
                if is_built_in(&name, scope) || name.contains(UNKNOWN) {
                    self.add(item, steps);
                } else if name == "when" || name == "unless" {
                    self.problems
                        .error(item.region, format!("`{name}` has no `condition`"));
                } else {
                    self.command(&name, item.region, None, scope, env, steps);
                }
            }
            Value::Map(map) => match map.only() {
                Some(entry) => self.keyed(entry, item, scope, env, steps),
                None => {
                    let node = self.substitute(item, env);
                    self.add(&node, steps);
                }
            },
            Value::Scalar(_) | Value::List(_) => self.add(item, steps),
        }
    }

    fn splice(
        &mut self,
        binding: &Binding,
        region: Region,
        scope: &Rc<Scope>,
        env: Env<'_>,
        steps: &mut Vec<Rc<Node>>,
    ) {
        match &binding.node.value {
            // What a parameter holds was expanded where it was given.
            Value::List(items) => {
                if self.spend(items.len(), 0, region) {
                    steps.extend(items.iter().map(Rc::clone));
                }
            }
            Value::Scalar(scalar) if !scalar.is_null() => {
                let name = scalar.text.clone();
                if is_built_in(&name, scope) {
                    self.add(&binding.node, steps);
                } else if !name.contains(UNKNOWN) {
                    self.command(&name, region, None, scope, env, steps);
                }
            }
            Value::Scalar(_) => {}
            Value::Map(_) => {
                self.problems
                    .error(region, "this is a map, and a list of steps is wanted");
            }
        }
    }

    fn keyed(
        &mut self,
        entry: &Entry,
        item: &Rc<Node>,
        scope: &Rc<Scope>,
        env: Env<'_>,
        steps: &mut Vec<Rc<Node>>,
    ) {
        let Entry { key, value } = entry;
        let name = self.filled_name(&key.text, key.region, env);
        match name.as_str() {
            "when" | "unless" => self.conditional(key, value, name == "when", scope, env, steps),
            "steps" => self.steps(entry, scope, env, steps),
            name if is_built_in(name, scope) => {
                if !item.templated {
                    return self.add(item, steps);
                }
                let value = self.substitute(value, env);
                let key = Key::new(name, key.region);
                let map = [Entry { key, value }].into_iter().collect();
                let node = Rc::new(Node::map(item.region, map));
                self.add(&node, steps);
            }
            name => {
                let arguments = Some(value).filter(|value| !value.is_null());
                self.command(name, key.region, arguments, scope, env, steps);
            }
        }
    }

    fn filled_name(&mut self, text: &str, region: Region, env: Env<'_>) -> String {
        if self.version == super::Version::V2_0 || !text.contains("<<") {
            return text.to_owned();
        }
        self.filled(text, region, env)
    }

    /// Adds a step that stands for itself.
    fn add(&mut self, step: &Rc<Node>, steps: &mut Vec<Rc<Node>>) {
        if !self.spend(1, 0, step.region) {
            return;
        }
        match self.problems.current_use() {
            None => steps.push(Rc::clone(step)),
            via => steps.push(Rc::new((**step).clone().with_via(via))),
        }
    }

    fn conditional(
        &mut self,
        key: &Key,
        value: &Rc<Node>,
        wanted: bool,
        scope: &Rc<Scope>,
        env: Env<'_>,
        steps: &mut Vec<Rc<Node>>,
    ) {
        let Some(map) = value.as_map() else {
            self.problems
                .error(
                    key.region,
                    format!(
                        "the step `{}` must be a map with `condition` and `steps`, not {}",
                        key.text,
                        value.describe()
                    ),
                )
                .help("a `when` of a command belongs below its `run`");
            return;
        };
        for Entry { key: inner, .. } in map.iter() {
            if Place::Conditional.key(&inner.text).is_none() {
                let nearest = self
                    .problems
                    .nearest(&inner.text, Place::Conditional.names());
                self.problems
                    .error(
                        inner.region,
                        format!("`{}` means nothing in the step `{}`", inner.text, key.text),
                    )
                    .suggest(nearest);
            }
        }
        let (Some(condition), Some(inner)) = (map.get("condition"), map.get("steps")) else {
            let missing = if map.get("steps").is_some() {
                "condition"
            } else {
                "steps"
            };
            self.problems.error(
                key.region,
                format!("the step `{}` has no `{missing}`", key.text),
            );
            return;
        };
        if let Some(text) = condition.value.as_text()
            && !condition.value.templated
            && text::is_expression(text)
        {
            self.problems
                .warning(
                    condition.value.place(&condition.key),
                    "the `condition` of a step is no expression, and a text is always true",
                )
                .help("write it as a logic statement, or between `<<` and `>>`");
        }
        if self.condition(condition, env) == Some(wanted) {
            self.steps(inner, scope, env, steps);
        } else {
            self.look_over_steps(inner, scope, env);
        }
    }

    fn command(
        &mut self,
        name: &str,
        region: Region,
        arguments: Option<&Rc<Node>>,
        scope: &Rc<Scope>,
        env: Env<'_>,
        steps: &mut Vec<Rc<Node>>,
    ) {
        // A use costs something even if it comes to nothing.
        if !self.spend(USE_COST, 0, region) || name.contains(UNKNOWN) {
            return;
        }
        let (definition, home) = match scope.find(name, |scope| &scope.commands) {
            Found::Definition(definition, home) => (definition, home),
            Found::NotAtHand | Found::Wrong => return,
            Found::Nothing => return self.tell_no_step(name, region, scope),
            Found::NoOrb(orb) => {
                // `.` is no orb: a path was meant, and `run:` forgotten.
                return self.tell_no_orb("step", name, &orb, region, scope);
            }
        };
        if self.is_circle(&definition, name, region) {
            return;
        }
        let given = match arguments.map(|arguments| (&arguments.value, arguments)) {
            None => Vec::new(),
            Some((Value::Map(map), _)) => {
                self.arguments(map.iter(), &definition.parameters, scope, env)
            }
            Some((Value::Scalar(_) | Value::List(_), arguments)) => {
                self.problems
                    .error(
                        region,
                        format!(
                            "the parameters of the command `{name}` must be a map, not {}",
                            arguments.describe()
                        ),
                    )
                    .help("write each as `name: value` below it");
                Vec::new()
            }
        };
        let what = What {
            noun: "command",
            name,
            used_at: region,
            scope: &home,
            other_keys: None,
        };
        let bindings = self.bind(&what, &definition.parameters, &given);
        let outer = self
            .problems
            .enter(region, format!("the command `{name}` is used here"));
        if self.look.is_on {
            self.look_over_command(&definition, &home);
            self.problems.leave(outer);
            return;
        }
        definition.expanded.set(true);
        match definition.get("steps") {
            Some(body) => {
                self.stack.push(Rc::clone(&definition));
                let env = Env {
                    parameters: Some(&bindings),
                    in_orb: !Rc::ptr_eq(&home, &self.scope),
                    ..Env::default()
                };
                self.steps(body, &home, env, steps);
                self.stack.pop();
            }
            None => self.tell_no_steps(&definition),
        }
        self.problems.leave(outer);
    }

    pub(super) fn tell_no_steps(&mut self, command: &Definition) {
        self.problems.error(
            command.key.region,
            format!("the command `{}` has no `steps`", command.key.text),
        );
    }

    fn is_circle(&mut self, definition: &Rc<Definition>, name: &str, region: Region) -> bool {
        let begins = self
            .stack
            .iter()
            .position(|outer| Rc::ptr_eq(outer, definition));
        if let Some(begins) = begins {
            let mut path: Vec<String> = self.stack[begins..]
                .iter()
                .map(|command| format!("`{}`", command.key.text))
                .collect();
            path.push(format!("`{}`", definition.key.text));
            self.problems
                .misuse(
                    region,
                    format!("the command `{name}` uses itself: {}", path.join(" → ")),
                )
                .help("it would never end");
            return true;
        }
        if self.stack.len() >= MAX_NESTING {
            self.problems.misuse(
                region,
                format!("commands are nested more than {MAX_NESTING} deep"),
            );
            return true;
        }
        false
    }

    /// Evaluates what a definition is given, each where it is written.
    pub(super) fn arguments<'n>(
        &mut self,
        entries: impl Iterator<Item = &'n Entry>,
        parameters: &Parameters,
        scope: &Rc<Scope>,
        env: Env<'_>,
    ) -> Vec<(Key, Binding)> {
        entries
            .map(|entry| {
                let parameter = parameters.get(&entry.key.text);
                let takes_steps = parameter.is_some_and(|found| found.kind == Kind::Steps);
                let binding = if takes_steps && entry.value.as_list().is_some() {
                    let mut steps = Vec::new();
                    self.steps(entry, scope, env, &mut steps);
                    if self.look.is_on {
                        // Nothing puts them into a job.
                        self.look.keep(&steps);
                    }
                    let list = Rc::new(Node::list(entry.value.region, steps));
                    bound(&entry.key, &list, None)
                } else {
                    match self.given(&entry.value, env, scope) {
                        Some(given) => Binding {
                            name: Rc::clone(&entry.key.text),
                            ..given
                        },
                        None => bound(&entry.key, &unknown(entry.value.region), None),
                    }
                };
                (entry.key.clone(), binding)
            })
            .collect()
    }

    /// Gives parameters their values; defaults are evaluated where they are written.
    pub(super) fn bind(
        &mut self,
        what: &What<'_>,
        parameters: &Parameters,
        arguments: &[(Key, Binding)],
    ) -> Bindings {
        let given = arguments
            .iter()
            .map(|(_, binding)| binding.node.size.text_bytes);
        let bytes = given.fold(0, usize::saturating_add);
        if !self.spend(parameters.cost() + arguments.len(), bytes, what.used_at) {
            return Bindings::default();
        }
        let mut bindings = super::parameter::bind(what, parameters, arguments, self.problems);
        if self.look.is_on {
            return bindings;
        }
        for (binding, parameter) in bindings.iter_mut().zip(parameters.iter()) {
            let is_default = parameter
                .default
                .as_ref()
                .is_some_and(|default| Rc::ptr_eq(default, &binding.node));
            if !is_default {
                continue;
            }
            let env = Env {
                in_orb: !Rc::ptr_eq(what.scope, &self.scope),
                ..Env::default()
            };
            if parameter.kind == Kind::Steps {
                let entry = Entry {
                    key: parameter.name.clone(),
                    value: Rc::clone(&binding.node),
                };
                let mut steps = Vec::new();
                self.stack_guarded(what.used_at, |expander| {
                    expander.steps(&entry, what.scope, env, &mut steps);
                });
                binding.node = Rc::new(Node::list(binding.node.region, steps));
            } else if binding.node.templated {
                let node = self.substitute(&binding.node, env);
                match typed(&parameter.kind, &node) {
                    Ok(node) => binding.node = node,
                    Err(expected) => {
                        self.problems.error(
                            binding.node.place(&parameter.name),
                            format!(
                                "the default of the parameter `{}` must be {expected}, not {}",
                                parameter.name.text,
                                node.describe()
                            ),
                        );
                    }
                }
            }
        }
        bindings
    }

    /// Default steps may use the very command whose parameter they are of.
    fn stack_guarded(&mut self, region: Region, expand: impl FnOnce(&mut Self)) {
        self.default_depth += 1;
        if self.default_depth <= MAX_NESTING {
            expand(self);
        } else {
            self.problems.error(
                region,
                format!("default steps are nested more than {MAX_NESTING} deep"),
            );
        }
        self.default_depth -= 1;
    }

    fn tell_no_step(&mut self, name: &str, region: Region, scope: &Scope) {
        if name == "run" {
            self.problems
                .error(region, "`run` has no command")
                .help("write `run: make`, or a map with `command`");
            return;
        }
        if self.tell_newer("commands", name, region) {
            return;
        }
        let commands = self.names(scope, |scope| &scope.commands);
        let known = Place::Step
            .names()
            .chain(commands.iter().map(String::as_str));
        let nearest = self.problems.nearest(name, known);
        let is_job = scope.jobs.contains_key(name);
        let message = match name.split_once('/') {
            Some((orb, command)) => format!("the orb `{orb}` has no command `{command}`"),
            None => format!("there is no step `{name}`"),
        };
        let meant = keys::meant(Place::Step, name);
        let problem = self.problems.misuse(region, message);
        match nearest {
            Some(_) => problem.suggest(nearest),
            None if meant.is_some() => problem.meant(meant),
            None if is_job => problem.help("it is a job, and only workflows run jobs"),
            None => problem.help("write `- run: …` for a command"),
        };
    }
}
