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
use std::path::Path;

use ::config::Orbs;
use clap::Args;
use engine::ImportedOrbs;
use source::orbs::{OrbFinder, OrbFolders};

use crate::error::{Exit, Failure};
use crate::settings::Settings;
use crate::wiring;

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
pub fn run(_args: &LspArgs, settings: &Settings) -> Result<Exit, Failure> {
    let inbox = Inbox::reading(|| io::stdin().lock())
        .map_err(|error| Failure::unable(format_args!("could not listen: {error}")))?;
    let folders = wiring::orb_folders(settings, None);
    let orbs_of = Box::new(move |root: Option<&Path>| orbs(root, &folders));
    Server::new(orbs_of).serve(inbox, &mut io::stdout().lock())
}

/// The orbs that are at hand for a project. None where its lock file makes no sense: `popsicle config
/// validate` says what is wrong with that.
fn orbs(root: Option<&Path>, folders: &OrbFolders) -> Option<Box<dyn Orbs>> {
    let finder = OrbFinder::of_folder(root?, folders).ok()?;
    Some(Box::new(ImportedOrbs::new(finder)))
}
