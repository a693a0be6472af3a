//! Repositories that are hosted here. Their files are no concern of the store's.

use model::{HostedName, RepoId, Timestamp};

use crate::page::List;
use crate::{Page, Paged, Result, Store, StoreError, json};

/// One hosted repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repo {
    /// Its number.
    pub id: RepoId,
    /// Its name; no two have the same, in whatever case.
    pub name: HostedName,
    /// Its folder, in the folder of all repositories.
    pub folder: String,
    /// What it is, in its owner's words; may be empty.
    pub description: String,
    /// When it was made.
    pub created: Timestamp,
}

macro_rules! columns {
    () => {
        "id, name, path, description, created_at"
    };
}

#[derive(sqlx::FromRow)]
struct Row {
    id: i64,
    name: String,
    path: String,
    description: String,
    created_at: i64,
}

impl TryFrom<Row> for Repo {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            id: RepoId(row.id),
            name: json::word(&row.name, "name", || format!("repository {}", row.id))?,
            folder: row.path,
            description: row.description,
            created: Timestamp::from_millis(row.created_at),
        })
    }
}

impl Store {
    /// Adds a repository.
    ///
    /// # Errors
    /// [`StoreError::RepoTaken`] where there is one of that name, in whatever case.
    pub async fn add_repo(
        &self,
        name: &HostedName,
        description: &str,
        now: Timestamp,
    ) -> Result<Repo> {
        let mut write = self.write().await?;
        let row: Option<Row> = sqlx::query_as(concat!(
            "INSERT INTO repos (name, path, description, created_at) VALUES ($1, $2, $3, $4) \
             ON CONFLICT DO NOTHING RETURNING ",
            columns!()
        ))
        .bind(name.as_str())
        .bind(name.folder())
        .bind(description)
        .bind(now.as_millis())
        .fetch_optional(write.connection())
        .await?;
        let repo = row
            .ok_or_else(|| StoreError::RepoTaken(name.clone()))?
            .try_into()?;
        write.commit().await?;
        Ok(repo)
    }

    /// The repositories, newest first; without those that can't be read.
    ///
    /// # Errors
    /// Where the cursor is none of this list's.
    pub async fn repos(&self, page: &Page) -> Result<Paged<Repo>> {
        let rows: Vec<Row> = sqlx::query_as(concat!(
            "SELECT ",
            columns!(),
            " FROM repos WHERE id < $1 ORDER BY id DESC LIMIT $2"
        ))
        .bind(page.below(List::Repos)?)
        .bind(page.more())
        .fetch_all(self.readers())
        .await?;
        Ok(Paged::cut(rows, page, List::Repos, |row| row.id).read())
    }

    /// One repository, by its name in whatever case.
    ///
    /// # Errors
    /// Where there is none of that name.
    pub async fn repo(&self, name: &HostedName) -> Result<Repo> {
        let row: Option<Row> = sqlx::query_as(concat!(
            "SELECT ",
            columns!(),
            " FROM repos WHERE lower(name) = lower($1)"
        ))
        .bind(name.as_str())
        .fetch_optional(self.readers())
        .await?;
        row.ok_or_else(|| StoreError::not_found("hosted repository", name))?
            .try_into()
    }

    /// Removes a repository, by its name in whatever case; its pipelines stay. Says what it was.
    ///
    /// # Errors
    /// Where there is none of that name.
    pub async fn remove_repo(&self, name: &HostedName) -> Result<Repo> {
        let mut write = self.write().await?;
        let row: Option<Row> = sqlx::query_as(concat!(
            "DELETE FROM repos WHERE lower(name) = lower($1) RETURNING ",
            columns!()
        ))
        .bind(name.as_str())
        .fetch_optional(write.connection())
        .await?;
        let repo = row
            .ok_or_else(|| StoreError::not_found("hosted repository", name))?
            .try_into()?;
        write.commit().await?;
        Ok(repo)
    }
}
