//! Which version of the language a file is in, and what only the later one has.

use std::collections::BTreeSet;

use crate::diagnostic::Problems;
use crate::read::{Entry, Map, Region};

use super::Expander;
use super::scope::Scope;

/// A version of the language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    V2_0,
    V2_1,
}

pub(super) fn version(top: &Map, problems: &mut Problems) -> Version {
    let Some(Entry { key, value }) = top.get("version") else {
        let file = top.iter().next().map(|entry| entry.key.region.file);
        problems
            .warning(
                Region::point(file.unwrap_or_default(), 1, 1),
                "the config does not say its `version`",
            )
            .help("it is read as `version: 2.1`");
        return Version::V2_1;
    };
    match value.as_text() {
        Some("2" | "2.0") => Version::V2_0,
        Some("2.1") => Version::V2_1,
        Some(_) | None => {
            problems
                .error_of(key, value, "this `version` of the language is not known")
                .help("write `version: 2.1`");
            Version::V2_1
        }
    }
}

/// Version 2.0 has jobs alone.
pub(super) fn old_scope(top: &Map, problems: &mut Problems) -> Scope {
    Scope {
        jobs: Scope::definitions(top, "jobs", "job", false, problems),
        ..Scope::default()
    }
}

/// What a file of version 2.0 defines and can't use. It may be there all the same, as a home for anchors.
#[derive(Default)]
pub(super) struct Newer {
    /// Where the file says its version; none if that is 2.1.
    version_at: Option<Region>,
    /// What it has of the keys that mean something in 2.1 alone.
    defined: Vec<Entry>,
    told: BTreeSet<&'static str>,
}

impl Newer {
    pub(super) fn of(top: &Map, version: Version) -> Self {
        let entry = top.get("version").filter(|_| version == Version::V2_0);
        let Some(Entry { key, value }) = entry else {
            return Self::default();
        };
        let names = ["commands", "executors", "orbs", "parameters", "job-groups"];
        Self {
            version_at: Some(value.place(key)),
            defined: names
                .iter()
                .filter_map(|name| top.get(name).cloned())
                .filter(|entry| !entry.value.is_null())
                .collect(),
            told: BTreeSet::new(),
        }
    }
}

impl Expander<'_> {
    /// Tells that a file of version 2.0 uses what it defines under a key that only 2.1 has, once for each
    /// such key; false if that is not so.
    pub(super) fn tell_newer(&mut self, key: &'static str, name: &str, used_at: Region) -> bool {
        let Some(version_at) = self.newer.version_at else {
            return false;
        };
        let defined = self
            .newer
            .defined
            .iter()
            .find(|entry| &*entry.key.text == key);
        let is_defined = defined
            .and_then(|entry| entry.value.as_map())
            .is_some_and(|map| map.get(name).is_some());
        if !is_defined {
            return false;
        }
        if self.newer.told.insert(key) {
            let related = self
                .problems
                .related(used_at, format!("`{name}` is used here"));
            self.problems
                .error(version_at, format!("`{key}` need `version: 2.1`"))
                .help("change the `version` of this config")
                .related(related);
        }
        true
    }

    /// Warns of what a file of version 2.0 defines and can't use, and did not try to: people also keep
    /// anchors under these names.
    pub(super) fn warn_newer(&mut self) {
        let Newer { defined, told, .. } = &self.newer;
        for entry in defined
            .iter()
            .filter(|entry| !told.contains(&*entry.key.text))
        {
            let key = &entry.key;
            let message = format!("`{}` mean nothing in version 2.0 of the language", key.text);
            self.problems
                .warning(key.region, message)
                .help("write `version: 2.1` at the top");
        }
    }
}
