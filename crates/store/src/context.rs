//! Contexts: named sets of variables for the jobs that ask for them.

use model::{ContextName, RepoName, Timestamp};

use crate::{Result, Store, StoreError, json};

/// How many contexts there may be.
const MOST: i64 = 500;

/// One context.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Context {
    /// Its number, in the order in which they were made.
    pub id: i64,
    /// Its name; no two have the same.
    pub name: ContextName,
    /// The projects that may use it; none where every project may.
    pub projects: Option<Vec<RepoName>>,
    /// How many variables it has.
    pub variables: u64,
    /// When it was made.
    pub created: Timestamp,
}

impl Context {
    /// Whether that project's jobs may have its variables.
    pub fn is_open_to(&self, repo: &RepoName) -> bool {
        self.projects
            .as_ref()
            .is_none_or(|projects| projects.contains(repo))
    }
}

macro_rules! columns {
    () => {
        "id, name, projects, created_at, \
         (SELECT COUNT(*) FROM secrets WHERE secrets.context_id = contexts.id) AS variables"
    };
}

#[derive(sqlx::FromRow)]
struct Row {
    id: i64,
    name: String,
    projects: Option<String>,
    created_at: i64,
    variables: i64,
}

impl TryFrom<Row> for Context {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self> {
        let of = || format!("context {}", row.id);
        let projects = row.projects.as_deref();
        Ok(Self {
            id: row.id,
            name: json::word(&row.name, "name", of)?,
            projects: projects
                .map(|text| json::read(text, "projects", of))
                .transpose()?,
            variables: json::count(row.variables),
            created: Timestamp::from_millis(row.created_at),
        })
    }
}

impl Store {
    /// Every context, in the order in which they were made.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn contexts(&self) -> Result<Vec<Context>> {
        let rows: Vec<Row> =
            sqlx::query_as(concat!("SELECT ", columns!(), " FROM contexts ORDER BY id"))
                .fetch_all(self.readers())
                .await?;
        rows.into_iter().map(TryInto::try_into).collect()
    }

    /// The context of that name.
    ///
    /// # Errors
    /// Where there is none.
    pub async fn context(&self, name: &ContextName) -> Result<Context> {
        let row: Option<Row> = sqlx::query_as(concat!(
            "SELECT ",
            columns!(),
            " FROM contexts WHERE name = $1"
        ))
        .bind(name.as_str())
        .fetch_optional(self.readers())
        .await?;
        row.ok_or_else(|| not_found(name))?.try_into()
    }

    /// Makes a context, for all projects or for some.
    ///
    /// # Errors
    /// Where there is one of that name, or too many.
    pub async fn create_context(
        &self,
        name: &ContextName,
        projects: Option<&[RepoName]>,
        now: Timestamp,
    ) -> Result<Context> {
        let mut write = self.write().await?;
        let count: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM contexts")
            .fetch_one(write.connection())
            .await?;
        if count >= MOST {
            let what = format!("contexts; there can be {MOST}");
            return Err(StoreError::TooMany(what));
        }
        let row: Option<Row> = sqlx::query_as(concat!(
            "INSERT INTO contexts (name, projects, created_at) VALUES ($1, $2, $3) \
             ON CONFLICT (name) DO NOTHING RETURNING ",
            columns!()
        ))
        .bind(name.as_str())
        .bind(projects.map(|projects| json::write(&projects)))
        .bind(now.as_millis())
        .fetch_optional(write.connection())
        .await?;
        let context = row
            .ok_or_else(|| StoreError::ContextTaken(name.clone()))?
            .try_into()?;
        write.commit().await?;
        Ok(context)
    }

    /// Says which projects may use a context; all of them where none are named.
    ///
    /// # Errors
    /// Where there is no such context.
    pub async fn restrict_context(
        &self,
        name: &ContextName,
        projects: Option<&[RepoName]>,
    ) -> Result<Context> {
        let mut write = self.write().await?;
        let row: Option<Row> = sqlx::query_as(concat!(
            "UPDATE contexts SET projects = $2 WHERE name = $1 RETURNING ",
            columns!()
        ))
        .bind(name.as_str())
        .bind(projects.map(|projects| json::write(&projects)))
        .fetch_optional(write.connection())
        .await?;
        let context = row.ok_or_else(|| not_found(name))?.try_into()?;
        write.commit().await?;
        Ok(context)
    }

    /// Deletes a context with all its variables.
    ///
    /// # Errors
    /// Where there is no such context.
    pub async fn delete_context(&self, name: &ContextName) -> Result<()> {
        let mut write = self.write().await?;
        let deleted = sqlx::query("DELETE FROM contexts WHERE name = $1")
            .bind(name.as_str())
            .execute(write.connection())
            .await?
            .rows_affected();
        if deleted == 0 {
            return Err(not_found(name));
        }
        write.commit().await
    }
}

pub(crate) fn not_found(name: &ContextName) -> StoreError {
    StoreError::not_found("context", &format_args!("`{name}`"))
}
