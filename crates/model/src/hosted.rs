//! The names of repositories that are hosted here.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{InvalidName, RepoName};

/// The name of a repository that is hosted here: one part, so that no forge's `owner/name` is ever the
/// same.
///
/// It becomes a folder `<name>.git` and an address `/git/<name>.git`, so it has to mean the same to file
/// systems, URLs and git: letters, digits, `-`, `_` and `.`, no `..`, neither `.` nor `-` at its begin,
/// no `.` at its end, and none of git's own endings. Names that differ in case alone are one name to some
/// file systems; who keeps them refuses the second.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HostedName(String);

/// How long a name may be. Its folder's name has to leave room for what goes beside it.
const LONGEST: usize = 100;

impl HostedName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The project of its pipelines.
    pub fn project(&self) -> RepoName {
        self.0
            .parse()
            .expect("what a hosted repository may be called, a project may be called too")
    }

    /// The name of its folder: `<name>.git`.
    pub fn folder(&self) -> String {
        format!("{}.git", self.0)
    }

    /// The repository of a folder, or of the last part of an address: [`HostedName::folder`] backwards.
    pub fn of_folder(folder: &str) -> Option<Self> {
        folder.strip_suffix(".git")?.parse().ok()
    }
}

fn check(s: &str) -> Result<(), InvalidName> {
    let bad = |why: &str| Err(InvalidName::new("repository name", s, why));
    if s.is_empty() || s.len() > LONGEST {
        return bad("it must have 1 to 100 characters");
    }
    let is_known = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    if !s.bytes().all(is_known) {
        return bad("only letters, digits, `.`, `_` and `-` can be in it");
    }
    if s.starts_with(['.', '-']) || s.ends_with('.') || s.contains("..") {
        return bad("it must not start with `.` or `-`, end with `.`, or hold `..`");
    }
    let lower = s.to_ascii_lowercase();
    if let Some(end) = [".git", ".lock"].iter().find(|end| lower.ends_with(**end)) {
        return bad(&format!("leave out the `{end}` at its end"));
    }
    Ok(())
}

impl FromStr for HostedName {
    type Err = InvalidName;

    fn from_str(s: &str) -> Result<Self, InvalidName> {
        check(s)?;
        Ok(Self(s.to_owned()))
    }
}

impl TryFrom<String> for HostedName {
    type Error = InvalidName;

    fn try_from(s: String) -> Result<Self, InvalidName> {
        check(&s)?;
        Ok(Self(s))
    }
}

impl From<HostedName> for String {
    fn from(name: HostedName) -> Self {
        name.0
    }
}

impl fmt::Display for HostedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_mean_the_same_everywhere_or_are_refused() {
        for good in ["demo", "a", "Popsicle.rs", "x_y-z.2", "gitlock", "a.gitx"] {
            let name: HostedName = good.parse().unwrap();
            assert_eq!(HostedName::of_folder(&name.folder()), Some(name));
        }
        for bad in [
            "", ".", "..", ".a", "-a", "a.", "a..b", "a/b", "/a", "a\\b", "a b", "a\n", "ü", "a:b",
            "a.git", "a.GIT", "a.lock", "a.Lock", "%2e", "a\0",
        ] {
            assert!(bad.parse::<HostedName>().is_err(), "{bad:?}");
        }
        assert!("a".repeat(100).parse::<HostedName>().is_ok());
        assert!("a".repeat(101).parse::<HostedName>().is_err());
        assert!(serde_json::from_str::<HostedName>("\"../x\"").is_err());
        for folder in ["a", ".git", "a.git.git", "../a.git", ".trash"] {
            assert_eq!(HostedName::of_folder(folder), None, "{folder}");
        }
    }

    proptest! {
        /// Whatever somebody writes: what is taken stays in its folder, and names a project.
        #[test]
        fn a_name_that_is_taken_is_one_plain_part_of_a_path(text in "[a-zA-Z0-9._/\\\\ -]{0,12}") {
            if let Ok(name) = text.parse::<HostedName>() {
                let folder = name.folder();
                let parts: Vec<_> = std::path::Path::new(&folder).components().collect();
                prop_assert_eq!(parts.len(), 1);
                prop_assert!(matches!(parts[0], std::path::Component::Normal(_)));
                let project = name.project();
                prop_assert_eq!(project.as_str(), text.as_str());
            }
        }
    }
}
