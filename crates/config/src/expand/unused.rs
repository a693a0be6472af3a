//! What is defined and never used: told. What is wrong in it is told by `look`.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use crate::ErrorKind;
use crate::read::{Key, Map};

use super::scope::{Definitions, Orb, Scope};
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
        unused.sort_by_key(|definition| definition.key.region.line);
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
