//! Which pipelines a newer one of the same branch makes redundant.

use std::fmt;
use std::str::FromStr;

use globset::{Glob, GlobSet, GlobSetBuilder};
use model::{Trigger, TriggerKind};

/// Branches of which a newer pipeline ends the earlier ones; by default none.
///
/// Written as patterns between commas (`*`, `feature/*`); `*` stands for slashes too. What matches one that
/// begins with `!` is left alone: `*, !main, !release/*`. In words: `none`.
#[derive(Clone, Debug, Default)]
pub struct RedundantBranches {
    text: String,
    these: GlobSet,
    but: GlobSet,
}

impl RedundantBranches {
    /// What a trigger's pipeline has in common with those that it makes redundant, and with none else of its
    /// project; none if it makes none redundant.
    ///
    /// Only commits that arrive one after another do: not tags, nor what somebody asked for. A push and the
    /// pull request of the same branch leave each other alone.
    pub(crate) fn line(&self, trigger: &Trigger) -> Option<String> {
        match trigger.kind {
            TriggerKind::Push | TriggerKind::PullRequest | TriggerKind::GitPush => {}
            TriggerKind::Tag | TriggerKind::Api | TriggerKind::Rerun | TriggerKind::Local => {
                return None;
            }
        }
        let branch = trigger.git_ref.as_ref()?.branch()?;
        let is_meant = self.these.is_match(branch) && !self.but.is_match(branch);
        is_meant.then(|| format!("{} {branch}", trigger.kind.as_str()))
    }
}

impl FromStr for RedundantBranches {
    type Err = globset::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        if text.is_empty() || text.eq_ignore_ascii_case("none") {
            return Ok(Self::default());
        }
        let (mut these, mut but) = (GlobSetBuilder::new(), GlobSetBuilder::new());
        let patterns = text.split(',').map(str::trim);
        for pattern in patterns.filter(|pattern| !pattern.is_empty()) {
            match pattern.strip_prefix('!') {
                Some(pattern) => but.add(Glob::new(pattern)?),
                None => these.add(Glob::new(pattern)?),
            };
        }
        Ok(Self {
            text: text.to_owned(),
            these: these.build()?,
            but: but.build()?,
        })
    }
}

impl fmt::Display for RedundantBranches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.text.is_empty() {
            "none"
        } else {
            &self.text
        })
    }
}

#[cfg(test)]
mod tests {
    use model::{GitRef, Origin};

    use super::*;

    fn line(setting: &str, kind: TriggerKind, git_ref: GitRef) -> Option<String> {
        let trigger = Trigger {
            kind,
            repo: "octo/cat".parse().unwrap(),
            origin: Origin::Git {
                url: "https://example.org/octo/cat".into(),
            },
            commit: None,
            git_ref: Some(git_ref),
            base: None,
            author: None,
            message: None,
            pull_request: None,
            rerun: None,
            forge: None,
            parameters: std::collections::BTreeMap::new(),
            delivery: None,
        };
        let branches: RedundantBranches = setting.parse().unwrap();
        branches.line(&trigger)
    }

    #[test]
    fn only_pushes_to_chosen_branches_make_others_redundant() {
        use TriggerKind::{Api, GitPush, PullRequest, Push, Tag};
        let branch = |name: &str| GitRef::Branch(name.into());
        let all = "*, !main, !release/*";
        assert_eq!(line("none", Push, branch("a")), None);
        assert_eq!(line("", Push, branch("a")), None);
        let pushed = line(all, Push, branch("fix/a")).unwrap();
        assert_eq!(line(all, Push, branch("fix/a")), Some(pushed.clone()));
        for (kind, name) in [(Push, "fix/b"), (PullRequest, "fix/a"), (GitPush, "fix/a")] {
            let other = line(all, kind, branch(name));
            assert!(
                other.is_some_and(|other| other != pushed),
                "{kind:?} {name}"
            );
        }
        assert_eq!(line(all, Push, branch("main")), None);
        assert_eq!(line(all, Push, branch("release/1")), None);
        assert_eq!(line("fix/*", Push, branch("feature/a")), None);
        assert_eq!(line(all, Tag, GitRef::Tag("v1".into())), None);
        assert_eq!(line(all, Api, branch("fix/a")), None);
    }

    #[test]
    fn a_pattern_that_is_none_is_told() {
        let wrong = "a, [b".parse::<RedundantBranches>();
        assert!(wrong.unwrap_err().to_string().contains("[b"));
        let shown = |text: &str| text.parse::<RedundantBranches>().unwrap().to_string();
        assert_eq!(shown(" *, !main "), "*, !main");
        assert_eq!(shown(""), "none");
    }
}
