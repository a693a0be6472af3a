//! Orbs, commands, executors, parameters, matrices and conditions: what a config with them stands for.

use std::collections::BTreeMap;

use config::{Inputs, OrbSource, Orbs, TriggerValues, compile, process};
use insta::assert_snapshot;
use model::{GitRef, ParameterValue};

use crate::{compile_one, file, outline, plan, refusal, told, with_steps};

/// The orbs of a test.
struct AtHand(&'static [(&'static str, &'static str)]);

impl Orbs for AtHand {
    fn source(&self, reference: &str) -> Result<OrbSource, String> {
        let found = self.0.iter().find(|(name, _)| *name == reference);
        let (name, text) = found.ok_or("is not at hand")?;
        Ok(OrbSource {
            name: (*name).to_owned(),
            text: text.as_bytes().to_vec(),
        })
    }
}

fn processed(text: &str) -> String {
    let processed = process(&file("ci.yml", text), &Inputs::default());
    assert_eq!(processed.diagnostics, []);
    processed.text.expect("a config without errors is expanded")
}

const REUSE: &str = r#"
version: 2.1
parameters:
  greeting: {type: string, default: hello}
executors:
  linux:
    parameters: {tag: {type: string, default: "3.10"}}
    docker: [{image: "python:<< parameters.tag >>"}]
    environment: {FROM: executor, BOTH: executor}
commands:
  greet:
    parameters:
      who: {type: string}
      loud: {type: boolean, default: false}
      after: {type: steps, default: []}
    steps:
      - run: echo << pipeline.parameters.greeting >> << parameters.who >> \<< kept >>
      - when:
          condition: << parameters.loud >>
          steps: [run: echo LOUD]
      - steps: << parameters.after >>
jobs:
  build:
    parameters:
      os: {type: executor, default: linux}
      tag: {type: string, default: none}
      loud: {type: boolean, default: true}
    executor: << parameters.os >>
    environment: {BOTH: job, LOUD: << parameters.loud >>}
    steps:
      - checkout
      - greet: {who: you, loud: << parameters.loud >>, after: [run: echo after]}
workflows:
  ci:
    jobs:
      - build: {pre-steps: [run: echo first]}
      - build:
          name: old-<< matrix.tag >>
          matrix: {parameters: {tag: ["3.8", "3.9"]}, alias: old}
          os: {name: linux, tag: << matrix.tag >>}
          loud: false
      - done: {type: approval, requires: [old, build]}
"#;

#[test]
fn what_is_reused_becomes_plain_jobs() {
    assert_snapshot!(processed(REUSE), @r#"
    version: 2
    jobs:
      build:
        docker:
        - image: "python:3.10"
        environment:
          FROM: executor
          BOTH: job
          LOUD: "1"
        steps:
        - run: echo first
        - checkout
        - run: "echo hello you << kept >>"
        - run: echo LOUD
        - run: echo after
      old-3.8:
        docker:
        - image: "python:3.8"
        environment:
          FROM: executor
          BOTH: job
          LOUD: "0"
        steps:
        - checkout
        - run: "echo hello you << kept >>"
        - run: echo after
      old-3.9:
        docker:
        - image: "python:3.9"
        environment:
          FROM: executor
          BOTH: job
          LOUD: "0"
        steps:
        - checkout
        - run: "echo hello you << kept >>"
        - run: echo after
    workflows:
      ci:
        jobs:
        - build
        - old-3.8
        - old-3.9
        - done:
            type: approval
            requires:
            - old-3.8
            - old-3.9
            - build
    "#);
    assert_snapshot!(outline(&plan(REUSE)), @r#"
    ci:
      build on python:3.10: "echo first", checkout, "echo hello you << kept >>", "echo LOUD", "echo after"
      old-3.8 on python:3.8: checkout, "echo hello you << kept >>", "echo after"
      old-3.9 on python:3.9: checkout, "echo hello you << kept >>", "echo after"
      done (approval) after old-3.8 {Success}, old-3.9 {Success}, build {Success}
    "#);
}

#[test]
fn what_is_processed_compiles_to_the_same_plan() {
    let once = processed(REUSE);
    assert_eq!(processed(&once), once);
    assert_eq!(compile_one(&once).plan, compile_one(REUSE).plan);
}

#[test]
fn paths_that_cannot_be_held_against_anything_are_said_to_be() {
    let config = "version: 2.1\njobs: {a: {machine: true, steps: [checkout]}}\nworkflows: {docs: {paths: ['docs/**'], jobs: [a]}}\n";
    let compiled = |changed: Option<&[&str]>| {
        let trigger = TriggerValues {
            changed_files: changed
                .map(|files| files.iter().map(|file| (*file).to_owned()).collect()),
            ..on(GitRef::Branch("main".into()))
        };
        let inputs = Inputs {
            trigger: Some(&trigger),
            ..Inputs::default()
        };
        let compiled = compile(&[file("ci.yml", config)], &inputs);
        let count = compiled.plan.as_ref().map(|plan| plan.workflows.len());
        (
            count,
            told(&compiled).contains("which files changed is not known"),
        )
    };
    assert_eq!(compiled(Some(&["docs/a/b.md"])), (Some(1), false));
    assert_eq!(compiled(Some(&["src/a.rs"])), (Some(0), false));
    assert_eq!(compiled(None), (Some(1), true));
}

#[test]
fn a_fault_is_shown_where_it_is_and_where_it_is_used() {
    const ORB: AtHand = AtHand(&[(
        "team/tools@1.2",
        "version: 2.1\ncommands:\n  setup:\n    parameters: {v: {type: string}}\n    steps:\n      - run: install << parameters.w >>\n",
    )]);
    let config = "version: 2.1\norbs: {tools: team/tools@1.2}\njobs:\n  build:\n    machine: true\n    steps:\n      - tools/setup: {v: 3.10}\nworkflows: {ci: {jobs: [build]}}\n";
    let inputs = Inputs {
        orbs: Some(&ORB),
        ..Inputs::default()
    };
    assert_snapshot!(told(&compile(&[file("ci.yml", config)], &inputs)), @"
    error: there is no parameter `w` here
      team/tools@1.2:6:22
    6 │       - run: install << parameters.w >>
      │                      ^^^^^^^^^^^^^^^^^^ declare it under `parameters`
      ci.yml:7:9
    7 │       - tools/setup: {v: 3.10}
      │         ^^^^^^^^^^^ the command `tools/setup` is used here
    ");
}

#[test]
fn an_orb_that_is_not_at_hand_hides_no_other_fault() {
    assert_snapshot!(refusal("version: 2.1\norbs: {node: circleci/node@5.2.0}\njobs:\n  build:\n    machine: true\n    steps:\n      - node/install\n      - chekout\nworkflows: {ci: {jobs: [node/test, build: {requires: [node/test]}]}}\n"), @"
    error: the orb `circleci/node@5.2.0` is not at hand
      ci.yml:2:14
    2 │ orbs: {node: circleci/node@5.2.0}
      │              ^^^^^^^^^^^^^^^^^^^

    error: there is no step `chekout`
      ci.yml:8:9
    8 │       - chekout
      │         ^^^^^^^ did you mean `checkout`?
    ");
}

#[test]
fn wrong_uses_are_told_with_what_was_meant() {
    assert_snapshot!(refusal(
        "\
version: 2.1
parameters:
  deploy: {type: boolean, default: false}
commands:
  greet:
    parameters:
      mood: {type: enum, enum: [happy, sad], default: happy}
      times: {type: integer}
    steps: [greet: {times: 1}]
jobs:
  build:
    machine: true
    steps:
      - greet: {mood: hapy, times: many, loud: true}
      - greet
      - gret
      - run: echo << parameters.x >> << pipeline.git.brunch >> << pipeline.parameters.deplo >>
workflows:
  ci:
    when: pipeline.git.branch = main
    jobs: [build]
  nightly:
    when: {equal: [a, b], not: true}
    jobs: [build]
"
    ), @"
    error: the command `greet` uses itself: `greet` → `greet`
      ci.yml:9:13
     9 │     steps: [greet: {times: 1}]
       │             ^^^^^ it would never end
      ci.yml:14:9
    14 │       - greet: {mood: hapy, times: many, loud: true}
       │         ^^^^^ the command `greet` is used here

    error: the parameter `mood` of command `greet` must be one of `happy`, `sad`, not a string (`hapy`)
      ci.yml:14:23
    14 │       - greet: {mood: hapy, times: many, loud: true}
       │                       ^^^^ did you mean `happy`?
      ci.yml:7:7
     7 │       mood: {type: enum, enum: [happy, sad], default: happy}
       │       ^^^^ it is declared here

    error: the parameter `times` of command `greet` must be a whole number, not a string (`many`)
      ci.yml:14:36
    14 │       - greet: {mood: hapy, times: many, loud: true}
       │                                    ^^^^
      ci.yml:8:7
     8 │       times: {type: integer}
       │       ^^^^^ it is declared here

    error: command `greet` has no parameter `loud`
      ci.yml:14:42
    14 │       - greet: {mood: hapy, times: many, loud: true}
       │                                          ^^^^ it has `mood`, `times`

    error: command `greet` needs the parameter `times`
      ci.yml:15:9
    15 │       - greet
       │         ^^^^^ add `times: …`
      ci.yml:8:7
     8 │       times: {type: integer}
       │       ^^^^^ it is declared here

    error: there is no step `gret`
      ci.yml:16:9
    16 │       - gret
       │         ^^^^ did you mean `greet`?

    error: there is no parameter `x` here
      ci.yml:17:19
    17 │       - run: echo << parameters.x >> << pipeline.git.brunch >> << pipeline.parameters.deplo >>
       │                   ^^^^^^^^^^^^^^^^^^ declare it under `parameters`

    error: there is no value `pipeline.git.brunch`
      ci.yml:17:38
    17 │       - run: echo << parameters.x >> << pipeline.git.brunch >> << pipeline.parameters.deplo >>
       │                                      ^^^^^^^^^^^^^^^^^^^^^^^^^ did you mean `pipeline.git.branch`?

    error: the pipeline has no parameter `deplo`
      ci.yml:17:64
    17 │       - run: echo << parameters.x >> << pipeline.git.brunch >> << pipeline.parameters.deplo >>
       │                                                                ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ did you mean `deploy`?

    error: the expression `pipeline.git.branch = main` is wrong at `=`: a single `=` is no operator
      ci.yml:20:11
    20 │     when: pipeline.git.branch = main
       │           ^^^^^^^^^^^^^^^^^^^^^^^^^^ write `==`

    error: a logic statement has one key, this one has 2
      ci.yml:23:27
    23 │     when: {equal: [a, b], not: true}
       │                           ^^^ join several with `and:` or `or:`
    ");
}

#[test]
fn limits_are_told_by_their_names() {
    let doubling: String = (0..40)
        .map(|n| format!("  c{n}: {{steps: [c{m}, c{m}]}}\n", m = n + 1))
        .collect();
    let bomb = format!(
        "version: 2.1\ncommands:\n{doubling}  c40: {{steps: [run: a]}}\njobs: {{build: {{machine: true, steps: [c0]}}}}\n"
    );
    assert!(refusal(bomb).contains("expands to more than"));
    let axis = (0..100)
        .map(|n| n.to_string())
        .collect::<Vec<_>>()
        .join(", ");
    let matrix = format!(
        "version: 2.1\njobs: {{build: {{machine: true, parameters: {{a: {{type: integer}}, b: {{type: integer}}, c: {{type: integer}}}}, steps: [checkout]}}}}\nworkflows: {{ci: {{jobs: [build: {{matrix: {{parameters: {{a: [{axis}], b: [{axis}], c: [{axis}]}}}}}}]}}}}\n"
    );
    assert!(refusal(matrix).contains("stands for more than 1000 jobs"));
}

fn on(git_ref: GitRef) -> TriggerValues {
    let values = match &git_ref {
        GitRef::Branch(branch) => ("git.branch", branch.clone()),
        GitRef::Tag(tag) => ("git.tag", tag.clone()),
    };
    TriggerValues {
        values: BTreeMap::from([(values.0.to_owned(), ParameterValue::Text(values.1))]),
        git_ref: Some(git_ref),
        ..TriggerValues::default()
    }
}

#[test]
fn filters_choose_by_branch_and_tag() {
    let config = "\
version: 2.1
jobs: {a: &a {machine: true, steps: [checkout]}, b: *a, c: *a, d: *a, e: *a}
workflows:
  ci:
    jobs:
      - a
      - b: {filters: {branches: {only: [main, '/release-.*/']}}}
      - c: {filters: {tags: {only: '/^v.*/'}, branches: {ignore: '/.*/'}}}
      - d: {requires: [b, a]}
      - e: {requires: [c], filters: pipeline.git.branch == \"main\" or pipeline.git.tag}
  main:
    when: {equal: [main, << pipeline.git.branch >>]}
    jobs: [a]
";
    let runs = |git_ref: GitRef| {
        let trigger = on(git_ref);
        let inputs = Inputs {
            trigger: Some(&trigger),
            ..Inputs::default()
        };
        let compiled = compile(&[file("ci.yml", config)], &inputs);
        assert_eq!(told(&compiled), "");
        let plan = compiled.plan.unwrap();
        let jobs = plan.jobs();
        let jobs: Vec<String> = jobs
            .map(|(workflow, job)| format!("{}/{}", workflow.name, job.name))
            .collect();
        jobs.join(" ")
    };
    let branch = |name: &str| runs(GitRef::Branch(name.into()));
    assert_eq!(branch("main"), "ci/a ci/b ci/d main/a");
    assert_eq!(branch("release-1"), "ci/a ci/b ci/d");
    assert_eq!(branch("topic"), "ci/a ci/d");
    assert_eq!(runs(GitRef::Tag("v1".into())), "ci/c ci/e");
    assert_eq!(runs(GitRef::Tag("x".into())), "");
}

#[test]
fn a_group_of_jobs_is_one_to_require() {
    assert_snapshot!(outline(&plan(
        "\
version: 2.1
jobs: {build: &b {machine: true, steps: [checkout]}, deploy: *b, check: *b, notify: *b}
job-groups:
  ship:
    jobs: [deploy, check: {requires: [deploy]}]
workflows:
  ci:
    jobs:
      - build
      - ship: {name: staging, requires: [build]}
      - notify: {requires: [staging]}
"
    )), @"
    ci:
      build on machine: checkout
      staging/group-start (no-op) after build {Success}
      staging/deploy on machine after staging/group-start {Success}: checkout
      staging/check on machine after staging/deploy {Success}: checkout
      staging/group-end (no-op) after staging/check {Success}
      notify on machine after staging/group-end {Success}: checkout
    ");
}

#[test]
fn a_parameter_that_is_nowhere_declared_is_told() {
    let parameters = BTreeMap::from([("chanel".to_owned(), "beta".into())]);
    let inputs = Inputs {
        parameters: Some(&parameters),
        ..Inputs::default()
    };
    let given = |text: &str| told(&compile(&[file("ci.yml", text)], &inputs));
    let jobs = "jobs: {build: {machine: true, steps: [checkout]}}\n";
    assert_snapshot!(given(&format!("version: 2.1\n{jobs}")), @"
    error: the config has no parameter `chanel`
      ci.yml:1:1
    1 │ version: 2.1
      │ ^
    ");
    assert_snapshot!(given(&format!("version: 2.1\nparameters: {{channel: {{type: string, default: a}}}}\n{jobs}")), @"
    error: the config has no parameter `chanel`
      ci.yml:2:1
    2 │ parameters: {channel: {type: string, default: a}}
      │ ^^^^^^^^^^ did you mean `channel`?
    ");
}

#[test]
fn a_parameter_may_be_declared_in_any_of_several_files() {
    let parameters = BTreeMap::from([("channel".to_owned(), "beta".into())]);
    let inputs = Inputs {
        parameters: Some(&parameters),
        ..Inputs::default()
    };
    let declaring = "version: 2.1\nparameters: {channel: {type: string, default: a}}\njobs: {build: {machine: true, steps: [run: echo << pipeline.parameters.channel >>]}}\n";
    let other = "version: 2.1\njobs: {build: {machine: true, steps: [checkout]}}\n";
    for texts in [[declaring, other], [other, declaring]] {
        let files = [file("one.yml", texts[0]), file("other.yml", texts[1])];
        let compiled = compile(&files, &inputs);
        assert_eq!(told(&compiled), "");
    }
    let files = [file("one.yml", other), file("other.yml", other)];
    assert_snapshot!(told(&compile(&files, &inputs)), @"
    error: the config has no parameter `channel`
      other.yml:1:1
    1 │ version: 2.1
      │ ^
    ");
}

#[test]
fn a_job_all_of_whose_steps_are_left_out_does_nothing() {
    let text = "\
version: 2.1
parameters: {deploy: {type: boolean, default: false}}
jobs:
  build:
    machine: true
    steps:
      - when: {condition: << pipeline.parameters.deploy >>, steps: [run: deploy]}
";
    let compiled = compile_one(text);
    assert!(compiled.plan.is_some());
    assert_snapshot!(told(&compiled), @"
    warning: no step of job `build` is left: it does nothing
      ci.yml:6:5
    6 │     steps:
      │     ^^^^^
    ");
    let again = compile_one(processed(text));
    assert_eq!(again.plan, compiled.plan);
}

#[test]
fn what_stands_beside_a_job_is_read_as_if_it_stood_below() {
    let text = |indent: &str| {
        format!(
            "version: 2.1\njobs: {{a: {{machine: true, steps: [checkout]}}}}\nworkflows:\n  ci:\n    jobs:\n      - a\n      - a:\n        {indent}name: b\n        {indent}requires: [a]\n"
        )
    };
    let beside = compile_one(text(""));
    assert_snapshot!(told(&beside), @"
    warning: `name` stands beside the job `a`, and is read as if it stood below
      ci.yml:8:9
    8 │         name: b
      │         ^^^^ indent it below `a`
    ");
    assert_eq!(beside.plan, compile_one(text("  ")).plan);
    // A second job is no such thing.
    let two = "version: 2.1\njobs: {a: {machine: true, steps: [checkout]}}\nworkflows: {ci: {jobs: [{a: , b: }]}}\n";
    assert!(refusal(two).contains("has one key"));
}

#[test]
fn truths_are_digits_in_variables_however_those_are_written() {
    let config = |variables: &str| {
        format!(
            "version: 2.1\njobs: {{build: {{machine: true, parameters: {{x: {{type: boolean, default: yes}}}}, environment: {variables}, steps: [checkout]}}}}\n"
        )
    };
    for variables in ["{A: << parameters.x >>}", "[A: << parameters.x >>]"] {
        let plan = plan(&config(variables));
        let (_, job) = plan.jobs().next().unwrap();
        assert_eq!(
            job.build().unwrap().environment,
            [("A".to_owned(), "1".to_owned())]
        );
    }
}

#[test]
fn truths_are_words_in_the_names_of_a_matrix() {
    assert_snapshot!(outline(&plan(
        "\
version: 2.1
jobs: {a: {machine: true, parameters: {x: {type: boolean}}, steps: [run: echo << parameters.x >>]}}
workflows: {ci: {jobs: [a: {matrix: {parameters: {x: [Yes, OFF]}}}]}}
"
    )), @r#"
    ci:
      a-true on machine: "echo true"
      a-false on machine: "echo false"
    "#);
}

#[test]
fn a_schedule_runs_its_workflow_alone() {
    let config = "\
version: 2.1
jobs: {a: {machine: true, steps: [checkout]}}
workflows:
  pushes: {jobs: [a]}
  nightly: {jobs: [a], triggers: [schedule: {cron: 0 0 * * *, filters: {branches: {only: main}}}]}
";
    let runs = |scheduled: Option<&str>| {
        let trigger = TriggerValues {
            scheduled: scheduled.map(str::to_owned),
            ..on(GitRef::Branch("main".into()))
        };
        let inputs = Inputs {
            trigger: Some(&trigger),
            ..Inputs::default()
        };
        let plan = compile(&[file("ci.yml", config)], &inputs).plan.unwrap();
        let names = plan.workflows.into_iter().map(|workflow| workflow.name);
        names.collect::<Vec<_>>()
    };
    assert_eq!(runs(None), ["pushes"]);
    assert_eq!(runs(Some("nightly")), ["nightly"]);
}

#[test]
fn an_executor_is_looked_up_where_its_name_is_written() {
    assert_snapshot!(outline(&plan(
        "\
version: 2.1
parameters: {pick: {type: string, default: default}}
orbs:
  o:
    executors: {default: {docker: [{image: of-orb}]}}
    jobs:
      build:
        parameters: {e: {type: executor, default: default}, n: {type: integer}}
        executor: << parameters.e >>
        environment: {N: << parameters.n >>}
        steps: [checkout]
executors: {default: {docker: [{image: own}]}}
workflows:
  ci:
    jobs:
      - o/build: {name: by-default, n: 1}
      - o/build: {name: named, n: 1, e: default}
      - o/build: {name: named-in-map, n: 1, e: {name: default}}
      - o/build: {name: by-parameter, n: 1, e: << pipeline.parameters.pick >>}
      - o/build: {name: by-matrix, n: 1, matrix: {parameters: {e: [default]}}}
      - o/build: {name: of-orb, n: 1, e: o/default}
"
    )), @r#"
    ci:
      by-default on of-orb: checkout
      named on own: checkout
      named-in-map on own: checkout
      by-parameter on own: checkout
      by-matrix on own: checkout
      of-orb on of-orb: checkout
    "#);
}

#[test]
fn the_alias_of_a_matrix_stands_for_all_its_jobs_whatever_they_are_called() {
    assert_snapshot!(outline(&plan(
        "\
version: 2.1
jobs: {a: {machine: true, parameters: {x: {type: integer}}, steps: [run: echo << parameters.x >>]}}
workflows:
  ci:
    jobs:
      - a: {name: test, matrix: {parameters: {x: [1, 2]}, alias: tests}}
      - a: {name: test, matrix: {parameters: {x: [3, 4]}, alias: others}}
      - a: {matrix: {parameters: {x: [5]}, alias: mine}}
      - a: {pre-steps: [checkout], matrix: {parameters: {x: [5]}, alias: yours}}
      - a: {name: done, x: 0, requires: [tests, others: failed, yours]}
"
    )), @r#"
    ci:
      test-1 on machine: "echo 1"
      test-2 on machine: "echo 2"
      test-3 on machine: "echo 3"
      test-4 on machine: "echo 4"
      a-5-1 on machine: "echo 5"
      a-5-2 on machine: checkout, "echo 5"
      done on machine after test-1 {Success}, test-2 {Success}, test-3 {Failure, Error}, test-4 {Failure, Error}, a-5-2 {Success}: "echo 0"
    "#);
}

#[test]
fn an_empty_orb_is_told_wherever_it_is_used() {
    assert_snapshot!(refusal(
        "\
version: 2.1
orbs:
  tools:
    orbs: {inner: {}, unused: {}}
    jobs:
      build: {machine: true, steps: [inner/say]}
workflows: {ci: {jobs: [tools/build]}}
"
    ), @"
    error: the orb `inner` is used, and nothing is in it
      ci.yml:4:12
    4 │     orbs: {inner: {}, unused: {}}
      │            ^^^^^ a setup job may fill it in before it goes on with this config
    ");
    let of_nothing = "\
version: 2.1
orbs: {tools: << pipeline.git.tag == \"main\" >>}
workflows: {ci: {jobs: [tools/build]}}
";
    assert_snapshot!(refusal(of_nothing), @r#"
    error: the orb `tools` is used, and nothing is in it
      ci.yml:2:8
    2 │ orbs: {tools: << pipeline.git.tag == "main" >>}
      │        ^^^^^ a setup job may fill it in before it goes on with this config
    "#);
}

#[test]
fn expressions_need_no_names() {
    let text = with_steps(
        "      - run: echo << true >> << 1 == 1 >> << not true >> << false and 10 or 1 >> << not \"a\" or \"a\" >>\n      - when: {condition: << 1 == 2 >>, steps: [run: never]}\n",
    );
    assert!(processed(&text).contains("echo true true false 1 a"));
    assert!(!processed(&text).contains("never"));
    let told = refusal(with_steps("      - run: << a and 10 or 1 >>\n"));
    assert!(told.contains("there is no value"), "{told}");
}
