//! A typed client of Popsicle's HTTP API, for the command line and for agents.
//!
//! One method a route, named after what it answers; the types are those of `api`. Every wait has a
//! bound: connecting, a whole request, and on a stream the time between two signs of life. TLS comes
//! without a provider; the program installs one before it makes a [`Client`].
#![forbid(unsafe_code)]

mod download;
mod error;
mod events;
mod log;
mod page;
mod retry;
mod routes;
mod secrets;
mod sse;
mod transport;

pub use download::Download;
pub use error::ClientError;
pub use events::Events;
pub use log::{LogRequest, LogStream};
pub use page::Page;
pub use transport::Client;
