//! `popsicle config explain`: why a job runs or does not, for a branch, a tag, parameters.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};

use ::config::{Compiled, LeftOut, LetIn};
use clap::Args;
use model::{JobKind, JobSpec, Plan, WorkflowSpec};
use serde::Serialize;

use super::graph::requirements;
use super::project::{ConfigArgs, ContextArgs, Project, Workflows, refuse};
use crate::error::{Exit, Failure};
use crate::output::{Output, clean};
use crate::settings::Settings;

/// Which job of which config.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// Name of the job
    job: String,
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What is told of a job, once for each workflow that has it.
#[derive(Debug, Serialize)]
struct Verdict {
    workflow: String,
    job: String,
    runs: bool,
    /// When it starts; none if it does not run.
    starts: Option<String>,
    /// What lets it in, or keeps it out.
    why: Vec<String>,
    /// What it requires, and what that requires: each once, the nearest first.
    required: Vec<Required>,
}

#[derive(Debug, Serialize)]
struct Required {
    job: String,
    runs: bool,
    /// When it starts, or why it does not.
    how: String,
}

/// Carries out the command.
pub fn run(args: &ExplainArgs, settings: &Settings, out: &mut Output) -> Result<Exit, Failure> {
    let ConfigArgs { path, context, .. } = &args.config;
    let project = Project::open(path, context, settings)?;
    let (compiled, _) = project.compile(Workflows::Triggered);
    let Some(plan) = &compiled.plan else {
        return Ok(refuse(&compiled.diagnostics, out));
    };
    // What a workflow that does not run would run may be at fault; the others are known all the same.
    let whole = project.compile(Workflows::All).0.plan;
    let whole = whole.as_ref().unwrap_or(plan);
    let workflows = whole.workflows.iter().map(|workflow| Explained {
        is_asked: context.branch.is_some() || context.tag.is_some(),
        ..Explained::new(workflow, &compiled, plan)
    });
    let verdicts: Vec<Verdict> = workflows
        .filter_map(|workflow| workflow.verdict(&args.job))
        .collect();
    if verdicts.is_empty() {
        let known: BTreeSet<&str> = whole.jobs().map(|(_, job)| job.name.as_str()).collect();
        let failure = Failure::usage(format_args!("no workflow has a job `{}`", clean(&args.job)));
        return Err(failure.hint(suggestion(&args.job, &known)));
    }
    if args.json {
        out.json(&verdicts)?;
        return Ok(Exit::Success);
    }
    out.say(clean(&asked(context)));
    for verdict in &verdicts {
        tell(verdict, out)?;
    }
    Ok(Exit::Success)
}

fn asked(context: &ContextArgs) -> String {
    match (&context.branch, &context.tag) {
        (Some(branch), _) => format!("for the branch `{branch}`:"),
        (None, Some(tag)) => format!("for the tag `{tag}`:"),
        (None, None) => {
            "for any branch, without a look at filters (`--branch` and `--tag` ask for one):"
                .to_owned()
        }
    }
}

fn tell(verdict: &Verdict, out: &mut Output) -> Result<(), Failure> {
    let Verdict { workflow, job, .. } = verdict;
    let how = match &verdict.starts {
        Some(start) => format!("runs {start}"),
        None => "does not run".to_owned(),
    };
    let head = format!("workflow `{workflow}`: job `{job}` {how}");
    out.line(clean(&head))?;
    for why in &verdict.why {
        out.line(clean(&format!("  {why}")))?;
    }
    for Required { job, runs, how } in &verdict.required {
        let line = if *runs {
            format!("  `{job}` runs {how}")
        } else {
            format!("  `{job}` does not run: {how}")
        };
        out.line(clean(&line))?;
    }
    Ok(())
}

/// A workflow with all that is in it, beside what of it runs for one trigger.
struct Explained<'p> {
    workflow: &'p WorkflowSpec,
    /// Whether a branch or a tag was asked for.
    is_asked: bool,
    all: HashMap<&'p str, &'p JobSpec>,
    running: HashMap<&'p str, &'p JobSpec>,
    left_out: HashMap<&'p str, &'p str>,
    /// Why none of it runs.
    refused: Option<&'p str>,
    let_in: Vec<&'p LetIn>,
}

impl<'p> Explained<'p> {
    fn new(workflow: &'p WorkflowSpec, compiled: &'p Compiled, plan: &'p Plan) -> Self {
        let by_name = |workflow: &'p WorkflowSpec| {
            let jobs = workflow.jobs.iter();
            jobs.map(|job| (job.name.as_str(), job)).collect()
        };
        let mut workflows = plan.workflows.iter();
        let running = workflows.find(|running| running.name == workflow.name);
        let left_out = compiled.left_out.iter();
        let left_out: Vec<&LeftOut> = left_out
            .filter(|left| left.workflow == workflow.name)
            .collect();
        let let_in = compiled.let_in.iter();
        Self {
            workflow,
            is_asked: false,
            all: by_name(workflow),
            running: running.map(by_name).unwrap_or_default(),
            refused: left_out
                .iter()
                .find(|left| left.job.is_none())
                .map(|left| left.why.as_str()),
            left_out: left_out
                .iter()
                .filter_map(|left| Some((left.job.as_deref()?, left.why.as_str())))
                .collect(),
            let_in: let_in
                .filter(|let_in| let_in.workflow == workflow.name)
                .collect(),
        }
    }

    /// What there is to say of a job of it; none if it has no such job.
    fn verdict(&self, name: &str) -> Option<Verdict> {
        let job = self.all.get(name)?;
        let running = self.running.get(name);
        Some(Verdict {
            workflow: self.workflow.name.clone(),
            job: name.to_owned(),
            runs: running.is_some(),
            starts: running.map(|running| start(running)),
            why: match (self.refused, running) {
                (Some(why), _) => vec![format!("the workflow does not run: {why}")],
                (None, None) => vec![self.refusal(name)],
                (None, Some(_)) => self.admissions(name),
            },
            required: match self.refused {
                Some(_) => Vec::new(),
                None => self.required(job),
            },
        })
    }

    /// What lets a job in that runs.
    fn admissions(&self, job: &str) -> Vec<String> {
        let mut why: Vec<String> = Vec::new();
        for LetIn {
            job: of, why: how, ..
        } in &self.let_in
        {
            match of {
                None => why.push(format!("the workflow runs: {how}")),
                Some(other) if other == job => why.push(how.clone()),
                Some(_) => {}
            }
        }
        if why.is_empty() {
            let nothing = if self.is_asked {
                "no condition and no filter stands before it"
            } else {
                "no condition stands before its workflow"
            };
            why.push(nothing.to_owned());
        }
        why
    }

    /// Why a job of a workflow that runs does not.
    fn refusal(&self, job: &str) -> String {
        match self.left_out.get(job) {
            Some(why) => (*why).to_owned(),
            // What a condition makes of it: a job by another name, of a matrix with other values.
            None => "it is not there with these values".to_owned(),
        }
    }

    /// What a job requires, and what that requires.
    fn required(&self, job: &'p JobSpec) -> Vec<Required> {
        let mut seen: HashSet<&str> = HashSet::from([job.name.as_str()]);
        let mut ahead = VecDeque::from([job]);
        let mut required = Vec::new();
        while let Some(next) = ahead.pop_front() {
            for requirement in &next.requires {
                let name = requirement.job.as_str();
                if !seen.insert(name) {
                    continue;
                }
                let running = self.running.get(name);
                required.push(Required {
                    job: name.to_owned(),
                    runs: running.is_some(),
                    how: match running {
                        Some(running) => start(running),
                        None => self.refusal(name),
                    },
                });
                ahead.extend(self.all.get(name));
            }
        }
        required
    }
}

/// When a job that runs starts.
fn start(job: &JobSpec) -> String {
    let required = requirements(job);
    let mut text = if required.is_empty() {
        "at once".to_owned()
    } else {
        format!("after {required}")
    };
    match job.kind {
        JobKind::Approval => text.push_str(", and waits for an approval"),
        JobKind::Build(_) | JobKind::NoOp => {}
    }
    text
}

/// What was likely meant, or what there is.
fn suggestion(wanted: &str, known: &BTreeSet<&str>) -> String {
    const ALIKE: f64 = 0.8;
    const SHOWN: usize = 20;
    let alike = known
        .iter()
        .map(|name| (strsim::jaro_winkler(wanted, name), name))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|(one, _), (other, _)| one.total_cmp(other));
    if let Some((_, name)) = alike {
        return format!("did you mean `{}`?", clean(name));
    }
    if known.is_empty() {
        return "there are no jobs".to_owned();
    }
    let shown = known.iter().take(SHOWN).map(|name| format!("`{name}`"));
    let mut names = shown.collect::<Vec<_>>().join(", ");
    if known.len() > SHOWN {
        names.push_str(&format!(" and {} more", known.len() - SHOWN));
    }
    format!("there is {}", clean(&names))
}
