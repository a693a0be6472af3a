//! `popsicle list`: the most recent pipelines, a line each.

use std::fmt::Write;

use api::{Limit, Pipeline, PipelineQuery};
use clap::Args;
use model::{RepoName, Status, TriggerKind};

use super::connect;
use crate::error::{Exit, Failure};
use crate::output::{Output, clean, painted};
use crate::settings::Settings;

/// Which pipelines.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Only those of this repository
    #[arg(long, value_name = "OWNER/NAME")]
    repo: Option<RepoName>,
    /// Only those of this branch
    #[arg(long, value_name = "NAME")]
    branch: Option<String>,
    /// Only those that are this far: queued, running, success, failure …
    #[arg(long, value_name = "STATUS", value_parser = status)]
    status: Option<Status>,
    /// Only those with this cause: push, tag, pull_request, api, rerun, git_push
    #[arg(long, value_name = "TRIGGER")]
    trigger: Option<TriggerKind>,
    /// How many at most
    #[arg(long, short = 'n', value_name = "N", default_value_t = 20,
        value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Carries out the command.
pub async fn run(args: ListArgs, settings: &Settings, out: &mut Output) -> Result<Exit, Failure> {
    let client = connect(settings)?;
    let mut query = PipelineQuery {
        repo: args.repo,
        branch: args.branch,
        status: args.status,
        trigger: args.trigger,
        ..PipelineQuery::default()
    };
    let wanted = usize::try_from(args.limit).unwrap_or(usize::MAX);
    let mut pipelines: Vec<Pipeline> = Vec::new();
    loop {
        let missing = u16::try_from(wanted - pipelines.len()).unwrap_or(u16::MAX);
        query.limit = Limit::new(missing.min(Limit::MAX.get()));
        let page = client.pipelines(&query).await?;
        let is_empty = page.items.is_empty();
        pipelines.extend(page.items);
        pipelines.truncate(wanted);
        query.cursor = page.next;
        if pipelines.len() == wanted || query.cursor.is_none() || is_empty {
            break;
        }
    }
    if args.json {
        out.json(&pipelines)?;
        return Ok(Exit::Success);
    }
    if pipelines.is_empty() {
        out.say("no pipelines");
    }
    for pipeline in &pipelines {
        out.line(line(pipeline))?;
    }
    Ok(Exit::Success)
}

/// One line on a pipeline, for example `#5 [octo/repo @ a1b2c3d on main] status: SUCCESS (started
/// 2024-06-01T12:00:00Z finished 2024-06-01T12:03:40Z)`.
pub fn line(pipeline: &Pipeline) -> String {
    let word = pipeline.status.as_str().to_uppercase();
    format!(
        "#{} [{}] status: {}{}",
        pipeline.id,
        source(pipeline),
        painted(pipeline.status, &word),
        times(pipeline)
    )
}

/// What the pipeline is of: `octo/repo @ a1b2c3d on main`.
pub fn source(pipeline: &Pipeline) -> String {
    let mut text = clean(pipeline.repo.as_str()).into_owned();
    if let Some(commit) = &pipeline.commit_sha {
        let _ = write!(text, " @ {}", commit.short());
    }
    if let Some(name) = pipeline.branch.as_ref().or(pipeline.tag.as_ref()) {
        let _ = write!(text, " on {}", clean(name));
    }
    text
}

/// In whole seconds, as people read them.
fn times(pipeline: &Pipeline) -> String {
    let started = pipeline.start_time.map(|at| at.to_seconds());
    let finished = pipeline.end_time.map(|at| at.to_seconds());
    match (started, finished) {
        (Some(started), Some(finished)) => format!(" (started {started} finished {finished})"),
        (Some(started), None) => format!(" (started {started})"),
        (None, Some(finished)) => format!(" (finished {finished})"),
        (None, None) => String::new(),
    }
}

/// FMG's clients shout.
fn status(text: &str) -> Result<Status, model::InvalidName> {
    text.to_lowercase().parse()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pipeline(changes: &serde_json::Value) -> Pipeline {
        let mut json = serde_json::json!({
            "id": 5, "repo": "octo/repo",
            "commit_sha": "a1b2c3d4e5a1b2c3d4e5a1b2c3d4e5a1b2c3d4e5",
            "branch": "main", "tag": null, "status": "success", "trigger": "push",
            "author": null, "message": null, "created_at": "2024-06-01T11:59:59Z",
            "start_time": "2024-06-01T12:00:00.123Z", "end_time": "2024-06-01T12:03:40.999Z",
            "reason": null, "pull_request": null, "rerun_of": null,
        });
        for (key, value) in changes.as_object().unwrap() {
            json[key] = value.clone();
        }
        serde_json::from_value(json).unwrap()
    }

    fn plain(changes: &serde_json::Value) -> String {
        anstream::adapter::strip_str(&line(&pipeline(changes))).to_string()
    }

    #[test]
    fn lines_are_those_of_fmg() {
        assert_eq!(
            plain(&serde_json::json!({})),
            "#5 [octo/repo @ a1b2c3d on main] status: SUCCESS (started 2024-06-01T12:00:00Z finished 2024-06-01T12:03:40Z)"
        );
        assert_eq!(
            plain(&serde_json::json!({
                "id": 4, "branch": "feature/login", "status": "running", "end_time": null
            })),
            "#4 [octo/repo @ a1b2c3d on feature/login] status: RUNNING (started 2024-06-01T12:00:00Z)"
        );
    }

    #[test]
    fn what_is_unknown_is_left_out_and_what_is_wild_is_tamed() {
        assert_eq!(
            plain(&serde_json::json!({
                "commit_sha": null, "branch": null, "status": "on_hold",
                "start_time": null, "end_time": null
            })),
            "#5 [octo/repo] status: ON_HOLD"
        );
        let wild = plain(&serde_json::json!({"branch": "a\u{1b}]0;x\u{7}\nb"}));
        assert!(wild.contains("on a\u{fffd}]0;x\u{fffd} b]"), "{wild}");
    }
}
