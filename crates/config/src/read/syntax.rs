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
    /// What was read last.
    pub(super) last: Last,
}

/// The last thing that was read before a fault.
#[derive(Clone, Copy, Default)]
pub(super) struct Last {
    pub(super) region: Region,
    /// Whether it is a text without quotes.
    pub(super) is_plain: bool,
}

impl Last {
    /// The place of what is written behind it, up to a line.
    pub(super) fn next_word(&self, source: &Source, line: usize) -> Option<(usize, usize)> {
        let Region {
            end_line,
            end_column,
            ..
        } = self.region;
        next_word(source, end_line.max(1), end_column.max(1), line)
    }
}

impl Fault {
    pub(super) fn tell(&self, source: &Source, problems: &mut Problems) {
        let (line, column) = self.place;
        let (region, message, help) = self
            .tab(source)
            .or_else(|| self.blank(source))
            .or_else(|| self.key(source))
            .or_else(|| self.dash(source))
            .or_else(|| self.behind_bracket(source))
            .unwrap_or_else(|| {
                let (message, help) = explain(&self.info);
                (Region::point(source.file(), line, column), message, help)
            });
        let may_be_unclosed = self.info.contains("flow")
            || self.info.contains("expected node content")
            || self.info.contains("only valid inside a block")
            || self.info == "invalid indentation";
        let opened = self
            .inside
            .filter(|inside| may_be_unclosed && opens_bracket(source, *inside))
            .map(|inside| problems.related(inside, "it is opened here"));
        let goes_on = (self.goes_on() && region.line == line).then(|| {
            let begin = self.last.region;
            let begin = Region::point(begin.file, begin.line, begin.column);
            problems.related(begin, "the text that begins here goes on to there")
        });
        let problem = problems.error(region, message);
        if let Some(help) = help {
            problem.help(help);
        }
        if let Some(related) = opened.or(goes_on) {
            problem.related(related);
        }
    }

    /// A tab that the parser stumbled over, or that ended a block text too early.
    fn tab(&self, source: &Source) -> Option<Told> {
        let (line, column) = self.place;
        let tab_in = |line: usize| {
            let indent = source.line(line).chars().take_while(|c| c.is_whitespace());
            let at = indent.into_iter().position(|c| c == '\t')?;
            Some((line, at + 1))
        };
        let is_told = self.info.contains("tab");
        let is_blank = |line: usize| source.line(line).trim().is_empty();
        let indented = (self.last.region.end_line.clamp(1, line)..=line).find_map(tab_in);
        // The parser tells where the text begins that the tab is in.
        let later = || {
            let mut lines = line + 1..=source.line_count();
            let may_be_blank = self.info.contains("block scalar");
            lines.find_map(|line| tab_in(line).filter(|_| may_be_blank || !is_blank(line)))
        };
        if let Some((line, column)) = indented.or_else(|| is_told.then(later).flatten()) {
            return Some((
                Region::point(source.file(), line, column),
                "a line is indented with a tab".to_owned(),
                Some("YAML takes only spaces here"),
            ));
        }
        let before = column.checked_sub(2)?;
        let is_behind_colon = self
            .info
            .contains("must be followed by a valid YAML whitespace")
            && source.line(line).chars().nth(before) == Some('\t');
        is_behind_colon.then(|| {
            (
                Region::point(source.file(), line, before + 1),
                "a `:` is followed by a tab".to_owned(),
                Some("put a space there"),
            )
        })
    }

    /// A character that only looks like a space, where the parser needs one.
    fn blank(&self, source: &Source) -> Option<Told> {
        const MISLED: [&str; 4] = [
            "mapping values are not allowed",
            "simple key expect",
            "did not find expected key",
            "expected '-' indicator",
        ];
        if !MISLED.iter().any(|info| self.info.contains(info)) {
            return None;
        }
        let (line, _) = self.place;
        let first = self.last.region.line.clamp(1, line);
        (first..=line).find_map(|line| {
            let mut before = None;
            for (at, c) in source.line(line).chars().enumerate() {
                let needs_space = matches!(before, None | Some(' ' | '-' | ':'));
                if c.is_whitespace() && !c.is_ascii() && needs_space {
                    return Some((
                        Region::point(source.file(), line, at + 1),
                        format!(
                            "the character U+{:04X} looks like a space and is none",
                            u32::from(c)
                        ),
                        Some("write a space"),
                    ));
                }
                before = Some(c);
            }
            None
        })
    }

    /// Whether the text that was read last goes on in the line of the fault, in which stands a `:`.
    fn goes_on(&self) -> bool {
        self.last.is_plain
            && self.last.region.line < self.place.0
            && self.info.contains("mapping values are not allowed")
    }

    /// A key without a `:`, which the parser takes for the beginning of a longer text.
    fn key(&self, source: &Source) -> Option<Told> {
        let (line, _) = self.place;
        let (begin_line, begin_column) = if self.goes_on() {
            let Region { line, column, .. } = self.last.region;
            let before: String = source.line(line).chars().take(column - 1).collect();
            let is_first = before.trim_matches([' ', '-']).is_empty();
            let other = source.line(self.place.0).trim_start();
            if !is_first || other.starts_with("- ") {
                return None;
            }
            (line, column)
        } else if self.info.contains("simple key expect") {
            self.last.next_word(source, line)?
        } else {
            return None;
        };
        let written = source.line(begin_line).chars().skip(begin_column - 1);
        let written: String = written.collect();
        let written = written.split(" #").next().unwrap_or_default().trim_end();
        let region = |from: usize, length: usize| Region {
            file: source.file(),
            line: begin_line,
            column: begin_column + from,
            end_line: begin_line,
            end_column: begin_column + from + length,
        };
        if let Some((name, _)) = written.split_once(':')
            && !name.is_empty()
            && !name.contains([' ', '"', '\''])
        {
            return Some((
                region(name.chars().count(), 1),
                "a `:` has no space after it".to_owned(),
                Some("put a space there, or quote the text if the `:` is part of it"),
            ));
        }
        Some((
            region(0, written.chars().count()),
            "a key has no `:` after it".to_owned(),
            Some("write `key: value`, and indent it as its neighbours"),
        ))
    }

    /// A `-` that belongs to no list, or that is no `-` of a list.
    fn dash(&self, source: &Source) -> Option<Told> {
        let (line, column) = self.place;
        let text = source.line(line);
        let indent = text.len() - text.trim_start_matches(' ').len();
        let point = Region::point(source.file(), line, indent + 1);
        let rest = text.trim_start_matches(' ').strip_prefix('-')?;
        if self.goes_on() && rest.starts_with(' ') {
            return Some((
                point,
                "a line does not belong to the list above it".to_owned(),
                Some("indent it as the `-` above it"),
            ));
        }
        let is_word = rest.starts_with(|c: char| c.is_alphanumeric());
        (is_word && column == indent + 1).then(|| {
            (
                point,
                "a `-` has no space after it".to_owned(),
                Some("write `- ` before each item of a list"),
            )
        })
    }
}

impl Fault {
    /// Text behind the bracket that closes a list or map.
    fn behind_bracket(&self, source: &Source) -> Option<Told> {
        let (line, column) = self.place;
        let Region {
            end_line,
            end_column,
            ..
        } = self.last.region;
        // The bracket's end is told with the blanks behind it.
        let before = source.line(line).chars().take(end_column.saturating_sub(1));
        let is_bracket = before.collect::<String>().trim_end().ends_with([']', '}']);
        let is_behind = end_line == line && end_column <= column && is_bracket;
        (is_behind && self.info.contains("did not find expected")).then(|| {
            (
                Region::point(source.file(), line, column),
                "there is more text after a closing bracket".to_owned(),
                Some("quote the whole value if the brackets are a part of it"),
            )
        })
    }
}

/// Where it is, what it is, and what to do.
type Told = (Region, String, Option<&'static str>);

/// The place of the next thing that is neither blank nor a comment, up to a line.
fn next_word(source: &Source, line: usize, column: usize, last: usize) -> Option<(usize, usize)> {
    let mut skip = column - 1;
    for line in line..=last {
        let mut is_behind_blank = skip == 0;
        let mut chars = source.line(line).chars().enumerate().skip(skip).peekable();
        while let Some((at, c)) = chars.next() {
            let is_alone = chars.peek().is_none_or(|(_, next)| next.is_whitespace());
            match c {
                ' ' | '\t' => is_behind_blank = true,
                '#' if is_behind_blank => break,
                // Of a list or a map that ends there.
                ':' | '-' | '?' if is_alone => {}
                _ => return Some((line, at + 1)),
            }
        }
        skip = 0;
    }
    None
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
            "only valid inside a block",
            "a `-` stands where no list can be, or a bracket above it is not closed",
            "close the bracket, or quote the value",
        ),
        (
            "comments must be separated",
            "a `#` stands right behind something else",
            "put a space before it",
        ),
        (
            "while scanning an anchor or alias",
            "a `*` or `&` is not followed by a name",
            "quote the value if it is a part of that, as in `cron: \"* * * * *\"`",
        ),
        (
            "a byte order mark must not appear",
            "a byte order mark (U+FEFF) stands inside the text, and can't be seen",
            "remove it: several files were put together here",
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
