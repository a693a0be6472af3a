//! Texts with holes: `cimg/node:<< parameters.version >>`, and sections that are only there if something
//! is (`<<# parameters.ci >>--ci<</ parameters.ci >>`).
//!
//! As in CircleCI's 2.1, each `<<` opens a hole, and one that is meant as it stands is written `\<<`.
//! Backslashes right before a `<<` are halved: `\\<<` is a backslash and a hole.

/// A part of a text. Offsets are bytes of the whole text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part<'t> {
    /// Stays as it is.
    Text(&'t str),
    /// Is replaced by a value.
    Hole(Hole<'t>),
    /// Is there or not.
    Section {
        /// What decides.
        hole: Hole<'t>,
        /// Whether it is there if that is false.
        inverted: bool,
        /// What is there then.
        body: Vec<Part<'t>>,
    },
}

/// What is between `<<` and `>>`, without the blanks around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hole<'t> {
    pub(super) inner: &'t str,
    /// Where it begins, its `<<` included.
    pub(super) start: usize,
    /// Where it ends, its `>>` included.
    pub(super) end: usize,
}

/// What keeps a text from being read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TextFault<'t> {
    pub(super) hole: Hole<'t>,
    pub(super) message: String,
}

/// What a reference can begin with.
const SCOPES: &[&str] = &[
    "parameters",
    "pipeline",
    "matrix",
    "executor",
    "command",
    "job",
    "orb",
];

/// How deep sections may be nested.
const MAX_SECTIONS: usize = 20;

/// The parts of a text.
pub(super) fn parts(text: &str) -> Result<Vec<Part<'_>>, TextFault<'_>> {
    let mut open: Vec<(Hole<'_>, bool, Vec<Part<'_>>)> = Vec::new();
    let mut parts: Vec<Part<'_>> = Vec::new();
    let mut rest = 0;
    let mut search = 0;
    while let Some(found) = text[search..].find("<<") {
        let start = search + found;
        search = start + 2;
        let before = &text[rest..start];
        let backslashes = before.len() - before.trim_end_matches('\\').len();
        push_text(&mut parts, &text[rest..start - backslashes.div_ceil(2)]);
        rest = start;
        if backslashes % 2 == 1 {
            continue;
        }
        let Some((tag, hole)) = hole_at(text, start) else {
            return Err(TextFault {
                hole: Hole {
                    inner: "",
                    start,
                    end: search,
                },
                message: "a `<<` opens a value here, and no `>>` closes it".to_owned(),
            });
        };
        rest = hole.end;
        search = hole.end;
        match tag {
            Tag::Comment => {}
            Tag::Value => parts.push(Part::Hole(hole)),
            Tag::Open { inverted } => {
                if open.len() >= MAX_SECTIONS {
                    return Err(TextFault {
                        hole,
                        message: format!("sections are nested more than {MAX_SECTIONS} deep"),
                    });
                }
                open.push((hole, inverted, std::mem::take(&mut parts)));
            }
            Tag::Close => match open.pop() {
                Some((begun, inverted, before)) if begun.inner == hole.inner => {
                    let body = std::mem::replace(&mut parts, before);
                    parts.push(Part::Section {
                        hole: begun,
                        inverted,
                        body,
                    });
                }
                Some((begun, ..)) => {
                    return Err(TextFault {
                        hole,
                        message: format!(
                            "the section `{}` is closed here as `{}`",
                            begun.inner, hole.inner
                        ),
                    });
                }
                None => {
                    return Err(TextFault {
                        hole,
                        message: format!("no section `{}` is open here", hole.inner),
                    });
                }
            },
        }
    }
    if let Some((begun, ..)) = open.pop() {
        return Err(TextFault {
            hole: begun,
            message: format!("the section `{}` is never closed", begun.inner),
        });
    }
    push_text(&mut parts, &text[rest..]);
    Ok(parts)
}

/// The only hole of a text that is nothing else.
pub(super) fn only_hole(text: &str) -> Option<Hole<'_>> {
    let trimmed = text.trim();
    if !trimmed.starts_with("<<") || !trimmed.ends_with(">>") {
        return None;
    }
    let start = text.len() - text.trim_start().len();
    match hole_at(text, start) {
        Some((Tag::Value, hole)) if hole.end == text.trim_end().len() => Some(hole),
        Some(_) | None => None,
    }
}

enum Tag {
    Value,
    Open { inverted: bool },
    Close,
    Comment,
}

fn push_text<'t>(parts: &mut Vec<Part<'t>>, text: &'t str) {
    if !text.is_empty() {
        parts.push(Part::Text(text));
    }
}

/// The hole that a `<<` opens, if it is closed.
fn hole_at(text: &str, start: usize) -> Option<(Tag, Hole<'_>)> {
    let after = &text[start + 2..];
    let length = closing(after)?;
    let end = start + 2 + length + 2;
    let inner = after[..length].trim();
    // Whatever this was meant to be, the other one is closed.
    if inner.contains("<<") {
        return None;
    }
    let (tag, inner) = match inner.as_bytes().first() {
        Some(b'#') => (Tag::Open { inverted: false }, inner[1..].trim_start()),
        Some(b'^') => (Tag::Open { inverted: true }, inner[1..].trim_start()),
        Some(b'/') => (Tag::Close, inner[1..].trim_start()),
        Some(b'&') => (Tag::Value, inner[1..].trim_start()),
        Some(b'!') if !inner.starts_with("!=") && !is_expression(inner) => (Tag::Comment, inner),
        Some(_) | None => (Tag::Value, inner),
    };
    Some((tag, Hole { inner, start, end }))
}

/// Where the `>>` of a hole is: not one in a text in quotes or in a pattern of the hole's.
fn closing(after: &str) -> Option<usize> {
    let first = after.find(">>")?;
    // Tags of sections and comments are no expressions, whatever quotes they hold.
    let is_tag =
        after.trim_start().starts_with(['#', '^', '/', '!']) && !is_expression(&after[..first]);
    if is_tag || !after[..first].contains(['"', '\'', '/']) {
        return Some(first);
    }
    // In a hole that opens a quote and does not close it, quotes mean nothing.
    Some(closing_outside_quotes(after).unwrap_or(first))
}

fn closing_outside_quotes(after: &str) -> Option<usize> {
    let mut at = 0;
    loop {
        let rest = &after[at..];
        let found = rest.find(['"', '\'', '/', '>', '<', '\\'])?;
        at += found + 1;
        let rest = &after[at..];
        match after.as_bytes()[at - 1] {
            b'>' if rest.starts_with('>') => return Some(at - 1),
            // Another hole: whatever the first was meant to be, it is not closed.
            b'<' if rest.starts_with('<') => return None,
            // The same inside and outside of quotes, so that no text is looked through for each of its holes.
            b'\\' => at += rest.chars().next().map_or(0, char::len_utf8),
            quote @ (b'"' | b'\'') => at += quoted_length(rest, quote)?,
            slash @ b'/' if after[..at - 1].trim_end().ends_with("matches") => {
                at += quoted_length(rest, slash)?;
            }
            _ => {}
        }
    }
}

/// How long the rest of a quoted text is, its closing quote included; none if its line does not close it.
fn quoted_length(rest: &str, quote: u8) -> Option<usize> {
    let mut is_escaped = false;
    for (at, byte) in rest.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'\n' => return None,
            byte if byte == quote => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// `parameters.version`, and what is likely meant for one: `paramters.version`.
pub(super) fn is_reference(inner: &str) -> bool {
    let mut words = inner.split('.');
    let is_word = |word: &str| {
        !word.is_empty()
            && word
                .chars()
                .all(|c| c.is_alphanumeric() || matches!(c, '_' | '-'))
    };
    let first = words.next().unwrap_or_default();
    let begins_well = first.starts_with(|c: char| c.is_alphabetic() || c == '_');
    begins_well && is_word(first) && inner.contains('.') && words.all(is_word)
}

/// Something that holds a reference of a known scope outside of quotes: `not pipeline.parameters.x`.
pub(super) fn is_expression(inner: &str) -> bool {
    let mut quote = None;
    let mut before = ' ';
    for (at, c) in inner.char_indices() {
        match quote {
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if matches!(c, '"' | '\'') => quote = Some(c),
            None if c.is_alphabetic() && !is_name_char(before) => {
                let rest = &inner[at..];
                let found = SCOPES.iter().any(|scope| {
                    rest.strip_prefix(scope)
                        .is_some_and(|after| after.starts_with('.'))
                });
                if found {
                    return true;
                }
            }
            None => {}
        }
        before = c;
    }
    false
}

fn is_name_char(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '$' | '{' | '/')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Holes in brackets, sections in braces.
    fn show(parts: &[Part<'_>]) -> String {
        parts
            .iter()
            .map(|part| match part {
                Part::Text(text) => (*text).to_owned(),
                Part::Hole(hole) => format!("[{}]", hole.inner),
                Part::Section {
                    hole,
                    inverted,
                    body,
                } => format!(
                    "{{{}{}: {}}}",
                    if *inverted { "^" } else { "#" },
                    hole.inner,
                    show(body)
                ),
            })
            .collect()
    }

    fn read(text: &str) -> String {
        match parts(text) {
            Ok(parts) => show(&parts),
            Err(fault) => format!("fault: {}", fault.message),
        }
    }

    #[test]
    fn holes_and_escapes() {
        let unclosed = "fault: a `<<` opens a value here, and no `>>` closes it";
        for (text, meant) in [
            ("a << parameters.x >> b", "a [parameters.x] b"),
            ("<<pipeline.number>>", "[pipeline.number]"),
            ("<<\tmatrix.os\t>>", "[matrix.os]"),
            ("<< paramters.x >>", "[paramters.x]"),
            (
                "<< not pipeline.parameters.x >>",
                "[not pipeline.parameters.x]",
            ),
            ("<<! why >>a", "a"),
            (r"\<< parameters.x >>", "<< parameters.x >>"),
            (r"\\<< parameters.x >>", r"\[parameters.x]"),
            (r"a\\\<< b", r"a\<< b"),
            (r"cat \<<EOF >> x", "cat <<EOF >> x"),
            (r"cat \<<< $x", "cat <<< $x"),
            (r"a\b >> c", r"a\b >> c"),
            ("cat <<EOF", unclosed),
            ("<<", unclosed),
            ("<< << parameters.x >>", unclosed),
        ] {
            assert_eq!(read(text), meant, "{text}");
        }
    }

    #[test]
    fn what_is_quoted_closes_no_hole() {
        for (text, meant) in [
            (
                r#"a << pipeline.git.branch or ">>" >> b >> c"#,
                r#"a [pipeline.git.branch or ">>"] b >> c"#,
            ),
            ("<< pipeline.x == 'a >> b' >>", "[pipeline.x == 'a >> b']"),
            (
                r#"<< pipeline.x == "\">>" >> ">>""#,
                r#"[pipeline.x == "\">>"] ">>""#,
            ),
            (
                r"<< pipeline.x matches /it's >> \/.*/ >> it's >>",
                r"[pipeline.x matches /it's >> \/.*/] it's >>",
            ),
            // What is not closed is no quote.
            ("<< pipeline.x's >> a 'b", "[pipeline.x's] a 'b"),
            ("<< pipeline.x's >> a\nb' >>", "[pipeline.x's] a\nb' >>"),
            ("<<! it's >> a' >>", " a' >>"),
            (
                "<< parameters.a >> 'b' << parameters.c >>",
                "[parameters.a] 'b' [parameters.c]",
            ),
            ("<< 4 / 2 >> / >>", "[4 / 2] / >>"),
        ] {
            assert_eq!(read(text), meant, "{text}");
        }
        assert!(only_hole(r#"<< pipeline.x or ">>" >>"#).is_some());
        assert!(only_hole(r#"<< pipeline.x or ">>" >> >>"#).is_none());
    }

    #[test]
    fn sections_hold_parts() {
        assert_eq!(
            read("a <<# parameters.x >>b << parameters.y >><</ parameters.x >> c"),
            "a {#parameters.x: b [parameters.y]} c"
        );
        assert_eq!(
            read("<<^parameters.x>>no<</parameters.x>>"),
            "{^parameters.x: no}"
        );
        for (text, fault) in [
            (
                "<<# parameters.x >>b",
                "fault: the section `parameters.x` is never closed",
            ),
            (
                "b<</ parameters.x >>",
                "fault: no section `parameters.x` is open here",
            ),
            (
                "<<# parameters.x >><</ parameters.y >>",
                "fault: the section `parameters.x` is closed here as `parameters.y`",
            ),
        ] {
            assert_eq!(read(text), fault, "{text}");
        }
    }

    #[test]
    fn a_text_may_be_one_hole() {
        assert!(only_hole(" << parameters.x >> ").is_some());
        assert!(only_hole("<< parameters.x >> << parameters.y >>").is_none());
        assert!(only_hole("v<< parameters.x >>").is_none());
        assert!(only_hole("<<# parameters.x >>").is_none());
    }
}
