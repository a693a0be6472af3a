//! `popsicle completions`: what a shell needs to complete our commands.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::cli::Cli;
use crate::error::{Exit, Failure};
use crate::output::Output;

/// For which shell.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// Carries out the command.
pub fn run(args: &CompletionsArgs, out: &mut Output) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "popsicle", &mut script);
    out.bytes(&script)?;
    Ok(Exit::Success)
}
