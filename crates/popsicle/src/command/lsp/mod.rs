//! `popsicle lsp`: a language server for configs, over stdin and stdout.
//!
//! - `inbox` reads what the editor says;
//! - `documents` are the texts that are open, and the configs that they are part of;
//! - `server` answers, and tells what is wrong once the editor pauses;
//! - `convert` has the protocol's words for what `config` says.

mod convert;
mod documents;
mod inbox;
mod server;

use std::io;

use clap::Args;

use crate::error::{Exit, Failure};

use inbox::Inbox;
use server::Server;

/// The arguments of `lsp`.
#[derive(Debug, Args)]
pub struct LspArgs {
    /// Speak over stdin and stdout, as is done in any case; many editors say so
    #[arg(long, hide = true)]
    stdio: bool,
}

/// Carries out the command.
pub fn run(_args: &LspArgs) -> Result<Exit, Failure> {
    let inbox = Inbox::reading(|| io::stdin().lock())
        .map_err(|error| Failure::unable(format_args!("could not listen: {error}")))?;
    // Orbs that are not written in the config are not at hand.
    Server::new(Box::new(|_root| None)).serve(inbox, &mut io::stdout().lock())
}
