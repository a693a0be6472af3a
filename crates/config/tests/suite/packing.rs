//! Orbs, from the folder in which they are written to the text that is published.

use config::{Inputs, OrbSource, Orbs, SourceFile, compile, pack};
use insta::assert_snapshot;

fn files(files: &[(&str, &str)]) -> Vec<SourceFile> {
    let file = |(path, text): &(&str, &str)| SourceFile {
        path: (*path).to_owned(),
        text: text.as_bytes().to_vec(),
    };
    files.iter().map(file).collect()
}

/// The packed text, or what is wrong.
fn packed(source: &[(&str, &str)]) -> String {
    let packed = pack(&files(source));
    packed.text.unwrap_or_else(|| {
        let told: Vec<String> = packed.diagnostics.iter().map(ToString::to_string).collect();
        told.join("\n")
    })
}

const ROOT: &str = "version: 2.1\ndescription: Greets\ncommands:\n  wave:\n    steps: [checkout]\n";
const GREET: &str = "parameters:\n  to: {type: string, default: '3.10'}\nsteps:\n  - run:\n      environment: {TO: << parameters.to >>}\n      command: <<include(scripts/greet.sh)>>\n";
const SCRIPT: &str = "cat <<EOF\nHello, $TO\nEOF\n";

/// One orb, whatever its reference.
struct Only(String);

impl Orbs for Only {
    fn source(&self, reference: &str) -> Result<OrbSource, String> {
        Ok(OrbSource {
            name: reference.to_owned(),
            text: self.0.clone().into_bytes(),
        })
    }
}

#[test]
fn folders_become_keys_and_includes_become_texts() {
    let text = packed(&[
        ("@orb.yml", ROOT),
        ("commands/greet.yml", GREET),
        ("executors/small.yaml", "docker: [{image: alpine}]"),
        ("scripts/greet.sh", SCRIPT),
        ("commands/README.md", "Not a command"),
    ]);
    assert_snapshot!(text, @r#"
    version: 2.1
    description: Greets
    commands:
      wave:
        steps:
        - checkout
      greet:
        parameters:
          to:
            type: string
            default: "3.10"
        steps:
        - run:
            environment:
              TO: "<< parameters.to >>"
            command: |
              cat \<<EOF
              Hello, $TO
              EOF
    executors:
      small:
        docker:
        - image: alpine
    "#);
    let config = "version: 2.1\norbs: {hello: acme/hello@1.0.0}\njobs:\n  build:\n    executor: hello/small\n    steps: [hello/greet]\n";
    let orbs = Only(text);
    let inputs = Inputs {
        orbs: Some(&orbs),
        ..Inputs::default()
    };
    let compiled = compile(&files(&[(".circleci/config.yml", config)]), &inputs);
    let plan = compiled.plan.expect("a packed orb is an orb");
    let plan = serde_json::to_string(&plan).expect("a plan is JSON");
    assert!(plan.contains(r"cat <<EOF\nHello, $TO\nEOF"), "{plan}");
    assert!(plan.contains(r#"["TO","3.10"]"#), "{plan}");
}

#[test]
fn a_file_that_is_included_often_fills_no_memory() {
    let uses = "- <<include(big)>>\n".repeat(20_000);
    let big = "x".repeat(100 * 1024);
    let told = packed(&[("@orb.yml", &format!("examples:\n{uses}")), ("big", &big)]);
    assert_snapshot!(told, @"
    error: the orb includes more than 1024 KiB
      @orb.yml:12:3
    12 │ - <<include(big)>>
       │   ^^^^^^^^^^^^^^^^
    ");
}

#[test]
fn what_can_t_be_packed_says_where() {
    let told = [
        packed(&[("commands/greet.yml", GREET)]),
        packed(&[("@orb.yml", "- a list")]),
        packed(&[("@orb.yml", ROOT), ("commands/wave.yml", "steps: []")]),
        packed(&[
            ("@orb.yml", ROOT),
            ("commands/greet.yml", GREET),
            ("scripts/great.sh", ""),
        ]),
        packed(&[("@orb.yml", "description: see <<include(a)>>"), ("a", "")]),
        packed(&[("@orb.yml", "jobs: none"), ("jobs/build.yml", "steps: []")]),
    ];
    assert_snapshot!(told.join("\n\n"), @"
    error: there is no `@orb.yml`

    error: an orb is a map, not a list
      @orb.yml:1:1
    1 │ - a list
      │ ^

    error: `commands` has `wave` twice
      commands/wave.yml:1:1
    1 │ steps: []
      │ ^^^^^
      @orb.yml:4:3
    4 │   wave:
      │   ^^^^ it is here already

    error: there is no file `scripts/greet.sh` in the orb's source
      commands/greet.yml:6:16
    6 │       command: <<include(scripts/greet.sh)>>
      │                ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ did you mean `scripts/great.sh`?

    error: an include must be the whole value
      @orb.yml:1:14
    1 │ description: see <<include(a)>>
      │              ^^^^^^^^^^^^^^^^^^ write nothing but `<<include(file)>>`

    error: `jobs` must be a map, not a string
      @orb.yml:1:1
    1 │ jobs: none
      │ ^^^^
    ");
}
