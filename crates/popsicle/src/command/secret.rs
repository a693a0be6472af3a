//! `popsicle secret`: the variables that a project's jobs get, and nobody sees.

use std::io::{self, IsTerminal, Read};

use api::Secret;
use clap::Subcommand;
use model::{RepoName, SecretValue, VariableName};

use super::connect;
use crate::error::{Exit, Failure};
use crate::output::Output;
use crate::settings::Settings;

/// What to do.
#[derive(Debug, Subcommand)]
pub enum SecretCommand {
    /// Set a variable; its value comes from the standard input, or is asked for
    Set {
        /// The variable
        name: VariableName,
        /// Whose
        #[arg(long, value_name = "OWNER/NAME")]
        repo: RepoName,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// List the variables, without their values
    List {
        /// Whose
        #[arg(long, value_name = "OWNER/NAME")]
        repo: RepoName,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Delete a variable
    Delete {
        /// The variable
        name: VariableName,
        /// Whose
        #[arg(long, value_name = "OWNER/NAME")]
        repo: RepoName,
    },
}

/// Carries out the command.
pub async fn run(
    command: SecretCommand,
    settings: &Settings,
    out: &mut Output,
) -> Result<Exit, Failure> {
    let client = connect(settings)?;
    match command {
        SecretCommand::Set { name, repo, json } => {
            let secret = client.set_secret(&repo, &name, value(&name)?).await?;
            shown(&[secret], json, out)?;
        }
        SecretCommand::List { repo, json } => {
            let secrets = client.secrets(&repo).await?;
            if secrets.is_empty() && !json {
                out.say("no secrets");
            }
            list(secrets, json, out)?;
        }
        SecretCommand::Delete { name, repo } => client.delete_secret(&repo, &name).await?,
    }
    Ok(Exit::Success)
}

/// Prints variables by their names.
pub(super) fn list(mut secrets: Vec<Secret>, json: bool, out: &mut Output) -> Result<(), Failure> {
    secrets.sort_by(|one, other| one.name.cmp(&other.name));
    if json {
        return out.json(&secrets);
    }
    shown(&secrets, false, out)
}

/// Prints variables, a line each; the one that was set as JSON where that is wanted.
pub(super) fn shown(secrets: &[Secret], json: bool, out: &mut Output) -> Result<(), Failure> {
    for secret in secrets {
        if json {
            out.json(secret)?;
        } else {
            out.line(line(secret))?;
        }
    }
    Ok(())
}

/// `TOKEN xxxx1234 (set 2024-06-01T12:00:00Z)`
fn line(secret: &Secret) -> String {
    let hint = secret.hint.as_deref();
    let hint = hint.unwrap_or("(can't be read: its key is missing)");
    let set = secret.updated_at.to_seconds();
    format!("{} {hint} (set {set})", secret.name)
}

/// The value of a variable: never from the command line, which all users of a machine can read.
pub(super) fn value(name: &VariableName) -> Result<SecretValue, Failure> {
    let text = if io::stdin().is_terminal() {
        rpassword::prompt_password(format!("Value of {name}: ")).map_err(|error| {
            Failure::unable(format_args!("could not ask for the value: {error}"))
        })?
    } else {
        // One line end more than a value may have, and what tells that it is longer still.
        let most = SecretValue::MOST_BYTES as u64 + 3;
        let mut text = String::new();
        io::stdin()
            .lock()
            .take(most)
            .read_to_string(&mut text)
            .map_err(|error| {
                Failure::usage(format_args!(
                    "could not read the value from the standard input: {error}"
                ))
            })?;
        without_line_end(text)
    };
    SecretValue::try_from(text).map_err(|error| {
        Failure::usage(error).hint("pipe the value in, or type it where it is asked for")
    })
}

/// `echo` and editors put one at the end that is no part of the value.
fn without_line_end(mut text: String) -> String {
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_end_is_not_the_values() {
        for (read, value) in [("a\n", "a"), ("a\r\n", "a"), ("a\n\n", "a\n"), ("a", "a")] {
            assert_eq!(without_line_end(read.to_owned()), value, "{read:?}");
        }
    }
}
