//! Extractors that do the protocol: what they can't read is answered as the contract says, with the
//! part that was wrong named.

mod body;
mod json;
mod path;
mod query;

pub(crate) use body::{BodyLimits, WholeBody, discard, read_body};
pub(crate) use json::{Json, JsonOrNothing};
pub(crate) use path::Path;
pub(crate) use query::Query;
