//! A map under construction and done: order kept, merge keys applied, duplicates noticed.
//!
//! Merging follows snakeyaml, which CircleCI uses: merged entries stand where the `<<` stands, the
//! map's own keys win over merged ones wherever they stand, and of several merges, in one list or
//! under several `<<`, the first to bring a key wins.

use std::collections::HashMap;
use std::rc::Rc;

use super::{Index, Node, Region};

/// Keys and values in their order; no key twice.
#[derive(Clone, Debug, Default)]
pub(crate) struct Map {
    entries: Vec<Entry>,
    index: Index,
}

/// One key and its value.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: Key,
    pub(crate) value: Rc<Node>,
}

/// A key: its text, as written even where YAML 1.1 would take it for something else (`on`).
#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) text: Rc<str>,
    pub(crate) region: Region,
}

impl FromIterator<Entry> for Map {
    /// Of entries of which no two have the same key.
    fn from_iter<I: IntoIterator<Item = Entry>>(entries: I) -> Self {
        Self {
            entries: entries.into_iter().collect(),
            index: Index::default(),
        }
    }
}

impl Entry {
    pub(crate) fn new(key: Key, value: Node) -> Self {
        Self {
            key,
            value: Rc::new(value),
        }
    }
}

impl Key {
    pub(crate) fn new(text: &str, region: Region) -> Self {
        Self {
            text: text.into(),
            region,
        }
    }
}

impl Map {
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    /// Its values may be changed, its keys not.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Entry> {
        self.entries.iter_mut()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Entry> {
        self.index.find(&self.entries, key, |entry| &entry.key.text)
    }

    /// The entry of a map that has only one.
    pub(crate) fn only(&self) -> Option<&Entry> {
        match self.entries.as_slice() {
            [entry] => Some(entry),
            _ => None,
        }
    }
}

/// Makes a [`Map`].
#[derive(Debug, Default)]
pub(crate) struct MapBuilder {
    entries: Vec<Entry>,
    /// Where each key is, and whether it only came by a merge.
    places: HashMap<Rc<str>, (usize, Origin)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    Own,
    Merged,
}

impl MapBuilder {
    /// Adds an entry of the map's own. Tells the key that it replaces, if that was its own too.
    pub(crate) fn insert(&mut self, key: Key, value: Rc<Node>) -> Option<Key> {
        let entry = Entry { key, value };
        let Some((place, origin)) = self.places.get_mut(&entry.key.text) else {
            self.places.insert(
                Rc::clone(&entry.key.text),
                (self.entries.len(), Origin::Own),
            );
            self.entries.push(entry);
            return None;
        };
        let was = std::mem::replace(origin, Origin::Own);
        let old = std::mem::replace(&mut self.entries[*place], entry);
        (was == Origin::Own).then_some(old.key)
    }

    /// Adds the entries of another map whose keys are not there yet.
    pub(crate) fn merge(&mut self, other: &Map) {
        for entry in other.iter() {
            if self.places.contains_key(&entry.key.text) {
                continue;
            }
            self.places.insert(
                Rc::clone(&entry.key.text),
                (self.entries.len(), Origin::Merged),
            );
            self.entries.push(entry.clone());
        }
    }

    pub(crate) fn build(self) -> Map {
        Map {
            entries: self.entries,
            index: Index::default(),
        }
    }
}
