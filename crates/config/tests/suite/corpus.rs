//! Whole configs, as projects have them: each gets an answer, and one that blames what is at fault.
//!
//! Those in `tests/corpus/` are our own. `POPSICLE_CORPUS=<folder> cargo test -p config corpus` takes
//! configs of others besides, as many as there are.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use insta::assert_snapshot;

use crate::compile_one;

/// Configs of others that are wrong by themselves: pieces that a `setup` config adds to before it runs
/// them.
const INCOMPLETE: &[&str] = &[
    // No workflows, and no job `build`.
    "OpenLineage__OpenLineage__continue_config.yml",
    // Jobs or orbs of another piece.
    "algas__circleci-split-example__continue.yml",
    "cypress-io__circleci-orb__test-deploy.yml",
    "electron__electron__config__base.yml",
    "giantswarm__backstage__custom.yml",
    // `filters` beside a workflow's job, not below it.
    "kedro-org__kedro__continue_config.yml",
];

fn configs(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    let mut paths: Vec<_> = entries
        .map(|entry| entry.expect("the folder can be read").path())
        .collect();
    paths.sort();
    paths
}

fn name(path: &Path) -> String {
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
      an entry of a workflow's `jobs` has one key, this one has `publish` and `requires`
    monorepo_services.yml: 1 jobs
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

#[test]
fn configs_of_others_are_refused_only_for_what_is_not_supported() {
    let Some(folder) = std::env::var_os("POPSICLE_CORPUS") else {
        return;
    };
    let paths = configs(Path::new(&folder));
    let mut compiled_count = 0;
    let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
    for path in &paths {
        let name = name(path);
        let compiled = compile_one(fs::read(path).unwrap());
        if compiled.plan.is_some() {
            compiled_count += 1;
        }
        for error in compiled.errors() {
            let is_known = error.message.contains("supported yet");
            assert!(
                is_known || INCOMPLETE.contains(&name.as_str()),
                "{name}: {error}"
            );
            if is_known {
                *reasons.entry(error.message.clone()).or_default() += 1;
            }
        }
    }
    println!(
        "{compiled_count} of {} configs compile; the others use:",
        paths.len()
    );
    for (reason, count) in reasons {
        println!("{count:5} {reason}");
    }
}
