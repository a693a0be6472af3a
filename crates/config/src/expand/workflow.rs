//! Workflows: conditions are decided, matrices unrolled, and each use of a job gets the job that it
//! stands for.

use std::collections::HashSet;
use std::rc::Rc;

use crate::keys::Place;
use crate::read::{Entry, Index, Key, Map, Node, Region, Value};
use crate::resolve::MAX_JOBS;
use crate::{LeftOut, LetIn};

use super::executor::bound;
use super::instance::{Instances, Names};
use super::job::Around;
use super::matrix::matrix_name;
use super::parameter::{Bindings, UNKNOWN, What};
use super::scope::{Definition, Found, Scope};
use super::uses::{Use, Uses};
use super::{Env, Expander, USE_COST, Version};

/// The expanded workflows, and the jobs that they use.
#[derive(Default)]
pub(super) struct Workflows {
    flows: Vec<Entry>,
    /// Those whose conditions don't hold.
    pub(super) left_out: Vec<LeftOut>,
    /// Those whose conditions do.
    pub(super) let_in: Vec<LetIn>,
    pub(super) instances: Instances,
}

impl Workflows {
    /// What stands in place of `workflows`.
    pub(super) fn node(&self, entry: &Entry) -> Rc<Node> {
        match &entry.value.value {
            Value::Map(_) => {
                let mut entries = self.flows.clone();
                let has_version = entry
                    .value
                    .as_map()
                    .is_some_and(|map| map.get("version").is_some());
                if entries.is_empty() && (has_version || !self.left_out.is_empty()) {
                    let region = entry.key.region;
                    let two = Node::word(region, "2");
                    entries.push(Entry::new(Key::new("version", region), two));
                }
                let map = entries.into_iter().collect();
                Rc::new(Node::map(entry.value.region, map))
            }
            Value::Scalar(_) | Value::List(_) => Rc::clone(&entry.value),
        }
    }
}

impl Expander<'_> {
    pub(super) fn workflows(&mut self, top: &Map) -> Workflows {
        let mut workflows = Workflows::default();
        let Some(entry) = top.get("workflows") else {
            self.default_job(top, &mut workflows);
            return workflows;
        };
        for flow in entry.value.as_map().into_iter().flat_map(Map::iter) {
            if &*flow.key.text == "version" {
                continue;
            }
            if let Some(flow) = self.workflow(flow, &mut workflows) {
                workflows.flows.push(flow);
            }
        }
        workflows
    }

    /// Without `workflows`, the job `build` runs, or the only one.
    fn default_job(&mut self, top: &Map, workflows: &mut Workflows) {
        let Some(jobs) = top.get("jobs").and_then(|entry| entry.value.as_map()) else {
            return;
        };
        let chosen = jobs.get("build").or_else(|| jobs.only());
        let Some(entry) = chosen else { return };
        let Some(definition) = self.scope.jobs.get(&entry.key.text).map(Rc::clone) else {
            return;
        };
        definition.used.set(true);
        definition.expanded.set(true);
        let scope = Rc::clone(&self.scope);
        let what = What {
            noun: "job",
            name: &entry.key.text,
            used_at: entry.key.region,
            scope: &scope,
            other_keys: None,
        };
        let bindings = self.bind(&what, &definition.parameters, &[]);
        let node = self.job(&definition, &scope, &bindings, &Around::default());
        let identity = entry.key.text.to_string();
        workflows
            .instances
            .add(identity, &entry.key.text, entry.key.region, node);
    }

    /// One workflow; none if its condition does not hold.
    fn workflow(&mut self, flow: &Entry, workflows: &mut Workflows) -> Option<Entry> {
        let Entry { key, value } = flow;
        let Some(map) = value.as_map() else {
            return Some(flow.clone());
        };
        let runs = self.runs(map);
        if !runs && !self.all_workflows {
            self.look_over(map);
            workflows.left_out.push(LeftOut {
                workflow: key.text.to_string(),
                job: None,
                why: "its condition does not hold".to_owned(),
            });
            return None;
        }
        if runs && (map.get("when").is_some() || map.get("unless").is_some()) {
            workflows.let_in.push(LetIn {
                workflow: key.text.to_string(),
                job: None,
                why: "its condition holds".to_owned(),
            });
        }
        let mut entries = Vec::new();
        for entry in map.iter() {
            match &*entry.key.text {
                "when" | "unless" => {}
                "jobs" => {
                    let jobs = match entry.value.as_list() {
                        Some(items) => self.uses(key, items, workflows),
                        None => Rc::clone(&entry.value),
                    };
                    entries.push(Entry {
                        key: entry.key.clone(),
                        value: jobs,
                    });
                }
                _ => {
                    let entry = self.entry(entry, Env::default());
                    entries.push(entry);
                }
            }
        }
        Some(Entry {
            key: key.clone(),
            value: Rc::new(Node::map(value.region, entries.into_iter().collect())),
        })
    }

    /// Whether a workflow's conditions hold.
    fn runs(&mut self, map: &Map) -> bool {
        let mut runs = true;
        if let (Some(_), Some(second)) = (map.get("when"), map.get("unless")) {
            self.problems
                .error(
                    second.key.region,
                    "a workflow can't have both `when` and `unless`",
                )
                .help("join them: `when: {and: [one, {not: other}]}`");
        }
        for (word, wanted) in [("when", true), ("unless", false)] {
            if let Some(entry) = map.get(word)
                && let Some(holds) = self.workflow_condition(entry, Env::default())
            {
                runs &= holds == wanted;
            }
        }
        runs
    }

    /// Marks what a workflow that does not run uses, so that nothing is called unused for that.
    fn look_over(&mut self, map: &Map) {
        let items = map.get("jobs").and_then(|entry| entry.value.as_list());
        for item in items.into_iter().flatten() {
            let name = item
                .as_text()
                .or_else(|| Some(&*item.as_map()?.iter().next()?.key.text));
            if let Some(name) = name {
                let scope = Rc::clone(&self.scope);
                scope.find(name, |scope| &scope.jobs);
                let only = item.as_map().and_then(Map::only);
                self.note_axes(name, only.and_then(|entry| entry.value.as_map()));
            }
        }
    }

    /// Notes which parameters of a job a matrix gives: it has to declare them, whatever for.
    fn note_axes(&mut self, job: &str, map: Option<&Map>) {
        let matrix = map.and_then(|map| map.get("matrix")?.value.as_map());
        let axes = matrix.and_then(|matrix| matrix.get("parameters")?.value.as_map());
        let scope = Rc::clone(&self.scope);
        if let Some(axes) = axes
            && let Found::Definition(definition, _) = scope.find(job, |scope| &scope.jobs)
        {
            for axis in axes.iter() {
                let of_job = (Rc::as_ptr(&definition), Rc::clone(&axis.key.text));
                self.axes.insert(of_job);
            }
        }
    }

    fn uses(&mut self, workflow: &Key, items: &[Rc<Node>], workflows: &mut Workflows) -> Rc<Node> {
        let mut uses = Uses::default();
        let mut others = Vec::new();
        for item in items {
            if !self.item(workflow, item, &mut uses, workflows) {
                // Told by who reads workflows.
                others.push(Rc::clone(item));
            }
        }
        self.used_in(workflow, uses, others)
    }

    /// What stands in place of the `jobs` of a workflow. `others`: what is none of its uses.
    pub(super) fn used_in(
        &mut self,
        workflow: &Key,
        mut uses: Uses,
        others: Vec<Rc<Node>>,
    ) -> Rc<Node> {
        uses.settle();
        self.check_outside(&uses);
        let region = uses.items.first().map(|item| item.region);
        let region = region.or_else(|| others.first().map(|item| item.region));
        let region = region.unwrap_or(workflow.region);
        let names: HashSet<&str> = uses.items.iter().map(|item| item.name.as_str()).collect();
        let mut nodes = Vec::with_capacity(uses.items.len() + others.len());
        for item in &uses.items {
            if self.spend(item.needs(&names, &uses.groups), 0, item.region) {
                nodes.push(item.node(&names, &uses.groups));
            }
        }
        nodes.extend(others);
        Rc::new(Node::list(region, nodes))
    }

    /// Adds what an entry of a list of jobs stands for; false if it is no such entry.
    pub(super) fn item(
        &mut self,
        workflow: &Key,
        item: &Rc<Node>,
        uses: &mut Uses,
        workflows: &mut Workflows,
    ) -> bool {
        let (job, body) = match &item.value {
            Value::Scalar(scalar) if !scalar.is_null() => {
                (Key::new(&scalar.text, item.region), None)
            }
            Value::Map(map) => match map.only() {
                Some(entry) => (entry.key.clone(), Some(Rc::clone(&entry.value))),
                None => match self.indented(map, item.region) {
                    Some(Entry { key, value }) => (key, Some(value)),
                    None => return false,
                },
            },
            Value::Scalar(_) | Value::List(_) => return false,
        };
        self.job_use(workflow, &job, body.as_ref(), uses, workflows);
        true
    }

    /// A use of a job beside which stands what belongs below it, as it was meant; none if it is no such
    /// thing. CircleCI lets it pass.
    fn indented(&mut self, map: &Map, region: Region) -> Option<Entry> {
        let mut entries = map.iter();
        let job = entries.next().filter(|job| job.value.is_null())?;
        let below: Vec<Entry> = entries.cloned().collect();
        let first = below.first()?.key.clone();
        if !below
            .iter()
            .all(|entry| Place::Use.key(&entry.key.text).is_some())
        {
            return None;
        }
        self.problems
            .warning(
                first.region,
                format!(
                    "`{}` stands beside the job `{}`, and is read as if it stood below",
                    first.text, job.key.text
                ),
            )
            .help(format!("indent it below `{}`", job.key.text));
        let body = Node::map(region, below.into_iter().collect());
        Some(Entry::new(job.key.clone(), body))
    }

    fn job_use(
        &mut self,
        workflow: &Key,
        job: &Key,
        body: Option<&Rc<Node>>,
        uses: &mut Uses,
        workflows: &mut Workflows,
    ) {
        if self.is_spent() {
            return;
        }
        let job = self.key(job, Env::default());
        let map = match body.map(|body| (body, &body.value)) {
            None => None,
            Some((_, Value::Map(map))) => Some(map),
            Some((body, Value::Scalar(_) | Value::List(_))) => {
                if !body.is_null() {
                    self.problems.error(
                        job.region,
                        format!("`{}` must be a map, not {}", job.text, body.describe()),
                    );
                    return;
                }
                None
            }
        };
        if let Some(group) = self.group(&job.text) {
            self.used_groups.insert(Rc::clone(&job.text));
            if !self.has_room(&job, 1, uses) {
                return;
            }
            return self.group_use(workflow, &job, map, &group, uses, workflows);
        }
        let matrix = map.and_then(|map| map.get("matrix")).cloned();
        self.note_axes(&job.text, map);
        let unrolled = match &matrix {
            Some(entry) if !entry.value.is_null() => match self.matrix(&job, entry) {
                Some(unrolled) => Some(unrolled),
                None => return self.wrong_matrix(&job, map, entry, uses),
            },
            Some(_) | None => None,
        };
        let combinations = unrolled
            .as_ref()
            .map_or(1, |matrix| matrix.combinations.len());
        if !self.has_room(&job, combinations, uses) {
            return;
        }
        let Some(unrolled) = unrolled else {
            let item = self.one_use(workflow, &job, map, None, workflows);
            uses.items.push(item);
            return;
        };
        let alias: Rc<str> = unrolled.alias.as_str().into();
        for combination in &unrolled.combinations {
            let item = self.one_use(workflow, &job, map, Some(combination), workflows);
            uses.items.push(Use {
                alias: Some(Rc::clone(&alias)),
                ..item
            });
        }
    }

    /// Keeps the place of a matrix that is wrong, which has been told, so that who requires it is not
    /// blamed.
    fn wrong_matrix(&mut self, job: &Key, map: Option<&Map>, matrix: &Entry, uses: &mut Uses) {
        let scope = Rc::clone(&self.scope);
        scope.find(&job.text, |scope| &scope.jobs);
        let text = |map: Option<&Map>, key: &str| {
            let entry = map?.get(key)?;
            entry.value.as_text().map(str::to_owned)
        };
        let name = text(map, "name").filter(|name| !name.contains("<<"));
        let alias = text(matrix.value.as_map(), "alias");
        let mut entries = Vec::new();
        make_idle(&mut entries, job.region);
        uses.items.push(Use {
            job: job.clone(),
            region: job.region,
            name: name.unwrap_or_else(|| job.text.to_string()),
            alias: Some(alias.as_deref().unwrap_or(&job.text).into()),
            group: None,
            entries,
        });
    }

    /// Whether a workflow may use so many jobs more; tells if not.
    fn has_room(&mut self, job: &Key, more: usize, uses: &Uses) -> bool {
        let has_room = uses.items.len() + more <= MAX_JOBS;
        if !has_room && !self.problems.has_errors() {
            self.problems
                .error(
                    job.region,
                    format!("the pipeline has more than {MAX_JOBS} jobs"),
                )
                .help("jobs count as often as workflows use them");
        }
        has_room
    }

    fn one_use(
        &mut self,
        workflow: &Key,
        job: &Key,
        map: Option<&Map>,
        combination: Option<&Bindings>,
        workflows: &mut Workflows,
    ) -> Use {
        let env = Env {
            matrix: combination,
            ..Env::default()
        };
        self.spend(USE_COST + map.map_or(0, Map::len), 0, job.region);
        let entries: Vec<&Entry> = map.into_iter().flat_map(Map::iter).collect();
        let mut kept = Vec::new();
        let mut given: Vec<Entry> = Vec::new();
        let mut around = [None, None];
        let mut replacement = None;
        let mut name = None;
        for entry in entries {
            match &*entry.key.text {
                "matrix" => {}
                "pre-steps" => around[0] = Some(entry),
                "post-steps" => around[1] = Some(entry),
                "override-with" => replacement = Some(self.entry(entry, env)),
                "name" => name = Some(self.entry(entry, env)),
                "filters" if entry.value.as_text().is_some() => {
                    kept.push(self.filter_expression(entry, env));
                }
                key if Place::Use.key(key).is_some() => kept.push(self.entry(entry, env)),
                _ => given.push(entry.clone()),
            }
        }
        let own_name = name
            .as_ref()
            .and_then(|entry| entry.value.as_text())
            .map(str::to_owned);
        let shown = match (own_name, combination) {
            (Some(name), _) => name,
            (None, Some(combination)) => matrix_name(&job.text, combination),
            (None, None) => job.text.to_string(),
        };
        self.spend(0, shown.len(), job.region);
        if let Some(entry) = name.filter(|entry| entry.value.as_text().is_none()) {
            // Told by who reads workflows.
            kept.push(entry);
        }
        let type_word = kept
            .iter()
            .find(|entry| &*entry.key.text == "type")
            .and_then(|entry| entry.value.as_text());
        let mut is_plain = type_word.is_some_and(|word| word != "build");
        if let Some(word) = type_word.filter(|word| *word != "approval")
            && self.version == Version::V2_1
        {
            let word = word.to_owned();
            self.tell_type(job, &word);
            // Whatever it is, it has been told.
            is_plain = true;
            make_idle(&mut kept, job.region);
        }
        let mut instance = Key::new(&job.text, job.region);
        if is_plain {
            kept.extend(given);
        } else if let Some((definition, home)) = self.job_of(workflow, job, replacement.as_ref()) {
            let mut arguments = self.arguments(
                given.iter(),
                &definition.parameters,
                &self.scope.clone(),
                env,
            );
            let index = Index::default();
            let of_matrix: Vec<_> = combination
                .into_iter()
                .flat_map(Bindings::iter)
                .filter(|binding| {
                    let given = index.find(&arguments, &binding.name, |(key, _)| &key.text);
                    given.is_none()
                })
                .map(|binding| {
                    let key = Key::new(&binding.name, binding.node.region);
                    (key.clone(), bound(&key, &binding.node, Some(&self.scope)))
                })
                .collect();
            arguments.extend(of_matrix);
            let around = self.around(around, env);
            let named = Names { job, shown: &shown };
            instance = self.instance(
                &definition,
                &home,
                &arguments,
                &around,
                &named,
                &mut workflows.instances,
            );
        } else {
            // It has been told. Its place is kept, so that who requires it is not blamed.
            make_idle(&mut kept, job.region);
        }
        Use {
            job: instance,
            region: job.region,
            name: shown,
            alias: None,
            group: None,
            entries: kept,
        }
    }

    /// Tells that a workflow can't make a job one of a type.
    fn tell_type(&mut self, job: &Key, word: &str) {
        if word.contains(UNKNOWN) {
            return;
        }
        let nearest = self.problems.nearest(word, ["approval"]);
        let problem = self.problems.error(
            job.region,
            format!(
                "a workflow can't make `{}` a job of the type `{word}`",
                job.text
            ),
        );
        match nearest {
            Some(_) => problem.suggest(nearest),
            None => problem.help("only `type: approval` may stand here: say the others in `jobs`"),
        };
    }

    /// An expression in place of filters, decided; whoever looks a config over sees all jobs.
    fn filter_expression(&mut self, entry: &Entry, env: Env<'_>) -> Entry {
        let holds = self.lets_run(entry, env).unwrap_or(true);
        let holds = holds || !self.pipeline.has_trigger();
        Entry::new(
            entry.key.clone(),
            Node::word(entry.value.region, holds.to_string()),
        )
    }

    /// The definition that a use of a job names; none if there is none, which has been told.
    fn job_of(
        &mut self,
        workflow: &Key,
        job: &Key,
        replacement: Option<&Entry>,
    ) -> Option<(Rc<Definition>, Rc<Scope>)> {
        let scope = Rc::clone(&self.scope);
        if let Some(entry) = replacement
            && let Some(name) = entry.value.as_text()
            && let Found::Definition(definition, home) = scope.find(name, |scope| &scope.jobs)
        {
            scope.find(&job.text, |scope| &scope.jobs);
            return Some((definition, home));
        }
        if job.text.contains(UNKNOWN) {
            return None;
        }
        match scope.find(&job.text, |scope| &scope.jobs) {
            Found::Definition(definition, home) => Some((definition, home)),
            Found::NotAtHand | Found::Wrong => None,
            Found::NoOrb(orb) => {
                self.tell_no_orb("job", &job.text, &orb, job.region, &scope);
                None
            }
            Found::Nothing => {
                let known = self.names(&scope, |scope| &scope.jobs);
                let nearest = self
                    .problems
                    .nearest(&job.text, known.iter().map(String::as_str));
                let message = match job.text.split_once('/') {
                    Some((orb, inner)) => format!("the orb `{orb}` has no job `{inner}`"),
                    None => format!(
                        "workflow `{}` runs `{}`, which is not in `jobs`",
                        workflow.text, job.text
                    ),
                };
                let problem = self.problems.misuse(job.region, message);
                match nearest {
                    Some(_) => problem.suggest(nearest),
                    None => problem.help("for an approval, add `type: approval`"),
                };
                None
            }
        }
    }

    fn around(&mut self, entries: [Option<&Entry>; 2], env: Env<'_>) -> Around {
        let scope = Rc::clone(&self.scope);
        let mut around = Around::default();
        let [before, after] = entries;
        if let Some(entry) = before {
            self.steps(entry, &scope, env, &mut around.before);
        }
        if let Some(entry) = after {
            self.steps(entry, &scope, env, &mut around.after);
        }
        around
    }
}

/// Makes a use of a job one that runs nothing.
fn make_idle(entries: &mut Vec<Entry>, region: Region) {
    entries.retain(|entry| &*entry.key.text != "type");
    let key = Key::new("type", region);
    entries.push(Entry::new(key, Node::text(region, "no-op")));
}
