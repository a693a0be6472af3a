//! The way from a stored trigger to stored jobs: who prepares which pipeline, and what came of it.

use std::collections::HashSet;

use model::{CommitSha, JobUuid, OutcomeKind, PipelineId, Plan, Preparation, RepoName, Timestamp};
use sqlx::{QueryBuilder, Sqlite};

use crate::change::Change;
use crate::write::Write;
use crate::{Job, Pipeline, Result, Store, StoreError, json, pipeline, unreadable};

impl Store {
    /// Takes the pipeline that has waited longest for its preparation, if one does. Those of the projects
    /// in `but` are passed over, and one that can't be read is ended with an error.
    ///
    /// # Errors
    /// Where the database can't be written.
    pub async fn claim_preparation(
        &self,
        but: &[RepoName],
        now: Timestamp,
    ) -> Result<Option<Pipeline>> {
        loop {
            let mut write = self.write().await?;
            let Some(row) = claim(&mut write, but, now).await? else {
                return Ok(None);
            };
            let id = PipelineId(row.id);
            match row.try_into() {
                Ok(pipeline) => {
                    write.commit().await?;
                    return Ok(Some(pipeline));
                }
                Err(error) => {
                    drop(write);
                    unreadable::give_up(self, id, &error, now).await?;
                }
            }
        }
    }

    /// Lets every pipeline whose preparation was under way wait for it again, as a server does that
    /// starts; how many there were.
    ///
    /// # Errors
    /// Where the database can't be written.
    pub async fn requeue_preparations(&self) -> Result<u64> {
        let waiting = Preparation::Waiting;
        let mut write = self.write().await?;
        let requeued = sqlx::query(
            "UPDATE pipelines SET stage = $1, preparation = $2 WHERE stage = 'preparing'",
        )
        .bind(pipeline::stage(&waiting))
        .bind(json::write(&waiting))
        .execute(write.connection())
        .await?
        .rows_affected();
        write.commit().await?;
        Ok(requeued)
    }

    /// Ends a preparation with jobs: stores the plan, and its jobs as far as they can go at once.
    ///
    /// `uuids` are the new jobs', in the order of [`Plan::jobs`]. `warnings` is what people are told of
    /// the config. A plan without jobs ends the pipeline in success. A pipeline that was canceled
    /// meanwhile stays so and gets no jobs.
    ///
    /// # Errors
    /// Where the pipeline is not being prepared, or the plan contradicts itself.
    pub async fn store_plan(
        &self,
        id: PipelineId,
        plan: &Plan,
        uuids: &[JobUuid],
        warnings: Option<&str>,
        now: Timestamp,
    ) -> Result<Vec<Job>> {
        check(plan, uuids)?;
        let mut change = Change::begin(self, id, now).await?;
        if !change.is_preparing()? {
            return Ok(Vec::new());
        }
        sqlx::query("INSERT INTO plans (pipeline_id, plan) VALUES ($1, $2)")
            .bind(id.0)
            .bind(json::write(plan))
            .execute(change.connection())
            .await?;
        change.plan(plan, uuids, warnings).await?;
        Ok(change.store().await?.jobs)
    }

    /// Ends a preparation, and its pipeline, without jobs. A pipeline that was canceled meanwhile stays so.
    ///
    /// # Errors
    /// Where the pipeline is not being prepared.
    pub async fn end_preparation(
        &self,
        id: PipelineId,
        outcome: OutcomeKind,
        reason: &str,
        now: Timestamp,
    ) -> Result<()> {
        let mut change = Change::begin(self, id, now).await?;
        if change.is_preparing()? {
            change.prepare(Preparation::Ended {
                outcome,
                reason: reason.to_owned(),
                at: now,
            });
            change.store().await?;
        }
        Ok(())
    }

    /// Says which commit a pipeline is of, where its trigger named only a branch or a folder.
    ///
    /// # Errors
    /// Where there is no such pipeline.
    pub async fn set_commit(&self, id: PipelineId, commit: &CommitSha) -> Result<()> {
        let mut write = self.write().await?;
        let mut trigger = pipeline::find(write.connection(), id).await?.trigger;
        trigger.commit = Some(commit.clone());
        sqlx::query("UPDATE pipelines SET commit_sha = $2, cause = $3 WHERE id = $1")
            .bind(id.0)
            .bind(commit.as_str())
            .bind(json::write(&trigger))
            .execute(write.connection())
            .await?;
        write.commit().await
    }

    /// What a pipeline's config compiled to; none before.
    ///
    /// # Errors
    /// Where there is no such pipeline.
    pub async fn plan(&self, id: PipelineId) -> Result<Option<Plan>> {
        let row: Option<(Option<String>,)> = sqlx::query_as(
            "SELECT plan FROM pipelines LEFT JOIN plans ON pipeline_id = id WHERE id = $1",
        )
        .bind(id.0)
        .fetch_optional(self.readers())
        .await?;
        let (plan,) = row.ok_or_else(|| StoreError::not_found("pipeline", &id))?;
        plan.map(|plan| json::read(&plan, "plan", || format!("pipeline {id}")))
            .transpose()
    }
}

/// The row of the pipeline that is to be prepared next, marked so.
async fn claim(
    write: &mut Write,
    but: &[RepoName],
    now: Timestamp,
) -> Result<Option<pipeline::Row>> {
    let preparing = Preparation::Preparing { since: now };
    let mut claim = QueryBuilder::<Sqlite>::new("UPDATE pipelines SET stage = ");
    claim
        .push_bind(pipeline::stage(&preparing))
        .push(", preparation = ")
        .push_bind(json::write(&preparing))
        .push(", start_time = COALESCE(start_time, ")
        .push_bind(now.as_millis())
        .push(") WHERE id = (SELECT id FROM pipelines WHERE stage = 'waiting'");
    if !but.is_empty() {
        claim.push(" AND repo NOT IN (");
        let mut names = claim.separated(", ");
        for repo in but {
            names.push_bind(repo.as_str());
        }
        claim.push(")");
    }
    claim.push(concat!(
        " ORDER BY id LIMIT 1) RETURNING ",
        pipeline::columns!()
    ));
    Ok(claim
        .build_query_as()
        .fetch_optional(write.connection())
        .await?)
}

/// What a compiler never gets wrong, but would leave a pipeline that never ends.
fn check(plan: &Plan, uuids: &[JobUuid]) -> Result<()> {
    let bad = |why: String| Err(StoreError::BadPlan(why));
    let jobs = plan.jobs().count();
    if uuids.len() != jobs {
        return bad(format!(
            "it has {jobs} jobs and was given {} ids",
            uuids.len()
        ));
    }
    let mut workflows = HashSet::new();
    for workflow in &plan.workflows {
        if workflow.name.is_empty() || !workflows.insert(&workflow.name) {
            return bad(format!(
                "two workflows are named `{}`, or it is empty",
                workflow.name
            ));
        }
        // Jobs come after all that they require: there is no cycle.
        let mut earlier: HashSet<&str> = HashSet::new();
        for job in &workflow.jobs {
            for requirement in &job.requires {
                if !earlier.contains(requirement.job.as_str()) {
                    return bad(format!(
                        "job `{}` requires `{}`, which does not come before it in workflow `{}`",
                        job.name, requirement.job, workflow.name
                    ));
                }
            }
            if !earlier.insert(&job.name) {
                return bad(format!(
                    "workflow `{}` has two jobs named `{}`",
                    workflow.name, job.name
                ));
            }
        }
    }
    Ok(())
}
