//! An orb's unpacked source to the one text that is published: the files of its folders become entries of
//! `commands`, `jobs`, `executors` and `examples`, and `<<include(file)>>` becomes that file's text.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::diagnostic::Problems;
use crate::process::{Processed, yaml};
use crate::read::{self, Entry, FileId, Key, Map, Node, Scalar, Source, Value};
use crate::{Diagnostic, MAX_FILE_BYTES, SourceFile};

/// The file that holds what is in no folder.
const ROOT: &str = "@orb.yml";
/// The folders whose files become entries.
const SECTIONS: [&str; 4] = ["commands", "jobs", "executors", "examples"];
/// What an include begins with, blanks aside.
const INCLUDE: &str = "include(";

/// Packs the files of an orb's source, whose paths are those from its root: `@orb.yml`,
/// `commands/greet.yml`, `scripts/greet.sh`. What is wrong with the orb itself is not told here.
pub fn pack(files: &[SourceFile]) -> Processed {
    let Some(root) = files.iter().find(|file| file.path == ROOT) else {
        return refused(Diagnostic::error("", format!("there is no `{ROOT}`")));
    };
    let source = match Source::decode(FileId::default(), root) {
        Ok(source) => Rc::new(source),
        Err(diagnostic) => return refused(*diagnostic),
    };
    let mut problems = Problems::new(Rc::clone(&source));
    let packed = read::read(&source, &mut problems).and_then(|root| {
        let mut packer = Packer {
            texts: files
                .iter()
                .map(|file| (file.path.as_str(), file.text.as_slice()))
                .collect(),
            room: MAX_FILE_BYTES,
            problems: &mut problems,
        };
        packer.orb(&root, files)
    });
    let text = packed
        .filter(|_| !problems.has_errors())
        .map(|packed| yaml(&packed));
    Processed {
        text,
        diagnostics: problems.finish(),
    }
}

fn refused(diagnostic: Diagnostic) -> Processed {
    Processed {
        text: None,
        diagnostics: vec![diagnostic],
    }
}

struct Packer<'f, 'p> {
    /// By path.
    texts: BTreeMap<&'f str, &'f [u8]>,
    /// How many bytes may still be included: a file may be included often.
    room: usize,
    problems: &'p mut Problems,
}

impl Packer<'_, '_> {
    fn orb(&mut self, root: &Rc<Node>, files: &[SourceFile]) -> Option<Node> {
        let Some(top) = root.as_map() else {
            let what = root.describe();
            self.problems
                .error(root.region, format!("an orb is a map, not {what}"));
            return None;
        };
        let mut entries: Vec<Entry> = top.iter().map(|entry| self.included(entry)).collect();
        for section in SECTIONS {
            let mut found = Vec::new();
            for file in files {
                let name = file
                    .path
                    .strip_prefix(section)
                    .and_then(|rest| rest.strip_prefix('/'))
                    .and_then(|name| {
                        let stem = name.strip_suffix(".yml");
                        stem.or_else(|| name.strip_suffix(".yaml"))
                    })
                    .filter(|name| !name.is_empty() && !name.contains('/'));
                if let Some(name) = name {
                    found.extend(self.file(name, file));
                }
            }
            if !found.is_empty() {
                self.add(section, found, &mut entries);
            }
        }
        Some(Node::map(root.region, entries.into_iter().collect()))
    }

    /// The entry that a file of a folder becomes.
    fn file(&mut self, name: &str, file: &SourceFile) -> Option<Entry> {
        let source = match Source::decode(self.problems.next_file(), file) {
            Ok(source) => Rc::new(source),
            Err(diagnostic) => {
                self.problems.add(*diagnostic);
                return None;
            }
        };
        self.problems.add_source(Rc::clone(&source));
        let node = read::read(&source, self.problems)?;
        let key = Key::new(name, node.region);
        Some(self.included(&Entry { key, value: node }))
    }

    /// Adds what a folder holds to what the root file says under that key.
    fn add(&mut self, section: &str, found: Vec<Entry>, entries: &mut Vec<Entry>) {
        let known = entries.iter_mut().find(|entry| &*entry.key.text == section);
        let mut all: Vec<Entry> = match &known {
            Some(entry) if entry.value.is_null() => Vec::new(),
            Some(entry) => match entry.value.as_map() {
                Some(map) => map.iter().cloned().collect(),
                None => {
                    let what = entry.value.describe();
                    self.problems.error(
                        entry.key.region,
                        format!("`{section}` must be a map, not {what}"),
                    );
                    return;
                }
            },
            None => Vec::new(),
        };
        for entry in found {
            let double = all.iter().find(|other| other.key.text == entry.key.text);
            if let Some(double) = double {
                let place = self
                    .problems
                    .related(double.key.region, "it is here already");
                self.problems
                    .error(
                        entry.key.region,
                        format!("`{section}` has `{}` twice", entry.key.text),
                    )
                    .related(place);
            } else {
                all.push(entry);
            }
        }
        let map: Map = all.into_iter().collect();
        match known {
            Some(entry) => entry.value = Rc::new(Node::map(entry.value.region, map)),
            None => {
                let region = map.iter().next().map(|entry| entry.key.region);
                let region = region.unwrap_or_default();
                entries.push(Entry::new(
                    Key::new(section, region),
                    Node::map(region, map),
                ));
            }
        }
    }

    fn included(&mut self, entry: &Entry) -> Entry {
        Entry {
            key: entry.key.clone(),
            value: self.node(&entry.value),
        }
    }

    /// A node with the texts of the files that it includes. It is no deeper than what is read.
    fn node(&mut self, node: &Rc<Node>) -> Rc<Node> {
        if !node.templated {
            return Rc::clone(node);
        }
        Rc::new(match &node.value {
            Value::Scalar(scalar) => match self.scalar(scalar, node) {
                Some(text) => Node::text(node.region, text),
                None => return Rc::clone(node),
            },
            Value::List(items) => {
                let items = items.iter().map(|item| self.node(item)).collect();
                Node::list(node.region, items)
            }
            Value::Map(map) => {
                let map = map.iter().map(|entry| self.included(entry)).collect();
                Node::map(node.region, map)
            }
        })
    }

    /// The text of the file that a scalar includes.
    fn scalar(&mut self, scalar: &Scalar, node: &Node) -> Option<String> {
        let begins = scalar
            .text
            .match_indices("<<")
            .find(|(place, _)| scalar.text[place + 2..].trim_start().starts_with(INCLUDE))?;
        let inner = scalar
            .text
            .trim()
            .strip_prefix("<<")
            .and_then(|rest| rest.strip_suffix(">>"))
            .and_then(|inner| inner.trim().strip_prefix(INCLUDE)?.strip_suffix(')'));
        let Some(path) = inner.filter(|_| scalar.text[..begins.0].trim().is_empty()) else {
            self.problems
                .error(node.region, "an include must be the whole value")
                .help("write nothing but `<<include(file)>>`");
            return None;
        };
        let path = path.trim();
        let path = path.strip_prefix("./").unwrap_or(path);
        let Some(bytes) = self.texts.get(path).copied() else {
            let texts: Vec<&str> = self.texts.keys().copied().collect();
            let nearest = self.problems.nearest(path, texts);
            self.problems
                .error(
                    node.region,
                    format!("there is no file `{path}` in the orb's source"),
                )
                .suggest(nearest);
            return None;
        };
        let Some(room) = self.room.checked_sub(bytes.len()) else {
            if !self.problems.has_errors() {
                self.problems.error(
                    node.region,
                    format!("the orb includes more than {} KiB", MAX_FILE_BYTES / 1024),
                );
            }
            return None;
        };
        self.room = room;
        match std::str::from_utf8(bytes) {
            // What the file says is no template.
            Ok(text) => Some(text.replace("<<", "\\<<")),
            Err(_) => {
                self.problems
                    .error(node.region, format!("`{path}` is not text"));
                None
            }
        }
    }
}
