//! `popsicle token`: what opens a server that asks for tokens.
//!
//! With a token of its own (`POPSICLE_TOKEN`) it asks the server; without one it works on the database that
//! `popsicle serve` would use with the same settings, which whoever may read and write that file is free to.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;

use api::{CreatedToken, NewToken, Token};
use clap::Subcommand;
use client::Client;
use engine::{SystemWorld, World};
use jiff::{Span, SpanRelativeTo};
use model::{Timestamp, TokenId, TokenScope};
use store::{Page, Store};

use super::connect;
use crate::error::{Exit, Failure};
use crate::output::{Output, clean};
use crate::settings::Settings;

/// What to do.
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Make a token, and print it once
    Create {
        /// What it is for
        name: String,
        /// What its holder may do: read, write or admin
        #[arg(long, default_value_t = TokenScope::Read)]
        scope: TokenScope,
        /// After how long it opens nothing, such as 12h or 90d; never unless said
        #[arg(long, value_name = "DURATION", value_parser = lifetime)]
        expires: Option<Span>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// List the tokens
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Let a token open nothing any more
    Revoke {
        /// Its number
        token: TokenId,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// Where the tokens are.
enum Place {
    Server(Client),
    Database(Store),
}

/// Whether the command asks a server, and so needs no settings of one.
pub fn asks_server(settings: &Settings) -> bool {
    settings.token.is_some() || settings.token_file.is_some()
}

/// Carries out the command.
pub async fn run(
    command: TokenCommand,
    settings: &Settings,
    out: &mut Output,
) -> Result<Exit, Failure> {
    let place = Place::of(settings).await?;
    let done = place.carry_out(command, out).await;
    if let Place::Database(store) = &place {
        store.close().await;
    }
    done
}

impl Place {
    async fn of(settings: &Settings) -> Result<Self, Failure> {
        if asks_server(settings) {
            return connect(settings).map(Self::Server);
        }
        // As `serve` would make it: nobody else's to look into.
        let dir = &settings.data_dir.value;
        let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
        made.map_err(|error| {
            Failure::unable(format_args!(
                "can't use the data folder {}: {error}",
                dir.display()
            ))
        })?;
        let store = Store::open(&settings.database_url).await;
        store.map(Self::Database).map_err(unable)
    }

    async fn carry_out(&self, command: TokenCommand, out: &mut Output) -> Result<Exit, Failure> {
        match command {
            TokenCommand::Create {
                name,
                scope,
                expires,
                json,
            } => {
                let expires_at = expires.map(from_now).transpose()?;
                let new = NewToken {
                    name,
                    scope,
                    expires_at,
                };
                let created = self.create(new).await?;
                if json {
                    out.json(&created)?;
                } else {
                    out.say(format_args!(
                        "token {} with the scope {}; it is not shown again:",
                        created.about.id, created.about.scope
                    ));
                    out.line(clean(&created.token))?;
                }
            }
            TokenCommand::List { json } => {
                let tokens = self.list().await?;
                if json {
                    out.json(&tokens)?;
                    return Ok(Exit::Success);
                }
                if tokens.is_empty() {
                    out.say("no tokens");
                }
                for token in &tokens {
                    out.line(line(token))?;
                }
            }
            TokenCommand::Revoke { token, json } => {
                let token = self.revoke(token).await?;
                if json {
                    out.json(&token)?;
                } else {
                    out.line(line(&token))?;
                }
            }
        }
        Ok(Exit::Success)
    }

    async fn create(&self, new: NewToken) -> Result<CreatedToken, Failure> {
        let store = match self {
            Self::Server(client) => return Ok(client.create_token(&new).await?),
            Self::Database(store) => store,
        };
        let new = store::NewToken {
            name: new.name,
            scope: new.scope,
            expires: new.expires_at,
        };
        let made = store.create_token(&new, SystemWorld.secret(), SystemWorld.now());
        let (token, text) = made.await.map_err(unable)?;
        Ok(CreatedToken {
            about: shown(token),
            token: text.expose().to_owned(),
        })
    }

    async fn list(&self) -> Result<Vec<Token>, Failure> {
        let store = match self {
            Self::Server(client) => return Ok(client.tokens().await?),
            Self::Database(store) => store,
        };
        let mut page = Page {
            limit: 200,
            cursor: None,
        };
        let mut tokens = Vec::new();
        loop {
            let found = store.tokens(&page).await.map_err(unable)?;
            tokens.extend(found.items.into_iter().map(shown));
            page.cursor = found.next;
            if page.cursor.is_none() {
                return Ok(tokens);
            }
        }
    }

    async fn revoke(&self, token: TokenId) -> Result<Token, Failure> {
        match self {
            Self::Server(client) => Ok(client.revoke_token(token).await?),
            Self::Database(store) => {
                let revoked = store.revoke_token(token, SystemWorld.now()).await;
                revoked.map(shown).map_err(unable)
            }
        }
    }
}

/// `2: ada's laptop [write] last used 2024-06-01T12:00:00Z`
fn line(token: &Token) -> String {
    let mut line = format!("{}: {} [{}]", token.id, clean(&token.name), token.scope);
    let mut add = |what: &str, at: Option<Timestamp>| {
        if let Some(at) = at {
            line.push_str(&format!(" {what} {at}"));
        }
    };
    add("last used", token.last_used_at);
    add("expires", token.expires_at);
    add("revoked", token.revoked_at);
    line
}

fn shown(token: store::Token) -> Token {
    Token {
        id: token.id,
        name: token.name,
        scope: token.scope,
        runner: token.runner,
        created_at: token.created,
        last_used_at: token.last_used,
        expires_at: token.expires,
        revoked_at: token.revoked,
    }
}

fn lifetime(text: &str) -> Result<Span, String> {
    match text.parse::<Span>() {
        Ok(span) if span.is_positive() => Ok(span),
        Ok(_) | Err(_) => Err("write a duration such as 12h or 90d".into()),
    }
}

fn from_now(span: Span) -> Result<Timestamp, Failure> {
    let length = span.to_duration(SpanRelativeTo::days_are_24_hours());
    let millis = length.ok().and_then(|length| {
        let length = i64::try_from(length.as_millis()).ok()?;
        SystemWorld.now().as_millis().checked_add(length)
    });
    let millis = millis.ok_or_else(|| {
        Failure::usage(
            "`--expires` can't be so long, or in months or years: write days, such as 90d",
        )
    })?;
    Ok(Timestamp::from_millis(millis))
}

fn unable(error: store::StoreError) -> Failure {
    if error.is_not_found() || error.is_bad_request() {
        return Failure::usage(error);
    }
    match std::error::Error::source(&error) {
        Some(cause) => Failure::unable(format_args!("{error}: {cause}")),
        None => Failure::unable(error),
    }
}
