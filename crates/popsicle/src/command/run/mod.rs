//! `popsicle run`: a directory's pipeline, here and now, through the engine and the executors that the
//! server has, with a store that lives as long as the command.

mod interrupts;
mod scratch;
mod show;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use engine::{Engine, EngineSettings, EngineTasks, Selection, SystemWorld};
use model::{
    CancelReason, EventId, GitRef, Origin, ParameterValue, PipelineId, RepoName, Trigger,
    TriggerKind,
};
use source::orbs::OrbFolders;
use store::{Blobs, Keyring, Logs, Store};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use crate::cli::RunArgs;
use crate::command::config::{Project, Workflows};
use crate::error::{Exit, Failure};
use crate::output::Output;
use crate::settings::{ExecutorChoice, Settings};
use crate::wiring;
use interrupts::Interrupts;
use scratch::Scratch;
use show::Show;

/// How many events are read from the store at once where notices were missed.
const PAGE: u32 = 200;
/// How long what jobs leave may take to be removed, before it is removed by force.
const CLEAN_UP: Duration = Duration::from_secs(20);

/// Runs the pipeline; the exit code is its result.
pub async fn run(args: RunArgs, settings: Settings, out: &mut Output) -> Result<Exit, Failure> {
    let dir = args.dir.canonicalize().map_err(|error| {
        Failure::usage(format_args!("can't use `{}`: {error}", args.dir.display()))
    })?;
    if !dir.is_dir() {
        return Err(Failure::usage(format_args!(
            "`{}` is not a directory",
            args.dir.display()
        )));
    }
    refuse_unknown(&dir, &args, &settings)?;
    let orbs = args.context.folders(&settings)?;
    let mut trigger = local_trigger(&dir, &args.context.parameters)?;
    if let Some(git_ref) = args.context.git_ref()? {
        trigger.git_ref = Some(git_ref);
    }
    let mut interrupts = Interrupts::new()?;
    for mut dead in Scratch::dead() {
        // What an earlier command left that was killed, whatever executors it used.
        let mut settings = settings.clone();
        settings.executor.value = ExecutorChoice::Auto;
        let (_, tasks) = start(
            &settings,
            &dead,
            Selection::default(),
            OrbFolders::default(),
        )
        .await?;
        if !tasks.finish(std::future::ready(())).await {
            dead.keep();
        }
    }
    let mut scratch = Scratch::new()?;
    let selection = Selection {
        workflow: args.workflow.clone(),
        job: args.job.clone(),
    };
    let (engine, tasks) = start(&settings, &scratch, selection, orbs).await?;
    let ended = conduct(&engine, trigger, args.verbose, out, &mut interrupts).await;
    // Whoever interrupts once more waits no longer.
    let patience = async {
        let grace = settings.stop_grace.value + CLEAN_UP;
        tokio::select! {
            () = tokio::time::sleep(grace) => {}
            () = interrupts.once_more() => {}
        }
    };
    if !tasks.finish(patience).await {
        out.say(format_args!(
            "not all that the jobs left could be removed; the next `popsicle run` tries again, by {}",
            scratch.path().display()
        ));
        scratch.keep();
    }
    engine.store().close().await;
    ended
}

/// Refuses a workflow or job that the directory's config does not have. What else is wrong with the config
/// is told when it runs.
fn refuse_unknown(dir: &Path, args: &RunArgs, settings: &Settings) -> Result<(), Failure> {
    if args.workflow.is_none() && args.job.is_none() {
        return Ok(());
    }
    let Ok(project) = Project::open(dir, &args.context, settings) else {
        return Ok(());
    };
    let Some(plan) = project.compile(Workflows::All).0.plan else {
        return Ok(());
    };
    let refused = |what: &str, name: &str, there: BTreeSet<&str>| {
        let there: Vec<String> = there.iter().map(|name| format!("`{name}`")).collect();
        Failure::usage(format_args!("there is no {what} `{name}`"))
            .hint(format_args!("there is {}", there.join(", ")))
    };
    let mut workflows = plan.workflows.iter();
    if let Some(wanted) = &args.workflow
        && !workflows.any(|workflow| &workflow.name == wanted)
    {
        let there = plan.workflows.iter().map(|workflow| workflow.name.as_str());
        return Err(refused("workflow", wanted, there.collect()));
    }
    let chosen = plan.jobs().filter(|(workflow, _)| {
        args.workflow
            .as_ref()
            .is_none_or(|wanted| &workflow.name == wanted)
    });
    let jobs: BTreeSet<&str> = chosen.map(|(_, job)| job.name.as_str()).collect();
    match &args.job {
        Some(wanted) if !jobs.contains(wanted.as_str()) => Err(refused("job", wanted, jobs)),
        Some(_) | None => Ok(()),
    }
}

/// An engine whose all is in the scratch folder.
async fn start(
    settings: &Settings,
    scratch: &Scratch,
    selection: Selection,
    orbs: OrbFolders,
) -> Result<(Engine, EngineTasks), Failure> {
    let jobs = scratch.path().join("jobs");
    let mut hidden = wiring::hidden(settings);
    hidden.push(scratch.path().to_owned());
    let parts = engine::Parts {
        store: Store::memory().await.map_err(Failure::unable)?,
        logs: Logs::new(scratch.path().join("logs")),
        // Secrets are kept by a server.
        keys: Keyring::default(),
        blobs: Blobs::new(scratch.path().join("blobs")),
        source: wiring::source(settings, scratch.path().join("mirrors")),
        forges: Vec::new(),
        executors: wiring::executors(settings, &jobs, scratch.namespace(), hidden)?,
        world: Arc::new(SystemWorld),
        settings: EngineSettings {
            selection,
            orbs,
            ..wiring::engine_settings(settings, jobs)
        },
    };
    Engine::start(parts).await.map_err(Failure::unable)
}

/// Runs one trigger's pipeline to its end, or cancels it on every other way out.
async fn conduct(
    engine: &Engine,
    trigger: Trigger,
    verbose: bool,
    out: &mut Output,
    interrupts: &mut Interrupts,
) -> Result<Exit, Failure> {
    // Listen before there is anything to hear.
    let events = engine.feed().events();
    let id = engine.submit(trigger).await.map_err(Failure::unable)?.id;
    let show = Show::new(engine.clone(), verbose, out);
    let ended = follow(engine, id, events, show, interrupts).await;
    let Err(failure) = ended else { return ended };
    if !cancel(engine, id).await? {
        // It had ended: if nobody reads the rest, the exit code still tells how.
        let pipeline = engine.store().pipeline(id).await.map_err(Failure::unable)?;
        return match failure {
            Failure::ReaderGone if pipeline.status != model::Status::Success => Ok(Exit::Failed),
            failure @ (Failure::ReaderGone | Failure::Told { .. }) => Err(failure),
        };
    }
    Err(match failure {
        Failure::ReaderGone => Failure::unable(
            "whoever read the output has gone before the pipeline ended; it is canceled",
        ),
        told @ Failure::Told { .. } => told,
    })
}

/// Tells what happens until the pipeline has ended.
async fn follow(
    engine: &Engine,
    id: PipelineId,
    mut events: Receiver<model::Event>,
    mut show: Show<'_>,
    interrupts: &mut Interrupts,
) -> Result<Exit, Failure> {
    let mut last = EventId(0);
    let mut warned = false;
    loop {
        let news = tokio::select! {
            event = events.recv() => match event {
                Ok(event) => Some(event),
                Err(RecvError::Lagged(_)) => None,
                Err(RecvError::Closed) => return Err(Failure::unable("the engine ended")),
            },
            line = show.next_line() => {
                show.output(&line)?;
                continue;
            }
            () = interrupts.next() => {
                if interrupts.count() > 1 {
                    return Err(Failure::unable("interrupted before all jobs had stopped"));
                }
                cancel(engine, id).await?;
                show.say("stopping; press Ctrl-C again to leave at once");
                continue;
            }
        };
        match news {
            Some(event) if event.id <= last => {}
            Some(event) if event.id.0 == last.0 + 1 => {
                show.event(&event).await?;
                last = event.id;
            }
            // What was not heard is stored.
            Some(_) | None => last = catch_up(engine, &mut show, last).await?,
        }
        let pipeline = engine.store().pipeline(id).await.map_err(Failure::unable)?;
        if pipeline.status.is_ended() {
            // What led to its end may not have been heard yet.
            last = catch_up(engine, &mut show, last).await?;
        }
        if let Some(warnings) = pipeline.warnings.as_deref().filter(|_| !warned) {
            warned = true;
            show.say(warnings);
        }
        if pipeline.status.is_ended() {
            return show.end(&pipeline).await;
        }
        if pipeline.status == model::Status::OnHold {
            cancel(engine, id).await?;
            show.say(
                "what is left waits for an approval, which only a server can take; it is canceled",
            );
        }
    }
}

/// Tells of all that is stored after `last`; the newest of it.
async fn catch_up(
    engine: &Engine,
    show: &mut Show<'_>,
    mut last: EventId,
) -> Result<EventId, Failure> {
    loop {
        let rest = engine
            .store()
            .events_after(last, PAGE)
            .await
            .map_err(Failure::unable)?;
        let Some(newest) = rest.last() else {
            return Ok(last);
        };
        last = newest.id;
        for event in &rest {
            show.event(event).await?;
        }
    }
}

/// Cancels what has not ended; whether there was anything.
async fn cancel(engine: &Engine, id: PipelineId) -> Result<bool, Failure> {
    match engine.cancel_because(id, CancelReason::Interrupted).await {
        Ok(()) => Ok(true),
        // It ended at the same moment.
        Err(error) if error.is_conflict() => Ok(false),
        Err(error) => Err(Failure::unable(error)),
    }
}

/// The directory as it is, which has to be an absolute path.
pub fn local_trigger(
    dir: &Path,
    parameters: &[(String, ParameterValue)],
) -> Result<Trigger, Failure> {
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
        parameters: parameters.iter().cloned().collect(),
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
