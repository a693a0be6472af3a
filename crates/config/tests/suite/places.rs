//! Where a file is told to be no YAML: at the very character that a person has to change.

use crate::{compile_one, file, with_steps};

/// `line:column message`
fn fault(text: &str) -> String {
    let compiled = compile_one(text);
    let first = compiled
        .errors()
        .next()
        .unwrap_or_else(|| panic!("nothing is wrong with {text:?}"));
    let place = first
        .span
        .as_ref()
        .map_or_else(String::new, |span| format!("{}:{}", span.line, span.column));
    format!("{place} {}", first.message)
}

fn check(faults: &[(&str, &str)]) {
    for (text, expected) in faults {
        assert_eq!(fault(text), *expected, "{text:?}");
    }
}

#[test]
fn tabs() {
    const TAB: &str = "a line is indented with a tab";
    let step = |lines: &str| with_steps(&format!("      - checkout\n{lines}"));
    for (text, place) in [
        ("version: 2.1\njobs:\n\tbuild:\n\t\tmachine: true\n", "3:1"),
        (
            "version: 2.1\njobs:\n  build:\n    machine: true\n\tsteps: [checkout]\n",
            "5:1",
        ),
        (
            "version: 2.1\njobs:\n  build:\n    environment:\n    \tA: b\n",
            "5:5",
        ),
        (
            "version: 2.1\njobs:\n  build: {\n\tmachine: true }\n",
            "4:1",
        ),
        (&step("\t  - run: make\n"), "7:1"),
        (&step("      \t- run: make\n"), "7:7"),
        (&step("      - run:\n\t  command: make\n"), "8:1"),
        (
            &step("      - run:\n          name: a\n          \tcommand: b\n"),
            "9:11",
        ),
        (&step("      - run: |\n\t  make\n"), "8:1"),
        (&step("      - run: |\n\t\n          make\n"), "8:1"),
        (
            &step("      - run: >\n          make\n\t\n          x\n"),
            "9:1",
        ),
        (&step("      - run: |\n          make\n\t  make\n"), "9:1"),
    ] {
        assert_eq!(fault(text), format!("{place} {TAB}"), "{text:?}");
    }
    check(&[("version:\t2.1\n", "1:9 a `:` is followed by a tab")]);
}

#[test]
fn keys_without_a_colon() {
    const KEY: &str = "a key has no `:` after it";
    for (text, place) in [
        ("version 2.1\njobs:\n  build: a\n", "1:1"),
        ("a:\nb\nc: d\n", "2:1"),
        ("jobs:\n  build\n    machine: true\n", "2:3"),
        ("jobs:\n  build:\n    machine true\n    steps: [a]\n", "3:5"),
        (
            "jobs:\n  build:\n    environment:\n      A=b\n      C: d\n",
            "4:7",
        ),
        ("steps:\n  - a\nworkflows\n  ci:\n    jobs: [a]\n", "3:1"),
        (
            "x:\n  a: b # c\n  # d: e\n  steps # f\n    # g\n    - checkout\n",
            "4:3",
        ),
        ("x:\n  - run:\n      name: a\n      command\n", "4:7"),
        ("x:\n  a: b\n  c\n\n\n  # d\n", "3:3"),
    ] {
        assert_eq!(fault(text), format!("{place} {KEY}"), "{text:?}");
    }
    check(&[
        (
            "x:\n  name:x\n  command: y\n",
            "2:7 a `:` has no space after it",
        ),
        (
            "x:\n  name: x\n  command:make\n",
            "3:10 a `:` has no space after it",
        ),
        ("x:\n  - a\n  -b: c\n", "3:3 a `-` has no space after it"),
        (
            "x:\n  - a\n   - b: c\n",
            "3:4 a line does not belong to the list above it",
        ),
        (
            "x:\n  a: b\n    c: d\n",
            "3:6 a `:` stands where no key can be",
        ),
    ]);
}

#[test]
fn faults_behind_what_is_read_leniently() {
    check(&[
        (
            "x:\n  - run:\n    |\n      a\n  - b\ny:\n  c\n  d: e\n",
            "7:3 a key has no `:` after it",
        ),
        (
            "a: {\n  b: c\nd:\n  - e\n",
            "3:2 a `{` is opened and not closed, or a `,` is missing",
        ),
        (
            "a: \"b\nc: d\n",
            "1:4 a quoted text goes on in a line that is not indented enough",
        ),
    ]);
}

#[test]
fn values_that_need_quotes() {
    check(&[
        (
            "x:\n  - run: [ -f a ] && b\n",
            "2:19 there is more text after a closing bracket",
        ),
        (
            "x:\n  key: {a: b} c\n",
            "2:15 there is more text after a closing bracket",
        ),
        (
            "cron: * * * * *\n",
            "1:7 a `*` or `&` is not followed by a name",
        ),
    ]);
}

#[test]
fn characters_that_are_not_seen() {
    check(&[
        (
            "a: b\nc: d\0e\n",
            "2:5 the file is not text: line 2 holds a NUL character",
        ),
        (
            "a: \"é\0\"\n",
            "1:6 the file is not text: line 1 holds a NUL character",
        ),
        (
            "# é\r\n#\0\n",
            "2:2 the file is not text: line 2 holds a NUL character",
        ),
        (
            "a: |\n  b\n\u{feff}c: d\n",
            "3:1 a byte order mark (U+FEFF) stands inside the text, and can't be seen",
        ),
        (
            "x:\n  a:\u{a0}b\n  c: d\n",
            "2:5 the character U+00A0 looks like a space and is none",
        ),
        // What is before a place changes nothing about it, whatever it is.
        (
            "a: \u{7}\u{c}\u{85}\u{2028}é🧊\r\nb: [\u{1b}, \"\u{b}\u{e}\", *c]\n",
            "2:14 an alias names an anchor that is not defined before it",
        ),
    ]);
    let wide: Vec<u8> = "version: 2.1\n"
        .bytes()
        .flat_map(|byte| [byte, 0])
        .collect();
    let compiled = config::compile(&[file("ci.yml", wide)], &config::Inputs::default());
    let help = compiled.diagnostics[0].help.as_deref();
    assert_eq!(help, Some("it looks like UTF-16: save it as UTF-8"));
}
