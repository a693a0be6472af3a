//! The `popsicle` binary: it parses what was asked, has it done, and tells how it ended.
#![forbid(unsafe_code)]

mod cli;
mod command;
mod error;
mod metrics;
mod output;
mod settings;
mod telemetry;
mod wiring;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::Cli;
use crate::error::{Exit, Failure};
use crate::output::Output;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help that nobody reads to its end is no failure.
            let _ = error.print();
            return if error.use_stderr() {
                Exit::Usage
            } else {
                Exit::Success
            }
            .into();
        }
    };
    // Refused only where a provider is installed already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut out = Output::new();
    match cli.carry_out(&mut out) {
        Ok(exit) => exit.into(),
        Err(Failure::ReaderGone) => Exit::Success.into(),
        Err(Failure::Told {
            exit,
            message,
            hint,
        }) => {
            out.failure(&message, hint.as_deref());
            exit.into()
        }
    }
}
