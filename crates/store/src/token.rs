//! Tokens: who may use the API. A token is `pop_<number>_<secret>`; of the secret only a hash is kept.
//!
//! The secret is 256 random bits, so a fast hash of it can't be guessed back. A token is found by its
//! number and its hash compared in constant time, so that no answer's timing tells how much of a guess was
//! right.

use std::fmt;

use model::{InvalidName, RunnerId, Timestamp, TokenId, TokenScope};
use sha2::{Digest, Sha256};
use sqlx::SqliteConnection;
use subtle::ConstantTimeEq;

use crate::page::List;
use crate::{Page, Paged, Result, Store, StoreError, json};

/// What every token begins with, so that a leaked one is recognized.
pub const TOKEN_PREFIX: &str = "pop_";
/// How exactly its last use is known, in milliseconds: not every request is worth a write.
const USE_STEP_MS: i64 = 60_000;

/// A token, without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Its number.
    pub id: TokenId,
    /// What it is for, for people.
    pub name: String,
    /// What its holder may do.
    pub scope: TokenScope,
    /// Which runner its holder is, where the scope is that.
    pub runner: Option<RunnerId>,
    /// When it was made.
    pub created: Timestamp,
    /// When it was last used, to the minute.
    pub last_used: Option<Timestamp>,
    /// From when on it opens nothing.
    pub expires: Option<Timestamp>,
    /// When it was revoked.
    pub revoked: Option<Timestamp>,
}

/// A token to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewToken {
    /// What it is for, for people.
    pub name: String,
    /// What its holder may do; not [`TokenScope::Runner`], which come with their runners.
    pub scope: TokenScope,
    /// From when on it opens nothing.
    pub expires: Option<Timestamp>,
}

/// A token as its holder has it. Nothing prints it by accident.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenText(String);

impl TokenText {
    /// The text itself. Never let it reach a log, an error, a URL or an argument list.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for TokenText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}

#[derive(sqlx::FromRow)]
struct Row {
    id: i64,
    name: String,
    scope: String,
    runner_id: Option<i64>,
    hash: String,
    created_at: i64,
    last_used_at: Option<i64>,
    expires_at: Option<i64>,
    revoked_at: Option<i64>,
}

macro_rules! columns {
    () => {
        "id, name, scope, runner_id, hash, created_at, last_used_at, expires_at, revoked_at"
    };
}

impl TryFrom<Row> for Token {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            id: TokenId(row.id),
            scope: json::word(&row.scope, "scope", || format!("token {}", row.id))?,
            runner: row.runner_id.map(RunnerId),
            created: Timestamp::from_millis(row.created_at),
            last_used: json::moment(row.last_used_at),
            expires: json::moment(row.expires_at),
            revoked: json::moment(row.revoked_at),
            name: row.name,
        })
    }
}

impl Store {
    /// Makes a token of a random secret. Its text is nowhere but in the answer.
    ///
    /// # Errors
    /// Where the name is empty or longer than 100 characters, or the scope is a runner's.
    pub async fn create_token(
        &self,
        new: &NewToken,
        secret: [u8; 32],
        now: Timestamp,
    ) -> Result<(Token, TokenText)> {
        if new.name.trim().is_empty() || new.name.chars().count() > 100 {
            let why = "it must have 1 to 100 characters";
            return Err(InvalidName::new("name of a token", &new.name, why).into());
        }
        if new.scope == TokenScope::Runner {
            let why = "a runner's token is made with its runner";
            return Err(InvalidName::new("scope", new.scope.as_str(), why).into());
        }
        let mut write = self.write().await?;
        let made = insert(write.connection(), new, None, secret, now).await?;
        write.commit().await?;
        Ok(made)
    }

    /// Every token, newest first, also those that open nothing any more.
    ///
    /// # Errors
    /// Where the cursor is none of this list's.
    pub async fn tokens(&self, page: &Page) -> Result<Paged<Token>> {
        let rows: Vec<Row> = sqlx::query_as(concat!(
            "SELECT ",
            columns!(),
            " FROM tokens WHERE id < $1 ORDER BY id DESC LIMIT $2"
        ))
        .bind(page.below(List::Tokens)?)
        .bind(page.more())
        .fetch_all(self.readers())
        .await?;
        Ok(Paged::cut(rows, page, List::Tokens, |row| row.id).read())
    }

    /// The token of that text, if it opens anything at that time; remembers that it was used.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn token_of(&self, text: &str, now: Timestamp) -> Result<Option<Token>> {
        let parts = text
            .strip_prefix(TOKEN_PREFIX)
            .and_then(|rest| rest.split_once('_'));
        let Some((Ok(id), secret)) = parts.map(|(id, secret)| (id.parse::<TokenId>(), secret))
        else {
            return Ok(None);
        };
        let row: Option<Row> =
            sqlx::query_as(concat!("SELECT ", columns!(), " FROM tokens WHERE id = $1"))
                .bind(id.0)
                .fetch_optional(self.readers())
                .await?;
        let Some(row) = row else { return Ok(None) };
        let is_it: bool = hash(secret).as_bytes().ct_eq(row.hash.as_bytes()).into();
        let is_over =
            row.revoked_at.is_some() || row.expires_at.is_some_and(|at| at <= now.as_millis());
        if !is_it || is_over {
            return Ok(None);
        }
        let token = Token::try_from(row)?;
        let stale = token
            .last_used
            .is_none_or(|last| now.as_millis() - last.as_millis() >= USE_STEP_MS);
        if stale && let Err(error) = self.used(id, now).await {
            // Who has a token is let in, even where the disk is full.
            tracing::debug!(token = id.0, %error, "could not store a token's use");
        }
        Ok(Some(token))
    }

    async fn used(&self, id: TokenId, now: Timestamp) -> Result<()> {
        let mut write = self.write().await?;
        sqlx::query("UPDATE tokens SET last_used_at = $2 WHERE id = $1")
            .bind(id.0)
            .bind(now.as_millis())
            .execute(write.connection())
            .await?;
        write.commit().await
    }

    /// Lets a token open nothing from now on. One that is revoked already stays so.
    ///
    /// # Errors
    /// Where there is no such token.
    pub async fn revoke_token(&self, id: TokenId, now: Timestamp) -> Result<Token> {
        let mut write = self.write().await?;
        let row: Option<Row> = sqlx::query_as(concat!(
            "UPDATE tokens SET revoked_at = COALESCE(revoked_at, $2) WHERE id = $1 RETURNING ",
            columns!()
        ))
        .bind(id.0)
        .bind(now.as_millis())
        .fetch_optional(write.connection())
        .await?;
        let token = row
            .ok_or_else(|| StoreError::not_found("token", &id))?
            .try_into()?;
        write.commit().await?;
        Ok(token)
    }

    /// Gives a runner a new token; those that it had open nothing any more.
    ///
    /// # Errors
    /// Where there is no such runner.
    pub async fn rotate_runner_token(
        &self,
        runner: RunnerId,
        secret: [u8; 32],
        now: Timestamp,
    ) -> Result<TokenText> {
        let mut write = self.write().await?;
        let host: Option<String> = sqlx::query_scalar("SELECT host FROM runners WHERE id = $1")
            .bind(runner.0)
            .fetch_optional(write.connection())
            .await?;
        let host = host.ok_or_else(|| StoreError::not_found("runner", &runner))?;
        sqlx::query(
            "UPDATE tokens SET revoked_at = $2 WHERE runner_id = $1 AND revoked_at IS NULL",
        )
        .bind(runner.0)
        .bind(now.as_millis())
        .execute(write.connection())
        .await?;
        let text = of_runner(write.connection(), runner, &host, secret, now).await?;
        write.commit().await?;
        Ok(text)
    }
}

/// Makes a runner's token.
pub(crate) async fn of_runner(
    database: &mut SqliteConnection,
    runner: RunnerId,
    host: &str,
    secret: [u8; 32],
    now: Timestamp,
) -> Result<TokenText> {
    let new = NewToken {
        name: format!("runner {host}"),
        scope: TokenScope::Runner,
        expires: None,
    };
    let (_, text) = insert(database, &new, Some(runner), secret, now).await?;
    Ok(text)
}

async fn insert(
    database: &mut SqliteConnection,
    new: &NewToken,
    runner: Option<RunnerId>,
    secret: [u8; 32],
    now: Timestamp,
) -> Result<(Token, TokenText)> {
    let secret = hex::encode(secret);
    let row: Row = sqlx::query_as(concat!(
        "INSERT INTO tokens (name, scope, runner_id, hash, created_at, expires_at) \
         VALUES ($1, $2, $3, $4, $5, $6) RETURNING ",
        columns!()
    ))
    .bind(&new.name)
    .bind(new.scope.as_str())
    .bind(runner.map(|runner| runner.0))
    .bind(hash(&secret))
    .bind(now.as_millis())
    .bind(new.expires.map(Timestamp::as_millis))
    .fetch_one(database)
    .await?;
    let token = Token::try_from(row)?;
    let text = TokenText(format!("{TOKEN_PREFIX}{}_{secret}", token.id));
    Ok((token, text))
}

fn hash(secret: &str) -> String {
    hex::encode(Sha256::digest(secret))
}
