//! `popsicle config`: what a config says, before anything runs it.

mod explain;
mod graph;
mod process;
mod project;
mod validate;

use clap::Subcommand;

use crate::error::{Exit, Failure};
use crate::output::Output;
use crate::settings::{Given, Settings};

pub use project::{ConfigArgs, ContextArgs, Project, Workflows, refuse, selected, tell};

/// What to do.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Check a config, and say all that is wrong with it
    Validate(validate::ValidateArgs),
    /// Print what a config stands for: no orbs, parameters and conditions any more
    Process(process::ProcessArgs),
    /// Print the jobs of each workflow, and what they wait for
    Graph(graph::GraphArgs),
    /// Say why a job runs, or why it does not
    Explain(explain::ExplainArgs),
}

impl ConfigCommand {
    /// What was said with flags.
    pub fn given(&self) -> Given {
        let config = match self {
            Self::Validate(args) => &args.config,
            Self::Process(args) => &args.config,
            Self::Graph(args) => &args.config,
            Self::Explain(args) => &args.config,
        };
        config.flags.given.clone()
    }
}

/// Carries out the command.
pub fn run(
    command: &ConfigCommand,
    settings: &Settings,
    out: &mut Output,
) -> Result<Exit, Failure> {
    match command {
        ConfigCommand::Validate(args) => validate::run(args, settings, out),
        ConfigCommand::Process(args) => process::run(args, settings, out),
        ConfigCommand::Graph(args) => graph::run(args, settings, out),
        ConfigCommand::Explain(args) => explain::run(args, settings, out),
    }
}
