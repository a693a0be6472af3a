//! The server from outside: real HTTP to a real listener, over a real engine and a real store.
#![allow(
    clippy::unwrap_used,
    reason = "a test that panics has failed, as it should"
)]

mod builds;
mod events;
mod git;
mod hooks;
mod jobs;
mod kept;
mod logs;
mod manners;
mod pages;
mod pipelines;
mod processes;
mod projects;
mod repos;
mod runners;
mod secrets;
mod stop;
mod tokens;
mod world;
