//! Jobs: a definition and what it was given become a job that names nothing any more.

use std::rc::Rc;

use crate::read::{Entry, Key, Map, Node, Value};

use super::parameter::Bindings;
use super::scope::{Definition, Scope};
use super::{Env, Expander};

/// What a workflow adds to a job that it uses.
#[derive(Default)]
pub(super) struct Around {
    /// `pre-steps`, expanded.
    pub(super) before: Vec<Rc<Node>>,
    /// `post-steps`, expanded.
    pub(super) after: Vec<Rc<Node>>,
}

impl Expander<'_> {
    /// The job that a definition stands for.
    pub(super) fn job(
        &mut self,
        definition: &Rc<Definition>,
        home: &Rc<Scope>,
        bindings: &Bindings,
        around: &Around,
    ) -> Rc<Node> {
        let env = Env {
            parameters: Some(bindings),
            in_orb: !Rc::ptr_eq(home, &self.scope),
            ..Env::default()
        };
        let mut entries: Vec<Entry> = Vec::new();
        if let Some(entry) = definition.get("executor") {
            entries = match self.executor(entry, home, env) {
                Some(from_executor) => from_executor,
                // It stays, so that nobody misses what it would have brought.
                None => vec![entry.clone()],
            };
        }
        // "If your job declares a docker stanza, it will be used, in its entirety."
        if definition.body().any(|entry| is_place(&entry.key)) {
            entries.retain(|entry| !is_place(&entry.key));
        }
        let mut own = Vec::new();
        for entry in definition.body() {
            if !matches!(
                &*entry.key.text,
                "parameters" | "description" | "executor" | "steps" | "pre-steps" | "post-steps"
            ) {
                own.push(self.entry(entry, env));
            }
        }
        let mut entries = merged(&entries.into_iter().collect(), &own.into_iter().collect());
        if let Some(steps) = self.job_steps(definition, home, env, around) {
            entries.push(steps);
        }
        let region = definition.node.region;
        let map: Map = entries.into_iter().collect();
        let via = self.problems.current_use();
        Rc::new(Node::map(region, map).with_via(via))
    }

    fn job_steps(
        &mut self,
        definition: &Rc<Definition>,
        home: &Rc<Scope>,
        env: Env<'_>,
        around: &Around,
    ) -> Option<Entry> {
        let entry = definition.get("steps")?;
        let mut steps: Vec<Rc<Node>> = around.before.clone();
        self.steps(entry, home, env, &mut steps);
        steps.extend(around.after.iter().map(Rc::clone));
        // What is written wrong is told where jobs are read; an orb that is not at hand and a
        // step that does not exist leave nothing.
        if steps.is_empty() && !is_list_of_something(&entry.value) {
            return Some(entry.clone());
        }
        let may_be_missing = self.look.is_on || self.is_open || self.problems.has_errors();
        if steps.is_empty() && may_be_missing {
            steps.push(Rc::new(Node::text(entry.key.region, "checkout")));
        }
        Some(Entry::new(
            entry.key.clone(),
            Node::list(entry.value.region, steps),
        ))
    }
}

/// Whether it says where a job runs.
pub(super) fn is_place(key: &Key) -> bool {
    matches!(&*key.text, "docker" | "machine" | "macos" | "windows")
}

fn is_list_of_something(value: &Node) -> bool {
    match &value.value {
        Value::List(items) => !items.is_empty(),
        Value::Scalar(scalar) => !scalar.is_null(),
        Value::Map(_) => true,
    }
}

/// The entries of an executor, and those of a job in their places or behind them.
fn merged(executor: &Map, own: &Map) -> Vec<Entry> {
    let mut entries = Vec::with_capacity(executor.len() + own.len());
    for entry in executor.iter() {
        let mut entry = entry.clone();
        if let Some(own) = own.get(&entry.key.text) {
            entry = match &*own.key.text {
                "environment" => Entry {
                    value: joined(&entry.value, &own.value),
                    ..entry
                },
                _ => own.clone(),
            };
        }
        entries.push(entry);
    }
    let new = own
        .iter()
        .filter(|own| executor.get(&own.key.text).is_none());
    entries.extend(new.cloned());
    entries
}

/// The variables of an executor, and then those of a job: the job's win.
fn joined(executor: &Rc<Node>, job: &Rc<Node>) -> Rc<Node> {
    if let (Some(first), Some(second)) = (executor.as_map(), job.as_map()) {
        let kept = first
            .iter()
            .filter(|entry| second.get(&entry.key.text).is_none());
        let map = kept.chain(second.iter()).cloned().collect();
        return Rc::new(Node::map(job.region, map));
    }
    let items = |node: &Rc<Node>| match &node.value {
        Value::List(items) => items.clone(),
        Value::Scalar(scalar) if scalar.is_null() => Vec::new(),
        Value::Scalar(_) | Value::Map(_) => vec![Rc::clone(node)],
    };
    let mut both = items(executor);
    both.extend(items(job));
    Rc::new(Node::list(job.region, both))
}
