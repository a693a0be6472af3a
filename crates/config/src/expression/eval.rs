//! What an expression amounts to.

use std::cmp::Ordering;
use std::ops::Range;

use super::{Datum, Link, Node, Order, Reference, Test};
use crate::fault::Fault;

pub(super) fn eval(
    node: &Node,
    lookup: &mut impl FnMut(&Reference) -> Result<Datum, Fault>,
) -> Result<Datum, Fault> {
    match node {
        Node::Literal(datum) => Ok(datum.clone()),
        Node::Reference(reference) => lookup(reference),
        Node::Not(inner) => Ok(Datum::Bool(!eval(inner, lookup)?.holds())),
        Node::And(nodes) => first_that(nodes, false, lookup),
        Node::Or(nodes) => first_that(nodes, true, lookup),
        Node::Chain(first, links) => {
            let mut left = eval(first, lookup)?;
            for link in links {
                left = test(&left, link, lookup)?;
            }
            Ok(left)
        }
    }
}

/// The first value that holds or doesn't, as wanted; else the last.
fn first_that(
    nodes: &[Node],
    wanted: bool,
    lookup: &mut impl FnMut(&Reference) -> Result<Datum, Fault>,
) -> Result<Datum, Fault> {
    let mut datum = Datum::Null;
    for node in nodes {
        datum = eval(node, lookup)?;
        if datum.holds() == wanted {
            break;
        }
    }
    Ok(datum)
}

fn test(
    left: &Datum,
    Link { test, place }: &Link,
    lookup: &mut impl FnMut(&Reference) -> Result<Datum, Fault>,
) -> Result<Datum, Fault> {
    let right = match test {
        Test::Equal(node)
        | Test::NotEqual(node)
        | Test::StartsWith(node)
        | Test::Contains(node)
        | Test::Order(_, node) => Some(eval(node, lookup)?),
        Test::Matches(_) => None,
    };
    if *left == Datum::Null || right == Some(Datum::Null) {
        return Ok(Datum::Null);
    }
    let result = match (test, left, &right) {
        (Test::Equal(_), left, Some(right)) => are_equal(left, right),
        (Test::NotEqual(_), left, Some(right)) => !are_equal(left, right),
        (Test::StartsWith(_), Datum::Text(left), Some(Datum::Text(right))) => {
            left.starts_with(right.as_str())
        }
        (Test::Contains(_), Datum::Text(left), Some(Datum::Text(right))) => {
            left.contains(right.as_str())
        }
        (Test::Matches(pattern), Datum::Text(left), _) => pattern
            .is_match(left)
            .map_err(|message| Fault::new(place.clone(), message))?,
        (Test::Order(order, _), Datum::Number(left), Some(Datum::Number(right))) => {
            let ordering = left.compare(right);
            match order {
                Order::Less => ordering == Some(Ordering::Less),
                Order::LessOrEqual => ordering.is_some_and(Ordering::is_le),
                Order::Greater => ordering == Some(Ordering::Greater),
                Order::GreaterOrEqual => ordering.is_some_and(Ordering::is_ge),
            }
        }
        (test, left, right) => return Err(wrong_type(test, place, left, right.as_ref())),
    };
    Ok(Datum::Bool(result))
}

fn are_equal(left: &Datum, right: &Datum) -> bool {
    match (left, right) {
        // Not by `==`, for which NaN equals itself.
        (Datum::Number(left), Datum::Number(right)) => left.compare(right) == Some(Ordering::Equal),
        (left, right) => left == right,
    }
}

fn wrong_type(test: &Test, place: &Range<usize>, left: &Datum, right: Option<&Datum>) -> Fault {
    let (operator, expected) = match test {
        Test::Equal(_) => ("==", "values"),
        Test::NotEqual(_) => ("!=", "values"),
        Test::StartsWith(_) => ("starts-with", "strings"),
        Test::Contains(_) => ("contains", "strings"),
        Test::Matches(_) => ("matches", "a string"),
        Test::Order(Order::Less, _) => ("<", "numbers"),
        Test::Order(Order::LessOrEqual, _) => ("<=", "numbers"),
        Test::Order(Order::Greater, _) => (">", "numbers"),
        Test::Order(Order::GreaterOrEqual, _) => (">=", "numbers"),
    };
    let found = match right {
        Some(right) => format!("{} and {}", left.kind(), right.kind()),
        None => left.kind().to_owned(),
    };
    Fault::new(
        place.clone(),
        format!("`{operator}` takes {expected}, not {found}"),
    )
}
