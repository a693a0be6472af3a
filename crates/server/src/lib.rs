//! The HTTP server: it takes bytes from the network, has others understand them, and writes what
//! they say.
//!
//! - [`router`](mod@router) is the table of contents: every address, and who answers it;
//! - `hooks/` takes what forges send and hands it to the engine;
//! - `api/` is the REST API, a file per noun: it reads from the store and acts through the engine;
//! - `git/` is git's smart HTTP;
//! - `ui/` are the pages for people;
//! - `extract/` does the protocol, so that a handler is only the sentence;
//! - `auth` asks for tokens;
//! - `guard` turns away what a browser was tricked into sending;
//! - `error` is the one shape of everything that went wrong;
//! - `sparing` counts log lines that strangers cause;
//! - `serve` owns the connections, from the first to the last, and `unsent` their patience with readers.
//!
//! No SQL, no git processes, no containers: those are other crates.
#![forbid(unsafe_code)]

mod api;
mod app;
mod auth;
mod error;
mod extract;
mod git;
mod guard;
mod hooks;
mod router;
mod serve;
mod sparing;
mod trace;
mod ui;
mod unsent;

pub use api::metrics::MetricsText;
pub use app::{Parts, ServerSettings};
pub use auth::Auth;
pub use router::router;
pub use serve::serve;
