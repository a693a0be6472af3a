//! How lists are asked for, a page at a time.
//!
//! The address of the next page is in the answer's `Link` header, with `rel="next"`.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The query of a list that has no filters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PageQuery {
    /// How many at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<Limit>,
    /// Where the page begins, as the page before told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<Cursor>,
}

/// How many entries a page has at most: 1 to 200, 20 unless said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "u16")]
pub struct Limit(u16);

impl Limit {
    /// The most that a page can have.
    pub const MAX: Self = Self(200);

    /// A limit, if it is in the range.
    pub fn new(entries: u16) -> Option<Self> {
        (1..=Self::MAX.0)
            .contains(&entries)
            .then_some(Self(entries))
    }

    /// The number.
    pub fn get(self) -> u16 {
        self.0
    }
}

impl Default for Limit {
    fn default() -> Self {
        Self(20)
    }
}

impl From<Limit> for u16 {
    fn from(limit: Limit) -> Self {
        limit.0
    }
}

impl TryFrom<String> for Limit {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
            .ok()
            .and_then(Self::new)
            .ok_or_else(|| format!("it must be a number from 1 to {}", Self::MAX.0))
    }
}

/// The place of a page in its list. Opaque: only what the server gave is of use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cursor(pub String);

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_between_1_and_200() {
        assert_eq!(Limit::try_from("1".to_owned()), Ok(Limit(1)));
        assert_eq!(Limit::try_from("200".to_owned()), Ok(Limit::MAX));
        for bad in ["", "0", "-1", "201", "abc", "20.0", "65536"] {
            let error = Limit::try_from(bad.to_owned()).unwrap_err();
            assert!(error.contains("1 to 200"), "{bad}: {error}");
        }
    }
}
