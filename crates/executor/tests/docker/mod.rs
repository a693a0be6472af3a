//! The docker executor, over a real daemon.
//!
//! Where no daemon is reachable the tests say so and pass, unless `CI=true`: then they fail. They need
//! no network: images are made of this machine's static busybox.

#![allow(
    clippy::unwrap_used,
    reason = "the helpers of tests are tests too, which clippy does not see"
)]

mod copied;
mod ends;
mod images;
mod jobs;
mod outages;
mod podman;
mod reach;
mod services;
pub mod world;
