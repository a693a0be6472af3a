//! `popsicle hook post-receive`: what git runs in a hosted repository after a push.
//!
//! Git shows what it prints as `remote:` lines, and the push has succeeded whatever it does. So it writes
//! the push down before anything else, and forgets it once the server knows of it; where the server can't
//! be reached, it finds the push there later.

mod progress;

use std::io::Read;
use std::path::Path;
use std::time::Duration;

use api::{Build, BuildAnswer, NewBuild, WebhookAnswer};
use clap::Subcommand;
use client::{Client, ClientError};
use model::HostedName;
use source::KeptPush;
use uuid::Uuid;

use super::connect;
use crate::error::{Exit, Failure};
use crate::output::{Output, clean};
use crate::settings::Settings;

/// How long the server may take to hear of a push.
const PATIENCE: Duration = Duration::from_secs(15);
/// How much git may tell of one push, in bytes.
const LONGEST: u64 = 32 << 20;
/// How many options of a push are read.
const MOST_OPTIONS: usize = 100;

/// Which hook.
#[derive(Clone, Copy, Debug, Subcommand)]
pub enum HookCommand {
    /// After refs have moved; takes git's lines about them on stdin
    PostReceive,
}

/// A push that has been written down.
#[derive(Debug)]
pub struct Pushed {
    repo: HostedName,
    push: KeptPush,
    /// Whether nobody waits for the pipelines.
    no_wait: bool,
}

/// Writes down what was pushed; none where CI has nothing to do with it. Before any setting is read: one that
/// makes no sense must not lose a push.
pub fn take(hook: HookCommand, out: &mut Output) -> Result<Option<Pushed>, Failure> {
    let HookCommand::PostReceive = hook;
    let unable = |what: &str, error: &dyn std::fmt::Display| {
        Failure::unable(format_args!("could not {what}: {error}"))
            .hint("CI does not know of this push: push again, or ask with POST /builds")
    };
    let here = std::env::current_dir()
        .and_then(|here| here.canonicalize())
        .map_err(|error| unable("tell which repository this is", &error))?;
    let repo = name_of(&here).ok_or_else(|| {
        Failure::usage("this is no hosted repository: git runs this after a push to one")
    })?;
    let mut told = String::new();
    std::io::stdin()
        .take(LONGEST)
        .read_to_string(&mut told)
        .map_err(|error| unable("hear from git what was pushed", &error))?;
    let options = options();
    let has = |option: &str| options.iter().any(|given| given == option);
    // What runs this is git's process that received the push.
    let forget_begun = || {
        if let Some(process) = rustix::process::getppid()
            && let Err(error) =
                KeptPush::forget_begun(&here, process.as_raw_nonzero().get().unsigned_abs(), &told)
        {
            tracing::warn!(%error, "could not forget that a push has begun");
        }
    };
    if has("ci.skip") {
        forget_begun();
        out.line("popsicle: no pipeline, as `-o ci.skip` asks")?;
        return Ok(None);
    }
    let now_ms = engine::World::now(&engine::SystemWorld).as_millis();
    let id = format!("{now_ms:013}-{}", Uuid::new_v4().simple());
    let push =
        KeptPush::keep(&here, &id, &told).map_err(|error| unable("keep the push", &error))?;
    forget_begun();
    Ok(Some(Pushed {
        repo,
        push,
        no_wait: has("ci.nowait"),
    }))
}

/// Tells the server, and then the pusher how the pipelines go.
pub async fn run(
    Pushed {
        repo,
        push,
        no_wait,
    }: Pushed,
    settings: &Settings,
    out: &mut Output,
) -> Result<Exit, Failure> {
    let client = connect(settings)?;
    let told = tokio::time::timeout(PATIENCE, tell(&client, &repo, &push, out)).await;
    let (events, builds) = match told {
        Ok(Ok(told)) => told,
        Ok(Err(Trouble::Server(error))) => return later(&error.to_string(), out),
        Ok(Err(Trouble::Output(failure))) => return Err(failure),
        Err(_) => {
            let silence = format!("no answer within {} s", PATIENCE.as_secs());
            return later(&silence, out);
        }
    };
    if let Err(error) = push.forget() {
        // It is told once more, which makes no other pipeline.
        tracing::warn!(%error, "could not forget a push");
    }
    if !no_wait && !builds.is_empty() {
        progress::follow(&client, events, &builds, out).await?;
    }
    Ok(Exit::Success)
}

/// Why a push could not be told.
enum Trouble {
    Server(ClientError),
    Output(Failure),
}

impl From<ClientError> for Trouble {
    fn from(error: ClientError) -> Self {
        Self::Server(error)
    }
}

/// Asks for a build of each branch and tag. The events begin before the first of them.
async fn tell(
    client: &Client,
    repo: &HostedName,
    push: &KeptPush,
    out: &mut Output,
) -> Result<(client::Events, Vec<Build>), Trouble> {
    let events = client.events(None).await?.impatient();
    let mut builds = Vec::new();
    for update in &push.updates {
        let new = NewBuild {
            repo: repo.clone(),
            commit: update.after.clone(),
            branch: update.git_ref.full(),
            author: None,
            before: update.before.clone(),
            delivery: Some(push.delivery(update)),
        };
        let name = update.git_ref.short().to_owned();
        let line = match client.build(&new).await {
            Ok(BuildAnswer::Build(build)) => {
                let url = build.url.as_deref().unwrap_or_default();
                let line = format!("#{} {}  {}", build.id, clean(&name), clean(url));
                builds.push(*build);
                line
            }
            Ok(BuildAnswer::Ignored(answer)) => {
                let why = match answer {
                    WebhookAnswer::Ignored { reason } => reason,
                    WebhookAnswer::Queued { .. } | WebhookAnswer::Pong => String::new(),
                };
                format!("{}: no pipeline: {}", clean(&name), clean(&why))
            }
            // It would be refused again.
            Err(ClientError::Refused {
                status: 400..=499,
                message,
                ..
            }) => format!("{}: no pipeline: {}", clean(&name), clean(&message)),
            Err(error) => return Err(error.into()),
        };
        out.line(format_args!("popsicle: {}", line.trim_end()))
            .map_err(Trouble::Output)?;
    }
    Ok((events, builds))
}

fn later(why: &str, out: &mut Output) -> Result<Exit, Failure> {
    out.line(format_args!("popsicle: {}", clean(why)))?;
    out.line("popsicle: the push is kept; its pipeline starts once the server is back")?;
    Ok(Exit::Success)
}

fn name_of(repository: &Path) -> Option<HostedName> {
    HostedName::of_folder(repository.file_name()?.to_str()?)
}

/// What was said with `git push -o` (githooks(5), post-receive).
fn options() -> Vec<String> {
    let count = std::env::var("GIT_PUSH_OPTION_COUNT").ok();
    let count: usize = count.and_then(|count| count.parse().ok()).unwrap_or(0);
    (0..count.min(MOST_OPTIONS))
        .filter_map(|number| std::env::var(format!("GIT_PUSH_OPTION_{number}")).ok())
        .collect()
}
