//! Whole configs, as projects have them: each gets an answer, and one that blames what is at fault.
//!
//! Those in `tests/corpus/` are our own; see `conformance` for those of others.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use insta::assert_snapshot;

use crate::compile_one;

pub(crate) fn configs(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    let mut paths: Vec<_> = entries
        .map(|entry| entry.expect("the folder can be read").path())
        .collect();
    paths.sort();
    paths
}

pub(crate) fn name(path: &Path) -> String {
    let name = path.file_name().expect("a file has a name");
    name.to_string_lossy().into_owned()
}

#[test]
fn configs_as_projects_have_them() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let mut told = String::new();
    for path in configs(&folder) {
        let compiled = compile_one(fs::read(&path).unwrap());
        let answer = match &compiled.plan {
            Some(plan) => {
                let jobs = plan.workflows.iter().map(|workflow| workflow.jobs.len());
                format!("{} jobs", jobs.sum::<usize>())
            }
            None => "refused".to_owned(),
        };
        writeln!(told, "{}: {answer}", name(&path)).unwrap();
        for diagnostic in &compiled.diagnostics {
            writeln!(told, "  {}", diagnostic.message).unwrap();
        }
    }
    assert_snapshot!(told, @"
    fan_out.yml: 8 jobs
      the image of a `machine` is not used: its jobs see the runner's own system
    first_version.yml: 1 jobs
      `branches` of a job is an old word for `filters` of a workflow's job
      the step `deploy` is an old word for `run`
    reusable.yml: refused
      the orb `circleci/node@7.1.0` is not at hand
    setup.yml: 1 jobs
    web_service.yml: 4 jobs
    ");
}
