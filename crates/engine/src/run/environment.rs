//! The variables that every job finds set, under CircleCI's names and our own.

use model::{PipelineId, RunsIn};
use store::Claim;

/// The environment of a job's first process, later ones winning. The order is CircleCI's: what is secret
/// (the project's, then each context's), built-ins, and what the config says for the image and for the job.
/// What it says for a step comes after all of them.
pub(crate) fn variables(
    claim: &Claim,
    public_url: Option<&str>,
    secret: Vec<(String, String)>,
) -> Vec<(String, String)> {
    let trigger = &claim.pipeline.trigger;
    let mut variables = secret;
    variables.push(("CI".into(), "true".into()));
    variables.push(("CIRCLECI".into(), "true".into()));
    variables.push(("POPSICLE".into(), "true".into()));
    // The code belongs to who laid it out; git would not touch it as another user of the container.
    variables.push(("GIT_CONFIG_COUNT".into(), "1".into()));
    variables.push(("GIT_CONFIG_KEY_0".into(), "safe.directory".into()));
    variables.push(("GIT_CONFIG_VALUE_0".into(), "*".into()));
    let mut both = |name: &str, value: &str| {
        variables.push((format!("CIRCLE_{name}"), value.to_owned()));
        variables.push((format!("POPSICLE_{name}"), value.to_owned()));
    };

    both("JOB", &claim.job.name);
    both("BUILD_NUM", &claim.job.id.to_string());
    both("WORKFLOW_NAME", &claim.job.workflow);
    both("PIPELINE_ID", &claim.pipeline.id.to_string());
    both("PIPELINE_NUM", &claim.pipeline.id.to_string());
    both("NODE_INDEX", "0");
    both("NODE_TOTAL", "1");
    let name = trigger.repo.as_str();
    let (owner, short) = name.rsplit_once('/').unwrap_or(("", name));
    both("PROJECT_USERNAME", owner);
    both("PROJECT_REPONAME", short);
    if let Some(commit) = &trigger.commit {
        both("SHA1", commit.as_str());
    }
    if let Some(git_ref) = &trigger.git_ref {
        match git_ref {
            model::GitRef::Branch(branch) => both("BRANCH", branch),
            model::GitRef::Tag(tag) => both("TAG", tag),
        }
    }
    if let Some(author) = &trigger.author {
        both("USERNAME", author);
    }
    if let Some(pull_request) = &trigger.pull_request {
        if let Some(url) = &pull_request.url {
            both("PULL_REQUEST", url);
            both("PULL_REQUESTS", url);
        }
        // CircleCI sets these for forks alone: that one of them is set is how scripts know a fork.
        if pull_request.from_fork {
            both("PR_NUMBER", &pull_request.number.to_string());
        }
        if let Some((owner, short)) = pull_request
            .fork
            .as_ref()
            .and_then(|fork| fork.as_str().rsplit_once('/'))
        {
            both("PR_USERNAME", owner);
            both("PR_REPONAME", short);
        }
    }
    match &trigger.origin {
        model::Origin::Git { url } => both("REPOSITORY_URL", url),
        model::Origin::Folder { .. } => {}
    }
    if let Some(base) = public_url {
        both("BUILD_URL", &job_url(base, claim.pipeline.id, claim));
    }
    if let Some(build) = claim.spec.build() {
        both("WORKING_DIRECTORY", &build.working_directory);
        if let RunsIn::Containers(images) = &build.runs_in
            && let Some(image) = images.first()
        {
            variables.extend(image.environment.iter().cloned());
        }
        variables.extend(build.environment.iter().cloned());
    }
    variables
}

fn job_url(base: &str, pipeline: PipelineId, claim: &Claim) -> String {
    format!("{base}/ui/pipelines/{pipeline}/jobs/{}", claim.job.id)
}
