//! The small world of the stories: a server (`Ci`), repositories that are pushed to it, the GitHub that
//! hears of them, and what jobs run in.
//!
//! Whatever a story starts ends with its value, also when the story fails half-way.

mod answer;
mod binary;
mod ci;
mod docker;
mod github;
mod needs;
mod repo;
mod traces;
mod wait;
mod webhook;

use std::sync::atomic::{AtomicU64, Ordering};

pub use answer::{Answered, Told};
pub use binary::{popsicle, root};
pub use ci::{Ci, cli_in};
pub use docker::{Dockerd, Image, containers, end_container};
pub use github::{Answer, Github, TOKEN};
pub use needs::{can_limit, docker_can_limit, has_docker, has_machine_jobs};
pub use repo::Repo;
pub use tests::skip;
pub use traces::processes_with;
pub use wait::{PATIENCE, until};
pub use webhook::{SECRET, Webhook, sign};

/// A word that nobody on this machine has used before.
pub fn unique() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    format!(
        "story-{}-{}",
        std::process::id(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    )
}
