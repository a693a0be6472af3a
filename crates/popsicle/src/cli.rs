//! The command line: every command with its arguments, and who carries it out.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use model::ParameterValue;

use crate::command::{
    approve, artifacts, cancel, completions, config, configure, context, doctor, hook, image, init,
    list, logs, lsp, open, orb, repo, rerun, retry, run, secret, send_webhook, serve, shim,
    tests as test_results, token, watch,
};
use crate::error::{Exit, Failure};
use crate::output::Output;
use crate::settings::{Flags, Given, Global, Running, Scope, Serving, Settings};
use crate::telemetry;

/// A CI/CD server in one binary.
#[derive(Debug, Parser)]
#[command(name = "popsicle", version, max_term_width = 100)]
#[command(after_help = "Exit codes: 0 success, 1 the pipeline failed, 2 usage, \
    3 could not reach the server or be allowed.")]
pub struct Cli {
    #[command(flatten)]
    flags: Flags<Global>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server
    Serve(ServeArgs),
    /// Run a directory's pipeline here and now, without a server
    Run(RunArgs),
    /// List the most recent pipelines
    List(list::ListArgs),
    /// Print the log of a job
    Logs(logs::LogsArgs),
    /// List or download what a job keeps for people
    Artifacts(artifacts::ArtifactsArgs),
    /// List what a job's tests said of themselves, those that failed first
    Tests(test_results::TestsArgs),
    /// Follow a pipeline to its end; exits with its result
    Watch(watch::WatchArgs),
    /// Cancel a pipeline
    Cancel(cancel::CancelArgs),
    /// Run a pipeline again
    Rerun(rerun::RerunArgs),
    /// Run a job again, in the same pipeline
    Retry(retry::RetryArgs),
    /// Approve a job that waits for a person
    Approve(approve::ApproveArgs),
    /// Open a pipeline's page in a browser
    Open(open::OpenArgs),
    /// Manage runners
    #[command(subcommand)]
    Configure(configure::ConfigureCommand),
    /// Manage the repositories that the server hosts
    #[command(subcommand)]
    Repo(repo::RepoCommand),
    /// Manage the secrets of a project
    #[command(subcommand)]
    Secret(secret::SecretCommand),
    /// Manage contexts: sets of secrets for the jobs that ask for them
    #[command(subcommand)]
    Context(context::ContextCommand),
    /// Manage what opens a server that asks for tokens
    #[command(subcommand)]
    Token(token::TokenCommand),
    /// Check and look into a pipeline's config
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Manage the orbs that configs import
    #[command(subcommand)]
    Orb(orb::OrbCommand),
    /// Manage the images that jobs run in without Docker
    #[command(subcommand)]
    Image(image::ImageCommand),
    /// Write a first config for a project
    Init(init::InitArgs),
    /// Tell what works on this machine, what does not, and the mend
    Doctor(doctor::DoctorArgs),
    /// Help an editor with configs: what is wrong, what a word means, what could stand here
    Lsp(lsp::LspArgs),
    /// Print a shell's completions
    Completions(completions::CompletionsArgs),
    /// Send a local repository's newest commit to the server, as GitHub would
    #[command(hide = true)]
    SendWebhook(send_webhook::SendWebhookArgs),
    /// Take what git tells after a push (run by git itself)
    #[command(hide = true, subcommand)]
    Hook(hook::HookCommand),
    /// Hold a native container (started by Popsicle itself)
    #[command(hide = true)]
    Shim(ShimArgs),
}

/// The arguments of `serve`.
#[derive(Debug, Args)]
#[command(after_help = Flags::<Serving>::only_in_the_environment())]
pub struct ServeArgs {
    #[command(flatten)]
    flags: Flags<Serving>,
}

/// The arguments of `run`.
#[derive(Debug, Args)]
#[command(after_help = Flags::<Running>::only_in_the_environment())]
pub struct RunArgs {
    /// The project's directory
    #[arg(default_value = ".")]
    pub dir: PathBuf,
    /// Run only this workflow
    #[arg(long, short, value_name = "NAME")]
    pub workflow: Option<String>,
    /// Run only this job, without the jobs that it requires
    #[arg(long, short, value_name = "NAME")]
    pub job: Option<String>,
    #[command(flatten)]
    pub context: config::ContextArgs,
    /// Show the output of all jobs, not only of what fails
    #[arg(long, short)]
    pub verbose: bool,
    #[command(flatten)]
    flags: Flags<Running>,
}

/// The arguments of `shim`.
#[derive(Debug, Args)]
pub struct ShimArgs {
    /// The job's directory, and what to do there
    #[arg(required = true, allow_hyphen_values = true)]
    pub words: Vec<OsString>,
}

impl Cli {
    /// Carries out what was asked.
    ///
    /// # Errors
    /// Whatever keeps the command from it, for people.
    pub fn carry_out(self, out: &mut Output) -> Result<Exit, Failure> {
        let global = self.flags.given;
        let load = |flags: Given, scope| -> Result<Settings, Failure> {
            let settings = Settings::load(&flags, scope)?;
            telemetry::start(&settings)?;
            Ok(settings)
        };
        let common = || load(global.clone(), Scope::Everywhere);
        match self.command {
            // Before anything starts a thread: the shim makes namespaces.
            Command::Shim(args) => shim::run(&args),
            Command::Serve(args) => {
                let settings = load(global.and(args.flags.given.clone()), Scope::Serve)?;
                in_runtime(serve::run(args, settings))
            }
            Command::Run(args) => {
                let settings = load(global.and(args.flags.given.clone()), Scope::Jobs)?;
                in_runtime(run::run(args, settings, out))
            }
            Command::List(args) => in_runtime(list::run(args, &common()?, out)),
            Command::Logs(args) => in_runtime(logs::run(&args, &common()?, out)),
            Command::Artifacts(args) => in_runtime(artifacts::run(&args, &common()?, out)),
            Command::Tests(args) => in_runtime(test_results::run(&args, &common()?, out)),
            Command::Watch(args) => in_runtime(watch::run(&args, &common()?, out)),
            Command::Cancel(args) => in_runtime(cancel::run(&args, &common()?, out)),
            Command::Rerun(args) => in_runtime(rerun::run(&args, &common()?, out)),
            Command::Retry(args) => in_runtime(retry::run(&args, &common()?, out)),
            Command::Approve(args) => in_runtime(approve::run(&args, &common()?, out)),
            Command::Open(args) => in_runtime(open::run(&args, &common()?, out)),
            Command::Configure(command) => in_runtime(configure::run(command, &common()?, out)),
            Command::Repo(command) => in_runtime(repo::run(command, &common()?, out)),
            Command::Hook(hook) => match hook::take(hook, out)? {
                Some(pushed) => in_runtime(hook::run(pushed, &common()?, out)),
                None => Ok(Exit::Success),
            },
            Command::Secret(command) => in_runtime(secret::run(command, &common()?, out)),
            Command::Context(command) => in_runtime(context::run(command, &common()?, out)),
            Command::Token(command) => {
                let mut settings = common()?;
                if !token::asks_server(&settings) {
                    settings = load(global, Scope::Serve)?;
                }
                in_runtime(token::run(command, &settings, out))
            }
            Command::SendWebhook(args) => {
                // The secret that it signs with is the server's.
                let settings = load(global, Scope::Serve)?;
                in_runtime(send_webhook::run(&args, &settings, out))
            }
            Command::Doctor(args) => in_runtime(doctor::run(&args, &global, out)),
            Command::Config(command) => {
                let settings = load(global.and(command.given()), Scope::Configs)?;
                config::run(&command, &settings, out)
            }
            Command::Orb(command) => {
                let settings = load(global.and(command.given()), Scope::Configs)?;
                in_runtime(orb::run(&command, &settings, out))
            }
            Command::Image(command) => {
                let settings = load(global.and(command.given()), Scope::Jobs)?;
                in_runtime(image::run(&command, &settings, out))
            }
            Command::Init(args) => init::run(&args, out),
            Command::Lsp(args) => lsp::run(&args, &load(global, Scope::Configs)?),
            Command::Completions(args) => completions::run(&args, out),
        }
    }
}

/// How long what still runs after a command's end is waited for.
const AFTERMATH: Duration = Duration::from_secs(2);

fn in_runtime(command: impl Future<Output = Result<Exit, Failure>>) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::unable(format_args!("could not start threads: {error}")))?;
    let result = runtime.block_on(command);
    runtime.shutdown_timeout(AFTERMATH);
    result
}

/// A parameter and its value: a boolean or a whole number, if it is written like one, else a text.
pub(crate) fn parameter(text: &str) -> Result<(String, ParameterValue), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => {
            let number = value.parse::<i64>().ok();
            let value = match (value, number) {
                ("true", _) => ParameterValue::Boolean(true),
                ("false", _) => ParameterValue::Boolean(false),
                // `007` is a text.
                (_, Some(number)) if number.to_string() == value => ParameterValue::Integer(number),
                (_, _) => ParameterValue::Text(value.to_owned()),
            };
            Ok((name.to_owned(), value))
        }
        _ => Err("write it as name=value".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn verify_cli() {
        Cli::command().debug_assert();
    }

    #[test]
    fn serve_explains_its_settings() {
        let mut command = Cli::command();
        let serve = command.find_subcommand_mut("serve").unwrap();
        let help = serve.render_long_help().to_string().replace('\n', " ");
        let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
        for said in [
            "--listen <ADDRESS:PORT>",
            "[env: POPSICLE_LISTEN, BIND_ADDRESS, PORT] [default: 127.0.0.1:5000]",
            "--allow-unauthenticated",
            "[env: POPSICLE_MAX_RETRIES, MAX_RETRIES] [default: 3]",
        ] {
            assert!(help.contains(said), "{said} is not in {help}");
        }
        assert!(!help.contains("--github-token"), "a secret is no flag");
        assert!(help.contains("POPSICLE_GITHUB_TOKEN"), "{help}");
    }

    #[test]
    fn parameters_have_a_name_and_a_value() {
        let run = |text: &str| Cli::try_parse_from(["popsicle", "run", "--param", text]);
        assert!(run("a=b=c").is_ok());
        assert!(run("a").is_err());
        assert!(run("=b").is_err());
    }

    #[test]
    fn flags_of_every_command_are_understood_anywhere() {
        for words in [
            ["popsicle", "--server-url", "http://x", "list"],
            ["popsicle", "list", "--server-url", "http://x"],
        ] {
            let cli = Cli::try_parse_from(words).unwrap();
            let given = cli.flags.given;
            assert_eq!(
                given.get(&crate::settings::table::SERVER_URL),
                Some("http://x")
            );
        }
    }
}
