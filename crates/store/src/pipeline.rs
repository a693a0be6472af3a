//! Pipelines: what each is for and how far it is, one by one or as lists.

use model::{
    CommitSha, PipelineId, Preparation, RepoName, Status, Timestamp, Trigger, TriggerKind,
};
use sqlx::{QueryBuilder, Sqlite};

use crate::page::List;
use crate::write::Write;
use crate::{Page, Paged, Result, Store, StoreError, json};

/// One run for one trigger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pipeline {
    /// Its number: 1, 2, 3 …
    pub id: PipelineId,
    /// Why it exists, and where its code is.
    pub trigger: Trigger,
    /// How far it is on its way to stored jobs.
    pub preparation: Preparation,
    /// How far it is as a whole.
    pub status: Status,
    /// Why, where it ended without success.
    pub reason: Option<String>,
    /// What its config was warned about; may have several lines.
    pub warnings: Option<String>,
    /// When its trigger came in.
    pub created: Timestamp,
    /// When somebody first began to prepare it.
    pub started: Option<Timestamp>,
    /// When it ended.
    pub ended: Option<Timestamp>,
}

/// Which pipelines a list has: those that fit all that is set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PipelineFilter {
    /// Of this project.
    pub repo: Option<RepoName>,
    /// Of this commit.
    pub commit: Option<CommitSha>,
    /// Of this branch.
    pub branch: Option<String>,
    /// That are this far.
    pub status: Option<Status>,
    /// That came through this door.
    pub trigger: Option<TriggerKind>,
}

impl PipelineFilter {
    fn push_to(&self, query: &mut QueryBuilder<Sqlite>) {
        // One of many projects or commits has few pipelines, one of few words many. Where both are
        // asked for, the word must not choose the index: with `|| ''` it only is compared.
        let (status, trigger) = if self.repo.is_some() || self.commit.is_some() {
            (" AND status || '' = ", " AND trigger_kind || '' = ")
        } else {
            (" AND status = ", " AND trigger_kind = ")
        };
        if let Some(repo) = &self.repo {
            query
                .push(" AND repo = ")
                .push_bind(repo.as_str().to_owned());
        }
        if let Some(commit) = &self.commit {
            query
                .push(" AND commit_sha = ")
                .push_bind(commit.as_str().to_owned());
        }
        if let Some(branch) = &self.branch {
            query.push(" AND branch = ").push_bind(branch.clone());
        }
        if let Some(word) = self.status {
            query.push(status).push_bind(word.as_str());
        }
        if let Some(word) = self.trigger {
            query.push(trigger).push_bind(word.as_str());
        }
    }
}

macro_rules! columns {
    () => {
        "id, cause, preparation, status, reason, warnings, created_at, start_time, end_time"
    };
}
pub(crate) use columns;

/// A pipeline as its row has it.
#[derive(sqlx::FromRow)]
pub(crate) struct Row {
    pub(crate) id: i64,
    cause: String,
    preparation: String,
    status: String,
    reason: Option<String>,
    warnings: Option<String>,
    created_at: i64,
    start_time: Option<i64>,
    end_time: Option<i64>,
}

impl TryFrom<Row> for Pipeline {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self> {
        let of = || format!("pipeline {}", row.id);
        Ok(Self {
            id: PipelineId(row.id),
            trigger: json::read(&row.cause, "trigger", of)?,
            preparation: json::read(&row.preparation, "preparation", of)?,
            status: json::word(&row.status, "status", of)?,
            created: Timestamp::from_millis(row.created_at),
            started: json::moment(row.start_time),
            ended: json::moment(row.end_time),
            reason: row.reason,
            warnings: row.warnings,
        })
    }
}

impl Store {
    /// One pipeline.
    ///
    /// # Errors
    /// Where there is no such pipeline.
    pub async fn pipeline(&self, id: PipelineId) -> Result<Pipeline> {
        find(self.readers(), id).await
    }

    /// The pipelines that fit, newest first; without those that can't be read.
    ///
    /// # Errors
    /// Where the cursor is none of this list's.
    pub async fn pipelines(&self, filter: &PipelineFilter, page: &Page) -> Result<Paged<Pipeline>> {
        let mut query = QueryBuilder::<Sqlite>::new(concat!(
            "SELECT ",
            columns!(),
            " FROM pipelines WHERE id < "
        ));
        query.push_bind(page.below(List::Pipelines)?);
        filter.push_to(&mut query);
        query
            .push(" ORDER BY id DESC LIMIT ")
            .push_bind(page.more());
        let rows: Vec<Row> = query.build_query_as().fetch_all(self.readers()).await?;
        Ok(Paged::cut(rows, page, List::Pipelines, |row| row.id).read())
    }
}

pub(crate) async fn find<'e>(
    database: impl sqlx::Executor<'e, Database = Sqlite>,
    id: PipelineId,
) -> Result<Pipeline> {
    sqlx::query_as::<_, Row>(concat!(
        "SELECT ",
        columns!(),
        " FROM pipelines WHERE id = $1"
    ))
    .bind(id.0)
    .fetch_optional(database)
    .await?
    .ok_or_else(|| StoreError::not_found("pipeline", &id))?
    .try_into()
}

/// Writes all that a change of status may change, in the one place where that is done.
pub(crate) async fn update(write: &mut Write, pipeline: &Pipeline) -> Result<()> {
    sqlx::query(
        "UPDATE pipelines SET status = $2, reason = $3, stage = $4, preparation = $5, \
         warnings = $6, start_time = $7, end_time = $8 WHERE id = $1",
    )
    .bind(pipeline.id.0)
    .bind(pipeline.status.as_str())
    .bind(&pipeline.reason)
    .bind(stage(&pipeline.preparation))
    .bind(json::write(&pipeline.preparation))
    .bind(&pipeline.warnings)
    .bind(pipeline.started.map(Timestamp::as_millis))
    .bind(pipeline.ended.map(Timestamp::as_millis))
    .execute(write.connection())
    .await?;
    Ok(())
}

/// The preparation's word, as the column has it.
pub(crate) fn stage(preparation: &Preparation) -> &'static str {
    match preparation {
        Preparation::Waiting => "waiting",
        Preparation::Preparing { .. } => "preparing",
        Preparation::Planned { .. } => "planned",
        Preparation::Ended { .. } => "ended",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How the database looks for the pipelines of a filter.
    async fn plan(store: &Store, filter: &PipelineFilter) -> String {
        let mut query =
            QueryBuilder::<Sqlite>::new("EXPLAIN QUERY PLAN SELECT * FROM pipelines WHERE id < 99");
        filter.push_to(&mut query);
        query.push(" ORDER BY id DESC LIMIT 21");
        let steps: Vec<(i64, i64, i64, String)> = query
            .build_query_as()
            .fetch_all(store.readers())
            .await
            .unwrap();
        let steps: Vec<&str> = steps.iter().map(|step| step.3.as_str()).collect();
        steps.join("; ")
    }

    #[tokio::test]
    async fn every_filter_has_an_index() {
        let store = Store::memory().await.unwrap();
        let commit = "a1b2c3d4e5".repeat(4);
        for asked in 0..32_u32 {
            let is_asked = |bit: u32| asked & (1 << bit) != 0;
            let filter = PipelineFilter {
                repo: is_asked(0).then(|| "octo/repo".parse().unwrap()),
                commit: is_asked(1).then(|| commit.parse().unwrap()),
                branch: is_asked(2).then(|| "main".to_owned()),
                status: is_asked(3).then_some(Status::Success),
                trigger: is_asked(4).then_some(TriggerKind::Push),
            };
            let plan = plan(&store, &filter).await;
            assert!(plan.starts_with("SEARCH pipelines USING"), "{plan}");
            // Not through all that ended in success, for one project or commit.
            let is_narrow = filter.repo.is_some() || filter.commit.is_some();
            let by_word = plan.contains("of_status") || plan.contains("of_trigger");
            assert!(!(is_narrow && by_word), "{filter:?}: {plan}");
        }
    }
}
