//! Lays a text out as the parser wants it, where CircleCI's is more lenient.
//!
//! CircleCI's parser (snakeyaml, of the same family as PyYAML and libyaml) does not look at
//! indentation inside `[…]`, `{…}` and quotes, and takes a `|` that stands right below its key. Ours
//! follows YAML 1.2 to the letter and refuses all that, and tabs before a line of a quoted text. Real configs have it, so the line in question
//! is indented, which does not change what it means, and places are counted without that. So it is with
//! the `:` right behind an alias that is a key (`*name: …`), which YAML 1.2 has as a part of the name.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use saphyr_parser::{Marker, ScanError};

use super::syntax::Last;
use super::{FileId, Source};

/// How often a text is mended before it is called wrong; each time costs another reading.
const MAX_MENDS: usize = 200;

/// How many lines of one quoted text are mended at most.
const MAX_QUOTED_LINES: usize = 200;

/// How many bytes are read again at most.
const MAX_REREAD_BYTES: usize = 8 * super::MAX_FILE_BYTES;

/// A source's text, some of its lines with more indentation.
pub(super) struct Layout<'s> {
    source: &'s Source,
    text: Cow<'s, str>,
    /// How many spaces were put in front of each line that got any.
    added: BTreeMap<usize, usize>,
    /// Before which characters of a line, from 0, a space was put: the `:` behind aliases.
    spaced: BTreeMap<usize, BTreeSet<usize>>,
    mends: usize,
}

impl<'s> Layout<'s> {
    pub(super) fn new(source: &'s Source) -> Self {
        Self {
            source,
            text: Cow::Borrowed(source.text()),
            added: BTreeMap::new(),
            spaced: BTreeMap::new(),
            mends: 0,
        }
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn file(&self) -> FileId {
        self.source.file()
    }

    /// Line and column of a mark in the source, from 1.
    pub(super) fn place(&self, mark: &Marker) -> (usize, usize) {
        let added = self.added.get(&mark.line()).copied().unwrap_or(0);
        let mut column = mark.col().saturating_sub(added);
        for spaced in self.spaced.get(&mark.line()).into_iter().flatten() {
            column -= usize::from(column > *spaced);
        }
        (mark.line(), column + 1)
    }

    /// Mends what the parser stumbled over; false if that was a real fault.
    /// `last` is what was read before that.
    pub(super) fn mend(&mut self, error: &ScanError, last: &Last) -> bool {
        self.mends += 1;
        if self.mends > MAX_MENDS || self.mends * self.text.len() > MAX_REREAD_BYTES {
            return false;
        }
        let (line, column) = self.place(error.marker());
        let info = error.info();
        if info.contains("invalid indentation in quoted scalar") {
            self.indent_quoted(line, column)
        } else if info.contains("invalid indentation")
            || info.contains("tab cannot be used as indentation")
        {
            self.indent_below(line, line - 1)
        } else if info.contains("simple key expect") || info.contains("did not find expected key") {
            let next = last.next_word(self.source, line);
            if next.is_some_and(|(line, column)| self.space_alias(line, column)) {
                return true;
            }
            self.block_header_above(line)
                .is_some_and(|header| self.indent_below(header, header - 1))
        } else if info.contains("unknown anchor") {
            self.space_alias(line, column)
        } else {
            false
        }
    }

    /// Parts an alias and the `:` that makes it a key; false if there is none.
    fn space_alias(&mut self, line: usize, column: usize) -> bool {
        let text = self.source.line(line);
        let alias = text.chars().skip(column - 1);
        let alias = alias.take_while(|c| !c.is_whitespace() && !",[]{}".contains(*c));
        let alias: String = alias.collect();
        if !alias.starts_with('*') || !alias.ends_with(':') {
            return false;
        }
        let colon = column - 1 + alias.chars().count() - 1;
        let Some((byte, _)) = text.char_indices().nth(colon) else {
            return false;
        };
        let spaced = self.spaced.get(&line);
        let before = spaced.map_or(0, |spaced| spaced.range(..colon).count());
        let added = self.added.get(&line).copied().unwrap_or(0);
        let at = self.source.line_start(line) + self.added_before(line) + added + before + byte;
        if !self.spaced.entry(line).or_default().insert(colon) {
            return false;
        }
        self.text.to_mut().insert(at, ' ');
        true
    }

    /// Indents the lines of a quoted text that begins at a place, up to its closing quote.
    fn indent_quoted(&mut self, start: usize, column: usize) -> bool {
        let Some(quote) = self.source.line(start).chars().nth(column - 1) else {
            return false;
        };
        let mut is_mended = false;
        let last = self.source.line_count().min(start + MAX_QUOTED_LINES);
        for line in start + 1..=last {
            is_mended |= self.indent_below(line, start);
            if self.source.line(line).contains(quote) {
                break;
            }
        }
        is_mended
    }

    /// Makes a line deeper than the nearest one with something in it, from `above` upwards; false if
    /// it is that already.
    fn indent_below(&mut self, line: usize, above: usize) -> bool {
        let above = (1..=above)
            .rev()
            .find(|above| !self.source.line(*above).trim().is_empty());
        let Some(above) = above else {
            return false;
        };
        let wanted = self.indent(above) + self.dashes(above) + 1;
        let spaces = wanted.saturating_sub(self.indent(line));
        if spaces == 0 {
            return false;
        }
        let start = self.source.line_start(line) + self.added_before(line);
        self.text.to_mut().insert_str(start, &" ".repeat(spaces));
        *self.added.entry(line).or_default() += spaces;
        true
    }

    fn indent(&self, line: usize) -> usize {
        let text = self.source.line(line);
        let own = text.len() - text.trim_start_matches(' ').len();
        own + self.added.get(&line).copied().unwrap_or(0)
    }

    /// How much deeper `- ` puts what follows it.
    fn dashes(&self, line: usize) -> usize {
        let text = self.source.line(line).trim_start_matches(' ');
        text.len() - text.trim_start_matches("- ").len()
    }

    /// The nearest line above that is only the header of a block text, below a key.
    fn block_header_above(&self, line: usize) -> Option<usize> {
        (2..=line).rev().find(|candidate| {
            let header = self.source.line(*candidate).trim();
            header.starts_with(['|', '>'])
                && header.len() <= 3
                && self.source.line(candidate - 1).trim_end().ends_with(':')
        })
    }

    /// How many spaces were put in above a line.
    fn added_before(&self, line: usize) -> usize {
        let spaced = self.spaced.range(..line).map(|(_, columns)| columns.len());
        let added = self.added.range(..line).map(|(_, spaces)| *spaces);
        added.chain(spaced).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Node, Value, read};
    use super::*;
    use crate::SourceFile;
    use crate::diagnostic::Problems;

    /// The tree without its places, or what is wrong.
    fn tree(text: &str) -> String {
        let file = SourceFile {
            path: "ci.yml".into(),
            text: text.into(),
        };
        let source = std::rc::Rc::new(Source::decode(FileId::default(), &file).unwrap());
        let mut problems = Problems::new(std::rc::Rc::clone(&source));
        let root = read(&source, &mut problems);
        let told: Vec<String> = problems.finish().iter().map(ToString::to_string).collect();
        root.map_or_else(|| told.join("\n"), |root| shown(&root))
    }

    fn shown(node: &Node) -> String {
        match &node.value {
            Value::Scalar(scalar) => format!("{:?}", scalar.text),
            Value::List(items) => {
                let items: Vec<String> = items.iter().map(|item| shown(item)).collect();
                format!("[{}]", items.join(" "))
            }
            Value::Map(map) => {
                let entries: Vec<String> = map
                    .iter()
                    .map(|entry| format!("{}={}", entry.key.text, shown(&entry.value)))
                    .collect();
                format!("{{{}}}", entries.join(" "))
            }
        }
    }

    #[test]
    fn layouts_are_read_as_pyyaml_reads_them() {
        for (text, expected) in [
            ("a: \"b\nc\"\nd: e", r#"{a="b c" d="e"}"#),
            ("a: 'b\n\nc\n'\nd: e", r#"{a="b\nc " d="e"}"#),
            ("a: 'b\n\t\tc\n\td'\nd: e", r#"{a="b c d" d="e"}"#),
            ("x:\n  - a: \"b\n\tc\"", r#"{x=[{a="b c"}]}"#),
            ("a: [\nb,\nc\n]\nd: e", r#"{a=["b" "c"] d="e"}"#),
            ("a: {\nb: c\n}\nd: e", r#"{a={b="c"} d="e"}"#),
            (
                "x:\n  a: {\n  b: [\n  1\n  ]\n  }\ny: z",
                r#"{x={a={b=["1"]}} y="z"}"#,
            ),
            ("x:\n  - a: [\n  b\n  ]\n  - c", r#"{x=[{a=["b"]} "c"]}"#),
            (
                "x:\n  - run:\n    |\n      a\n  - b",
                r#"{x=[{run="a\n"} "b"]}"#,
            ),
            ("x:\n  run:\n  |\n    a\n  b: c", r#"{x={run="a\n" b="c"}}"#),
            ("run:\n>\n  a\n", r#"{run="a\n"}"#),
            (
                "a: &n é\n*n: b\nx:\n  - *n:\n      c: d",
                r#"{a="é" é="b" x=[{é={c="d"}}]}"#,
            ),
            (
                "a: &n é\nb: &m o\nx: {*n: *m, *m: [\ny\n]}\nz: *m",
                r#"{a="é" b="o" x={é="o" o=["y"]} z="o"}"#,
            ),
            // A text is left as it is.
            (
                "a: &n é\n*n: |\n  *n: b\nc: '*n: b'",
                r#"{a="é" é="*n: b\n" c="*n: b"}"#,
            ),
        ] {
            assert_eq!(tree(text), expected, "{text}");
        }
    }

    #[test]
    fn places_are_those_of_the_file() {
        let text = "a: [\n*b,\n]";
        assert!(tree(text).contains("\n  ci.yml:2:1\n"), "{}", tree(text));
        let text = "a: &n x\nb: {*n: [\n*n, *n], *n: 1, ü: *o}";
        assert!(tree(text).contains("\n  ci.yml:3:20\n"), "{}", tree(text));
        let unknown = "*none: b";
        assert!(
            tree(unknown).contains("\n  ci.yml:1:1\n"),
            "{}",
            tree(unknown)
        );
    }
}
