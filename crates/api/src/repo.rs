//! Hosted repositories: `/repos`.

use model::{HostedName, RepoId, Timestamp};
use serde::{Deserialize, Serialize};

/// One repository that is hosted here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repo {
    /// Its number.
    pub id: RepoId,
    /// Its name; no two have the same, in whatever case.
    pub name: HostedName,
    /// What it is; may be empty.
    pub description: String,
    /// Its folder on the server's machine, for pushes by path.
    pub path: String,
    /// What git clones and pushes to; none where the server does not know its own address.
    pub clone_url: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// The body of `POST /repos`; the answer is `201` with the new [`Repo`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewRepo {
    /// Letters, digits, `-`, `_` and `.`.
    pub name: HostedName,
    /// What it is, in one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}
