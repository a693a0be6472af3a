//! What nothing runs, looked over all the same: definitions that are never used, and steps whose condition
//! does not hold.
//!
//! While it is looked over, every value is [`UNKNOWN`], and so is what is made of one: whoever reads it says
//! nothing of it. What is told does not depend on what parameters are given. A name that stands for nothing
//! is only a warning ([`Problems::misuse`](crate::diagnostic::Problems::misuse)): CircleCI does not look it
//! up either. Each definition is looked over once, not where it is used, so that it costs no more than
//! reading the file.

use std::collections::HashSet;
use std::rc::Rc;

use crate::read::{Entry, FileId, Key, Map, Node};

use super::executor::is_of_executor;
use super::job::{Around, is_place};
use super::parameter::{Binding, Bindings, Kind, Parameters, unknown};
use super::scope::{Definition, Definitions, Scope};
use super::uses::Uses;
use super::workflow::Workflows;
use super::{Budget, Env, Expander};

/// What is looked over, and what came of it.
pub(super) struct Look {
    /// Whether what is being expanded runs nowhere.
    pub(super) is_on: bool,
    pub(super) budget: Budget,
    own_file: FileId,
    /// Whether orbs of other files are looked over too. Whoever imports one can't mend it.
    orb_bodies: bool,
    /// The lists of steps that were, each with whose names it is read.
    seen: HashSet<(*const Node, *const Scope)>,
    /// Steps that no command or job has.
    steps: Vec<Rc<Node>>,
    bodies: Vec<Entry>,
}

impl Look {
    pub(super) fn new(own_file: FileId, orb_bodies: bool) -> Self {
        Self {
            is_on: false,
            budget: Budget::for_looks(),
            own_file,
            orb_bodies,
            seen: HashSet::new(),
            steps: Vec::new(),
            bodies: Vec::new(),
        }
    }

    /// Whether it is the config itself, and no orb that it imports.
    pub(super) fn is_own(&self, file: FileId) -> bool {
        file == self.own_file
    }

    /// Whether it is for whoever asks to mend what is in a file.
    fn is_for(&self, file: FileId) -> bool {
        self.orb_bodies || self.is_own(file)
    }

    /// Keeps steps for whoever reads jobs.
    pub(super) fn keep(&mut self, steps: &[Rc<Node>]) {
        self.steps.extend(steps.iter().map(Rc::clone));
    }
}

impl Expander<'_> {
    /// Does something with all values unknown.
    fn looking<T>(&mut self, act: impl FnOnce(&mut Self) -> T) -> T {
        let outer = std::mem::replace(&mut self.look.is_on, true);
        // Whoever publishes an orb is told by CircleCI of all of it.
        let was_idle = self.problems.set_idle(!self.look.orb_bodies);
        let result = act(self);
        self.look.is_on = outer;
        self.problems.set_idle(was_idle);
        result
    }

    /// Looks over steps that don't run.
    pub(super) fn look_over_steps(&mut self, entry: &Entry, scope: &Rc<Scope>, env: Env<'_>) {
        let steps = (Rc::as_ptr(&entry.value), Rc::as_ptr(scope));
        if !self.look.is_for(entry.value.region.file) || !self.look.seen.insert(steps) {
            return;
        }
        self.looking(|expander| {
            let mut steps = Vec::new();
            expander.steps(entry, scope, env, &mut steps);
            expander.look.keep(&steps);
        });
    }

    /// Looks over a command, if it was not expanded or looked over before.
    pub(super) fn look_over_command(&mut self, command: &Rc<Definition>, home: &Rc<Scope>) {
        if !self.is_to_look_over(command) {
            return;
        }
        let Some(entry) = command.get("steps") else {
            self.tell_no_steps(command);
            return;
        };
        self.looking(|expander| {
            let bindings = expander.unknown_values(&command.parameters, home);
            let env = expander.env_of(&bindings, home);
            let mut steps = Vec::new();
            expander.stack.push(Rc::clone(command));
            expander.steps(entry, home, env, &mut steps);
            expander.stack.pop();
            if !steps.is_empty() {
                let region = command.key.region;
                let place = Entry::new(Key::new("machine", region), Node::word(region, "true"));
                let steps = Entry::new(entry.key.clone(), Node::list(entry.value.region, steps));
                expander.look.bodies.push(body(command, vec![place, steps]));
            }
        });
    }

    /// Looks over what was not expanded: the config's own definitions, and those of its inline orbs.
    pub(super) fn look_over_definitions(&mut self) {
        for scope in self.all_scopes() {
            for job in sorted(&scope.jobs) {
                self.look_over_job(&job, &scope);
            }
            for command in sorted(&scope.commands) {
                self.look_over_command(&command, &scope);
            }
            for executor in sorted(&scope.executors) {
                self.look_over_executor(&executor, &scope);
            }
        }
    }

    /// The names of the config, and of all orbs that are at hand, each once.
    pub(super) fn all_scopes(&self) -> Vec<Rc<Scope>> {
        let mut seen: HashSet<*const Scope> = HashSet::new();
        let mut all = Vec::new();
        let mut left = vec![Rc::clone(&self.scope)];
        while let Some(scope) = left.pop() {
            if seen.insert(Rc::as_ptr(&scope)) {
                left.extend(scope.orbs.values().filter_map(|orb| orb.scope.clone()));
                all.push(scope);
            }
        }
        all
    }

    fn look_over_job(&mut self, job: &Rc<Definition>, home: &Rc<Scope>) {
        if !self.is_to_look_over(job) {
            return;
        }
        self.looking(|expander| {
            let bindings = expander.unknown_values(&job.parameters, home);
            let value = expander.job(job, home, &bindings, &Around::default());
            let key = job.key.clone();
            expander.look.bodies.push(Entry { key, value });
        });
    }

    fn look_over_executor(&mut self, executor: &Rc<Definition>, home: &Rc<Scope>) {
        if !self.is_to_look_over(executor) {
            return;
        }
        self.looking(|expander| {
            let bindings = expander.unknown_values(&executor.parameters, home);
            let env = expander.env_of(&bindings, home);
            let mut entries = Vec::new();
            for entry in executor.body() {
                if is_of_executor(&entry.key) {
                    entries.push(expander.entry(entry, env));
                }
            }
            if entries.iter().any(|entry| is_place(&entry.key)) {
                let region = executor.key.region;
                let steps = vec![Rc::new(Node::text(region, "checkout"))];
                entries.push(Entry::new(
                    Key::new("steps", region),
                    Node::list(region, steps),
                ));
                expander.look.bodies.push(body(executor, entries));
            }
        });
    }

    /// Looks over the job groups that no workflow uses; returns each as the workflow that it would be.
    pub(super) fn look_over_groups(&mut self) -> Vec<Entry> {
        let unused = self.groups.iter().cloned();
        let unused: Vec<Entry> = unused
            .filter(|group| !self.used_groups.contains(&group.key.text))
            .collect();
        let mut flows = Vec::new();
        for group in unused {
            let flow = self.looking(|expander| {
                let mut uses = Uses::default();
                let mut workflows = Workflows::default();
                let key = &group.key;
                expander.group_use(key, key, None, &group, &mut uses, &mut workflows);
                expander.used_in(key, uses, Vec::new())
            });
            let jobs = Entry {
                key: Key::new("jobs", group.key.region),
                value: flow,
            };
            let map = [jobs].into_iter().collect();
            flows.push(Entry::new(
                group.key.clone(),
                Node::map(group.value.region, map),
            ));
        }
        if self.look.budget.is_spent() {
            flows.clear();
        }
        flows
    }

    /// What was looked over, as jobs.
    pub(super) fn looked_over(&mut self) -> Vec<Entry> {
        let mut bodies = std::mem::take(&mut self.look.bodies);
        let steps = std::mem::take(&mut self.look.steps);
        if let Some(first) = steps.first() {
            let region = first.region;
            let place = Entry::new(Key::new("machine", region), Node::word(region, "true"));
            let steps = Entry::new(Key::new("steps", region), Node::list(region, steps));
            let map = [place, steps].into_iter().collect();
            bodies.push(Entry::new(
                Key::new("steps", region),
                Node::map(region, map),
            ));
        }
        // Half of it would only be called wrong for what is missing.
        if self.look.budget.is_spent() {
            bodies.clear();
        }
        bodies
    }

    /// Whether a definition was neither expanded nor looked over; from now on it was.
    fn is_to_look_over(&self, definition: &Definition) -> bool {
        definition.alias.is_none()
            && !definition.is_wrong
            && self.look.is_for(definition.key.region.file)
            && !definition.expanded.replace(true)
    }

    /// Values of which nothing is known, and a look over the defaults.
    fn unknown_values(&mut self, parameters: &Parameters, home: &Rc<Scope>) -> Bindings {
        let none = Bindings::default();
        let env = Env {
            parameters: None,
            ..self.env_of(&none, home)
        };
        let mut bindings = Bindings::of(parameters);
        for parameter in parameters.iter() {
            if !self.spend(1, 0, parameter.name.region) {
                break;
            }
            bindings.push(Binding {
                name: Rc::clone(&parameter.name.text),
                node: unknown(parameter.name.region),
                scope: None,
            });
            let Some(default) = &parameter.default else {
                continue;
            };
            if parameter.kind == Kind::Steps {
                let entry = Entry {
                    key: parameter.name.clone(),
                    value: Rc::clone(default),
                };
                self.look_over_steps(&entry, home, env);
            } else {
                self.substitute(default, env);
            }
        }
        bindings
    }

    fn env_of<'b>(&self, bindings: &'b Bindings, home: &Rc<Scope>) -> Env<'b> {
        Env {
            parameters: Some(bindings),
            in_orb: !Rc::ptr_eq(home, &self.scope),
            ..Env::default()
        }
    }
}

/// By their places in the file.
pub(super) fn sorted(definitions: &Definitions) -> Vec<Rc<Definition>> {
    let mut sorted: Vec<Rc<Definition>> = definitions.values().map(Rc::clone).collect();
    sorted.sort_by_key(|definition| (definition.key.region.line, definition.key.region.column));
    sorted
}

/// A definition's own job.
fn body(definition: &Definition, entries: Vec<Entry>) -> Entry {
    let map: Map = entries.into_iter().collect();
    Entry::new(
        definition.key.clone(),
        Node::map(definition.node.region, map),
    )
}
