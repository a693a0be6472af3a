//! The store, over files, over a real registry, and over registries that lie.

#![allow(
    clippy::unwrap_used,
    reason = "a helper of tests fails as they do; clippy knows only the tests themselves"
)]

mod image {
    mod import;
    mod lies;
    mod made;
    mod prune;
    mod pull;
}
