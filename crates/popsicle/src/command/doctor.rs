//! `popsicle doctor`: what works on this machine, what does not, and the mend. Changes nothing.

use std::fmt;
use std::io;
use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use bytesize::ByteSize;
use clap::Args;
use client::Client;
use executor::docker::{DockerExecutor, DockerSettings};
use executor::native::{NativeExecutor, NativeSettings};
use executor::{Executor, Limits};
use owo_colors::OwoColorize;
use rustix::fs::Access;
use serde::Serialize;

use crate::error::{Exit, Failure};
use crate::output::{Output, clean};
use crate::settings::{Given, Scope, Settings, Source};

/// How long one check may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Below this much free space a warning is due, in bytes.
const LITTLE_SPACE: u64 = 2 << 30;

/// How to tell it.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Ok,
    Warn,
    Missing,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Finding {
    name: &'static str,
    state: State,
    found: String,
    mend: Option<String>,
}

/// What is told to programs.
#[derive(Debug, Serialize)]
struct Report {
    can_run_jobs: bool,
    checks: Vec<Finding>,
    settings: Vec<Setting>,
}

#[derive(Debug, Serialize)]
struct Setting {
    name: &'static str,
    value: Option<String>,
    source: String,
}

/// Carries out the command.
pub async fn run(args: &DoctorArgs, flags: &Given, out: &mut Output) -> Result<Exit, Failure> {
    let loaded = Settings::load(flags, Scope::Serve);
    let mut checks = Vec::new();
    let settings = match loaded {
        Ok(settings) => {
            checks.push(set(&settings));
            settings
        }
        Err(error) => {
            let finding = Finding::missing("settings", &error);
            checks.push(finding.mend(error.hint().unwrap_or_else(|| {
                "mend it; what follows is told of the default settings".into()
            })));
            Settings::defaults()
        }
    };
    let native = native(&settings).await;
    let docker = docker(&settings).await;
    let can_run_jobs = native.state == State::Ok || docker.state == State::Ok;
    checks.extend([git().await, native, docker]);
    checks.extend([data(&settings), space(&settings), port(&settings).await]);
    checks.extend([server(&settings).await, token(&settings), nix().await]);

    if args.json {
        out.json(&Report {
            can_run_jobs,
            checks,
            settings: settings
                .shown()
                .into_iter()
                .map(|shown| Setting {
                    name: shown.name,
                    value: shown.value,
                    source: shown.source.to_string(),
                })
                .collect(),
        })?;
    } else {
        tell(&checks, &settings, out)?;
        if !can_run_jobs {
            out.failure("nothing on this machine can run jobs", None);
        }
    }
    Ok(if can_run_jobs {
        Exit::Success
    } else {
        Exit::Failed
    })
}

fn tell(checks: &[Finding], settings: &Settings, out: &mut Output) -> Result<(), Failure> {
    for check in checks {
        let word = match check.state {
            State::Ok => "ok     ".green().to_string(),
            State::Warn => "warn   ".yellow().to_string(),
            State::Missing => "missing".red().to_string(),
        };
        out.line(format_args!("{word}  {:9}  {}", check.name, check.found))?;
        if let Some(mend) = &check.mend {
            for line in mend.lines() {
                out.line(format_args!("{:20}{line}", ""))?;
            }
        }
    }
    let mut own = settings.shown();
    own.retain(|shown| shown.source != Source::Default);
    if !own.is_empty() {
        out.line("\nsettings that are not the default:")?;
    }
    for shown in own {
        let value = shown.value.unwrap_or_default();
        let (name, source) = (shown.name, shown.source);
        out.line(format_args!("  {name} = {} (from {source})", clean(&value)))?;
    }
    Ok(())
}

impl Finding {
    fn new(name: &'static str, state: State, found: impl fmt::Display) -> Self {
        Self {
            name,
            state,
            found: found.to_string(),
            mend: None,
        }
    }

    fn ok(name: &'static str, found: impl fmt::Display) -> Self {
        Self::new(name, State::Ok, found)
    }

    fn warn(name: &'static str, found: impl fmt::Display) -> Self {
        Self::new(name, State::Warn, found)
    }

    fn missing(name: &'static str, found: impl fmt::Display) -> Self {
        Self::new(name, State::Missing, found)
    }

    fn mend(mut self, mend: impl fmt::Display) -> Self {
        self.mend = Some(mend.to_string());
        self
    }
}

fn set(settings: &Settings) -> Finding {
    let shown = settings.shown();
    let own = shown.iter().filter(|shown| shown.source != Source::Default);
    Finding::ok(
        "settings",
        format_args!("{} of {} set", own.count(), shown.len()),
    )
}

async fn git() -> Finding {
    const MEND: &str = "install git 2 or newer; without it no repository can be fetched";
    match version("git").await {
        Ok(text) => {
            let number = text.strip_prefix("git version ").unwrap_or(&text);
            let major = number.split('.').next().unwrap_or(number);
            if major.parse::<u32>().is_ok_and(|major| major >= 2) {
                Finding::ok("git", number)
            } else {
                Finding::missing("git", number).mend(MEND)
            }
        }
        Err(error) => Finding::missing("git", error).mend(MEND),
    }
}

async fn nix() -> Finding {
    match version("nix").await {
        Ok(text) => Finding::ok("nix", text),
        Err(error) => Finding::warn("nix", error).mend(
            "only needed for projects whose pipeline is a flake.nix: https://nixos.org/download",
        ),
    }
}

/// What a program says its version is.
async fn version(program: &str) -> Result<String, String> {
    let asked = tokio::process::Command::new(program)
        .arg("--version")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    match tokio::time::timeout(PATIENCE, asked).await {
        Err(_) => Err(format!("{program} does not answer")),
        Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound => Err("not found".into()),
        Ok(Err(error)) => Err(format!("{program} could not be started: {error}")),
        Ok(Ok(answer)) if !answer.status.success() => Err(format!("{program} does not work")),
        Ok(Ok(answer)) => {
            let text = String::from_utf8_lossy(&answer.stdout);
            Ok(clean(text.lines().next().unwrap_or_default()).into_owned())
        }
    }
}

async fn native(settings: &Settings) -> Finding {
    let shim = match std::env::current_exe() {
        Ok(program) => vec![program.into(), "shim".into()],
        Err(error) => return Finding::missing("native", error),
    };
    let native = NativeExecutor::new(NativeSettings {
        jobs: settings.workspace_root.value.clone(),
        namespace: "popsicle-doctor".to_owned(),
        shim,
        hidden: vec![settings.data_dir.value.clone()],
        limits: Limits::default(),
        images: crate::wiring::images(settings),
    });
    // The trial takes place where jobs would live; folders that it had to make go away again.
    let made: Vec<&Path> = settings
        .workspace_root
        .ancestors()
        .take_while(|path| !path.exists())
        .collect();
    let finding = check("native", &native).await;
    for folder in made {
        // Refused where it was not made after all, or somebody else uses it by now.
        let _ = std::fs::remove_dir(folder);
    }
    finding
}

async fn docker(settings: &Settings) -> Finding {
    let docker = DockerExecutor::new(DockerSettings {
        host: settings.docker_host.as_ref().map(|host| host.value.clone()),
        namespace: "popsicle-doctor".to_owned(),
        ..DockerSettings::default()
    });
    check("docker", &docker).await
}

async fn check(name: &'static str, executor: &dyn Executor) -> Finding {
    let Ok(check) = tokio::time::timeout(PATIENCE, executor.check()).await else {
        let found = format!("no answer within {} s", PATIENCE.as_secs());
        return Finding::missing(name, found);
    };
    let state = if check.works {
        State::Ok
    } else {
        State::Missing
    };
    Finding {
        mend: check.mend,
        ..Finding::new(name, state, check.finding)
    }
}

fn data(settings: &Settings) -> Finding {
    let dir = &settings.data_dir.value;
    let there = nearest(dir);
    let shown = dir.display();
    if !there.is_dir() {
        return Finding::missing("data", format_args!("{} is no directory", there.display()))
            .mend("name another with --data-dir or POPSICLE_DATA_DIR");
    }
    match rustix::fs::access(there, Access::WRITE_OK | Access::EXEC_OK) {
        Ok(()) if there == dir => Finding::ok("data", format_args!("{shown} can be written")),
        Ok(()) => Finding::ok("data", format_args!("{shown} can be made")),
        Err(error) => Finding::missing("data", format_args!("{}: {error}", there.display())).mend(
            "give this user the directory, or name another with --data-dir or POPSICLE_DATA_DIR",
        ),
    }
}

fn space(settings: &Settings) -> Finding {
    let there = nearest(&settings.data_dir.value);
    match rustix::fs::statvfs(there) {
        Ok(system) => {
            let free = system.f_bavail.saturating_mul(system.f_frsize);
            let found = format!("{} free in {}", ByteSize(free), there.display());
            if free < LITTLE_SPACE {
                Finding::warn("space", found).mend("logs and working directories need room there")
            } else {
                Finding::ok("space", found)
            }
        }
        Err(error) => Finding::warn("space", format_args!("{}: {error}", there.display())),
    }
}

/// The path itself, or the nearest folder above it that exists.
fn nearest(path: &Path) -> &Path {
    path.ancestors()
        .find(|path| path.exists())
        .unwrap_or(Path::new("/"))
}

async fn port(settings: &Settings) -> Finding {
    let listen = settings.listen.value;
    let error = match TcpListener::bind(listen) {
        Ok(_) => return Finding::ok("port", format_args!("{listen} is free")),
        Err(error) => error,
    };
    if error.kind() == io::ErrorKind::AddrInUse {
        let url = settings.public_url(listen);
        if let Ok(version) = alive(url.as_str()).await {
            return Finding::ok(
                "port",
                format_args!("Popsicle {version} listens on {listen}"),
            );
        }
    }
    Finding::warn("port", format_args!("{listen}: {error}"))
        .mend("listen elsewhere, with --listen or POPSICLE_LISTEN")
}

async fn server(settings: &Settings) -> Finding {
    match alive(&settings.server_url).await {
        Ok(version) => Finding::ok("server", format_args!("Popsicle {version} answers")),
        Err(error) => {
            let finding = Finding::warn("server", &error);
            match error.hint() {
                Some(hint) => finding.mend(hint),
                None => finding,
            }
        }
    }
}

/// The version of the server at that address.
async fn alive(url: &str) -> Result<String, client::ClientError> {
    let health = Client::new(url)?.health().await?;
    Ok(clean(&health.version).into_owned())
}

fn token(settings: &Settings) -> Finding {
    match &settings.github_token {
        Some(token) => Finding::ok("github", format_args!("token set by {}", token.source)),
        None => Finding::warn(
            "github",
            "no token: no commit statuses, public repositories only",
        )
        .mend("set POPSICLE_GITHUB_TOKEN to a token with the scope repo:status"),
    }
}
