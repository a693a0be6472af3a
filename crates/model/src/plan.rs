//! What a config compiles to: everything resolved that can be. The engine runs this and nothing else.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::OutcomeKind;

/// All that one pipeline will run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// In the order in which their files and keys come.
    pub workflows: Vec<WorkflowSpec>,
    /// What the config wants to be run by the clock, whatever this pipeline's trigger is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub schedules: Vec<Schedule>,
    /// Whether its jobs make the config that the pipeline goes on with (`setup: true`).
    #[serde(default, skip_serializing_if = "is_default")]
    pub setup: bool,
    /// A pipeline with the same text here, of the same project, makes earlier ones redundant: each of its
    /// workflows ends theirs of the same name, unless that has a `concurrency` of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub succession: Option<String>,
}

/// When a workflow runs by the clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// The workflow.
    pub workflow: String,
    /// Five fields, in UTC, as POSIX `crontab` has them.
    pub cron: String,
    /// Of which branches.
    pub branches: BranchFilter,
}

/// Which branches something is for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BranchFilter {
    /// Names, or regular expressions between slashes; if there are any, only these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub only: Vec<String>,
    /// None of these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ignore: Vec<String>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// A named graph of jobs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkflowSpec {
    /// Its name; no two of a plan have the same.
    pub name: String,
    /// In an order in which each comes after all that it requires.
    pub jobs: Vec<JobSpec>,
    /// How often its failed jobs are run again before it counts as failed.
    #[serde(default, skip_serializing_if = "is_default")]
    pub max_auto_reruns: u32,
    /// What keeps it from running beside others like it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<Concurrency>,
    /// Of the jobs of a project that wait, those of a higher one are handed out first.
    #[serde(default, skip_serializing_if = "is_default")]
    pub priority: i16,
}

/// Only one of a group runs at a time in a project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Concurrency {
    /// What those that must not run at once have in common.
    pub group: String,
    /// Whether a newer one ends an older one, rather than waiting for it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub cancel_in_progress: bool,
}

/// One job of a workflow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobSpec {
    /// Its name; no two of a workflow have the same.
    pub name: String,
    /// What has to end, and how, before it starts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requires: Vec<Requirement>,
    /// The contexts whose variables it gets, later ones winning.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contexts: Vec<String>,
    /// What it does.
    #[serde(flatten)]
    pub kind: JobKind,
}

/// A job that has to end in one of some ways first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requirement {
    /// The name of a job in the same workflow.
    pub job: String,
    /// How it may end; `success` alone unless the config says otherwise.
    pub outcomes: BTreeSet<OutcomeKind>,
}

impl Requirement {
    /// That `job` ended in success.
    pub fn success_of(job: impl Into<String>) -> Self {
        Self {
            job: job.into(),
            outcomes: BTreeSet::from([OutcomeKind::Success]),
        }
    }
}

/// What a job does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum JobKind {
    /// Runs steps.
    Build(Box<BuildSpec>),
    /// Waits for a person.
    Approval,
    /// Does nothing: a point where others meet.
    NoOp,
}

/// What a job that runs steps needs to know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildSpec {
    /// Where.
    pub runs_in: RunsIn,
    /// In order; the first to fail fails the job.
    pub steps: Vec<StepSpec>,
    /// Set for every step, in order, later ones winning. Values are taken as they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub environment: Vec<(String, String)>,
    /// Where its steps run and its code is laid out; absolute, or from `~`.
    pub working_directory: String,
    /// The command line that each step's script is handed to, unless the step has its own;
    /// the executor's choice (`bash -eo pipefail`, else `sh -e`) if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shell: Option<String>,
    /// How large a machine it wants (`large`, `arm.medium`), or which (`namespace/runner`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_class: Option<String>,
    /// On how many nodes it runs at once; at least 1.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub parallelism: u32,
    /// How long it may take, if not what the server grants.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// How many more attempts it gets after a failure.
    #[serde(default, skip_serializing_if = "is_default")]
    pub retry: u32,
    /// Jobs of one group run one after another, across all pipelines of the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial_group: Option<String>,
}

impl BuildSpec {
    /// These steps, in that place, and else what a job has that asks for nothing.
    pub fn new(runs_in: RunsIn, steps: Vec<StepSpec>) -> Self {
        Self {
            runs_in,
            steps,
            environment: Vec::new(),
            working_directory: DEFAULT_WORKING_DIRECTORY.to_owned(),
            shell: None,
            resource_class: None,
            parallelism: 1,
            timeout_ms: None,
            retry: 0,
            serial_group: None,
        }
    }
}

/// Where a job's steps run unless it says otherwise; CircleCI's own default.
pub const DEFAULT_WORKING_DIRECTORY: &str = "~/project";

fn one() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
fn is_one(value: &u32) -> bool {
    *value == 1
}

/// What a job's steps see as their machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunsIn {
    /// A container of the first image; the others are services beside it. Never empty.
    Containers(Vec<ImageSpec>),
    /// A machine: a throw-away view of the runner's own.
    Machine,
    /// A machine with another system than Linux, which only a runner of that kind has.
    Foreign {
        /// Which.
        system: ForeignSystem,
        /// Its version, as the config names it (`26.4.0`, `windows-server-2022-gui:current`).
        image: String,
    },
}

/// The systems that are not Linux.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ForeignSystem {
    /// Apple's, with an Xcode.
    Macos,
    /// Microsoft's.
    Windows,
}

impl ForeignSystem {
    /// The label that a runner of this kind has.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Macos => "macos",
            Self::Windows => "windows",
        }
    }
}

/// One container image, and how it is started.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageSpec {
    /// The reference, as one would give it to `docker pull`.
    pub image: String,
    /// The name that it is reached by from the others, beside `localhost`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The user to be, if not the image's own: a name, a uid, `uid:gid`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Set in this container.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub environment: Vec<(String, String)>,
    /// What is run instead of the image's own entry point.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub entrypoint: Vec<String>,
    /// The arguments of that, instead of the image's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// Who pulls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<ImageAuth>,
}

/// With what an image is pulled. The values mostly name variables of the job (`$DOCKERHUB_PASSWORD`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageAuth {
    /// An account of its registry.
    Registry {
        /// Who.
        username: String,
        /// Their password, or a token.
        password: String,
    },
    /// A key of Amazon's, for its registry.
    AwsKey {
        /// The key's id.
        access_key_id: String,
        /// The key.
        secret_access_key: String,
    },
    /// A role of Amazon's, taken by OpenID Connect.
    AwsRole {
        /// Its ARN.
        role_arn: String,
    },
}

/// One step of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepSpec {
    /// What people call it: its `name`, or its command's first line.
    pub name: String,
    /// When it runs.
    #[serde(default)]
    pub when: StepWhen,
    /// What it does.
    #[serde(flatten)]
    pub action: StepAction,
}

/// When a step runs, given how the ones before it went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepWhen {
    /// If none before it failed.
    #[default]
    OnSuccess,
    /// If one before it failed.
    OnFail,
    /// In any case.
    Always,
}

/// What a step does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum StepAction {
    /// Lays out the code.
    Checkout {
        /// Where, if not in the job's working directory; from that, from `~`, or absolute.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        path: Option<String>,
    },
    /// Runs a command.
    Run(RunStep),
    /// Lays out the first cache that one of the keys finds.
    RestoreCache {
        /// Templates, the most wanted first.
        keys: Vec<String>,
    },
    /// Keeps files for later jobs that restore this key.
    SaveCache {
        /// A template.
        key: String,
        /// Files and folders; from the working directory, from `~`, or absolute.
        paths: Vec<String>,
    },
    /// Keeps files for people.
    StoreArtifacts {
        /// A file or folder; from the working directory, from `~`, or absolute.
        path: String,
        /// Below which name, if not their own.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        destination: Option<String>,
    },
    /// Reads what tests said of themselves.
    StoreTestResults {
        /// A file or folder; from the working directory, from `~`, or absolute.
        path: String,
    },
    /// Keeps files for the later jobs of the workflow.
    PersistToWorkspace {
        /// The folder that they are found in.
        root: String,
        /// Files, folders or patterns, from `root`.
        paths: Vec<String>,
    },
    /// Lays out what earlier jobs of the workflow kept.
    AttachWorkspace {
        /// In which folder.
        at: String,
    },
    /// Makes keys known to `ssh`.
    AddSshKeys {
        /// Which; all of the project's if there are none.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        fingerprints: Vec<String>,
    },
    /// Lets the job use a Docker engine.
    SetupRemoteDocker {
        /// Which version of it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        version: Option<String>,
    },
}

/// A command of the user's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunStep {
    /// A script for the shell; may have many lines.
    pub command: String,
    /// The command line that the script is handed to, if not the job's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shell: Option<String>,
    /// Set for this step alone, after the job's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub environment: Vec<(String, String)>,
    /// Where, if not in the job's working directory; from that, from `~`, or absolute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub working_directory: Option<String>,
    /// Whether the next step begins at once, and this one goes on beside it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub background: bool,
    /// How long it may say nothing, if not what the server grants.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_output_timeout_ms: Option<u64>,
    /// How often it is run again if it fails.
    #[serde(default, skip_serializing_if = "is_default")]
    pub max_auto_reruns: u32,
    /// How long it waits before each of these.
    #[serde(default, skip_serializing_if = "is_default")]
    pub auto_rerun_delay_ms: u64,
}

impl From<Vec<WorkflowSpec>> for Plan {
    fn from(workflows: Vec<WorkflowSpec>) -> Self {
        Self {
            workflows,
            ..Self::default()
        }
    }
}

impl WorkflowSpec {
    /// These jobs, and else nothing that a workflow can ask for.
    pub fn new(name: impl Into<String>, jobs: Vec<JobSpec>) -> Self {
        Self {
            name: name.into(),
            jobs,
            max_auto_reruns: 0,
            concurrency: None,
            priority: 0,
        }
    }
}

impl Plan {
    /// All jobs, each with its workflow.
    pub fn jobs(&self) -> impl Iterator<Item = (&WorkflowSpec, &JobSpec)> {
        self.workflows
            .iter()
            .flat_map(|workflow| workflow.jobs.iter().map(move |job| (workflow, job)))
    }
}

impl StepSpec {
    /// Whether the next step begins at once, and this one goes on beside it.
    pub fn is_behind(&self) -> bool {
        matches!(&self.action, StepAction::Run(run) if run.background)
    }
}

impl JobSpec {
    /// What it runs; none for a job that runs nothing.
    pub fn build(&self) -> Option<&BuildSpec> {
        match &self.kind {
            JobKind::Build(build) => Some(build),
            JobKind::Approval | JobKind::NoOp => None,
        }
    }

    /// Whether it gets another attempt of itself, once that many of its attempts failed or met a fault.
    pub fn tries_again(&self, failures: u32) -> bool {
        self.build().is_some_and(|build| failures <= build.retry)
    }

    /// Its steps; none for a job that runs nothing.
    pub fn steps(&self) -> &[StepSpec] {
        self.build().map_or(&[], |build| &build.steps)
    }

    /// Whether it waits for a person.
    pub fn needs_approval(&self) -> bool {
        match self.kind {
            JobKind::Approval => true,
            JobKind::Build(_) | JobKind::NoOp => false,
        }
    }
}
