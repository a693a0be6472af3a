//! What a plan can ask for and this engine can't do yet. A job that would do something else than its
//! author meant is refused when its turn comes; what only makes it slower or keeps less is left out, and
//! said.

use crate::run::resources;
use model::{ImageAuth, ImageSpec, JobKind, JobSpec, Plan, RunsIn, StepAction};

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
            let has_own =
                |image: &ImageSpec| !image.entrypoint.is_empty() || !image.command.is_empty();
            if images.first().is_some_and(has_own) {
                tell(
                    "`entrypoint` and `command` of a job's first image are not run: its first process runs the steps",
                );
            }
            let is_aws = |image: &ImageSpec| {
                matches!(
                    image.auth,
                    Some(ImageAuth::AwsKey { .. } | ImageAuth::AwsRole { .. })
                )
            };
            if images.iter().any(is_aws) {
                tell(
                    "`aws_auth` is not supported: such an image is pulled with what this machine knows of its registry, as for `docker pull`",
                );
            }
        }
        if build.parallelism > 1 {
            tell("`parallelism` is not supported yet: the job runs once");
        }
        if let Some(class) = resources::unknown_class(build) {
            tell(&format!(
                "`resource_class: {class}` has no size here: its jobs run on this server, and get what it gives every job"
            ));
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
            entrypoint: vec!["x".into()],
            auth: Some(ImageAuth::AwsRole {
                role_arn: "x".into(),
            }),
            ..ImageSpec::default()
        };
        let mut build = BuildSpec::new(RunsIn::Containers(vec![image.clone(), image]), Vec::new());
        build.resource_class = Some("acme/fast".into());
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
            "`aws_auth`",
            "`entrypoint`",
            "`parallelism`",
            "`resource_class: acme/fast`",
        ] {
            let times = told.iter().filter(|line| line.contains(word)).count();
            assert_eq!(times, 1, "{word}: {told:?}");
        }
    }
}
