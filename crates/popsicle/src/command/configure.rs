//! `popsicle configure`: the machines that take jobs.

use api::{NewRunner, Runner};
use clap::Subcommand;

use super::connect;
use crate::error::{Exit, Failure};
use crate::output::{Output, clean};
use crate::settings::Settings;

/// What to do.
#[derive(Debug, Subcommand)]
pub enum ConfigureCommand {
    /// Register a runner
    AddRunner {
        /// Its host name or address
        host: String,
        /// Something it has that jobs can ask for; may be given several times
        #[arg(long = "label", value_name = "LABEL")]
        labels: Vec<String>,
        /// How many jobs it runs at once at most
        #[arg(long, value_name = "N")]
        capacity: Option<u32>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// List the runners
    ListRunners {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// Carries out the command.
pub async fn run(
    command: ConfigureCommand,
    settings: &Settings,
    out: &mut Output,
) -> Result<Exit, Failure> {
    let client = connect(settings)?;
    match command {
        ConfigureCommand::AddRunner {
            host,
            labels,
            capacity,
            json,
        } => {
            let new = NewRunner {
                host,
                labels,
                capacity,
            };
            let runner = client.add_runner(&new).await?;
            if json {
                out.json(&runner)?;
            } else {
                out.line(line(&runner.runner))?;
                if let Some(token) = &runner.token {
                    out.say("its token, which is not shown again:");
                    out.say(clean(token));
                }
            }
        }
        ConfigureCommand::ListRunners { json } => {
            let runners = client.runners().await?;
            if json {
                out.json(&runners)?;
                return Ok(Exit::Success);
            }
            if runners.is_empty() {
                out.say("no runners");
            }
            for runner in &runners {
                out.line(line(runner))?;
            }
        }
    }
    Ok(Exit::Success)
}

/// `1: localhost [active]`
fn line(runner: &Runner) -> String {
    let state = if runner.active { "active" } else { "inactive" };
    format!("{}: {} [{state}]", runner.id, clean(&runner.host))
}
