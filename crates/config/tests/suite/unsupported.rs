//! What CircleCI has and Popsicle has not yet: told once each, with its place, never passed over.

use insta::assert_snapshot;

use crate::{compile_one, plan, refusal, told, with_steps};

#[test]
fn what_would_change_what_runs_is_refused() {
    assert_snapshot!(refusal(
        "\
version: 2.1
setup: true
orbs:
  node: circleci/node@5
parameters:
  deploy: {type: boolean, default: false}
executors:
  small: {docker: [{image: alpine}]}
commands:
  greet: {steps: [run: echo hi]}
jobs:
  build:
    executor: small
    steps:
      - greet
      - node/install
      - restore_cache: {key: a}
      - when: {condition: << pipeline.parameters.deploy >>, steps: [checkout]}
      - run: echo << pipeline.number >>
      - save_cache: {key: a, paths: [x]}
  mac:
    macos: {xcode: 15.0.0}
    steps: [checkout]
  hold:
    type: lock
workflows:
  ci:
    when: << pipeline.parameters.deploy >>
    triggers: [schedule: {cron: '0 0 * * *'}]
    jobs:
      - node/test
      - build:
          context: secrets
          filters: {branches: {only: main}}
          matrix: {parameters: {a: [1, 2]}}
          pre-steps: [checkout]
      - mac
      - hold
"
    ), @r"
    error: `setup` configs are not supported yet
      ci.yml:2:1
    2 │ setup: true
      │ ^^^^^

    error: `orbs` are not supported yet
      ci.yml:3:1
    3 │ orbs:
      │ ^^^^

    error: `parameters` are not supported yet
      ci.yml:5:1
    5 │ parameters:
      │ ^^^^^^^^^^

    error: `executors` are not supported yet
      ci.yml:7:1
    7 │ executors:
      │ ^^^^^^^^^ also in line 13

    error: `commands` are not supported yet
      ci.yml:9:1
    9 │ commands:
      │ ^^^^^^^^

    error: the step `restore_cache` is not supported yet
      ci.yml:17:9
    17 │       - restore_cache: {key: a}
       │         ^^^^^^^^^^^^^

    error: `when` and `unless` are not supported yet
      ci.yml:18:9
    18 │       - when: {condition: << pipeline.parameters.deploy >>, steps: [checkout]}
       │         ^^^^ also in line 28

    error: `<< … >>` expressions are not supported yet
      ci.yml:19:14
    19 │       - run: echo << pipeline.number >>
       │              ^^^^^^^^^^^^^^^^^^^^^^^^^^

    error: the step `save_cache` is not supported yet
      ci.yml:20:9
    20 │       - save_cache: {key: a, paths: [x]}
       │         ^^^^^^^^^^

    error: `macos` jobs are not supported yet
      ci.yml:22:5
    22 │     macos: {xcode: 15.0.0}
       │     ^^^^^

    error: only jobs of type `build` and `approval` are supported yet
      ci.yml:25:11
    25 │     type: lock
       │           ^^^^

    error: `triggers` are not supported yet
      ci.yml:29:5
    29 │     triggers: [schedule: {cron: '0 0 * * *'}]
       │     ^^^^^^^^

    error: `context` is not supported yet
      ci.yml:33:11
    33 │           context: secrets
       │           ^^^^^^^

    error: `filters` are not supported yet
      ci.yml:34:11
    34 │           filters: {branches: {only: main}}
       │           ^^^^^^^

    error: `matrix` is not supported yet
      ci.yml:35:11
    35 │           matrix: {parameters: {a: [1, 2]}}
       │           ^^^^^^

    error: `pre-steps` and `post-steps` are not supported yet
      ci.yml:36:11
    36 │           pre-steps: [checkout]
       │           ^^^^^^^^^
    ");
}

#[test]
fn what_would_not_is_only_told() {
    let compiled = compile_one(
        "\
version: 2.1
jobs:
  build:
    description: what it is for
    machine: {image: ubuntu-2404}
    resource_class: large
    parallelism: 4
    steps:
      - checkout
      - run: {command: make, no_output_timeout: 30m}
      - store_test_results: {path: out}
      - store_artifacts: {path: out}
",
    );
    assert!(compiled.plan.is_some());
    assert_snapshot!(told(&compiled), @r"
    warning: the image of a `machine` is not used: its jobs see the runner's own system
      ci.yml:5:22
    5 │     machine: {image: ubuntu-2404}
      │                      ^^^^^^^^^^^

    warning: `resource_class` is not supported yet: the job gets what the runner gives
      ci.yml:6:5
    6 │     resource_class: large
      │     ^^^^^^^^^^^^^^

    warning: `parallelism` is not supported yet: the job runs once
      ci.yml:7:5
    7 │     parallelism: 4
      │     ^^^^^^^^^^^

    warning: `no_output_timeout` is not supported yet: the server's own limit holds
      ci.yml:10:30
    10 │       - run: {command: make, no_output_timeout: 30m}
       │                              ^^^^^^^^^^^^^^^^^

    warning: the step `store_test_results` is not supported yet: nothing is stored
      ci.yml:11:9
    11 │       - store_test_results: {path: out}
       │         ^^^^^^^^^^^^^^^^^^

    warning: the step `store_artifacts` is not supported yet: nothing is stored
      ci.yml:12:9
    12 │       - store_artifacts: {path: out}
       │         ^^^^^^^^^^^^^^^
    ");
}

#[test]
fn version_2_0_has_no_expressions() {
    let text = with_steps("      - run: echo << parameters.x >> \\<<\n").replace("2.1", "2.0");
    let plan = plan(&text);
    let (_, job) = plan.jobs().next().unwrap();
    assert_eq!(job.steps()[0].name, "echo << parameters.x >> \\<<");
}
