//! `popsicle run`: a directory's pipeline, here and now, through the engine and the executors that the
//! server has, with a store that lives as long as the command.

mod show;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::{Engine, EngineSettings, Selection, SystemWorld};
use model::{CancelReason, EventId, GitRef, Origin, PipelineId, RepoName, Trigger, TriggerKind};
use store::{Logs, Store};
use tempfile::TempDir;
use tokio::sync::broadcast::error::RecvError;

use crate::cli::RunArgs;
use crate::error::{Exit, Failure};
use crate::output::Output;
use crate::settings::Settings;
use crate::wiring;
use show::Show;

/// How many events are read from the store at once where notices were missed.
const PAGE: u32 = 200;

/// Runs the pipeline; the exit code is its result.
pub async fn run(args: RunArgs, settings: Settings, out: &mut Output) -> Result<Exit, Failure> {
    if let Some((name, _)) = args.parameters.first() {
        return Err(Failure::usage(format_args!(
            "pipeline parameters (`{name}`) are not supported by this version"
        )));
    }
    let dir = args.dir.canonicalize().map_err(|error| {
        Failure::usage(format_args!("can't use `{}`: {error}", args.dir.display()))
    })?;
    if !dir.is_dir() {
        return Err(Failure::usage(format_args!(
            "`{}` is not a directory",
            args.dir.display()
        )));
    }
    let scratch = scratch()?;
    let store = Store::memory().await.map_err(Failure::unable)?;
    let jobs = scratch.path().join("jobs");
    // Its own namespace: a server on this machine must not take these containers for its own, nor
    // this command the server's.
    let namespace = format!("popsicle-run-{}", uuid::Uuid::new_v4().simple());
    let parts = engine::Parts {
        store: store.clone(),
        logs: Logs::new(scratch.path().join("logs")),
        source: wiring::source(&settings, scratch.path().join("mirrors")),
        forges: Vec::new(),
        executors: wiring::executors(
            &settings,
            &jobs,
            &namespace,
            vec![settings.data_dir.value.clone(), scratch.path().to_owned()],
        )?,
        world: Arc::new(SystemWorld),
        settings: EngineSettings {
            selection: Selection {
                workflow: args.workflow.clone(),
                job: args.job.clone(),
            },
            ..wiring::engine_settings(&settings, jobs)
        },
    };
    let (engine, tasks) = Engine::start(parts).await.map_err(Failure::unable)?;
    let ended = follow(&engine, trigger(&dir)?, args.verbose, out).await;
    tasks.stop().await;
    store.close().await;
    ended
}

/// Runs one trigger's pipeline to its end, telling what happens.
async fn follow(
    engine: &Engine,
    trigger: Trigger,
    verbose: bool,
    out: &mut Output,
) -> Result<Exit, Failure> {
    // Listen before there is anything to hear.
    let mut events = engine.feed().events();
    let mut last = EventId(0);
    let id = engine.submit(trigger).await.map_err(Failure::unable)?.id;
    let mut show = Show::new(engine.clone(), verbose, out);
    let mut interrupts = 0;
    loop {
        let news = tokio::select! {
            event = events.recv() => match event {
                Ok(event) => vec![event],
                Err(RecvError::Lagged(_)) => {
                    engine.store().events_after(last, PAGE).await.map_err(Failure::unable)?
                }
                Err(RecvError::Closed) => return Err(Failure::unable("the engine ended")),
            },
            line = show.next_line() => {
                show.output(&line)?;
                continue;
            }
            pressed = tokio::signal::ctrl_c() => {
                interrupts += 1;
                interrupted(engine, id, interrupts, pressed).await?;
                show.say("stopping; press Ctrl-C again to leave at once");
                continue;
            }
        };
        for event in news.iter().filter(|event| event.id > last) {
            show.event(event).await?;
        }
        last = news.last().map_or(last, |event| event.id.max(last));
        let pipeline = engine.store().pipeline(id).await.map_err(Failure::unable)?;
        if pipeline.status.is_ended() {
            // What led to its end is stored, but may not have been heard yet.
            loop {
                let rest = engine
                    .store()
                    .events_after(last, PAGE)
                    .await
                    .map_err(Failure::unable)?;
                let Some(newest) = rest.last() else { break };
                last = newest.id;
                for event in &rest {
                    show.event(event).await?;
                }
            }
            return show.end(&pipeline).await;
        }
        if pipeline.status == model::Status::OnHold {
            let reason = CancelReason::Interrupted;
            engine
                .cancel_because(id, reason)
                .await
                .map_err(Failure::unable)?;
            show.say(
                "what is left waits for an approval, which only a server can take; it is canceled",
            );
        }
    }
}

async fn interrupted(
    engine: &Engine,
    id: PipelineId,
    times: u32,
    pressed: std::io::Result<()>,
) -> Result<(), Failure> {
    pressed.map_err(|error| Failure::unable(format_args!("can't listen to Ctrl-C: {error}")))?;
    if times > 1 {
        return Err(Failure::unable("interrupted before all jobs had stopped"));
    }
    match engine.cancel_because(id, CancelReason::Interrupted).await {
        Ok(()) => Ok(()),
        // It ended at the same moment.
        Err(error) if error.is_conflict() => Ok(()),
        Err(error) => Err(Failure::unable(error)),
    }
}

/// A folder that goes away with the command.
fn scratch() -> Result<TempDir, Failure> {
    tempfile::Builder::new()
        .prefix("popsicle-run-")
        .tempdir()
        .map_err(|error| {
            Failure::unable(format_args!("can't make a temporary folder: {error}"))
                .hint("TMPDIR names another place for it")
        })
}

/// The directory as it is.
fn trigger(dir: &Path) -> Result<Trigger, Failure> {
    Ok(Trigger {
        kind: TriggerKind::Local,
        repo: repo_name(dir)?,
        origin: Origin::Folder {
            path: PathBuf::from(dir),
        },
        commit: None,
        git_ref: branch(dir),
        base: None,
        author: None,
        message: None,
        pull_request: None,
        rerun: None,
        forge: None,
        delivery: None,
    })
}

/// The directory's own name, as far as a project may have it.
fn repo_name(dir: &Path) -> Result<RepoName, Failure> {
    let name = dir
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    let kept: String = name
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || ".-_".contains(c) {
                c
            } else {
                '-'
            }
        })
        .collect();
    let kept = kept.trim_start_matches('-');
    let name = if matches!(kept, "" | "." | "..") {
        "project"
    } else {
        kept
    };
    name.parse().map_err(Failure::unable)
}

/// The branch that a checkout's `HEAD` names.
fn branch(dir: &Path) -> Option<GitRef> {
    let head = std::fs::read_to_string(dir.join(".git/HEAD")).ok()?;
    head.strip_prefix("ref: ")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_directory_has_a_name() {
        for (dir, name) in [
            ("/a/shop", "shop"),
            ("/a/my shop!", "my-shop-"),
            ("/", "project"),
            ("/-x", "x"),
        ] {
            assert_eq!(repo_name(Path::new(dir)).unwrap().as_str(), name, "{dir}");
        }
    }
}
