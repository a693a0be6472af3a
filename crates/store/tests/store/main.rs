//! The store from outside: every function over a real database in a temporary folder.
#![allow(
    clippy::unwrap_used,
    reason = "a failed unwrap is a failed test; clippy allows it by itself only in the test functions"
)]

mod attempts;
mod concurrency;
mod creation;
mod history;
mod kept;
mod lists;
mod logs;
mod memory;
mod opening;
mod outbox;
mod repos;
mod retries;
mod runners;
mod secrets;
mod shares;
mod tokens;
mod turns;
mod unreadable;
mod world;
