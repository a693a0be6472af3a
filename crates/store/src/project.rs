//! Projects: what is known of a repository from its pipelines.

use std::time::Duration;

use model::{PipelineId, RepoName, Status, Timestamp};

use crate::page::{self, List};
use crate::{Page, Paged, Pipeline, Result, Store, StoreError, json, pipeline};

/// A summary of one project.
#[derive(Clone, Debug, PartialEq)]
pub struct Project {
    /// The project.
    pub repo: RepoName,
    /// How many pipelines it had.
    pub pipelines: u64,
    /// Its newest pipeline.
    pub last: Pipeline,
    /// What part of the pipelines that ended in the last 30 days did so in success, from 0 to 1. What was
    /// canceled is left out; none if none is left.
    pub success_rate: Option<f64>,
    /// The median duration of the runs in `recent`, in milliseconds; none if none ran.
    pub median_ms: Option<u64>,
    /// Its newest pipelines that ended, at most 30, oldest first: the trend of their durations.
    pub recent: Vec<ProjectRun>,
}

/// One pipeline of a project, as a point of its trend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProjectRun {
    /// The pipeline.
    pub pipeline: PipelineId,
    /// How it ended.
    pub status: Status,
    /// How long it took from its start to its end, in milliseconds; none if it never started.
    pub duration_ms: Option<u64>,
}

/// Over how long the success rate looks back.
const WINDOW: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// How many runs a trend has.
const TREND: i64 = 30;
/// How many branches are listed.
const BRANCHES: i64 = 200;

impl Store {
    /// The projects, the one with the newest pipeline first; without those that can't be read.
    ///
    /// # Errors
    /// Where the cursor is none of this list's.
    pub async fn projects(&self, page: &Page, now: Timestamp) -> Result<Paged<Project>> {
        let rows: Vec<(String, i64, i64)> = sqlx::query_as(
            "SELECT repo, COUNT(*), MAX(id) FROM pipelines GROUP BY repo \
             HAVING MAX(id) < $1 ORDER BY MAX(id) DESC LIMIT $2",
        )
        .bind(page.below(List::Projects)?)
        .bind(page.more())
        .fetch_all(self.readers())
        .await?;
        let rows = Paged::cut(rows, page, List::Projects, |(_, _, last)| *last);
        let mut items = Vec::with_capacity(rows.items.len());
        for (repo, pipelines, last) in rows.items {
            let summary = async {
                let repo = json::word(&repo, "repository name", || format!("pipeline {last}"))?;
                self.summary(repo, pipelines, last, now).await
            };
            match summary.await {
                Ok(project) => items.push(project),
                Err(error) if error.is_unreadable() => page::left_out(&error),
                Err(error) => return Err(error),
            }
        }
        Ok(Paged {
            items,
            next: rows.next,
        })
    }

    /// One project.
    ///
    /// # Errors
    /// Where no pipeline is of that project.
    pub async fn project(&self, repo: &RepoName, now: Timestamp) -> Result<Project> {
        let (pipelines, last): (i64, Option<i64>) =
            sqlx::query_as("SELECT COUNT(*), MAX(id) FROM pipelines WHERE repo = $1")
                .bind(repo.as_str())
                .fetch_one(self.readers())
                .await?;
        let last = last.ok_or_else(|| StoreError::not_found("project", repo))?;
        self.summary(repo.clone(), pipelines, last, now).await
    }

    /// The branches of a project that had pipelines, by name, at most 200.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn branches(&self, repo: &RepoName) -> Result<Vec<String>> {
        let branches = sqlx::query_scalar(
            "SELECT DISTINCT branch FROM pipelines \
             WHERE repo = $1 AND branch IS NOT NULL ORDER BY branch LIMIT $2",
        )
        .bind(repo.as_str())
        .bind(BRANCHES)
        .fetch_all(self.readers())
        .await?;
        Ok(branches)
    }

    async fn summary(
        &self,
        repo: RepoName,
        pipelines: i64,
        last: i64,
        now: Timestamp,
    ) -> Result<Project> {
        let window = i64::try_from(WINDOW.as_millis()).unwrap_or(i64::MAX);
        let (ended, successes): (i64, Option<i64>) = sqlx::query_as(
            "SELECT COUNT(*), SUM(CASE WHEN status = 'success' THEN 1 ELSE 0 END) FROM pipelines \
             WHERE repo = $1 AND end_time >= $2 AND status <> 'canceled'",
        )
        .bind(repo.as_str())
        .bind(now.as_millis().saturating_sub(window))
        .fetch_one(self.readers())
        .await?;
        let recent = self.trend(&repo).await?;
        Ok(Project {
            pipelines: json::count(pipelines),
            last: pipeline::find(self.readers(), PipelineId(last)).await?,
            success_rate: rate(successes.unwrap_or(0), ended),
            median_ms: median(recent.iter().filter_map(|run| run.duration_ms).collect()),
            recent,
            repo,
        })
    }

    async fn trend(&self, repo: &RepoName) -> Result<Vec<ProjectRun>> {
        let rows: Vec<(i64, String, Option<i64>, i64)> = sqlx::query_as(
            "SELECT id, status, start_time, end_time FROM pipelines \
             WHERE repo = $1 AND end_time IS NOT NULL ORDER BY id DESC LIMIT $2",
        )
        .bind(repo.as_str())
        .bind(TREND)
        .fetch_all(self.readers())
        .await?;
        rows.into_iter()
            .rev()
            .map(|(id, status, started, ended)| {
                let duration = |started: i64| json::count(ended.saturating_sub(started));
                Ok(ProjectRun {
                    pipeline: PipelineId(id),
                    status: json::word(&status, "status", || format!("pipeline {id}"))?,
                    duration_ms: started.map(duration),
                })
            })
            .collect()
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts of pipelines are far below 2^52"
)]
fn rate(part: i64, whole: i64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

fn median(mut durations: Vec<u64>) -> Option<u64> {
    durations.sort_unstable();
    let upper = *durations.get(durations.len() / 2)?;
    if durations.len() % 2 == 1 {
        return Some(upper);
    }
    Some(durations[durations.len() / 2 - 1].midpoint(upper))
}
