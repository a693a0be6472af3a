//! What the YAML parser complains about, in words for people who write configs.

use super::{MAX_DEPTH, Region, Source};
use crate::diagnostic::Problems;

/// Where the parser gave up.
pub(super) struct Fault {
    /// What the parser says.
    pub(super) info: String,
    /// Line and column.
    pub(super) place: (usize, usize),
    /// Where the list or map around it begins.
    pub(super) inside: Option<Region>,
}

impl Fault {
    pub(super) fn tell(&self, source: &Source, problems: &mut Problems) {
        let (line, column) = self.place;
        let indent = source.line(line).chars().take_while(|c| c.is_whitespace());
        if let Some(tab) = indent.clone().position(|c| c == '\t') {
            problems
                .error(
                    Region::point(source.file(), line, tab + 1),
                    "a line is indented with a tab",
                )
                .help("YAML takes only spaces here");
            return;
        }
        let may_be_unclosed = self.info.contains("flow")
            || self.info.contains("expected node content")
            || self.info == "invalid indentation";
        let opened = self
            .inside
            .filter(|inside| may_be_unclosed && opens_bracket(source, *inside))
            .map(|inside| problems.related(inside, "it is opened here"));
        let (message, help) = explain(&self.info);
        let problem = problems.error(Region::point(source.file(), line, column), message);
        if let Some(help) = help {
            problem.help(help);
        }
        if let Some(opened) = opened {
            problem.related(opened);
        }
    }
}

fn opens_bracket(source: &Source, region: Region) -> bool {
    let first = source.line(region.line).chars().nth(region.column - 1);
    matches!(first, Some('[' | '{'))
}

/// A message, and what to do, for what the parser says.
fn explain(info: &str) -> (String, Option<&'static str>) {
    const EXPLAINED: &[(&str, &str, &str)] = &[
        (
            "unknown anchor",
            "an alias names an anchor that is not defined before it",
            "define it above with `&name`, or quote the value if the `*` is part of it",
        ),
        (
            "quoted scalar, found unexpected end of stream",
            "a quote is opened and never closed",
            "close it, or quote the text with the other kind of quote",
        ),
        (
            "invalid indentation in quoted scalar",
            "a quoted text goes on in a line that is not indented enough",
            "is a closing quote missing above?",
        ),
        (
            "trailing content after double-quoted scalar",
            "there is more text after a closing quote",
            "quote the whole value, and write quotes inside it as `\\\"`",
        ),
        (
            "unknown escape character",
            "a double-quoted text holds an escape that YAML does not know",
            "write a backslash as `\\\\`, or use single quotes",
        ),
        (
            "mapping values are not allowed",
            "a `:` stands where no key can be",
            "check the indentation, or quote the value if the `:` is part of it",
        ),
        (
            "tabs disallowed",
            "a tab stands where YAML takes only spaces",
            "replace it with spaces",
        ),
        (
            "found a tab",
            "a tab stands where YAML takes only spaces",
            "replace it with spaces",
        ),
        (
            "start with a tab",
            "a tab stands where YAML takes only spaces",
            "replace it with spaces",
        ),
        (
            "flow sequence",
            "a `[` is opened and not closed, or a `,` is missing",
            "close it with `]`",
        ),
        (
            "flow mapping",
            "a `{` is opened and not closed, or a `,` is missing",
            "close it with `}`; quote the value if the `{` is part of it",
        ),
        (
            "did not find expected node content",
            "a value is missing here, or a bracket before it is not closed",
            "close the bracket, remove a `,` too many, or quote the value",
        ),
        (
            "must be followed by a valid YAML whitespace",
            "a `:` has no space after it",
            "put a space there; a tab does not count",
        ),
        (
            "expected '-' indicator",
            "a line does not belong to the list above it",
            "indent it as the `-` above it, or deeper",
        ),
        (
            "block mapping, did not find expected key",
            "a line does not belong to the map above it",
            "indent it as the keys above it",
        ),
        (
            "block sequence entries are not allowed",
            "a `-` stands where no list can begin",
            "begin the list on a line of its own",
        ),
        (
            "simple key expect",
            "a key has no `:` after it",
            "write `key: value`, and indent it as its neighbours",
        ),
        (
            "unexpected character",
            "a character stands where YAML does not take it",
            "quote the value if the character is part of it",
        ),
    ];
    if info == "invalid indentation" {
        return (
            "a line is not indented enough, or a bracket above it is not closed".to_owned(),
            None,
        );
    }
    if info.contains("recursion limit exceeded") {
        // The parser's own limit is a little wider than ours, and met first when it looks ahead.
        return (
            format!("lists and maps are nested more than {MAX_DEPTH} deep"),
            None,
        );
    }
    match EXPLAINED.iter().find(|(said, _, _)| info.contains(said)) {
        Some((_, message, help)) => ((*message).to_owned(), Some(help)),
        None => (format!("this is not valid YAML: {info}"), None),
    }
}
