//! The values of expressions.

use std::cmp::Ordering;
use std::fmt;

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Datum {
    /// What has no value, as `pipeline.git.branch` of a tag.
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
}

impl Datum {
    /// Whether `and`, `or` and `not` take it for true, and filters run a job for it: all but `false` and
    /// what has no value, so 0 and the empty text too.
    pub(crate) fn holds(&self) -> bool {
        match self {
            Self::Null | Self::Bool(false) => false,
            Self::Bool(true) | Self::Number(_) | Self::Text(_) => true,
        }
    }

    /// Whether a logic statement takes it for true: all but `false`, nothing, 0, NaN and the empty text.
    pub(crate) fn is_truthy(&self) -> bool {
        match self {
            Self::Null => false,
            Self::Bool(value) => *value,
            Self::Number(number) => !number.is_zero_or_nan(),
            Self::Text(text) => !text.is_empty(),
        }
    }

    /// What it is called in a message.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::Text(_) => "a string",
        }
    }
}

/// As it stands in a text that has it between `<<` and `>>`; what has no value is empty there.
impl fmt::Display for Datum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => Ok(()),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Number(number) => f.write_str(number.as_str()),
            Self::Text(text) => f.write_str(text),
        }
    }
}

impl From<bool> for Datum {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i64> for Datum {
    fn from(value: i64) -> Self {
        Self::Number(Number::from(value))
    }
}

impl From<&str> for Datum {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// A number, as its author wrote it: a version `3.10` stays that, though it equals 3.1.
#[derive(Clone, Debug)]
pub(crate) struct Number {
    text: String,
    value: Value,
}

#[derive(Clone, Copy, Debug)]
enum Value {
    Integer(i128),
    Decimal(f64),
}

impl Number {
    /// Reads a decimal number: `12`, `-3`, `1.5`, `1e3`, `.inf`, `.nan`. None if it is none of these.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
        let value = match digits.to_ascii_lowercase().as_str() {
            ".inf" if text.starts_with('-') => Value::Decimal(f64::NEG_INFINITY),
            ".inf" => Value::Decimal(f64::INFINITY),
            ".nan" if digits == text => Value::Decimal(f64::NAN),
            _ if !digits.starts_with(|char: char| char.is_ascii_digit() || char == '.') => {
                return None;
            }
            _ => match text.parse() {
                Ok(integer) => Value::Integer(integer),
                Err(_) => Value::Decimal(text.parse().ok()?),
            },
        };
        Some(Self {
            text: text.to_owned(),
            value,
        })
    }

    /// As it was written.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// How two numbers compare by value; none if one is not a number. Exact between integers.
    pub(crate) fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self.value, other.value) {
            (Value::Integer(left), Value::Integer(right)) => Some(left.cmp(&right)),
            (left, right) => left.as_f64().partial_cmp(&right.as_f64()),
        }
    }

    fn is_zero_or_nan(&self) -> bool {
        match self.value {
            Value::Integer(value) => value == 0,
            Value::Decimal(value) => value == 0.0 || value.is_nan(),
        }
    }
}

impl Value {
    #[expect(
        clippy::cast_precision_loss,
        reason = "beside a decimal, an integer is as exact as the decimal is"
    )]
    fn as_f64(self) -> f64 {
        match self {
            Self::Integer(value) => value as f64,
            Self::Decimal(value) => value,
        }
    }
}

/// By value. NaN equals itself here, so that this is an equivalence.
impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        match self.compare(other) {
            Some(ordering) => ordering.is_eq(),
            None => self.is_zero_or_nan() && other.is_zero_or_nan(),
        }
    }
}

impl Eq for Number {}

impl From<i64> for Number {
    fn from(value: i64) -> Self {
        Self {
            text: value.to_string(),
            value: Value::Integer(value.into()),
        }
    }
}
