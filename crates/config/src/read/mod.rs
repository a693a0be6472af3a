//! Bytes to a tree with positions: YAML as CircleCI reads it (YAML 1.1's words and merge keys), with
//! limits that hold whatever the bytes are.

mod index;
mod lenient;
mod map;
mod node;
mod scalar;
mod source;
mod syntax;
mod yaml;

pub(crate) use index::Index;
pub(crate) use map::{Entry, Key, Map, MapBuilder};
pub(crate) use node::{Node, Value};
pub(crate) use scalar::Scalar;
pub(crate) use source::{FileId, Region, Source};
pub(crate) use yaml::read;

/// The largest file that is read, in bytes: seven times the largest real config known.
pub const MAX_FILE_BYTES: usize = 1024 * 1024;

/// How many values a file may hold after its aliases and merge keys are expanded. The largest real
/// config known holds 8,000.
pub const MAX_NODES: usize = 250_000;

/// How many bytes of text a file may hold after its aliases and merge keys are expanded.
pub const MAX_TEXT_BYTES: usize = 16 * 1024 * 1024;

/// How deep lists and maps may be nested, aliases expanded.
pub const MAX_DEPTH: usize = 100;
