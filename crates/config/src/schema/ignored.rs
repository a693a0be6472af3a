//! What CircleCI's language has and can't mean anything here. Each is told once a file, however often it
//! is used: a warning, since it is left out without changing what a job does.

use crate::diagnostic::Problems;
use crate::read::Region;

/// One such thing: what is said of it.
pub(super) type Feature = &'static str;

pub(super) const MACHINE_IMAGE: Feature =
    "the image of a `machine` is not used: its jobs see the runner's own system";
pub(super) const LAYER_CACHING: Feature =
    "`docker_layer_caching` means nothing here: the runner's own engine keeps its layers";
pub(super) const GCP_AUTH: Feature = "`gcp_auth` is not supported: the image is pulled without it";
pub(super) const IP_RANGES: Feature =
    "`circleci_ip_ranges` means nothing here: jobs have the runner's address";
pub(super) const RETENTION: Feature =
    "`retention` means nothing here: the server's own settings say how long things are kept";
pub(super) const RELEASE: Feature =
    "a job of the type `release` marks a release on CircleCI: here it just passes";
pub(super) const LOCK: Feature =
    "jobs of the types `lock` and `unlock` lock nothing here: they just pass";
pub(super) const CHECKOUT_METHOD: Feature =
    "`method` of a checkout means nothing here: the code is laid out from a mirror";
pub(super) const SIGNING: Feature = "`install_signing_bundle` installs nothing here: certificates that CircleCI keeps have to be brought by the runner, or by a secret";
pub(super) const DEPLOY: Feature = "the step `deploy` is an old word for `run`";
pub(super) const JOB_BRANCHES: Feature =
    "`branches` of a job is an old word for `filters` of a workflow's job";

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
    pub(super) fn tell(self, problems: &mut Problems) {
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
            let diagnostic = problems.warning(first, feature);
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
