//! `environment`: a map, or a list of one-entry maps and `NAME=value` strings, or one such string.
//!
//! Values are texts to a process. Numbers keep the digits that their author wrote (`1.10` stays
//! `1.10`); YAML 1.1's booleans become `true` and `false`, as CircleCI hands them on; null is empty.

use crate::read::{Entry, Key, Node, Region, Value};

use super::at_item;
use super::reader::{Reader, is_unknown};

/// Which names variables may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Names {
    /// Those that a shell can use, as steps do.
    Shell,
    /// Any that a container can be given: databases are set up with `discovery.type` and the like.
    Any,
}

/// Reads it; what is wrong in it is told and left out.
pub(super) fn environment(
    entry: &Entry,
    names: Names,
    reader: &mut Reader<'_>,
) -> Vec<(String, String)> {
    let Entry { key, value } = entry;
    let mut variables = Variables {
        names,
        found: Vec::new(),
        reader,
    };
    match &value.value {
        Value::Map(map) => {
            for Entry { key, value } in map.iter() {
                variables.add(key, value);
            }
        }
        Value::List(items) => {
            for item in items {
                variables.add_item(key, item);
            }
        }
        Value::Scalar(scalar) if scalar.is_null() => {}
        // `environment: NAME=value`; CircleCI lets it pass.
        Value::Scalar(scalar) if scalar.text.contains('=') => variables.add_item(key, value),
        Value::Scalar(_) => variables.reader.wrong_type(key, value, "a map"),
    }
    variables.found
}

struct Variables<'v, 'r> {
    names: Names,
    found: Vec<(String, String)>,
    reader: &'v mut Reader<'r>,
}

impl Variables<'_, '_> {
    fn add_item(&mut self, list: &Key, item: &Node) {
        match &item.value {
            Value::Map(map) => {
                for Entry { key, value } in map.iter() {
                    self.add(key, value);
                }
            }
            Value::Scalar(scalar) => {
                let text = &scalar.text;
                // Without `=`, docker would hand on the host's variable; jobs see none of those.
                let (name, value) = text.split_once('=').unwrap_or((text, ""));
                if self.is_name(name, at_item(list, item)) {
                    self.found.push((name.to_owned(), value.to_owned()));
                }
            }
            Value::List(_) => {
                self.reader
                    .problems
                    .error(
                        item.region,
                        "an entry of `environment` must be a map or `NAME=value`, not a list",
                    )
                    .help("write `NAME: value`");
            }
        }
    }

    fn add(&mut self, key: &Key, value: &Node) {
        let Value::Scalar(scalar) = &value.value else {
            self.reader
                .problems
                .error(
                    key.region,
                    format!(
                        "the environment variable `{}` must be a string, not {}",
                        key.text,
                        value.describe()
                    ),
                )
                .help("quote it if it is one");
            return;
        };
        let text = if scalar.is_null() {
            String::new()
        } else if let Some(word) = scalar.as_bool() {
            word.to_string()
        } else {
            scalar.text.clone()
        };
        if self.is_name(&key.text, key.region) {
            self.found.push((key.text.to_string(), text));
        }
    }

    fn is_name(&mut self, name: &str, region: Region) -> bool {
        let (fits, help) = match self.names {
            Names::Shell => (
                name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
                    && !name.starts_with(|c: char| c.is_ascii_digit()),
                "use letters, digits and `_`, and begin with no digit",
            ),
            Names::Any => (
                !name.contains(|c: char| c == '=' || c.is_control()),
                "use no `=` and no control characters",
            ),
        };
        if fits && !name.is_empty() {
            return true;
        }
        if is_unknown(name) {
            return false;
        }
        self.reader
            .problems
            .error(
                region,
                format!("`{name}` can't be the name of an environment variable"),
            )
            .help(help);
        false
    }
}
