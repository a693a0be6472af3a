//! What a config compiles to: everything resolved that can be. The engine runs this and nothing else.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::OutcomeKind;

/// All that one pipeline will run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// In the order in which their files and keys come.
    pub workflows: Vec<WorkflowSpec>,
}

/// A named graph of jobs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkflowSpec {
    /// Its name; no two of a plan have the same.
    pub name: String,
    /// In an order in which each comes after all that it requires.
    pub jobs: Vec<JobSpec>,
}

/// One job of a workflow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobSpec {
    /// Its name; no two of a workflow have the same.
    pub name: String,
    /// What has to end, and how, before it starts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requires: Vec<Requirement>,
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
    Build {
        /// Where.
        runs_in: RunsIn,
        /// In order; the first to fail fails the job.
        steps: Vec<StepSpec>,
        /// Set for every step, in order, later ones winning. Values are taken as they are.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        environment: Vec<(String, String)>,
        /// Where its steps run and its code is laid out; absolute, or from `~`.
        working_directory: String,
        /// The command line that each step's script is handed to, unless the step has its own;
        /// the executor's choice (`bash -eo pipefail`, else `sh -e`) if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        shell: Option<String>,
    },
    /// Waits for a person.
    Approval,
}

/// What a job's steps see as their machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunsIn {
    /// A container of the first image; the others are services beside it. Never empty.
    Containers(Vec<ImageSpec>),
    /// A machine: a throw-away view of the runner's own.
    Machine,
}

/// One container image, and how it is started.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageSpec {
    /// The reference, as one would give it to `docker pull`.
    pub image: String,
    /// The user to be, if not the image's own: a name, a uid, `uid:gid`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Set in this container.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub environment: Vec<(String, String)>,
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
}

impl Plan {
    /// All jobs, each with its workflow.
    pub fn jobs(&self) -> impl Iterator<Item = (&WorkflowSpec, &JobSpec)> {
        self.workflows
            .iter()
            .flat_map(|workflow| workflow.jobs.iter().map(move |job| (workflow, job)))
    }
}

impl JobSpec {
    /// Its steps; none for an approval.
    pub fn steps(&self) -> &[StepSpec] {
        match &self.kind {
            JobKind::Build { steps, .. } => steps,
            JobKind::Approval => &[],
        }
    }

    /// Whether it waits for a person.
    pub fn needs_approval(&self) -> bool {
        match self.kind {
            JobKind::Approval => true,
            JobKind::Build { .. } => false,
        }
    }
}
