//! Stanzas to workflows of the plan: every name is found, every job has its own, and each comes after
//! what it requires.

mod graph;
mod names;
mod size;

use std::collections::{BTreeSet, HashMap, HashSet};

use model::{JobKind, JobSpec, Requirement, WorkflowSpec};

use crate::diagnostic::Problems;
use crate::read::Region;
use crate::schema::{Config, JobStanza, JobUse, Name, WorkflowStanza};
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

/// Makes the workflows of one file. Where something is wrong, which is told, they may lack jobs.
pub(crate) fn resolve(
    config: &Config,
    default_workflow: &str,
    budget: &mut Budget,
    problems: &mut Problems<'_>,
) -> Vec<Resolved> {
    let jobs = config
        .jobs
        .iter()
        .map(|job| (job.name.text.as_str(), job))
        .collect();
    let mut resolver = Resolver {
        config,
        jobs,
        used: HashSet::new(),
        budget,
        problems,
    };
    let workflows = match &config.workflows {
        Some(stanzas) => stanzas
            .iter()
            .map(|stanza| resolver.workflow(stanza))
            .collect(),
        None => resolver
            .default_workflow(default_workflow)
            .into_iter()
            .collect(),
    };
    // With a fault in `workflows`, jobs may only seem unused.
    if !resolver.problems.has_errors() {
        resolver.tell_unused();
    }
    workflows
}

struct Resolver<'c, 'r, 'p> {
    config: &'c Config,
    jobs: HashMap<&'c str, &'c JobStanza>,
    used: HashSet<&'c str>,
    budget: &'r mut Budget,
    problems: &'r mut Problems<'p>,
}

impl<'c> Resolver<'c, '_, '_> {
    fn default_workflow(&mut self, name: &str) -> Option<Resolved> {
        let job = match self.config.jobs.as_slice() {
            // Told by the schema.
            [] => return None,
            [only] => only,
            [first, ..] => match self.jobs.get(DEFAULT_JOB) {
                Some(job) => *job,
                None => {
                    self.problems
                        .error(
                            first.name.region,
                            format!(
                                "there are several jobs, no `workflows`, and no job `{DEFAULT_JOB}`"
                            ),
                        )
                        .help("add `workflows:` to say which jobs run");
                    return None;
                }
            },
        };
        let kind = self.job_kind(&job.name)?;
        Some(Resolved {
            spec: WorkflowSpec::new(
                name,
                vec![JobSpec {
                    name: job.name.text.clone(),
                    requires: Vec::new(),
                    contexts: Vec::new(),
                    kind,
                }],
            ),
            region: self.config.region,
        })
    }

    fn workflow(&mut self, stanza: &'c WorkflowStanza) -> Resolved {
        let names = Names::of(&stanza.jobs);
        let mut kinds: Vec<Option<JobKind>> = stanza
            .jobs
            .iter()
            .map(|job_use| self.kind(stanza, job_use))
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
        let mut requires: Vec<Vec<Requirement>> = requires
            .into_iter()
            .map(|requires| requires.into_iter().map(|(_, required)| required).collect())
            .collect();
        let jobs = order
            .places
            .into_iter()
            .filter_map(|place| {
                Some(JobSpec {
                    name: names.name(place).to_owned(),
                    requires: std::mem::take(&mut requires[place]),
                    contexts: Vec::new(),
                    kind: kinds[place].take()?,
                })
            })
            .collect();
        Resolved {
            spec: WorkflowSpec::new(&stanza.name.text, jobs),
            region: stanza.name.region,
        }
    }

    /// What a job of a workflow does; none if that can't be told, which has been told.
    fn kind(&mut self, workflow: &WorkflowStanza, job_use: &'c JobUse) -> Option<JobKind> {
        let name = &job_use.job;
        if job_use.is_approval {
            self.check_arguments(job_use, "an approval");
            let kind = JobKind::Approval;
            return self
                .budget
                .take(&kind, name.region, self.problems)
                .then_some(kind);
        }
        let Some(job) = self.jobs.get(name.text.as_str()).copied() else {
            self.tell_unknown_job(workflow, name);
            return None;
        };
        if !job.takes_arguments {
            self.check_arguments(job_use, "a job without parameters");
        }
        self.job_kind(name)
    }

    /// A copy of a job's kind, as far as there is room for one.
    fn job_kind(&mut self, name: &'c Name) -> Option<JobKind> {
        let (key, job) = self.jobs.get_key_value(name.text.as_str())?;
        self.used.insert(key);
        let kind = job.kind.as_ref()?;
        self.budget
            .take(kind, name.region, self.problems)
            .then(|| kind.clone())
    }

    fn check_arguments(&mut self, job_use: &JobUse, what: &str) {
        for argument in &job_use.arguments {
            let known = JobUse::known_keys().iter().copied();
            let nearest = self.problems.nearest(&argument.text, known);
            self.problems
                .error(
                    argument.region,
                    format!("`{}` means nothing for {what}", argument.text),
                )
                .suggest(nearest);
        }
    }

    fn tell_unknown_job(&mut self, workflow: &WorkflowStanza, name: &Name) {
        // Orbs and expressions are told as unsupported; what depends on them is no news.
        let is_from_orb = self.config.has_orbs && name.text.contains('/');
        let may_be_told = is_from_orb || name.text.contains("<<");
        if may_be_told && self.problems.has_errors() {
            return;
        }
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
            let Some(required) = names.find(&stanza.job.text) else {
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
        let may_be_told = names.are_open() || text.contains("<<");
        if may_be_told && self.problems.has_errors() {
            return;
        }
        let nearest = self.problems.nearest(text, names.all());
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
        for job in &self.config.jobs {
            if !self.used.contains(job.name.text.as_str()) {
                self.problems
                    .warning(
                        job.name.region,
                        format!("job `{}` is in no workflow", job.name.text),
                    )
                    .help("it never runs");
            }
        }
    }
}
