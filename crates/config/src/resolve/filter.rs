//! Which jobs and workflows a trigger leaves out, and why.

use model::GitRef;

use crate::inputs::TriggerValues;
use crate::schema::{FilterStanza, Filters, PathFilter, WorkflowStanza};

/// Why a job of a workflow does not run; none if it does. `of_job` is what the job itself says, as it
/// could before there were workflows.
pub(super) fn refusal(
    filters: Option<&Filters>,
    of_job: Option<&FilterStanza>,
    trigger: Option<&TriggerValues>,
) -> Option<String> {
    let trigger = trigger?;
    if let Some(holds) = filters.and_then(|filters| filters.expression) {
        return (!holds).then(|| "the expression in its `filters` does not hold".to_owned());
    }
    let branches = filters.and_then(|filters| filters.branches.as_ref());
    let tags = filters.and_then(|filters| filters.tags.as_ref());
    match trigger.git_ref.as_ref()? {
        GitRef::Branch(branch) => [branches, of_job]
            .into_iter()
            .flatten()
            .any(|filter| !passes(filter, branch))
            .then(|| format!("its filters leave out the branch `{branch}`")),
        // "CircleCI does not run workflows for tags unless you explicitly specify tag filters."
        GitRef::Tag(tag) => match tags {
            None if filters.is_none() => None,
            None => Some(format!("it has no filter for tags, and `{tag}` is a tag")),
            Some(filter) => {
                (!passes(filter, tag)).then(|| format!("its filters leave out the tag `{tag}`"))
            }
        },
    }
}

/// What lets a job in that [`refusal`] has nothing against; none if no filter stands before it.
pub(super) fn admission(
    filters: &Filters,
    of_job: Option<&FilterStanza>,
    trigger: Option<&TriggerValues>,
) -> Option<String> {
    let trigger = trigger?;
    if filters.expression.is_some() {
        return Some("the expression in its `filters` holds".to_owned());
    }
    match trigger.git_ref.as_ref()? {
        GitRef::Branch(branch) => (filters.branches.is_some() || of_job.is_some())
            .then(|| format!("its filters let the branch `{branch}` pass")),
        GitRef::Tag(tag) => {
            let tags = filters.tags.as_ref();
            tags.map(|_| format!("its filters let the tag `{tag}` pass"))
        }
    }
}

/// Why a whole workflow does not run; none if it does.
pub(super) fn workflow_refusal(
    workflow: &WorkflowStanza,
    trigger: Option<&TriggerValues>,
) -> Option<String> {
    let trigger = trigger?;
    match &trigger.scheduled {
        Some(scheduled) if *scheduled != workflow.name.text => {
            return Some(format!("it is the schedule of `{scheduled}` that runs"));
        }
        None if !workflow.schedules.is_empty() => {
            return Some("it runs by its schedule alone".to_owned());
        }
        Some(_) | None => {}
    }
    let paths = workflow.paths.as_ref()?;
    let changed = trigger.changed_files.as_ref()?;
    (!touches(paths, changed)).then(|| "no file of its `paths` changed".to_owned())
}

fn passes(filter: &FilterStanza, name: &str) -> bool {
    let any = |filters: &Vec<crate::schema::Filter>| {
        filters.iter().any(|filter| {
            // What takes too long is told to nobody here, and matches nothing.
            filter.pattern.is_match(name).unwrap_or(false)
        })
    };
    let is_wanted = filter.only.as_ref().is_none_or(any);
    let is_ignored = filter.ignore.as_ref().is_some_and(any);
    is_wanted && !is_ignored
}

fn touches(paths: &PathFilter, changed: &[String]) -> bool {
    changed.iter().any(|file| {
        let is_wanted = paths.only.is_empty() || paths.only.is_match(file);
        is_wanted && !paths.ignore.is_match(file)
    })
}
