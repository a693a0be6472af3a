//! What is defined and never used: told. What is wrong in it is told by `look`.

use std::collections::{BTreeMap, HashSet};
use std::rc::Rc;

use crate::ErrorKind;
use crate::read::{Entry, Key, Map, Node, Value};

use super::look::sorted;
use super::scope::{Definition, Definitions, Orb, Scope};
use super::{Expander, Version};

impl Expander<'_> {
    /// The names of the jobs that no workflow uses. What else of the file is unused is told, if nothing is
    /// wrong with it otherwise: with a fault, much only seems unused.
    pub(super) fn unused(&mut self, top: &Map) -> Vec<Key> {
        let scope = Rc::clone(&self.scope);
        let unused = scope.jobs.values().filter(|job| !job.used.get());
        let mut unused: Vec<Key> = unused.map(|job| job.key.clone()).collect();
        unused.sort_by_key(|name| (name.region.line, name.region.column));
        if self.version == Version::V2_1 && top.get("workflows").is_some() {
            self.tell_unused("command", &scope.commands);
            self.tell_unused("executor", &scope.executors);
            self.tell_unused_groups();
            self.tell_unused_orbs(&scope.orbs);
            self.tell_unused_values(top);
        }
        if self.version == Version::V2_1 {
            self.tell_unused_parameters();
        }
        self.tell_empty_orbs(&scope);
        unused
    }

    fn tell_unused(&mut self, noun: &str, definitions: &Definitions) {
        if self.problems.has_errors() {
            return;
        }
        let mut unused: Vec<_> = definitions
            .values()
            .filter(|definition| !definition.used.get())
            .collect();
        unused.sort_by_key(|definition| {
            let region = definition.key.region;
            (region.line, region.column)
        });
        for definition in unused {
            self.problems.warning(
                definition.key.region,
                format!("the {noun} `{}` is never used", definition.key.text),
            );
        }
    }

    fn tell_unused_groups(&mut self) {
        if self.problems.has_errors() {
            return;
        }
        for group in self.groups.iter() {
            if !self.used_groups.contains(&group.key.text) {
                self.problems.warning(
                    group.key.region,
                    format!("the group `{}` is never used", group.key.text),
                );
            }
        }
    }

    /// What is declared and has no effect, whatever it is given.
    fn tell_unused_parameters(&mut self) {
        if self.problems.has_errors() {
            return;
        }
        for scope in self.all_scopes() {
            let kinds = [
                ("command", &scope.commands),
                ("job", &scope.jobs),
                ("executor", &scope.executors),
            ];
            for (noun, definitions) in kinds {
                for definition in sorted(definitions) {
                    if self.look.is_own(definition.key.region.file) {
                        self.tell_unused_parameters_of(noun, &definition);
                    }
                }
            }
        }
    }

    fn tell_unused_parameters_of(&mut self, noun: &str, definition: &Rc<Definition>) {
        let size = definition.node.size;
        let has_none = definition.parameters.is_empty();
        if has_none || !self.look.budget.take(size.nodes, size.text_bytes) {
            return;
        }
        let mut named = HashSet::new();
        for entry in definition.body() {
            if &*entry.key.text != "parameters" {
                collect(&entry.value, &mut named);
            }
        }
        for parameter in definition.parameters.iter() {
            let name = &parameter.name.text;
            let axis = (Rc::as_ptr(definition), Rc::clone(name));
            if !named.contains(&**name) && !self.axes.contains(&axis) {
                self.problems.warning(
                    parameter.name.region,
                    format!(
                        "the parameter `{name}` of the {noun} `{}` is never used",
                        definition.key.text
                    ),
                );
            }
        }
    }

    /// The pipeline's own. A setup config hands them on to the config that it makes.
    fn tell_unused_values(&mut self, top: &Map) {
        let first = self.pipeline.declared().next();
        let is_doubtful = top.get("setup").is_some() || self.problems.has_errors();
        let Some(first) = first.filter(|_| !is_doubtful) else {
            return;
        };
        let source = self.problems.source_of(first.region.file);
        let mut named = HashSet::new();
        names_in(source.text(), &mut named);
        for name in self.pipeline.declared() {
            if !named.contains(&*name.text) {
                // Who starts a pipeline may give it all the same, so it can't just be removed.
                self.problems
                    .warning(
                        name.region,
                        format!("the pipeline's parameter `{}` is never used", name.text),
                    )
                    .help("whatever it is given, nothing changes");
            }
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

    fn tell_unused_orbs(&mut self, orbs: &BTreeMap<Rc<str>, Orb>) {
        if self.problems.has_errors() {
            return;
        }
        let mut unused: Vec<_> = orbs.values().filter(|orb| !orb.used.get()).collect();
        unused.sort_by_key(|orb| (orb.key.region.line, orb.key.region.column));
        for orb in unused {
            self.problems.warning(
                orb.key.region,
                format!("the orb `{}` is never used", orb.key.text),
            );
        }
    }
}

/// The names that the holes of a value take from `parameters.`.
fn collect<'n>(node: &'n Node, named: &mut HashSet<&'n str>) {
    if !node.templated {
        return;
    }
    match &node.value {
        Value::Scalar(scalar) => names_in(&scalar.text, named),
        Value::List(items) => {
            for item in items {
                collect(item, named);
            }
        }
        Value::Map(map) => {
            for Entry { key, value } in map.iter() {
                names_in(&key.text, named);
                collect(value, named);
            }
        }
    }
}

/// What follows `parameters.` in a text, wherever that is.
fn names_in<'t>(text: &'t str, named: &mut HashSet<&'t str>) {
    const BEFORE: &str = "parameters.";
    let mut rest = text;
    while let Some(found) = rest.find(BEFORE) {
        rest = &rest[found + BEFORE.len()..];
        let is_of_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
        let end = rest.find(|c| !is_of_name(c)).unwrap_or(rest.len());
        named.insert(&rest[..end]);
    }
}
