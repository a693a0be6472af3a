//! The expressions of `when`, `unless`, `filters` and `<< … >>`:
//! `pipeline.git.branch == "main" and 10 or 1`.
//!
//! From weakest to strongest: `or`; `and`; `==`, `!=`, `starts-with`, `contains` and `matches`; `<`,
//! `<=`, `>` and `>=`; `not` and `!`. All are left-associative, and there are parentheses. `and` and `or`
//! have the value of one of their sides and don't look at the right one unless they need it. Values of
//! different types are never equal; an order is one of numbers; what has no value ([`Datum::Null`]) makes
//! any comparison have none.
//!
//! What a reference stands for is the caller's to say.

mod datum;
mod eval;
mod lexer;
mod parser;

pub(crate) use datum::{Datum, Number};

use crate::fault::Fault;
use crate::pattern::{Pattern, Patterns};
use std::ops::Range;

/// How many bytes an expression may have.
pub(crate) const MAX_EXPRESSION_BYTES: usize = 16 << 10;

/// How deep parentheses may be nested.
pub(crate) const MAX_NESTING: usize = 100;

/// An expression that can be evaluated any number of times.
#[derive(Clone, Debug)]
pub(crate) struct Expression {
    root: Node,
    references: Vec<Reference>,
    doubts: Vec<Fault>,
    patterns: usize,
}

/// A name in an expression, as `pipeline.git.branch`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reference {
    /// The whole name, with its dots.
    pub(crate) name: String,
    /// Where it is, in characters.
    pub(crate) place: Range<usize>,
}

/// A part of an expression. Chains of operators are lists, so that it is no deeper than its parentheses.
#[derive(Clone, Debug)]
enum Node {
    Literal(Datum),
    Reference(Reference),
    Not(Box<Node>),
    And(Vec<Node>),
    Or(Vec<Node>),
    /// From left to right, each with what the ones before amount to.
    Chain(Box<Node>, Vec<Link>),
}

/// An operator and its right side.
#[derive(Clone, Debug)]
struct Link {
    test: Test,
    /// Where the operator is, in characters.
    place: Range<usize>,
}

#[derive(Clone, Debug)]
enum Test {
    Equal(Node),
    NotEqual(Node),
    StartsWith(Node),
    Contains(Node),
    Matches(Pattern),
    Order(Order, Node),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// Reads an expression.
///
/// # Errors
///
/// The first thing that is wrong with it.
pub(crate) fn parse(text: &str, patterns: &mut Patterns) -> Result<Expression, Fault> {
    parser::parse(text, patterns)
}

impl Expression {
    /// The names in it, from left to right, each as often as it is there.
    pub(crate) fn references(&self) -> &[Reference] {
        &self.references
    }

    /// Whether it is nothing but a text in quotes.
    pub(crate) fn is_text(&self) -> bool {
        matches!(self.root, Node::Literal(Datum::Text(_)))
    }

    /// How many regular expressions it may hold texts against.
    pub(crate) fn pattern_count(&self) -> usize {
        self.patterns
    }

    /// What is allowed and hardly meant.
    pub(crate) fn doubts(&self) -> &[Fault] {
        &self.doubts
    }

    /// What it amounts to, given what references stand for. Asks only for those that it needs.
    ///
    /// # Errors
    ///
    /// The lookup's, and operands of a type that the operator doesn't take.
    pub(crate) fn eval(
        &self,
        lookup: &mut impl FnMut(&Reference) -> Result<Datum, Fault>,
    ) -> Result<Datum, Fault> {
        eval::eval(&self.root, lookup)
    }
}

#[cfg(test)]
mod tests;
