//! Stories of fetching and laying out, with real repositories and the real git.

#![allow(clippy::unwrap_used, reason = "a story that can't go on ends")]

mod changes;
mod credentials;
mod fetching;
mod folders;
mod hosted;
mod http;
mod mirrors;
mod orbs;
mod ssh;
mod trees;
mod world;
