//! What an editor asks about a config while it is written: what a word means, what could stand here,
//! where something is defined. Knows nothing of editors' protocols.
//!
//! - `outline` reads a text in whatever state it is;
//! - `scope` tells what each part of it is, and finds what names stand for;
//! - `target` is what stands at a position, and what `hover` and `definition` say of it;
//! - `complete` is what could stand there.

mod complete;
mod outline;
mod scope;
mod target;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ops::Range;
use std::rc::Rc;

use crate::inputs::Orbs;
use crate::{MAX_FILE_BYTES, Span};

use outline::Outline;

/// A place in a text: before the character at a line and column, both from 1, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column; one behind a line's last character is its end.
    pub column: usize,
}

/// What is told about a word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hover {
    /// What it means, as Markdown.
    pub markdown: String,
    /// The word.
    pub span: Span,
}

/// What could stand at a position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completions {
    /// What each of them takes the place of.
    pub replace: Span,
    /// In the order in which they should be offered; never more than [`MAX_COMPLETIONS`].
    pub items: Vec<Completion>,
    /// Whether these are all. If not, what is typed chose among them, and other letters bring others.
    pub is_complete: bool,
}

/// One thing that could stand there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completion {
    /// What people choose by.
    pub label: String,
    /// What it is.
    pub kind: CompletionKind,
    /// What it takes, or where it is from, in a few words.
    pub detail: String,
    /// What it is for; may be empty.
    pub documentation: String,
    /// What is put in the place of [`Completions::replace`].
    pub insert: String,
}

/// What a completion is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompletionKind {
    /// A key of the language.
    Key,
    /// One of a key's words.
    Value,
    /// A job, or its use in a workflow.
    Job,
    /// A command or a built-in step.
    Step,
    /// An executor.
    Executor,
    /// A parameter, or a value of the pipeline.
    Parameter,
    /// An anchor.
    Anchor,
}

/// How many completions are offered at most.
pub const MAX_COMPLETIONS: usize = 500;

/// How long a text of the user's may be that is shown, in characters.
const MAX_SHOWN_CHARS: usize = 2_000;

/// A config as it is written. Larger texts than the compiler takes are treated as empty.
pub struct Document<'o> {
    outline: Rc<Outline>,
    orbs: Option<&'o dyn Orbs>,
    loaded: RefCell<HashMap<String, Option<Rc<Outline>>>>,
    /// Whether names were left out of what was offered last.
    left_out: Cell<bool>,
}

impl<'o> Document<'o> {
    /// Reads a text; `orbs` is where the orbs that it imports come from.
    pub fn new(text: &str, orbs: Option<&'o dyn Orbs>) -> Self {
        Self {
            outline: Rc::new(Outline::new(fair(text))),
            orbs,
            loaded: RefCell::default(),
            left_out: Cell::new(false),
        }
    }

    /// What the word at a position means.
    pub fn hover(&self, position: Position) -> Option<Hover> {
        let (target, range) = self.target(self.offset(position))?;
        let markdown = self.explain(&target)?;
        Some(Hover {
            markdown,
            span: span(&self.outline, &range),
        })
    }

    /// Where what the word at a position names is defined, in this text: the name in its definition. What
    /// an orb defines is answered with the orb's import.
    pub fn definition(&self, position: Position) -> Option<Span> {
        let (target, _) = self.target(self.offset(position))?;
        let range = self.defined_at(&target)?;
        Some(span(&self.outline, &range))
    }

    /// What could stand at a position.
    pub fn complete(&self, position: Position) -> Option<Completions> {
        self.completions(self.offset(position))
    }

    fn offset(&self, position: Position) -> usize {
        self.outline.offset(position.line, position.column)
    }

    /// The text of an orb that is not written in the config.
    fn orb(&self, reference: &str) -> Option<Rc<Outline>> {
        if let Some(known) = self.loaded.borrow().get(reference) {
            return known.clone();
        }
        let source = self.orbs.and_then(|orbs| orbs.source(reference).ok());
        let outline = source.and_then(|source| {
            let text = std::str::from_utf8(&source.text).ok()?;
            Some(Rc::new(Outline::new(fair(text))))
        });
        let mut loaded = self.loaded.borrow_mut();
        loaded.insert(reference.to_owned(), outline.clone());
        outline
    }
}

fn fair(text: &str) -> &str {
    if text.len() > MAX_FILE_BYTES {
        ""
    } else {
        text
    }
}

/// The part of a range that is in its first line.
fn span(outline: &Outline, range: &Range<usize>) -> Span {
    let (line, column) = outline.place(range.start);
    let text = outline.slice(range).lines().next().unwrap_or_default();
    Span {
        line,
        column,
        length: text.chars().count(),
    }
}

/// The beginning of a text of the user's.
fn shown(text: &str) -> String {
    match text.char_indices().nth(MAX_SHOWN_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests;
