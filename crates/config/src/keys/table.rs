//! The table itself: a list for each kind of map, in the order in which people write them.

use super::Takes::{Boolean, Duration, Free, List, Map, Name, Number, Text, Texts, Typed, Word};
use super::{KeySpec, Names, Place, Takes};

const fn key(name: &'static str, takes: Takes, doc: &'static str) -> KeySpec {
    KeySpec { name, takes, doc }
}

/// How a job may end, as `requires` names it.
pub(crate) const STATUSES: &[&str] = &[
    "success",
    "failed",
    "canceled",
    "not_run",
    "unauthorized",
    "terminal",
];

/// The types of jobs.
pub(crate) const JOB_TYPES: &[&str] = &["build", "approval", "no-op", "release", "lock", "unlock"];

/// When a step runs.
const STEP_WHEN: &[&str] = &["on_success", "on_fail", "always"];

/// The types of parameters.
pub(crate) const PARAMETER_TYPES: &[&str] = &[
    "string",
    "boolean",
    "integer",
    "enum",
    "executor",
    "steps",
    "env_var_name",
];

/// A config itself.
pub(crate) const TOP: &[KeySpec] = &[
    key(
        "version",
        Word(&["2.1", "2.0", "2"]),
        "The version of the language. Orbs, commands, executors and parameters need `2.1`.",
    ),
    key(
        "jobs",
        Map(Place::Jobs),
        "The jobs, by name. Workflows say which of them run.",
    ),
    key(
        "workflows",
        Map(Place::Workflows),
        "The workflows, by name: which jobs run, and after which others. Without it the job `build` runs, or the only one.",
    ),
    key(
        "orbs",
        Map(Place::Orbs),
        "Packages of jobs, commands and executors: a reference (`circleci/node@5.2`) or the orb itself. What is in them is used as `name/job`.",
    ),
    key(
        "commands",
        Map(Place::Commands),
        "Lists of steps with a name and parameters, for use in jobs and other commands.",
    ),
    key(
        "executors",
        Map(Place::Executors),
        "Where jobs run, with a name, for use in several jobs.",
    ),
    key(
        "parameters",
        Map(Place::PipelineParameters),
        "What a pipeline may be given when it is started; used as `<< pipeline.parameters.NAME >>`.",
    ),
    key(
        "setup",
        Boolean,
        "Whether this config only makes the config that the pipeline then goes on with.",
    ),
    key(
        "job-groups",
        Map(Place::Groups),
        "Jobs with what they require of each other, by name, to be used in workflows as if they were one.",
    ),
];

/// A job.
pub(crate) const JOB: &[KeySpec] = &[
    key(
        "docker",
        List(Place::Image),
        "The images that the job runs in: its steps in the first, the others beside it as services.",
    ),
    key(
        "machine",
        Map(Place::Machine),
        "Runs the job on a runner itself, not in an image: `true`, an image's name, or a map.",
    ),
    key(
        "macos",
        Map(Place::Macos),
        "Runs the job on a macOS runner.",
    ),
    key("windows", Free, "Runs the job on a Windows runner."),
    key(
        "executor",
        Name(Names::Executor),
        "Runs the job where a named executor says: its name, or a map of `name` and its parameters.",
    ),
    key("steps", List(Place::Step), "What the job does, in order."),
    key(
        "environment",
        Free,
        "Variables that all steps of the job see.",
    ),
    key(
        "working_directory",
        Text,
        "Where steps run; `~/project` unless given.",
    ),
    key(
        "shell",
        Text,
        "The command line that runs the steps' scripts, such as `/bin/bash -eo pipefail`.",
    ),
    key(
        "parameters",
        Map(Place::Parameters),
        "What a workflow gives the job; used as `<< parameters.NAME >>`.",
    ),
    key(
        "parallelism",
        Number,
        "How many copies of the job run side by side, each with its own `CIRCLE_NODE_INDEX`.",
    ),
    key(
        "resource_class",
        Text,
        "How much of a machine the job gets, or the label of the runner that it needs.",
    ),
    key("description", Text, "What the job is for."),
    key(
        "type",
        Word(JOB_TYPES),
        "What kind of job it is; all but `build` run no steps, and `approval` waits for a person.",
    ),
    key(
        "branches",
        Map(Place::Filter),
        "An old word for `filters` in a workflow.",
    ),
    key(
        "circleci_ip_ranges",
        Boolean,
        "Means nothing here: jobs have their runner's address.",
    ),
    key(
        "retention",
        Map(Place::Retention),
        "Means nothing here: the server's settings say how long things are kept.",
    ),
    key(
        "timeout",
        Duration,
        "How long the job may take before it is ended. Popsicle's own key.",
    ),
    key(
        "retry",
        Number,
        "How often the job is tried again after a failure. Popsicle's own key.",
    ),
];

/// A command.
pub(crate) const COMMAND: &[KeySpec] = &[
    key("description", Text, "What the command is for."),
    key(
        "parameters",
        Map(Place::Parameters),
        "What the command is given; used as `<< parameters.NAME >>`.",
    ),
    key(
        "steps",
        List(Place::Step),
        "The steps that the command stands for.",
    ),
];

/// An executor.
pub(crate) const EXECUTOR: &[KeySpec] = &[
    key("description", Text, "What the executor is for."),
    key(
        "parameters",
        Map(Place::Parameters),
        "What the executor is given; used as `<< parameters.NAME >>`.",
    ),
    key(
        "docker",
        List(Place::Image),
        "The images that a job runs in: its steps in the first, the others beside it as services.",
    ),
    key(
        "machine",
        Map(Place::Machine),
        "Runs a job on a runner itself: `true`, an image's name, or a map.",
    ),
    key("macos", Map(Place::Macos), "Runs a job on a macOS runner."),
    key("windows", Free, "Runs a job on a Windows runner."),
    key("environment", Free, "Variables that all steps see."),
    key(
        "working_directory",
        Text,
        "Where steps run; `~/project` unless given.",
    ),
    key(
        "shell",
        Text,
        "The command line that runs the steps' scripts.",
    ),
    key(
        "resource_class",
        Text,
        "How much of a machine a job gets, or the label of the runner that it needs.",
    ),
];

/// The use of an executor, as a map.
pub(crate) const EXECUTOR_USE: &[KeySpec] = &[key(
    "name",
    Name(Names::Executor),
    "Which executor. All other keys are its parameters.",
)];

/// An orb that is written in the config.
pub(crate) const ORB: &[KeySpec] = &[
    key(
        "version",
        Text,
        "The version of the language that the orb is in.",
    ),
    key("description", Text, "What the orb is for."),
    key("display", Free, "Where the orb's source and home are."),
    key("orbs", Map(Place::Orbs), "The orbs that this one uses."),
    key(
        "commands",
        Map(Place::Commands),
        "The orb's commands, used as `orb/command`.",
    ),
    key(
        "jobs",
        Map(Place::Jobs),
        "The orb's jobs, used as `orb/job`.",
    ),
    key(
        "executors",
        Map(Place::Executors),
        "The orb's executors, used as `orb/executor`.",
    ),
    key("examples", Free, "How the orb is meant to be used."),
];

/// A group of jobs.
pub(crate) const GROUP: &[KeySpec] = &[
    key(
        "jobs",
        List(Place::Uses),
        "The group's jobs, as a workflow has them.",
    ),
    key("description", Text, "What the group is for."),
];

/// A declared parameter.
pub(crate) const PARAMETER: &[KeySpec] = &[
    key("type", Word(PARAMETER_TYPES), "What the parameter takes."),
    key(
        "default",
        Typed,
        "What it is where it is not given; without a default it has to be.",
    ),
    key("description", Text, "What the parameter is for."),
    key(
        "enum",
        Texts,
        "The values that a parameter of the type `enum` may have.",
    ),
];

/// A workflow.
pub(crate) const WORKFLOW: &[KeySpec] = &[
    key(
        "jobs",
        List(Place::Uses),
        "The workflow's jobs: each a name, or a name with what it requires and is given.",
    ),
    key(
        "when",
        Map(Place::Condition),
        "The workflow runs only where this holds.",
    ),
    key(
        "unless",
        Map(Place::Condition),
        "The workflow runs only where this does not hold.",
    ),
    key(
        "triggers",
        List(Place::Trigger),
        "When the workflow runs by the clock; then pushes don't start it.",
    ),
    key(
        "max_auto_reruns",
        Number,
        "How often the workflow's failed jobs are run again by themselves.",
    ),
    key("description", Text, "What the workflow is for."),
    key(
        "concurrency",
        Map(Place::Concurrency),
        "Which workflows must not run at the same time. Popsicle's own key.",
    ),
    key(
        "priority",
        Number,
        "Of the jobs of a project that wait, those with a higher one go first; 0 by default. Popsicle's own key.",
    ),
    key(
        "paths",
        Map(Place::Paths),
        "The files that have to change for the workflow to run, as patterns (`docs/**`). Popsicle's own key.",
    ),
];

/// The use of a job in a workflow.
pub(crate) const JOB_USE: &[KeySpec] = &[
    key(
        "requires",
        List(Place::Requires),
        "The jobs that have to end first, in success unless their statuses are given: `build: [success, failed]`.",
    ),
    key("name", Text, "What this use of the job is called."),
    key(
        "type",
        Word(JOB_TYPES),
        "What kind of job it is: `approval` waits for a person and needs no definition.",
    ),
    key(
        "context",
        Texts,
        "The contexts whose variables the job may see.",
    ),
    key(
        "filters",
        Map(Place::Filters),
        "The branches and tags that the job is for, or an expression.",
    ),
    key(
        "matrix",
        Map(Place::Matrix),
        "Uses the job once for each combination of values.",
    ),
    key(
        "pre-steps",
        List(Place::Step),
        "Steps before those of the job.",
    ),
    key(
        "post-steps",
        List(Place::Step),
        "Steps after those of the job.",
    ),
    key(
        "serial-group",
        Text,
        "Jobs of one group run one after the other, in all pipelines.",
    ),
    key(
        "override-with",
        Name(Names::Job),
        "Another job to run in place of this one.",
    ),
];

/// What jobs of some types that run nothing have besides.
pub(crate) const IDLE: &[KeySpec] = &[
    key(
        "plan_name",
        Text,
        "Which plan a job of the type `release` belongs to on CircleCI.",
    ),
    key(
        "key",
        Text,
        "What a job of the type `lock` or `unlock` locks on CircleCI; nothing is locked here.",
    ),
];

/// How long what a job keeps is kept.
pub(crate) const RETENTION: &[KeySpec] = &[key(
    "caches",
    Text,
    "How long caches are kept: `1d` to `15d`. Means nothing here.",
)];

/// A matrix.
pub(crate) const MATRIX: &[KeySpec] = &[
    key(
        "parameters",
        Map(Place::MatrixValues),
        "A list of values for each of the job's parameters.",
    ),
    key(
        "exclude",
        List(Place::MatrixValues),
        "The combinations to leave out.",
    ),
    key(
        "alias",
        Text,
        "What other jobs require to wait for all of the matrix; the job's name unless given.",
    ),
];

/// Filters of a job.
pub(crate) const FILTERS: &[KeySpec] = &[
    key(
        "branches",
        Map(Place::Filter),
        "The branches that the job is for: names, or `/regular expressions/` that match the whole name.",
    ),
    key(
        "tags",
        Map(Place::Filter),
        "The tags that the job is for. Without it a job does not run for tags.",
    ),
];

/// A filter.
pub(crate) const FILTER: &[KeySpec] = &[
    key("only", Texts, "It is for these alone."),
    key("ignore", Texts, "It is not for these."),
];

/// What starts a workflow by itself.
pub(crate) const TRIGGER: &[KeySpec] = &[key(
    "schedule",
    Map(Place::Schedule),
    "Runs the workflow by the clock.",
)];

/// A schedule.
pub(crate) const SCHEDULE: &[KeySpec] = &[
    key(
        "cron",
        Text,
        "When, in UTC, as in a crontab: minute, hour, day of the month, month, day of the week.",
    ),
    key(
        "filters",
        Map(Place::Filters),
        "The branches that it runs for.",
    ),
];

/// Which workflows exclude each other.
pub(crate) const CONCURRENCY: &[KeySpec] = &[
    key(
        "group",
        Text,
        "Workflows of one group don't run at the same time.",
    ),
    key(
        "cancel-in-progress",
        Boolean,
        "Whether a new one cancels the one that runs, rather than wait for it.",
    ),
];

/// The files that a workflow is for.
pub(crate) const PATHS: &[KeySpec] = &[
    key("only", Texts, "It runs where one of these changed."),
    key("ignore", Texts, "Changes of these don't count."),
];

/// A condition as a map.
pub(crate) const CONDITION: &[KeySpec] = &[
    key(
        "and",
        List(Place::Condition),
        "Holds where all in the list hold.",
    ),
    key(
        "or",
        List(Place::Condition),
        "Holds where one in the list holds.",
    ),
    key("not", Map(Place::Condition), "Holds where this does not."),
    key("equal", Texts, "Holds where all in the list are equal."),
    key(
        "matches",
        Map(Place::Matches),
        "Holds where a value matches a pattern.",
    ),
];

/// `matches`.
pub(crate) const MATCHES: &[KeySpec] = &[
    key(
        "pattern",
        Text,
        "A regular expression that has to match the whole value.",
    ),
    key(
        "value",
        Text,
        "What is matched, such as `<< pipeline.git.branch >>`.",
    ),
];

/// An image.
pub(crate) const IMAGE: &[KeySpec] = &[
    key("image", Text, "The image's name, with its tag or digest."),
    key(
        "name",
        Text,
        "The host name under which the others reach this container.",
    ),
    key("user", Text, "As whom its processes run."),
    key("environment", Free, "Variables for this container."),
    key(
        "entrypoint",
        Texts,
        "What runs in place of the image's own entry point.",
    ),
    key(
        "command",
        Texts,
        "What a service runs, or the arguments to its entry point.",
    ),
    key(
        "auth",
        Map(Place::Auth),
        "With what to sign in to the image's registry.",
    ),
    key(
        "aws_auth",
        Map(Place::AwsAuth),
        "With what to sign in to a registry of AWS.",
    ),
    key(
        "gcp_auth",
        Free,
        "Is not supported: the image is pulled without it.",
    ),
];

/// Signing in to a registry.
pub(crate) const AUTH: &[KeySpec] = &[
    key("username", Text, "As whom."),
    key(
        "password",
        Text,
        "With what: name a variable of a context, such as `$DOCKERHUB_PASSWORD`.",
    ),
];

/// Signing in to a registry of AWS.
pub(crate) const AWS_AUTH: &[KeySpec] = &[
    key("aws_access_key_id", Text, "The id of the access key."),
    key(
        "aws_secret_access_key",
        Text,
        "The access key: name a variable of a context.",
    ),
    key(
        "oidc_role_arn",
        Text,
        "The role to take on, in place of a key.",
    ),
];

/// `machine` as a map.
pub(crate) const MACHINE: &[KeySpec] = &[
    key(
        "image",
        Text,
        "Is not used here: the job sees the runner's own system.",
    ),
    key("enabled", Boolean, "An old way to write `machine: true`."),
    key(
        "docker_layer_caching",
        Boolean,
        "Means nothing here: the runner's own engine keeps its layers.",
    ),
    key(
        "resource_class",
        Text,
        "How much of a machine the job gets, or the label of the runner that it needs.",
    ),
    key(
        "shell",
        Text,
        "The command line that runs the steps' scripts; the job's own goes first.",
    ),
];

/// `macos`.
pub(crate) const MACOS: &[KeySpec] = &[
    key("xcode", Text, "The version of Xcode."),
    key(
        "resource_class",
        Text,
        "The label of the runner that the job needs.",
    ),
    key("shell", Text, "Is not used here."),
    key("code_signing", Free, "Is not used here."),
];

/// A step; what else is a step is a command.
pub(crate) const STEP: &[KeySpec] = &[
    key(
        "run",
        Map(Place::Run),
        "Runs a script: the script itself, or a map.",
    ),
    key("checkout", Map(Place::Checkout), "Lays out the code."),
    key(
        "save_cache",
        Map(Place::SaveCache),
        "Keeps files under a key, for later pipelines.",
    ),
    key(
        "restore_cache",
        Map(Place::RestoreCache),
        "Brings back the files of the first key that something is kept under.",
    ),
    key(
        "store_artifacts",
        Map(Place::StoreArtifacts),
        "Keeps files for people to look at.",
    ),
    key(
        "store_test_results",
        Map(Place::StoreTestResults),
        "Keeps test results, as JUnit's XML.",
    ),
    key(
        "persist_to_workspace",
        Map(Place::PersistToWorkspace),
        "Hands files to the jobs after this one in its workflow.",
    ),
    key(
        "attach_workspace",
        Map(Place::AttachWorkspace),
        "Lays out the files that the jobs before this one handed on.",
    ),
    key(
        "add_ssh_keys",
        Map(Place::AddSshKeys),
        "Gives the job the project's SSH keys.",
    ),
    key(
        "setup_remote_docker",
        Map(Place::SetupRemoteDocker),
        "Gives the job an engine to build and run images with.",
    ),
    key(
        "install_signing_bundle",
        Free,
        "Installs certificates that CircleCI keeps for macOS. Means nothing here.",
    ),
    key("deploy", Map(Place::Run), "An old word for `run`."),
    key(
        "when",
        Map(Place::Conditional),
        "Steps that are there only where a condition holds.",
    ),
    key(
        "unless",
        Map(Place::Conditional),
        "Steps that are there only where a condition does not hold.",
    ),
    key(
        "steps",
        List(Place::Step),
        "Steps, often those of a parameter: `<< parameters.NAME >>`.",
    ),
];

/// `when` and `unless` as steps.
pub(crate) const CONDITIONAL: &[KeySpec] = &[
    key(
        "condition",
        Map(Place::Condition),
        "What decides: a value, or a map of operators.",
    ),
    key("steps", List(Place::Step), "The steps."),
];

const NAME: KeySpec = key("name", Text, "What people know the step as.");
const WHEN: KeySpec = key(
    "when",
    Word(STEP_WHEN),
    "Whether the step runs after a failure: `on_success`, `on_fail` or `always`. The default is `on_success`, but `always` for what keeps artifacts and test results.",
);

/// `run`.
pub(crate) const RUN: &[KeySpec] = &[
    NAME,
    key("command", Text, "The script."),
    key("environment", Free, "Variables for this step alone."),
    key(
        "working_directory",
        Text,
        "Where it runs: absolute, from `~`, or from the job's own.",
    ),
    key("shell", Text, "The command line that runs the script."),
    WHEN,
    key(
        "background",
        Boolean,
        "Whether the next step begins at once while this one goes on.",
    ),
    key(
        "no_output_timeout",
        Duration,
        "How long the step may say nothing before it is ended; `10m` unless given.",
    ),
    key(
        "max_auto_reruns",
        Number,
        "How often the step is run again by itself after a failure.",
    ),
    key(
        "auto_rerun_delay",
        Duration,
        "How long to wait before it is run again.",
    ),
];

/// `checkout`.
pub(crate) const CHECKOUT: &[KeySpec] = &[
    key(
        "path",
        Text,
        "Where to; the working directory unless given.",
    ),
    key(
        "method",
        Word(&["full", "blobless", "shallow"]),
        "Means nothing here: the code is laid out from a mirror.",
    ),
    key(
        "depth",
        Number,
        "How many commits a `shallow` checkout has on CircleCI.",
    ),
    NAME,
    WHEN,
];

/// `save_cache`.
pub(crate) const SAVE_CACHE: &[KeySpec] = &[
    key(
        "key",
        Text,
        "What the files are kept under; a template such as `deps-{{ checksum \"Cargo.lock\" }}`.",
    ),
    key("paths", Texts, "Which files and folders."),
    NAME,
    WHEN,
];

/// `restore_cache`.
pub(crate) const RESTORE_CACHE: &[KeySpec] = &[
    key(
        "keys",
        Texts,
        "What to look for, in order; each finds what is kept under something that begins so.",
    ),
    key("key", Text, "What to look for, where it is only one."),
    NAME,
    WHEN,
];

/// `store_artifacts`.
pub(crate) const STORE_ARTIFACTS: &[KeySpec] = &[
    key("path", Text, "Which file or folder."),
    key(
        "destination",
        Text,
        "What it is called among the artifacts.",
    ),
    NAME,
    WHEN,
];

/// `store_test_results`.
pub(crate) const STORE_TEST_RESULTS: &[KeySpec] = &[
    key("path", Text, "The folder of the results, or one file."),
    NAME,
    WHEN,
];

/// `persist_to_workspace`.
pub(crate) const PERSIST_TO_WORKSPACE: &[KeySpec] = &[
    key("root", Text, "The folder that the paths are in."),
    key("paths", Texts, "Which files and folders, as patterns."),
    NAME,
    WHEN,
];

/// `attach_workspace`.
pub(crate) const ATTACH_WORKSPACE: &[KeySpec] = &[key("at", Text, "Where to."), NAME, WHEN];

/// `add_ssh_keys`.
pub(crate) const ADD_SSH_KEYS: &[KeySpec] = &[
    key(
        "fingerprints",
        Texts,
        "Which keys; all of the project unless given.",
    ),
    NAME,
    WHEN,
];

/// `setup_remote_docker`.
pub(crate) const SETUP_REMOTE_DOCKER: &[KeySpec] = &[
    key("version", Text, "Which version of Docker."),
    key(
        "docker_layer_caching",
        Boolean,
        "Means nothing here: the runner's own engine keeps its layers.",
    ),
    key(
        "prefer_same_region",
        Boolean,
        "Means nothing here: the engine is the runner's own.",
    ),
    key("reusable", Boolean, "Means nothing here."),
    key("exclusive", Boolean, "Means nothing here."),
    NAME,
    WHEN,
];
