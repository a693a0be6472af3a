//! Tokens: what opens the API.

use model::{RunnerId, Timestamp, TokenId, TokenScope};
use serde::{Deserialize, Serialize};

/// One token, without its text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// Its number.
    pub id: TokenId,
    /// What it is for, for people.
    pub name: String,
    /// What its holder may do.
    pub scope: TokenScope,
    /// Which runner its holder is, where the scope is that.
    pub runner: Option<RunnerId>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last used, to the minute.
    pub last_used_at: Option<Timestamp>,
    /// From when on it opens nothing.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

/// The body of `POST /tokens`; the answer is `201` with a [`CreatedToken`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    /// What it is for, for people.
    pub name: String,
    /// What its holder may do: `read`, `write` or `admin`.
    pub scope: TokenScope,
    /// From when on it opens nothing; never, unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// A token just made, with its text: nobody is shown that again.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreatedToken {
    /// The token.
    #[serde(flatten)]
    pub about: Token,
    /// What its holder sends as `Authorization: Bearer …`.
    pub token: String,
}
