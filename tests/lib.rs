//! The stories live in `stories.rs`; this package has nothing else.
