//! Our words for what the protocol has other words for. Its lines and characters count from 0, and a
//! character is a unit of UTF-16; ours count from 1, and a character is a character.

use config::ide::{self, CompletionKind, Completions};
use config::{Severity, Span};
use gen_lsp_types::{
    CompletionItem, CompletionItemKind, CompletionList, Diagnostic, DiagnosticRelatedInformation,
    DiagnosticSeverity, Hover, Location, MarkupContent, MarkupKind, Position, Range, TextEdit, Uri,
};

/// A text's lines, to count in.
pub(super) struct Lines<'t> {
    lines: Vec<&'t str>,
    /// Whether the text begins with a byte order mark, which is a character to the protocol and none to us.
    has_mark: bool,
}

impl<'t> Lines<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        let mut rest = text.strip_prefix('\u{feff}').unwrap_or(text);
        let has_mark = rest.len() < text.len();
        let mut lines = Vec::new();
        while let Some(end) = rest.find(['\n', '\r']) {
            lines.push(&rest[..end]);
            let is_pair = rest[end..].starts_with("\r\n");
            rest = &rest[end + 1 + usize::from(is_pair)..];
        }
        lines.push(rest);
        Self { lines, has_mark }
    }

    fn line(&self, index: usize) -> &'t str {
        self.lines.get(index).copied().unwrap_or_default()
    }

    /// How many units stand before a line's first character.
    fn lead(&self, index: usize) -> usize {
        usize::from(self.has_mark && index == 0)
    }

    /// Of the protocol's positions, ours.
    pub(super) fn position(&self, position: Position) -> ide::Position {
        let index = usize::try_from(position.line).unwrap_or(usize::MAX - 1);
        let wanted = usize::try_from(position.character).unwrap_or(usize::MAX);
        let mut units = self.lead(index);
        let before = self.line(index).chars().take_while(|c| {
            units += c.len_utf16();
            units <= wanted
        });
        ide::Position {
            line: index.saturating_add(1),
            column: before.count() + 1,
        }
    }

    /// Of our places, the protocol's.
    pub(super) fn range(&self, span: Span) -> Range {
        let index = span.line.saturating_sub(1);
        let line = self.line(index);
        let units = |chars: usize| {
            let before = line.chars().take(chars).map(char::len_utf16);
            self.lead(index) + before.sum::<usize>()
        };
        let start = span.column.saturating_sub(1);
        let place = |chars| Position {
            line: u32::try_from(index).unwrap_or(u32::MAX),
            character: u32::try_from(units(chars)).unwrap_or(u32::MAX),
        };
        Range {
            start: place(start),
            end: place(start.saturating_add(span.length)),
        }
    }
}

/// A file of a config, as the editor and as the compiler know it.
pub(super) struct Shown<'f> {
    pub(super) path: &'f str,
    pub(super) uri: &'f Uri,
    pub(super) lines: Lines<'f>,
}

/// What is told of `own`, one of `all` the files of its config; none if it is another's matter.
pub(super) fn diagnostic(
    found: &config::Diagnostic,
    own: &Shown<'_>,
    all: &[Shown<'_>],
) -> Option<Diagnostic> {
    let file = |path: &str| all.iter().find(|file| file.path == path);
    let mut message = found.message.clone();
    if let Some(help) = &found.help {
        message = format!("{message}\n{help}");
    }
    let span = if found.path == own.path || found.path.is_empty() {
        found.span
    } else if file(&found.path).is_some() {
        return None;
    } else {
        // What is wrong in an orb is shown where a config comes to it.
        let line = found.span.map_or(1, |span| span.line);
        message = format!("{}:{line}: {message}", found.path);
        let way = found.related.iter().rev();
        let mut way = way.filter(|other| file(&other.path).is_some());
        match way.next() {
            Some(place) if place.path == own.path => Some(place.span),
            Some(_) => return None,
            None => None,
        }
    };
    let related: Vec<DiagnosticRelatedInformation> = found
        .related
        .iter()
        .filter_map(|other| Some((other, file(&other.path)?)))
        .map(|(other, file)| DiagnosticRelatedInformation {
            location: Location {
                uri: file.uri.clone(),
                range: file.lines.range(other.span),
            },
            message: other.message.clone(),
        })
        .collect();
    Some(Diagnostic {
        range: span.map(|span| own.lines.range(span)).unwrap_or_default(),
        severity: Some(match found.severity {
            Severity::Error => DiagnosticSeverity::Error,
            Severity::Warning => DiagnosticSeverity::Warning,
        }),
        code: Some(found.kind.as_str().to_owned().into()),
        source: Some("popsicle".to_owned()),
        message: message.into(),
        related_information: (!related.is_empty()).then_some(related),
        ..Diagnostic::default()
    })
}

pub(super) fn hover(hover: ide::Hover, lines: &Lines<'_>) -> Hover {
    Hover {
        contents: markdown(hover.markdown).into(),
        range: Some(lines.range(hover.span)),
    }
}

pub(super) fn completions(found: Completions, lines: &Lines<'_>) -> CompletionList {
    let range = lines.range(found.replace);
    let items = found.items.into_iter().enumerate();
    CompletionList {
        is_incomplete: !found.is_complete,
        items: items
            .map(|(place, item)| CompletionItem {
                // Editors sort by label otherwise.
                sort_text: Some(format!("{place:04}")),
                kind: Some(kind(item.kind)),
                detail: Some(item.detail).filter(|detail| !detail.is_empty()),
                documentation: Some(item.documentation)
                    .filter(|text| !text.is_empty())
                    .map(|text| markdown(text).into()),
                filter_text: Some(item.label.clone()),
                text_edit: Some(
                    TextEdit {
                        range,
                        new_text: item.insert,
                    }
                    .into(),
                ),
                label: item.label,
                ..CompletionItem::default()
            })
            .collect(),
        ..CompletionList::default()
    }
}

fn kind(kind: CompletionKind) -> CompletionItemKind {
    match kind {
        CompletionKind::Key => CompletionItemKind::Property,
        CompletionKind::Value => CompletionItemKind::EnumMember,
        CompletionKind::Job => CompletionItemKind::Class,
        CompletionKind::Step => CompletionItemKind::Function,
        CompletionKind::Executor => CompletionItemKind::Struct,
        CompletionKind::Parameter => CompletionItemKind::Variable,
        CompletionKind::Anchor => CompletionItemKind::Reference,
    }
}

fn markdown(value: String) -> MarkupContent {
    MarkupContent {
        kind: MarkupKind::Markdown,
        value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_in_units_of_utf_16() {
        let lines = Lines::new("a\r\n🧊b: 日c\n");
        let span = |column, length| Span {
            line: 2,
            column,
            length,
        };
        let range = lines.range(span(2, 1));
        assert_eq!((range.start.character, range.end.character), (2, 3));
        let range = lines.range(span(5, 9));
        assert_eq!((range.start.character, range.end.character), (5, 7));
        for (character, column) in [(0, 1), (1, 1), (2, 2), (3, 3), (99, 7)] {
            let position = lines.position(Position { line: 1, character });
            assert_eq!((position.line, position.column), (2, column), "{character}");
        }
        let far = lines.position(Position {
            line: u32::MAX,
            character: u32::MAX,
        });
        assert_eq!(far.column, 1);
    }

    #[test]
    fn a_byte_order_mark_is_a_unit_of_the_first_line() {
        let lines = Lines::new("\u{feff}ab\ncd");
        let span = |line| Span {
            line,
            column: 2,
            length: 1,
        };
        let (first, second) = (lines.range(span(1)), lines.range(span(2)));
        assert_eq!((first.start.character, first.end.character), (2, 3));
        assert_eq!((second.start.character, second.end.character), (1, 2));
        for (line, character, column) in [(0, 0, 1), (0, 1, 1), (0, 2, 2), (1, 1, 2)] {
            let position = lines.position(Position { line, character });
            assert_eq!(position.column, column, "{line}:{character}");
        }
    }

    #[test]
    fn lines_end_as_the_compiler_has_it() {
        let lines = Lines::new("a\rb\r\nc\n\nd");
        assert_eq!(lines.lines, ["a", "b", "c", "", "d"]);
    }
}
