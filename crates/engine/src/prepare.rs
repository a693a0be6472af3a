//! A stored pipeline becomes stored jobs: its code is fetched, its config compiled.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use config::{Compiled, Inputs, LeftOut, Severity, SourceFile};
use model::{JobUuid, OutcomeKind, PipelineId, Plan, RerunFrom, Status, Trigger, WorkflowSpec};
use source::orbs::{OrbFinder, ProjectError};
use source::{SourceError, Tree};
use store::{Pipeline, StoreError};
use tokio_util::sync::CancellationToken;

use crate::ImportedOrbs;
use crate::handle::Shared;
use crate::persist::{Patience, persist};
use crate::run::chain;
use crate::settings::Selection;
use crate::support;
use crate::trigger_values;

/// Why a pipeline has no jobs.
struct NoPlan {
    outcome: OutcomeKind,
    reason: String,
}

impl NoPlan {
    fn users(reason: impl Into<String>) -> Self {
        Self {
            outcome: OutcomeKind::Failure,
            reason: reason.into(),
        }
    }

    fn ours(reason: impl Into<String>) -> Self {
        Self {
            outcome: OutcomeKind::Error,
            reason: reason.into(),
        }
    }
}

impl From<SourceError> for NoPlan {
    fn from(error: SourceError) -> Self {
        let reason = chain(&error);
        if error.is_users() {
            Self::users(reason)
        } else {
            Self::ours(reason)
        }
    }
}

impl From<ProjectError> for NoPlan {
    fn from(error: ProjectError) -> Self {
        match error {
            ProjectError::Lock(_) | ProjectError::LockTooLarge => Self::users(chain(&error)),
            ProjectError::Source(error) => error.into(),
        }
    }
}

impl From<StoreError> for NoPlan {
    fn from(error: StoreError) -> Self {
        Self::ours(chain(&error))
    }
}

/// Prepares one pipeline and stores what came of it.
#[tracing::instrument(
    name = "prepare",
    skip_all,
    fields(
        pipeline = pipeline.id.0,
        repo = %pipeline.trigger.repo,
        branch = pipeline.trigger.git_ref.as_ref().map(model::GitRef::short),
    )
)]
pub(crate) async fn prepare(shared: Arc<Shared>, pipeline: Pipeline, stop: CancellationToken) {
    let planned = tokio::select! {
        // Its end is stored by who asked for it.
        () = stop.cancelled() => return tracing::info!("preparation stopped"),
        planned = plan(&shared, &pipeline) => planned,
    };
    let id = pipeline.id;
    let stored = match planned {
        Ok((plan, warnings)) => store_plan(&shared, id, &plan, &warnings).await,
        Err(NoPlan { outcome, reason }) => {
            tracing::info!(status = %outcome.status(), reason, "pipeline has no jobs");
            end(&shared, id, outcome, &reason).await
        }
    };
    match stored {
        Ok(()) => {}
        Err(error) if error.is_conflict() || error.is_not_found() => {
            tracing::info!(error = chain(&error), "preparation not stored");
        }
        Err(error) => {
            let reason = format!("the pipeline can't be stored: {}", chain(&error));
            tracing::error!(reason, "could not store the preparation");
            if let Err(error) = end(&shared, id, OutcomeKind::Error, &reason).await {
                tracing::error!(error = chain(&error), "could not store its end");
            }
        }
    }
}

async fn store_plan(
    shared: &Shared,
    id: PipelineId,
    plan: &Plan,
    warnings: &str,
) -> Result<(), StoreError> {
    let uuids: Vec<JobUuid> = plan.jobs().map(|_| shared.world.uuid()).collect();
    let told = (!warnings.is_empty()).then_some(warnings);
    let jobs = persist("a plan", Patience::Endless, || {
        let now = shared.world.now();
        shared.store.store_plan(id, plan, &uuids, told, now)
    })
    .await?;
    if jobs.len() == uuids.len() {
        tracing::info!(jobs = jobs.len(), warnings = told, "pipeline prepared");
    } else {
        tracing::info!("pipeline was canceled meanwhile");
    }
    Ok(())
}

async fn end(
    shared: &Shared,
    id: PipelineId,
    outcome: OutcomeKind,
    reason: &str,
) -> Result<(), StoreError> {
    persist("why a pipeline has no jobs", Patience::Endless, || {
        let now = shared.world.now();
        shared.store.end_preparation(id, outcome, reason, now)
    })
    .await
}

/// The plan of a pipeline, and the compiler's warnings as people read them.
async fn plan(shared: &Shared, pipeline: &Pipeline) -> Result<(Plan, String), NoPlan> {
    if let Some(rerun) = pipeline.trigger.rerun
        && rerun.from == RerunFrom::Failed
        && let Some(earlier) = shared.store.plan(rerun.of).await?
    {
        return Ok((
            without_successes(shared, rerun.of, earlier).await?,
            String::new(),
        ));
    }
    let tree = shared.source.fetch(&pipeline.trigger).await?;
    // It may have had none, or the id of an annotated tag's object, which no forge has statuses of.
    if let Some(commit) = tree.commit()
        && pipeline.trigger.commit.as_ref() != Some(commit)
    {
        shared.store.set_commit(pipeline.id, commit).await?;
    }
    let files = read_config(&tree, &pipeline.trigger).await?;
    let finder = OrbFinder::of_tree(&tree, &shared.settings.orbs).await?;
    // Compiling is work for the processor, bounded by the compiler's own limits, and reads the orbs.
    let changed = changed_files(&tree, &files, &pipeline.trigger).await;
    let trigger = trigger_values(pipeline.id, &pipeline.trigger, changed);
    let parameters = pipeline.trigger.parameters.clone();
    let compiled = tokio::task::spawn_blocking(move || {
        let orbs = ImportedOrbs::new(finder);
        let inputs = Inputs {
            trigger: Some(&trigger),
            parameters: Some(&parameters),
            orbs: Some(&orbs),
            ..Inputs::default()
        };
        config::compile(&files, &inputs)
    })
    .await;
    let Compiled {
        plan,
        diagnostics,
        left_out,
        let_in: _,
    } = compiled.map_err(|panic| NoPlan::ours(format!("the config compiler failed: {panic}")))?;
    let text = |severity| {
        let chosen = diagnostics
            .iter()
            .filter(|diagnostic| diagnostic.severity == severity);
        chosen
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("\n")
    };
    match plan {
        Some(plan) if plan.workflows.is_empty() => Err(NoPlan {
            outcome: OutcomeKind::Success,
            reason: nothing_runs(&left_out),
        }),
        Some(plan) => {
            let mut plan = select(plan, &shared.settings.selection).map_err(NoPlan::users)?;
            plan.succession = shared.settings.cancel_redundant.line(&pipeline.trigger);
            let mut warnings = support::warnings(&plan);
            let told = text(Severity::Warning);
            if !told.is_empty() {
                warnings.insert(0, told);
            }
            Ok((plan, warnings.join("\n")))
        }
        None => Err(NoPlan::users(text(Severity::Error))),
    }
}

/// The files that a trigger changed, where its config may ask; none where that can't be told.
async fn changed_files(
    tree: &Tree,
    files: &[SourceFile],
    trigger: &Trigger,
) -> Option<Vec<String>> {
    // Most configs have no filter of paths, and then no git need run.
    const KEY: &[u8] = b"paths";
    let asks = |file: &SourceFile| file.text.windows(KEY.len()).any(|word| word == KEY);
    if !files.iter().any(asks) {
        return None;
    }
    tree.changed(trigger).await.unwrap_or_else(|error| {
        // Then everything runs that could be meant.
        tracing::info!(error = chain(&error), "can't tell which files changed");
        None
    })
}

/// Why a config has nothing to do for a trigger.
fn nothing_runs(left_out: &[LeftOut]) -> String {
    const SHOWN: usize = 20;
    let mut lines = vec!["nothing of the config runs for this trigger".to_owned()];
    for LeftOut { workflow, job, why } in left_out.iter().take(SHOWN) {
        lines.push(match job {
            Some(job) => format!("  job `{job}` of workflow `{workflow}`: {why}"),
            None => format!("  workflow `{workflow}`: {why}"),
        });
    }
    if left_out.len() > SHOWN {
        lines.push(format!("  and {} more", left_out.len() - SHOWN));
    }
    lines.join("\n")
}

/// The files of the first kind of config that the tree has.
async fn read_config(tree: &Tree, trigger: &Trigger) -> Result<Vec<SourceFile>, NoPlan> {
    let folder = config::POPSICLE_DIR;
    let names = tree.files_in(folder).await?;
    let present: Vec<String> = names
        .iter()
        .map(|name| format!("{folder}/{name}"))
        .collect();
    let mut candidates = selected(&present);
    if candidates.is_empty() {
        candidates = config::CIRCLECI_FILES.map(str::to_owned).into();
    }
    // One more than the compiler takes, so that it says so; the rest would only take memory.
    candidates.truncate(config::MAX_FILES + 1);
    let mut read = tree.read(&candidates, config::MAX_FILE_BYTES).await?;
    let chosen = selected(
        &read
            .iter()
            .map(|(path, _)| path.clone())
            .collect::<Vec<_>>(),
    );
    read.retain(|(path, _)| chosen.contains(path));
    if read.is_empty() {
        let place = match &trigger.commit {
            Some(commit) => format!("{} at {}", trigger.repo, commit.short()),
            None => trigger.repo.to_string(),
        };
        return Err(NoPlan::users(format!(
            "no config in {place}: add `.popsicle/ci.yml` (`popsicle init` writes one) or `.circleci/config.yml`"
        )));
    }
    Ok(read
        .into_iter()
        .map(|(path, text)| SourceFile { path, text })
        .collect())
}

fn selected(paths: &[String]) -> Vec<String> {
    let chosen = config::select(paths.iter().map(String::as_str));
    chosen.into_iter().map(ToOwned::to_owned).collect()
}

/// What of an earlier plan did not end in success.
async fn without_successes(
    shared: &Shared,
    of: PipelineId,
    mut plan: Plan,
) -> Result<Plan, StoreError> {
    // Somebody wants an earlier commit's jobs again: that ends none of a later one's.
    plan.succession = None;
    let went_well: HashSet<(String, String)> = shared
        .store
        .jobs_of(of)
        .await?
        .into_iter()
        .filter(|job| job.state.status() == Status::Success)
        .map(|job| (job.workflow, job.name))
        .collect();
    for workflow in &mut plan.workflows {
        let name = workflow.name.clone();
        drop_successes(workflow, |job| {
            went_well.contains(&(name.clone(), job.to_owned()))
        });
    }
    plan.workflows.retain(|workflow| !workflow.jobs.is_empty());
    Ok(plan)
}

/// Drops the jobs that went well, and those that must not run because one of them did: a job that runs
/// only after another's failure, and what requires it.
fn drop_successes(workflow: &mut WorkflowSpec, went_well: impl Fn(&str) -> bool) {
    let mut dropped: HashMap<String, OutcomeKind> = HashMap::new();
    // Jobs come after all that they require.
    for job in &workflow.jobs {
        let is_excluded = job.requires.iter().any(|required| {
            let outcome = dropped.get(&required.job);
            outcome.is_some_and(|outcome| !required.outcomes.contains(outcome))
        });
        if went_well(&job.name) {
            dropped.insert(job.name.clone(), OutcomeKind::Success);
        } else if is_excluded {
            dropped.insert(job.name.clone(), OutcomeKind::Skipped);
        }
    }
    keep_jobs(workflow, |job| !dropped.contains_key(job));
}

/// The part of a plan that somebody asked for; an error for people if there is no such part.
fn select(mut plan: Plan, selection: &Selection) -> Result<Plan, String> {
    if let Some(wanted) = &selection.workflow {
        let names = list(plan.workflows.iter().map(|workflow| workflow.name.as_str()));
        plan.workflows.retain(|workflow| &workflow.name == wanted);
        if plan.workflows.is_empty() {
            return Err(format!("there is no workflow `{wanted}`; there is {names}"));
        }
    }
    if let Some(wanted) = &selection.job {
        let names = list(plan.jobs().map(|(_, job)| job.name.as_str()));
        for workflow in &mut plan.workflows {
            keep_jobs(workflow, |job| job == wanted);
        }
        plan.workflows.retain(|workflow| !workflow.jobs.is_empty());
        if plan.workflows.is_empty() {
            return Err(format!("there is no job `{wanted}`; there is {names}"));
        }
    }
    Ok(plan)
}

/// Drops the other jobs, and what the kept ones require of them.
fn keep_jobs(workflow: &mut WorkflowSpec, keep: impl Fn(&str) -> bool) {
    workflow.jobs.retain(|job| keep(&job.name));
    for job in &mut workflow.jobs {
        job.requires.retain(|requirement| keep(&requirement.job));
    }
}

fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    // Several workflows may have a job of one name.
    let names: BTreeSet<String> = names.map(|name| format!("`{name}`")).collect();
    let names: Vec<String> = names.into_iter().collect();
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}
