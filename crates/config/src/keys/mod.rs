//! The keys of the language, what each takes and what it is for, and the values of a pipeline. This is the
//! one place that says which there are: the compiler takes no other, and editors show no other.

mod mistaken;
mod pipeline;
mod table;

pub(crate) use mistaken::{Meant, meant};
pub(crate) use pipeline::{Empty, PIPELINE_VALUES, PipelineValue};
pub(crate) use table::*;

/// One key of a map.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeySpec {
    pub(crate) name: &'static str,
    pub(crate) takes: Takes,
    /// What it is for, in a sentence or two.
    pub(crate) doc: &'static str,
}

/// What stands behind a key, or in an item of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Takes {
    Text,
    Number,
    Boolean,
    Duration,
    /// A list of texts; one alone is as good.
    Texts,
    /// One of these.
    Word(&'static [&'static str]),
    /// A list of these; one alone is as good.
    Words(&'static [&'static str]),
    Map(Place),
    /// A list of maps; in many places one alone is as good.
    List(Place),
    /// The name of something.
    Name(Names),
    /// A map whose keys are free, and so are its values.
    Free,
    /// What a parameter's `type` says.
    Typed,
}

/// What names stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Names {
    Job,
    Command,
    Executor,
    /// A job as a workflow uses it.
    Use,
}

/// A kind of map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Top,
    Jobs,
    Job,
    Commands,
    Command,
    Executors,
    Executor,
    /// `executor:` as a map.
    ExecutorUse,
    Orbs,
    Orb,
    Groups,
    Group,
    PipelineParameters,
    Parameters,
    Parameter,
    Workflows,
    Workflow,
    /// An item of a workflow's `jobs`.
    Uses,
    Use,
    /// What jobs of some types that run nothing have besides.
    Idle,
    Matrix,
    /// `parameters` of a matrix, and an item of `exclude`.
    MatrixValues,
    /// An item of `requires`.
    Requires,
    Filters,
    Filter,
    Trigger,
    Schedule,
    Concurrency,
    Paths,
    Condition,
    Matches,
    Image,
    Auth,
    AwsAuth,
    Machine,
    Macos,
    /// How long what a job keeps is kept.
    Retention,
    Step,
    /// What a command is given.
    Arguments,
    Conditional,
    Run,
    Checkout,
    SaveCache,
    RestoreCache,
    StoreArtifacts,
    StoreTestResults,
    PersistToWorkspace,
    AttachWorkspace,
    AddSshKeys,
    SetupRemoteDocker,
}

/// The keys of a map that are not fixed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Others {
    /// There are none.
    None,
    /// Whoever writes the map chooses them; each takes this.
    Chosen(Takes),
    /// They name what is defined elsewhere; each takes this.
    Named(Names, Takes),
    /// They are the parameters of what the map is given to.
    Parameters,
}

impl Place {
    /// The keys that are fixed.
    pub(crate) fn keys(self) -> &'static [KeySpec] {
        match self {
            Self::Top => TOP,
            Self::Job => JOB,
            Self::Command => COMMAND,
            Self::Executor => EXECUTOR,
            Self::ExecutorUse => EXECUTOR_USE,
            Self::Orb => ORB,
            Self::Group => GROUP,
            Self::Parameter => PARAMETER,
            Self::Workflow => WORKFLOW,
            Self::Use => JOB_USE,
            Self::Idle => IDLE,
            Self::Matrix => MATRIX,
            Self::Filters => FILTERS,
            Self::Filter => FILTER,
            Self::Trigger => TRIGGER,
            Self::Schedule => SCHEDULE,
            Self::Concurrency => CONCURRENCY,
            Self::Paths => PATHS,
            Self::Condition => CONDITION,
            Self::Matches => MATCHES,
            Self::Image => IMAGE,
            Self::Auth => AUTH,
            Self::AwsAuth => AWS_AUTH,
            Self::Machine => MACHINE,
            Self::Macos => MACOS,
            Self::Retention => RETENTION,
            Self::Step => STEP,
            Self::Conditional => CONDITIONAL,
            Self::Run => RUN,
            Self::Checkout => CHECKOUT,
            Self::SaveCache => SAVE_CACHE,
            Self::RestoreCache => RESTORE_CACHE,
            Self::StoreArtifacts => STORE_ARTIFACTS,
            Self::StoreTestResults => STORE_TEST_RESULTS,
            Self::PersistToWorkspace => PERSIST_TO_WORKSPACE,
            Self::AttachWorkspace => ATTACH_WORKSPACE,
            Self::AddSshKeys => ADD_SSH_KEYS,
            Self::SetupRemoteDocker => SETUP_REMOTE_DOCKER,
            Self::Jobs
            | Self::Commands
            | Self::Executors
            | Self::Orbs
            | Self::Groups
            | Self::PipelineParameters
            | Self::Parameters
            | Self::Workflows
            | Self::Uses
            | Self::MatrixValues
            | Self::Requires
            | Self::Arguments => &[],
        }
    }

    /// The keys that are not.
    pub(crate) fn others(self) -> Others {
        match self {
            Self::Jobs => Others::Chosen(Takes::Map(Self::Job)),
            Self::Commands => Others::Chosen(Takes::Map(Self::Command)),
            Self::Executors => Others::Chosen(Takes::Map(Self::Executor)),
            Self::Orbs => Others::Chosen(Takes::Map(Self::Orb)),
            Self::Groups => Others::Chosen(Takes::Map(Self::Group)),
            Self::PipelineParameters | Self::Parameters => {
                Others::Chosen(Takes::Map(Self::Parameter))
            }
            Self::Workflows => Others::Chosen(Takes::Map(Self::Workflow)),
            Self::Uses => Others::Named(Names::Job, Takes::Map(Self::Use)),
            Self::Requires => Others::Named(Names::Use, Takes::Words(STATUSES)),
            Self::Step => Others::Named(Names::Command, Takes::Map(Self::Arguments)),
            Self::Use | Self::ExecutorUse | Self::Arguments | Self::MatrixValues => {
                Others::Parameters
            }
            Self::Top
            | Self::Job
            | Self::Command
            | Self::Executor
            | Self::Orb
            | Self::Group
            | Self::Parameter
            | Self::Workflow
            | Self::Idle
            | Self::Matrix
            | Self::Filters
            | Self::Filter
            | Self::Trigger
            | Self::Schedule
            | Self::Concurrency
            | Self::Paths
            | Self::Condition
            | Self::Matches
            | Self::Image
            | Self::Auth
            | Self::AwsAuth
            | Self::Machine
            | Self::Macos
            | Self::Retention
            | Self::Conditional
            | Self::Run
            | Self::Checkout
            | Self::SaveCache
            | Self::RestoreCache
            | Self::StoreArtifacts
            | Self::StoreTestResults
            | Self::PersistToWorkspace
            | Self::AttachWorkspace
            | Self::AddSshKeys
            | Self::SetupRemoteDocker => Others::None,
        }
    }

    /// The key of that name, if it is fixed.
    pub(crate) fn key(self, name: &str) -> Option<&'static KeySpec> {
        self.keys().iter().find(|key| key.name == name)
    }

    /// The name itself if it is that of a key that is fixed, else nothing: what a reader decides by, so
    /// that it takes no key that is not in the table.
    pub(crate) fn own(self, name: &str) -> &'static str {
        self.key(name).map_or("", |key| key.name)
    }

    /// The names of the keys that are fixed.
    pub(crate) fn names<'n>(self) -> impl Iterator<Item = &'n str> {
        self.keys().iter().map(|key| -> &'n str { key.name })
    }
}

impl Takes {
    /// The kind of map that it is, or is a list of.
    pub(crate) fn place(self) -> Option<Place> {
        if let Self::Map(place) | Self::List(place) = self {
            return Some(place);
        }
        // An executor may be named with its parameters.
        (self == Self::Name(Names::Executor)).then_some(Place::ExecutorUse)
    }

    /// For people: `a boolean`.
    pub(crate) fn describe(self) -> &'static str {
        match self {
            Self::Text => "a string",
            Self::Number => "a whole number",
            Self::Boolean => "a boolean",
            Self::Duration => "a duration, such as `10m`",
            Self::Texts => "a list of strings",
            Self::Word(_) => "a word",
            Self::Words(_) => "a list of words",
            Self::Map(_) | Self::Free => "a map",
            Self::List(Place::Step) => "a list of steps",
            Self::List(Place::Image) => "a list of images",
            Self::List(Place::Uses | Place::Requires) => "a list of jobs",
            Self::List(_) => "a list of maps",
            Self::Name(Names::Executor) => "an executor",
            Self::Name(Names::Command) => "a command",
            Self::Name(Names::Job | Names::Use) => "a job",
            Self::Typed => "a value of the parameter's type",
        }
    }
}

/// Whether a step is one that the language brings, and neither a condition nor a list of steps.
pub(crate) fn is_built_in(step: &str) -> bool {
    let takes = Place::Step.key(step).map(|key| key.takes);
    takes.is_some_and(|takes| !matches!(takes, Takes::Map(Place::Conditional) | Takes::List(_)))
}

#[cfg(test)]
mod tests;
