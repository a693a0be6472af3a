//! Workspaces: what the jobs of a workflow keep for those that come after them, a layer each step.

use std::collections::{HashMap, HashSet};

use model::{JobId, RerunFrom};

use crate::{Blob, Digest, Job, Result, Store, json};

/// What a step keeps for later jobs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewLayer {
    /// The job, whose attempt must be running.
    pub job: JobId,
    /// Which attempt of it.
    pub attempt: u32,
    /// The step's place in the job.
    pub step_index: u32,
    /// Its files, packed.
    pub blob: Blob,
}

/// How far back the reruns of failed jobs are followed.
const RERUNS: usize = 100;

impl Store {
    /// Stores a layer, in the place of what the same step stored before.
    ///
    /// # Errors
    /// Where that attempt is not running.
    pub async fn add_layer(&self, layer: &NewLayer) -> Result<()> {
        let mut write = self.write().await?;
        write.running(layer.job, layer.attempt).await?;
        sqlx::query(
            "INSERT INTO workspace_layers (job_id, attempt, step_index, size_bytes, digest) \
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT (job_id, attempt, step_index) DO UPDATE SET \
             size_bytes = excluded.size_bytes, digest = excluded.digest",
        )
        .bind(layer.job.0)
        .bind(layer.attempt)
        .bind(layer.step_index)
        .bind(json::offset(layer.blob.bytes))
        .bind(layer.blob.digest.as_str())
        .execute(write.connection())
        .await?;
        write.commit().await
    }

    /// The layers of all jobs that this one comes after, in the order of the workflow, each with its job's
    /// name. A pipeline that reruns what failed of an earlier one has the layers of what went well there.
    ///
    /// # Errors
    /// Where there is no such job.
    pub async fn workspace(&self, job: JobId) -> Result<Vec<(String, Blob)>> {
        let job = self.job(job).await?;
        let mut pipelines = Vec::new();
        let mut next = Some(job.pipeline);
        while let Some(id) = next.filter(|_| pipelines.len() < RERUNS) {
            let rerun = self.pipeline(id).await?.trigger.rerun;
            next = rerun
                .filter(|rerun| rerun.from == RerunFrom::Failed)
                .map(|rerun| rerun.of);
            let mut jobs = self.jobs_of(id).await?;
            jobs.retain(|other| other.workflow == job.workflow);
            pipelines.push(jobs);
        }
        let mut layers = Vec::new();
        for above in above(&job.name, &pipelines) {
            let rows: Vec<(i64, String)> = sqlx::query_as(
                "SELECT size_bytes, digest FROM workspace_layers WHERE job_id = $1 AND attempt = \
                 (SELECT MAX(attempt) FROM attempts WHERE job_id = $1) ORDER BY step_index",
            )
            .bind(above.id.0)
            .fetch_all(self.readers())
            .await?;
            for (bytes, digest) in rows {
                let digest = Digest::read(&digest, || format!("a layer of job {}", above.id))?;
                let bytes = json::count(bytes);
                layers.push((above.name.clone(), Blob { digest, bytes }));
            }
        }
        Ok(layers)
    }
}

/// The jobs that come before that one, each as the newest pipeline has it, in the order of the oldest one's
/// plan. `pipelines` are the newest first; a rerun has dropped jobs and with them what others require.
fn above<'a>(name: &str, pipelines: &'a [Vec<Job>]) -> Vec<&'a Job> {
    let mut requires: HashMap<&str, HashSet<&str>> = HashMap::new();
    let mut newest: HashMap<&str, &Job> = HashMap::new();
    for job in pipelines.iter().flatten() {
        newest.entry(&job.name).or_insert(job);
        let required = job.requires.iter().map(String::as_str);
        requires.entry(&job.name).or_default().extend(required);
    }
    let mut wanted: HashSet<&str> = HashSet::new();
    let mut todo = vec![name];
    while let Some(name) = todo.pop() {
        for required in requires.get(name).into_iter().flatten() {
            if wanted.insert(required) {
                todo.push(required);
            }
        }
    }
    let oldest = pipelines.last().into_iter().flatten();
    oldest
        .filter(|job| wanted.contains(job.name.as_str()))
        .filter_map(|job| newest.get(job.name.as_str()).copied())
        .collect()
}
