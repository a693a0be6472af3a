//! The commands, a file each: its arguments, and `run`, which carries it out.

pub mod approve;
pub mod artifacts;
pub mod cancel;
pub mod completions;
pub mod config;
pub mod configure;
pub mod context;
pub mod doctor;
pub mod hook;
pub mod image;
pub mod init;
pub mod list;
pub mod logs;
pub mod lsp;
pub mod open;
pub mod orb;
pub mod repo;
pub mod rerun;
pub mod retry;
pub mod run;
pub mod secret;
pub mod send_webhook;
pub mod serve;
pub mod shim;
pub mod tests;
pub mod token;
pub mod watch;

mod jobs;

use client::Client;

use crate::error::Failure;
use crate::settings::Settings;

/// A client of the server that the settings name, with their token.
fn connect(settings: &Settings) -> Result<Client, Failure> {
    let client = Client::new(&settings.server_url)?;
    if let Some(token) = &settings.token {
        return Ok(client.with_token(token.value.expose())?);
    }
    let Some(file) = &settings.token_file else {
        return Ok(client);
    };
    let text = std::fs::read_to_string(&file.value).map_err(|error| {
        Failure::usage(format_args!(
            "can't read the token file {}: {error}",
            file.value.display()
        ))
    })?;
    Ok(client.with_token(text.trim())?)
}
