//! Executors: where jobs that name one run.

use std::rc::Rc;

use crate::keys::Place;
use crate::read::{Entry, Key, Map, Node, Region, Value};

use super::parameter::{Binding, UNKNOWN, What};
use super::scope::{Found, Scope};
use super::{Env, Expander, text};

impl Expander<'_> {
    /// The entries that an `executor` stands for; none if it stands for nothing, which has been told.
    pub(super) fn executor(
        &mut self,
        entry: &Entry,
        scope: &Rc<Scope>,
        env: Env<'_>,
    ) -> Option<Vec<Entry>> {
        let Entry { key, value } = entry;
        let given = self.given(value, env, scope)?;
        let (name, name_region, arguments) = match &given.node.value {
            Value::Scalar(scalar) if !scalar.is_null() => {
                (given.clone(), given.node.place(key), None)
            }
            Value::Map(map) => {
                let Some(name) = map.get("name") else {
                    self.problems
                        .error(key.region, "an `executor` with parameters needs a `name`")
                        .help("add `name: …`");
                    return None;
                };
                // The map itself has been evaluated, but for whose executors its name is to be found in.
                let from_map = value.as_map().and_then(|map| map.get("name"));
                let found = match from_map {
                    Some(entry) => self.given(&entry.value, env, scope)?,
                    None => Binding {
                        node: Rc::clone(&name.value),
                        ..given.clone()
                    },
                };
                (found, name.value.place(&name.key), Some(map))
            }
            Value::Scalar(_) | Value::List(_) => {
                self.problems.error_of(
                    key,
                    &given.node,
                    format!(
                        "`executor` must name an executor, not {}",
                        given.node.describe()
                    ),
                );
                return None;
            }
        };
        let Some(text) = name.node.as_text().map(str::to_owned) else {
            self.problems.error(
                name_region,
                format!(
                    "the name of an executor must be a string, not {}",
                    name.node.describe()
                ),
            );
            return None;
        };
        let scope = name.scope.as_ref().unwrap_or(scope);
        let arguments = arguments
            .into_iter()
            .flat_map(Map::iter)
            .filter(|entry| &*entry.key.text != "name")
            .map(|entry| (entry.key.clone(), bound(&entry.key, &entry.value, None)))
            .collect::<Vec<_>>();
        // What a parameter brought is shown where it is used, too.
        let outer = self.problems.enter_value(key, &name.node);
        let found = self.named_executor(&text, name_region, &arguments, scope);
        self.problems.leave(outer);
        found
    }

    /// A value, and where the names in it are to be looked up.
    pub(super) fn given(
        &mut self,
        value: &Rc<Node>,
        env: Env<'_>,
        scope: &Rc<Scope>,
    ) -> Option<Binding> {
        if let Value::Scalar(scalar) = &value.value
            && value.templated
            && let Some(hole) = text::only_hole(&scalar.text)
        {
            // What belongs to nobody (a value of the pipeline) means what it means where it is used.
            return self
                .value(hole.inner, value.region, env)
                .map(|given| Binding {
                    scope: given.scope.or_else(|| Some(Rc::clone(scope))),
                    ..given
                });
        }
        Some(Binding {
            name: "".into(),
            node: self.substitute(value, env),
            scope: Some(Rc::clone(scope)),
        })
    }

    fn named_executor(
        &mut self,
        name: &str,
        region: Region,
        arguments: &[(Key, Binding)],
        scope: &Rc<Scope>,
    ) -> Option<Vec<Entry>> {
        if name.contains(UNKNOWN) {
            return None;
        }
        let (definition, home) = match scope.find(name, |scope| &scope.executors) {
            Found::Definition(definition, home) => (definition, home),
            Found::NotAtHand | Found::Wrong => return None,
            Found::Nothing if self.tell_newer("executors", name, region) => return None,
            Found::Nothing => {
                let known = self.names(scope, |scope| &scope.executors);
                let nearest = self
                    .problems
                    .nearest(name, known.iter().map(String::as_str));
                let problem = self
                    .problems
                    .misuse(region, format!("there is no executor `{name}`"));
                match nearest {
                    Some(_) => problem.suggest(nearest),
                    None => problem.help("define it under `executors`"),
                };
                return None;
            }
            Found::NoOrb(orb) => {
                self.tell_no_orb("executor", name, &orb, region, scope);
                return None;
            }
        };
        let what = What {
            noun: "executor",
            name,
            used_at: region,
            scope: &home,
            other_keys: Some(Place::ExecutorUse),
        };
        let bindings = self.bind(&what, &definition.parameters, arguments);
        if self.look.is_on {
            // It is looked over by itself.
            return None;
        }
        definition.expanded.set(true);
        let outer = self
            .problems
            .enter(region, format!("the executor `{name}` is used here"));
        let env = Env {
            parameters: Some(&bindings),
            in_orb: !Rc::ptr_eq(&home, &self.scope),
            ..Env::default()
        };
        let entries = definition
            .body()
            .filter(|entry| is_of_executor(&entry.key))
            .map(|entry| self.entry(entry, env))
            .collect();
        self.problems.leave(outer);
        Some(entries)
    }

    /// Tells that an orb is not imported.
    pub(super) fn tell_no_orb(
        &mut self,
        noun: &str,
        name: &str,
        orb: &str,
        region: Region,
        scope: &Scope,
    ) {
        if self.tell_newer("orbs", orb, region) {
            return;
        }
        let nearest = self
            .problems
            .nearest(orb, scope.orbs.keys().map(|known| &**known))
            .map(|known| name.replacen(orb, known, 1));
        let problem = self.problems.misuse(
            region,
            format!("the {noun} `{name}` is of an orb `{orb}`, which is not imported"),
        );
        match nearest {
            Some(nearest) => problem.suggest(Some(&nearest)),
            None => problem.help(format!("add `{orb}: …` to `orbs`")),
        };
    }
}

/// Whether a key of an executor is for the jobs that run in it; what means nothing has been told.
pub(super) fn is_of_executor(key: &Key) -> bool {
    let is_own = matches!(&*key.text, "parameters" | "description");
    !is_own && Place::Executor.key(&key.text).is_some()
}

/// An argument that has been evaluated.
pub(super) fn bound(key: &Key, value: &Rc<Node>, scope: Option<&Rc<Scope>>) -> Binding {
    Binding {
        name: Rc::clone(&key.text),
        node: Rc::clone(value),
        scope: scope.map(Rc::clone),
    }
}
