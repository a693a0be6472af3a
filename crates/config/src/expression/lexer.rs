//! The words of an expression.

use std::ops::Range;

use super::{Datum, Number, Order};
use crate::fault::Fault;

/// A word and where it is, in characters.
#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) word: Word,
    pub(super) place: Range<usize>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Word {
    Literal(Datum),
    Name(String),
    /// What is between its slashes.
    Pattern(String),
    And,
    Or,
    Not,
    Equal,
    NotEqual,
    Order(Order),
    Opening,
    Closing,
    /// Behind everything else.
    End,
}

/// Takes an expression apart; the last word is [`Word::End`].
pub(super) fn words(text: &str) -> Result<Vec<Token>, Fault> {
    let mut lexer = Lexer {
        chars: text.chars().collect(),
        at: 0,
    };
    let mut tokens = Vec::new();
    loop {
        let token = lexer.token()?;
        let is_end = token.word == Word::End;
        tokens.push(token);
        if is_end {
            return Ok(tokens);
        }
    }
}

struct Lexer {
    chars: Vec<char>,
    at: usize,
}

impl Lexer {
    fn token(&mut self) -> Result<Token, Fault> {
        self.take_while(char::is_whitespace);
        let start = self.at;
        let word = self.word(start)?;
        Ok(Token {
            word,
            place: start..self.at,
        })
    }

    fn word(&mut self, start: usize) -> Result<Word, Fault> {
        let Some(&char) = self.chars.get(start) else {
            return Ok(Word::End);
        };
        self.at += 1;
        match char {
            '(' => Ok(Word::Opening),
            ')' => Ok(Word::Closing),
            '=' if self.take('=') => Ok(Word::Equal),
            '!' if self.take('=') => Ok(Word::NotEqual),
            '!' => Ok(Word::Not),
            '<' if self.take('=') => Ok(Word::Order(Order::LessOrEqual)),
            '>' if self.take('=') => Ok(Word::Order(Order::GreaterOrEqual)),
            '<' if self.peek() != Some('<') => Ok(Word::Order(Order::Less)),
            '>' if self.peek() != Some('>') => Ok(Word::Order(Order::Greater)),
            '"' | '\'' => self.text(start, char),
            '/' => self.pattern(start),
            '-' if self.peek().is_some_and(|next| next.is_ascii_digit()) => self.number(start),
            _ if char.is_ascii_digit() => self.number(start),
            _ if char.is_ascii_alphabetic() => self.name(start),
            _ => Err(self.unknown(start, char)),
        }
    }

    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn take(&mut self, char: char) -> bool {
        let is_next = self.peek() == Some(char);
        self.at += usize::from(is_next);
        is_next
    }

    fn take_while(&mut self, is_such: impl Fn(char) -> bool) {
        while self.peek().is_some_and(&is_such) {
            self.at += 1;
        }
    }

    fn since(&self, start: usize) -> String {
        self.chars[start..self.at].iter().collect()
    }

    fn text(&mut self, start: usize, quote: char) -> Result<Word, Fault> {
        let mut text = String::new();
        loop {
            match self.peek() {
                None => {
                    let fault = Fault::new(start..start + 1, "this string is never closed");
                    return Err(fault.help(format!(
                        "it ends with `{quote}`; a `{quote}` inside is written `\\{quote}`"
                    )));
                }
                Some(char) if char == quote => break,
                Some('\\') if matches!(self.chars.get(self.at + 1), Some(&next) if next == quote || next == '\\') =>
                {
                    text.push(self.chars[self.at + 1]);
                    self.at += 2;
                }
                Some(char) => {
                    text.push(char);
                    self.at += 1;
                }
            }
        }
        self.at += 1;
        Ok(Word::Literal(Datum::Text(text)))
    }

    fn pattern(&mut self, start: usize) -> Result<Word, Fault> {
        loop {
            match self.peek() {
                None => {
                    let fault =
                        Fault::new(start..start + 1, "this regular expression is never closed");
                    return Err(fault.help(r"it ends with `/`; a `/` inside is written `\/`"));
                }
                Some('/') => break,
                Some('\\') => self.at = (self.at + 2).min(self.chars.len()),
                Some(_) => self.at += 1,
            }
        }
        self.at += 1;
        Ok(Word::Pattern(
            self.chars[start + 1..self.at - 1].iter().collect(),
        ))
    }

    fn number(&mut self, start: usize) -> Result<Word, Fault> {
        self.take_while(|char| is_in_name(char) || char == '.');
        let shown = self.since(start);
        let digits = shown.strip_prefix('-').unwrap_or(&shown);
        let (whole, decimals) = match digits.split_once('.') {
            Some((whole, decimals)) => (whole, Some(decimals)),
            None => (digits, None),
        };
        let is_digits =
            |text: &str| !text.is_empty() && text.chars().all(|char| char.is_ascii_digit());
        if !is_digits(whole) || decimals.is_some_and(|decimals| !is_digits(decimals)) {
            let fault = Fault::new(
                start..self.at,
                format!("`{shown}` is neither a number nor a name"),
            );
            return Err(fault.help("numbers are like `3` or `1.5`, and names begin with a letter"));
        }
        let is_small = decimals.is_some() || shown.parse::<i64>().is_ok();
        Number::parse(&shown)
            .filter(|_| is_small)
            .map(|number| Word::Literal(Datum::Number(number)))
            .ok_or_else(|| Fault::new(start..self.at, format!("the number `{shown}` is too large")))
    }

    fn name(&mut self, start: usize) -> Result<Word, Fault> {
        loop {
            self.take_while(is_in_name);
            if self.peek() != Some('.') {
                break;
            }
            if !self.chars.get(self.at + 1).copied().is_some_and(is_in_name) {
                let fault = Fault::new(self.at..self.at + 1, "a name is expected behind this dot");
                return Err(fault.help("a reference is like `pipeline.git.branch`"));
            }
            self.at += 1;
        }
        let name = self.since(start);
        Ok(match name.as_str() {
            "true" => Word::Literal(Datum::Bool(true)),
            "false" => Word::Literal(Datum::Bool(false)),
            "and" | "AND" => Word::And,
            "or" | "OR" => Word::Or,
            "not" | "NOT" => Word::Not,
            _ => Word::Name(name),
        })
    }

    fn unknown(&mut self, start: usize, char: char) -> Fault {
        if char == '=' && self.take('~') {
            return Fault::new(start..self.at, "there is no operator `=~`")
                .help("write `matches /…/`");
        }
        let is_doubled = self.take(char);
        let shown = self.since(start);
        let fault = |message: String| Fault::new(start..start + shown.chars().count(), message);
        match (char, is_doubled) {
            ('=', _) => fault("a single `=` is no operator".into()).help("write `==`"),
            ('&', _) => fault(format!("there is no operator `{shown}`")).help("write `and`"),
            ('|', _) => fault(format!("there is no operator `{shown}`")).help("write `or`"),
            ('<' | '>', _) => fault(format!("`{shown}` can't be inside an expression")).help(
                "write names without `<<` and `>>` here, as in `pipeline.git.branch == \"main\"`",
            ),
            ('‘' | '’' | '“' | '”' | '`', _) => {
                fault(format!("strings are not written with `{char}`"))
                    .help("write them with straight quotes: `\"main\"`")
            }
            ('$', _) => {
                fault("environment variables have no value yet when this is evaluated".into())
                    .help("only pipeline values and parameters do")
            }
            _ => Fault::new(
                start..start + 1,
                format!("the character `{}` means nothing here", char.escape_debug()),
            ),
        }
    }
}

/// What a name may have behind its first letter, but for dots.
fn is_in_name(char: char) -> bool {
    char.is_ascii_alphanumeric() || matches!(char, '_' | '-' | '?')
}
