//! What right configs mean.

use insta::assert_snapshot;
use model::{OutcomeKind, RunsIn, StepAction, StepWhen};

use config::Inputs;

use crate::{compile_one, file, outline, plan, told, with_steps};

#[test]
fn two_in_parallel_and_one_after_both() {
    let plan = plan(
        "\
version: 2
jobs:
  deploy:
    docker: [{image: cimg/base:stable}]
    steps:
      - run: ./deploy
  build:
    docker: [{image: cimg/base:stable}]
    steps:
      - checkout
      - run: make
  test:
    machine: true
    steps:
      - checkout:
          path: src
      - run: make test
workflows:
  version: 2
  ci:
    jobs:
      - deploy:
          requires:
            - test
            - build
      - build
      - test
",
    );
    assert_snapshot!(outline(&plan), @r#"
    ci:
      build on cimg/base:stable: checkout, "make"
      test on machine: checkout to src, "make test"
      deploy on cimg/base:stable after test {Success}, build {Success}: "./deploy"
    "#);
}

#[test]
fn all_that_a_job_can_say() {
    let compiled = compile_one(
        "\
version: '2.1'
jobs:
  build:
    docker:
      - image: python:3.10
        user: root
        environment: {A: a}
      - image: postgres:16
    environment: {B: b}
    working_directory: ~/src
    shell: /bin/sh -eu
    steps:
      - run:
          name: Tests
          command: pytest
          environment: {C: c}
          working_directory: sub
          shell: python
          when: always
      - run: {command: report, when: on_fail}
",
    );
    assert_snapshot!(told(&compiled), @"");
    let plan = compiled.plan.unwrap();
    let (_, job) = plan.jobs().next().unwrap();
    let build = job.build().unwrap();
    let RunsIn::Containers(images) = &build.runs_in else {
        panic!("{job:?}");
    };
    let steps = &build.steps;
    assert_eq!(images.len(), 2);
    assert_eq!(images[0].image, "python:3.10");
    assert_eq!(images[0].user.as_deref(), Some("root"));
    assert_eq!(images[0].environment, [("A".into(), "a".into())]);
    assert_eq!(build.environment, [("B".into(), "b".into())]);
    assert_eq!(build.working_directory, "~/src");
    assert_eq!(build.shell.as_deref(), Some("/bin/sh -eu"));
    assert_eq!(steps[0].name, "Tests");
    assert_eq!(steps[0].when, StepWhen::Always);
    let StepAction::Run(run) = &steps[0].action else {
        panic!("{steps:?}");
    };
    assert_eq!(run.command, "pytest");
    assert_eq!(run.environment, [("C".into(), "c".into())]);
    assert_eq!(run.working_directory.as_deref(), Some("sub"));
    assert_eq!(run.shell.as_deref(), Some("python"));
    assert_eq!(
        (steps[1].name.as_str(), steps[1].when),
        ("report", StepWhen::OnFail)
    );
}

#[test]
fn what_tells_of_a_failure_is_kept_after_one_unless_the_config_says_other() {
    let written = with_steps(
        "      - store_artifacts: {path: a}
      - store_test_results: {path: a}
      - store_artifacts: {path: a, when: on_success}
      - store_test_results: {path: a, when: on_fail}
      - save_cache: {key: a, paths: [a]}
      - persist_to_workspace: {root: a, paths: [a]}
",
    );
    let whens = |text: &str| {
        let plan = plan(text);
        let (_, job) = plan.jobs().next().unwrap();
        job.steps().iter().map(|step| step.when).collect::<Vec<_>>()
    };
    let expected = [
        StepWhen::Always,
        StepWhen::Always,
        StepWhen::OnSuccess,
        StepWhen::OnFail,
        StepWhen::OnSuccess,
        StepWhen::OnSuccess,
    ];
    assert_eq!(whens(&written), expected);
    let processed = config::process(&file("ci.yml", &written), &Inputs::default());
    assert_eq!(whens(&processed.text.unwrap()), expected);
}

#[test]
fn defaults_of_a_job() {
    let plan = plan(&with_steps(
        "      - run: |\n\n          make all\n          make\n",
    ));
    let (workflow, job) = plan.jobs().next().unwrap();
    assert_eq!(workflow.name, "workflow");
    assert_eq!(job.steps()[0].name, "make all");
    let build = job.build().unwrap();
    assert_eq!(build.working_directory, "~/project");
    assert_eq!(build.shell, None);
}

#[test]
fn working_directories_begin_at_the_root_or_at_home() {
    for (written, meant) in [
        ("/go/src/app/", "/go/src/app"),
        ("~/src", "~/src"),
        ("'~'", "~"),
        ("~", "~/project"),
        ("src", "~/src"),
        ("./src", "~/src"),
        ("''", "~/project"),
    ] {
        let steps = with_steps("      - checkout\n");
        let plan = plan(&format!("{steps}    working_directory: {written}\n"));
        let (_, job) = plan.jobs().next().unwrap();
        assert!(
            job.build()
                .is_some_and(|build| build.working_directory == meant),
            "{written}: {job:?}"
        );
    }
    for refused in ["/", "~/../x", "..", "~root/x"] {
        let steps = with_steps("      - checkout\n");
        let compiled = compile_one(format!("{steps}    working_directory: {refused}\n"));
        assert_eq!(compiled.plan, None, "{refused}");
    }
}

#[test]
fn forms_of_machine() {
    for machine in ["true", "default", "{image: ubuntu-2404}", "{enabled: true}"] {
        let text = with_steps("      - checkout\n")
            .replace("machine: true", &format!("machine: {machine}"));
        let compiled = compile_one(&text);
        let plan = compiled.plan.unwrap();
        assert_eq!(outline(&plan), "workflow:\n  build on machine: checkout");
    }
}

#[test]
fn steps_may_be_one_word() {
    let plan = plan("version: 2.1\njobs: {build: {machine: true, steps: checkout}}\n");
    assert_eq!(outline(&plan), "workflow:\n  build on machine: checkout");
}

#[test]
fn requires_with_statuses() {
    let plan = plan(
        "\
version: 2.1
jobs:
  build: {machine: true, steps: [checkout]}
workflows:
  ci:
    jobs:
      - build
      - gate: {type: approval, requires: [build]}
      - build: {name: after, requires: [gate, build: [failed, canceled]]}
      - build: {name: never, requires: [build: not_run]}
      - build: {name: any, requires: [build: terminal]}
",
    );
    assert_snapshot!(outline(&plan), @r"
    ci:
      build on machine: checkout
      gate (approval) after build {Success}
      after on machine after gate {Success}, build {Failure, Error, Canceled}: checkout
      never on machine after build {Skipped}: checkout
      any on machine after build {Success, Failure, Error, Canceled, Skipped}: checkout
    ");
    let terminal = &plan.workflows[0].jobs[4].requires[0].outcomes;
    assert!(terminal.contains(&OutcomeKind::Skipped));
}

#[test]
fn a_job_used_twice_gets_numbers() {
    let plan = plan(
        "\
version: 2.1
jobs:
  build: {machine: true, steps: [checkout]}
  build-1: {machine: true, steps: [run: other]}
workflows:
  ci:
    jobs: [build, build-1, build, {build: {name: named}}]
  nightly:
    jobs: [build]
",
    );
    assert_snapshot!(outline(&plan), @r#"
    ci:
      build-2 on machine: checkout
      build-1 on machine: "other"
      build-3 on machine: checkout
      named on machine: checkout
    nightly:
      build on machine: checkout
    "#);
}

#[test]
fn without_workflows_the_job_build_runs() {
    let compiled = compile_one(
        "\
version: 2.1
jobs:
  lint: {machine: true, steps: [run: lint]}
  build: {machine: true, steps: [run: build]}
",
    );
    assert_snapshot!(told(&compiled), @r"
    warning: job `lint` is in no workflow
      ci.yml:3:3
    3 │   lint: {machine: true, steps: [run: lint]}
      │   ^^^^ it never runs
    ");
    assert_snapshot!(outline(&compiled.plan.unwrap()), @r#"
    workflow:
      build on machine: "build"
    "#);
}

#[test]
fn several_files_are_one_pipeline() {
    let job = |name: &str| {
        format!("version: 2.1\njobs: {{{name}: {{machine: true, steps: [run: {name}]}}}}\n")
    };
    let compiled = config::compile(
        &[
            file(
                ".popsicle/build.yml",
                job("build") + "workflows: {ci: {jobs: [build]}}\n",
            ),
            file(".popsicle/lint.yaml", job("check")),
        ],
        &Inputs::default(),
    );
    assert_eq!(told(&compiled), "");
    assert_snapshot!(outline(&compiled.plan.unwrap()), @r#"
    ci:
      build on machine: "build"
    lint:
      check on machine: "check"
    "#);
}

#[test]
fn faults_of_all_files_are_told() {
    let compiled = config::compile(
        &[
            file(".popsicle/a.yml", "[]"),
            file(".popsicle/b.yml", with_steps("      - checkout\n")),
            file(".popsicle/c.yml", "jobs: {"),
        ],
        &Inputs::default(),
    );
    assert_eq!(compiled.plan, None);
    let paths: Vec<_> = compiled
        .diagnostics
        .iter()
        .map(|d| d.path.as_str())
        .collect();
    assert_eq!(paths, [".popsicle/a.yml", ".popsicle/c.yml"]);
}

#[test]
fn an_extra_key_at_the_top_is_fine_and_a_missing_version_is_told() {
    let text = with_steps("      - checkout\n").replace("version: 2.1\n", "aliases: [&x y]\n");
    let compiled = compile_one(text);
    assert!(compiled.plan.is_some());
    assert_snapshot!(told(&compiled), @r"
    warning: the config does not say its `version`
      ci.yml:1:1
    1 │ aliases: [&x y]
      │ ^ it is read as `version: 2.1`
    ");
}
