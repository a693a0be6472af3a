//! Names that come from outside, checked once where they enter.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A name that can't be one, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} {text:?} is not valid: {why}")]
pub struct InvalidName {
    what: &'static str,
    text: String,
    why: String,
}

impl InvalidName {
    /// Says that `text` can't be a `what` (a noun such as `repository name`), and why.
    pub fn new(what: &'static str, text: &str, why: impl Into<String>) -> Self {
        const SHOWN: usize = 100;
        let mut shown: String = text.chars().take(SHOWN).collect();
        if shown.len() < text.len() {
            shown.push('…');
        }
        Self {
            what,
            text: shown,
            why: why.into(),
        }
    }
}

macro_rules! checked_string {
    ($name:ident, $check:ident) => {
        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;

            fn from_str(s: &str) -> Result<Self, InvalidName> {
                $check(s)?;
                Ok(Self(s.to_owned()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidName;

            fn try_from(s: String) -> Result<Self, InvalidName> {
                $check(&s)?;
                Ok(Self(s))
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

/// A project's name: `owner/name` on a forge, `name` for a hosted repository or an upload.
///
/// One to eight parts of letters, digits, `.`, `_` and `-`, none of them `.` or `..` or starting
/// with `-`: safe as a part of a path, of a URL and of a log line.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RepoName(String);

checked_string!(RepoName, check_repo);

fn check_repo(s: &str) -> Result<(), InvalidName> {
    let bad = |why: &str| Err(InvalidName::new("repository name", s, why));
    if s.is_empty() || s.len() > 255 {
        return bad("it must have 1 to 255 characters");
    }
    let parts: Vec<&str> = s.split('/').collect();
    if parts.len() > 8 {
        return bad("it must have at most 8 parts between slashes");
    }
    for part in parts {
        if part.is_empty() || part == "." || part == ".." || part.starts_with('-') {
            return bad(
                "each part between slashes must be a name: not empty, `.`, `..` or starting with `-`",
            );
        }
        if !part
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
        {
            return bad("only letters, digits, `.`, `_`, `-` and `/` can be in it");
        }
    }
    Ok(())
}

/// The name of an environment variable: a letter or `_`, then letters, digits and `_`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct VariableName(String);

checked_string!(VariableName, check_variable);

fn check_variable(s: &str) -> Result<(), InvalidName> {
    let good = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    if s.is_empty() || s.len() > 255 {
        return Err(InvalidName::new(
            "variable name",
            s,
            "it must have 1 to 255 characters",
        ));
    }
    if s.starts_with(|c: char| c.is_ascii_digit()) || !s.bytes().all(good) {
        return Err(InvalidName::new(
            "variable name",
            s,
            "only letters, digits and `_` can be in it, and no digit at its beginning",
        ));
    }
    Ok(())
}

/// The name of a context, as configs write it: 1 to 100 characters that can be seen, or spaces between
/// them; no `/`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ContextName(String);

checked_string!(ContextName, check_context);

fn check_context(s: &str) -> Result<(), InvalidName> {
    let bad = |why: &str| Err(InvalidName::new("context name", s, why));
    if s.is_empty() || s.chars().count() > 100 {
        return bad("it must have 1 to 100 characters");
    }
    if s.trim() != s || matches!(s, "." | "..") {
        return bad("it must not begin or end with white space, or be `.` or `..`");
    }
    if s.contains(|c: char| c.is_control() || c == '/') {
        return bad("it must have no `/` and nothing that can't be seen");
    }
    Ok(())
}

/// A full commit id: 40 (SHA-1) or 64 (SHA-256) lower-case hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CommitSha(String);

checked_string!(CommitSha, check_sha);

fn check_sha(s: &str) -> Result<(), InvalidName> {
    let hex = s
        .bytes()
        .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    if hex && matches!(s.len(), 40 | 64) {
        Ok(())
    } else {
        Err(InvalidName::new(
            "commit id",
            s,
            "it must be 40 or 64 lower-case hexadecimal digits",
        ))
    }
}

impl CommitSha {
    /// The first seven digits, as people quote it.
    pub fn short(&self) -> &str {
        &self.0[..7]
    }

    /// Whether this is git's word for "no commit" (all zeros): a created or deleted branch.
    pub fn is_null(&self) -> bool {
        self.0.bytes().all(|b| b == b'0')
    }
}

/// What the commit was found under. Holds the short name (`main`, `v1.0`), never `refs/…`.
///
/// The name may look like an option (`--upload-pack=x`): always hand git the [`GitRef::full`] form.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GitRef {
    /// `refs/heads/…`
    Branch(String),
    /// `refs/tags/…`
    Tag(String),
}

impl GitRef {
    /// The ref as git's plumbing has it: `refs/heads/main`.
    pub fn full(&self) -> String {
        match self {
            Self::Branch(name) => format!("refs/heads/{name}"),
            Self::Tag(name) => format!("refs/tags/{name}"),
        }
    }

    /// The name alone: `main`.
    pub fn short(&self) -> &str {
        match self {
            Self::Branch(name) | Self::Tag(name) => name,
        }
    }

    /// The branch's name, if it is one.
    pub fn branch(&self) -> Option<&str> {
        match self {
            Self::Branch(name) => Some(name),
            Self::Tag(_) => None,
        }
    }

    /// The tag's name, if it is one.
    pub fn tag(&self) -> Option<&str> {
        match self {
            Self::Tag(name) => Some(name),
            Self::Branch(_) => None,
        }
    }
}

impl FromStr for GitRef {
    type Err = InvalidName;

    /// Reads `refs/heads/<branch>` and `refs/tags/<tag>`, by git's rules for ref names
    /// (git-check-ref-format).
    fn from_str(s: &str) -> Result<Self, InvalidName> {
        let bad = |why: &str| Err(InvalidName::new("ref", s, why));
        let (name, make): (&str, fn(String) -> Self) = match s.strip_prefix("refs/heads/") {
            Some(name) => (name, Self::Branch),
            None => match s.strip_prefix("refs/tags/") {
                Some(name) => (name, Self::Tag),
                None => return bad("it must start with `refs/heads/` or `refs/tags/`"),
            },
        };
        if name.len() > 1000 {
            return bad("it has more than 1000 characters");
        }
        let forbidden = |c: char| c.is_control() || " ~^:?*[\\\u{7f}".contains(c);
        let wrong = name.contains(forbidden)
            || name.contains("..")
            || name.contains("@{")
            || name.ends_with('.')
            || name
                .split('/')
                .any(|part| part.is_empty() || part.starts_with('.') || part.ends_with(".lock"));
        if wrong {
            return bad("git allows no such name");
        }
        Ok(make(name.to_owned()))
    }
}

impl fmt::Display for GitRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.short())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repository_names_are_safe_as_paths() {
        for good in ["octo/repo", "repo", "a/b/c", "Popsicle.rs/x_y-z", ".github"] {
            assert!(good.parse::<RepoName>().is_ok(), "{good}");
        }
        for bad in [
            "", "/", "a/", "/a", "..", "a/..", "a/../b", ".", "a b", "a\nb", "a\"b", "a'b", "-a",
            "a/-x", "a\\b", "ü",
        ] {
            assert!(bad.parse::<RepoName>().is_err(), "{bad:?}");
        }
        assert!(serde_json::from_str::<RepoName>("\"a/../b\"").is_err());
    }

    #[test]
    fn variables_are_what_a_shell_can_name() {
        for good in ["A", "_", "GITHUB_TOKEN", "a1"] {
            assert!(good.parse::<VariableName>().is_ok(), "{good}");
        }
        for bad in ["", "1A", "A-B", "A B", "A=B", "ü", "A\n"] {
            assert!(bad.parse::<VariableName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn contexts_are_named_as_people_like() {
        for good in ["aws", "org-global", "AWS (prod)", "größe"] {
            assert!(good.parse::<ContextName>().is_ok(), "{good}");
        }
        for bad in ["", " a", "a ", "a/b", "a\nb", "..", "\u{7f}"] {
            assert!(bad.parse::<ContextName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_refusal_shows_the_beginning_of_a_long_name() {
        for (text, shown) in [
            ("a".repeat(100), "a".repeat(100)),
            ("a".repeat(101), "a".repeat(100) + "…"),
            ("é".repeat(101), "é".repeat(100) + "…"),
        ] {
            let told = InvalidName::new("branch", &text, "no").to_string();
            assert_eq!(told, format!("branch \"{shown}\" is not valid: no"));
        }
    }

    #[test]
    fn refs_follow_gits_rules() {
        assert_eq!("refs/heads/main".parse(), Ok(GitRef::Branch("main".into())));
        assert_eq!("refs/tags/v1.0".parse(), Ok(GitRef::Tag("v1.0".into())));
        let odd: GitRef = "refs/heads/--upload-pack=x".parse().unwrap();
        assert_eq!(odd.full(), "refs/heads/--upload-pack=x");
        for bad in [
            "main",
            "refs/pull/1/head",
            "refs/heads/",
            "refs/heads/a..b",
            "refs/heads/a b",
            "refs/heads/.a",
            "refs/heads/a.lock",
            "refs/heads/a\n",
        ] {
            assert!(bad.parse::<GitRef>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn commit_ids_are_hexadecimal() {
        let sha: CommitSha = "a1b2c3d4e5a1b2c3d4e5a1b2c3d4e5a1b2c3d4e5".parse().unwrap();
        assert_eq!(sha.short(), "a1b2c3d");
        assert!(!sha.is_null());
        assert!("0".repeat(40).parse::<CommitSha>().unwrap().is_null());
        assert!("HEAD".parse::<CommitSha>().is_err());
        assert!(
            "A1B2C3D4E5A1B2C3D4E5A1B2C3D4E5A1B2C3D4E5"
                .parse::<CommitSha>()
                .is_err()
        );
    }
}
