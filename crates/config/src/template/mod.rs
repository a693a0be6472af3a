//! Templates of cache keys: `v1-{{ arch }}-{{ .Branch }}-{{ checksum "package-lock.json" }}`.
//!
//! They are read here, so that what is wrong is told before anything runs; what they stand for is known
//! only while a job does. Of Go's templates, in which they are written, there is what cache keys are
//! documented to have and what configs use besides: trimming (`{{- arch -}}`), comments, strings
//! and `{{ epoch | round "24h" }}`.

use std::ops::Range;

use crate::duration;
use crate::fault::Fault;
use crate::suggest::nearest;

/// How many characters a key's template may have.
pub(crate) const MAX_TEMPLATE_CHARS: usize = 10_000;

/// A part of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// This text.
    Text(String),
    /// `.Branch`
    Branch,
    /// `.BuildNum`: the job's number.
    BuildNumber,
    /// `.Revision`
    Revision,
    /// `.CheckoutKey`: the SSH key that the code is checked out with.
    CheckoutKey,
    /// `.Environment.X`
    Environment(String),
    /// `checksum "file"`: a hash of what is in it.
    Checksum(String),
    /// `epoch`: seconds since 1970; with `round`, the last multiple of so many milliseconds.
    Epoch {
        /// None if it is not rounded.
        rounded_to_ms: Option<u64>,
    },
    /// `arch`: the operating system and the processor.
    Arch,
}

/// What begins with a dot.
const FIELDS: [&str; 5] = [
    ".Branch",
    ".BuildNum",
    ".Revision",
    ".CheckoutKey",
    ".Environment",
];

const FUNCTIONS: [&str; 3] = ["arch", "checksum", "epoch"];

/// The parts of a key's template, for who fills it in.
///
/// # Errors
///
/// What is wrong with it, for people; nothing where it stands in a config that was compiled.
pub fn key_parts(template: &str) -> Result<Vec<Part>, String> {
    parse(template).map_err(|faults| {
        let first = faults.into_iter().next();
        let why = first.map_or_else(String::new, |fault| format!(": {}", fault.message));
        format!("the key `{template}` can't be read{why}")
    })
}

/// Reads the template of a key into its parts.
///
/// # Errors
///
/// All that is wrong with it.
pub(crate) fn parse(text: &str) -> Result<Vec<Part>, Vec<Fault>> {
    let chars: Vec<char> = text.chars().collect();
    if chars.len() > MAX_TEMPLATE_CHARS {
        return Err(vec![Fault::new(
            0..chars.len(),
            format!(
                "the key has {} characters, and {MAX_TEMPLATE_CHARS} are the most",
                chars.len()
            ),
        )]);
    }
    let mut parts = Vec::new();
    let mut faults = Vec::new();
    let mut at = 0;
    let mut is_trimmed = false;
    while at < chars.len() {
        let opening = find(&chars, at, "{{").unwrap_or(chars.len());
        let trims = opening < chars.len() && is_trim(&chars, opening + 2, opening + 3);
        push_text(&mut parts, &chars[at..opening], is_trimmed, trims);
        if opening == chars.len() {
            break;
        }
        let inside = opening + 2 + usize::from(trims);
        let Some(closing) = closing(&chars, inside) else {
            let fault = Fault::new(opening..opening + 2, "this `{{` is never closed");
            faults.push(fault.help("it ends with `}}`"));
            break;
        };
        is_trimmed = closing > inside && is_trim(&chars, closing - 1, closing - 2);
        let action = inside..closing - usize::from(is_trimmed);
        match part(&chars, action, opening..closing + 2) {
            Ok(part) => parts.extend(part),
            Err(fault) => faults.push(fault),
        }
        at = closing + 2;
    }
    if faults.is_empty() {
        Ok(parts)
    } else {
        Err(faults)
    }
}

/// Whether there is a `-` that trims the text beside an action: with a space on its inner side.
fn is_trim(chars: &[char], dash: usize, space: usize) -> bool {
    chars.get(dash) == Some(&'-') && chars.get(space).is_some_and(|char| char.is_whitespace())
}

fn push_text(parts: &mut Vec<Part>, text: &[char], trims_start: bool, trims_end: bool) {
    let text: String = text.iter().collect();
    let mut text = text.as_str();
    if trims_start {
        text = text.trim_start();
    }
    if trims_end {
        text = text.trim_end();
    }
    if !text.is_empty() {
        parts.push(Part::Text(text.to_owned()));
    }
}

fn find(chars: &[char], from: usize, wanted: &str) -> Option<usize> {
    let wanted: Vec<char> = wanted.chars().collect();
    let found = chars[from..]
        .windows(wanted.len())
        .position(|window| window == wanted);
    found.map(|place| from + place)
}

/// Where the `}}` of an action is; not one in a string or a comment.
fn closing(chars: &[char], from: usize) -> Option<usize> {
    let is_comment = chars[from..]
        .iter()
        .filter(|char| !char.is_whitespace())
        .take(2)
        .eq(&['/', '*']);
    if is_comment {
        let end = find(chars, find(chars, from, "/*")? + 2, "*/")?;
        return find(chars, end, "}}");
    }
    let mut quote = None;
    let mut at = from;
    while at < chars.len() {
        match (quote, chars[at]) {
            (Some('"'), '\\') => at += 1,
            (Some(open), char) if open == char => quote = None,
            (None, '"' | '`') => quote = Some(chars[at]),
            (None, '}') if chars.get(at + 1) == Some(&'}') => return Some(at),
            _ => {}
        }
        at += 1;
    }
    // A quote that is never closed: the fault is told of it, not of the braces.
    find(chars, from, "}}")
}

/// A word of an action.
#[derive(Clone, Debug)]
struct Word {
    kind: Kind,
    place: Range<usize>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    /// A function, a field or a number.
    Name(String),
    Text(String),
    Pipe,
}

/// What an action stands for; nothing if it is a comment.
fn part(chars: &[char], action: Range<usize>, whole: Range<usize>) -> Result<Option<Part>, Fault> {
    let words = words(chars, action)?;
    let [first, rest @ ..] = words.as_slice() else {
        let fault = Fault::new(whole, "there is nothing between the braces");
        return Err(fault.help("a key can have `{{ .Branch }}` or `{{ checksum \"file\" }}`"));
    };
    if matches!(&first.kind, Kind::Name(name) if name.starts_with("/*")) {
        return Ok(None);
    }
    let split = rest.iter().position(|word| word.kind == Kind::Pipe);
    let (arguments, piped) = rest.split_at(split.unwrap_or(rest.len()));
    let mut part = command(first, arguments)?;
    let mut piped = piped.split(|word| word.kind == Kind::Pipe);
    // What is before the first `|` was taken above.
    piped.next();
    for (number, command) in piped.enumerate() {
        let place = match command {
            [first, ..] => first.place.clone(),
            [] => whole.clone(),
        };
        part = match (part, command) {
            (
                Part::Epoch {
                    rounded_to_ms: None,
                },
                [name, interval],
            ) if is_name(name, "round") => Part::Epoch {
                rounded_to_ms: Some(rounding(interval)?),
            },
            _ => {
                let message = match number {
                    0 => "this can't be passed on to that",
                    _ => "this can't be passed on any further",
                };
                let fault = Fault::new(place, message);
                return Err(fault.help("only `{{ epoch | round \"24h\" }}` is supported"));
            }
        };
    }
    Ok(Some(part))
}

fn is_name(word: &Word, expected: &str) -> bool {
    matches!(&word.kind, Kind::Name(name) if name == expected)
}

fn rounding(interval: &Word) -> Result<u64, Fault> {
    let fault = |message| {
        Err(Fault::new(interval.place.clone(), message).help("write it like `round \"24h\"`"))
    };
    let Kind::Text(text) = &interval.kind else {
        return fault("`round` needs a duration in quotes");
    };
    match duration::parse(text) {
        Ok(0) => fault("nothing can be rounded to 0"),
        Ok(ms) => Ok(ms),
        Err(_) => fault("`round` needs a duration"),
    }
}

/// A function with its arguments, a field, or a literal.
fn command(first: &Word, arguments: &[Word]) -> Result<Part, Fault> {
    let name = match &first.kind {
        Kind::Name(name) => name.as_str(),
        Kind::Text(text) => {
            takes_nothing("a string", arguments)?;
            return Ok(Part::Text(text.clone()));
        }
        Kind::Pipe => {
            return Err(Fault::new(
                first.place.clone(),
                "there is nothing before this `|`",
            ));
        }
    };
    let part = match name {
        ".Branch" => Part::Branch,
        ".BuildNum" => Part::BuildNumber,
        ".Revision" => Part::Revision,
        ".CheckoutKey" => Part::CheckoutKey,
        "arch" => Part::Arch,
        "epoch" => Part::Epoch {
            rounded_to_ms: None,
        },
        "checksum" => return checksum(first, arguments),
        _ => match name.strip_prefix(".Environment.") {
            Some(variable) if is_variable(variable) => Part::Environment(variable.to_owned()),
            Some(_) => {
                let fault = Fault::new(first.place.clone(), format!("`{name}` names no variable"));
                return Err(
                    fault.help("a name has letters, digits and `_`: `.Environment.CACHE_VERSION`")
                );
            }
            None => return Err(unknown(first, name)),
        },
    };
    takes_nothing(&format!("`{name}`"), arguments)?;
    Ok(part)
}

fn takes_nothing(what: &str, arguments: &[Word]) -> Result<(), Fault> {
    match arguments {
        [] => Ok(()),
        [first, ..] => Err(Fault::new(
            first.place.clone(),
            format!("{what} takes nothing behind it"),
        )),
    }
}

fn checksum(name: &Word, arguments: &[Word]) -> Result<Part, Fault> {
    const HELP: &str = "write `{{ checksum \"package-lock.json\" }}`";
    match arguments {
        [] => Err(Fault::new(name.place.clone(), "`checksum` needs a file").help(HELP)),
        [
            Word {
                kind: Kind::Text(file),
                place,
            },
        ] if file.trim().is_empty() => {
            Err(Fault::new(place.clone(), "`checksum` needs a file").help(HELP))
        }
        [
            Word {
                kind: Kind::Text(file),
                ..
            },
        ] => Ok(Part::Checksum(file.clone())),
        [
            Word {
                kind: Kind::Name(_) | Kind::Pipe,
                place,
            },
        ] => {
            Err(Fault::new(place.clone(), "the file of `checksum` has to be in quotes").help(HELP))
        }
        [_, second, ..] => {
            let fault = Fault::new(second.place.clone(), "`checksum` takes one file");
            Err(fault.help("write another `{{ checksum … }}` for another file"))
        }
    }
}

fn unknown(word: &Word, name: &str) -> Fault {
    let fault = |message| Fault::new(word.place.clone(), message);
    let dotted = format!(".{name}");
    let is_field = name.starts_with('.');
    let known = FIELDS.iter().chain(&FUNCTIONS).copied();
    match name {
        ".Environment" => fault("`.Environment` needs the name of a variable".to_owned())
            .help("write `.Environment.CACHE_VERSION`"),
        name if FIELDS.contains(&dotted.as_str()) => {
            fault(format!("there is no function `{name}`"))
                .help(format!("did you mean `{dotted}`?"))
        }
        name => {
            let kind = if is_field { "field" } else { "function" };
            let shown: String = name.chars().take(40).collect();
            let fault = fault(format!("there is no {kind} `{shown}` in keys"));
            match nearest(name, known) {
                Some(meant) => fault.help(format!("did you mean `{meant}`?")),
                None => fault.help(format!(
                    "a key can have `{}.X`, `{}` and `checksum \"file\"`",
                    FIELDS.join("`, `"),
                    ["arch", "epoch"].join("`, `")
                )),
            }
        }
    }
}

fn is_variable(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|char: char| char.is_ascii_digit())
        && name
            .chars()
            .all(|char| char.is_ascii_alphanumeric() || char == '_')
}

/// Takes an action apart.
fn words(chars: &[char], action: Range<usize>) -> Result<Vec<Word>, Fault> {
    let mut words = Vec::new();
    let mut at = action.start;
    while at < action.end {
        let start = at;
        let kind = match chars[at] {
            char if char.is_whitespace() => {
                at += 1;
                continue;
            }
            '|' => {
                at += 1;
                Kind::Pipe
            }
            quote @ ('"' | '`') => {
                let text;
                (text, at) = quoted(chars, start, quote, action.end)?;
                Kind::Text(text)
            }
            '\'' => {
                let fault = Fault::new(start..start + 1, "strings are not written with `'` here");
                return Err(fault.help("write them with double quotes: `\"package-lock.json\"`"));
            }
            _ => {
                let ends =
                    |char: &char| char.is_whitespace() || matches!(char, '|' | '"' | '`' | '\'');
                let rest = &chars[at..action.end];
                at += rest.iter().position(ends).unwrap_or(rest.len());
                Kind::Name(chars[start..at].iter().collect())
            }
        };
        words.push(Word {
            kind,
            place: start..at,
        });
    }
    Ok(words)
}

/// A string in quotes, and where it ends.
fn quoted(chars: &[char], start: usize, quote: char, end: usize) -> Result<(String, usize), Fault> {
    let mut text = String::new();
    let mut at = start + 1;
    while at < end {
        match chars[at] {
            char if char == quote => return Ok((text, at + 1)),
            '\\' if quote == '"' => {
                match chars.get(at + 1).filter(|_| at + 1 < end) {
                    Some('n') => text.push('\n'),
                    Some('t') => text.push('\t'),
                    Some(char @ ('"' | '\\')) => text.push(*char),
                    _ => {
                        let fault =
                            Fault::new(at..(at + 2).min(end), "this escape is not supported");
                        return Err(fault.help(r#"there are `\"`, `\\`, `\n` and `\t`"#));
                    }
                }
                at += 2;
            }
            char => {
                text.push(char);
                at += 1;
            }
        }
    }
    Err(Fault::new(
        start..start + 1,
        format!("this `{quote}` is never closed"),
    ))
}

#[cfg(test)]
mod tests;
