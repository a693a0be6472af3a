//! `popsicle repo`: the repositories that the server hosts.

use api::{NewRepo, Repo};
use clap::Subcommand;
use model::HostedName;

use super::connect;
use crate::error::{Exit, Failure};
use crate::output::{Output, clean};
use crate::settings::Settings;

/// What to do.
#[derive(Debug, Subcommand)]
pub enum RepoCommand {
    /// Make an empty repository to push to
    Create {
        /// Its name: letters, digits, `-`, `_` and `.`
        name: HostedName,
        /// What it is, in one line
        #[arg(long, value_name = "TEXT")]
        description: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// List the repositories, newest first
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Delete a repository; it stays in the server's trash for 30 days
    Delete {
        /// Its name
        name: HostedName,
    },
}

/// Carries out the command.
pub async fn run(
    command: RepoCommand,
    settings: &Settings,
    out: &mut Output,
) -> Result<Exit, Failure> {
    let client = connect(settings)?;
    match command {
        RepoCommand::Create {
            name,
            description,
            json,
        } => {
            let repo = client.create_repo(&NewRepo { name, description }).await?;
            if json {
                out.json(&repo)?;
            } else {
                out.line(line(&repo))?;
                out.say(format_args!(
                    "push to it: git remote add origin {}",
                    clean(address(&repo))
                ));
            }
        }
        RepoCommand::List { json } => {
            let repos = client.repos().await?;
            if json {
                out.json(&repos)?;
                return Ok(Exit::Success);
            }
            if repos.is_empty() {
                out.say("no repositories");
            }
            for repo in &repos {
                out.line(line(repo))?;
            }
        }
        RepoCommand::Delete { name } => {
            client.delete_repo(&name).await?;
            out.say(format_args!(
                "deleted `{name}`; its files stay in the trash of the server's repositories for 30 days"
            ));
        }
    }
    Ok(Exit::Success)
}

/// `demo  http://localhost:5000/git/demo.git  A demo`
fn line(repo: &Repo) -> String {
    let (name, address) = (&repo.name, clean(address(repo)));
    match repo.description.as_str() {
        "" => format!("{name}  {address}"),
        description => format!("{name}  {address}  {}", clean(description)),
    }
}

/// What git is given.
fn address(repo: &Repo) -> &str {
    repo.clone_url.as_deref().unwrap_or(&repo.path)
}
