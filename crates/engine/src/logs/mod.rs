//! A job's output on its way from the container's file to the stored log.
//!
//! The raw file holds what the steps wrote, and the script's markers between. Here the markers are
//! taken out and told apart from the text (`marker`), secrets in the text are masked (`mask`), it goes to the store's log in chunks
//! (`pump`), and a wait for more costs nothing (`watch`).

mod marker;
mod mask;
mod output;
mod pump;
mod watch;

pub(crate) use marker::{Marker, Nonce};
pub(crate) use mask::Masks;
pub(crate) use output::Output;
pub(crate) use pump::{Placed, Pumped};
