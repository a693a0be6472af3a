//! Our words for what the protocol has other words for. Its lines and characters count from 0, and a
//! character is a unit of UTF-16; ours count from 1, and a character is a character.

use config::ide::{self, CompletionKind, Completions};
use config::{ErrorKind, Severity, Span};
use gen_lsp_types::{
    CompletionItem, CompletionItemKind, CompletionList, Diagnostic, DiagnosticRelatedInformation,
    DiagnosticSeverity, Hover, Location, MarkupContent, MarkupKind, Position, Range, TextEdit, Uri,
};

/// A text's lines, to count in.
pub(super) struct Lines<'t>(Vec<&'t str>);

impl<'t> Lines<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        let lines = text.split('\n');
        Self(
            lines
                .map(|line| line.strip_suffix('\r').unwrap_or(line))
                .collect(),
        )
    }

    fn line(&self, index: usize) -> &'t str {
        self.0.get(index).copied().unwrap_or_default()
    }

    /// Of the protocol's positions, ours.
    pub(super) fn position(&self, position: Position) -> ide::Position {
        let index = usize::try_from(position.line).unwrap_or(usize::MAX - 1);
        let wanted = usize::try_from(position.character).unwrap_or(usize::MAX);
        let mut units = 0;
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
        let units = |chars: usize| line.chars().take(chars).map(char::len_utf16).sum::<usize>();
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

pub(super) fn diagnostic(found: &config::Diagnostic, uri: &Uri, lines: &Lines<'_>) -> Diagnostic {
    let is_own = found.path == uri.0;
    let mut message = found.message.clone();
    if let Some(help) = &found.help {
        message = format!("{message}\n{help}");
    }
    // What is wrong in an orb is shown where the config comes to it.
    let span = if is_own || found.path.is_empty() {
        found.span
    } else {
        let line = found.span.map_or(1, |span| span.line);
        message = format!("{}:{line}: {message}", found.path);
        let mut own = found.related.iter().filter(|other| other.path == uri.0);
        own.next_back().map(|other| other.span)
    };
    let related: Vec<DiagnosticRelatedInformation> = found
        .related
        .iter()
        .filter(|other| other.path == uri.0)
        .map(|other| DiagnosticRelatedInformation {
            location: Location {
                uri: uri.clone(),
                range: lines.range(other.span),
            },
            message: other.message.clone(),
        })
        .collect();
    let code = match found.kind {
        ErrorKind::Config => "config",
        ErrorKind::OrbNotAtHand => "orb-not-at-hand",
    };
    Diagnostic {
        range: span.map(|span| lines.range(span)).unwrap_or_default(),
        severity: Some(match found.severity {
            Severity::Error => DiagnosticSeverity::Error,
            Severity::Warning => DiagnosticSeverity::Warning,
        }),
        code: Some(code.to_owned().into()),
        source: Some("popsicle".to_owned()),
        message: message.into(),
        related_information: (!related.is_empty()).then_some(related),
        ..Diagnostic::default()
    }
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
}
