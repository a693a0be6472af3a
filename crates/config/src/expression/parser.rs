//! The grammar of expressions: one function for each strength of operators.

use super::lexer::{Token, Word, words};
use super::{Expression, Link, MAX_EXPRESSION_BYTES, MAX_NESTING, Node, Reference, Test};
use crate::fault::Fault;
use crate::pattern::Patterns;
use crate::suggest::nearest;

/// The operators that are names.
const NAMED: [&str; 3] = ["starts-with", "contains", "matches"];

pub(super) fn parse(text: &str, patterns: &mut Patterns) -> Result<Expression, Fault> {
    if text.len() > MAX_EXPRESSION_BYTES {
        return Err(Fault::new(
            0..text.chars().count(),
            format!(
                "the expression has {} bytes, and {MAX_EXPRESSION_BYTES} are the most",
                text.len()
            ),
        ));
    }
    let mut parser = Parser {
        tokens: words(text)?,
        at: 0,
        nesting: 0,
        patterns,
        pattern_count: 0,
        references: Vec::new(),
        doubts: Vec::new(),
    };
    let root = parser.or()?;
    if !parser.take(&Word::End) {
        return Err(parser.unexpected());
    }
    Ok(Expression {
        root,
        references: parser.references,
        doubts: parser.doubts,
        patterns: parser.pattern_count,
    })
}

struct Parser<'p> {
    /// Never empty: the last is [`Word::End`].
    tokens: Vec<Token>,
    at: usize,
    nesting: usize,
    patterns: &'p mut Patterns,
    pattern_count: usize,
    references: Vec<Reference>,
    doubts: Vec<Fault>,
}

impl Parser<'_> {
    fn token(&self) -> &Token {
        &self.tokens[self.at.min(self.tokens.len() - 1)]
    }

    fn word(&self) -> &Word {
        &self.token().word
    }

    fn take(&mut self, word: &Word) -> bool {
        let is_next = self.word() == word;
        self.at += usize::from(is_next);
        is_next
    }

    fn or(&mut self) -> Result<Node, Fault> {
        let mut nodes = vec![self.and()?];
        while self.take(&Word::Or) {
            nodes.push(self.and()?);
        }
        Ok(one_or(nodes, Node::Or))
    }

    fn and(&mut self) -> Result<Node, Fault> {
        let mut nodes = vec![self.equality()?];
        while self.take(&Word::And) {
            nodes.push(self.equality()?);
        }
        Ok(one_or(nodes, Node::And))
    }

    fn equality(&mut self) -> Result<Node, Fault> {
        let start = self.at;
        let first = self.order()?;
        let mut links = Vec::new();
        loop {
            let Token { word, place } = self.token().clone();
            let name = if let Word::Name(name) = &word {
                name.as_str()
            } else {
                ""
            };
            let test: fn(Node) -> Test = if word == Word::Equal {
                Test::Equal
            } else if word == Word::NotEqual {
                Test::NotEqual
            } else if name == "starts-with" {
                Test::StartsWith
            } else if name == "contains" {
                Test::Contains
            } else if name == "matches" {
                self.at += 1;
                let test = self.pattern()?;
                links.push(Link { test, place });
                continue;
            } else {
                break;
            };
            self.at += 1;
            let test = test(self.order()?);
            links.push(Link { test, place });
        }
        self.doubt(start, &links);
        Ok(chain(first, links))
    }

    fn order(&mut self) -> Result<Node, Fault> {
        let start = self.at;
        let first = self.not()?;
        let mut links = Vec::new();
        loop {
            let Token { word, place } = self.token().clone();
            let Word::Order(order) = word else {
                break;
            };
            self.at += 1;
            let test = Test::Order(order, self.not()?);
            links.push(Link { test, place });
        }
        self.doubt(start, &links);
        Ok(chain(first, links))
    }

    /// `not a == b` is `(not a) == b`, which nobody means.
    fn doubt(&mut self, start: usize, links: &[Link]) {
        let (not, Some(link)) = (&self.tokens[start], links.first()) else {
            return;
        };
        if not.word == Word::Not {
            let message = "`not` binds tighter than the comparison behind it";
            let fault = Fault::new(not.place.start..link.place.end, message);
            self.doubts
                .push(fault.help("put the comparison in parentheses: `not (… == …)`"));
        }
    }

    fn not(&mut self) -> Result<Node, Fault> {
        let mut count = 0;
        while self.take(&Word::Not) {
            count += 1;
        }
        let mut node = self.primary()?;
        // Two of them make a boolean of it, and more do nothing more.
        for _ in 0..(count.min(1) + usize::from(count > 0 && count % 2 == 0)) {
            node = Node::Not(Box::new(node));
        }
        Ok(node)
    }

    fn primary(&mut self) -> Result<Node, Fault> {
        let Token { word, place } = self.token().clone();
        self.at += 1;
        match word {
            Word::Literal(datum) => Ok(Node::Literal(datum)),
            Word::Name(name) => {
                let reference = Reference { name, place };
                self.references.push(reference.clone());
                Ok(Node::Reference(reference))
            }
            Word::Opening => {
                self.nesting += 1;
                if self.nesting > MAX_NESTING {
                    let message = format!("parentheses are nested more than {MAX_NESTING} deep");
                    return Err(Fault::new(place, message));
                }
                let node = self.or()?;
                self.nesting -= 1;
                if self.take(&Word::Closing) {
                    return Ok(node);
                }
                if *self.word() == Word::End {
                    return Err(Fault::new(place, "this `(` is never closed"));
                }
                Err(self.unexpected())
            }
            Word::Pattern(_) => Err(Fault::new(
                place,
                "a regular expression can only be behind `matches`",
            )
            .help("strings are written with double quotes: `\"main\"`")),
            Word::And
            | Word::Or
            | Word::Equal
            | Word::NotEqual
            | Word::Order(_)
            | Word::Not
            | Word::Closing
            | Word::End => {
                self.at -= 1;
                Err(self.missing())
            }
        }
    }

    /// The right side of `matches`.
    fn pattern(&mut self) -> Result<Test, Fault> {
        let Token { word, place } = self.token().clone();
        let Word::Pattern(pattern) = word else {
            let fault = Fault::new(place, "`matches` needs a regular expression on its right");
            return Err(fault.help("write it between slashes: `matches /^release-.*$/`"));
        };
        self.at += 1;
        self.pattern_count += 1;
        self.patterns
            .regex(&pattern)
            .map(Test::Matches)
            .map_err(|fault| fault.shifted(place.start + 1))
    }

    /// A value is expected where the current word is.
    fn missing(&self) -> Fault {
        let place = self.token().place.clone();
        let before = self
            .at
            .checked_sub(1)
            .map(|before| shown(&self.tokens[before].word));
        let message = match (self.word(), before) {
            (Word::End, None) => "there is no expression".to_owned(),
            (Word::End, Some(before)) => format!("a value is expected behind `{before}`"),
            (word, None) => format!("a value is expected before `{}`", shown(word)),
            (word, Some(before)) => {
                format!(
                    "a value is expected between `{before}` and `{}`",
                    shown(word)
                )
            }
        };
        Fault::new(place, message)
    }

    /// An operator or the end is expected where the current word is.
    fn unexpected(&self) -> Fault {
        let Token { word, place } = self.token();
        match word {
            Word::Closing => Fault::new(place.clone(), "this `)` closes nothing"),
            Word::Name(name) => {
                let fault = Fault::new(place.clone(), format!("there is no operator `{name}`"));
                let known = NAMED.into_iter().chain(["and", "or"]);
                match nearest(name, known) {
                    Some(meant) => fault.help(format!("did you mean `{meant}`?")),
                    None => fault.help(
                        "operators are `and`, `or`, `==`, `!=`, `<`, `<=`, `>`, `>=`, `starts-with`, `contains` and `matches`",
                    ),
                }
            }
            Word::Literal(_)
            | Word::Pattern(_)
            | Word::And
            | Word::Or
            | Word::Not
            | Word::Equal
            | Word::NotEqual
            | Word::Order(_)
            | Word::Opening
            | Word::End => Fault::new(
                place.clone(),
                format!("an operator is expected before `{}`", shown(word)),
            )
            .help("as `and`, `or` or `==`"),
        }
    }
}

fn one_or(mut nodes: Vec<Node>, many: fn(Vec<Node>) -> Node) -> Node {
    match nodes.pop() {
        Some(only) if nodes.is_empty() => only,
        last => {
            nodes.extend(last);
            many(nodes)
        }
    }
}

fn chain(first: Node, links: Vec<Link>) -> Node {
    if links.is_empty() {
        first
    } else {
        Node::Chain(Box::new(first), links)
    }
}

/// A word as messages have it.
fn shown(word: &Word) -> String {
    use super::Order::{Greater, GreaterOrEqual, Less, LessOrEqual};
    const MAX_CHARS: usize = 40;
    let whole = match word {
        Word::Literal(super::Datum::Text(text)) => format!("\"{text}\""),
        Word::Literal(datum) => datum.to_string(),
        Word::Name(name) => name.clone(),
        Word::Pattern(pattern) => format!("/{pattern}/"),
        Word::And => "and".into(),
        Word::Or => "or".into(),
        Word::Not => "not".into(),
        Word::Equal => "==".into(),
        Word::NotEqual => "!=".into(),
        Word::Order(Less) => "<".into(),
        Word::Order(LessOrEqual) => "<=".into(),
        Word::Order(Greater) => ">".into(),
        Word::Order(GreaterOrEqual) => ">=".into(),
        Word::Opening => "(".into(),
        Word::Closing => ")".into(),
        Word::End => String::new(),
    };
    let mut shown: String = whole.chars().take(MAX_CHARS).collect();
    if shown.len() < whole.len() {
        shown.push('…');
    }
    shown
}
