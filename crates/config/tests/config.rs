//! What the compiler says to configs good and bad, in one binary.

#[path = "suite/bad_input.rs"]
mod bad_input;
#[path = "suite/conformance.rs"]
mod conformance;
#[path = "suite/corpus.rs"]
mod corpus;
#[path = "suite/expansion.rs"]
mod expansion;
#[path = "suite/generated/mod.rs"]
mod generated;
#[path = "suite/groups.rs"]
mod groups;
#[path = "suite/language.rs"]
mod language;
#[path = "suite/limits.rs"]
mod limits;
#[path = "suite/looked_over.rs"]
mod looked_over;
#[path = "suite/never_panics.rs"]
mod never_panics;
#[path = "suite/one_fault.rs"]
mod one_fault;
#[path = "suite/outcomes.rs"]
mod outcomes;
#[path = "suite/packing.rs"]
mod packing;
#[path = "suite/places.rs"]
mod places;
#[path = "suite/properties.rs"]
mod properties;
#[path = "suite/reuse.rs"]
mod reuse;
#[path = "suite/versions.rs"]
mod versions;
#[path = "suite/warnings.rs"]
mod warnings;
#[path = "suite/yaml.rs"]
mod yaml;

use config::{Compiled, Inputs, SourceFile, compile};
use model::{JobKind, JobSpec, Plan, RunsIn, StepAction};

/// Compiles one file, which people know as `ci.yml`.
fn compile_one(text: impl AsRef<[u8]>) -> Compiled {
    compile(&[file("ci.yml", text)], &Inputs::default())
}

fn file(path: &str, text: impl AsRef<[u8]>) -> SourceFile {
    SourceFile {
        path: path.into(),
        text: text.as_ref().to_vec(),
    }
}

/// What a person reads.
fn told(compiled: &Compiled) -> String {
    let told: Vec<String> = compiled
        .diagnostics
        .iter()
        .map(ToString::to_string)
        .collect();
    told.join("\n\n")
}

/// What a person reads about one file, which must not give a plan.
fn refusal(text: impl AsRef<[u8]>) -> String {
    let compiled = compile_one(text);
    assert_eq!(compiled.plan, None);
    assert!(compiled.errors().next().is_some());
    told(&compiled)
}

/// The plan of one file that nothing is wrong with.
fn plan(text: &str) -> Plan {
    let compiled = compile_one(text);
    assert_eq!(told(&compiled), "");
    compiled
        .plan
        .expect("a config without diagnostics has a plan")
}

/// A file with these steps in its only job.
fn with_steps(steps: &str) -> String {
    format!("version: 2.1\njobs:\n  build:\n    machine: true\n    steps:\n{steps}")
}

/// A plan, a line for each thing in it.
fn outline(plan: &Plan) -> String {
    let mut lines = Vec::new();
    for workflow in &plan.workflows {
        lines.push(format!("{}:", workflow.name));
        lines.extend(workflow.jobs.iter().map(outline_job));
    }
    lines.join("\n")
}

fn outline_job(job: &JobSpec) -> String {
    let requires: Vec<String> = job
        .requires
        .iter()
        .map(|required| format!("{} {:?}", required.job, required.outcomes))
        .collect();
    let needs = if requires.is_empty() {
        String::new()
    } else {
        format!(" after {}", requires.join(", "))
    };
    let build = match &job.kind {
        JobKind::Build(build) => build,
        JobKind::Approval => return format!("  {} (approval){needs}", job.name),
        JobKind::NoOp => return format!("  {} (no-op){needs}", job.name),
    };
    let place = match &build.runs_in {
        RunsIn::Machine => "machine".to_owned(),
        RunsIn::Foreign { system, image } => format!("{} {image}", system.as_str()),
        RunsIn::Containers(images) => images
            .iter()
            .map(|image| image.image.as_str())
            .collect::<Vec<_>>()
            .join(" + "),
    };
    let steps: Vec<String> = build
        .steps
        .iter()
        .map(|step| {
            if let StepAction::Run(run) = &step.action {
                return format!("{:?}", run.command);
            }
            if let StepAction::Checkout { path } = &step.action {
                let to = path.as_ref().map(|path| format!(" to {path}"));
                return format!("checkout{}", to.unwrap_or_default());
            }
            format!("{:?}", step.action)
        })
        .collect();
    format!("  {} on {place}{needs}: {}", job.name, steps.join(", "))
}
