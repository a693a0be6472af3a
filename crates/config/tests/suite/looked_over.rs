//! What nothing runs: all that is wrong with it whatever its parameters are given is told, nothing else.

use insta::assert_snapshot;

use config::{Inputs, OrbSource, Orbs, compile};

use crate::{compile_one, file, told};

/// A config with something in it that nothing uses.
fn with(unused: &str) -> String {
    format!(
        "version: 2.1\n{unused}workflows: {{w: {{jobs: [build]}}}}\njobs:\n  build: {{machine: true, steps: [checkout]}}\n"
    )
}

#[test]
fn bodies_with_parameters() {
    let text = with(
        "\
commands:
  greet:
    parameters:
      to: {type: string}
      loud: {type: boolean, default: false}
      after: {type: steps, default: [{run: {comand: make}}]}
    steps:
      - run: echo << parameters.whom >>
      - when:
          condition: << parameters.loud >>
          steps:
            - run: {command: shout, shel: bash}
      - unless:
          condition: {equal: [<< parameters.to >>, me]}
          steps: [nosuch, {tell: {who: << parameters.to >>, often: many}}]
      - steps: << parameters.after >>
  tell:
    parameters: {whom: {type: string}, often: {type: integer, default: 1}}
    steps: [{run: {name: << parameters.whom >>}}]
executors:
  image:
    parameters: {tag: {type: string}}
    docker: [{image: \"a:<< parameters.tag >>\", enviroment: {A: b}}]
",
    );
    assert_snapshot!(told(&compile_one(text)), @r#"
    error: `run` has no `command`
      ci.yml:7:45
    7 │       after: {type: steps, default: [{run: {comand: make}}]}
      │                                             ^^^^^^ did you mean `command`?

    error: there is no parameter `whom` here
      ci.yml:9:19
    9 │       - run: echo << parameters.whom >>
      │                   ^^^^^^^^^^^^^^^^^^^^^ declare it under `parameters`

    error: `shel` means nothing in `run`
      ci.yml:13:37
    13 │             - run: {command: shout, shel: bash}
       │                                     ^^^^ did you mean `shell`?

    warning: there is no step `nosuch`
      ci.yml:16:19
    16 │           steps: [nosuch, {tell: {who: << parameters.to >>, often: many}}]
       │                   ^^^^^^ write `- run: …` for a command

    warning: command `tell` needs the parameter `whom`
      ci.yml:16:28
    16 │           steps: [nosuch, {tell: {who: << parameters.to >>, often: many}}]
       │                            ^^^^ add `whom: …`
      ci.yml:19:18
    19 │     parameters: {whom: {type: string}, often: {type: integer, default: 1}}
       │                  ^^^^ it is declared here

    warning: command `tell` has no parameter `who`
      ci.yml:16:35
    16 │           steps: [nosuch, {tell: {who: << parameters.to >>, often: many}}]
       │                                   ^^^ did you mean `whom`?

    warning: the parameter `often` of command `tell` must be a whole number, not a string (`many`)
      ci.yml:16:68
    16 │           steps: [nosuch, {tell: {who: << parameters.to >>, often: many}}]
       │                                                                    ^^^^
      ci.yml:19:40
    19 │     parameters: {whom: {type: string}, often: {type: integer, default: 1}}
       │                                        ^^^^^ it is declared here

    error: `run` has no `command`
      ci.yml:20:14
    20 │     steps: [{run: {name: << parameters.whom >>}}]
       │              ^^^
      ci.yml:16:28
    16 │           steps: [nosuch, {tell: {who: << parameters.to >>, often: many}}]
       │                            ^^^^ the command `tell` is used here

    error: `enviroment` means nothing in an image
      ci.yml:24:48
    24 │     docker: [{image: "a:<< parameters.tag >>", enviroment: {A: b}}]
       │                                                ^^^^^^^^^^ did you mean `environment`?
    "#);
}

#[test]
fn steps_whose_condition_does_not_hold() {
    let text = "\
version: 2.1
parameters: {deep: {type: boolean, default: false}}
commands:
  check:
    parameters: {hard: {type: boolean}}
    steps:
      - run: make
      - when:
          condition: << parameters.hard >>
          steps:
            - run: {comand: make hard}
            - polish: {gently: << parameters.hard >>}
jobs:
  build:
    machine: true
    steps:
      - check: {hard: false}
      - check: {hard: false}
      - when:
          condition: << pipeline.parameters.deep >>
          steps: [{save_cache: {kye: a, paths: [b]}}, {run: << pipeline.parameters.deeper >>}]
";
    assert_snapshot!(told(&compile_one(text)), @"
    error: `run` has no `command`
      ci.yml:11:21
    11 │             - run: {comand: make hard}
       │                     ^^^^^^ did you mean `command`?
      ci.yml:17:9
    17 │       - check: {hard: false}
       │         ^^^^^ the command `check` is used here

    warning: there is no step `polish`
      ci.yml:12:15
    12 │             - polish: {gently: << parameters.hard >>}
       │               ^^^^^^ write `- run: …` for a command
      ci.yml:17:9
    17 │       - check: {hard: false}
       │         ^^^^^ the command `check` is used here

    error: `save_cache` has no `key`
      ci.yml:21:33
    21 │           steps: [{save_cache: {kye: a, paths: [b]}}, {run: << pipeline.parameters.deeper >>}]
       │                                 ^^^ did you mean `key`?

    error: the pipeline has no parameter `deeper`
      ci.yml:21:61
    21 │           steps: [{save_cache: {kye: a, paths: [b]}}, {run: << pipeline.parameters.deeper >>}]
       │                                                             ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ did you mean `deep`?
    ");
}

#[test]
fn nothing_is_said_of_values_that_are_not_known() {
    let mut text = with(
        "\
parameters:
  image: {type: string, default: \"\"}
commands:
  all:
    parameters:
      flag: {type: boolean, default: false}
      number: {type: integer, default: 0}
      text: {type: string, default: \"\"}
      word: {type: enum, enum: [\"\", always], default: \"\"}
      variable: {type: env_var_name, default: A}
      executor: {type: executor, default: none}
      steps: {type: steps, default: []}
    steps:
      - run:
          command: << parameters.text >>
          name: << parameters.text >>
          when: << parameters.word >>
          background: << parameters.flag >>
          no_output_timeout: << parameters.text >>
          max_auto_reruns: << parameters.number >>
          auto_rerun_delay: << parameters.text >>
          environment:
            << parameters.variable >>: << parameters.text >>
            N: << parameters.number >>
          working_directory: << parameters.text >>
      - checkout: {path: << parameters.text >>, method: << parameters.word >>, depth: << parameters.number >>}
      - save_cache: {key: << parameters.text >>, paths: [<< parameters.text >>]}
      - save_cache: {key: \"{{ << parameters.text >> }}\", paths: << parameters.text >>}
      - restore_cache: {keys: [<< parameters.text >>]}
      - store_artifacts: {path: << parameters.text >>}
      - persist_to_workspace: {root: << parameters.text >>, paths: [<< parameters.text >>]}
      - << parameters.text >>
      - << parameters.text >>: {a: b}
      - run: <<# parameters.flag >>a<</ parameters.flag >>
      - when:
          condition: {matches: {pattern: << parameters.text >>, value: a}}
          steps: << parameters.steps >>
      - unless:
          condition: << parameters.text starts-with \"a\" and parameters.number > 3 >>
          steps: [{more: {number: << parameters.text >>, flag: << parameters.word >>, steps: << parameters.steps >>}}]
  more:
    parameters: {number: {type: integer}, flag: {type: boolean}, steps: {type: steps}}
    steps: << parameters.steps >>
executors:
  on: {parameters: {machine: {type: boolean}}, machine: << parameters.machine >>}
",
    );
    text.push_str(
        "  \
  every:
    parameters:
      executor: {type: executor}
      number: {type: integer}
      text: {type: string}
      steps: {type: steps}
    executor: << parameters.executor >>
    parallelism: << parameters.number >>
    resource_class: << parameters.text >>
    working_directory: << parameters.text >>
    retention: {caches: << parameters.text >>}
    environment: {A: << parameters.text >>}
    steps: << parameters.steps >>
  image:
    parameters: {image: {type: string, default: \"\"}, machine: {type: boolean}}
    docker: [{image: << parameters.image >>}, {image: << pipeline.parameters.image >>, entrypoint: << parameters.image >>}]
    steps:
      - when: {condition: << parameters.machine >>, steps: [checkout]}
",
    );
    assert_snapshot!(told(&compile_one(text)), @"
    warning: the command `all` is never used
      ci.yml:5:3
    5 │   all:
      │   ^^^

    warning: the parameter `executor` of the command `all` is never used
      ci.yml:12:7
    12 │       executor: {type: executor, default: none}
       │       ^^^^^^^^

    warning: the parameter `number` of the command `more` is never used
      ci.yml:43:18
    43 │     parameters: {number: {type: integer}, flag: {type: boolean}, steps: {type: steps}}
       │                  ^^^^^^

    warning: the parameter `flag` of the command `more` is never used
      ci.yml:43:43
    43 │     parameters: {number: {type: integer}, flag: {type: boolean}, steps: {type: steps}}
       │                                           ^^^^

    warning: the executor `on` is never used
      ci.yml:46:3
    46 │   on: {parameters: {machine: {type: boolean}}, machine: << parameters.machine >>}
       │   ^^

    warning: job `every` is in no workflow
      ci.yml:50:3
    50 │   every:
       │   ^^^^^ it never runs

    warning: job `image` is in no workflow
      ci.yml:63:3
    63 │   image:
       │   ^^^^^ it never runs
    ");
}

#[test]
fn a_group_of_jobs_that_no_workflow_uses() {
    let text = with(
        "\
job-groups:
  checks:
    jobs:
      - build
      - lint: {requires: [biuld], filter: {branches: {only: main}}}
",
    );
    assert_snapshot!(told(&compile_one(text)), @"
    warning: the group `checks` is never used
      ci.yml:3:3
    3 │   checks:
      │   ^^^^^^

    warning: workflow `checks` runs `lint`, which is not in `jobs`
      ci.yml:6:9
    6 │       - lint: {requires: [biuld], filter: {branches: {only: main}}}
      │         ^^^^ for an approval, add `type: approval`

    warning: the job `lint` of a group requires `biuld`, which is not in the group
      ci.yml:6:27
    6 │       - lint: {requires: [biuld], filter: {branches: {only: main}}}
      │                           ^^^^^ let the use of the group require it
    ");
}

#[test]
fn what_is_used_elsewhere_is_an_error() {
    let text = "\
version: 2.1
commands:
  tell: {steps: [nosuch]}
  unused: {steps: [tell]}
jobs:
  build:
    parameters: {tell: {type: boolean, default: true}}
    machine: true
    steps:
      - unless: {condition: << parameters.tell >>, steps: [tell]}
      - when: {condition: << parameters.tell >>, steps: [tell]}
";
    assert_snapshot!(told(&compile_one(text)), @"
      error: there is no step `nosuch`
        ci.yml:3:18
       3 │   tell: {steps: [nosuch]}
         │                  ^^^^^^ write `- run: …` for a command
        ci.yml:10:60
      10 │       - unless: {condition: << parameters.tell >>, steps: [tell]}
         │                                                            ^^^^ the command `tell` is used here
      ");
}

/// An orb, whatever it is called.
struct One(&'static str);

impl Orbs for One {
    fn source(&self, reference: &str) -> Result<OrbSource, String> {
        Ok(OrbSource {
            name: reference.to_owned(),
            text: self.0.as_bytes().to_vec(),
        })
    }
}

#[test]
fn orbs_that_are_imported_are_for_those_who_ask() {
    let orb = One("\
version: 2.1
commands:
  used: {steps: [{when: {condition: false, steps: [{run: {comand: a}}]}}, {run: b}]}
  greet:
    parameters: {to: {type: string}}
    steps: [{run: {comand: echo}}, nosuch, {run: << pipeline.parameters.a >>}]
");
    let text = "\
version: 2.1
orbs:
  it: acme/it@1.0.0
  inline: {commands: {a: {steps: [{run: {comand: make}}, nosuch]}}}
jobs: {build: {machine: true, steps: [it/used]}}
";
    let config = [file("ci.yml", text)];
    let inputs = Inputs {
        orbs: Some(&orb),
        ..Inputs::default()
    };
    assert_snapshot!(told(&compile(&config, &inputs)), @"
        error: `run` has no `command`
          ci.yml:4:42
        4 │   inline: {commands: {a: {steps: [{run: {comand: make}}, nosuch]}}}
          │                                          ^^^^^^ did you mean `command`?

        warning: there is no step `nosuch`
          ci.yml:4:58
        4 │   inline: {commands: {a: {steps: [{run: {comand: make}}, nosuch]}}}
          │                                                          ^^^^^^ write `- run: …` for a command
        ");
    let inputs = Inputs {
        orb_bodies: true,
        ..inputs
    };
    assert_snapshot!(told(&compile(&config, &inputs)), @"
        error: `run` has no `command`
          ci.yml:4:42
        4 │   inline: {commands: {a: {steps: [{run: {comand: make}}, nosuch]}}}
          │                                          ^^^^^^ did you mean `command`?

        error: there is no step `nosuch`
          ci.yml:4:58
        4 │   inline: {commands: {a: {steps: [{run: {comand: make}}, nosuch]}}}
          │                                                          ^^^^^^ write `- run: …` for a command

        error: `run` has no `command`
          acme/it@1.0.0:3:59
        3 │   used: {steps: [{when: {condition: false, steps: [{run: {comand: a}}]}}, {run: b}]}
          │                                                           ^^^^^^ did you mean `command`?
          ci.yml:5:39
        5 │ jobs: {build: {machine: true, steps: [it/used]}}
          │                                       ^^^^^^^ the command `it/used` is used here

        error: `run` has no `command`
          acme/it@1.0.0:6:20
        6 │     steps: [{run: {comand: echo}}, nosuch, {run: << pipeline.parameters.a >>}]
          │                    ^^^^^^ did you mean `command`?

        error: there is no step `nosuch`
          acme/it@1.0.0:6:36
        6 │     steps: [{run: {comand: echo}}, nosuch, {run: << pipeline.parameters.a >>}]
          │                                    ^^^^^^ write `- run: …` for a command

        error: an orb has no parameters of the pipeline: `pipeline.parameters.a`
          acme/it@1.0.0:6:50
        6 │     steps: [{run: {comand: echo}}, nosuch, {run: << pipeline.parameters.a >>}]
          │                                                  ^^^^^^^^^^^^^^^^^^^^^^^^^^^ give it to a parameter of the orb's
        ");
}

/// Looking over has limits of its own, and nothing is refused for them.
#[test]
fn more_than_is_looked_over() {
    let mut unused = "commands:\n".to_owned();
    for n in 0..4_000 {
        unused.push_str(&format!(
            "  c{n}: {{parameters: {{a: {{type: string}}}}, steps: [{{run: a<< parameters.a >>}}, {{run: b<< parameters.a >>}}, again, again, again, again, again, again, again, {{run: {{comand: c}}}}]}}\n"
        ));
    }
    unused.push_str("  again: {steps: [checkout]}\n");
    let compiled = compile_one(with(&unused));
    assert!(compiled.plan.is_some(), "{}", told(&compiled));
}

#[test]
fn the_order_of_what_is_told_does_not_depend_on_chance() {
    let orb = One("commands: {b: {steps: [{run: {x: a}}]}, a: {steps: [{run: {y: a}}]}}");
    let names = ["a", "b", "c", "d", "e"];
    let orbs = names.map(|name| format!("{name}: acme/{name}@1.0.0"));
    let commands = names.map(|name| format!("{name}: {{steps: [checkout]}}"));
    let text = format!(
        "version: 2.1\norbs: {{{}}}\ncommands: {{{}}}\njobs: {{build: {{machine: true, steps: [checkout]}}}}\n\
         workflows: {{w: {{jobs: [build]}}}}",
        orbs.join(", "),
        commands.join(", ")
    );
    let config = [file("ci.yml", text)];
    for orb_bodies in [false, true] {
        let inputs = Inputs {
            orbs: Some(&orb),
            orb_bodies,
            ..Inputs::default()
        };
        let first = compile(&config, &inputs);
        assert!(first.diagnostics.len() > 5);
        for _ in 0..10 {
            assert_eq!(compile(&config, &inputs), first);
        }
    }
}
