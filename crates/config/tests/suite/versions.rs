//! What a version of the language has, and what it does not.

use insta::assert_snapshot;

use crate::{compile_one, outline, plan, refusal, told, with_steps};

#[test]
fn a_config_of_version_2_is_told_what_needs_the_next() {
    assert_snapshot!(refusal(
        "\
version: 2
executors:
  go: {docker: [{image: cimg/go:1.24}]}
commands:
  greet: {steps: [run: echo hello]}
orbs:
  node: circleci/node@5.2.0
jobs:
  one:
    executor: go
    steps: [greet, node/install, run: make]
  other:
    executor: {name: go}
    steps: [greet, grete]
workflows:
  version: 2
  ci: {jobs: [one, other, node/test]}
"
    ), @"
    error: `executors` need `version: 2.1`
      ci.yml:1:10
     1 │ version: 2
       │          ^ change the `version` of this config
      ci.yml:10:15
    10 │     executor: go
       │               ^^ `go` is used here

    error: `commands` need `version: 2.1`
      ci.yml:1:10
     1 │ version: 2
       │          ^ change the `version` of this config
      ci.yml:11:13
    11 │     steps: [greet, node/install, run: make]
       │             ^^^^^ `greet` is used here

    error: `orbs` need `version: 2.1`
      ci.yml:1:10
     1 │ version: 2
       │          ^ change the `version` of this config
      ci.yml:11:20
    11 │     steps: [greet, node/install, run: make]
       │                    ^^^^^^^^^^^^ `node` is used here

    error: there is no step `grete`
      ci.yml:14:20
    14 │     steps: [greet, grete]
       │                    ^^^^^ write `- run: …` for a command
    ");
}

#[test]
fn what_version_2_does_not_know_may_hold_its_anchors() {
    let compiled = compile_one(
        "\
version: 2.0
executors:
  go: &go
    docker: [{image: cimg/go:1.24}]
commands:
  greet: &greet {run: echo hello}
jobs:
  build:
    <<: *go
    steps: [*greet]
",
    );
    assert!(compiled.plan.is_some(), "{}", told(&compiled));
    assert_eq!(
        told(&compile_one(
            "version: 2\nexecutors:\njobs: {build: {machine: true, steps: [checkout]}}"
        )),
        ""
    );
}

/// A step that is the last of CircleCI's reference: what it would install is not here.
#[test]
fn what_only_circleci_keeps_is_not_installed() {
    let compiled = compile_one(
        "\
version: 2.1
jobs:
  build:
    macos: {xcode: 16.4.0, code_signing: [bundle]}
    steps: [install_signing_bundle, checkout]
",
    );
    assert_snapshot!(outline(compiled.plan.as_ref().unwrap()), @"
    workflow:
      build on macos 16.4.0: checkout
    ");
    assert_snapshot!(told(&compiled), @"
    warning: `install_signing_bundle` installs nothing here: certificates that CircleCI keeps have to be brought by the runner, or by a secret
      ci.yml:5:13
    5 │     steps: [install_signing_bundle, checkout]
      │             ^^^^^^^^^^^^^^^^^^^^^^
    ");
}

#[test]
fn a_parameter_may_say_whether_a_config_sets_up() {
    let text = |default: &str| {
        format!(
            "version: 2.1\nsetup: << pipeline.parameters.first >>\nparameters: {{first: {{type: boolean, default: {default}}}}}\njobs: {{build: {{machine: true, steps: [checkout]}}}}\n"
        )
    };
    assert!(plan(&text("true")).setup);
    assert!(!plan(&text("false")).setup);
}

/// It would be run as `cat EOF file`.
#[test]
fn a_here_document_is_no_value() {
    assert_snapshot!(refusal(with_steps(
        "      - run: |\n          cat <<'EOF' >> a\n          it's\n          EOF\n      - run: 'cat <<\"X\" >> b'\n      - run: cat \\<<'EOF' >> c\n"
    )), @r#"
    error: 'EOF' is only a text, and a `<<` opens a value here
      ci.yml:7:15
    7 │           cat <<'EOF' >> a
      │               ^^^^^^^^^^ write `\<<` for what is no value

    error: "X" is only a text, and a `<<` opens a value here
      ci.yml:10:19
    10 │       - run: 'cat <<"X" >> b'
       │                   ^^^^^^^^ write `\<<` for what is no value
    "#);
}
