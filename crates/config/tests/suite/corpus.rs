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
    android_app.yml: refused
      the orb `https://orbs.acme.example/3.10/device.yml` is not at hand
      `retention` means nothing here: the server's own settings say how long things are kept
      the image of a `machine` is not used: its jobs see the runner's own system
      `docker_layer_caching` means nothing here: the runner's own engine keeps its layers
    booking_service.yml: 2 jobs
    compiler_matrix.yml: 10 jobs
    data_pipeline.yml: 1 jobs
    desktop_app.yml: 5 jobs
    docker_publish.yml: 4 jobs
      the image of a `machine` is not used: its jobs see the runner's own system
      `docker_layer_caching` means nothing here: the runner's own engine keeps its layers
    expressions.yml: 4 jobs
    fan_out.yml: 8 jobs
      the image of a `machine` is not used: its jobs see the runner's own system
    firmware.yml: 7 jobs
    first_version.yml: 1 jobs
      `branches` of a job is an old word for `filters` of a workflow's job
      the step `deploy` is an old word for `run`
    from_windows.yml: 1 jobs
    go_service.yml: 3 jobs
    inline_orbs.yml: 5 jobs
      the orb `under-test` is never used
    legacy_suite.yml: 3 jobs
      the step `deploy` is an old word for `run`
    misindented.yml: refused
      a step has one key, this one has `run`, `name`, `command`
      `filters` means nothing in a job
      there is no step `mkdocs gh-deploy`
      `requires` stands beside the job `publish`, and is read as if it stood below
    monorepo_services.yml: 2 jobs
    monorepo_setup.yml: 1 jobs
    nightly.yml: 5 jobs
      the schedule `30 1 * * 1-5`: CircleCI takes no ranges of days in schedules
    old_ruby.yml: 2 jobs
      `paths` means nothing in `restore_cache`
      `description` means nothing in `run`
      `owner` means nothing in a job
    own_words.yml: 4 jobs
    plain_site.yml: 1 jobs
      `branches` of a job is an old word for `filters` of a workflow's job
      job `links` is in no workflow
    release_by_tag.yml: 8 jobs
    reusable.yml: refused
      the orb `circleci/node@7.1.0` is not at hand
    rust_crate.yml: 6 jobs
      the image of a `machine` is not used: its jobs see the runner's own system
    setup.yml: 1 jobs
    statuses.yml: 10 jobs
      a job of the type `release` marks a release on CircleCI: here it just passes
      jobs of the types `lock` and `unlock` lock nothing here: they just pass
    terraform_live.yml: 12 jobs
    web_service.yml: 4 jobs
    web_shop.yml: 5 jobs
    yaml_1_1.yml: 7 jobs
    ");
}
