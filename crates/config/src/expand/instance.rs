//! The jobs that uses stand for: one for each definition and what it is given, however often it is used.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::rc::Rc;

use crate::keys::Place;
use crate::read::{Entry, Key, Map, Node, Region, Value};

use super::Expander;
use super::job::Around;
use super::parameter::{Binding, Kind, What};
use super::scope::{Definition, Scope};

/// All of them.
#[derive(Default)]
pub(super) struct Instances {
    all: Vec<Instance>,
    /// By what they were made of.
    known: HashMap<String, usize>,
    /// Their names, each with the number that the last like it has.
    names: HashMap<String, usize>,
}

/// One job, as often as it is used with the same values.
struct Instance {
    name: String,
    region: Region,
    node: Rc<Node>,
}

impl Instances {
    /// The entries of `jobs`.
    pub(super) fn jobs(&self) -> Map {
        let entry = |instance: &Instance| Entry {
            key: Key::new(&instance.name, instance.region),
            value: Rc::clone(&instance.node),
        };
        self.all.iter().map(entry).collect()
    }

    /// Adds one under a name like the wanted one; returns that.
    pub(super) fn add(
        &mut self,
        identity: String,
        wanted: &str,
        region: Region,
        node: Rc<Node>,
    ) -> String {
        let mut name = wanted.to_owned();
        let mut number = self.names.get(wanted).copied().unwrap_or_default();
        while self.names.contains_key(&name) {
            number += 1;
            name = format!("{wanted}~{}", number + 1);
        }
        self.names.insert(wanted.to_owned(), number);
        self.names.entry(name.clone()).or_default();
        self.known.insert(identity, self.all.len());
        self.all.push(Instance {
            name: name.clone(),
            region,
            node,
        });
        name
    }
}

/// What a job is called where it is defined, and in the workflow.
pub(super) struct Names<'a> {
    pub(super) job: &'a Key,
    pub(super) shown: &'a str,
}

impl Expander<'_> {
    /// The key of the job that a use stands for; made if it is not there yet.
    pub(super) fn instance(
        &mut self,
        definition: &Rc<Definition>,
        home: &Rc<Scope>,
        arguments: &[(Key, Binding)],
        around: &Around,
        named: &Names<'_>,
        instances: &mut Instances,
    ) -> Key {
        let what = What {
            noun: "job",
            name: &named.job.text,
            used_at: named.job.region,
            scope: home,
            other_keys: Some(Place::Use),
        };
        let is_simple = arguments.is_empty() && around.before.is_empty() && around.after.is_empty();
        let mut identity = format!("{:p}", Rc::as_ptr(definition));
        if is_simple && let Some(known) = instances.known.get(&identity) {
            return Key::new(&instances.all[*known].name, named.job.region);
        }
        let bindings = self.bind(&what, &definition.parameters, arguments);
        if self.look.is_on {
            // It is looked over by itself.
            return named.job.clone();
        }
        definition.expanded.set(true);
        if !is_simple {
            let nodes = bindings.iter().map(|binding| &binding.node);
            for node in nodes.chain(&around.before).chain(&around.after) {
                if !self.spend(node.size.nodes, node.size.text_bytes, named.job.region) {
                    return named.job.clone();
                }
            }
            for (binding, parameter) in bindings.iter().zip(definition.parameters.iter()) {
                let _ = write!(identity, ";{}=", binding.name);
                fingerprint(&binding.node, &mut identity);
                // The same name is another executor elsewhere: a default's is the orb's own.
                if parameter.kind == Kind::Executor
                    && let Some(scope) = &binding.scope
                {
                    let _ = write!(identity, "@{:p}", Rc::as_ptr(scope));
                }
            }
            for (word, steps) in [("<", &around.before), (">", &around.after)] {
                identity.push_str(word);
                for step in steps {
                    fingerprint(step, &mut identity);
                }
            }
            if let Some(known) = instances.known.get(&identity) {
                return Key::new(&instances.all[*known].name, named.job.region);
            }
        }
        let is_own = Rc::ptr_eq(home, &self.scope) && definition.parameters.is_empty();
        let outer = self.problems.current_use();
        if !is_own {
            self.problems.enter(
                named.job.region,
                format!("the job `{}` is used here", named.job.text),
            );
        }
        let node = self.job(definition, home, &bindings, around);
        self.problems.leave(outer);
        if !self.spend(node.size.nodes, node.size.text_bytes, named.job.region) {
            return named.job.clone();
        }
        let region = definition.key.region;
        // As many jobs as can be keep their own names.
        let wanted = if is_simple {
            &*named.job.text
        } else {
            named.shown
        };
        Key::new(
            &instances.add(identity, wanted, region, node),
            named.job.region,
        )
    }
}

/// A text that two nodes have in common exactly if they say the same.
pub(super) fn fingerprint(node: &Node, text: &mut String) {
    match &node.value {
        Value::Scalar(scalar) => match scalar.as_bool() {
            Some(truth) => {
                let _ = write!(text, "{truth}");
            }
            None => {
                let _ = write!(text, "{:?}", scalar.text);
            }
        },
        Value::List(items) => {
            text.push('[');
            for item in items {
                fingerprint(item, text);
                text.push(',');
            }
            text.push(']');
        }
        Value::Map(map) => {
            text.push('{');
            for entry in map.iter() {
                let _ = write!(text, "{:?}:", entry.key.text);
                fingerprint(&entry.value, text);
                text.push(',');
            }
            text.push('}');
        }
    }
}
