//! What a plan can ask for and this engine can't do yet. A job that would do something else than its
//! author meant is refused when its turn comes; what only makes it slower or keeps less is left out, and
//! said.

use model::{ImageSpec, JobKind, JobSpec, Plan, RunsIn, StepAction};

/// Why a job can't be run here at all, for people; none if it can.
pub(crate) fn refusal(spec: &JobSpec) -> Option<String> {
    let JobKind::Build(build) = &spec.kind else {
        return None;
    };
    if let RunsIn::Foreign { system, image } = &build.runs_in {
        let label = system.as_str();
        return Some(format!(
            "the job needs a runner with the label `{label}` (for `{image}`), and there is none"
        ));
    }
    build.steps.iter().find_map(|step| match &step.action {
        StepAction::AddSshKeys { .. } => Some(not_yet("add_ssh_keys")),
        StepAction::SetupRemoteDocker { .. } => Some(not_yet("setup_remote_docker")),
        StepAction::Run(_)
        | StepAction::Checkout { .. }
        | StepAction::RestoreCache { .. }
        | StepAction::SaveCache { .. }
        | StepAction::StoreArtifacts { .. }
        | StepAction::StoreTestResults { .. }
        | StepAction::PersistToWorkspace { .. }
        | StepAction::AttachWorkspace { .. } => None,
    })
}

fn not_yet(step: &str) -> String {
    format!("the step `{step}` is not supported yet")
}

/// What of a plan is left out, a line each, for people.
pub(crate) fn warnings(plan: &Plan) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut tell = |line: &str| {
        let line = format!("warning: {line}");
        if !lines.contains(&line) {
            lines.push(line);
        }
    };
    if plan.setup {
        tell("a setup config can't go on with another config yet: only its own jobs run");
    }
    if !plan.schedules.is_empty() {
        tell("schedules are not supported yet: nothing is run by the clock");
    }
    for (_, job) in plan.jobs() {
        if let Some(why) = refusal(job) {
            tell(&format!("job `{}` will fail: {why}", job.name));
        }
        let Some(build) = job.build() else { continue };
        if let RunsIn::Containers(images) = &build.runs_in {
            if images.len() > 1 {
                tell("service containers are not started yet: only the first image is");
            }
            let has_options = |image: &ImageSpec| {
                image.name.is_some() || !image.entrypoint.is_empty() || !image.command.is_empty()
            };
            if images.first().is_some_and(has_options) {
                tell(
                    "`name`, `entrypoint` and `command` of an image are not supported yet: the steps run in it all the same",
                );
            }
            if images.iter().any(|image| image.auth.is_some()) {
                tell("`auth` of an image is not supported yet: it is pulled without credentials");
            }
        }
        if build.parallelism > 1 {
            tell("`parallelism` is not supported yet: the job runs once");
        }
        if build.resource_class.is_some() {
            tell("`resource_class` is not supported yet: the job gets what the runner gives");
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use model::{BuildSpec, JobSpec, WorkflowSpec};

    use super::*;

    #[test]
    fn whatever_is_left_out_is_said_once() {
        let image = ImageSpec {
            image: "x".into(),
            name: Some("db".into()),
            ..ImageSpec::default()
        };
        let mut build = BuildSpec::new(RunsIn::Containers(vec![image.clone(), image]), Vec::new());
        build.resource_class = Some("large".into());
        build.parallelism = 2;
        let job = |name: &str| JobSpec {
            name: name.into(),
            requires: Vec::new(),
            contexts: Vec::new(),
            kind: JobKind::Build(Box::new(build.clone())),
        };
        let mut plan = Plan::from(vec![WorkflowSpec::new("ci", vec![job("a"), job("b")])]);
        plan.setup = true;
        let told = warnings(&plan);
        for word in [
            "setup",
            "service",
            "`entrypoint`",
            "`parallelism`",
            "`resource_class`",
        ] {
            let times = told.iter().filter(|line| line.contains(word)).count();
            assert_eq!(times, 1, "{word}: {told:?}");
        }
    }
}
