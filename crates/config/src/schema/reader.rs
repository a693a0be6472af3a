//! What every stanza needs to read its values: wanted types, unknown keys, what is not supported yet.

use std::collections::BTreeSet;

use crate::diagnostic::Problems;
use crate::read::{Key, Map, Node, Region, Value};
use crate::suggest::nearest;

use super::unsupported::{Feature, Uses};
use super::{Name, Version, at, expression};

/// Reads one file's stanzas.
pub(super) struct Reader<'r, 'p> {
    pub(super) problems: &'r mut Problems<'p>,
    pub(super) version: Version,
    /// The file's own commands, which steps may name.
    pub(super) commands: BTreeSet<String>,
    /// The orbs that it imports, before the `/` in names.
    pub(super) orbs: BTreeSet<String>,
    uses: Uses,
}

/// What to do about a key that means nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UnknownKeys {
    /// It is an error if it looks like a typo, otherwise doubtful.
    Refused,
    /// It is doubtful in any case.
    Doubted,
}

impl<'r, 'p> Reader<'r, 'p> {
    pub(super) fn new(problems: &'r mut Problems<'p>, version: Version) -> Self {
        Self {
            problems,
            version,
            commands: BTreeSet::new(),
            orbs: BTreeSet::new(),
            uses: Uses::default(),
        }
    }

    /// Tells what was used and is not supported.
    pub(super) fn finish(self) {
        self.uses.tell(self.problems);
    }

    pub(super) fn unsupported(&mut self, region: Region, feature: Feature) {
        self.uses.add(region, feature);
    }

    /// The value as a map; tells if it is none.
    pub(super) fn map<'n>(&mut self, key: &Key, value: &'n Node) -> Option<&'n Map> {
        if let Value::Map(map) = &value.value {
            return Some(map);
        }
        self.wrong_type(key, value, "a map");
        None
    }

    /// The value as a text, references to parameters noticed and `\<<` unescaped; tells if it is no
    /// text. Numbers and booleans are texts too, just as they are written.
    pub(super) fn text(&mut self, key: &Key, value: &Node) -> Option<String> {
        if let Value::Scalar(scalar) = &value.value
            && !scalar.is_null()
        {
            return Some(self.expanded(&scalar.text, at(key, value)));
        }
        self.wrong_type(key, value, "a string");
        None
    }

    /// The value as a text, if there is one: a key with nothing after it is as good as none.
    pub(super) fn optional_text(&mut self, key: &Key, value: &Node) -> Option<String> {
        if value.is_null() {
            return None;
        }
        self.text(key, value)
    }

    /// The value as a name without control characters, not empty.
    pub(super) fn name(&mut self, key: &Key, value: &Node) -> Option<Name> {
        let text = self.text(key, value)?;
        let region = at(key, value);
        self.check_name(&text, region, &format!("`{}`", key.text))
            .then_some(Name { text, region })
    }

    /// Whether a text can be shown as a name.
    pub(super) fn check_name(&mut self, text: &str, region: Region, what: &str) -> bool {
        const MAX_CHARS: usize = 200;
        let fault = if text.trim().is_empty() {
            "must not be empty".to_owned()
        } else if text.contains(char::is_control) {
            "must be one line without control characters".to_owned()
        } else if text.chars().count() > MAX_CHARS {
            format!("must not be longer than {MAX_CHARS} characters")
        } else {
            return true;
        };
        self.problems.error(region, format!("{what} {fault}"));
        false
    }

    /// Whether a text refers to a parameter or a pipeline value; 2.0 has none.
    pub(super) fn is_expression(&self, text: &str) -> bool {
        self.version == Version::V2_1 && expression::is_in(text)
    }

    /// A text as the language means it.
    pub(super) fn expanded(&mut self, text: &str, region: Region) -> String {
        match self.version {
            Version::V2_0 => text.to_owned(),
            Version::V2_1 => {
                if self.is_expression(text) {
                    self.unsupported(region, super::unsupported::EXPRESSIONS);
                }
                text.replace("\\<<", "<<")
            }
        }
    }

    pub(super) fn wrong_type(&mut self, key: &Key, value: &Node, wanted: &str) {
        let message = if value.is_null() {
            format!("`{}` must be {wanted}, and is empty", key.text)
        } else {
            format!("`{}` must be {wanted}, not {}", key.text, value.describe())
        };
        self.problems.error(at(key, value), message);
    }

    /// Tells a key that means nothing in its place, with what was likely meant.
    pub(super) fn unknown_key(
        &mut self,
        key: &Key,
        place: &str,
        known: &[&str],
        unknown_keys: UnknownKeys,
    ) {
        let nearest = nearest(&key.text, known.iter().copied());
        let message = format!("`{}` means nothing in {place}", key.text);
        match unknown_keys {
            UnknownKeys::Refused if nearest.is_some() => {
                self.problems.error(key.region, message).suggest(nearest);
            }
            UnknownKeys::Refused | UnknownKeys::Doubted => {
                let problem = self.problems.warning(key.region, message);
                if nearest.is_some() {
                    problem.suggest(nearest);
                } else {
                    problem.help("it is ignored");
                }
            }
        }
    }
}
