//! The outbox: what forges are to be told of commits, until they were told.
//!
//! Reports of one scope (a commit's status as a whole, or of one workflow) are delivered one after the
//! other, oldest first, over all the pipelines of that commit, so that a forge never ends with an
//! outdated word. Once the oldest has got through, of those that wait behind it only the newest matters:
//! the others are passed over. So a forge that was away hears the first word and the last.

use std::collections::HashMap;

use model::{
    CommitSha, CommitState, CommitStatus, ForgeKind, PipelineId, RepoName, ReportId, Timestamp,
    Trigger,
};
use sqlx::{QueryBuilder, Sqlite, SqliteConnection};

use crate::write::{FEW, ROWS, Write};
use crate::{Result, Store, StoreError, json, measure};

/// A report that a forge is to be given now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueReport {
    /// Its number.
    pub id: ReportId,
    /// Who is to be told.
    pub forge: ForgeKind,
    /// The project.
    pub repo: RepoName,
    /// The commit.
    pub commit: CommitSha,
    /// The pipeline that it tells of.
    pub pipeline: PipelineId,
    /// That pipeline's branch, if it has one.
    pub branch: Option<String>,
    /// The workflow that it tells of; none for the pipeline as a whole.
    pub workflow: Option<String>,
    /// What to tell.
    pub status: CommitStatus,
    /// How many deliveries have failed.
    pub tries: u32,
}

/// What a look at the outbox passes over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Except {
    /// These reports, and so what waits behind them.
    pub reports: Vec<ReportId>,
    /// All reports to these.
    pub forges: Vec<ForgeKind>,
}

impl Except {
    fn push_to(&self, query: &mut QueryBuilder<Sqlite>) {
        let mut ids = query.push(" AND id NOT IN (").separated(", ");
        for report in &self.reports {
            ids.push_bind(report.0);
        }
        let mut forges = query.push(") AND forge NOT IN (").separated(", ");
        for forge in &self.forges {
            forges.push_bind(forge.as_str());
        }
        query.push(")");
    }
}

/// Of each scope the oldest report that waits.
macro_rules! heads {
    () => {
        "SELECT MIN(id) FROM reports WHERE settled_at IS NULL \
         GROUP BY forge, repo, commit_sha, workflow"
    };
}

#[derive(sqlx::FromRow)]
struct Row {
    id: i64,
    forge: String,
    repo: String,
    commit_sha: String,
    pipeline_id: i64,
    branch: Option<String>,
    workflow: String,
    state: String,
    description: String,
    tries: i64,
}

impl Store {
    /// The reports to deliver now, at most `limit`: of each scope the oldest that waits, if its time has
    /// come. It is given again until its fate is told. One that can't be read is given as the error.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn due_reports(
        &self,
        now: Timestamp,
        limit: u32,
        except: &Except,
    ) -> Result<Vec<(ReportId, Result<DueReport>)>> {
        let mut query = QueryBuilder::<Sqlite>::new(concat!(
            "SELECT id, forge, repo, commit_sha, pipeline_id, workflow, state, description, tries, \
               (SELECT branch FROM pipelines WHERE pipelines.id = pipeline_id) AS branch \
             FROM reports WHERE id IN (",
            heads!(),
            ")"
        ));
        except.push_to(&mut query);
        query.push(" AND due_at <= ").push_bind(now.as_millis());
        query.push(" ORDER BY id LIMIT ").push_bind(limit);
        let rows: Vec<Row> = query.build_query_as().fetch_all(self.readers()).await?;
        Ok(rows
            .into_iter()
            .map(|row| (ReportId(row.id), row.try_into()))
            .collect())
    }

    /// When the next report is due, if one waits; may be in the past.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn next_report_at(&self, except: &Except) -> Result<Option<Timestamp>> {
        let mut query = QueryBuilder::<Sqlite>::new(concat!(
            "SELECT MIN(due_at) FROM reports WHERE id IN (",
            heads!(),
            ")"
        ));
        except.push_to(&mut query);
        let due: Option<i64> = query.build_query_scalar().fetch_one(self.readers()).await?;
        Ok(json::moment(due))
    }

    /// The forge has it. Of the reports that waited behind it only the newest is left.
    ///
    /// # Errors
    /// Where there is no such report.
    pub async fn report_delivered(&self, id: ReportId, now: Timestamp) -> Result<()> {
        self.settle_report(id, Fate::Delivered, None, now).await
    }

    /// The forge will never take it. Of the reports that waited behind it only the newest is left.
    ///
    /// # Errors
    /// Where there is no such report.
    pub async fn drop_report(&self, id: ReportId, error: &str, now: Timestamp) -> Result<()> {
        self.settle_report(id, Fate::Dropped, Some(error), now)
            .await
    }

    /// A delivery failed; the next is to be tried at `at`, and what waits behind it waits on.
    ///
    /// # Errors
    /// Where there is no such report, or its fate is told already.
    pub async fn retry_report(&self, id: ReportId, at: Timestamp, error: &str) -> Result<()> {
        let mut write = self.write().await?;
        let updated = sqlx::query(
            "UPDATE reports SET due_at = $2, tries = tries + 1, error = $3 \
             WHERE id = $1 AND settled_at IS NULL",
        )
        .bind(id.0)
        .bind(at.as_millis())
        .bind(error)
        .execute(write.connection())
        .await?
        .rows_affected();
        if updated == 0 {
            return Err(StoreError::not_found("waiting report", &id));
        }
        write.commit().await?;
        measure::reported("retried");
        Ok(())
    }

    async fn settle_report(
        &self,
        id: ReportId,
        fate: Fate,
        error: Option<&str>,
        now: Timestamp,
    ) -> Result<()> {
        let mut write = self.write().await?;
        let updated = sqlx::query(
            "UPDATE reports SET fate = $2, error = COALESCE($3, error), settled_at = $4 \
             WHERE id = $1 AND settled_at IS NULL",
        )
        .bind(id.0)
        .bind(fate.word())
        .bind(error)
        .bind(now.as_millis())
        .execute(write.connection())
        .await?
        .rows_affected();
        if updated == 0 {
            return Err(StoreError::not_found("waiting report", &id));
        }
        sqlx::query(
            "UPDATE reports SET fate = $2, settled_at = $3 WHERE settled_at IS NULL \
             AND (forge, repo, commit_sha, workflow) = \
               (SELECT forge, repo, commit_sha, workflow FROM reports WHERE id = $1) \
             AND id < (SELECT MAX(newest.id) FROM reports AS newest \
               WHERE newest.settled_at IS NULL AND newest.forge = reports.forge \
               AND newest.repo = reports.repo AND newest.commit_sha = reports.commit_sha \
               AND newest.workflow = reports.workflow)",
        )
        .bind(id.0)
        .bind(Fate::Superseded.word())
        .bind(now.as_millis())
        .execute(write.connection())
        .await?;
        write.commit().await?;
        measure::reported(fate.word());
        Ok(())
    }
}

/// What became of a report.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Delivered,
    Superseded,
    Dropped,
}

impl Fate {
    fn word(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Superseded => "superseded",
            Self::Dropped => "dropped",
        }
    }
}

impl TryFrom<Row> for DueReport {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self> {
        let of = || format!("report {}", row.id);
        Ok(Self {
            id: ReportId(row.id),
            forge: read_word(&row.forge, "forge", of)?,
            repo: json::word(&row.repo, "repository name", of)?,
            commit: json::word(&row.commit_sha, "commit", of)?,
            pipeline: PipelineId(row.pipeline_id),
            branch: row.branch,
            status: CommitStatus {
                state: read_word(&row.state, "state", of)?,
                description: row.description,
            },
            workflow: Some(row.workflow).filter(|workflow| !workflow.is_empty()),
            tries: json::count(row.tries),
        })
    }
}

/// A word of a type of the model whose JSON is that word.
fn read_word<T: serde::de::DeserializeOwned>(
    word: &str,
    what: &'static str,
    of: impl FnOnce() -> String,
) -> Result<T> {
    json::read(&format!("\"{word}\""), what, of)
}

/// A report to be stored.
pub(crate) struct NewReport<'a> {
    forge: ForgeKind,
    repo: &'a RepoName,
    commit: &'a CommitSha,
    pipeline: PipelineId,
    workflow: &'a str,
    status: &'a CommitStatus,
}

impl<'a> NewReport<'a> {
    /// What is to be told of a pipeline, or of one of its workflows; none if nobody is to be told.
    pub(crate) fn of(
        trigger: &'a Trigger,
        pipeline: PipelineId,
        workflow: Option<&'a str>,
        status: &'a CommitStatus,
    ) -> Option<Self> {
        Some(Self {
            forge: trigger.forge?,
            repo: &trigger.repo,
            commit: trigger.commit.as_ref()?,
            pipeline,
            workflow: workflow.unwrap_or_default(),
            status,
        })
    }
}

/// Puts reports in the outbox, in order.
pub(crate) async fn insert(
    write: &mut Write,
    reports: &[NewReport<'_>],
    now: Timestamp,
) -> Result<()> {
    for chunk in reports.chunks(ROWS) {
        let mut rows = QueryBuilder::<Sqlite>::new(
            "INSERT INTO reports (forge, repo, commit_sha, workflow, pipeline_id, state, \
             description, created_at, due_at) ",
        );
        rows.push_values(chunk, |mut row, report| {
            row.push_bind(report.forge.as_str())
                .push_bind(report.repo.as_str())
                .push_bind(report.commit.as_str())
                .push_bind(report.workflow)
                .push_bind(report.pipeline.0)
                .push_bind(report.status.state.as_str())
                .push_bind(&report.status.description)
                .push_bind(now.as_millis())
                .push_bind(now.as_millis());
        });
        rows.build()
            .persistent(chunk.len() <= FEW)
            .execute(write.connection())
            .await?;
    }
    Ok(())
}

/// What was last put in the outbox of a pipeline, by workflow; the empty name is the pipeline as a whole.
pub(crate) async fn last(
    database: &mut SqliteConnection,
    pipeline: PipelineId,
) -> Result<HashMap<String, CommitStatus>> {
    let rows: Vec<(String, String, String)> = sqlx::query_as(
        "SELECT workflow, state, description FROM reports WHERE id IN ( \
           SELECT MAX(id) FROM reports WHERE pipeline_id = $1 GROUP BY workflow)",
    )
    .bind(pipeline.0)
    .fetch_all(database)
    .await?;
    // One that can't be read is as good as none: whatever is to be told next differs from it.
    let read = |(workflow, state, description): (String, String, String)| {
        let state: CommitState = read_word(&state, "state", String::new).ok()?;
        Some((workflow, CommitStatus { state, description }))
    };
    Ok(rows.into_iter().filter_map(read).collect())
}
