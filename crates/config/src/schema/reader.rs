//! What every stanza needs to read its values: wanted types, unknown keys, what is ignored.

use crate::diagnostic::Problems;
use crate::expand::UNKNOWN;
use crate::fault::Fault;
use crate::keys::{Place, meant};
use crate::pattern::{Pattern, Patterns};
use crate::read::{Key, Map, Node, Region, Value};

use super::ignored::{Feature, Uses};
use super::{Name, at_item};

/// Reads one file's stanzas.
pub(super) struct Reader<'r> {
    pub(super) problems: &'r mut Problems,
    /// Whether keys that mean nothing are refused.
    is_strict: bool,
    /// Whether what is read runs nowhere.
    is_idle: bool,
    uses: Uses,
    /// The filters that were read so far: many jobs have the same, and a regular expression takes time.
    patterns: &'r mut Patterns,
}

/// What to do about a key that means nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UnknownKeys {
    /// It is an error in version 2.1, otherwise doubtful.
    Refused,
    /// It is doubtful in any case.
    Doubted,
}

impl<'r> Reader<'r> {
    pub(super) fn new(
        problems: &'r mut Problems,
        patterns: &'r mut Patterns,
        is_strict: bool,
    ) -> Self {
        Self {
            problems,
            is_strict,
            is_idle: false,
            uses: Uses::default(),
            patterns,
        }
    }

    /// What a filter matches.
    pub(super) fn pattern(&mut self, text: &str) -> Result<Pattern, Fault> {
        self.patterns.filter(text)
    }

    /// Tells what was used and means nothing here.
    pub(super) fn finish(self) {
        self.uses.tell(self.problems);
    }

    /// Notes what means nothing here. In what runs nowhere that makes no difference.
    pub(super) fn ignore(&mut self, region: Region, feature: Feature) {
        if !self.is_idle {
            self.uses.add(region, feature);
        }
    }

    /// Says whether what is read from now on runs nowhere.
    pub(super) fn set_idle(&mut self, is_idle: bool) {
        self.is_idle = is_idle;
    }

    /// The value as a map; tells if it is none.
    pub(super) fn map<'n>(&mut self, key: &Key, value: &'n Node) -> Option<&'n Map> {
        if let Value::Map(map) = &value.value {
            return Some(map);
        }
        self.wrong_type(key, value, "a map");
        None
    }

    /// The value as a text; tells if it is none. Numbers and booleans are texts too, just as they are
    /// written.
    pub(super) fn text(&mut self, key: &Key, value: &Node) -> Option<String> {
        if let Value::Scalar(scalar) = &value.value
            && !scalar.is_null()
        {
            return Some(scalar.text.clone());
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
        let region = value.place(key);
        self.check_name(&text, region, &format!("`{}`", key.text))
            .then_some(Name { text, region })
    }

    /// Whether a text can be shown as a name.
    pub(super) fn check_name(&mut self, text: &str, region: Region, what: &str) -> bool {
        const MAX_CHARS: usize = 200;
        if is_unknown(text) {
            return false;
        }
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

    /// The value as a whole number that is at least so large; tells if it is none.
    pub(super) fn number(&mut self, key: &Key, value: &Node, least: u32) -> Option<u32> {
        let text = value.as_text().unwrap_or_default().trim();
        match text.parse::<u32>() {
            Ok(number) if number >= least => Some(number),
            Ok(_) => {
                self.problems.error_of(
                    key,
                    value,
                    format!("`{}` must be at least {least}", key.text),
                );
                None
            }
            Err(_) if is_unknown(text) => None,
            Err(_) => {
                self.wrong_type(key, value, "a whole number");
                None
            }
        }
    }

    /// The value as a boolean; tells if it is none.
    pub(super) fn boolean(&mut self, key: &Key, value: &Node) -> Option<bool> {
        match (value.as_bool(), value.as_text()) {
            (Some(truth), _) => Some(truth),
            (None, Some("true")) => Some(true),
            (None, Some("false")) => Some(false),
            (None, Some(text)) if is_unknown(text) => None,
            (None, _) => {
                self.wrong_type(key, value, "a boolean");
                None
            }
        }
    }

    /// The value as a list of texts, where one alone is as good; tells what is none.
    pub(super) fn texts(&mut self, key: &Key, value: &Node) -> Vec<String> {
        match &value.value {
            Value::Scalar(scalar) if scalar.is_null() => Vec::new(),
            Value::Scalar(_) => self.text(key, value).into_iter().collect(),
            Value::List(items) => items
                .iter()
                .filter_map(|item| {
                    if item.as_text().is_none() {
                        self.problems.error(
                            at_item(key, item),
                            format!(
                                "an entry of `{}` must be a string, not {}",
                                key.text,
                                item.describe()
                            ),
                        );
                    }
                    item.as_text().map(str::to_owned)
                })
                .collect(),
            Value::Map(_) => {
                self.wrong_type(key, value, "a list");
                Vec::new()
            }
        }
    }

    /// The value as a duration in milliseconds; tells if it is none.
    pub(super) fn duration(&mut self, key: &Key, value: &Node) -> Option<u64> {
        let text = self.optional_text(key, value)?;
        if is_unknown(&text) {
            return None;
        }
        match crate::duration::parse(&text) {
            Ok(ms) => Some(ms),
            Err(fault) => {
                let problem = self.problems.error_of(
                    key,
                    value,
                    format!("`{}` is no duration: {}", key.text, fault.message),
                );
                match fault.help {
                    Some(help) => problem.help(help),
                    None => problem.help("write it as `10m` or `1h30m`"),
                };
                None
            }
        }
    }

    pub(super) fn wrong_type(&mut self, key: &Key, value: &Node, wanted: &str) {
        if value.as_text().is_some_and(is_unknown) {
            return;
        }
        let message = if value.is_null() {
            format!("`{}` must be {wanted}, and is empty", key.text)
        } else {
            format!("`{}` must be {wanted}, not {}", key.text, value.describe())
        };
        self.problems.error_of(key, value, message);
    }

    /// Tells a key that means nothing in its place (for people: `shown`), with what was likely meant.
    pub(super) fn unknown_key(
        &mut self,
        key: &Key,
        shown: &str,
        place: Place,
        unknown_keys: UnknownKeys,
    ) {
        if is_unknown(&key.text) {
            return;
        }
        let meant = meant(place, &key.text);
        let message = format!("`{}` means nothing in {shown}", key.text);
        match unknown_keys {
            UnknownKeys::Refused if self.is_strict => {
                self.problems.error(key.region, message).meant(meant);
            }
            UnknownKeys::Refused | UnknownKeys::Doubted => {
                let problem = self.problems.warning(key.region, message);
                if meant.is_some() {
                    problem.meant(meant);
                } else {
                    problem.help("it is ignored");
                }
            }
        }
    }
}

/// Whether a text stands for a value that is missing or wrong, which has been told.
pub(super) fn is_unknown(text: &str) -> bool {
    text.contains(UNKNOWN)
}
