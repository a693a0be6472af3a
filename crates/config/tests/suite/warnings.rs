//! What runs, but perhaps not as its author thinks.

use insta::assert_snapshot;

use crate::{compile_one, plan, told};

#[test]
fn what_is_declared_and_never_used() {
    let text = "\
version: 2.1
parameters:
  used: {type: boolean, default: false}
  unused: {type: boolean, default: false}
orbs:
  inline: {commands: {a: {parameters: {orb: {type: string, default: a}}, steps: [checkout]}}}
commands:
  greet:
    parameters: {to: {type: string}, command: {type: string, default: a}}
    steps: [{run: echo << parameters.to >>}]
executors:
  image:
    parameters: {tag: {type: string}, executor: {type: string, default: a}}
    docker: [{image: \"a:<< parameters.tag >>\"}]
job-groups: {group: {jobs: [build: {v: a}]}}
jobs:
  build:
    parameters: {v: {type: string}, job: {type: string, default: a}}
    executor: {name: image, tag: << parameters.v >>}
    steps: [{greet: {to: you}}, inline/a]
  idle: {parameters: {v: {type: string}}, machine: true, steps: [{run: << parameters.v >>}]}
workflows:
  w: {when: pipeline.parameters.used or true, jobs: [{build: {v: a}}]}
";
    assert_snapshot!(told(&compile_one(text)), @"
    warning: the pipeline's parameter `unused` is never used
      ci.yml:4:3
    4 │   unused: {type: boolean, default: false}
      │   ^^^^^^ whatever it is given, nothing changes

    warning: the parameter `orb` of the command `a` is never used
      ci.yml:6:40
    6 │   inline: {commands: {a: {parameters: {orb: {type: string, default: a}}, steps: [checkout]}}}
      │                                        ^^^

    warning: the parameter `command` of the command `greet` is never used
      ci.yml:9:38
    9 │     parameters: {to: {type: string}, command: {type: string, default: a}}
      │                                      ^^^^^^^

    warning: the parameter `executor` of the executor `image` is never used
      ci.yml:13:39
    13 │     parameters: {tag: {type: string}, executor: {type: string, default: a}}
       │                                       ^^^^^^^^

    warning: the group `group` is never used
      ci.yml:15:14
    15 │ job-groups: {group: {jobs: [build: {v: a}]}}
       │              ^^^^^

    warning: the parameter `job` of the job `build` is never used
      ci.yml:18:37
    18 │     parameters: {v: {type: string}, job: {type: string, default: a}}
       │                                     ^^^

    warning: job `idle` is in no workflow
      ci.yml:21:3
    21 │   idle: {parameters: {v: {type: string}}, machine: true, steps: [{run: << parameters.v >>}]}
       │   ^^^^ it never runs
    ");
}

#[test]
fn uses_of_parameters_of_all_kinds() {
    plan(
        "\
version: 2.1
parameters: {flow: {type: boolean, default: true}, filter: {type: string, default: a}, version: {type: string, default: b}}
commands:
  all:
    parameters:
      key: {type: string, default: A}
      section: {type: boolean, default: true}
      expression: {type: integer, default: 1}
      condition: {type: boolean, default: true}
      steps: {type: steps, default: [checkout]}
      text: {type: string, default: a}
    steps:
      - run:
          command: a <<# parameters.section >>b<</ parameters.section >>
          environment: {<< parameters.key >>: a}
          name: << parameters.expression > 1 and \"a\" or \"b\" >>
      - when: {condition: {not: << parameters.condition >>}, steps: << parameters.steps >>}
      - run: {command: \"echo <<parameters.text>>\"}
jobs:
  build: {parameters: {axis: {type: string, default: a}}, machine: true, steps: [all]}
workflows:
  left-out: {when: false, jobs: [build: {matrix: {parameters: {axis: [b, c]}}}]}
  w:
    when: << pipeline.parameters.flow >>
    jobs: [{build: {filters: pipeline.parameters.filter == \"a\", context: << pipeline.parameters.version >>}}]
",
    );
}

#[test]
fn a_setup_config_hands_its_parameters_on() {
    plan(
        "\
version: 2.1
setup: true
parameters: {deep: {type: boolean, default: false}}
jobs: {build: {machine: true, steps: [checkout]}}
workflows: {w: {jobs: [build]}}
",
    );
}

#[test]
fn filters_without_only() {
    let text = "\
version: 2.1
jobs: {build: {machine: true, steps: [checkout]}}
workflows:
  w:
    jobs:
      - build: {filters: {branches: main, tags: [/v.*/, a]}}
";
    assert_snapshot!(told(&compile_one(text)), @"
    warning: `branches` is read as its `only`
      ci.yml:6:27
    6 │       - build: {filters: {branches: main, tags: [/v.*/, a]}}
      │                           ^^^^^^^^ write `branches: {only: …}`

    warning: `tags` is read as its `only`
      ci.yml:6:43
    6 │       - build: {filters: {branches: main, tags: [/v.*/, a]}}
      │                                           ^^^^ write `tags: {only: …}`
    ");
}

#[test]
fn the_new_language_in_a_config_of_the_old_version() {
    let text = "\
version: 2
commands: {greet: {steps: [{run: echo}]}}
parameters: {a: {type: string, default: b}}
jobs: {build: {machine: true, steps: [checkout]}}
";
    assert_snapshot!(told(&compile_one(text)), @"
    warning: `commands` mean nothing in version 2.0 of the language
      ci.yml:2:1
    2 │ commands: {greet: {steps: [{run: echo}]}}
      │ ^^^^^^^^ write `version: 2.1` at the top

    warning: `parameters` mean nothing in version 2.0 of the language
      ci.yml:3:1
    3 │ parameters: {a: {type: string, default: b}}
      │ ^^^^^^^^^^ write `version: 2.1` at the top
    ");
}
