//! Whether the server lives, and whether it can do its work.

use serde::{Deserialize, Serialize};

/// The answer of `GET /healthz`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// Always `ok`: who can't say so does not answer.
    pub status: String,
    /// The version of the server.
    pub version: String,
}

/// The answer of `GET /readyz`: 200 if ready, 503 if not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Readiness {
    /// Whether all of the below is well.
    pub ready: bool,
    /// Whether the database answers.
    pub store: bool,
    /// Whether the engine takes pipelines and runs jobs.
    pub engine: bool,
}
