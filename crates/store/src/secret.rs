//! Secrets: the variables of projects and contexts, encrypted.

use std::collections::BTreeMap;

use model::{SecretOwner, SecretValue, Timestamp, VariableName};
use sqlx::SqliteConnection;

use crate::keyring::key_id;
use crate::{Keyring, Nonce, Result, Store, StoreError, context, json};

/// How many variables one project or context may have.
const MOST: i64 = 200;

/// One variable. Its value is encrypted; [`Secret::open`] decrypts it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secret {
    /// Its number, in the order in which they were first set.
    pub id: i64,
    /// Its name; no two of an owner have the same.
    pub name: VariableName,
    /// When it was first set.
    pub created: Timestamp,
    /// When its value was last set.
    pub updated: Timestamp,
    owner: SecretOwner,
    sealed: Vec<u8>,
}

impl Secret {
    /// Its value.
    ///
    /// # Errors
    /// Where it can't be decrypted: its key is not in that ring, or somebody changed the row.
    pub fn open(&self, keys: &Keyring) -> Result<SecretValue> {
        let of = bound_to(&self.owner, &self.name);
        let unreadable = |why: String| StoreError::Sealed {
            of: format!("{} of {}", self.name, self.owner),
            why,
        };
        let bytes = keys
            .open(&self.sealed, &of)
            .map_err(|error| unreadable(error.to_string()))?;
        String::from_utf8(bytes)
            .ok()
            .and_then(|text| SecretValue::try_from(text).ok())
            .ok_or_else(|| unreadable("it is no value that a variable can have".to_owned()))
    }
}

/// What a value is bound to: no owner and no name has a line feed.
fn bound_to(owner: &SecretOwner, name: &VariableName) -> String {
    match owner {
        SecretOwner::Project(repo) => format!("secret\nproject\n{repo}\n{name}"),
        SecretOwner::Context(context) => format!("secret\ncontext\n{context}\n{name}"),
    }
}

macro_rules! select {
    () => {
        "SELECT id, name, sealed, created_at, updated_at FROM secrets"
    };
}

type Row = (i64, String, Vec<u8>, i64, i64);

/// The number, the project or the context, the name, the sealed value.
type WithOwner = (i64, Option<String>, Option<String>, String, Vec<u8>);

impl Store {
    /// The variables of a project or a context, in the order in which they were first set.
    ///
    /// # Errors
    /// Where there is no such context.
    pub async fn secrets(&self, owner: &SecretOwner) -> Result<Vec<Secret>> {
        let rows: Vec<Row> = match owner {
            SecretOwner::Project(repo) => {
                sqlx::query_as(concat!(select!(), " WHERE repo = $1 ORDER BY id"))
                    .bind(repo.as_str())
                    .fetch_all(self.readers())
                    .await?
            }
            SecretOwner::Context(name) => {
                let context = self.context(name).await?;
                sqlx::query_as(concat!(select!(), " WHERE context_id = $1 ORDER BY id"))
                    .bind(context.id)
                    .fetch_all(self.readers())
                    .await?
            }
        };
        let read = |(id, name, sealed, created, updated): Row| {
            Ok(Secret {
                id,
                name: json::word(&name, "name", || format!("secret {id}"))?,
                created: Timestamp::from_millis(created),
                updated: Timestamp::from_millis(updated),
                owner: owner.clone(),
                sealed,
            })
        };
        rows.into_iter().map(read).collect()
    }

    /// Sets a variable of a project or a context, encrypted with the ring's first key. `nonce` must be
    /// random. Whether it is new.
    ///
    /// # Errors
    /// Where there is no such context or no key, or where it would have too many.
    pub async fn set_secret(
        &self,
        owner: &SecretOwner,
        name: &VariableName,
        value: &SecretValue,
        keys: &Keyring,
        nonce: Nonce,
        now: Timestamp,
    ) -> Result<bool> {
        let sealed = keys.seal(value.expose().as_bytes(), &bound_to(owner, name), nonce)?;
        let mut write = self.write().await?;
        let (repo, context) = columns(owner, write.connection()).await?;
        let others: i64 = sqlx::query_scalar(
            "SELECT COUNT(*) FROM secrets \
             WHERE (repo = $1 OR context_id = $2) AND name <> $3",
        )
        .bind(repo)
        .bind(context)
        .bind(name.as_str())
        .fetch_one(write.connection())
        .await?;
        if others >= MOST {
            let what = format!("variables of {owner}; it can have {MOST}");
            return Err(StoreError::TooMany(what));
        }
        let updated = sqlx::query(
            "UPDATE secrets SET sealed = $4, key_id = $5, updated_at = $6 \
             WHERE (repo = $1 OR context_id = $2) AND name = $3",
        )
        .bind(repo)
        .bind(context)
        .bind(name.as_str())
        .bind(&sealed)
        .bind(key_id(&sealed))
        .bind(now.as_millis())
        .execute(write.connection())
        .await?
        .rows_affected();
        if updated == 0 {
            sqlx::query(
                "INSERT INTO secrets \
                 (repo, context_id, name, sealed, key_id, created_at, updated_at) \
                 VALUES ($1, $2, $3, $4, $5, $6, $6)",
            )
            .bind(repo)
            .bind(context)
            .bind(name.as_str())
            .bind(&sealed)
            .bind(key_id(&sealed))
            .bind(now.as_millis())
            .execute(write.connection())
            .await?;
        }
        write.commit().await?;
        Ok(updated == 0)
    }

    /// Deletes a variable of a project or a context.
    ///
    /// # Errors
    /// Where there is no such variable.
    pub async fn delete_secret(&self, owner: &SecretOwner, name: &VariableName) -> Result<()> {
        let mut write = self.write().await?;
        let (repo, context) = columns(owner, write.connection()).await?;
        let deleted =
            sqlx::query("DELETE FROM secrets WHERE (repo = $1 OR context_id = $2) AND name = $3")
                .bind(repo)
                .bind(context)
                .bind(name.as_str())
                .execute(write.connection())
                .await?
                .rows_affected();
        if deleted == 0 {
            let which = format!("`{name}` of {owner}");
            return Err(StoreError::not_found("variable", &which));
        }
        write.commit().await
    }

    /// The ids of the keys that variables are encrypted with, and of how many.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn secret_keys(&self) -> Result<BTreeMap<String, u64>> {
        let rows: Vec<(String, i64)> =
            sqlx::query_as("SELECT key_id, COUNT(*) FROM secrets GROUP BY key_id")
                .fetch_all(self.readers())
                .await?;
        let rows = rows.into_iter();
        Ok(rows.map(|(id, count)| (id, json::count(count))).collect())
    }

    /// Encrypts with the ring's first key what is encrypted with one of its others. How many that were.
    ///
    /// # Errors
    /// Where the database can't be written. What can't be decrypted stays as it is.
    pub async fn reseal_secrets(&self, keys: &Keyring, nonce: impl Fn() -> Nonce) -> Result<usize> {
        let Some(first) = keys.ids().next() else {
            return Ok(0);
        };
        let mut write = self.write().await?;
        let rows: Vec<WithOwner> = sqlx::query_as(
            "SELECT secrets.id, repo, contexts.name, secrets.name, sealed FROM secrets \
             LEFT JOIN contexts ON contexts.id = context_id WHERE key_id <> $1",
        )
        .bind(&first)
        .fetch_all(write.connection())
        .await?;
        let mut resealed = 0;
        for (id, repo, context, name, sealed) in rows {
            let of = || format!("secret {id}");
            let owner = match (repo, context) {
                (Some(repo), _) => SecretOwner::Project(json::word(&repo, "project", of)?),
                (None, context) => {
                    let name = context.unwrap_or_default();
                    SecretOwner::Context(json::word(&name, "context", of)?)
                }
            };
            let of = bound_to(&owner, &json::word(&name, "name", of)?);
            let Ok(value) = keys.open(&sealed, &of) else {
                continue;
            };
            let sealed = keys.seal(&value, &of, nonce())?;
            sqlx::query("UPDATE secrets SET sealed = $2, key_id = $3 WHERE id = $1")
                .bind(id)
                .bind(&sealed)
                .bind(key_id(&sealed))
                .execute(write.connection())
                .await?;
            resealed += 1;
        }
        write.commit().await?;
        Ok(resealed)
    }
}

/// What the columns `repo` and `context_id` have for that owner.
async fn columns<'a>(
    owner: &'a SecretOwner,
    database: &mut SqliteConnection,
) -> Result<(Option<&'a str>, Option<i64>)> {
    match owner {
        SecretOwner::Project(repo) => Ok((Some(repo.as_str()), None)),
        SecretOwner::Context(name) => {
            let id: Option<i64> = sqlx::query_scalar("SELECT id FROM contexts WHERE name = $1")
                .bind(name.as_str())
                .fetch_optional(database)
                .await?;
            Ok((None, Some(id.ok_or_else(|| context::not_found(name))?)))
        }
    }
}
