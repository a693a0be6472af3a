//! `popsicle context`: named sets of variables, for the jobs that ask for them with `context:`.

use api::{Context, NewContext};
use clap::{Args, Subcommand};
use model::{ContextName, RepoName, VariableName};

use super::{connect, secret};
use crate::error::{Exit, Failure};
use crate::output::{Output, clean, plural};
use crate::settings::Settings;

/// What to do.
#[derive(Debug, Subcommand)]
pub enum ContextCommand {
    /// Make a context
    Create {
        /// Its name
        name: ContextName,
        /// Only for this project; may be given several times
        #[arg(long = "project", value_name = "OWNER/NAME")]
        projects: Vec<RepoName>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// List the contexts
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// List a context's variables, without their values
    Show {
        /// The context
        name: ContextName,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Say which projects may use a context
    Restrict {
        /// The context
        name: ContextName,
        #[command(flatten)]
        to: To,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Set a context's variable; its value comes from the standard input, or is asked for
    Set {
        /// The context
        name: ContextName,
        /// The variable
        variable: VariableName,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Delete a context's variable
    Unset {
        /// The context
        name: ContextName,
        /// The variable
        variable: VariableName,
    },
    /// Delete a context with its variables
    Delete {
        /// The context
        name: ContextName,
    },
}

/// Which projects.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct To {
    /// Only this project; may be given several times
    #[arg(long = "project", value_name = "OWNER/NAME")]
    projects: Vec<RepoName>,
    /// All projects
    #[arg(long)]
    all: bool,
}

/// Carries out the command.
pub async fn run(
    command: ContextCommand,
    settings: &Settings,
    out: &mut Output,
) -> Result<Exit, Failure> {
    let client = connect(settings)?;
    match command {
        ContextCommand::Create {
            name,
            projects,
            json,
        } => {
            let projects = Some(projects).filter(|projects| !projects.is_empty());
            let made = client
                .create_context(&NewContext { name, projects })
                .await?;
            one(&made, json, out)?;
        }
        ContextCommand::List { json } => {
            let contexts = client.contexts().await?;
            if json {
                out.json(&contexts)?;
                return Ok(Exit::Success);
            }
            if contexts.is_empty() {
                out.say("no contexts");
            }
            for context in &contexts {
                one(context, false, out)?;
            }
        }
        ContextCommand::Show { name, json } => {
            let variables = client.context_variables(&name).await?;
            if variables.is_empty() && !json {
                out.say("no variables");
            }
            secret::list(variables, json, out)?;
        }
        ContextCommand::Restrict { name, to, json } => {
            let projects = (!to.all).then_some(to.projects);
            one(&client.restrict_context(&name, projects).await?, json, out)?;
        }
        ContextCommand::Set {
            name,
            variable,
            json,
        } => {
            let value = secret::value(&variable)?;
            let set = client.set_context_variable(&name, &variable, value).await?;
            secret::shown(&[set], json, out)?;
        }
        ContextCommand::Unset { name, variable } => {
            client.delete_context_variable(&name, &variable).await?;
        }
        ContextCommand::Delete { name } => client.delete_context(&name).await?,
    }
    Ok(Exit::Success)
}

fn one(context: &Context, json: bool, out: &mut Output) -> Result<(), Failure> {
    if json {
        out.json(context)
    } else {
        out.line(line(context))
    }
}

/// `aws: 2 variables, for all projects`
fn line(context: &Context) -> String {
    let count = usize::try_from(context.variables).unwrap_or(usize::MAX);
    let projects = match context.projects.as_deref() {
        None => "all projects".to_owned(),
        Some([]) => "no project".to_owned(),
        Some(some) => {
            let names: Vec<&str> = some.iter().map(RepoName::as_str).collect();
            names.join(", ")
        }
    };
    format!(
        "{}: {}, for {projects}",
        clean(context.name.as_str()),
        plural(count, "variable")
    )
}
