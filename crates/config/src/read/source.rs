//! A file's text, and places in it.

use crate::diagnostic::{Diagnostic, MAX_EXCERPT_CHARS, Span};
use crate::{MAX_FILE_BYTES, SourceFile};

/// A file whose bytes are known to be text of a fair size.
#[derive(Debug)]
pub(crate) struct Source {
    file: FileId,
    path: String,
    text: String,
    /// Where each line begins, in bytes.
    lines: Vec<usize>,
    /// Where each line ends without the blanks at its end, in bytes.
    line_ends: Vec<usize>,
    /// How many characters begin before each [`STRIDE`]th byte. A file may be one line, and every fault
    /// in it is shown: its place is found without reading that line from its beginning.
    chars: Vec<usize>,
}

/// In steps of how many bytes characters are counted.
const STRIDE: usize = 512;

/// Which of the files of one compilation: the config itself, or an orb that it imports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FileId(u16);

impl FileId {
    /// The file with a number; there are never as many as there are numbers.
    pub(crate) fn new(index: usize) -> Self {
        Self(u16::try_from(index).unwrap_or(u16::MAX))
    }

    pub(crate) fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// From a character up to, not including, another; lines and columns from 1, in characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Region {
    pub(crate) file: FileId,
    pub(crate) line: usize,
    pub(crate) column: usize,
    pub(crate) end_line: usize,
    pub(crate) end_column: usize,
}

impl Region {
    /// The one character at a place.
    pub(crate) fn point(file: FileId, line: usize, column: usize) -> Self {
        Self {
            file,
            line,
            column,
            end_line: line,
            end_column: column + 1,
        }
    }
}

impl Source {
    /// Refuses what is too large or no text.
    pub(crate) fn decode(id: FileId, file: &SourceFile) -> Result<Self, Box<Diagnostic>> {
        let path = file.path.as_str();
        if file.text.len() > MAX_FILE_BYTES {
            let mut refusal = Diagnostic::error(
                path,
                format!(
                    "the file is too large: {} KiB, at most {} KiB are read",
                    file.text.len().div_ceil(1024),
                    MAX_FILE_BYTES / 1024
                ),
            );
            refusal.help("split it into several files under `.popsicle/`");
            return Err(Box::new(refusal));
        }
        let text = match std::str::from_utf8(&file.text) {
            Ok(text) => text,
            Err(invalid) => {
                let refusal = not_utf8(path, &file.text, invalid.valid_up_to());
                return Err(Box::new(refusal));
            }
        };
        if let Some(at) = text.find('\0') {
            return Err(Box::new(holds_nul(path, text, at)));
        }
        // Editors on Windows put a byte order mark in front.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let lines = line_starts(text);
        let line_ends = lines
            .iter()
            .enumerate()
            .map(|(index, start)| {
                let end = lines.get(index + 1).copied().unwrap_or(text.len());
                start + text[*start..end].trim_end().len()
            })
            .collect();
        Ok(Self {
            file: id,
            path: path.to_owned(),
            text: text.to_owned(),
            lines,
            line_ends,
            chars: char_counts(text),
        })
    }

    pub(crate) fn file(&self) -> FileId {
        self.file
    }

    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Where a line begins, in bytes; lines count from 1.
    pub(crate) fn line_start(&self, line: usize) -> usize {
        line.checked_sub(1)
            .and_then(|index| self.lines.get(index).copied())
            .unwrap_or(self.text.len())
    }

    pub(crate) fn line_count(&self) -> usize {
        self.lines.len()
    }

    /// A line's text without its end; lines count from 1, and one past the last is empty.
    pub(crate) fn line(&self, line: usize) -> &str {
        let start = self.line_start(line);
        let end = self.lines.get(line).copied().unwrap_or(self.text.len());
        self.text[start..end].trim_end_matches(['\n', '\r'])
    }

    /// The part of a region that is in its first line; that line, or a window of it with at most
    /// `max_chars` characters; and the column of the window's first character.
    pub(crate) fn excerpt(&self, region: Region, max_chars: usize) -> (Span, String, usize) {
        const BEFORE: usize = 40;
        let start = self.line_start(region.line);
        let line_end = region
            .line
            .checked_sub(1)
            .and_then(|index| self.line_ends.get(index).copied())
            .unwrap_or(start);
        let before = self.chars_before(start);
        let line_chars = self.chars_before(line_end) - before;
        // From a column of the line on, as far as the line goes.
        let from = |column: usize| {
            let at = self.byte_of(before + column.saturating_sub(1));
            self.line(region.line).get(at - start..).unwrap_or_default()
        };
        let end = if region.end_line > region.line {
            line_chars + 1
        } else if region.end_column > region.column {
            region.end_column
        } else {
            // Of a block list or map, only the beginning is known: show its first word.
            let word = from(region.column)
                .chars()
                .take(max_chars)
                .take_while(|c| !c.is_whitespace() && *c != ':');
            region.column + word.count()
        };
        let mut length = end.saturating_sub(region.column).max(1);
        let mut first = 1;
        if line_chars > max_chars {
            first = region.column.saturating_sub(BEFORE).max(1);
            length = length.min((first + max_chars).saturating_sub(region.column).max(1));
        }
        let excerpt = from(first).chars().take(max_chars).collect();
        let span = Span {
            line: region.line,
            column: region.column,
            length,
        };
        (span, excerpt, first)
    }

    /// The first place of a text between a byte and the end of a line: its byte, line and column.
    pub(crate) fn find(
        &self,
        wanted: &str,
        from: usize,
        last_line: usize,
    ) -> Option<(usize, usize, usize)> {
        let end = self.line_start(last_line.saturating_add(1));
        let at = from + self.text.get(from..end)?.find(wanted)?;
        let line = self.lines.partition_point(|start| *start <= at);
        let before = self.chars_before(at) - self.chars_before(self.line_start(line));
        Some((at, line, before + 1))
    }

    /// How many characters begin before a byte.
    fn chars_before(&self, byte: usize) -> usize {
        let stride = byte / STRIDE;
        let known = self.chars.get(stride).copied().unwrap_or(0);
        known + count_chars(&self.text.as_bytes()[stride * STRIDE..byte])
    }

    /// Where the character with so many before it begins, in bytes.
    fn byte_of(&self, chars: usize) -> usize {
        let stride = self.chars.partition_point(|before| *before <= chars);
        let stride = stride.saturating_sub(1);
        let known = self.chars.get(stride).copied().unwrap_or(0);
        let start = stride * STRIDE;
        self.text.as_bytes()[start..]
            .iter()
            .enumerate()
            .filter(|(_, byte)| begins_char(**byte))
            .nth(chars - known)
            .map_or(self.text.len(), |(at, _)| start + at)
    }
}

/// How many characters begin before each [`STRIDE`]th byte; the first is 0.
fn char_counts(text: &str) -> Vec<usize> {
    let mut counts = vec![0];
    let mut count = 0;
    for stride in text.as_bytes().chunks_exact(STRIDE) {
        count += count_chars(stride);
        counts.push(count);
    }
    counts
}

fn count_chars(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| begins_char(**byte)).count()
}

/// Whether a byte of a UTF-8 text is the first of a character.
fn begins_char(byte: u8) -> bool {
    byte & 0b1100_0000 != 0b1000_0000
}

/// YAML ends a line with `\n`, `\r\n` or `\r`.
fn line_starts(text: &str) -> Vec<usize> {
    let bytes = text.as_bytes();
    let mut starts = vec![0];
    for (at, byte) in bytes.iter().enumerate() {
        let ends_line = match byte {
            b'\n' => true,
            b'\r' => bytes.get(at + 1) != Some(&b'\n'),
            _ => false,
        };
        if ends_line {
            starts.push(at + 1);
        }
    }
    starts
}

fn not_utf8(path: &str, bytes: &[u8], valid_up_to: usize) -> Diagnostic {
    let before = &bytes[..valid_up_to];
    let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
    let mut refusal = Diagnostic::error(
        path,
        format!("the file is not text: line {line} holds bytes that are not UTF-8"),
    );
    let help = match bytes {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => "it looks like UTF-16: save it as UTF-8",
        _ => "save it as UTF-8",
    };
    refusal.help(help);
    show_line(&mut refusal, bytes, valid_up_to, line);
    refusal
}

/// A NUL ends the text for the parser, whatever follows it.
fn holds_nul(path: &str, text: &str, at: usize) -> Diagnostic {
    let lines = line_starts(&text[..at]);
    let start = lines.last().copied().unwrap_or_default();
    let line = lines.len();
    let mut refusal = Diagnostic::error(
        path,
        format!("the file is not text: line {line} holds a NUL character"),
    );
    let begin = &text.as_bytes()[..text.len().min(64)];
    let is_wide = begin.iter().filter(|byte| **byte == 0).count() * 3 > begin.len();
    refusal.help(if is_wide {
        "it looks like UTF-16: save it as UTF-8"
    } else {
        "remove it"
    });
    let end = text[at..]
        .find(['\n', '\r'])
        .map_or(text.len(), |end| at + end);
    show(&mut refusal, line, &text[start..at], &text[at..end]);
    refusal
}

/// Shows the line that is not UTF-8, if the rest of it is text: of a binary there is nothing to see.
fn show_line(refusal: &mut Diagnostic, bytes: &[u8], valid_up_to: usize, line: usize) {
    let (before, rest) = bytes.split_at(valid_up_to);
    let start = before.iter().rposition(|byte| *byte == b'\n');
    let before = String::from_utf8_lossy(&before[start.map_or(0, |at| at + 1)..]);
    // No character has more than four bytes.
    let rest = &rest[..rest.len().min(4 * MAX_EXCERPT_CHARS)];
    let end = rest.iter().position(|byte| b"\n\r".contains(byte));
    let rest = String::from_utf8_lossy(&rest[..end.unwrap_or(rest.len())]);
    let is_binary = |text: &str| text.contains(|c: char| c.is_control() && c != '\t');
    if !is_binary(&before) && !is_binary(&rest) {
        show(refusal, line, &before, &rest);
    }
}

/// Shows a place between two parts of a line.
fn show(refusal: &mut Diagnostic, line: usize, before: &str, rest: &str) {
    const BEFORE: usize = 40;
    let column = before.chars().count() + 1;
    let first = if column > MAX_EXCERPT_CHARS {
        column - BEFORE
    } else {
        1
    };
    let shown = before.chars().skip(first - 1).chain(rest.chars());
    let excerpt: String = shown.take(MAX_EXCERPT_CHARS).collect();
    refusal.span = Some(Span {
        line,
        column,
        length: 1,
    });
    refusal.excerpt = Some(excerpt);
    refusal.excerpt_column = first;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &[u8]) -> SourceFile {
        SourceFile {
            path: "ci.yml".into(),
            text: text.to_vec(),
        }
    }

    #[test]
    fn lines_end_as_yaml_says() {
        let file = file(b"\xef\xbb\xbfa\nb\r\nc\rd");
        let source = Source::decode(FileId::default(), &file).unwrap();
        let lines: Vec<_> = (1..=5).map(|line| source.line(line)).collect();
        assert_eq!(lines, ["a", "b", "c", "d", ""]);
    }

    #[test]
    fn long_lines_are_shown_around_the_place() {
        let long = format!("{}here{}", "x".repeat(1000), "y".repeat(1000));
        let file = file(long.as_bytes());
        let source = Source::decode(FileId::default(), &file).unwrap();
        let region = Region {
            file: FileId::default(),
            line: 1,
            column: 1001,
            end_line: 1,
            end_column: 1005,
        };
        let (span, excerpt, first) = source.excerpt(region, 60);
        assert_eq!(first, 961);
        assert_eq!(excerpt.chars().count(), 60);
        let shown: String = excerpt.chars().skip(span.column - first).take(4).collect();
        assert_eq!(shown, "here");
    }

    #[test]
    fn any_place_of_a_long_line_is_found() {
        let line: String = (0..3000)
            .map(|n| ['a', 'é', '日', '🧊'][n % 4])
            .chain("   ".chars())
            .collect();
        let file = file(format!("é\n{line}\r\n{line}").as_bytes());
        let source = Source::decode(FileId::default(), &file).unwrap();
        let chars: Vec<char> = line.chars().collect();
        for column in [1, 2, 41, 42, 512, 1999, 2960, 3000, 3001, 3004, 4000] {
            let region = Region::point(FileId::default(), 2, column);
            let (span, excerpt, first) = source.excerpt(region, 60);
            assert_eq!((span.line, span.column, span.length), (2, column, 1));
            let expected: String = chars.iter().skip(first - 1).take(60).collect();
            assert_eq!(excerpt, expected, "{column}");
        }
        let (span, excerpt, _) = source.excerpt(Region::point(FileId::default(), 9, 1), 60);
        assert_eq!((span.line, excerpt.as_str()), (9, ""));
    }
}
