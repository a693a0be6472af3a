//! Orbs: their sources are read, and become scopes of their own.

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use crate::SourceFile;
use crate::diagnostic::Problems;
use crate::inputs::Orbs;
use crate::keys::Place;
use crate::read::{self, Entry, Map, Node, Region, Source};

use super::parameter::UNKNOWN;
use super::scope::{Orb, Scope};

/// How many orbs one config may bring along, those of orbs counted.
pub const MAX_ORBS: usize = 200;

/// How deep orbs may import orbs.
const MAX_DEPTH: usize = 10;

/// Reads orbs, each once.
pub(super) struct Loader<'i> {
    orbs: Option<&'i dyn Orbs>,
    /// By reference.
    loaded: HashMap<String, Option<Rc<Scope>>>,
    /// The references that are being read, outermost first.
    stack: Vec<String>,
    count: usize,
    missing: bool,
    /// References of the config itself in place of those that are written.
    references: Vec<(Rc<str>, Rc<Node>)>,
}

impl<'i> Loader<'i> {
    pub(super) fn new(orbs: Option<&'i dyn Orbs>, references: Vec<(Rc<str>, Rc<Node>)>) -> Self {
        Self {
            orbs,
            loaded: HashMap::new(),
            stack: Vec::new(),
            count: 0,
            missing: false,
            references,
        }
    }

    /// Whether an orb is not at hand.
    pub(super) fn is_any_missing(&self) -> bool {
        self.missing
    }

    /// The names of a config or an orb.
    pub(super) fn scope(&mut self, top: &Map, problems: &mut Problems) -> Scope {
        Scope {
            commands: Scope::definitions(top, "commands", "command", true, problems),
            jobs: Scope::definitions(top, "jobs", "job", true, problems),
            executors: Scope::definitions(top, "executors", "executor", true, problems),
            orbs: self.imports(top, problems),
        }
    }

    fn imports(&mut self, top: &Map, problems: &mut Problems) -> BTreeMap<Rc<str>, Orb> {
        let Some(Entry { key, value }) = top.get("orbs") else {
            return BTreeMap::new();
        };
        if value.is_null() {
            return BTreeMap::new();
        }
        let Some(map) = value.as_map() else {
            problems
                .error(
                    key.region,
                    format!("`orbs` must be a map, not {}", value.describe()),
                )
                .help("write each as `name: namespace/orb@1.2.3`");
            return BTreeMap::new();
        };
        map.iter()
            .map(|entry| {
                let orb = Orb {
                    key: entry.key.clone(),
                    scope: self.import(entry, problems),
                    is_empty: is_empty(&self.filled(entry)),
                    used: Cell::new(false),
                };
                (Rc::clone(&entry.key.text), orb)
            })
            .collect()
    }

    /// What an entry of `orbs` says, with the values in the references of the config itself.
    fn filled(&self, entry: &Entry) -> Rc<Node> {
        let is_own = self.stack.is_empty();
        let mut references = self.references.iter().filter(|_| is_own);
        let found = references.find(|(name, _)| *name == entry.key.text);
        Rc::clone(found.map_or(&entry.value, |(_, filled)| filled))
    }

    fn import(&mut self, entry: &Entry, problems: &mut Problems) -> Option<Rc<Scope>> {
        let key = &entry.key;
        let value = &self.filled(entry);
        self.count += 1;
        if self.count > MAX_ORBS {
            if self.count == MAX_ORBS + 1 {
                problems.error(
                    key.region,
                    format!("the config brings along more than {MAX_ORBS} orbs"),
                );
            }
            return None;
        }
        // What a setup job fills in before it goes on with this config.
        if is_empty(value) {
            self.missing = true;
            return None;
        }
        if let Some(map) = value.as_map() {
            return Some(self.inline(key.region, map, problems));
        }
        let region = value.place(key);
        let Some(reference) = value.as_text() else {
            problems.error(
                region,
                format!(
                    "the orb `{}` must be a reference or a map, not {}",
                    key.text,
                    value.describe()
                ),
            );
            return None;
        };
        if reference.contains(UNKNOWN) {
            self.missing = true;
            return None;
        }
        if let Some(fault) = fault_of(reference) {
            let is_written = !self.references.iter().any(|(name, _)| *name == key.text);
            let problem = problems
                .error(region, format!("`{reference}` can't be an orb: {fault}"))
                .help("write it as `namespace/orb@1.2.3`");
            if !is_written {
                // Some value is not known: whoever looks the config over knows no commit.
                problem.of_kind(crate::ErrorKind::OrbNotAtHand);
            }
            self.missing = true;
            return None;
        }
        if self.stack.iter().any(|outer| outer == reference) {
            problems.error(region, format!("the orb `{reference}` imports itself"));
            return None;
        }
        if self.stack.len() >= MAX_DEPTH {
            problems.error(
                region,
                format!("orbs import orbs more than {MAX_DEPTH} deep"),
            );
            return None;
        }
        if let Some(loaded) = self.loaded.get(reference) {
            return loaded.clone();
        }
        self.stack.push(reference.to_owned());
        let scope = self.load(reference, region, problems);
        self.stack.pop();
        self.missing |= scope.is_none();
        self.loaded.insert(reference.to_owned(), scope.clone());
        scope
    }

    fn inline(&mut self, region: Region, map: &Map, problems: &mut Problems) -> Rc<Scope> {
        if self.stack.len() >= MAX_DEPTH {
            problems.error(
                region,
                format!("orbs import orbs more than {MAX_DEPTH} deep"),
            );
            return Rc::new(Scope::default());
        }
        tell_unknown_keys(map, problems);
        self.stack.push(String::new());
        let scope = self.scope(map, problems);
        self.stack.pop();
        Rc::new(scope)
    }

    fn load(
        &mut self,
        reference: &str,
        region: Region,
        problems: &mut Problems,
    ) -> Option<Rc<Scope>> {
        let source = match self.orbs {
            Some(orbs) => orbs.source(reference),
            None => Err("is not at hand".to_owned()),
        };
        let source = match source {
            Ok(source) => source,
            Err(why) => {
                let remedy = self.orbs.and_then(|orbs| orbs.remedy(reference));
                let problem = problems
                    .error(region, format!("the orb `{reference}` {why}"))
                    .of_kind(crate::ErrorKind::OrbNotAtHand);
                if let Some(remedy) = remedy {
                    problem.help(remedy);
                }
                return None;
            }
        };
        let file = SourceFile {
            path: source.name,
            text: source.text,
        };
        let outer = problems.enter(region, format!("the orb `{reference}` is imported here"));
        let decoded = match Source::decode(problems.next_file(), &file) {
            Ok(decoded) => Rc::new(decoded),
            Err(diagnostic) => {
                problems.add(*diagnostic);
                problems.leave(outer);
                return None;
            }
        };
        problems.add_source(Rc::clone(&decoded));
        let root = read::read(&decoded, problems);
        let scope = root.and_then(|root| match root.as_map() {
            Some(top) => Some(Rc::new(self.scope(top, problems))),
            None => {
                problems.error(
                    root.region,
                    format!("an orb is a map with `commands`, not {}", root.describe()),
                );
                None
            }
        });
        problems.leave(outer);
        scope
    }
}

fn is_empty(value: &Node) -> bool {
    value.is_null() || value.as_map().is_some_and(Map::is_empty)
}

fn tell_unknown_keys(map: &Map, problems: &mut Problems) {
    for Entry { key, .. } in map.iter() {
        if Place::Orb.key(&key.text).is_some() {
            continue;
        }
        let nearest = problems.nearest(&key.text, Place::Orb.names());
        if nearest.is_some() {
            problems
                .warning(
                    key.region,
                    format!("`{}` means nothing in an orb", key.text),
                )
                .suggest(nearest);
        }
    }
}

/// What is wrong with a reference: `namespace/orb@version` or an address is right.
fn fault_of(reference: &str) -> Option<&'static str> {
    if reference.starts_with("https://") {
        return None;
    }
    let (name, version) = match reference.split_once('@') {
        Some((_, "")) => return Some("its version is missing"),
        Some(parts) => parts,
        None => return Some("its version is missing"),
    };
    let is_word = |word: &str| {
        !word.is_empty()
            && word
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
    };
    let is_named = name
        .split_once('/')
        .is_some_and(|(namespace, orb)| is_word(namespace) && is_word(orb));
    if !is_named {
        return Some("its name must be `namespace/orb`");
    }
    let is_development = version
        .strip_prefix("dev:")
        .is_some_and(|label| !label.is_empty() && !label.contains(char::is_whitespace));
    let numbers: Vec<&str> = version.split('.').collect();
    // Whether there is such a version is for whoever has the orb to say.
    let is_release = numbers.len() <= 3
        && numbers.iter().all(|number| {
            !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_alphanumeric())
        });
    if version == "volatile" || is_development || is_release {
        return None;
    }
    Some("its version must be like `1.2.3`, `1.2`, `1`, `volatile` or `dev:label`")
}
