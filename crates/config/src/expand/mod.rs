//! The tree of a config to the tree of what it stands for: every orb, command, executor, parameter,
//! matrix and condition is gone from it, and what is left is a config of version 2.
//!
//! It is the only stage that knows the language's means of reuse. Each text is evaluated once, in the
//! place where it is written, with the values that are known there; what came of it is never evaluated
//! again. Nodes without `<<` are shared, not copied.

mod budget;
mod condition;
mod executor;
mod group;
mod instance;
mod job;
mod look;
mod matrix;
mod orb;
mod parameter;
mod scope;
mod step;
mod substitute;
mod text;
mod unused;
mod uses;
mod values;
mod version;
mod workflow;

use std::collections::HashSet;
use std::rc::Rc;

use crate::diagnostic::Problems;
use crate::inputs::Inputs;
use crate::pattern::Patterns;
use crate::read::{Entry, Key, Map, Node, Region, Value};
use crate::{LeftOut, LetIn};

pub(crate) use budget::Budget;
pub use budget::{MAX_EXPANDED_BYTES, MAX_EXPANDED_NODES};
use look::Look;
pub use matrix::MAX_MATRIX;
pub use orb::MAX_ORBS;
use parameter::Bindings;
pub(crate) use parameter::UNKNOWN;
use scope::Scope;
use values::PipelineValues;
use version::{Newer, Version, old_scope, version};

/// What a config stands for.
pub(crate) struct Expanded {
    /// A config of version 2: `jobs`, `workflows`, and what else is left.
    pub(crate) root: Rc<Node>,
    /// The names of the jobs that no workflow uses.
    pub(crate) unused: Vec<Key>,
    /// What nothing runs, as jobs with unknown values, so that what is wrong in it is told.
    pub(crate) looked_over: Vec<Entry>,
    /// The job groups that no workflow uses, as workflows.
    pub(crate) unused_groups: Vec<Entry>,
    /// The workflows whose conditions don't hold.
    pub(crate) left_out: Vec<LeftOut>,
    /// The workflows whose conditions do.
    pub(crate) let_in: Vec<LetIn>,
    /// The names of the pipeline's parameters, and where they are declared: if none are, the beginning.
    pub(crate) parameters: (Vec<String>, Region),
    /// Whether keys that mean nothing are refused, as in version 2.1.
    pub(crate) is_strict: bool,
    /// Whether an orb is not at hand, so that jobs may be missing.
    pub(crate) is_open: bool,
}

/// What a use of a command or a job counts for, in values.
const USE_COST: usize = 10;

/// How deep commands may use commands.
pub const MAX_NESTING: usize = 50;

/// Expands a whole config. None if it is no config at all, or if there is no budget left, which has been
/// told.
pub(crate) fn expand(
    root: &Rc<Node>,
    inputs: &Inputs<'_>,
    budget: &mut Budget,
    patterns: &mut Patterns,
    problems: &mut Problems,
) -> Option<Expanded> {
    let Value::Map(top) = &root.value else {
        if root.is_null() {
            problems.file_error(root.region.file, "the config is empty");
        } else {
            problems
                .error(
                    root.region,
                    format!("a config is a map with `jobs`, not {}", root.describe()),
                )
                .help("begin with `version: 2.1` and `jobs:`");
        }
        return None;
    };
    let version = version(top, problems);
    let pipeline = PipelineValues::new(top, inputs, version, problems);
    let mut expander = Expander {
        problems,
        pipeline,
        scope: Rc::new(Scope::default()),
        version,
        budget,
        patterns,
        stack: Vec::new(),
        groups: Map::default(),
        used_groups: HashSet::new(),
        axes: HashSet::new(),
        default_depth: 0,
        newer: Newer::of(top, version),
        is_open: false,
        all_workflows: inputs.all_workflows,
        look: Look::new(root.region.file, inputs.orb_bodies),
    };
    expander.scope = match version {
        Version::V2_1 => {
            let references = expander.orb_references(top);
            let mut orbs = orb::Loader::new(inputs.orbs, references);
            let scope = orbs.scope(top, expander.problems);
            expander.is_open = orbs.is_any_missing();
            Rc::new(scope)
        }
        Version::V2_0 => Rc::new(old_scope(top, expander.problems)),
    };
    if let Some(entry) = top.get("build_agent") {
        // CircleCI's own; it means nothing here, but what is misspelt in it is told.
        expander.entry(entry, Env::default());
    }
    let expanded = expander.config(top, root.region);
    expander.warn_newer();
    // Half of it would only be called wrong for what is missing.
    (!expander.budget.is_spent()).then_some(expanded)
}

/// Expands one config.
struct Expander<'r> {
    problems: &'r mut Problems,
    pipeline: PipelineValues,
    /// The config's own names.
    scope: Rc<Scope>,
    version: Version,
    budget: &'r mut Budget,
    patterns: &'r mut Patterns,
    /// The commands that are being expanded, outermost first.
    stack: Vec<Rc<scope::Definition>>,
    /// The entries of `job-groups`.
    groups: Map,
    /// The names of those that a workflow uses.
    used_groups: HashSet<Rc<str>>,
    /// The parameters of jobs that a matrix gives.
    axes: HashSet<(*const scope::Definition, Rc<str>)>,
    /// How deep default steps are nested.
    default_depth: usize,
    /// What a file of version 2.0 can't use.
    newer: Newer,
    is_open: bool,
    /// Whether workflows run whatever their conditions say.
    all_workflows: bool,
    look: Look,
}

/// With which values a text is evaluated.
#[derive(Clone, Copy, Default)]
struct Env<'e> {
    /// Those of `parameters.`; none where there are none, as in a workflow.
    parameters: Option<&'e Bindings>,
    /// Those of `matrix.`.
    matrix: Option<&'e Bindings>,
    /// Whether it is written in an orb, from where the pipeline's parameters can't be seen.
    in_orb: bool,
}

impl Expander<'_> {
    /// Takes what something costs; false if nothing is left, which has been told.
    fn spend(&mut self, nodes: usize, bytes: usize, region: Region) -> bool {
        if self.look.is_on {
            return self.look.budget.take(nodes, bytes);
        }
        self.budget.spend(nodes, bytes, region, self.problems)
    }

    /// Whether nothing is expanded any more.
    fn is_spent(&self) -> bool {
        self.current_budget().is_spent()
    }

    fn current_budget(&self) -> &Budget {
        if self.look.is_on {
            &self.look.budget
        } else {
            self.budget
        }
    }

    /// What [`Scope::names`] gives, if it is still of use.
    fn names(&self, scope: &Scope, of: impl Fn(&Scope) -> &scope::Definitions) -> Vec<String> {
        if self.problems.suggests() {
            scope.names(of)
        } else {
            Vec::new()
        }
    }

    fn config(&mut self, top: &Map, region: Region) -> Expanded {
        if self.version == Version::V2_1 {
            self.read_groups(top);
        }
        let workflows = self.workflows(top);
        let mut entries = vec![Entry::new(
            Key::new("version", region),
            Node::word(region, "2"),
        )];
        if let Some(setup) = self.setup(top) {
            entries.push(setup);
        }
        let jobs = Node::map(region, workflows.instances.jobs());
        let has_jobs = jobs.as_map().is_some_and(|jobs| !jobs.is_empty());
        if has_jobs || top.get("jobs").is_some() {
            let key = top.get("jobs").map(|entry| entry.key.clone());
            let key = key.unwrap_or_else(|| Key::new("jobs", region));
            entries.push(Entry::new(key, jobs));
        }
        if let Some(entry) = top.get("workflows") {
            entries.push(Entry {
                key: entry.key.clone(),
                value: workflows.node(entry),
            });
        }
        let unused_groups = self.look_over_groups();
        self.look_over_definitions();
        let looked_over = self.looked_over();
        let unused = self.unused(top);
        let declared_at = match top.get("parameters") {
            Some(entry) => entry.key.region,
            None => Region::point(region.file, 1, 1),
        };
        let names = self.pipeline.declared().map(|name| name.text.to_string());
        Expanded {
            parameters: (names.collect(), declared_at),
            root: Rc::new(Node::map(region, entries.into_iter().collect())),
            unused,
            looked_over,
            unused_groups,
            left_out: workflows.left_out,
            let_in: workflows.let_in,
            is_strict: self.version == Version::V2_1,
            is_open: self.is_open,
        }
    }

    /// The references of `orbs` that have holes, filled.
    fn orb_references(&mut self, top: &Map) -> Vec<(Rc<str>, Rc<Node>)> {
        let orbs = top.get("orbs").and_then(|entry| entry.value.as_map());
        orbs.into_iter()
            .flat_map(Map::iter)
            .filter(|entry| entry.value.templated && entry.value.as_text().is_some())
            .map(|entry| {
                let reference = self.substitute(&entry.value, Env::default());
                (Rc::clone(&entry.key.text), reference)
            })
            .collect()
    }

    /// `setup: true`, if it is.
    fn setup(&mut self, top: &Map) -> Option<Entry> {
        let entry = top.get("setup")?;
        let value = self.substitute(&entry.value, Env::default());
        let entry = Entry {
            key: entry.key.clone(),
            value,
        };
        match entry.value.as_bool() {
            Some(true) => Some(entry),
            Some(false) => None,
            None if entry.value.is_null() => None,
            None => {
                self.problems.error_of(
                    &entry.key,
                    &entry.value,
                    format!("`setup` must be a boolean, not {}", entry.value.describe()),
                );
                None
            }
        }
    }
}
