//! Runners: the machines that take jobs.

use model::{RunnerId, Timestamp};
use serde::{Deserialize, Serialize};

/// One runner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Runner {
    /// Its number.
    pub id: RunnerId,
    /// Its host name or address; no two runners have the same.
    pub host: String,
    /// Whether it may take jobs.
    pub active: bool,
    /// What it has that jobs can ask for.
    pub labels: Vec<String>,
    /// When it last told that it lives; none if it never did.
    pub last_seen: Option<Timestamp>,
    /// How many jobs it runs.
    pub busy: u32,
    /// How many jobs it runs at once at most.
    pub capacity: u32,
}

/// The body of `POST /runners`; the answer is `201` with a [`RunnerWithToken`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewRunner {
    /// A host name or an IP address.
    pub host: String,
    /// What it has that jobs can ask for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// How many jobs it runs at once at most; 1 unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity: Option<u32>,
}

/// The body of `PATCH /runners/{id}`: what is absent stays as it is. The answer is
/// the [`Runner`], with its new token where one was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunnerPatch {
    /// Whether it may take jobs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<bool>,
    /// What it has that jobs can ask for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<Vec<String>>,
    /// How many jobs it runs at once at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity: Option<u32>,
    /// Whether it gets a new token, and those that it had open nothing any more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rotate_token: bool,
}

/// A runner, and its token where that is new: nobody is shown that again.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunnerWithToken {
    /// The runner.
    #[serde(flatten)]
    pub runner: Runner,
    /// What the runner sends as `Authorization: Bearer …`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}
