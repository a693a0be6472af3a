//! `paths` of a workflow, which CircleCI has not: the files that it is for, as patterns (`docs/**`).

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use crate::keys::Place;
use crate::read::{Entry, Key, Node, Value};

use super::reader::{Reader, UnknownKeys, is_unknown};

/// The files that a workflow is for.
#[derive(Debug, Default)]
pub(crate) struct PathFilter {
    /// All files if it is empty.
    pub(crate) only: GlobSet,
    pub(crate) ignore: GlobSet,
}

/// Reads it: a list, or a map of `only` and `ignore`.
pub(super) fn paths(key: &Key, value: &Node, reader: &mut Reader<'_>) -> PathFilter {
    let mut filter = PathFilter::default();
    match &value.value {
        Value::Map(map) => {
            for Entry { key, value } in map.iter() {
                match Place::Paths.own(&key.text) {
                    "only" => filter.only = globs(key, value, reader),
                    "ignore" => filter.ignore = globs(key, value, reader),
                    _ => reader.unknown_key(key, "`paths`", Place::Paths, UnknownKeys::Refused),
                }
            }
        }
        Value::List(_) | Value::Scalar(_) => filter.only = globs(key, value, reader),
    }
    filter
}

fn globs(key: &Key, value: &Node, reader: &mut Reader<'_>) -> GlobSet {
    let mut set = GlobSetBuilder::new();
    for text in reader.texts(key, value) {
        if is_unknown(&text) {
            continue;
        }
        let glob = GlobBuilder::new(text.trim_start_matches("./"))
            .literal_separator(true)
            .build();
        match glob {
            Ok(glob) => {
                set.add(glob);
            }
            Err(error) => {
                let why = error.kind().to_string();
                reader.problems.error_of(
                    key,
                    value,
                    format!("the path `{text}` can't be used: {why}"),
                );
            }
        }
    }
    match set.build() {
        Ok(set) => set,
        Err(error) => {
            reader
                .problems
                .error(key.region, format!("the paths can't be used: {error}"));
            GlobSet::empty()
        }
    }
}
