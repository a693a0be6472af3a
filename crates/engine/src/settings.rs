//! What the engine can be told.

use std::path::PathBuf;
use std::time::Duration;

use executor::Limits;
use source::orbs::OrbFolders;

use crate::RedundantBranches;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What the engine can be told; the binary makes it from its settings.
#[derive(Clone, Debug)]
pub struct EngineSettings {
    /// The folder of the attempts' folders.
    pub jobs: PathBuf,
    /// The name of this machine in the table of runners.
    pub host: String,
    /// How many jobs run at once.
    pub max_jobs: usize,
    /// How many jobs of one project run at once.
    pub max_jobs_per_project: Option<u32>,
    /// Of which branches a newer pipeline ends the earlier ones.
    pub cancel_redundant: RedundantBranches,
    /// How many pipelines are prepared at once.
    pub max_preparations: usize,
    /// How many attempts a job gets if its machine or container is lost.
    pub max_attempts: u32,
    /// How long a job waits for its second attempt where what runs jobs failed; longer for each further one.
    pub retry_pause: Duration,
    /// How long one attempt may take.
    pub job_timeout: Duration,
    /// How much output one attempt may write, in bytes.
    pub log_limit_bytes: u64,
    /// How much one step may keep: artifacts, test results, a cache or a layer of a workspace, in bytes as
    /// the job has them.
    pub step_storage_limit_bytes: u64,
    /// How much all caches may take together, in bytes as they are packed; the least used go first.
    pub cache_limit_bytes: u64,
    /// How long artifacts are kept after the end of their job.
    pub artifact_retention: Duration,
    /// How long workspaces are kept after the end of the job that made them, for reruns.
    pub workspace_retention: Duration,
    /// How long caches are kept that no job asks for.
    pub cache_retention: Duration,
    /// How long a stopped job may go on before it is killed.
    pub stop_grace: Duration,
    /// How often the engine looks for work that no notice told it of.
    pub reconcile_interval: Duration,
    /// What each job may use.
    pub limits: Limits,
    /// The name of our statuses on a commit: `ci/popsicle`.
    pub status_context: String,
    /// Where people reach the server, for links from statuses; no slash at its end.
    pub public_url: Option<String>,
    /// The part of each plan to keep, for `popsicle run`.
    pub selection: Selection,
    /// Where this machine keeps orbs, besides what a project brings along.
    pub orbs: OrbFolders,
}

/// Which part of a plan to run; all of it by default.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Only this workflow.
    pub workflow: Option<String>,
    /// Only this job, without what it requires.
    pub job: Option<String>,
}

impl EngineSettings {
    /// The defaults, with all folders of attempts below `jobs`.
    pub fn new(jobs: PathBuf) -> Self {
        Self {
            jobs,
            host: "localhost".to_owned(),
            max_jobs: std::thread::available_parallelism().map_or(1, usize::from),
            max_jobs_per_project: None,
            cancel_redundant: RedundantBranches::default(),
            max_preparations: 4,
            max_attempts: 3,
            retry_pause: Duration::from_secs(2),
            job_timeout: Duration::from_secs(5 * 60 * 60),
            log_limit_bytes: 512 << 20,
            step_storage_limit_bytes: 10 << 30,
            cache_limit_bytes: 20 << 30,
            artifact_retention: 30 * DAY,
            workspace_retention: 15 * DAY,
            cache_retention: 15 * DAY,
            stop_grace: Duration::from_secs(10),
            reconcile_interval: Duration::from_secs(2),
            limits: Limits::default(),
            status_context: "ci/popsicle".to_owned(),
            public_url: None,
            selection: Selection::default(),
            orbs: OrbFolders::default(),
        }
    }
}
