//! Who holds a token, and what that lets them do.

use serde::{Deserialize, Serialize};

use crate::InvalidName;

/// What the holder of a token may do. Each of the first three may do what those before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenScope {
    /// Look at everything.
    Read,
    /// Start, cancel, retry and approve.
    Write,
    /// Manage runners and tokens.
    Admin,
    /// Be one runner, and nothing else.
    Runner,
}

impl TokenScope {
    /// Every scope.
    pub const ALL: [Self; 4] = [Self::Read, Self::Write, Self::Admin, Self::Runner];

    /// The word as JSON and tables have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
            Self::Runner => "runner",
        }
    }

    /// Whether it lets its holder do what needs `needed`.
    pub fn allows(self, needed: Self) -> bool {
        match self {
            Self::Runner => needed == Self::Runner,
            Self::Read | Self::Write | Self::Admin => needed != Self::Runner && needed <= self,
        }
    }
}

impl std::fmt::Display for TokenScope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

impl std::str::FromStr for TokenScope {
    type Err = InvalidName;

    fn from_str(s: &str) -> Result<Self, InvalidName> {
        Self::ALL
            .into_iter()
            .find(|scope| scope.as_str() == s)
            .ok_or_else(|| InvalidName::new("scope", s, "it is none of read, write, admin, runner"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_allows_itself_and_what_is_less() {
        for (held, allowed) in [
            (TokenScope::Read, "read"),
            (TokenScope::Write, "read write"),
            (TokenScope::Admin, "read write admin"),
            (TokenScope::Runner, "runner"),
        ] {
            let words: Vec<_> = TokenScope::ALL
                .into_iter()
                .filter(|needed| held.allows(*needed))
                .map(TokenScope::as_str)
                .collect();
            assert_eq!(words.join(" "), allowed, "{held}");
        }
    }
}
