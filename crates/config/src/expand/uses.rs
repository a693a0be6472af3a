//! The uses of a workflow's jobs, and what each of them requires once all are known.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use crate::read::{Entry, Key, Map, Node, Region, Value};

/// The uses of one workflow.
#[derive(Default)]
pub(super) struct Uses {
    pub(super) items: Vec<Use>,
    /// The names of the jobs to require for a matrix, by its alias, and for a group of jobs.
    pub(super) groups: Groups,
    /// The groups of jobs that were used, and whether one of the uses had no `name`.
    pub(super) group_uses: HashMap<Rc<str>, bool>,
}

/// One use of a job.
pub(super) struct Use {
    /// The key of its instance.
    pub(super) job: Key,
    pub(super) region: Region,
    /// What it is called in the workflow.
    pub(super) name: String,
    /// The alias of the matrix that it is of.
    pub(super) alias: Option<Rc<str>>,
    /// The use of a group of jobs that it came of.
    pub(super) group: Option<Rc<str>>,
    pub(super) entries: Vec<Entry>,
}

impl Uses {
    /// Once all are there: gives the aliases of matrices the jobs that they stand for. Those that share
    /// their name with others get numbers, since each of them has to have a name to be required by.
    pub(super) fn settle(&mut self) {
        let mut times: HashMap<String, usize> = HashMap::new();
        for item in &self.items {
            *times.entry(item.name.clone()).or_default() += 1;
        }
        let mut numbers: HashMap<String, usize> = HashMap::new();
        for item in &mut self.items {
            let Some(alias) = &item.alias else { continue };
            if times[&item.name] > 1 {
                let number = numbers.entry(item.name.clone()).or_default();
                item.name = loop {
                    *number += 1;
                    let name = format!("{}-{number}", item.name);
                    if !times.contains_key(&name) {
                        break name;
                    }
                };
            }
            let group = self.groups.entry(alias.to_string()).or_default();
            group.push(item.name.clone());
        }
    }
}

/// The jobs that a matrix or a group of jobs stands for, by its name.
pub(super) type Groups = HashMap<String, Vec<String>>;

impl Use {
    /// What it requires, each with its name.
    pub(super) fn required(&self) -> impl Iterator<Item = (&Node, &str)> {
        let requires = self
            .entries
            .iter()
            .filter(|entry| &*entry.key.text == "requires");
        requires
            .flat_map(|entry| entry.value.as_list().unwrap_or_default())
            .filter_map(|item| Some((&**item, required_name(item)?)))
    }

    /// How many jobs it requires.
    pub(super) fn needs(&self, names: &HashSet<&str>, groups: &Groups) -> usize {
        self.required()
            .map(|(_, name)| group_of(name, names, groups).map_or(1, Vec::len))
            .sum()
    }

    /// It as an entry of a workflow's `jobs`.
    pub(super) fn node(&self, names: &HashSet<&str>, groups: &Groups) -> Rc<Node> {
        let mut entries = Vec::new();
        if *self.name != *self.job.text {
            entries.push(Entry::new(
                Key::new("name", self.region),
                Node::text(self.region, self.name.clone()),
            ));
        }
        for entry in &self.entries {
            let value = match (&*entry.key.text, entry.value.as_list()) {
                ("requires", Some(items)) => requires(entry, items, names, groups),
                (_, _) => Rc::clone(&entry.value),
            };
            entries.push(Entry {
                key: entry.key.clone(),
                value,
            });
        }
        if entries.is_empty() {
            return Rc::new(Node::text(self.region, &*self.job.text));
        }
        let body = Node::map(self.region, entries.into_iter().collect());
        let entry = Entry::new(self.job.clone(), body);
        Rc::new(Node::map(self.region, [entry].into_iter().collect()))
    }
}

/// The name in an entry of `requires`.
fn required_name(item: &Node) -> Option<&str> {
    match &item.value {
        Value::Scalar(scalar) => Some(scalar.text.as_str()),
        Value::Map(map) => Some(&*map.only()?.key.text),
        Value::List(_) => None,
    }
}

/// The jobs that a name in `requires` stands for, if it is no job's.
fn group_of<'g>(name: &str, names: &HashSet<&str>, groups: &'g Groups) -> Option<&'g Vec<String>> {
    if names.contains(name) {
        return None;
    }
    groups.get(name)
}

/// `requires` with the names of a matrix's jobs in place of its alias.
fn requires(entry: &Entry, items: &[Rc<Node>], names: &HashSet<&str>, groups: &Groups) -> Rc<Node> {
    let group = |item| group_of(required_name(item)?, names, groups);
    let is_any = items.iter().any(|item| group(item).is_some());
    if !is_any {
        return Rc::clone(&entry.value);
    }
    let mut all = Vec::new();
    for item in items {
        let Some(group) = group(item) else {
            all.push(Rc::clone(item));
            continue;
        };
        for name in group {
            all.push(Rc::new(match item.as_map().and_then(Map::only) {
                Some(statuses) => {
                    let key = Key::new(name, statuses.key.region);
                    let value = Rc::clone(&statuses.value);
                    Node::map(item.region, [Entry { key, value }].into_iter().collect())
                }
                None => Node::text(item.region, name.clone()),
            }));
        }
    }
    Rc::new(Node::list(entry.value.region, all))
}
