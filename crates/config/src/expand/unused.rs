//! What is defined and never used: told, and looked through all the same.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use crate::ErrorKind;
use crate::read::{Entry, Key, Map, Node};

use super::job::{Around, is_place};
use super::parameter::{Bindings, What};
use super::scope::{Definition, Definitions, Orb, Scope};
use super::{Env, Expander, Version};

impl Expander<'_> {
    /// The jobs that no workflow uses, expanded where they have no parameters. What of the file is
    /// unused is told, if nothing is wrong with it otherwise: with a fault, much only seems unused.
    pub(super) fn unused(&mut self, top: &Map) -> Vec<Entry> {
        let scope = Rc::clone(&self.scope);
        let mut unused = Vec::new();
        let mut names: Vec<_> = scope
            .jobs
            .values()
            .filter(|definition| !definition.used.get())
            .collect();
        names.sort_by_key(|definition| (definition.key.region.line, definition.key.region.column));
        for definition in names {
            // With other values than its defaults it may be right.
            if !definition.parameters.is_empty() || definition.get("type").is_some() {
                continue;
            }
            let what = What {
                noun: "job",
                name: &definition.key.text,
                used_at: definition.key.region,
                scope: &scope,
                other_keys: None,
            };
            let bindings = self.bind(&what, &definition.parameters, &[]);
            let node = self.job(definition, &scope, &bindings, &Around::default());
            unused.push(Entry {
                key: definition.key.clone(),
                value: node,
            });
        }
        if self.version == Version::V2_1 && top.get("workflows").is_some() {
            self.tell_unused("command", &scope.commands);
            self.tell_unused("executor", &scope.executors);
            self.tell_unused_orbs(&scope.orbs);
        }
        self.tell_empty_orbs(&scope);
        unused
    }

    /// The commands and executors that nothing uses and that have no parameters, as jobs that have nothing
    /// else, so that what is wrong in them is told.
    pub(super) fn unused_bodies(&mut self) -> Vec<Entry> {
        let scope = Rc::clone(&self.scope);
        let unused = |definitions: &Definitions| {
            let mut unused: Vec<Rc<Definition>> = definitions
                .values()
                .filter(|unused| !unused.used.get() && unused.parameters.is_empty())
                .map(Rc::clone)
                .collect();
            unused.sort_by_key(|unused| (unused.key.region.line, unused.key.region.column));
            unused
        };
        let bindings = Bindings::default();
        let env = Env {
            parameters: Some(&bindings),
            ..Env::default()
        };
        let mut bodies = Vec::new();
        for command in unused(&scope.commands) {
            let Some(entry) = command.get("steps") else {
                continue;
            };
            let mut steps = Vec::new();
            self.stack.push(Rc::clone(&command));
            self.steps(entry, &scope, env, &mut steps);
            self.stack.pop();
            if !steps.is_empty() {
                let region = command.key.region;
                let place = Entry::new(Key::new("machine", region), Node::word(region, "true"));
                let steps = Entry::new(entry.key.clone(), Node::list(entry.value.region, steps));
                bodies.push(body(&command, vec![place, steps]));
            }
        }
        for executor in unused(&scope.executors) {
            let mut entries = Vec::new();
            for entry in executor.body() {
                if !matches!(&*entry.key.text, "parameters" | "description") {
                    entries.push(self.entry(entry, env));
                }
            }
            if entries.iter().any(|entry| is_place(&entry.key)) {
                let region = executor.key.region;
                let steps = vec![Rc::new(Node::text(region, "checkout"))];
                entries.push(Entry::new(
                    Key::new("steps", region),
                    Node::list(region, steps),
                ));
                bodies.push(body(&executor, entries));
            }
        }
        bodies
    }

    fn tell_unused(&mut self, noun: &str, definitions: &Definitions) {
        if self.problems.has_errors() {
            return;
        }
        let mut unused: Vec<_> = definitions
            .values()
            .filter(|definition| !definition.used.get())
            .collect();
        unused.sort_by_key(|definition| definition.key.region.line);
        for definition in unused {
            self.problems.warning(
                definition.key.region,
                format!("the {noun} `{}` is never used", definition.key.text),
            );
        }
    }

    /// Those that orbs import too; the same one may be imported by many.
    fn tell_empty_orbs(&mut self, scope: &Scope) {
        let mut seen: HashSet<*const Scope> = HashSet::new();
        let mut left: Vec<&Orb> = scope.orbs.values().collect();
        while let Some(orb) = left.pop() {
            if orb.is_empty && orb.used.get() {
                self.problems
                    .error(
                        orb.key.region,
                        format!("the orb `{}` is used, and nothing is in it", orb.key.text),
                    )
                    .help("a setup job may fill it in before it goes on with this config")
                    .of_kind(ErrorKind::OrbNotAtHand);
            }
            if let Some(inner) = &orb.scope
                && seen.insert(Rc::as_ptr(inner))
            {
                left.extend(inner.orbs.values());
            }
        }
    }

    fn tell_unused_orbs(&mut self, orbs: &HashMap<Rc<str>, Orb>) {
        if self.problems.has_errors() {
            return;
        }
        let mut unused: Vec<_> = orbs.values().filter(|orb| !orb.used.get()).collect();
        unused.sort_by_key(|orb| orb.key.region.line);
        for orb in unused {
            self.problems.warning(
                orb.key.region,
                format!("the orb `{}` is never used", orb.key.text),
            );
        }
    }
}

/// A definition's own job.
fn body(definition: &Definition, entries: Vec<Entry>) -> Entry {
    let map = entries.into_iter().collect();
    Entry::new(
        definition.key.clone(),
        Node::map(definition.node.region, map),
    )
}
