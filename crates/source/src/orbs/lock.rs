//! The lock file: for each reference the version and the digest that it stands for.
//!
//! A line each, so that changes are easy to read and to merge: the reference, its version (`-` for an
//! address), and the digest of its text.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{OrbReference, OrbVersion};

const DIGEST: &str = "sha256:";
const HEAD: &str = "# Written by `popsicle orb vendor`: which version each orb stands for, and its text's digest.\n";

/// What a project pins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OrbLock {
    pins: BTreeMap<OrbReference, Pin>,
}

/// What a reference is pinned to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// The version; none for an address.
    pub version: Option<OrbVersion>,
    /// The SHA-256 of its text, in hexadecimal digits.
    pub sha256: String,
}

/// Why a lock file can't be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "line {line} of the lock file of orbs {why}; `popsicle orb vendor --relock` writes it anew"
)]
pub struct LockError {
    /// Which line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub why: String,
}

impl OrbLock {
    /// Reads a lock file.
    ///
    /// # Errors
    /// The first line that makes no sense.
    pub fn parse(text: &[u8]) -> Result<Self, LockError> {
        let text = String::from_utf8_lossy(text);
        let mut pins = BTreeMap::new();
        for (number, line) in text.lines().enumerate() {
            let wrong = |why: String| LockError {
                line: number + 1,
                why,
            };
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let words: Vec<&str> = line.split_whitespace().collect();
            let &[reference, version, digest] = words.as_slice() else {
                return Err(wrong("is not `reference version sha256:digest`".to_owned()));
            };
            let reference: OrbReference = reference
                .parse()
                .map_err(|bad| wrong(format!("is wrong: {bad}")))?;
            let version = match (&reference, version) {
                (OrbReference::Url(_), "-") => None,
                (OrbReference::Url(_), _) => {
                    return Err(wrong("gives an address a version".to_owned()));
                }
                (OrbReference::Named { version: asked, .. }, text) => {
                    let pinned = text
                        .parse::<OrbVersion>()
                        .ok()
                        .filter(|pinned| !matches!(pinned, OrbVersion::Newest(_)))
                        .filter(|pinned| asked.takes(pinned));
                    Some(pinned.ok_or_else(|| {
                        wrong(format!("pins `{reference}` to `{text}`, which it is not"))
                    })?)
                }
            };
            let sha256 = digest
                .strip_prefix(DIGEST)
                .filter(|digits| digits.len() == 64)
                .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
                .ok_or_else(|| wrong(format!("has no digest like `{DIGEST}…`")))?
                .to_ascii_lowercase();
            let pin = Pin { version, sha256 };
            let clashes = |known: &Pin| known != &pin;
            if pins.get(&reference).is_some_and(clashes) {
                return Err(wrong(format!("pins `{reference}` a second time")));
            }
            pins.insert(reference, pin);
        }
        Ok(Self { pins })
    }

    /// What a reference is pinned to.
    pub fn pin(&self, reference: &OrbReference) -> Option<&Pin> {
        self.pins.get(reference)
    }

    /// Pins a reference.
    pub fn insert(&mut self, reference: OrbReference, pin: Pin) {
        self.pins.insert(reference, pin);
    }

    /// The file's text; the same pins give the same text.
    pub fn text(&self) -> String {
        let mut text = HEAD.to_owned();
        for (reference, Pin { version, sha256 }) in &self.pins {
            let version = version
                .as_ref()
                .map_or_else(|| "-".to_owned(), ToString::to_string);
            // Writing to a text does not fail.
            let _ = writeln!(text, "{reference} {version} {DIGEST}{sha256}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(line: &str) -> String {
        OrbLock::parse(line.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn what_is_written_is_read() {
        let mut lock = OrbLock::default();
        for (reference, version) in [
            ("circleci/node@5.2", Some("5.2.1")),
            ("acme/tools@dev:x", Some("dev:x")),
            ("https://example.com/orb.yml", None),
        ] {
            let pin = Pin {
                version: version.map(|version| version.parse().unwrap()),
                sha256: "0a".repeat(32),
            };
            lock.insert(reference.parse().unwrap(), pin);
        }
        assert_eq!(OrbLock::parse(lock.text().as_bytes()), Ok(lock));
    }

    #[test]
    fn a_line_that_makes_no_sense_is_named() {
        let digest = format!("sha256:{}", "0".repeat(64));
        assert!(told("\nnode").contains("line 2"), "{}", told("\nnode"));
        assert!(told(&format!("a/b@1.2 2.0.0 {digest}")).contains("`2.0.0`, which it is not"));
        assert!(told(&format!("a/b@1 1.2 {digest}")).contains("`1.2`"));
        assert!(told("a/b@1 1.2.3 sha256:12").contains("no digest"));
        let twice = format!("a/b@1 1.2.3 {digest}\na/b@1 1.2.4 {digest}");
        assert!(told(&twice).contains("a second time"));
    }
}
