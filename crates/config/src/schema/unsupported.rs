//! What CircleCI's language has and Popsicle has not yet. Each is told once a file, however often it is
//! used: an error where running without it would do something else than its author meant, a warning
//! where it would not.

use crate::diagnostic::{Problems, Severity};
use crate::read::Region;

/// One such thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Feature {
    severity: Severity,
    message: &'static str,
}

const fn refused(message: &'static str) -> Feature {
    Feature {
        severity: Severity::Error,
        message,
    }
}

const fn ignored(message: &'static str) -> Feature {
    Feature {
        severity: Severity::Warning,
        message,
    }
}

pub(super) const ORBS: Feature = refused("`orbs` are not supported yet");
pub(super) const COMMANDS: Feature = refused("`commands` are not supported yet");
pub(super) const EXECUTORS: Feature = refused("`executors` are not supported yet");
pub(super) const PARAMETERS: Feature = refused("`parameters` are not supported yet");
pub(super) const JOB_GROUPS: Feature = refused("`job-groups` are not supported yet");
pub(super) const SETUP: Feature = refused("`setup` configs are not supported yet");
pub(super) const EXPRESSIONS: Feature = refused("`<< … >>` expressions are not supported yet");
pub(super) const CONDITIONS: Feature = refused("`when` and `unless` are not supported yet");
pub(super) const MATRIX: Feature = refused("`matrix` is not supported yet");
pub(super) const FILTERS: Feature = refused("`filters` are not supported yet");
pub(super) const TRIGGERS: Feature = refused("`triggers` are not supported yet");
pub(super) const CONTEXT: Feature = refused("`context` is not supported yet");
pub(super) const SERIAL_GROUP: Feature = refused("`serial-group` is not supported yet");
pub(super) const OVERRIDE: Feature = refused("`override-with` is not supported yet");
pub(super) const EXTRA_STEPS: Feature =
    refused("`pre-steps` and `post-steps` are not supported yet");
pub(super) const JOB_TYPE: Feature =
    refused("only jobs of type `build` and `approval` are supported yet");
pub(super) const MACOS: Feature = refused("`macos` jobs are not supported yet");
pub(super) const WINDOWS: Feature = refused("Windows machines are not supported yet");
pub(super) const BRANCHES: Feature = refused("`branches` of a job are not supported yet");
pub(super) const BACKGROUND: Feature = refused("`background` commands are not supported yet");
pub(super) const STEPS: Feature = refused("steps out of a parameter are not supported yet");
pub(super) const SAVE_CACHE: Feature = refused("the step `save_cache` is not supported yet");
pub(super) const RESTORE_CACHE: Feature = refused("the step `restore_cache` is not supported yet");
pub(super) const PERSIST: Feature = refused("the step `persist_to_workspace` is not supported yet");
pub(super) const ATTACH: Feature = refused("the step `attach_workspace` is not supported yet");
pub(super) const SSH_KEYS: Feature = refused("the step `add_ssh_keys` is not supported yet");
pub(super) const REMOTE_DOCKER: Feature =
    refused("the step `setup_remote_docker` is not supported yet");
pub(super) const DEPLOY: Feature = refused("the step `deploy` is not supported yet");
pub(super) const CHECKOUT_METHOD: Feature =
    ignored("`method` of a checkout is not supported yet: the code is laid out as always");

pub(super) const SERVICES: Feature =
    ignored("service containers are not started yet: only the first image is");
pub(super) const IMAGE_OPTIONS: Feature = ignored(
    "`name`, `entrypoint` and `command` of an image are not supported yet: the steps run in it all the same",
);
pub(super) const IMAGE_AUTH: Feature =
    ignored("`auth` of an image is not supported yet: it is pulled without credentials");
pub(super) const MACHINE_IMAGE: Feature =
    ignored("the image of a `machine` is not used: its jobs see the runner's own system");
pub(super) const RESOURCE_CLASS: Feature =
    ignored("`resource_class` is not supported yet: the job gets what the runner gives");
pub(super) const PARALLELISM: Feature =
    ignored("`parallelism` is not supported yet: the job runs once");
pub(super) const IP_RANGES: Feature = ignored("`circleci_ip_ranges` means nothing here");
pub(super) const RETENTION: Feature = ignored("`retention` is not supported yet");
pub(super) const RERUNS: Feature = ignored("automatic reruns are not supported yet: it runs once");
pub(super) const NO_OUTPUT_TIMEOUT: Feature =
    ignored("`no_output_timeout` is not supported yet: the server's own limit holds");
pub(super) const TEST_RESULTS: Feature =
    ignored("the step `store_test_results` is not supported yet: nothing is stored");
pub(super) const ARTIFACTS: Feature =
    ignored("the step `store_artifacts` is not supported yet: nothing is stored");

/// Which were used, and where.
#[derive(Default)]
pub(super) struct Uses {
    found: Vec<(Feature, Vec<Region>)>,
}

impl Uses {
    pub(super) fn add(&mut self, region: Region, feature: Feature) {
        match self.found.iter_mut().find(|(known, _)| *known == feature) {
            Some((_, regions)) => regions.push(region),
            None => self.found.push((feature, vec![region])),
        }
    }

    /// One diagnostic each, at the first place, with the lines of the others.
    pub(super) fn tell(self, problems: &mut Problems<'_>) {
        for (feature, regions) in self.found {
            let mut lines: Vec<usize> = regions.iter().map(|region| region.line).collect();
            lines.sort_unstable();
            lines.dedup();
            let Some(first) = regions
                .into_iter()
                .min_by_key(|region| (region.line, region.column))
            else {
                continue;
            };
            let diagnostic = match feature.severity {
                Severity::Error => problems.error(first, feature.message),
                Severity::Warning => problems.warning(first, feature.message),
            };
            if let Some(also) = also_in(&lines[1..]) {
                diagnostic.help(also);
            }
        }
    }
}

/// `also in lines 3, 7 and 12`.
fn also_in(lines: &[usize]) -> Option<String> {
    const SHOWN: usize = 5;
    let shown: Vec<String> = lines.iter().take(SHOWN).map(usize::to_string).collect();
    let more = lines.len() - shown.len();
    match (shown.as_slice(), more) {
        ([], _) => None,
        ([line], _) => Some(format!("also in line {line}")),
        ([init @ .., last], 0) => Some(format!("also in lines {} and {last}", init.join(", "))),
        (_, more) => Some(format!(
            "also in lines {} and {more} more",
            shown.join(", ")
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::also_in;

    #[test]
    fn other_lines_are_counted_off() {
        assert_eq!(also_in(&[]), None);
        assert_eq!(also_in(&[3]).as_deref(), Some("also in line 3"));
        assert_eq!(also_in(&[3, 7]).as_deref(), Some("also in lines 3 and 7"));
        assert_eq!(
            also_in(&[1, 2, 3, 4, 5, 6, 7]).as_deref(),
            Some("also in lines 1, 2, 3, 4, 5 and 2 more")
        );
    }
}
