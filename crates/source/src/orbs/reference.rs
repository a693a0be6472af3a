//! References to orbs, as configs write them, and the paths that they stand for.

use std::fmt;
use std::str::FromStr;

use super::digest;

/// The folder of orbs that addresses name; no namespace can have that name.
pub(super) const URL_DIR: &str = "@url";
/// How files of orbs end.
pub(super) const ENDING: &str = ".yml";
/// The longest namespace, name or label, in bytes: it becomes a part of a file's name.
const MAX_WORD_BYTES: usize = 100;
/// The longest address, in bytes.
const MAX_URL_BYTES: usize = 2000;

/// What a config imports: `circleci/node@5.2`, `https://example.com/orb.yml`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum OrbReference {
    /// One of a registry.
    Named {
        /// Whose it is.
        namespace: String,
        /// Its name.
        name: String,
        /// Which versions of it will do.
        version: OrbVersion,
    },
    /// What an address names.
    Url(String),
}

/// Which versions of an orb will do. Its order is that of their age.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum OrbVersion {
    /// Of a development: `dev:label`.
    Dev(String),
    /// The newest whose number begins like this: `1.2` has two parts, `1` one, `volatile` none.
    Newest(Vec<u64>),
    /// Only this one: `1.2.3`.
    Exact([u64; 3]),
}

/// Why a text can't be a reference.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{text}` can't be an orb: {why}")]
pub struct BadReference {
    /// The text.
    pub text: String,
    /// What is wrong with it: a lower-case fragment.
    pub why: &'static str,
}

impl OrbReference {
    /// The same orb in another version; an address has none.
    #[must_use]
    pub fn with_version(&self, version: OrbVersion) -> Self {
        match self {
            Self::Named {
                namespace, name, ..
            } => Self::Named {
                namespace: namespace.clone(),
                name: name.clone(),
                version,
            },
            Self::Url(url) => Self::Url(url.clone()),
        }
    }

    /// Its version; none for an address.
    pub fn version(&self) -> Option<&OrbVersion> {
        match self {
            Self::Named { version, .. } => Some(version),
            Self::Url(_) => None,
        }
    }

    /// Where it lies from the root of its place; none if it names more than one version.
    pub(super) fn path(&self) -> Option<String> {
        match self {
            Self::Named {
                version: OrbVersion::Newest(_),
                ..
            } => None,
            Self::Named {
                namespace,
                name,
                version: version @ (OrbVersion::Exact(_) | OrbVersion::Dev(_)),
            } => Some(format!("{namespace}/{name}@{version}{ENDING}")),
            Self::Url(url) => Some(format!("{URL_DIR}/{}{ENDING}", digest(url.as_bytes()))),
        }
    }
}

impl OrbVersion {
    /// Whether a version will do.
    pub fn takes(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Newest(beginning), Self::Exact(number)) => number.starts_with(beginning),
            (Self::Newest(_) | Self::Exact(_) | Self::Dev(_), _) => self == other,
        }
    }
}

impl FromStr for OrbReference {
    type Err = BadReference;

    fn from_str(text: &str) -> Result<Self, BadReference> {
        let bad = |why| BadReference {
            text: text.to_owned(),
            why,
        };
        if text.starts_with("https://") {
            let is_one = text.len() <= MAX_URL_BYTES
                && !text.contains(|c: char| c.is_whitespace() || c.is_control())
                && url::Url::parse(text).is_ok_and(|url| url.has_host());
            return if is_one {
                Ok(Self::Url(text.to_owned()))
            } else {
                Err(bad("its address is not one"))
            };
        }
        let (path, version) = text
            .split_once('@')
            .ok_or_else(|| bad("its version is missing: write `namespace/orb@1.2.3`"))?;
        let (namespace, name) = path
            .split_once('/')
            .filter(|(namespace, name)| is_word(namespace) && is_word(name))
            .ok_or_else(|| bad("its name must be `namespace/orb`"))?;
        let version = version.parse().map_err(bad)?;
        Ok(Self::Named {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            version,
        })
    }
}

impl FromStr for OrbVersion {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        const WRONG: &str =
            "its version must be like `1.2.3`, `1.2`, `1`, `volatile` or `dev:label`";
        if text == "volatile" {
            return Ok(Self::Newest(Vec::new()));
        }
        if let Some(label) = text.strip_prefix("dev:") {
            let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
            return if !label.is_empty()
                && label.len() <= MAX_WORD_BYTES
                && label.chars().all(is_plain)
            {
                Ok(Self::Dev(label.to_owned()))
            } else {
                Err("the label of its version must be letters, digits, `-`, `_` and `.`")
            };
        }
        let parts: Option<Vec<u64>> = text
            .split('.')
            .map(|part| {
                let is_number = part.bytes().all(|byte| byte.is_ascii_digit());
                part.parse().ok().filter(|_| is_number)
            })
            .collect();
        match parts.as_deref() {
            Some(&[major, minor, patch]) => Ok(Self::Exact([major, minor, patch])),
            Some(beginning @ ([_] | [_, _])) => Ok(Self::Newest(beginning.to_vec())),
            Some(_) | None => Err(WRONG),
        }
    }
}

impl fmt::Display for OrbReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named {
                namespace,
                name,
                version,
            } => write!(f, "{namespace}/{name}@{version}"),
            Self::Url(url) => f.write_str(url),
        }
    }
}

impl fmt::Display for OrbVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers = |parts: &[u64]| {
            let parts: Vec<String> = parts.iter().map(u64::to_string).collect();
            parts.join(".")
        };
        match self {
            Self::Dev(label) => write!(f, "dev:{label}"),
            Self::Newest(beginning) if beginning.is_empty() => f.write_str("volatile"),
            Self::Newest(beginning) => f.write_str(&numbers(beginning)),
            Self::Exact(parts) => f.write_str(&numbers(parts)),
        }
    }
}

/// Whether a text can be a namespace or a name, and so a part of a path.
pub(super) fn is_word(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= MAX_WORD_BYTES
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_what_it_was_written_as() {
        for text in [
            "circleci/node@5.2.0",
            "circleci/node@5.2",
            "circleci/node@5",
            "circleci/node@volatile",
            "acme/tools@dev:first.try",
            "https://example.com/orb.yml",
        ] {
            let reference: OrbReference = text.parse().unwrap();
            assert_eq!(reference.to_string(), text);
        }
    }

    #[test]
    fn no_reference_leads_out_of_its_folder() {
        for text in [
            "",
            "node",
            "circleci/node",
            "circleci/node@",
            "../node@1.2.3",
            "circleci/..@1.2.3",
            "a/b/c@1.2.3",
            "circleci/node@../../etc",
            "circleci/node@dev:../x",
            "circleci/node@dev:",
            "circleci/node@1.2.3.4",
            "circleci/node@+1.2.3",
            "circleci/node@99999999999999999999.0.0",
            "@url/x@1.0.0",
            "https://",
            "https://example.com/a b",
            "http://example.com/orb.yml",
        ] {
            assert!(text.parse::<OrbReference>().is_err(), "{text}");
        }
        let url: OrbReference = "https://example.com/../../x".parse().unwrap();
        let path = url.path().unwrap();
        assert_eq!(path.len(), "@url/".len() + 64 + ".yml".len());
    }

    #[test]
    fn a_version_takes_those_that_begin_like_it() {
        let version = |text: &str| text.parse::<OrbVersion>().unwrap();
        let takes = |wanted: &str, other: &str| version(wanted).takes(&version(other));
        assert!(takes("1", "1.10.0") && takes("1.1", "1.1.9") && takes("volatile", "0.0.1"));
        assert!(!takes("1.1", "1.10.0") && !takes("1", "10.0.0"));
        assert!(!takes("volatile", "dev:x") && takes("dev:x", "dev:x"));
        assert!(version("1.10.0") > version("1.9.9"));
    }
}
