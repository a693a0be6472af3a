//! `only` and `ignore`: for which branches, tags or files something is.

use crate::keys::Place;
use crate::read::{Entry, Key, Node, Value};

use super::reader::{Reader, is_unknown};
use super::{Filter, FilterStanza, at_item};

/// Reads them. A list, or a name alone, is as good as `only`.
pub(super) fn filter(key: &Key, value: &Node, reader: &mut Reader<'_>) -> FilterStanza {
    let mut stanza = FilterStanza::default();
    let Value::Map(map) = &value.value else {
        if !value.is_null() {
            reader
                .problems
                .warning(key.region, format!("`{}` is read as its `only`", key.text))
                .help(format!("write `{}: {{only: …}}`", key.text));
            stanza.only = Some(filters(key, value, reader));
        }
        return stanza;
    };
    for Entry { key, value } in map.iter() {
        match Place::Filter.own(&key.text) {
            "only" => stanza.only = Some(filters(key, value, reader)),
            "ignore" => stanza.ignore = Some(filters(key, value, reader)),
            _ => {
                let nearest = reader.problems.nearest(&key.text, Place::Filter.names());
                let problem = reader.problems.error(
                    key.region,
                    format!("`{}` means nothing in a filter", key.text),
                );
                match nearest {
                    Some(_) => problem.suggest(nearest),
                    None => problem.help("it is `only` or `ignore`"),
                };
            }
        }
    }
    stanza
}

fn filters(key: &Key, value: &Node, reader: &mut Reader<'_>) -> Vec<Filter> {
    match &value.value {
        Value::List(items) => items
            .iter()
            .filter_map(|item| {
                let place = at_item(key, item);
                match item.as_text() {
                    Some(text) => one(text, place, reader),
                    None => {
                        reader.problems.error(
                            place,
                            format!(
                                "an entry of `{}` must be a string, not {}",
                                key.text,
                                item.describe()
                            ),
                        );
                        None
                    }
                }
            })
            .collect(),
        Value::Scalar(scalar) if scalar.is_null() => Vec::new(),
        Value::Scalar(scalar) => one(&scalar.text, value.place(key), reader)
            .into_iter()
            .collect(),
        Value::Map(_) => {
            reader.wrong_type(key, value, "a list");
            Vec::new()
        }
    }
}

fn one(text: &str, place: crate::read::Region, reader: &mut Reader<'_>) -> Option<Filter> {
    if is_unknown(text) {
        return None;
    }
    match reader.pattern(text) {
        Ok(pattern) => Some(Filter {
            text: text.to_owned(),
            pattern,
        }),
        Err(fault) => {
            let why = fault.message;
            let problem = reader
                .problems
                .error(place, format!("the filter `{text}` can't be used: {why}"));
            if let Some(help) = fault.help {
                problem.help(help);
            }
            None
        }
    }
}
