//! From a trigger to its outcome: what Popsicle does between its doors and its reports.
//!
//! A push travels through the modules in this order, and only forward; back goes nothing but a stop
//! token:
//!
//! - [`intake`](Engine::submit): a trigger becomes a stored pipeline, many in one transaction;
//! - `prepare`: its tree is fetched, its config compiled with the `orbs` at hand, its jobs stored;
//! - `schedule`: the loop that owns what runs, and starts what can;
//! - `support`: what of a plan can't be run here;
//! - `secrets`: what is kept for people, and given to the jobs that may have it;
//! - `run`: one attempt of one job, from claim to outcome, driving an executor;
//! - `logs`: the job's output, its markers taken out, stored in chunks;
//! - `report`: the outbox is emptied to the forge;
//! - `recover`: at start, what the store believes and what the executors hold are made to agree;
//! - `sweep`: files that no row names any more are removed;
//! - `feed`: what changed, to who listens;
//! - `hosted`: repositories of our own, and the pushes to them.
//!
//! The engine knows no HTTP, no SQL and no container API.
#![forbid(unsafe_code)]

mod error;
mod feed;
mod follow;
mod handle;
mod hosted;
mod intake;
mod logs;
mod orbs;
mod persist;
mod prepare;
mod recover;
mod redundant;
mod report;
mod run;
mod schedule;
mod secrets;
mod settings;
mod support;
mod sweep;
mod values;
mod world;

pub use error::EngineError;
pub use feed::{Feed, LogGrowth};
pub use follow::LogFollow;
pub use handle::{Engine, EngineTasks, Parts};
pub use hosted::{Built, NewBuild};
pub use orbs::ImportedOrbs;
pub use redundant::RedundantBranches;
pub use secrets::{SecretInfo, Secrets};
pub use settings::{EngineSettings, Selection};
pub use source::{GitRequest, GitService};
pub use values::trigger_values;
pub use world::{SystemWorld, World};
