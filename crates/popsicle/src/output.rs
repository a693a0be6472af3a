//! What people and programs see: results on stdout, talk on stderr. Whether there is colour, and
//! whether somebody can be asked, is decided once, here.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, BufRead, IsTerminal, Write};

use anstream::AutoStream;
use model::Status;
use owo_colors::{AnsiColors, OwoColorize};
use serde::Serialize;

use crate::error::Failure;

/// Where a command says things.
#[derive(Debug)]
pub struct Output {
    out: AutoStream<io::Stdout>,
    err: AutoStream<io::Stderr>,
    to_terminal: bool,
    can_ask: bool,
}

impl Output {
    /// The process's own output. `NO_COLOR` and `CLICOLOR_FORCE` are obeyed.
    pub fn new() -> Self {
        Self {
            to_terminal: io::stdout().is_terminal(),
            can_ask: io::stdin().is_terminal() && io::stderr().is_terminal(),
            out: AutoStream::auto(io::stdout()),
            err: AutoStream::auto(io::stderr()),
        }
    }

    /// Whether stdout is a terminal.
    pub fn to_terminal(&self) -> bool {
        self.to_terminal
    }

    /// Whether there is a person who can be asked.
    pub fn can_ask(&self) -> bool {
        self.can_ask
    }

    /// A line of the result. Colours in it are taken out where they are not wanted.
    pub fn line(&mut self, text: impl fmt::Display) -> Result<(), Failure> {
        writeln!(self.out, "{text}").map_err(|error| Failure::output(&error))
    }

    /// A part of the result, as it is.
    pub fn bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        out.write_all(bytes)
            .and_then(|()| out.flush())
            .map_err(|error| Failure::output(&error))
    }

    /// The result for programs, over several lines.
    pub fn json(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(value).map_err(|error| Failure::unable(&error))?;
        self.bytes(format!("{text}\n").as_bytes())
    }

    /// One of many results for programs, on a line of its own.
    pub fn json_line(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string(value).map_err(|error| Failure::unable(&error))?;
        self.bytes(format!("{text}\n").as_bytes())
    }

    /// A line beside the result. Nothing depends on whether anybody reads it.
    pub fn say(&mut self, text: impl fmt::Display) {
        let _ = writeln!(self.err, "{text}");
    }

    /// Asks the person at the terminal, who answers with a line; none if there is none any more.
    pub fn ask(&mut self, question: impl fmt::Display) -> Result<Option<String>, Failure> {
        let asked = write!(self.err, "{question}").and_then(|()| self.err.flush());
        let mut answer = String::new();
        let read = asked.and_then(|()| io::stdin().lock().read_line(&mut answer));
        match read {
            Ok(0) => Ok(None),
            Ok(_) => Ok(Some(answer.trim().to_owned())),
            Err(error) => Err(Failure::unable(format_args!(
                "could not ask at the terminal: {error}"
            ))),
        }
    }

    /// Says why the command failed.
    pub fn failure(&mut self, message: &str, hint: Option<&str>) {
        self.say(format_args!("{} {message}", "error:".red().bold()));
        if let Some(hint) = hint {
            self.say(format_args!("{} {hint}", "hint:".cyan().bold()));
        }
    }
}

/// A status in its colour.
pub fn painted(status: Status, text: &str) -> String {
    let color = match status {
        Status::Success => AnsiColors::Green,
        Status::Failure | Status::Error => AnsiColors::Red,
        Status::Running => AnsiColors::Blue,
        Status::OnHold | Status::Queued | Status::Blocked => AnsiColors::Yellow,
        Status::Canceled | Status::Skipped => AnsiColors::BrightBlack,
    };
    text.color(color).to_string()
}

/// `1 job`, `2 jobs`.
pub fn plural(count: usize, noun: &str) -> String {
    if count == 1 {
        format!("1 {noun}")
    } else {
        format!("{count} {noun}s")
    }
}

/// The text without what could steer a terminal: branches, messages and reasons come from anyone.
/// Line ends and tabs become spaces, so that one line stays one.
pub fn clean(text: &str) -> Cow<'_, str> {
    let steers = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if !text.contains(steers) {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\r' | '\t' => clean.push(' '),
            c if steers(c) => clean.push(char::REPLACEMENT_CHARACTER),
            c => clean.push(c),
        }
    }
    Cow::Owned(clean)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_outside_steers_the_terminal() {
        assert_eq!(clean("feature/login ü"), "feature/login ü");
        assert_eq!(
            clean("a\x1b[31mb\u{9b}c\u{202e}d\ne"),
            "a\u{fffd}[31mb\u{fffd}c\u{fffd}d e"
        );
    }

    #[test]
    fn one_is_no_plural() {
        assert_eq!(plural(1, "job"), "1 job");
        assert_eq!(plural(0, "job"), "0 jobs");
    }
}
