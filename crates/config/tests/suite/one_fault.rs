//! One fault, one error: what follows from a fault is not told besides. And each with what was meant.

use insta::assert_snapshot;

use crate::refusal;

#[test]
fn parameters_whose_declaration_is_wrong() {
    let text = "\
version: 2.1
parameters:
  deep: {type: strng, default: a}
commands:
  greet:
    parameters:
      to: {type: strin}
      how: {default: loud}
      who: string
      b@d: {type: string}
      pick: {type: enum}
    steps:
      - run: echo << parameters.to >> << parameters.how >> << parameters.who >> << parameters.pick >>
  other:
    parameters: [a, b]
    steps: [{run: echo << parameters.a >>}]
jobs:
  build:
    machine: true
    steps:
      - greet: {to: you, who: me, pick: a}
      - greet: {to: << pipeline.parameters.deep >>}
      - other: {a: b}
";
    assert_snapshot!(refusal(text), @"
    error: there is no type of parameters `strng`
      ci.yml:3:16
    3 │   deep: {type: strng, default: a}
      │                ^^^^^ did you mean `string`?

    error: there is no type of parameters `strin`
      ci.yml:7:18
    7 │       to: {type: strin}
      │                  ^^^^^ did you mean `string`?

    error: the parameter `how` has no `type`
      ci.yml:8:7
    8 │       how: {default: loud}
      │       ^^^ write `type: string` below it

    error: the parameter `who` must be a map with a `type`, not a string
      ci.yml:9:7
    9 │       who: string
      │       ^^^ write `type: string` below it

    error: `b@d` can't be the name of a parameter
      ci.yml:10:7
    10 │       b@d: {type: string}
       │       ^^^ begin with a letter, and use letters, digits, `_` and `-`

    error: the parameter `pick` has no list of choices
      ci.yml:11:7
    11 │       pick: {type: enum}
       │       ^^^^ write `enum: [one, other]` below it

    error: `parameters` must be a map, not a list
      ci.yml:15:5
    15 │     parameters: [a, b]
       │     ^^^^^^^^^^
    ");
}

#[test]
fn matrices_that_are_wrong() {
    let text = "\
version: 2.1
jobs:
  test:
    parameters: {v: {type: string}}
    machine: true
    steps: [run: echo << parameters.v >>]
  deploy: {machine: true, steps: [checkout]}
workflows:
  w:
    jobs:
      - test:
          matrix: {parameters: {v: \"1\"}}
      - deploy: {requires: [test]}
  x:
    jobs:
      - test: {name: t, matrix: {v: [a]}}
      - deploy: {requires: [t]}
  y:
    jobs:
      - test: {name: \"t-<< matrix.v >>\", matrix: {alias: all, parameters: {v: [a, b], w: [c]}}}
      - deploy: {requires: [all]}
";
    assert_snapshot!(refusal(text), @r#"
    error: `v` of a `matrix` must be a list of values
      ci.yml:12:36
    12 │           matrix: {parameters: {v: "1"}}
       │                                    ^^^ write it as `[one, other]`

    error: this `matrix` has no `parameters`
      ci.yml:16:25
    16 │       - test: {name: t, matrix: {v: [a]}}
       │                         ^^^^^^ write `parameters: {version: ["1", "2"]}` in it

    error: job `test` has no parameter `w`
      ci.yml:20:91
    20 │       - test: {name: "t-<< matrix.v >>", matrix: {alias: all, parameters: {v: [a, b], w: [c]}}}
       │                                                                                           ^ it has `v`
    "#);
}

#[test]
fn types_that_a_workflow_does_not_take() {
    let text = "\
version: 2.1
jobs:
  build: {machine: true, steps: [checkout]}
workflows:
  w:
    jobs:
      - hold: {type: aproval}
      - build: {requires: [hold]}
  x:
    jobs:
      - hold: {type: build}
      - wait: {type: no-op}
      - build: {requires: [hold, wait], type: release}
";
    assert_snapshot!(refusal(text), @"
    error: a workflow can't make `hold` a job of the type `aproval`
      ci.yml:7:9
    7 │       - hold: {type: aproval}
      │         ^^^^ did you mean `approval`?

    error: a workflow can't make `hold` a job of the type `build`
      ci.yml:11:9
    11 │       - hold: {type: build}
       │         ^^^^ only `type: approval` may stand here: say the others in `jobs`

    error: a workflow can't make `wait` a job of the type `no-op`
      ci.yml:12:9
    12 │       - wait: {type: no-op}
       │         ^^^^ only `type: approval` may stand here: say the others in `jobs`

    error: a workflow can't make `build` a job of the type `release`
      ci.yml:13:9
    13 │       - build: {requires: [hold, wait], type: release}
       │         ^^^^^ only `type: approval` may stand here: say the others in `jobs`
    ");
}

#[test]
fn arguments_that_are_wrong() {
    let text = "\
version: 2.1
commands:
  greet:
    parameters: {n: {type: integer}, flag: {type: boolean}, to: {type: string}, w: {type: enum, enum: [a, b]}}
    steps:
      - run: {command: echo << parameters.to >>, no_output_timeout: << parameters.n >>m, when: << parameters.w >>}
      - when: {condition: << parameters.flag >>, steps: [again: {n: << parameters.n >>}]}
  again:
    parameters: {n: {type: integer}}
    steps: [run: {command: a, max_auto_reruns: << parameters.n >>}]
jobs:
  build:
    machine: true
    steps:
      - greet: {n: many, flag: 12, to: << parameters.nope >>, w: c}
      - greet: {n: << nope >>, flag: << pipeline.nope >>, to: a, w: << matrix.w >>}
";
    assert_snapshot!(refusal(text), @r"
    error: the parameter `n` of command `greet` must be a whole number, not a string (`many`)
      ci.yml:15:20
    15 │       - greet: {n: many, flag: 12, to: << parameters.nope >>, w: c}
       │                    ^^^^
      ci.yml:4:18
     4 │     parameters: {n: {type: integer}, flag: {type: boolean}, to: {type: string}, w: {type: enum, enum: [a, b]}}
       │                  ^ it is declared here

    error: the parameter `flag` of command `greet` must be a boolean, not a number (`12`)
      ci.yml:15:32
    15 │       - greet: {n: many, flag: 12, to: << parameters.nope >>, w: c}
       │                                ^^
      ci.yml:4:38
     4 │     parameters: {n: {type: integer}, flag: {type: boolean}, to: {type: string}, w: {type: enum, enum: [a, b]}}
       │                                      ^^^^ it is declared here

    error: there is no parameter `nope` here
      ci.yml:15:40
    15 │       - greet: {n: many, flag: 12, to: << parameters.nope >>, w: c}
       │                                        ^^^^^^^^^^^^^^^^^^^^^ declare it under `parameters`

    error: the parameter `w` of command `greet` must be one of `a`, `b`, not a string (`c`)
      ci.yml:15:66
    15 │       - greet: {n: many, flag: 12, to: << parameters.nope >>, w: c}
       │                                                                  ^
      ci.yml:4:81
     4 │     parameters: {n: {type: integer}, flag: {type: boolean}, to: {type: string}, w: {type: enum, enum: [a, b]}}
       │                                                                                 ^ it is declared here

    error: there is no value `nope`
      ci.yml:16:20
    16 │       - greet: {n: << nope >>, flag: << pipeline.nope >>, to: a, w: << matrix.w >>}
       │                    ^^^^^^^^^^ values begin with `parameters.`, `pipeline.` or `matrix.`; write `\<<` for what is none

    error: there is no value `pipeline.nope`
      ci.yml:16:38
    16 │       - greet: {n: << nope >>, flag: << pipeline.nope >>, to: a, w: << matrix.w >>}
       │                                      ^^^^^^^^^^^^^^^^^^^

    error: there is no `matrix` here
      ci.yml:16:69
    16 │       - greet: {n: << nope >>, flag: << pipeline.nope >>, to: a, w: << matrix.w >>}
       │                                                                     ^^^^^^^^^^^^^^
    ");
}

#[test]
fn definitions_that_are_none() {
    let text = "\
version: 2.1
commands:
  a: [run]
  b: {}
executors:
  e: nothing
jobs:
  x: nothing
  y: {executor: e, steps: [a, b]}
  z:
workflows:
  w:
    jobs: [x, y: {requires: [x]}, z: {requires: [x]}]
";
    assert_snapshot!(refusal(text), @"
    error: the command `a` must be a map, not a list
      ci.yml:3:3
    3 │   a: [run]
      │   ^

    error: the command `b` has no `steps`
      ci.yml:4:3
    4 │   b: {}
      │   ^
      ci.yml:9:31
    9 │   y: {executor: e, steps: [a, b]}
      │                               ^ the command `b` is used here

    error: the executor `e` must be a map, not a string
      ci.yml:6:3
    6 │   e: nothing
      │   ^

    error: the job `x` must be a map, not a string
      ci.yml:8:3
    8 │   x: nothing
      │   ^

    error: job `z` does not say where it runs
      ci.yml:10:3
    10 │   z:
       │   ^ add `docker: [{image: …}]` or `machine: true`

    error: job `z` has no `steps`
      ci.yml:10:3
    10 │   z:
       │   ^ add `steps:` with at least one step
    ");
}

#[test]
fn values_that_a_parameter_brought() {
    let text = "\
version: 2.1
executors:
  e: {parameters: {class: {type: string}, image: {type: string, default: \"a b\"}}, docker: [{image: << parameters.image >>}]}
commands:
  cache:
    parameters:
      key: {type: string}
      timeout: {type: string, default: soon}
      when: {type: string, default: sometimes}
      n: {type: integer, default: 9}
    steps:
      - save_cache: {key: << parameters.key >>, paths: [a]}
      - run:
          command: a
          no_output_timeout: << parameters.timeout >>
          when: << parameters.when >>
          max_auto_reruns: << parameters.n >>
jobs:
  build:
    parameters: {p: {type: integer, default: 0}, x: {type: executor, default: nope}}
    parallelism: << parameters.p >>
    executor: << parameters.x >>
    steps:
      - checkout
      - cache:
          key: \"{{ nope }}\"
          timeout: \"7\"
  other:
    executor: {name: e, class: a}
    steps:
      - checkout
      - cache: {key: a, timeout: 5m, when: always, n: 1}
workflows:
  w:
    jobs:
      - build: {p: 1000}
      - other
";
    assert_snapshot!(refusal(text), @r#"
    error: `a b` can't be the name of an image
      ci.yml:3:74
    3 │   e: {parameters: {class: {type: string}, image: {type: string, default: "a b"}}, docker: [{image: << parameters.image >>}]}
      │                                                                          ^^^^^
      ci.yml:3:93
    3 │   e: {parameters: {class: {type: string}, image: {type: string, default: "a b"}}, docker: [{image: << parameters.image >>}]}
      │                                                                                             ^^^^^ it is used here

    error: `when` can't be `sometimes`
      ci.yml:9:37
     9 │       when: {type: string, default: sometimes}
       │                                     ^^^^^^^^^ it is `on_success`, `on_fail` or `always`
      ci.yml:16:11
    16 │           when: << parameters.when >>
       │           ^^^^ it is used here
      ci.yml:25:9
    25 │       - cache:
       │         ^^^^^ the command `cache` is used here
      ci.yml:36:9
    36 │       - build: {p: 1000}
       │         ^^^^^ the job `build` is used here

    error: `max_auto_reruns` must be at most 5
      ci.yml:10:35
    10 │       n: {type: integer, default: 9}
       │                                   ^
      ci.yml:17:11
    17 │           max_auto_reruns: << parameters.n >>
       │           ^^^^^^^^^^^^^^^ it is used here
      ci.yml:25:9
    25 │       - cache:
       │         ^^^^^ the command `cache` is used here
      ci.yml:36:9
    36 │       - build: {p: 1000}
       │         ^^^^^ the job `build` is used here

    error: there is no executor `nope`
      ci.yml:20:79
    20 │     parameters: {p: {type: integer, default: 0}, x: {type: executor, default: nope}}
       │                                                                               ^^^^ define it under `executors`
      ci.yml:22:5
    22 │     executor: << parameters.x >>
       │     ^^^^^^^^ it is used here
      ci.yml:36:9
    36 │       - build: {p: 1000}
       │         ^^^^^ the job `build` is used here

    error: the key `{{ nope }}` is wrong: there is no function `nope` in keys
      ci.yml:26:16
    26 │           key: "{{ nope }}"
       │                ^^^^^^^^^^^^ a key can have `.Branch`, `.BuildNum`, `.Revision`, `.CheckoutKey`, `.Environment.X`, `arch`, `epoch` and `checksum "file"`
      ci.yml:12:22
    12 │       - save_cache: {key: << parameters.key >>, paths: [a]}
       │                      ^^^ it is used here
      ci.yml:25:9
    25 │       - cache:
       │         ^^^^^ the command `cache` is used here
      ci.yml:36:9
    36 │       - build: {p: 1000}
       │         ^^^^^ the job `build` is used here

    error: `parallelism` must not be more than 256
      ci.yml:36:20
    36 │       - build: {p: 1000}
       │                    ^^^^
      ci.yml:21:5
    21 │     parallelism: << parameters.p >>
       │     ^^^^^^^^^^^ it is used here
      ci.yml:36:9
    36 │       - build: {p: 1000}
       │         ^^^^^ the job `build` is used here
    "#);
}

#[test]
fn keys_of_other_places_and_languages() {
    let text = "\
version: 2.1
executors:
  e: {docker: [{image: a, env: {A: b}}], env: {A: b}}
commands:
  c: {env: {A: b}, steps: [checkout]}
jobs:
  n:
    docker: [{image: a, envs: {A: b}, env: {A: b}}]
    filters: {branches: {only: main}}
    requires: [a]
    context: a
    env: {A: b}
    script: [a]
    if: a
    steps:
      - run: {command: a, timeout: 5m, env: {A: b}, cwd: a, if: a, retry: 3}
      - run: {script: a}
      - run: {cmd: a}
      - save_cache: {key: a, path: [b]}
      - restore_cache: {path: a}
      - store_artifacts: {paths: a}
      - persist_to_workspace: {path: a}
      - attach_workspace: {path: a}
      - uses: actions/checkout@v2
      - script: make
      - name: x
        run: y
  b: {image: a, steps: [checkout]}
  m: {machine: true, steps: [checkout]}
workflows:
  w:
    on: push
    jobs:
      - n
      - m: {requires: [x], needs: [n], branches: {only: main}, if: a, when: a, env: a, depends_on: [n], contexts: [a], only: main}
      - n: {filters: {only: main, branch: main}}
";
    assert_snapshot!(refusal(text), @"
    error: `env` means nothing in an image
      ci.yml:3:27
    3 │   e: {docker: [{image: a, env: {A: b}}], env: {A: b}}
      │                           ^^^ did you mean `environment`?

    error: `env` means nothing in the executor `e`
      ci.yml:3:42
    3 │   e: {docker: [{image: a, env: {A: b}}], env: {A: b}}
      │                                          ^^^ did you mean `environment`?

    error: `env` means nothing in the command `c`
      ci.yml:5:7
    5 │   c: {env: {A: b}, steps: [checkout]}
      │       ^^^

    error: `envs` means nothing in an image
      ci.yml:8:25
    8 │     docker: [{image: a, envs: {A: b}, env: {A: b}}]
      │                         ^^^^ did you mean `environment`?

    error: `env` means nothing in an image
      ci.yml:8:39
    8 │     docker: [{image: a, envs: {A: b}, env: {A: b}}]
      │                                       ^^^ did you mean `environment`?

    error: `filters` means nothing in a job
      ci.yml:9:5
    9 │     filters: {branches: {only: main}}
      │     ^^^^^^^ it belongs to the job where a workflow uses it

    error: `requires` means nothing in a job
      ci.yml:10:5
    10 │     requires: [a]
       │     ^^^^^^^^ write `requires` where a workflow uses the job

    error: `context` means nothing in a job
      ci.yml:11:5
    11 │     context: a
       │     ^^^^^^^ it belongs to the job where a workflow uses it

    error: `env` means nothing in a job
      ci.yml:12:5
    12 │     env: {A: b}
       │     ^^^ did you mean `environment`?

    error: `script` means nothing in a job
      ci.yml:13:5
    13 │     script: [a]
       │     ^^^^^^ did you mean `steps`?

    error: `if` means nothing in a job
      ci.yml:14:5
    14 │     if: a
       │     ^^ conditions are for workflows (`when`) and steps (`when: {condition: …, steps: […]}`)

    error: `timeout` means nothing in `run`
      ci.yml:16:27
    16 │       - run: {command: a, timeout: 5m, env: {A: b}, cwd: a, if: a, retry: 3}
       │                           ^^^^^^^ did you mean `no_output_timeout`?

    error: `env` means nothing in `run`
      ci.yml:16:40
    16 │       - run: {command: a, timeout: 5m, env: {A: b}, cwd: a, if: a, retry: 3}
       │                                        ^^^ did you mean `environment`?

    error: `cwd` means nothing in `run`
      ci.yml:16:53
    16 │       - run: {command: a, timeout: 5m, env: {A: b}, cwd: a, if: a, retry: 3}
       │                                                     ^^^ did you mean `working_directory`?

    error: `if` means nothing in `run`
      ci.yml:16:61
    16 │       - run: {command: a, timeout: 5m, env: {A: b}, cwd: a, if: a, retry: 3}
       │                                                             ^^ put the step below `when: {condition: …, steps: […]}`

    error: `retry` means nothing in `run`
      ci.yml:16:68
    16 │       - run: {command: a, timeout: 5m, env: {A: b}, cwd: a, if: a, retry: 3}
       │                                                                    ^^^^^ did you mean `max_auto_reruns`?

    error: `run` has no `command`
      ci.yml:17:15
    17 │       - run: {script: a}
       │               ^^^^^^ did you mean `command`?

    error: `run` has no `command`
      ci.yml:18:15
    18 │       - run: {cmd: a}
       │               ^^^ did you mean `command`?

    error: `save_cache` has no `paths`
      ci.yml:19:30
    19 │       - save_cache: {key: a, path: [b]}
       │                              ^^^^ did you mean `paths`?

    error: `restore_cache` has no `keys`
      ci.yml:20:9
    20 │       - restore_cache: {path: a}
       │         ^^^^^^^^^^^^^ write `keys: [one, other]`

    warning: `path` means nothing in `restore_cache`
      ci.yml:20:25
    20 │       - restore_cache: {path: a}
       │                         ^^^^ it is ignored

    error: `store_artifacts` has no `path`
      ci.yml:21:27
    21 │       - store_artifacts: {paths: a}
       │                           ^^^^^ did you mean `path`?

    error: `persist_to_workspace` has no `root`
      ci.yml:22:9
    22 │       - persist_to_workspace: {path: a}
       │         ^^^^^^^^^^^^^^^^^^^^

    error: `persist_to_workspace` has no `paths`
      ci.yml:22:32
    22 │       - persist_to_workspace: {path: a}
       │                                ^^^^ did you mean `paths`?

    error: `attach_workspace` has no `at`
      ci.yml:23:28
    23 │       - attach_workspace: {path: a}
       │                            ^^^^ did you mean `at`?

    error: there is no step `uses`
      ci.yml:24:9
    24 │       - uses: actions/checkout@v2
       │         ^^^^ commands of others are in orbs: `- orb/command`

    error: there is no step `script`
      ci.yml:25:9
    25 │       - script: make
       │         ^^^^^^ did you mean `run`?

    error: a step has one key, this one has `name`, `run`
      ci.yml:26:9
    26 │       - name: x
       │         ^^^^ indent it below `run`, or begin a new step with `-`

    error: `image` means nothing in a job
      ci.yml:28:7
    28 │   b: {image: a, steps: [checkout]}
       │       ^^^^^ write `docker: [{image: …}]`

    error: `on` means nothing in a workflow
      ci.yml:32:5
    32 │     on: push
       │     ^^ a workflow runs for every push; `when` and `filters` say for which

    error: job `m` requires `x`, which is not in this workflow
      ci.yml:35:24
    35 │       - m: {requires: [x], needs: [n], branches: {only: main}, if: a, when: a, env: a, depends_on: [n], contexts: [a], only: main}
       │                        ^

    error: job `m` has no parameter `needs`
      ci.yml:35:28
    35 │       - m: {requires: [x], needs: [n], branches: {only: main}, if: a, when: a, env: a, depends_on: [n], contexts: [a], only: main}
       │                            ^^^^^ did you mean `requires`?

    error: job `m` has no parameter `branches`
      ci.yml:35:40
    35 │       - m: {requires: [x], needs: [n], branches: {only: main}, if: a, when: a, env: a, depends_on: [n], contexts: [a], only: main}
       │                                        ^^^^^^^^ write `filters: {branches: {only: …}}`

    error: job `m` has no parameter `if`
      ci.yml:35:64
    35 │       - m: {requires: [x], needs: [n], branches: {only: main}, if: a, when: a, env: a, depends_on: [n], contexts: [a], only: main}
       │                                                                ^^ conditions are for workflows; `filters` of a job may be an expression

    error: job `m` has no parameter `when`
      ci.yml:35:71
    35 │       - m: {requires: [x], needs: [n], branches: {only: main}, if: a, when: a, env: a, depends_on: [n], contexts: [a], only: main}
       │                                                                       ^^^^ conditions are for workflows; `filters` of a job may be an expression

    error: job `m` has no parameter `env`
      ci.yml:35:80
    35 │       - m: {requires: [x], needs: [n], branches: {only: main}, if: a, when: a, env: a, depends_on: [n], contexts: [a], only: main}
       │                                                                                ^^^ it belongs to the job itself

    error: job `m` has no parameter `depends_on`
      ci.yml:35:88
    35 │       - m: {requires: [x], needs: [n], branches: {only: main}, if: a, when: a, env: a, depends_on: [n], contexts: [a], only: main}
       │                                                                                        ^^^^^^^^^^ did you mean `requires`?

    error: job `m` has no parameter `contexts`
      ci.yml:35:105
    35 │       - m: {requires: [x], needs: [n], branches: {only: main}, if: a, when: a, env: a, depends_on: [n], contexts: [a], only: main}
       │                                                                                                         ^^^^^^^^ did you mean `context`?

    error: job `m` has no parameter `only`
      ci.yml:35:120
    35 │       - m: {requires: [x], needs: [n], branches: {only: main}, if: a, when: a, env: a, depends_on: [n], contexts: [a], only: main}
       │                                                                                                                        ^^^^ write `filters: {branches: {only: …}}`

    error: `only` means nothing in `filters`
      ci.yml:36:23
    36 │       - n: {filters: {only: main, branch: main}}
       │                       ^^^^ write it below `branches` or `tags`

    error: `branch` means nothing in `filters`
      ci.yml:36:35
    36 │       - n: {filters: {only: main, branch: main}}
       │                                   ^^^^^^ did you mean `branches`?
    ");
}

#[test]
fn no_job_is_told_to_require_itself() {
    let text = "\
version: 2.1
jobs:
  a: {machine: true, steps: [checkout]}
  b: {machine: true, steps: [checkout]}
workflows:
  w:
    jobs:
      - a: {requires: [n]}
      - b: {requires: [B, xx]}
";
    assert_snapshot!(refusal(text), @"
    error: job `a` requires `n`, which is not in this workflow
      ci.yml:8:24
    8 │       - a: {requires: [n]}
      │                        ^

    error: job `b` requires `B`, which is not in this workflow
      ci.yml:9:24
    9 │       - b: {requires: [B, xx]}
      │                        ^

    error: job `b` requires `xx`, which is not in this workflow
      ci.yml:9:27
    9 │       - b: {requires: [B, xx]}
      │                           ^^
    ");
}

#[test]
fn values_that_could_not_be_told() {
    let text = "\
version: 2.1
jobs: {build: {machine: true, steps: [checkout]}}
workflows:
  w:
    jobs:
      - build: {name: \"a-<< matrix.v >>\"}
      - build: {name: b, requires: [a-1]}
      - build: {name: c, requires: << pipeline.a >>}
      - build: {name: d, requires: [b: << pipeline.b >>]}
      - build: {name: e, filters: pipeline.git.branch == << pipeline.c >>}
      - hold: {type: << pipeline.d >>}
";
    assert_snapshot!(refusal(text), @r#"
    error: there is no `matrix` here
      ci.yml:6:26
    6 │       - build: {name: "a-<< matrix.v >>"}
      │                          ^^^^^^^^^^^^^^

    error: there is no value `pipeline.a`
      ci.yml:8:36
    8 │       - build: {name: c, requires: << pipeline.a >>}
      │                                    ^^^^^^^^^^^^^^^^

    error: there is no value `pipeline.b`
      ci.yml:9:40
    9 │       - build: {name: d, requires: [b: << pipeline.b >>]}
      │                                        ^^^^^^^^^^^^^^^^

    error: there is no value `pipeline.c`
      ci.yml:10:35
    10 │       - build: {name: e, filters: pipeline.git.branch == << pipeline.c >>}
       │                                   ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^

    error: there is no value `pipeline.d`
      ci.yml:11:22
    11 │       - hold: {type: << pipeline.d >>}
       │                      ^^^^^^^^^^^^^^^^
    "#);
}
