//! Snippets with a `|` where the cursor is, and what is answered there.

use insta::assert_snapshot;

use super::*;
use crate::OrbSource;

/// A text without its `|`, and where that was.
fn cursor(text: &str) -> (String, Position) {
    let at = text.find('|').expect("the snippet has a cursor");
    let before = &text[..at];
    let position = Position {
        line: before.matches('\n').count() + 1,
        column: before
            .rsplit('\n')
            .next()
            .unwrap_or_default()
            .chars()
            .count()
            + 1,
    };
    (format!("{before}{}", &text[at + 1..]), position)
}

/// The only orb at hand.
struct Greeter;

impl Orbs for Greeter {
    fn source(&self, reference: &str) -> Result<OrbSource, String> {
        if reference != "acme/greeter@1.0" {
            return Err("is not at hand".into());
        }
        Ok(OrbSource {
            name: reference.into(),
            text: b"description: Greets people.\ncommands:\n  hello:\n    description: Says hello.\n    parameters:\n      to: {type: string, default: world}\n    steps: [run: echo << parameters.to >>]\n".to_vec(),
        })
    }
}

/// What is offered: `label (insert)`, the second only where it differs, and what it replaces.
fn offered(text: &str) -> String {
    let (text, position) = cursor(text);
    let Some(completions) = Document::new(&text, Some(&Greeter)).complete(position) else {
        return "nothing".to_owned();
    };
    let items: Vec<String> = completions
        .items
        .iter()
        .map(|item| {
            if item.insert == item.label {
                item.label.clone()
            } else {
                format!("{} ({:?})", item.label, item.insert)
            }
        })
        .collect();
    let Span { column, length, .. } = completions.replace;
    format!("{column}+{length}: {}", items.join(", "))
}

fn hover(text: &str) -> String {
    let (text, position) = cursor(text);
    let hover = Document::new(&text, Some(&Greeter)).hover(position);
    hover.map_or("nothing".to_owned(), |hover| hover.markdown)
}

/// The line of a definition, with carets below its name.
fn definition(text: &str) -> String {
    let (text, position) = cursor(text);
    match Document::new(&text, Some(&Greeter)).definition(position) {
        Some(span) => {
            let line = text.lines().nth(span.line - 1).unwrap_or_default();
            let blanks = " ".repeat(span.column - 1);
            format!(
                "{}: {line}\n   {blanks}{}",
                span.line,
                "^".repeat(span.length)
            )
        }
        None => "nothing".to_owned(),
    }
}

/// What most snippets go on from.
const CONFIG: &str = "version: 2.1
orbs:
  greeter: acme/greeter@1.0
  local:
    commands:
      wave: {steps: [run: wave]}
parameters:
  deploy: {type: boolean, default: false}
executors:
  small: &small
    docker: [image: alpine]
commands:
  greet:
    description: Greets somebody.
    parameters:
      to:
        type: enum
        enum: [world, moon]
        default: world
      loud: {type: boolean, default: false}
    steps:
      - run: echo << parameters.to >>
jobs:
  build:
    description: Builds it all.
    executor: small
    parameters:
      target: {type: string}
    steps:
      - checkout
      - greet: {to: moon}
  test:
    <<: *small
    steps: [greet, local/wave, greeter/hello]
";

fn with(rest: &str) -> String {
    format!("{CONFIG}{rest}")
}

#[test]
fn keys_are_completed() {
    assert_snapshot!(offered("vers|"), @r#"1+4: version ("version: "), jobs ("jobs:"), workflows ("workflows:"), orbs ("orbs:"), commands ("commands:"), executors ("executors:"), parameters ("parameters:"), setup ("setup: "), job-groups ("job-groups:")"#);
    assert_snapshot!(offered("version: 2.1\njobs:\n  build:\n    machine: true\n    |"), @r#"5+0: docker ("docker:"), macos ("macos:"), windows ("windows:"), executor ("executor: "), steps ("steps:"), environment ("environment:"), working_directory ("working_directory: "), shell ("shell: "), parameters ("parameters:"), parallelism ("parallelism: "), resource_class ("resource_class: "), description ("description: "), type ("type: "), branches ("branches:"), circleci_ip_ranges ("circleci_ip_ranges: "), retention ("retention:"), timeout ("timeout: "), retry ("retry: ")"#);
    assert_snapshot!(offered("jobs:\n  build:\n    docker:\n      - image: a\n        |\n    steps: [checkout]"), @r#"9+0: name ("name: "), user ("user: "), environment ("environment:"), entrypoint ("entrypoint:"), command ("command:"), auth ("auth:"), aws_auth ("aws_auth:"), gcp_auth ("gcp_auth:")"#);
    assert_snapshot!(offered("workflows:\n  main:\n    jobs:\n      - build:\n          filters:\n            |"), @r#"13+0: branches ("branches:"), tags ("tags:")"#);
    assert_snapshot!(offered("jobs:\n  build:\n    steps:\n      - run:\n          wh|: always"), @"11+2: name, command, environment, working_directory, shell, when, background, no_output_timeout, max_auto_reruns, auto_rerun_delay");
    assert_snapshot!(offered("jobs: {build: {machine: true, st|"), @r#"31+2: docker ("docker:"), macos ("macos:"), windows ("windows:"), executor ("executor: "), steps ("steps:"), environment ("environment:"), working_directory ("working_directory: "), shell ("shell: "), parameters ("parameters:"), parallelism ("parallelism: "), resource_class ("resource_class: "), description ("description: "), type ("type: "), branches ("branches:"), circleci_ip_ranges ("circleci_ip_ranges: "), retention ("retention:"), timeout ("timeout: "), retry ("retry: ")"#);
}

#[test]
fn steps_are_completed() {
    assert_snapshot!(offered(&with("  lint:\n    steps:\n      - |\n")), @r#"9+0: run ("run: "), checkout, save_cache ("save_cache:"), restore_cache ("restore_cache:"), store_artifacts ("store_artifacts:"), store_test_results ("store_test_results:"), persist_to_workspace ("persist_to_workspace:"), attach_workspace ("attach_workspace:"), add_ssh_keys, setup_remote_docker, install_signing_bundle, deploy ("deploy:"), when ("when:"), unless ("unless:"), steps ("steps:"), greet, greeter/hello, local/wave"#);
    assert_snapshot!(offered(&with("  lint:\n    steps: [check|]\n")), @r#"13+5: run ("run: "), checkout, save_cache ("save_cache:"), restore_cache ("restore_cache:"), store_artifacts ("store_artifacts:"), store_test_results ("store_test_results:"), persist_to_workspace ("persist_to_workspace:"), attach_workspace ("attach_workspace:"), add_ssh_keys, setup_remote_docker, install_signing_bundle, deploy ("deploy:"), when ("when:"), unless ("unless:"), steps ("steps:"), greet, greeter/hello, local/wave"#);
    assert_snapshot!(offered(&with("  lint:\n    steps:\n      - greet:\n          |\n")), @r#"11+0: to ("to: "), loud ("loud: ")"#);
    assert_snapshot!(offered(&with("  lint:\n    steps:\n      - greet:\n          to: |\n")), @"15+0: world, moon");
    assert_snapshot!(offered(&with("  lint:\n    steps:\n      - greeter/hello: {|}\n")), @r#"25+0: to ("to: ")"#);
}

#[test]
fn names_are_completed() {
    assert_snapshot!(offered(&with("workflows:\n  main:\n    jobs:\n      - |\n")), @"9+0: build, test");
    assert_snapshot!(offered(&with("workflows:\n  main:\n    jobs:\n      - build\n      - test:\n          requires: [b|]\n")), @"22+1: build");
    assert_snapshot!(offered(&with("workflows:\n  main:\n    jobs:\n      - build: {name: first}\n      - test:\n          requires:\n            - |\n")), @"15+0: first");
    assert_snapshot!(offered(&with("  lint:\n    executor: |\n")), @"15+0: small");
    assert_snapshot!(offered(&with("  lint:\n    <<: *|\n")), @"10+0: small");
}

#[test]
fn of_very_many_names_those_that_are_typed_are_offered() {
    let jobs: String = (0..2 * MAX_COMPLETIONS)
        .map(|number| format!("  job-{number}: {{}}\n"))
        .collect();
    let ask = |typed: &str| {
        let text = format!("jobs:\n{jobs}workflows:\n  main:\n    jobs:\n      - {typed}|\n");
        let (text, position) = cursor(&text);
        let completions = Document::new(&text, None).complete(position).unwrap();
        assert!(!completions.is_complete);
        completions.items
    };
    assert_eq!(ask("").len(), MAX_COMPLETIONS);
    let found = ask("B-99");
    let labels: Vec<&str> = found.iter().map(|item| item.label.as_str()).collect();
    assert_eq!(labels[..3], ["job-99", "job-990", "job-991"]);
    assert_eq!(labels.len(), 11);
}

#[test]
fn words_are_completed() {
    assert_snapshot!(offered("workflows:\n  main:\n    jobs:\n      - hold:\n          type: |\n"), @"17+0: build, approval, no-op, release, lock, unlock");
    assert_snapshot!(offered("jobs:\n  a:\n    steps:\n      - run: {command: x, background: |}\n"), @"39+0: true, false");
    assert_snapshot!(offered("jobs:\n  a:\n    parameters:\n      b:\n        type: s|\n"), @"15+1: string, boolean, integer, enum, executor, steps, env_var_name");
}

#[test]
fn references_are_completed() {
    assert_snapshot!(offered(&CONFIG.replace("<< parameters.to >>", "<< para|")), @"22+4: parameters.to, parameters.loud");
    assert_snapshot!(offered(&CONFIG.replace("- checkout", "- run: |\n          make << pipeline.p|")
        .replacen("run: |", "run: >", 1)), @"19+10: pipeline.parameters.deploy, pipeline.project.git_url, pipeline.project.type, pipeline.project.slug, pipeline.project.name, pipeline.project.id, pipeline.project.organization_id");
    assert_snapshot!(offered("workflows:\n  main:\n    jobs:\n      - a:\n          name: x-<< m| >>\n          matrix: {parameters: {os: [a, b]}}\n"), @"22+1: matrix.os");
    assert_snapshot!(offered("jobs:\n  a:\n    steps:\n      - run: cat <<EO|\n"), @"20+2:");
}

#[test]
fn what_is_an_expression_as_a_whole_is_known() {
    let when = |text: &str| {
        format!(
            "parameters:\n  deploy: {{type: boolean, default: false}}\nworkflows:\n  main:\n    when: {text}\n    jobs: [a]\n"
        )
    };
    assert_snapshot!(offered(&when("pipeline.git.b|")), @"11+14: pipeline.git.branch, pipeline.git.branch.is_default, pipeline.git.base_revision");
    assert_snapshot!(offered(&when("pipeline.git.tag == \"x\" and not (pipeline.par|)")), @"44+12: pipeline.parameters.deploy");
    assert_snapshot!(offered(&when("'pipeline.trigger_s| == \"api\"'")), @"12+18: pipeline.trigger_source");
    assert_snapshot!(offered(&when("\n      pipeline.par|")), @"7+12: pipeline.parameters.deploy");
    assert_snapshot!(offered("workflows:\n  main:\n    unless: a\n    jobs:\n      - a:\n          filters: pipeline.git.tag or pipeline.git.b|\n"), @"40+14: pipeline.git.branch, pipeline.git.branch.is_default, pipeline.git.base_revision");
    // The `when` of a step is none, and neither is a text with holes.
    assert_snapshot!(offered("jobs:\n  a:\n    steps:\n      - when: {condition: pipeline.git.b|, steps: [a]}\n"), @"27+14:");
    assert_snapshot!(hover(&when("pipeline.git.tag or pipeline.git.bra|nch")), @"
    **`pipeline.git.branch`**

    The branch; empty for a tag.
    ");
    assert_snapshot!(hover(&when(">-\n      pipeline.git.tag\n      and pipeline.parameters.dep|loy")), @"**Parameter** `deploy`: boolean, `false` unless given");
    assert_snapshot!(hover(&when("not pipeline.git.tag sta|rts-with \"v\"")), @"nothing");
    assert_snapshot!(definition(&when("pipeline.parameters.d|eploy")), @"
    2:   deploy: {type: boolean, default: false}
         ^^^^^^
    ");
}

#[test]
fn names_that_would_be_something_else_are_quoted() {
    const NAMES: &str =
        "jobs:\n  yes: {}\n  a b: {}\n  \"1.0\": {}\n  'a: b': {}\n  'c, #1': {}\n  '*x': {}\n";
    let uses = |text: &str| offered(&format!("{NAMES}workflows:\n  main:\n    jobs: {text}\n"));
    assert_snapshot!(uses("\n      - |"), @r#"9+0: yes ("'yes'"), a b, 1.0 ("'1.0'"), a: b ("'a: b'"), c, #1 ("'c, #1'"), *x ("'*x'")"#);
    assert_snapshot!(uses("[|]"), @r#"12+0: yes ("'yes'"), a b, 1.0 ("'1.0'"), a: b ("'a: b'"), c, #1 ("'c, #1'"), *x ("'*x'")"#);
    assert_snapshot!(uses("['|']"), @"13+0: yes, a b, 1.0, a: b, c, #1, *x");
    assert_snapshot!(uses("\n      - a|: {}"), @r#"9+1: yes ("'yes'"), a b, 1.0 ("'1.0'"), a: b ("'a: b'"), c, #1 ("'c, #1'"), *x ("'*x'")"#);
    let values = "commands:\n  c:\n    parameters:\n      v: {type: enum, enum: ['3.10', \"on\", a, 'b # c']}\njobs:\n  a:\n    steps:\n      - c: {v: |}\n";
    assert_snapshot!(offered(values), @r#"16+0: 3.10 ("'3.10'"), on ("'on'"), a, b # c ("'b # c'")"#);
}

/// An orb that is written in the config, with one in it.
const ORBS: &str = "version: 2.1
parameters:
  deploy: {type: boolean, default: false}
orbs:
  local:
    orbs:
      inner:
        commands:
          deep: {steps: [run: deep]}
    executors:
      box: {machine: true}
    commands:
      wave:
        parameters:
          times: {type: integer, default: 1}
        steps: [run: wave << parameters.times >>]
    jobs:
      all:
        executor: box
        steps:
          - wave: {times: 2}
          - inner/deep
commands:
  outer: {steps: [checkout]}
";

#[test]
fn in_an_orb_its_own_names_count() {
    let steps = offered(&ORBS.replace("- inner/deep", "- |"));
    assert_snapshot!(steps.split(r#"steps ("steps:"), "#).last().unwrap(), @"wave, inner/deep");
    assert_snapshot!(offered(&ORBS.replace("executor: box", "executor: |")), @"19+0: box");
    assert_snapshot!(offered(&ORBS.replace("{times: 2}", "{|}")), @r#"20+0: times ("times: ")"#);
    let references = offered(&ORBS.replace("<< parameters.times >>", "<< p|"));
    assert!(
        references.starts_with("30+1: parameters.times, pipeline.id, "),
        "{references}"
    );
    assert!(!references.contains("pipeline.parameters"), "{references}");
    assert_snapshot!(definition(&ORBS.replace("- inner/deep", "- inner/de|ep")), @"
    9:           deep: {steps: [run: deep]}
                 ^^^^
    ");
    assert_snapshot!(definition(&ORBS.replace("executor: box", "executor: b|ox")), @"
    11:       box: {machine: true}
             ^^^
    ");
    assert_snapshot!(definition(&ORBS.replace("{times: 2}", "{ti|mes: 2}")), @"
    15:           times: {type: integer, default: 1}
                 ^^^^^
    ");
    assert_snapshot!(hover(&ORBS.replace("- inner/deep", "- out|er")), @"nothing");
}

#[test]
fn what_a_type_of_jobs_has_besides_is_known() {
    assert_snapshot!(hover("workflows: {w: {jobs: [gate: {type: lock, k|ey: main}]}}"), @"
    **`key`** – a string

    What a job of the type `lock` or `unlock` locks on CircleCI; nothing is locked here.
    ");
    assert_snapshot!(hover("workflows: {w: {jobs: [gate: {k|ey: main}]}}"), @"nothing");
}

#[test]
fn keys_are_explained() {
    assert_snapshot!(hover("jobs:\n  build:\n    resource_cl|ass: large"), @"
    **`resource_class`** – a string

    How much of a machine the job gets, or the label of the runner that it needs.
    ");
    assert_snapshot!(hover("jobs:\n  build:\n    steps: [{run: {wh|en: always}}]"), @"
    **`when`** – a word

    Whether the step runs after a failure: `on_success`, `on_fail` or `always`. The default is `on_success`, but `always` for what keeps artifacts and test results.

    One of `on_success`, `on_fail`, `always`.
    ");
    assert_snapshot!(hover("jobs:\n  build:\n    steps: [chec|kout]"), @"
    **`checkout`** – a map

    Lays out the code.
    ");
    assert_snapshot!(hover("x-defaults: &d\n  work|ing_directory: a\njobs:\n  build:\n    <<: *d"), @"
    **`working_directory`** – a string

    Where steps run; `~/project` unless given.
    ");
    assert_snapshot!(hover("anything: |goes"), @"nothing");
}

#[test]
fn names_are_explained() {
    assert_snapshot!(hover(&CONFIG.replace("[greet,", "[gre|et,")), @"
    **`greet`** – command

    Greets somebody.

    - `to`: enum, `world` unless given
    - `loud`: boolean, `false` unless given
    ");
    assert_snapshot!(hover(&CONFIG.replace("{to: moon}", "{t|o: moon}")), @"**Parameter** `to`: enum, `world` unless given");
    assert_snapshot!(hover(&CONFIG.replace("greeter/hello]", "greeter/he|llo]")), @"
    **`greeter/hello`** – command

    Says hello.

    - `to`: string, `world` unless given
    ");
    assert_snapshot!(hover(&CONFIG.replace("acme/greeter@1.0", "acme/gr|eeter@1.0")), @"
    **`greeter`** – orb `acme/greeter@1.0`

    Greets people.
    ");
    assert_snapshot!(hover(&CONFIG.replace("*small", "*sm|all")), @"
    ```yaml
      small: &small
        docker: [image: alpine]
    ```
    ");
    assert_snapshot!(hover(&CONFIG.replace("<< parameters.to >>", "<< parameters.t|o >>")), @"**Parameter** `to`: enum, `world` unless given");
    assert_snapshot!(hover(&CONFIG.replace("<< parameters.to >>", "<< pipeline.git.br|anch >>")), @"
    **`pipeline.git.branch`**

    The branch; empty for a tag.
    ");
}

#[test]
fn definitions_are_found() {
    let flow = "workflows:\n  main:\n    jobs:\n      - build: {name: first, matrix: {alias: all, parameters: {target: [a]}}}\n      - te|st:\n          requires: [first, all]\n";
    let without = flow.replace('|', "");
    assert_snapshot!(definition(&with(flow)), @"
    32:   test:
         ^^^^
    ");
    assert_snapshot!(definition(&with(&without.replace("[first", "[fi|rst"))), @"
    38:       - build: {name: first, matrix: {alias: all, parameters: {target: [a]}}}
                             ^^^^^
    ");
    assert_snapshot!(definition(&with(&without.replace("all]", "al|l]"))), @"
    38:       - build: {name: first, matrix: {alias: all, parameters: {target: [a]}}}
                                                    ^^^
    ");
    assert_snapshot!(definition(&with(&without.replace("{target:", "{targ|et:"))), @"
    28:       target: {type: string}
             ^^^^^^
    ");
    assert_snapshot!(definition(&CONFIG.replace("- greet: {", "- gr|eet: {")), @"
    13:   greet:
         ^^^^^
    ");
    assert_snapshot!(definition(&CONFIG.replace("executor: small", "executor: sm|all")), @"
    10:   small: &small
         ^^^^^
    ");
    assert_snapshot!(definition(&CONFIG.replace("<< parameters.to >>", "<< parameters.to| >>")), @"
    16:       to:
             ^^
    ");
    assert_snapshot!(definition(&CONFIG.replace("<< parameters.to >>", "<< pipeline.parameters.|deploy >>")), @"
    8:   deploy: {type: boolean, default: false}
         ^^^^^^
    ");
    assert_snapshot!(definition(&CONFIG.replace("*small", "*sm|all")), @"
    10:   small: &small
                 ^^^^^
    ");
    assert_snapshot!(definition(&CONFIG.replace("local/wave", "local/w|ave")), @"
    6:       wave: {steps: [run: wave]}
             ^^^^
    ");
    assert_snapshot!(definition(&CONFIG.replace("greeter/hello", "greeter/h|ello")), @"
    3:   greeter: acme/greeter@1.0
         ^^^^^^^
    ");
    assert_snapshot!(definition(&CONFIG.replace("- checkout", "- check|out")), @"nothing");
}

#[test]
fn every_position_gets_an_answer_of_fair_size() {
    for (index, line) in CONFIG.lines().enumerate() {
        for column in 1..=line.chars().count() + 2 {
            ask_all(CONFIG, index + 1, column);
        }
    }
}

/// Asks all there is to ask; what is answered lies in the text.
fn ask_all(text: &str, line: usize, column: usize) {
    let document = Document::new(text, Some(&Greeter));
    let position = Position { line, column };
    let check = |span: Span| assert!(span.line > 0 && span.column > 0);
    if let Some(hover) = document.hover(position) {
        assert!(hover.markdown.len() < 200_000);
        check(hover.span);
    }
    if let Some(span) = document.definition(position) {
        check(span);
    }
    if let Some(completions) = document.complete(position) {
        assert!(completions.items.len() <= MAX_COMPLETIONS);
        check(completions.replace);
    }
}

/// What texts are made of that come near to being configs.
const PIECES: &[&str] = &[
    "jobs:\n",
    "workflows:\n",
    "  build:\n",
    "    steps:\n",
    "      - run: ",
    "- ",
    "[",
    "]",
    "{",
    "}",
    ",",
    ": ",
    "\n",
    "  ",
    "\"",
    "'",
    "|\n",
    "&a ",
    "*a",
    "<<: ",
    "<< parameters.a >>",
    "<<",
    ">>",
    "# ",
    "é日",
    "\r\n",
    "\u{feff}",
    "\u{e000}",
    "requires: ",
    "orbs:\n  a: acme/greeter@1.0\n",
    "a/hello",
    "---\n",
    "parameters:\n",
    "executor: ",
    "    - ",
    "!!str ",
    "\t",
    "x: &a\n",
];

mod hostile {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_text(text in any::<String>(), line in 0..20_usize, column in 0..50_usize) {
            ask_all(&text, line, column);
        }

        #[test]
        fn pieces(places in proptest::collection::vec(0..PIECES.len(), 0..60), line in 0..20_usize, column in 0..50_usize) {
            let text: String = places.into_iter().map(|place| PIECES[place]).collect();
            ask_all(&text, line, column);
        }

        #[test]
        fn mutated(cuts in proptest::collection::vec((0..CONFIG.len(), 0..20_usize, 0..PIECES.len()), 1..6), line in 1..40_usize, column in 1..40_usize) {
            let mut text = CONFIG.to_owned();
            for (at, length, piece) in cuts {
                let start = (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
                let end = (start + length..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
                text.replace_range(start..end.max(start), PIECES[piece]);
            }
            ask_all(&text, line, column);
        }
    }

    #[test]
    fn large_texts_are_answered() {
        for piece in [
            "- ",
            "[",
            "a: [\n",
            "x: \"\n",
            "&a ",
            "<< ",
            "{a: ",
            "a: &a *a\n",
            "  - ",
        ] {
            let text = piece.repeat(MAX_FILE_BYTES / 8 / piece.len());
            ask_all(&text, 1, 2);
            ask_all(&text, 1000, 2);
        }
        ask_all(&"a".repeat(MAX_FILE_BYTES + 1), 1, 2);
    }
}
