//! What a config stands for, written down: a config of version 2 without orbs, parameters and
//! conditions, that compiles to the same plan. The same config gives the same bytes.

use std::rc::Rc;

use crate::diagnostic::Problems;
use crate::expand::{self, Budget};
use crate::pattern::Patterns;
use crate::read::{self, FileId, Map, Node, Scalar, Source, Value};
use crate::{Diagnostic, Inputs, SourceFile};

/// What came of writing a config down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Processed {
    /// The expanded config, as YAML; present exactly if no diagnostic is an error.
    pub text: Option<String>,
    /// What keeps it from being expanded. Compiling tells the rest.
    pub diagnostics: Vec<Diagnostic>,
}

/// Expands one file. What is wrong with the expanded config is not told here: see [`crate::compile`].
pub fn process(file: &SourceFile, inputs: &Inputs<'_>) -> Processed {
    let source = match Source::decode(FileId::default(), file) {
        Ok(source) => Rc::new(source),
        Err(diagnostic) => {
            return Processed {
                text: None,
                diagnostics: vec![*diagnostic],
            };
        }
    };
    let mut problems = Problems::new(Rc::clone(&source));
    let expanded = read::read(&source, &mut problems).and_then(|root| {
        expand::expand(
            &root,
            inputs,
            &mut Budget::default(),
            &mut Patterns::default(),
            &mut problems,
        )
    });
    let text = match expanded {
        Some(expanded) if !problems.has_errors() => Some(yaml(&expanded.root)),
        Some(_) | None => None,
    };
    Processed {
        text,
        diagnostics: problems.finish(),
    }
}

pub(crate) fn yaml(root: &Node) -> String {
    let mut text = String::new();
    match &root.value {
        Value::Map(map) => write_map(map, 0, &mut text),
        Value::Scalar(_) | Value::List(_) => {}
    }
    text
}

fn write_map(map: &Map, indent: usize, text: &mut String) {
    for (place, entry) in map.iter().enumerate() {
        if place > 0 {
            pad(indent, text);
        }
        write_line(&entry.key.text, text);
        text.push(':');
        write_value(&entry.value, indent, text);
    }
}

/// What follows a key; a list or map in lines of their own.
fn write_value(node: &Node, indent: usize, text: &mut String) {
    match &node.value {
        Value::Scalar(scalar) => {
            text.push(' ');
            write_scalar(scalar, indent + 2, text);
        }
        Value::List(items) if items.is_empty() => text.push_str(" []\n"),
        Value::List(items) => {
            text.push('\n');
            write_list(items, indent, text);
        }
        Value::Map(map) if map.is_empty() => text.push_str(" {}\n"),
        Value::Map(map) => {
            text.push('\n');
            pad(indent + 2, text);
            write_map(map, indent + 2, text);
        }
    }
}

fn write_list(items: &[Rc<Node>], indent: usize, text: &mut String) {
    for item in items {
        pad(indent, text);
        text.push('-');
        match &item.value {
            Value::Map(map) if !map.is_empty() => {
                text.push(' ');
                write_map(map, indent + 2, text);
            }
            Value::List(inner) if !inner.is_empty() => {
                text.push('\n');
                write_list(inner, indent + 2, text);
            }
            Value::Scalar(_) | Value::List(_) | Value::Map(_) => write_value(item, indent, text),
        }
    }
}

fn pad(indent: usize, text: &mut String) {
    text.extend(std::iter::repeat_n(' ', indent));
}

fn write_scalar(scalar: &Scalar, indent: usize, text: &mut String) {
    if scalar.is_null() {
        text.push_str("null\n");
        return;
    }
    let is_word = scalar.as_bool().is_some() || scalar.is_number();
    if is_word {
        text.push_str(&scalar.text);
        text.push('\n');
    } else if is_block(&scalar.text) {
        write_block(&scalar.text, indent, text);
    } else {
        write_line(&scalar.text, text);
        text.push('\n');
    }
}

/// Whether a text is better read as lines, and can be.
fn is_block(text: &str) -> bool {
    let is_plain = |c: char| c == '\n' || c == '\t' || !(c.is_control() || is_break(c));
    text.contains('\n') && !text.trim_start_matches('\n').is_empty() && text.chars().all(is_plain)
}

/// What YAML, or a reader of it, may take for the end of a line, or for nothing.
fn is_break(c: char) -> bool {
    matches!(c, '\u{85}' | '\u{2028}' | '\u{2029}' | '\u{feff}')
}

fn write_block(block: &str, indent: usize, text: &mut String) {
    let lines = block.trim_end_matches('\n');
    let ends = block.len() - lines.len();
    text.push('|');
    // Blanks at the beginning would be taken for the indentation.
    if lines.starts_with([' ', '\n', '\t']) {
        text.push('2');
    }
    match ends {
        0 => text.push('-'),
        1 => {}
        _ => text.push('+'),
    }
    text.push('\n');
    for line in lines.split('\n') {
        if !line.is_empty() {
            pad(indent, text);
            text.push_str(line);
        }
        text.push('\n');
    }
    text.extend(std::iter::repeat_n('\n', ends.saturating_sub(1)));
}

/// A text in one line: as it is, or in quotes.
fn write_line(line: &str, text: &mut String) {
    if is_plain(line) {
        text.push_str(line);
        return;
    }
    text.push('"');
    for c in line.chars() {
        match c {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\t' => text.push_str("\\t"),
            '\r' => text.push_str("\\r"),
            c if c.is_control() || is_break(c) => {
                let code = u32::from(c);
                text.push_str(&if code <= 0xff {
                    format!("\\x{code:02x}")
                } else {
                    format!("\\u{code:04x}")
                });
            }
            c => text.push(c),
        }
    }
    text.push('"');
}

/// Whether a text means itself without quotes.
fn is_plain(text: &str) -> bool {
    let looks = Scalar {
        text: text.to_owned(),
        plain: true,
    };
    let begins = text.starts_with(|c: char| {
        c.is_ascii_alphanumeric() || matches!(c, '/' | '_' | '.' | '~' | '$')
    });
    let holds = text.chars().all(|c| {
        c.is_ascii_alphanumeric()
            || matches!(
                c,
                ' ' | '/'
                    | '_'
                    | '.'
                    | '~'
                    | '$'
                    | '-'
                    | '+'
                    | '='
                    | '@'
                    | '('
                    | ')'
                    | ';'
                    | '^'
                    | '<'
            )
    });
    begins
        && holds
        && !text.ends_with(' ')
        && !looks.is_null()
        && looks.as_bool().is_none()
        && !looks.is_number()
        && text != "<<"
}
