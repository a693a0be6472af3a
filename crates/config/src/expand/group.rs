//! Job groups: a use of one becomes its jobs, between a job that begins them and one that ends them.
//!
//! As CircleCI's guide has it ("How job group expansion works"): what the use requires, its first job
//! requires; whoever requires the use, requires its last. Both run nothing.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use crate::keys::Place;
use crate::read::{Entry, Key, Map, Node, Region, Value};

use super::uses::{Use, Uses};
use super::workflow::Workflows;
use super::{Env, Expander};

/// What a use of a group may have.
const KEYS: &[&str] = &["name", "requires", "filters", "serial-group"];

/// The jobs of a group's begin and end, below its name.
const START: &str = "group-start";
const END: &str = "group-end";

impl Expander<'_> {
    /// Tells what is wrong with `job-groups` itself, and keeps the groups.
    pub(super) fn read_groups(&mut self, top: &Map) {
        let Some(Entry { key, value }) = top.get("job-groups") else {
            return;
        };
        if value.is_null() {
            return;
        }
        let Some(map) = value.as_map() else {
            self.problems.error(
                key.region,
                format!("`job-groups` must be a map, not {}", value.describe()),
            );
            return;
        };
        let mut groups = Vec::new();
        for group in map.iter() {
            let name = &group.key.text;
            if let Some(job) = self.scope.jobs.get(name) {
                let related = self.problems.related(job.key.region, "the job is here");
                self.problems
                    .error(
                        group.key.region,
                        format!("`{name}` is the name of a job as well"),
                    )
                    .help("give the group another name")
                    .related(related);
            }
            let inner = group.value.as_map();
            for Entry { key, .. } in inner.into_iter().flat_map(Map::iter) {
                if Place::Group.key(&key.text).is_none() {
                    let nearest = self.problems.nearest(&key.text, Place::Group.names());
                    self.problems
                        .error(
                            key.region,
                            format!("`{}` means nothing in a group of jobs", key.text),
                        )
                        .suggest(nearest);
                }
            }
            let jobs = inner.and_then(|map| map.get("jobs"));
            if jobs.is_none_or(|jobs| jobs.value.as_list().is_none_or(<[_]>::is_empty)) {
                self.problems
                    .error(group.key.region, format!("the group `{name}` has no jobs"))
                    .help("add `jobs:` with at least one job");
                continue;
            }
            self.check_members(&group.key.text, map, jobs);
            groups.push(group.clone());
        }
        self.groups = groups.into_iter().collect();
    }

    /// Tells what the jobs of a group can't be or have, whether it is used or not.
    fn check_members(&mut self, group: &str, groups: &Map, jobs: Option<&Entry>) {
        for item in jobs
            .and_then(|jobs| jobs.value.as_list())
            .unwrap_or_default()
        {
            let entry = item.as_map().and_then(Map::only);
            let name = item.as_text().or(entry.map(|entry| &*entry.key.text));
            if name.is_some_and(|name| groups.get(name).is_some()) {
                self.problems
                    .error(
                        item.region,
                        format!("the group `{group}` can't hold another group"),
                    )
                    .help("use both in the workflow");
            }
            let serial = entry
                .and_then(|entry| entry.value.as_map())
                .and_then(|map| map.get("serial-group"));
            if let Some(serial) = serial {
                self.problems
                    .error(
                        serial.key.region,
                        "a job of a group can't have a `serial-group`",
                    )
                    .help("give it to the use of the group");
            }
        }
    }

    /// The group of a name.
    pub(super) fn group(&self, name: &str) -> Option<Entry> {
        self.groups.get(name).cloned()
    }

    /// Adds what a use of a group stands for.
    pub(super) fn group_use(
        &mut self,
        workflow: &Key,
        job: &Key,
        map: Option<&Map>,
        group: &Entry,
        uses: &mut Uses,
        workflows: &mut Workflows,
    ) {
        let mut own = Vec::new();
        for entry in map.into_iter().flat_map(Map::iter) {
            if KEYS.contains(&&*entry.key.text) {
                own.push(self.entry(entry, Env::default()));
            } else {
                self.problems
                    .error(
                        entry.key.region,
                        format!("`{}` can't be given to a group of jobs", entry.key.text),
                    )
                    .help("give it to the jobs in the group");
            }
        }
        let name = own
            .iter()
            .find(|entry| &*entry.key.text == "name")
            .and_then(|entry| entry.value.as_text());
        let prefix = name.unwrap_or(&job.text).to_owned();
        let is_nameless = name.is_none();
        let others = uses.group_uses.get(&job.text).copied();
        let clashes = others.is_some_and(|other_is_nameless| other_is_nameless || is_nameless);
        let any_is_nameless = others.unwrap_or_default() || is_nameless;
        uses.group_uses
            .insert(Rc::clone(&job.text), any_is_nameless);
        let is_alias = |item: &Use| item.alias.as_deref() == Some(prefix.as_str());
        if clashes || uses.groups.contains_key(&prefix) || uses.items.iter().any(is_alias) {
            self.problems
                .error(
                    job.region,
                    format!(
                        "the group `{}` is twice in this workflow as `{prefix}`",
                        job.text
                    ),
                )
                .help("give each use a `name` of its own");
            return;
        }
        let items = group
            .value
            .as_map()
            .and_then(|map| map.get("jobs"))
            .and_then(|entry| entry.value.as_list())
            .unwrap_or_default();
        let mut members = Uses::default();
        let outer = self.problems.current_use();
        if !self.look.is_on {
            self.problems
                .enter(job.region, format!("the group `{}` is used here", job.text));
        }
        for item in items {
            let nested = match &item.value {
                Value::Scalar(scalar) => Some(scalar.text.clone()),
                Value::Map(map) => map.only().map(|entry| entry.key.text.to_string()),
                Value::List(_) => None,
            };
            if nested.is_some_and(|name| self.group(&name).is_some()) {
                // Told where the group is.
                continue;
            }
            if !self.item(workflow, item, &mut members, workflows) {
                self.problems
                    .error(item.region, "a job of a group must be a name or a map");
            }
        }
        self.problems.leave(outer);
        members.settle();
        let serial = own
            .iter()
            .find(|entry| &*entry.key.text == "serial-group")
            .cloned();
        let shown: Rc<str> = prefix.as_str().into();
        let start = format!("{prefix}/{START}");
        let end = format!("{prefix}/{END}");
        own.retain(|entry| matches!(&*entry.key.text, "requires" | "filters"));
        own.push(no_op(job.region));
        uses.items.push(Use {
            job: Key::new(START, job.region),
            region: job.region,
            name: start.clone(),
            alias: None,
            group: Some(Rc::clone(&shown)),
            entries: own,
        });
        let last = self.members(members, &prefix, &start, serial.as_ref(), uses);
        let requires = requires_entry(job.region, &last);
        uses.items.push(Use {
            job: Key::new(END, job.region),
            region: job.region,
            name: end.clone(),
            alias: None,
            group: Some(shown),
            entries: vec![requires, no_op(job.region)],
        });
        uses.groups.insert(prefix, vec![end]);
    }

    /// Tells which jobs require one inside a group, of which nobody outside knows.
    pub(super) fn check_outside(&mut self, uses: &Uses) {
        let members: HashMap<&str, &str> = uses
            .items
            .iter()
            .filter_map(|item| Some((item.name.as_str(), item.group.as_deref()?)))
            .collect();
        if members.is_empty() {
            return;
        }
        for item in &uses.items {
            for (node, name) in item.required() {
                let group = members.get(name).copied();
                // Those inside were given their names here.
                let Some(group) = group.filter(|group| item.group.as_deref() != Some(group)) else {
                    continue;
                };
                self.problems
                    .error(
                        node.region,
                        format!(
                            "job `{}` requires `{name}`, which is inside a group of jobs",
                            item.name
                        ),
                    )
                    .help(format!("require the group: `{group}`"));
            }
        }
    }

    /// Adds the jobs of a group below its name; returns those that none of the others requires.
    fn members(
        &mut self,
        mut members: Uses,
        prefix: &str,
        start: &str,
        serial: Option<&Entry>,
        uses: &mut Uses,
    ) -> Vec<String> {
        let names: HashSet<String> = members.items.iter().map(|item| item.name.clone()).collect();
        let mut required: HashSet<String> = HashSet::new();
        for item in &mut members.items {
            let place = item
                .entries
                .iter()
                .position(|entry| &*entry.key.text == "requires");
            let given = place.map(|place| item.entries.remove(place));
            let items = given
                .as_ref()
                .and_then(|entry| entry.value.as_list())
                .unwrap_or_default();
            let mut inside = Vec::new();
            for needed in items {
                let (name, statuses) = match &needed.value {
                    Value::Map(map) => match map.only() {
                        Some(entry) => (entry.key.text.to_string(), Some(&entry.value)),
                        None => continue,
                    },
                    Value::Scalar(scalar) => (scalar.text.clone(), None),
                    Value::List(_) => continue,
                };
                let group = members.groups.get(&name);
                let meant: Vec<&String> = match group {
                    Some(group) if !names.contains(&name) => group.iter().collect(),
                    Some(_) | None => names.get(&name).into_iter().collect(),
                };
                if meant.is_empty() {
                    self.problems
                        .misuse(
                            needed.region,
                            format!(
                                "the job `{}` of a group requires `{name}`, which is not in the group",
                                item.name
                            ),
                        )
                        .help("let the use of the group require it");
                }
                if !self.spend(meant.len(), 0, needed.region) {
                    continue;
                }
                for name in meant {
                    required.insert(name.clone());
                    let shown = format!("{prefix}/{name}");
                    inside.push(Rc::new(match statuses {
                        Some(statuses) => {
                            let entry = Entry {
                                key: Key::new(&shown, needed.region),
                                value: Rc::clone(statuses),
                            };
                            Node::map(needed.region, [entry].into_iter().collect())
                        }
                        None => Node::text(needed.region, shown),
                    }));
                }
            }
            if inside.is_empty() {
                inside.push(Rc::new(Node::text(item.region, start)));
            }
            let key = Key::new("requires", item.region);
            item.entries
                .insert(0, Entry::new(key, Node::list(item.region, inside)));
            if let Some(serial) = serial {
                item.entries
                    .retain(|entry| &*entry.key.text != "serial-group");
                item.entries.push(serial.clone());
            }
        }
        let mut last = Vec::new();
        for mut item in members.items {
            let is_last = !required.contains(&item.name);
            item.name = format!("{prefix}/{}", item.name);
            // Outside of the group, nobody knows it.
            item.alias = None;
            item.group = Some(prefix.into());
            if is_last {
                last.push(item.name.clone());
            }
            uses.items.push(item);
        }
        last
    }
}

fn no_op(region: Region) -> Entry {
    Entry::new(Key::new("type", region), Node::text(region, "no-op"))
}

fn requires_entry(region: Region, names: &[String]) -> Entry {
    let items = names
        .iter()
        .map(|name| Rc::new(Node::text(region, name.clone())))
        .collect();
    Entry::new(Key::new("requires", region), Node::list(region, items))
}
