//! YAML as people write it and as CircleCI reads it.

use insta::assert_snapshot;
use model::StepAction;

use crate::{compile_one, outline, plan, told, with_steps};

/// The environment of the only job of a config.
fn environment(lines: &str) -> Vec<(String, String)> {
    let text = with_steps("      - checkout\n") + "    environment:\n" + lines;
    let plan = plan(&text);
    let (_, job) = plan.jobs().next().expect("the config has a job");
    job.build().expect("it runs steps").environment.clone()
}

fn command(step: &str) -> String {
    let plan = plan(&with_steps(step));
    let (_, job) = plan.jobs().next().expect("the config has a job");
    let StepAction::Run(run) = &job.steps()[0].action else {
        panic!("no command: {job:?}");
    };
    run.command.clone()
}

#[test]
fn values_of_variables_are_texts() {
    let read = environment(
        "
      VERSION: 1.10
      MODE: 0777
      BIG: 12345678901234567890
      YES: yes
      OFF: Off
      QUOTED: 'yes'
      NOTHING:
      EMPTY: ''
      DATE: 2020-01-02
      on: 1
",
    );
    let read: Vec<String> = read.iter().map(|(k, v)| format!("{k}={v}")).collect();
    assert_snapshot!(read.join("\n"), @r"
    VERSION=1.10
    MODE=0777
    BIG=12345678901234567890
    YES=true
    OFF=false
    QUOTED=yes
    NOTHING=
    EMPTY=
    DATE=2020-01-02
    on=1
    ");
}

#[test]
fn an_environment_may_be_a_list() {
    let read = environment("      - A: 1\n      - B=x=y\n      - C\n");
    let read: Vec<String> = read.iter().map(|(k, v)| format!("{k}={v}")).collect();
    assert_eq!(read, ["A=1", "B=x=y", "C="]);
    assert_eq!(environment("      A=b c\n"), [("A".into(), "b c".into())]);
}

#[test]
fn merges_are_made_as_snakeyaml_does() {
    let read = environment(
        "
      <<: [&first {A: first, B: first}, {B: second, C: second}]
      C: own
      <<: {A: third, D: third}
",
    );
    let read: Vec<String> = read.iter().map(|(k, v)| format!("{k}={v}")).collect();
    assert_eq!(read, ["A=first", "B=first", "C=own", "D=third"]);
}

#[test]
fn anchors_may_live_anywhere_and_twice() {
    let plan = plan(
        "\
version: 2.1
defaults: &defaults
  docker: [{image: alpine}]
  steps: &steps [checkout]
steps: &steps
  - run: &make make
jobs:
  build:
    <<: *defaults
    steps: *steps
  test:
    <<: *defaults
workflows:
  ci: {jobs: [build, test]}
",
    );
    assert_snapshot!(outline(&plan), @r#"
    ci:
      build on alpine: "make"
      test on alpine: checkout
    "#);
}

#[test]
fn a_key_given_twice() {
    let compiled = compile_one(
        "\
version: 2.1
jobs:
  build:
    machine: true
    steps: [checkout]
  build:
    machine: true
    steps: [run: make]
",
    );
    assert!(compiled.plan.is_none());
    assert_snapshot!(told(&compiled), @r"
    error: `build` is given twice in this map
      ci.yml:6:3
    6 │   build:
      │   ^^^^^ keep one of them, or give one another name
      ci.yml:3:3
    3 │   build:
      │   ^^^^^ the first is here
    ");
}

#[test]
fn block_texts_and_escapes() {
    assert_eq!(
        command("      - run: |\n          cat \\<<EOF\n            a\n          EOF\n"),
        "cat <<EOF\n  a\nEOF\n"
    );
    assert_eq!(
        command("      - run: >-\n          a\n          b\n"),
        "a b"
    );
    assert_eq!(command("      - run: cat \\<<EOF\n"), "cat <<EOF");
    assert_eq!(command("      - run: \"a\\tb\"\n"), "a\tb");
    assert_eq!(command("      - run: true\n"), "true");
}

#[test]
fn layouts_that_circleci_takes() {
    // A `|` right below its key, and brackets that close at the margin.
    let plan = plan(
        "\
version: 2.1
jobs:
  build:
    machine: true
    steps:
      - run:
        |
          make
          make install
      - run: {
      command: 'x
  y'
      }
workflows:
  ci:
    jobs: [
    build
    ]
",
    );
    assert_snapshot!(outline(&plan), @r#"
    ci:
      build on machine: "make\nmake install\n", "x y"
    "#);
}

#[test]
fn line_ends_marks_and_missing_ends() {
    let unix = with_steps("      - run: make");
    let expected = plan(&unix);
    assert_eq!(plan(&unix.replace('\n', "\r\n")), expected);
    assert_eq!(plan(&format!("\u{feff}{unix}")), expected);
    assert_eq!(plan(&format!("---\n{unix}\n...\n")), expected);
    assert_eq!(plan(&format!("%YAML 1.1\n---\n{unix}")), expected);
    assert_eq!(plan(&unix.replace("make", "!!str make")), expected);
}

#[test]
fn a_name_that_only_looks_like_an_expression_is_unknown() {
    let jobs = "jobs: {build: {machine: true, steps: [checkout]}}\n";
    let unclosed = "a `<<` opens a value here";
    for (version, job, required) in [
        (
            "2",
            "runs `bu<< build`, which is not in `jobs`",
            "requires `<<`",
        ),
        ("2.1", unclosed, unclosed),
    ] {
        let compiled = compile_one(format!(
            "version: {version}\n{jobs}workflows: {{ci: {{jobs: [bu<< build]}}}}\n"
        ));
        assert!(told(&compiled).contains(job), "{}", told(&compiled));
        let compiled = compile_one(format!(
            "version: {version}\n{jobs}workflows: {{ci: {{jobs: [build: {{requires: [<<]}}]}}}}\n"
        ));
        assert!(told(&compiled).contains(required), "{}", told(&compiled));
    }
}

#[test]
fn empty_documents_around_a_config_are_passed_over() {
    let config = with_steps("      - checkout\n");
    let expected = plan(&config);
    for text in [
        format!("---\n{config}"),
        format!("# generated\n---\n# by hand\n---\n{config}"),
        format!("--- # here\n{config}---\n"),
        format!("{config}...\n"),
        format!("{config}---\n# that is all\n\n---\n...\n# or so\n"),
        format!("%YAML 1.1\n---\n{config}...\n"),
    ] {
        assert_eq!(plan(&text), expected, "{text}");
    }
}

#[test]
fn what_follows_the_first_document_is_ignored_with_a_warning() {
    let config = with_steps("      - checkout\n");
    let expected = plan(&config);
    for more in [
        "---\njobs: {}\n",
        "---\n# old\n- a: [\n",
        "...\n---\ntrue\n",
        "---\n- a\n---\nb: *c\n",
    ] {
        let compiled = compile_one(format!("---\n{config}{more}"));
        assert_eq!(compiled.plan.as_ref(), Some(&expected), "{more}");
        assert_eq!(compiled.diagnostics.len(), 1, "{more}");
    }
    assert_snapshot!(told(&compile_one(format!("{config}--- # more\njobs:\n"))), @"
    warning: a second YAML document begins here, and is ignored
      ci.yml:7:1
    7 │ --- # more
      │ ^^^ a config is one document: remove this line, or what follows it
    ");
}

#[test]
fn what_yaml_takes_away_is_told() {
    let text = with_steps("      - run: ! grep x y\n      - run: ! 'false'\n");
    assert_snapshot!(told(&compile_one(&text)), @"
    warning: the `!` is a YAML tag here, and no part of the text
      ci.yml:6:14
    6 │       - run: ! grep x y
      │              ^^^^^^^^^^ quote the whole text if it is meant
    ");
    let merged =
        "version: 2.1\nx: &x {machine: true}\njobs: {build: {\"<<\": *x, steps: [checkout]}}\n";
    assert_snapshot!(told(&compile_one(merged)), @r#"
    warning: a `<<` in quotes merges only here
      ci.yml:3:16
    3 │ jobs: {build: {"<<": *x, steps: [checkout]}}
      │                ^^^^ remove the quotes
    "#);
}
