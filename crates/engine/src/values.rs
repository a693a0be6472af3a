//! What a trigger says to a config: the values of `pipeline.`, as CircleCI's reference names them, and what
//! its filters are held against.

use std::collections::BTreeMap;

use config::TriggerValues;
use model::{ForgeKind, GitRef, Origin, ParameterValue, PipelineId, Trigger, TriggerKind};

/// What is known of a pipeline's trigger, and of the files that it changed.
pub fn trigger_values(
    id: PipelineId,
    trigger: &Trigger,
    changed_files: Option<Vec<String>>,
) -> TriggerValues {
    let mut values: BTreeMap<String, ParameterValue> = BTreeMap::new();
    let mut put = |name: &str, value: ParameterValue| {
        values.insert(name.to_owned(), value);
    };
    put("id", id.to_string().into());
    put("number", ParameterValue::Integer(id.0));
    put("in_setup", ParameterValue::Boolean(false));
    put("trigger_source", source(trigger.kind).into());
    let (owner, name) = trigger
        .repo
        .as_str()
        .rsplit_once('/')
        .unwrap_or(("", trigger.repo.as_str()));
    put("project.type", project_type(trigger).into());
    put("project.name", name.into());
    put(
        "project.slug",
        format!("{}/{}", project_type(trigger), trigger.repo).into(),
    );
    put("git.repo_name", name.into());
    put("git.repo_owner", owner.into());
    if let Origin::Git { url } = &trigger.origin {
        put("project.git_url", url.as_str().into());
        put("git.repo_url", url.as_str().into());
    }
    match &trigger.git_ref {
        Some(GitRef::Branch(branch)) => put("git.branch", branch.as_str().into()),
        Some(GitRef::Tag(tag)) => put("git.tag", tag.as_str().into()),
        None => {}
    }
    if let Some(commit) = &trigger.commit {
        put("git.revision", commit.as_str().into());
    }
    if let Some(base) = &trigger.base {
        put("git.base_revision", base.as_str().into());
    }
    if let Some(author) = &trigger.author {
        put("git.commit.author_name", author.as_str().into());
        put("git.commit.author_login", author.as_str().into());
    }
    if let Some(message) = &trigger.message {
        let (subject, body) = message.split_once('\n').unwrap_or((message, ""));
        put("git.commit.subject", subject.into());
        put("git.commit.body", body.trim_start_matches('\n').into());
    }
    event(trigger, &mut put);
    TriggerValues {
        values,
        git_ref: trigger.git_ref.clone(),
        scheduled: None,
        changed_files,
    }
}

/// CircleCI's word for how a pipeline came about.
fn source(kind: TriggerKind) -> &'static str {
    match kind {
        TriggerKind::Push | TriggerKind::Tag | TriggerKind::PullRequest | TriggerKind::GitPush => {
            "webhook"
        }
        TriggerKind::Api | TriggerKind::Rerun | TriggerKind::Local => "api",
    }
}

/// CircleCI's word for where the code is.
fn project_type(trigger: &Trigger) -> &'static str {
    match trigger.forge {
        Some(ForgeKind::Github) => "github",
        Some(ForgeKind::Popsicle) | None => "popsicle",
    }
}

/// What the forge's event says, in the forge's own words.
fn event(trigger: &Trigger, put: &mut impl FnMut(&str, ParameterValue)) {
    match trigger.kind {
        TriggerKind::Push | TriggerKind::Tag | TriggerKind::GitPush => {
            put("event.name", "push".into());
        }
        TriggerKind::PullRequest => put("event.name", "pull_request".into()),
        TriggerKind::Api | TriggerKind::Rerun | TriggerKind::Local => {}
    }
    if let Some(pull_request) = &trigger.pull_request {
        let number = i64::try_from(pull_request.number).unwrap_or(i64::MAX);
        let prefix = "event.github.pull_request";
        put(&format!("{prefix}.number"), ParameterValue::Integer(number));
        put(
            &format!("{prefix}.base.ref"),
            pull_request.base_branch.as_str().into(),
        );
        put(
            &format!("{prefix}.head.repo.fork"),
            ParameterValue::Boolean(pull_request.from_fork),
        );
        if let Some(url) = &pull_request.url {
            put(&format!("{prefix}.html_url"), url.as_str().into());
        }
    }
}
