//! What a `resource_class` means: how much of a machine a job may use.

use executor::Limits;
use model::{BuildSpec, RunsIn};

const GIB: u64 = 1 << 30;

/// CircleCI's classes for images: processors, and memory in bytes.
const CONTAINERS: [(&str, u64, u64); 7] = [
    ("small", 1, 2 * GIB),
    ("medium", 2, 4 * GIB),
    ("medium+", 3, 6 * GIB),
    ("large", 4, 8 * GIB),
    ("xlarge", 8, 16 * GIB),
    ("2xlarge", 16, 32 * GIB),
    ("2xlarge+", 20, 40 * GIB),
];

/// And for machines.
const MACHINES: [(&str, u64, u64); 5] = [
    ("medium", 2, 15 * GIB / 2),
    ("large", 4, 15 * GIB),
    ("xlarge", 8, 32 * GIB),
    ("2xlarge", 16, 64 * GIB),
    ("2xlarge+", 32, 128 * GIB),
];

/// The limits of a job: those that the server gives every job, and below them those of its class.
pub(crate) fn limits(build: &BuildSpec, given: Limits) -> Limits {
    let Some((cpus, memory_bytes)) = size(build) else {
        return given;
    };
    let lower =
        |given: Option<u64>, class: u64| Some(given.map_or(class, |given| given.min(class)));
    Limits {
        memory_bytes: lower(given.memory_bytes, memory_bytes),
        millicpus: lower(given.millicpus, cpus * 1000),
        pids: given.pids,
    }
}

/// The class that a job asks for and that has no size here: a runner's name, or a class of machines that
/// are not this one.
pub(crate) fn unknown_class(build: &BuildSpec) -> Option<&str> {
    let class = build.resource_class.as_deref()?;
    size(build).is_none().then_some(class)
}

fn size(build: &BuildSpec) -> Option<(u64, u64)> {
    let class = build.resource_class.as_deref()?;
    let classes = match build.runs_in {
        RunsIn::Containers(_) => &CONTAINERS[..],
        RunsIn::Machine => &MACHINES[..],
        RunsIn::Foreign { .. } => return None,
    };
    // Generations differ in the processors, not in their number.
    let class = class.strip_suffix(".gen2").unwrap_or(class);
    let class = class.strip_suffix(".gen3").unwrap_or(class);
    let found = classes.iter().find(|(name, ..)| *name == class);
    found.map(|(_, cpus, memory_bytes)| (*cpus, *memory_bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(runs_in: RunsIn, class: &str) -> BuildSpec {
        let mut build = BuildSpec::new(runs_in, Vec::new());
        build.resource_class = Some(class.to_owned());
        build
    }

    #[test]
    fn a_class_has_a_size_by_where_the_job_runs() {
        let given = Limits {
            pids: Some(100),
            ..Limits::default()
        };
        let large = limits(&build(RunsIn::Containers(Vec::new()), "large"), given);
        assert_eq!(
            (large.millicpus, large.memory_bytes, large.pids),
            (Some(4000), Some(8 * GIB), Some(100))
        );
        let machine = limits(&build(RunsIn::Machine, "large.gen2"), given);
        assert_eq!(
            (machine.millicpus, machine.memory_bytes),
            (Some(4000), Some(15 * GIB))
        );
    }

    #[test]
    fn the_servers_own_limits_are_the_highest() {
        let given = Limits {
            memory_bytes: Some(GIB),
            millicpus: Some(9000),
            pids: None,
        };
        let limited = limits(&build(RunsIn::Containers(Vec::new()), "small"), given);
        assert_eq!(
            (limited.millicpus, limited.memory_bytes),
            (Some(1000), Some(GIB))
        );
    }

    #[test]
    fn a_class_without_a_size_limits_nothing() {
        for class in ["acme/fast", "arm.medium", "windows.large", "small"] {
            let build = build(RunsIn::Machine, class);
            assert_eq!(unknown_class(&build), Some(class));
            assert_eq!(limits(&build, Limits::default()), Limits::default());
        }
    }
}
