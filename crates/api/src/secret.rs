//! Secrets and contexts: variables of projects, and named sets of variables. Values go in and never out.

use model::{ContextName, RepoName, SecretValue, Timestamp, VariableName};
use serde::{Deserialize, Deserializer, Serialize};

use crate::{Cursor, Limit};

/// A variable of a project or a context, without its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secret {
    /// Its name; no two of a project or a context have the same.
    pub name: VariableName,
    /// `xxxx` and, of a value of 12 characters or more, the last four. None where the server can't decrypt
    /// the value any more.
    pub hint: Option<String>,
    /// When it was first set.
    pub created_at: Timestamp,
    /// When its value was last set.
    pub updated_at: Timestamp,
}

/// The query of `GET /secrets`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretQuery {
    /// Whose.
    pub repo: RepoName,
    /// How many at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<Limit>,
    /// Where the page begins, as the page before told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<Cursor>,
}

/// The query of `PUT` and `DELETE` of `/secrets/{variable}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretOf {
    /// Whose.
    pub repo: RepoName,
}

/// The body that sets a variable; the answer is the [`Secret`], with `201` if it is new.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetSecret {
    /// Its value.
    pub value: SecretValue,
}

/// A named set of variables.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Context {
    /// Its name; no two have the same.
    pub name: ContextName,
    /// The projects whose jobs may use it; none where all may.
    pub projects: Option<Vec<RepoName>>,
    /// How many variables it has.
    pub variables: u64,
    /// When it was made.
    pub created_at: Timestamp,
}

/// The body of `POST /contexts`; the answer is `201` with the new [`Context`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewContext {
    /// Its name.
    pub name: ContextName,
    /// The projects whose jobs may use it; all where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub projects: Option<Vec<RepoName>>,
}

/// The body of `PATCH /contexts/{context}`; the answer is the [`Context`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContextPatch {
    /// The projects whose jobs may use it; `null` for all. Must be said: nothing is opened to all by an
    /// empty body.
    #[serde(deserialize_with = "required")]
    pub projects: Option<Vec<RepoName>>,
}

fn required<'de, D: Deserializer<'de>>(json: D) -> Result<Option<Vec<RepoName>>, D::Error> {
    Option::deserialize(json)
}
