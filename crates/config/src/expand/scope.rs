//! What names stand for: the commands, jobs, executors and orbs of a config, and of each orb.

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use crate::diagnostic::Problems;
use crate::keys::{Place, meant};
use crate::read::{Entry, Key, Map, Node};

use super::parameter::{self, Parameters};

/// The names of one config or orb.
#[derive(Default)]
pub(super) struct Scope {
    pub(super) commands: Definitions,
    pub(super) jobs: Definitions,
    pub(super) executors: Definitions,
    pub(super) orbs: BTreeMap<Rc<str>, Orb>,
}

/// An imported orb.
pub(super) struct Orb {
    pub(super) key: Key,
    /// None if it is not at hand, or can't be read; that has been told. None too if it is a map with
    /// nothing in it, which is told if it is used.
    pub(super) scope: Option<Rc<Scope>>,
    pub(super) is_empty: bool,
    pub(super) used: Cell<bool>,
}

pub(super) type Definitions = HashMap<Rc<str>, Rc<Definition>>;

/// A command, a job or an executor.
pub(super) struct Definition {
    pub(super) key: Key,
    pub(super) node: Rc<Node>,
    pub(super) parameters: Parameters,
    pub(super) used: Cell<bool>,
    /// Whether what it stands for was expanded somewhere, or looked over.
    pub(super) expanded: Cell<bool>,
    /// Whether it is no map, which has been told.
    pub(super) is_wrong: bool,
    /// What it is another name for, if it is just that: `install: node/install`.
    pub(super) alias: Option<String>,
}

impl Definition {
    fn new(key: &Key, node: &Rc<Node>) -> Self {
        Self {
            key: key.clone(),
            node: Rc::clone(node),
            parameters: Parameters::default(),
            used: Cell::new(false),
            expanded: Cell::new(false),
            is_wrong: false,
            alias: None,
        }
    }

    /// Its body; definitions are only made of maps.
    pub(super) fn body(&self) -> impl Iterator<Item = &Entry> {
        self.node.as_map().into_iter().flat_map(Map::iter)
    }

    pub(super) fn get(&self, key: &str) -> Option<&Entry> {
        self.node.as_map()?.get(key)
    }
}

/// What a name stands for.
pub(super) enum Found {
    /// This, whose own names are to be looked up there.
    Definition(Rc<Definition>, Rc<Scope>),
    /// It is of an orb that is not at hand, which has been told.
    NotAtHand,
    /// What it stands for is no definition, which has been told.
    Wrong,
    /// Nothing has that name.
    Nothing,
    /// It is of an orb that is not imported.
    NoOrb(String),
}

impl Scope {
    /// Reads the definitions of a map under one of its keys.
    pub(super) fn definitions(
        top: &Map,
        key: &str,
        noun: &str,
        is_strict: bool,
        problems: &mut Problems,
    ) -> Definitions {
        let Some(Entry { key, value }) = top.get(key) else {
            return Definitions::new();
        };
        if value.is_null() {
            return Definitions::new();
        }
        let Some(map) = value.as_map() else {
            // Who reads jobs tells it of them.
            if noun != "job" {
                problems.error(
                    key.region,
                    format!("`{}` must be a map, not {}", key.text, value.describe()),
                );
            }
            return Definitions::new();
        };
        let mut definitions = Definitions::new();
        for Entry { key, value } in map.iter() {
            if let Some(alias) = value.as_text().filter(|alias| alias.contains('/')) {
                let definition = Definition {
                    alias: Some(alias.to_owned()),
                    ..Definition::new(key, value)
                };
                definitions.insert(Rc::clone(&key.text), Rc::new(definition));
                continue;
            }
            if is_strict {
                check_name(noun, key, problems);
            }
            let Some(body) = value.as_map() else {
                // A job without steps is told where it is read.
                if !value.is_null() || noun != "job" {
                    problems.error(
                        key.region,
                        format!(
                            "the {noun} `{}` must be a map, not {}",
                            key.text,
                            value.describe()
                        ),
                    );
                }
                let nothing = Rc::new(Node::map(key.region, Map::default()));
                let definition = Definition {
                    is_wrong: !value.is_null() || noun != "job",
                    ..Definition::new(key, &nothing)
                };
                definitions.insert(Rc::clone(&key.text), Rc::new(definition));
                continue;
            };
            if is_strict {
                check_keys(noun, &key.text, body, problems);
            }
            let parameters = parameter::declared(body, false, problems);
            check_reserved(noun, &parameters, problems);
            let definition = Definition {
                parameters,
                ..Definition::new(key, value)
            };
            definitions.insert(Rc::clone(&key.text), Rc::new(definition));
        }
        definitions
    }

    /// What a name stands for here: `greet`, or `orb/greet`.
    pub(super) fn find(self: &Rc<Self>, name: &str, of: impl Fn(&Self) -> &Definitions) -> Found {
        /// How often a name may stand for another name.
        const MAX_ALIASES: usize = 10;
        let mut name = name;
        for _ in 0..MAX_ALIASES {
            let Some(definition) = of(self).get(name) else {
                break;
            };
            definition.used.set(true);
            match &definition.alias {
                Some(alias) => name = alias.as_str(),
                None if definition.is_wrong => return Found::Wrong,
                None => return Found::Definition(Rc::clone(definition), Rc::clone(self)),
            }
        }
        let Some((orb, inner)) = name.split_once('/') else {
            return Found::Nothing;
        };
        let Some(orb) = self.orbs.get(orb) else {
            return Found::NoOrb(orb.to_owned());
        };
        orb.used.set(true);
        let Some(scope) = &orb.scope else {
            return Found::NotAtHand;
        };
        match of(scope).get(inner) {
            Some(definition) => {
                definition.used.set(true);
                if definition.is_wrong {
                    return Found::Wrong;
                }
                Found::Definition(Rc::clone(definition), Rc::clone(scope))
            }
            None => Found::Nothing,
        }
    }

    /// All names of a kind, those of orbs with the orb's: for suggestions, so none if there are too many.
    pub(super) fn names(&self, of: impl Fn(&Self) -> &Definitions) -> Vec<String> {
        const MAX_NAMES: usize = 5_000;
        let scopes = self.orbs.values().filter_map(|orb| orb.scope.as_deref());
        let count = scopes.map(|scope| of(scope).len()).sum::<usize>() + of(self).len();
        if count > MAX_NAMES {
            return Vec::new();
        }
        let mut names: Vec<String> = of(self).keys().map(ToString::to_string).collect();
        for (orb, import) in &self.orbs {
            if let Some(scope) = &import.scope {
                names.extend(of(scope).keys().map(|name| format!("{orb}/{name}")));
            }
        }
        names.sort_unstable();
        names
    }
}

/// As CircleCI's schema has it: `^[a-z][a-z\d_-]*$` for commands and executors, for jobs
/// `^[A-Za-z][A-Za-z\s\d_-]*$`.
fn check_name(noun: &str, key: &Key, problems: &mut Problems) {
    let name = &*key.text;
    let is_job = noun == "job";
    let is_letter = |c: char| c.is_ascii_lowercase() || (is_job && c.is_ascii_uppercase());
    let is_other =
        |c: char| c.is_ascii_digit() || matches!(c, '_' | '-') || (is_job && c.is_whitespace());
    if !name.starts_with(is_letter) || !name.chars().all(|c| is_letter(c) || is_other(c)) {
        let help = if is_job {
            "begin with a letter, and use letters, digits, `_`, `-` and blanks"
        } else {
            "begin with a small letter, and use small letters, digits, `_` and `-`"
        };
        problems
            .error(
                key.region,
                format!("`{name}` can't be the name of a {noun}"),
            )
            .help(help);
    }
}

/// The keys of a command, and of an executor; those of a job are known where jobs are read.
fn check_keys(noun: &str, name: &str, body: &Map, problems: &mut Problems) {
    let place = match noun {
        "command" => Place::Command,
        "executor" => Place::Executor,
        _ => return,
    };
    for Entry { key, .. } in body.iter() {
        if place.key(&key.text).is_none() {
            problems
                .error(
                    key.region,
                    format!("`{}` means nothing in the {noun} `{name}`", key.text),
                )
                .meant(meant(place, &key.text));
        }
    }
}

/// "The following parameter names are reserved": a use could not tell them from its own keys.
fn check_reserved(noun: &str, parameters: &Parameters, problems: &mut Problems) {
    let reserved: &[&str] = match noun {
        "job" => &["name", "requires", "context", "type", "filters"],
        "command" => &["name"],
        _ => &[],
    };
    for parameter in parameters.iter() {
        if reserved.contains(&&*parameter.name.text) {
            problems
                .error(
                    parameter.name.region,
                    format!(
                        "a parameter of a {noun} can't be named `{}`",
                        parameter.name.text
                    ),
                )
                .help("that name means something else where it is used");
        }
    }
}
