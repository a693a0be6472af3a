//! How a container exited.

use serde::{Deserialize, Serialize};

/// How a container's first process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    /// By itself, with this code; 128 + the signal's number where a signal ended it.
    Code(i32),
    /// The kernel killed something in it for want of memory.
    OutOfMemory,
}
