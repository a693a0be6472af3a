//! Java's regular expressions in the words of `fancy-regex`, which differ in escapes, classes and flags.
//!
//! Every construct is either known to mean the same, translated, or refused with its place. Two things
//! that Java has not are let through, since the patterns of `matches` in expressions have them (those
//! are RE2's): `(?P<name>…)` and `[[:alpha:]]`.

use std::ops::Range;

use crate::fault::Fault;

/// How often something may be repeated by a number, as in `a{1000}`.
const MAX_REPETITION: u32 = 1000;

const DIGIT: &str = "0-9";
const WORD: &str = "A-Za-z0-9_";
const SPACE: &str = r" \t\n\x0B\f\r";
const HORIZONTAL: &str = r" \t\x{A0}\x{1680}\x{180E}\x{2000}-\x{200A}\x{202F}\x{205F}\x{3000}";
const VERTICAL: &str = r"\n\x0B\f\r\x{85}\x{2028}\x{2029}";

/// The names of `\p{…}` that mean something of their own in Java: sets of ASCII.
const POSIX: &[(&str, &str)] = &[
    ("ASCII", r"\x00-\x7F"),
    ("Alnum", "A-Za-z0-9"),
    ("Alpha", "A-Za-z"),
    ("Blank", r" \t"),
    ("Cntrl", r"\x00-\x1F\x7F"),
    ("Digit", "0-9"),
    ("Graph", "!-~"),
    ("Lower", "a-z"),
    ("Print", " -~"),
    ("Punct", r"!-/:-@\[-`\{-\~"),
    ("Space", SPACE),
    ("Upper", "A-Z"),
    ("XDigit", "0-9A-Fa-f"),
];

/// Writes the same expression for `fancy-regex`.
pub(super) fn translate(text: &str) -> Result<String, Fault> {
    let mut translator = Translator {
        chars: text.chars().collect(),
        at: 0,
        out: String::with_capacity(text.len() + 16),
        groups: Vec::new(),
        repeatable: false,
    };
    translator.run()?;
    Ok(translator.out)
}

struct Translator {
    chars: Vec<char>,
    at: usize,
    out: String,
    /// Where each open group began.
    groups: Vec<usize>,
    /// Whether there is something that a `*` here would repeat.
    repeatable: bool,
}

/// What an escape stands for.
enum Escaped {
    Char(char),
    /// What is in a class, without its brackets, and whether it is what is not in it.
    Set(String, bool),
    /// Something that is written like this, and no character.
    Other(String),
}

impl Translator {
    fn run(&mut self) -> Result<(), Fault> {
        while let Some(char) = self.next() {
            let start = self.at - 1;
            match char {
                '\\' => self.escape(start)?,
                '[' => self.class(start)?,
                '(' => self.group(start)?,
                ')' => {
                    if self.groups.pop().is_none() {
                        let fault = Fault::new(start..start + 1, "this `)` closes nothing");
                        return Err(fault.help(r"write `\)` for the character"));
                    }
                    self.out.push(')');
                    self.repeatable = true;
                }
                '*' | '+' | '?' => {
                    self.out.push(char);
                    self.quantified(start)?;
                }
                '{' => self.counted(start)?,
                '|' => {
                    self.out.push('|');
                    self.repeatable = false;
                }
                '.' | '^' | '$' => {
                    self.out.push(char);
                    self.repeatable = true;
                }
                _ => {
                    self.literal(char);
                    self.repeatable = true;
                }
            }
        }
        match self.groups.pop() {
            Some(start) => Err(Fault::new(start..start + 1, "this `(` is never closed")),
            None => Ok(()),
        }
    }

    fn next(&mut self) -> Option<char> {
        let char = self.peek(0);
        self.at += usize::from(char.is_some());
        char
    }

    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    /// Goes on if these characters are next.
    fn take(&mut self, expected: &str) -> bool {
        let found = expected
            .chars()
            .enumerate()
            .all(|(ahead, char)| self.peek(ahead) == Some(char));
        if found {
            self.at += expected.chars().count();
        }
        found
    }

    /// All characters that are next and such as these.
    fn take_while(&mut self, is_such: impl Fn(char) -> bool) -> String {
        let taken: String = self.chars[self.at..]
            .iter()
            .take_while(|char| is_such(**char))
            .collect();
        self.at += taken.chars().count();
        taken
    }

    fn since(&self, start: usize) -> (Range<usize>, String) {
        let place = start..self.at;
        (place.clone(), self.chars[place].iter().collect())
    }

    fn literal(&mut self, char: char) {
        // Not all punctuation: an escaped `<` is the beginning of a word.
        if r"\.+*?()|[]{}^$#&-~".contains(char) {
            self.out.push('\\');
        }
        self.out.push(char);
    }

    /// The end of a quantifier: lazy, possessive or neither.
    fn quantified(&mut self, start: usize) -> Result<(), Fault> {
        if !self.repeatable {
            let (place, quantifier) = self.since(start);
            let message = format!("there is nothing before `{quantifier}` that it could repeat");
            let fault = Fault::new(place, message);
            return Err(match quantifier.as_str() {
                "*" => fault.help("any text is `.*`"),
                _ => fault.help(format!(r"write `\{quantifier}` for the character")),
            });
        }
        self.repeatable = false;
        if let Some(mode @ ('?' | '+')) = self.peek(0) {
            self.at += 1;
            self.out.push(mode);
        }
        Ok(())
    }

    fn counted(&mut self, start: usize) -> Result<(), Fault> {
        let least = self.take_while(|char| char.is_ascii_digit());
        let most = self
            .take(",")
            .then(|| self.take_while(|char| char.is_ascii_digit()));
        if least.is_empty() || !self.take("}") {
            let fault = Fault::new(start..start + 1, "this `{` begins no repetition");
            return Err(
                fault.help(r"repetitions are `{2}`, `{2,}` and `{2,5}`; the character is `\{`")
            );
        }
        let (place, shown) = self.since(start);
        let count = |digits: &str| match digits.parse::<u32>() {
            Ok(count) if count <= MAX_REPETITION => Ok(count),
            _ => Err(Fault::new(
                place.clone(),
                format!("`{shown}` repeats more than {MAX_REPETITION} times"),
            )),
        };
        let least = count(&least)?;
        if let Some(most) = most.filter(|most| !most.is_empty())
            && count(&most)? < least
        {
            let message = format!("the numbers of `{shown}` are in the wrong order");
            return Err(Fault::new(place, message));
        }
        self.out.push_str(&shown);
        self.quantified(start)
    }

    fn group(&mut self, start: usize) -> Result<(), Fault> {
        self.groups.push(start);
        self.repeatable = false;
        if !self.take("?") {
            self.out.push('(');
            return Ok(());
        }
        for opening in [":", "=", "!", ">", "<=", "<!"] {
            if self.take(opening) {
                self.out.push_str("(?");
                self.out.push_str(opening);
                return Ok(());
            }
        }
        if self.take("<") || self.take("P<") {
            let name = self.name(start)?;
            self.out.push_str("(?<");
            self.out.push_str(&name);
            self.out.push('>');
            return Ok(());
        }
        let flags = self.take_while(|char| char.is_ascii_alphabetic() || char == '-');
        let is_scoped = self.take(":");
        if !is_scoped && (flags.is_empty() || !self.take(")")) {
            let place = start..(self.at + 1).min(self.chars.len());
            return Err(Fault::new(
                place,
                "there is no such group in Java's regular expressions",
            ));
        }
        let (place, shown) = self.since(start);
        let mut kept = String::new();
        for flag in flags.chars() {
            match flag {
                'i' | 'm' | 's' | '-' => kept.push(flag),
                // Only Unix lines; letters beyond ASCII, which are known here anyway.
                'd' | 'u' | 'U' => {}
                'x' => {
                    return Err(Fault::new(place, "the flag `x` is not supported")
                        .help("write the expression without spaces and comments"));
                }
                _ => {
                    return Err(Fault::new(
                        place,
                        format!("there is no flag `{flag}` in Java's regular expressions"),
                    ));
                }
            }
        }
        if kept.matches('-').count() > 1 {
            return Err(Fault::new(place, format!("`{shown}` has two `-`")));
        }
        let kept = kept.trim_end_matches('-');
        if is_scoped {
            self.out.push_str(&format!("(?{kept}:"));
        } else {
            self.groups.pop();
            if !kept.is_empty() {
                self.out.push_str(&format!("(?{kept})"));
            }
        }
        Ok(())
    }

    /// A group's name and the `>` behind it.
    fn name(&mut self, start: usize) -> Result<String, Fault> {
        let name = self.take_while(|char| char.is_ascii_alphanumeric() || char == '_');
        let is_name = name.starts_with(|char: char| !char.is_ascii_digit()) && self.take(">");
        if is_name {
            return Ok(name);
        }
        let place = start..(self.at + 1).min(self.chars.len());
        let fault = Fault::new(place, "the name of a group is expected here");
        Err(fault.help("a name has letters and digits and ends with `>`, as in `(?<major>[0-9]+)`"))
    }

    /// An escape that is not in a class.
    fn escape(&mut self, start: usize) -> Result<(), Fault> {
        self.repeatable = true;
        if self.take("Q") {
            while self.at < self.chars.len() && !self.take(r"\E") {
                let char = self.chars[self.at];
                self.at += 1;
                self.literal(char);
            }
            return Ok(());
        }
        if self.take("E") {
            return Ok(());
        }
        match self.escaped(start)? {
            Escaped::Char(char) => self.literal(char),
            Escaped::Set(set, false) => self.out.push_str(&format!("[{set}]")),
            Escaped::Set(set, true) => self.out.push_str(&format!("[^{set}]")),
            Escaped::Other(other) => self.out.push_str(&other),
        }
        Ok(())
    }

    fn escaped(&mut self, start: usize) -> Result<Escaped, Fault> {
        let Some(char) = self.next() else {
            let fault = Fault::new(
                start..self.at,
                r"a `\` escapes what follows, and nothing does",
            );
            return Err(fault);
        };
        let set = |set: &str, is_negated| Ok(Escaped::Set(set.to_owned(), is_negated));
        let other = |other: &str| Ok(Escaped::Other(other.to_owned()));
        match char {
            'd' | 'D' => set(DIGIT, char == 'D'),
            'w' | 'W' => set(WORD, char == 'W'),
            's' | 'S' => set(SPACE, char == 'S'),
            'h' | 'H' => set(HORIZONTAL, char == 'H'),
            'v' | 'V' => set(VERTICAL, char == 'V'),
            'R' => other(&format!(r"(?:\r\n|[{VERTICAL}])")),
            'b' | 'B' | 'A' | 'Z' | 'z' => other(&format!(r"\{char}")),
            // Where the last match ended: there is only one, from the beginning.
            'G' => other(r"\A"),
            't' => Ok(Escaped::Char('\t')),
            'n' => Ok(Escaped::Char('\n')),
            'r' => Ok(Escaped::Char('\r')),
            'f' => Ok(Escaped::Char('\u{c}')),
            'a' => Ok(Escaped::Char('\u{7}')),
            'e' => Ok(Escaped::Char('\u{1b}')),
            'p' | 'P' => self.property(start, char == 'P'),
            'k' if self.take("<") => {
                let name = self.name(start)?;
                other(&format!(r"(?:\k<{name}>)"))
            }
            '1'..='9' => other(&format!(r"(?:\{char})")),
            '0' | 'x' | 'u' | 'c' => self.code(start, char),
            _ if !char.is_ascii_alphabetic() => Ok(Escaped::Char(char)),
            _ => {
                let (place, shown) = self.since(start);
                let message = format!("`{shown}` means nothing in Java's regular expressions");
                Err(Fault::new(place, message).help(format!("write `{char}` for the letter")))
            }
        }
    }

    /// A character by its number: `\x2F`, `\x{1F600}`, `\u002F`, `\057`, `\cA`.
    fn code(&mut self, start: usize, kind: char) -> Result<Escaped, Fault> {
        let digits = match kind {
            'x' if self.take("{") => {
                let digits = self.take_while(|char| char.is_ascii_hexdigit());
                if self.take("}") {
                    digits
                } else {
                    String::new()
                }
            }
            'x' => self.digits(2, 16),
            'u' => self.digits(4, 16),
            '0' => self.digits(3, 8),
            _ => {
                if let Some(char) = self.next()
                    && char.is_ascii()
                {
                    return Ok(Escaped::Char(char::from(char as u8 ^ 64)));
                }
                String::new()
            }
        };
        let is_whole = match kind {
            'u' => digits.len() == 4,
            'x' => digits.len() != 1,
            _ => true,
        };
        u32::from_str_radix(&digits, if kind == '0' { 8 } else { 16 })
            .ok()
            .filter(|_| is_whole)
            .and_then(char::from_u32)
            .map(Escaped::Char)
            .ok_or_else(|| {
                let (place, shown) = self.since(start);
                Fault::new(place, format!("`{shown}` is no character"))
                    .help(r"characters by number are `\x2F`, `\x{1F600}`, `\u002F` and `\057`")
            })
    }

    fn digits(&mut self, most: usize, radix: u32) -> String {
        let digits: String = self.chars[self.at..]
            .iter()
            .take(most)
            .take_while(|char| char.is_digit(radix))
            .collect();
        self.at += digits.len();
        digits
    }

    /// `\p{Lower}`, `\p{IsLatin}`, `\pL`.
    fn property(&mut self, start: usize, is_negated: bool) -> Result<Escaped, Fault> {
        let name = if self.take("{") {
            let name =
                self.take_while(|char| char.is_ascii_alphanumeric() || matches!(char, '_' | '='));
            if self.take("}") { name } else { String::new() }
        } else {
            self.next()
                .filter(char::is_ascii_alphabetic)
                .map(String::from)
                .unwrap_or_default()
        };
        let (place, shown) = self.since(start);
        if let Some((_, set)) = POSIX.iter().find(|(posix, _)| *posix == name) {
            return Ok(Escaped::Set((*set).to_owned(), is_negated));
        }
        let known = match name.as_str() {
            "" => None,
            "javaLowerCase" => Some("Lowercase"),
            "javaUpperCase" => Some("Uppercase"),
            "javaWhitespace" => Some("White_Space"),
            // Blocks of code points, which nothing here knows.
            name if name.starts_with("In") || name.starts_with("java") => None,
            name => Some(name.strip_prefix("Is").unwrap_or(name)),
        };
        known
            .map(|name| Escaped::Set(format!(r"\p{{{name}}}"), is_negated))
            .ok_or_else(|| {
                Fault::new(
                    place,
                    format!("`{shown}` is no class of characters that is known here"),
                )
            })
    }

    /// A class, with all classes inside it.
    fn class(&mut self, start: usize) -> Result<(), Fault> {
        let mut depth = 1;
        // A `]` at the beginning stands for itself.
        let mut is_first = self.open_class();
        while let Some(char) = self.next() {
            let at = self.at - 1;
            let was_first = std::mem::take(&mut is_first);
            match char {
                ']' if !was_first => {
                    self.out.push(']');
                    depth -= 1;
                    if depth == 0 {
                        self.repeatable = true;
                        return Ok(());
                    }
                }
                '[' => {
                    if !self.posix_class() {
                        depth += 1;
                        is_first = self.open_class();
                    }
                }
                '&' if self.take("&") => self.out.push_str("&&"),
                '\\' if self.take("Q") => {
                    while self.at < self.chars.len() && !self.take(r"\E") {
                        let char = self.chars[self.at];
                        self.at += 1;
                        self.literal(char);
                    }
                }
                '\\' if self.take("E") => {}
                '\\' => match self.escaped(at)? {
                    Escaped::Char(char) => self.range(at, char)?,
                    Escaped::Set(set, false) => self.out.push_str(&format!("[{set}]")),
                    Escaped::Set(set, true) => self.out.push_str(&format!("[^{set}]")),
                    Escaped::Other(_) => {
                        let (place, shown) = self.since(at);
                        let message = format!("`{shown}` has no meaning between `[` and `]`");
                        return Err(Fault::new(place, message));
                    }
                },
                _ => self.range(at, char)?,
            }
        }
        Err(Fault::new(start..start + 1, "this `[` is never closed")
            .help(r"write `\[` for the character"))
    }

    fn open_class(&mut self) -> bool {
        self.out.push('[');
        if self.take("^") {
            self.out.push('^');
        }
        true
    }

    /// `[:alpha:]` inside a class.
    fn posix_class(&mut self) -> bool {
        let start = self.at;
        if self.take(":") {
            let negation = if self.take("^") { "^" } else { "" };
            let name = self.take_while(|char| char.is_ascii_lowercase());
            if !name.is_empty() && self.take(":]") {
                self.out.push_str(&format!("[:{negation}{name}:]"));
                return true;
            }
        }
        self.at = start;
        false
    }

    /// One character of a class, or all from it to another.
    fn range(&mut self, start: usize, first: char) -> Result<(), Fault> {
        self.literal(first);
        let is_range = self.peek(0) == Some('-') && !matches!(self.peek(1), None | Some(']' | '['));
        if !is_range {
            return Ok(());
        }
        self.at += 1;
        let at = self.at;
        let last = match self.next() {
            Some('\\') => match self.escaped(at)? {
                Escaped::Char(last) => Some(last),
                Escaped::Set(..) | Escaped::Other(_) => None,
            },
            last => last,
        };
        let (place, shown) = self.since(start);
        match last {
            Some(last) if first <= last => {
                self.out.push('-');
                self.literal(last);
                Ok(())
            }
            Some(_) => Err(Fault::new(
                place,
                format!("the range `{shown}` is in the wrong order"),
            )),
            None => Err(
                Fault::new(place, format!("`{shown}` is no range of characters"))
                    .help(r"write `\-` for the character"),
            ),
        }
    }
}
