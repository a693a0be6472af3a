//! How large a plan may get. A file is small, but its workflows can use one job many times, and the
//! plan has a copy for each.

use model::{BuildSpec, ImageSpec, JobKind, Requirement, RunsIn, StepAction, StepSpec};

use crate::diagnostic::Problems;
use crate::read::Region;

/// How many jobs a plan may have.
pub const MAX_JOBS: usize = 5_000;

/// How large a plan may get, in bytes of memory, roughly.
pub const MAX_PLAN_BYTES: usize = 64 * 1024 * 1024;

/// What is left of both.
pub(crate) struct Budget {
    jobs: usize,
    bytes: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            jobs: MAX_JOBS,
            bytes: MAX_PLAN_BYTES,
        }
    }
}

impl Budget {
    /// Takes what one more copy costs; false if there is not so much left, which is told once.
    pub(super) fn take(&mut self, kind: &JobKind, region: Region, problems: &mut Problems) -> bool {
        if self.jobs > 0 && self.take_bytes(job_bytes(kind)) {
            self.jobs -= 1;
            return true;
        }
        self.tell(region, problems);
        false
    }

    /// The same for what a job requires: each of many may require each of many others.
    pub(super) fn take_requires(
        &mut self,
        requires: &[(usize, Requirement)],
        region: Region,
        problems: &mut Problems,
    ) -> bool {
        let bytes = requires
            .iter()
            .map(|(_, requirement)| requirement_bytes(requirement))
            .sum();
        let is_taken = self.take_bytes(bytes);
        if !is_taken {
            self.tell(region, problems);
        }
        is_taken
    }

    fn take_bytes(&mut self, bytes: usize) -> bool {
        match self.bytes.checked_sub(bytes) {
            Some(left) => {
                self.bytes = left;
                true
            }
            None => false,
        }
    }

    fn tell(&mut self, region: Region, problems: &mut Problems) {
        // Whatever comes now is refused too, without another word.
        let is_news = self.jobs > 0 || self.bytes > 0;
        let limit = if self.jobs == 0 {
            format!("{MAX_JOBS} jobs")
        } else {
            format!("{} MiB of jobs", MAX_PLAN_BYTES / (1024 * 1024))
        };
        if is_news {
            problems
                .error(region, format!("the pipeline has more than {limit}"))
                .help("jobs count as often as workflows use them");
        }
        self.jobs = 0;
        self.bytes = 0;
    }
}

fn requirement_bytes(requirement: &Requirement) -> usize {
    // What a set takes for its few small words.
    const OUTCOMES: usize = 32;
    size_of::<Requirement>() + OUTCOMES + requirement.job.len()
}

fn job_bytes(kind: &JobKind) -> usize {
    let own = size_of::<JobKind>();
    match kind {
        JobKind::Approval | JobKind::NoOp => own,
        JobKind::Build(build) => {
            own + size_of::<BuildSpec>()
                + runs_in_bytes(&build.runs_in)
                + build.steps.iter().map(step_bytes).sum::<usize>()
                + pairs_bytes(&build.environment)
                + build.working_directory.len()
                + optional_bytes(&[&build.shell, &build.resource_class, &build.serial_group])
        }
    }
}

fn optional_bytes(texts: &[&Option<String>]) -> usize {
    let texts = texts.iter().copied().flatten();
    texts.map(String::len).sum()
}

fn list_bytes(texts: &[String]) -> usize {
    texts
        .iter()
        .map(|text| size_of::<String>() + text.len())
        .sum()
}

fn runs_in_bytes(runs_in: &RunsIn) -> usize {
    match runs_in {
        RunsIn::Machine => 0,
        RunsIn::Foreign { image, .. } => image.len(),
        RunsIn::Containers(images) => images
            .iter()
            .map(|image| {
                size_of::<ImageSpec>()
                    + image.image.len()
                    + optional_bytes(&[&image.user, &image.name])
                    + list_bytes(&image.entrypoint)
                    + list_bytes(&image.command)
                    + pairs_bytes(&image.environment)
            })
            .sum(),
    }
}

fn step_bytes(step: &StepSpec) -> usize {
    let texts = match &step.action {
        StepAction::Checkout { path: text } | StepAction::SetupRemoteDocker { version: text } => {
            optional_bytes(&[text])
        }
        StepAction::Run(run) => {
            run.command.len()
                + optional_bytes(&[&run.shell, &run.working_directory])
                + pairs_bytes(&run.environment)
        }
        StepAction::RestoreCache { keys: texts }
        | StepAction::AddSshKeys {
            fingerprints: texts,
        } => list_bytes(texts),
        StepAction::SaveCache { key: text, paths }
        | StepAction::PersistToWorkspace { root: text, paths } => text.len() + list_bytes(paths),
        StepAction::StoreArtifacts { path, destination } => {
            path.len() + optional_bytes(&[destination])
        }
        StepAction::StoreTestResults { path: text } | StepAction::AttachWorkspace { at: text } => {
            text.len()
        }
    };
    size_of::<StepSpec>() + step.name.len() + texts
}

fn pairs_bytes(pairs: &[(String, String)]) -> usize {
    pairs
        .iter()
        .map(|(name, value)| size_of::<(String, String)>() + name.len() + value.len())
        .sum()
}
