//! What a branch, a tag or any value is held against: an exact text, or a regular expression that has
//! to match all of it.

mod java;

use std::collections::HashMap;
use std::rc::Rc;

use fancy_regex::{CompileError, Error, Regex, RegexBuilder, RuntimeError};

use crate::fault::Fault;

/// How many different regular expressions a config may have; each takes time and memory.
pub const MAX_PATTERNS: usize = 300;

/// How many characters a pattern may have.
pub(crate) const MAX_PATTERN_CHARS: usize = 1000;

/// How many bytes are held against a regular expression at most.
pub(crate) const MAX_MATCHED_BYTES: usize = 8 << 10;

/// How many bytes a compiled regular expression may take. What is refused for this (thousands of
/// repetitions) costs a few milliseconds to find out.
const MAX_COMPILED_BYTES: usize = 128 << 10;

/// How many instructions one that looks around may have.
const MAX_INSTRUCTIONS: usize = 10_000;

/// How often one that looks around may go back; each time costs at most one pass over the text.
const MAX_BACKTRACKS: usize = 2_000;

/// See the module.
#[derive(Clone, Debug)]
pub(crate) enum Pattern {
    /// Matches this text alone.
    Exact(String),
    /// Matches what the expression matches from beginning to end.
    Regex(Rc<Regex>),
}

/// The regular expressions of one config, each compiled once, however often it is used.
#[derive(Debug, Default)]
pub(crate) struct Patterns(HashMap<String, Result<Pattern, Fault>>);

impl Patterns {
    /// A filter's value: `/regular expression/`, or else an exact text.
    ///
    /// # Errors
    ///
    /// The regular expression is not one of Java's, or one that can't be used here, or one too many.
    pub(crate) fn filter(&mut self, text: &str) -> Result<Pattern, Fault> {
        match inside_slashes(text) {
            Some(regex) => self.regex(regex).map_err(|fault| fault.shifted(1)),
            None => Ok(Pattern::Exact(text.to_owned())),
        }
    }

    /// A regular expression without slashes around it, as `matches: {pattern}` has it.
    ///
    /// # Errors
    ///
    /// As [`Patterns::filter`].
    pub(crate) fn regex(&mut self, text: &str) -> Result<Pattern, Fault> {
        if let Some(known) = self.0.get(text) {
            return known.clone();
        }
        if self.0.len() >= MAX_PATTERNS {
            return Err(Fault::new(
                0..text.chars().count(),
                format!("the config has more than {MAX_PATTERNS} different regular expressions"),
            ));
        }
        let pattern = Pattern::regex(text);
        self.0.insert(text.to_owned(), pattern.clone());
        pattern
    }
}

impl Pattern {
    fn regex(text: &str) -> Result<Self, Fault> {
        let length = text.chars().count();
        if length > MAX_PATTERN_CHARS {
            return Err(Fault::new(
                0..length,
                format!(
                    "the regular expression has {length} characters, and {MAX_PATTERN_CHARS} are the most"
                ),
            ));
        }
        let translated = java::translate(text)?;
        RegexBuilder::new(&format!(r"\A(?:{translated})\z"))
            .delegate_size_limit(MAX_COMPILED_BYTES)
            .delegate_dfa_size_limit(MAX_COMPILED_BYTES)
            .delegate_dfa_skip_cache_capacity_check(false)
            .max_prog_size(MAX_INSTRUCTIONS)
            .backtrack_limit(MAX_BACKTRACKS)
            .build()
            .map(|regex| Self::Regex(Rc::new(regex)))
            .map_err(|error| Fault::new(0..length, reason(&error)))
    }

    /// Whether it matches all of the text.
    ///
    /// # Errors
    ///
    /// The regular expression would take too long on this text: a fragment for people.
    pub(crate) fn is_match(&self, text: &str) -> Result<bool, String> {
        match self {
            Self::Exact(exact) => Ok(exact == text),
            Self::Regex(_) if text.len() > MAX_MATCHED_BYTES => Err(format!(
                "the text has {} bytes, and {MAX_MATCHED_BYTES} are the most that a regular expression is held against",
                text.len()
            )),
            Self::Regex(regex) => regex.is_match(text).map_err(|error| reason(&error)),
        }
    }
}

/// What is between the slashes of a filter's value, if that is what it is.
fn inside_slashes(text: &str) -> Option<&str> {
    text.strip_prefix('/')?.strip_suffix('/')
}

/// Places in these errors are of the translated text; what they say of them is left out.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "these are another library's causes, not states of ours"
)]
fn reason(error: &Error) -> String {
    let told = match error {
        Error::RuntimeError(RuntimeError::BacktrackLimitExceeded) => {
            return "the regular expression takes too many attempts on this text".to_owned();
        }
        Error::CompileError(cause) if is_too_large(cause) => {
            return "the regular expression is too large: it repeats too much".to_owned();
        }
        Error::CompileError(cause) => match &**cause {
            CompileError::InnerError(inner) => innermost(inner),
            cause => cause.to_string(),
        },
        Error::ParseError(_, cause) => cause.to_string(),
        error => error.to_string(),
    };
    // The regex crate draws the expression; its last line says what is wrong.
    let told = told.lines().last().unwrap_or_default();
    let told = told.trim_start_matches("error:").trim();
    let mut chars = told.chars();
    let first = chars.next().into_iter().flat_map(char::to_lowercase);
    let told: String = first.chain(chars).collect();
    format!("the regular expression can't be used: {told}")
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "these are another library's causes, not states of ours"
)]
fn is_too_large(cause: &CompileError) -> bool {
    match cause {
        CompileError::PatternTooComplex | CompileError::DfaBuildError(..) => true,
        CompileError::InnerError(inner) => inner.size_limit().is_some(),
        _ => false,
    }
}

fn innermost(mut cause: &dyn std::error::Error) -> String {
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests;
