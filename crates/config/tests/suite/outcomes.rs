//! What of a config runs for a trigger, and what there is to say of why.

use config::{Compiled, Inputs, TriggerValues, compile};
use insta::assert_snapshot;
use model::GitRef;

use crate::{file, told};

const CONFIG: &str = r#"
version: 2.1
parameters: {nightly: {type: boolean, default: false}}
jobs:
  build: {machine: true, steps: [run: make]}
workflows:
  plain: {jobs: [build]}
  filtered:
    jobs:
      - build: {filters: {branches: {only: main}, tags: {only: /v.*/}}}
      - build: {name: any, filters: pipeline.git.branch == "main"}
  branch:
    when: {equal: [main, << pipeline.git.branch >>]}
    jobs: [build]
  nightly:
    when: << pipeline.parameters.nightly >>
    jobs: [build, build: {name: again, requires: [build]}]
"#;

fn compiled(inputs: &Inputs<'_>) -> Compiled {
    compile(&[file("ci.yml", CONFIG)], inputs)
}

/// What runs, and what is told of why.
fn outcome(compiled: &Compiled) -> String {
    assert_eq!(told(compiled), "");
    let plan = compiled.plan.as_ref().expect("nothing is wrong with it");
    let job = |job: &Option<String>| job.as_deref().unwrap_or("*").to_owned();
    let mut lines: Vec<String> = plan
        .jobs()
        .map(|(workflow, job)| format!("{}/{}", workflow.name, job.name))
        .collect();
    let let_in = compiled.let_in.iter();
    lines.extend(let_in.map(|one| format!("+ {}/{}: {}", one.workflow, job(&one.job), one.why)));
    let left_out = compiled.left_out.iter();
    lines.extend(left_out.map(|one| format!("- {}/{}: {}", one.workflow, job(&one.job), one.why)));
    lines.join("\n")
}

fn on(git_ref: GitRef) -> TriggerValues {
    let mut values = TriggerValues::default();
    if let GitRef::Branch(branch) = &git_ref {
        values
            .values
            .insert("git.branch".to_owned(), branch.as_str().into());
    }
    values.git_ref = Some(git_ref);
    values
}

#[test]
fn a_priority_is_a_small_whole_number() {
    let with = |priority: &str| {
        let text = format!(
            "version: 2.1\njobs: {{a: {{machine: true, steps: [checkout]}}}}\n\
             workflows: {{w: {{priority: {priority}, jobs: [a]}}}}"
        );
        compile(&[file("ci.yml", &text)], &Inputs::default())
    };
    for (written, read) in [("-100", -100), ("0", 0), ("'7'", 7)] {
        let plan = with(written).plan.unwrap();
        assert_eq!(plan.workflows[0].priority, read);
    }
    for wrong in ["101", "high", "1.5", "[1]"] {
        let compiled = with(wrong);
        assert!(compiled.plan.is_none(), "{wrong}");
        let told = compiled.diagnostics[0].to_string();
        assert!(told.contains("a whole number from -100 to 100"), "{told}");
    }
}

#[test]
fn what_lets_in_and_what_leaves_out_is_told() {
    let told: Vec<String> = [
        GitRef::Branch("main".to_owned()),
        GitRef::Branch("try".to_owned()),
        GitRef::Tag("v1".to_owned()),
    ]
    .map(|git_ref| {
        let trigger = on(git_ref);
        outcome(&compiled(&Inputs {
            trigger: Some(&trigger),
            ..Inputs::default()
        }))
    })
    .to_vec();
    assert_snapshot!(told.join("\n---\n"), @"
    plain/build
    filtered/build
    filtered/any
    branch/build
    + branch/*: its condition holds
    + filtered/build: its filters let the branch `main` pass
    + filtered/any: the expression in its `filters` holds
    - nightly/*: its condition does not hold
    ---
    plain/build
    - branch/*: its condition does not hold
    - nightly/*: its condition does not hold
    - filtered/build: its filters leave out the branch `try`
    - filtered/any: the expression in its `filters` does not hold
    ---
    filtered/build
    + filtered/build: its filters let the tag `v1` pass
    - branch/*: its condition does not hold
    - nightly/*: its condition does not hold
    - plain/build: it has no filter for tags, and `v1` is a tag
    - filtered/any: the expression in its `filters` does not hold
    ");
}

#[test]
fn all_that_a_config_has_can_be_asked_for() {
    let all = compiled(&Inputs {
        all_workflows: true,
        ..Inputs::default()
    });
    assert_snapshot!(outcome(&all), @"
    plain/build
    filtered/build
    filtered/any
    branch/build
    nightly/build
    nightly/again
    + branch/*: its condition holds
    ");
}
