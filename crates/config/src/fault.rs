//! What is wrong with one small text (an expression, a pattern, a schedule), told by its own characters.
//! Whoever knows where the text lies in its file makes a diagnostic of it.

use std::ops::Range;

/// One thing that is wrong with a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Where it begins, in characters from the beginning of the text.
    pub(crate) start: usize,
    /// Where it ends, likewise; equal to `start` if something is missing there.
    pub(crate) end: usize,
    /// What is wrong: a lower-case fragment, names in backticks.
    pub(crate) message: String,
    /// What was expected, or what to do.
    pub(crate) help: Option<String>,
}

impl Fault {
    pub(crate) fn new(place: Range<usize>, message: impl Into<String>) -> Self {
        Self {
            start: place.start,
            end: place.end,
            message: message.into(),
            help: None,
        }
    }

    /// Adds what was expected, or what to do.
    #[must_use]
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The same fault in a longer text, in which this one begins after `by` characters.
    #[must_use]
    pub(crate) fn shifted(mut self, by: usize) -> Self {
        self.start += by;
        self.end += by;
        self
    }
}

/// A fault as tests compare it: the text, a caret line, and what is said.
#[cfg(test)]
pub(crate) fn shown(text: &str, fault: &Fault) -> String {
    let length = text.chars().count();
    assert!(
        fault.start <= fault.end && fault.end <= length,
        "{fault:?} lies outside of {length} characters"
    );
    let mut shown = format!(
        "{text}\n{}{} {}",
        " ".repeat(fault.start),
        "^".repeat((fault.end - fault.start).max(1)),
        fault.message
    );
    if let Some(help) = &fault.help {
        shown.push_str("\nhelp: ");
        shown.push_str(help);
    }
    shown
}
