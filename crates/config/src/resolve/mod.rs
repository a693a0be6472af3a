//! Stanzas to workflows of the plan: every name is found, every job has its own, and each comes after
//! what it requires.

mod filter;
mod graph;
mod names;
mod size;

use std::collections::{BTreeSet, HashMap, HashSet};

use model::{BranchFilter, JobKind, JobSpec, Requirement, Schedule, WorkflowSpec};

use crate::diagnostic::Problems;
use crate::expand::UNKNOWN;
use crate::inputs::TriggerValues;
use crate::read::Region;
use crate::schema::{Config, Filter, JobStanza, Name, WorkflowStanza};
use crate::{LeftOut, LetIn};
use names::Names;
pub(crate) use size::Budget;
pub use size::{MAX_JOBS, MAX_PLAN_BYTES};

/// The name of the workflow that a config without `workflows` gets.
pub const DEFAULT_WORKFLOW: &str = "workflow";

/// The job that a config without `workflows` runs, if it has several.
const DEFAULT_JOB: &str = "build";

/// A workflow of the plan and where it is written.
pub(crate) struct Resolved {
    pub(crate) spec: WorkflowSpec,
    pub(crate) region: Region,
}

/// What one file comes to.
#[derive(Default)]
pub(crate) struct Outcome {
    pub(crate) workflows: Vec<Resolved>,
    pub(crate) schedules: Vec<Schedule>,
    pub(crate) left_out: Vec<LeftOut>,
    pub(crate) let_in: Vec<LetIn>,
}

/// Makes the workflows of one file. Where something is wrong, which is told, they may lack jobs.
pub(crate) fn resolve(
    config: &Config,
    default_workflow: &str,
    trigger: Option<&TriggerValues>,
    budget: &mut Budget,
    problems: &mut Problems,
) -> Outcome {
    let jobs = config
        .jobs
        .iter()
        .map(|job| (job.name.text.as_str(), job))
        .collect();
    let mut resolver = Resolver {
        config,
        jobs,
        trigger,
        outcome: Outcome::default(),
        budget,
        problems,
    };
    match &config.workflows {
        Some(stanzas) => {
            for stanza in stanzas {
                resolver.workflow(stanza);
            }
        }
        None => resolver.default_workflow(default_workflow),
    }
    // With a fault in `workflows`, jobs may only seem unused.
    if !resolver.problems.has_errors() {
        resolver.tell_unused();
    }
    resolver.outcome
}

struct Resolver<'c, 'r> {
    config: &'c Config,
    jobs: HashMap<&'c str, &'c JobStanza>,
    trigger: Option<&'r TriggerValues>,
    outcome: Outcome,
    budget: &'r mut Budget,
    problems: &'r mut Problems,
}

impl<'c> Resolver<'c, '_> {
    fn default_workflow(&mut self, name: &str) {
        let job = match self.config.jobs.as_slice() {
            [job, ..] => job,
            [] => {
                if let Some(first) = self.config.first_of_several {
                    self.problems
                        .error(
                            first,
                            format!(
                                "there are several jobs, no `workflows`, and no job `{DEFAULT_JOB}`"
                            ),
                        )
                        .help("add `workflows:` to say which jobs run");
                }
                return;
            }
        };
        let Some(kind) = self.job_kind(&job.name) else {
            return;
        };
        if let Some(why) = filter::refusal(None, job.branches.as_ref(), self.trigger) {
            self.outcome.left_out.push(LeftOut {
                workflow: name.to_owned(),
                job: Some(job.name.text.clone()),
                why,
            });
            return;
        }
        let job = JobSpec {
            name: job.name.text.clone(),
            requires: Vec::new(),
            contexts: Vec::new(),
            kind,
        };
        self.outcome.workflows.push(Resolved {
            spec: WorkflowSpec::new(name, vec![job]),
            region: self.config.region,
        });
    }

    fn workflow(&mut self, stanza: &'c WorkflowStanza) {
        let names = Names::of(&stanza.jobs);
        let mut specs: Vec<Option<JobSpec>> = (0..stanza.jobs.len())
            .map(|place| self.job(stanza, place, &names))
            .collect();
        let requires: Vec<Vec<(usize, Requirement)>> = (0..stanza.jobs.len())
            .map(|place| self.requires(stanza, place, &names))
            .collect();
        let edges: Vec<Vec<usize>> = requires
            .iter()
            .map(|requires| requires.iter().map(|(required, _)| *required).collect())
            .collect();
        let order = graph::order(&edges);
        for cycle in &order.cycles {
            self.tell_cycle(stanza, cycle, &names);
        }
        for schedule in &stanza.schedules {
            self.outcome.schedules.push(Schedule {
                workflow: stanza.name.text.clone(),
                cron: schedule.cron.clone(),
                branches: BranchFilter {
                    only: texts(schedule.branches.only.as_ref()),
                    ignore: texts(schedule.branches.ignore.as_ref()),
                },
            });
        }
        if stanza.paths.is_some()
            && self
                .trigger
                .is_some_and(|trigger| trigger.changed_files.is_none())
        {
            self.problems
                .warning(
                    stanza.name.region,
                    format!(
                        "which files changed is not known: the `paths` of workflow `{}` leave nothing out",
                        stanza.name.text
                    ),
                )
                .help("it runs");
        }
        if let Some(why) = filter::workflow_refusal(stanza, self.trigger) {
            self.outcome.left_out.push(LeftOut {
                workflow: stanza.name.text.clone(),
                job: None,
                why,
            });
            return;
        }
        let mut requires: Vec<Option<Vec<(usize, Requirement)>>> =
            requires.into_iter().map(Some).collect();
        let mut dropped = vec![false; stanza.jobs.len()];
        let mut jobs = Vec::with_capacity(specs.len());
        for place in order.places {
            let required = requires[place].take().unwrap_or_default();
            let job_use = &stanza.jobs[place];
            let branches = self
                .jobs
                .get(job_use.job.text.as_str())
                .and_then(|job| job.branches.as_ref());
            let why =
                filter::refusal(Some(&job_use.filters), branches, self.trigger).or_else(|| {
                    // "CircleCI ignores them as dependencies for other jobs. However, if all dependencies
                    // of a job are filtered, that job doesn't execute either."
                    let all =
                        !required.is_empty() && required.iter().all(|(place, _)| dropped[*place]);
                    all.then(|| "nothing that it requires runs".to_owned())
                });
            if let Some(why) = why {
                dropped[place] = true;
                self.outcome.left_out.push(LeftOut {
                    workflow: stanza.name.text.clone(),
                    job: Some(names.name(place).to_owned()),
                    why,
                });
                continue;
            }
            if let Some(why) = filter::admission(&job_use.filters, branches, self.trigger) {
                self.outcome.let_in.push(LetIn {
                    workflow: stanza.name.text.clone(),
                    job: Some(names.name(place).to_owned()),
                    why,
                });
            }
            let Some(mut spec) = specs[place].take() else {
                continue;
            };
            spec.requires = required
                .into_iter()
                .filter(|(place, _)| !dropped[*place])
                .map(|(_, requirement)| requirement)
                .collect();
            jobs.push(spec);
        }
        if jobs.is_empty() && !stanza.jobs.is_empty() {
            return;
        }
        let mut spec = WorkflowSpec::new(&stanza.name.text, jobs);
        spec.max_auto_reruns = stanza.max_auto_reruns;
        spec.concurrency = stanza.concurrency.clone();
        spec.priority = stanza.priority;
        self.outcome.workflows.push(Resolved {
            spec,
            region: stanza.name.region,
        });
    }

    /// A job of a workflow, without what it requires; none if it can't be told what it does, which has
    /// been told.
    fn job(
        &mut self,
        workflow: &WorkflowStanza,
        place: usize,
        names: &Names<'_>,
    ) -> Option<JobSpec> {
        let job_use = &workflow.jobs[place];
        let name = &job_use.job;
        let mut kind = match &job_use.kind {
            Some(kind) => self
                .budget
                .take(kind, name.region, self.problems)
                .then(|| kind.clone()),
            None => {
                if !self.jobs.contains_key(name.text.as_str()) {
                    self.tell_unknown_job(workflow, name);
                    return None;
                }
                self.job_kind(name)
            }
        }?;
        if let JobKind::Build(build) = &mut kind {
            build.serial_group.clone_from(&job_use.serial_group);
        }
        Some(JobSpec {
            name: names.name(place).to_owned(),
            requires: Vec::new(),
            contexts: job_use.contexts.clone(),
            kind,
        })
    }

    /// A copy of a job's kind, as far as there is room for one.
    fn job_kind(&mut self, name: &Name) -> Option<JobKind> {
        let kind = self.jobs.get(name.text.as_str())?.kind.as_ref()?;
        self.budget
            .take(kind, name.region, self.problems)
            .then(|| kind.clone())
    }

    fn tell_unknown_job(&mut self, workflow: &WorkflowStanza, name: &Name) {
        let known = self.config.jobs.iter().map(|job| job.name.text.as_str());
        let nearest = self.problems.nearest(&name.text, known);
        self.problems
            .error(
                name.region,
                format!(
                    "workflow `{}` runs `{}`, which is not in `jobs`",
                    workflow.name.text, name.text
                ),
            )
            .suggest(nearest);
    }

    /// What the job at a place requires, each with its place.
    fn requires(
        &mut self,
        workflow: &WorkflowStanza,
        place: usize,
        names: &Names<'_>,
    ) -> Vec<(usize, Requirement)> {
        let job_use = &workflow.jobs[place];
        let mut requires: Vec<(usize, Requirement)> = Vec::new();
        let mut seen = HashSet::new();
        for stanza in &job_use.requires {
            let found = names.find(&stanza.job.text);
            let Some(required) = found.or_else(|| names.other(&stanza.job.text, place)) else {
                self.tell_unknown_requirement(names.name(place), &stanza.job, names);
                continue;
            };
            if !seen.insert(required) {
                self.problems
                    .warning(
                        stanza.job.region,
                        format!("`{}` is required twice", stanza.job.text),
                    )
                    .help("the first one counts");
                continue;
            }
            let outcomes: BTreeSet<_> = stanza.outcomes.iter().copied().collect();
            let job = names.name(required).to_owned();
            requires.push((required, Requirement { job, outcomes }));
        }
        let region = job_use.job.region;
        if !self.budget.take_requires(&requires, region, self.problems) {
            requires.clear();
        }
        requires
    }

    fn tell_unknown_requirement(&mut self, job: &str, required: &Name, names: &Names<'_>) {
        let text = &required.text;
        let repeated = names.repeated(text);
        if repeated > 0 {
            self.problems
                .error(
                    required.region,
                    format!(
                        "job `{job}` requires `{text}`, which is {repeated} times in this workflow"
                    ),
                )
                .help("give each of them a `name`, and require those");
            return;
        }
        // It may be of an orb that is not at hand, or its name could not be told; both are no news.
        let may_be_told = self.config.is_open
            || text.contains(UNKNOWN)
            || names.all().any(|name| name.contains(UNKNOWN));
        if may_be_told && self.problems.has_errors() {
            return;
        }
        let others = names.all().filter(|name| *name != job);
        let nearest = self.problems.nearest(text, others);
        self.problems
            .error(
                required.region,
                format!("job `{job}` requires `{text}`, which is not in this workflow"),
            )
            .suggest(nearest);
    }

    fn tell_cycle(&mut self, workflow: &WorkflowStanza, cycle: &[usize], names: &Names<'_>) {
        const SHOWN: usize = 10;
        let [first, ..] = cycle else {
            return;
        };
        let next = cycle.get(1).unwrap_or(first);
        let first_use = &workflow.jobs[*first];
        let region = first_use
            .requires
            .iter()
            .find(|stanza| names.find(&stanza.job.text) == Some(*next))
            .map_or(first_use.job.region, |stanza| stanza.job.region);
        let message = if cycle.len() == 1 {
            format!("job `{}` requires itself", names.name(*first))
        } else {
            let mut path: Vec<String> = cycle
                .iter()
                .take(SHOWN)
                .map(|place| format!("`{}`", names.name(*place)))
                .collect();
            if cycle.len() > SHOWN {
                path.push("…".to_owned());
            }
            path.push(format!("`{}`", names.name(*first)));
            format!(
                "{} jobs require each other in a circle: {}",
                cycle.len(),
                path.join(" → ")
            )
        };
        self.problems
            .error(region, message)
            .help("none of them could ever start");
    }

    fn tell_unused(&mut self) {
        for name in &self.config.unused {
            self.problems
                .warning(
                    name.region,
                    format!("job `{}` is in no workflow", name.text),
                )
                .help("it never runs");
        }
    }
}

fn texts(filters: Option<&Vec<Filter>>) -> Vec<String> {
    let filters = filters.into_iter().flatten();
    filters.map(|filter| filter.text.clone()).collect()
}
