//! What forges send.

pub(crate) mod github;
