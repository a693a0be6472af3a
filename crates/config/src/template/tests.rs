use insta::assert_snapshot;
use proptest::prelude::*;

use super::{MAX_TEMPLATE_CHARS, Part, parse};
use crate::fault::shown;

fn text(text: &str) -> Part {
    Part::Text(text.to_owned())
}

#[test]
fn all_that_is_documented_is_read() {
    let key = r#"v1-{{ .Branch }}-{{ .BuildNum }}-{{.Revision}}-{{ .CheckoutKey }}-{{ .Environment.CACHE_V1 }}-{{ checksum "package-lock.json" }}-{{epoch}}-{{ arch }}"#;
    assert_eq!(
        parse(key).unwrap(),
        [
            text("v1-"),
            Part::Branch,
            text("-"),
            Part::BuildNumber,
            text("-"),
            Part::Revision,
            text("-"),
            Part::CheckoutKey,
            text("-"),
            Part::Environment("CACHE_V1".into()),
            text("-"),
            Part::Checksum("package-lock.json".into()),
            text("-"),
            Part::Epoch {
                rounded_to_ms: None
            },
            text("-"),
            Part::Arch,
        ]
    );
}

#[test]
fn what_gos_templates_allow_is_read() {
    for (key, parts) in [
        ("", vec![]),
        ("plain } {x} %", vec![text("plain } {x} %")]),
        ("a }} b", vec![text("a }} b")]),
        ("{{arch}}{{\tarch\n}}", vec![Part::Arch, Part::Arch]),
        ("a  {{- arch -}}  b", vec![text("a"), Part::Arch, text("b")]),
        ("a {{/* why */}} b", vec![text("a "), text(" b")]),
        ("{{- /* }} */ -}}", vec![]),
        (
            r#"{{checksum "a }} b"}}"#,
            vec![Part::Checksum("a }} b".into())],
        ),
        (
            r#"{{ checksum "a \"b\" \\" }}"#,
            vec![Part::Checksum(r#"a "b" \"#.into())],
        ),
        (r"{{ checksum `a\b` }}", vec![Part::Checksum(r"a\b".into())]),
        (r#"{{ "{{" }}x"#, vec![text("{{"), text("x")]),
        (
            r#"{{ epoch | round "72h" }}"#,
            vec![Part::Epoch {
                rounded_to_ms: Some(72 * 3_600_000),
            }],
        ),
    ] {
        assert_eq!(parse(key), Ok(parts), "{key}");
    }
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    let told: Vec<_> = [
        "v1-{{ .Branch",
        "{{}}",
        "{{ branch }}",
        "{{ Branch }}",
        "{{ .Brnach }}",
        "{{ .Foo }}",
        "{{ .Environment }}",
        "{{ .Environment. }}",
        "{{ .Environment.A-B }}",
        "{{ .Environment.1 }}",
        "{{ $CIRCLE_BRANCH }}",
        "{{ chekcsum \"a\" }}",
        "{{ checksum }}",
        "{{ checksum \"\" }}",
        "{{ checksum a.txt }}",
        "{{ checksum 'a.txt' }}",
        "{{ checksum \"a\" \"b\" }}",
        "{{ checksum \"a }}",
        "{{ checksum \"a\\x\" }}",
        "{{ arch \"a\" }}",
        "{{ .Branch .Revision }}",
        "{{ \"a\" \"b\" }}",
        "{{ if .Branch }}x{{ end }}",
        "{{ .Branch | lower }}",
        "{{ epoch | round }}",
        "{{ epoch | round 24 }}",
        "{{ epoch | round \"soon\" }}",
        "{{ epoch | round \"0s\" }}",
        "{{ epoch | round \"1h\" | round \"1h\" }}",
        "{{ epoch | }}",
        "{{ | arch }}",
        "é-{{ aarch }}-{{ .Branhc }}",
        "{{ /* why }}",
    ]
    .into_iter()
    .flat_map(|key| {
        let faults = parse(key).unwrap_err();
        faults.into_iter().map(move |fault| shown(key, &fault))
    })
    .collect();
    assert_snapshot!(told.join("\n"), @r#"
    v1-{{ .Branch
       ^^ this `{{` is never closed
    help: it ends with `}}`
    {{}}
    ^^^^ there is nothing between the braces
    help: a key can have `{{ .Branch }}` or `{{ checksum "file" }}`
    {{ branch }}
       ^^^^^^ there is no function `branch` in keys
    help: did you mean `.Branch`?
    {{ Branch }}
       ^^^^^^ there is no function `Branch`
    help: did you mean `.Branch`?
    {{ .Brnach }}
       ^^^^^^^ there is no field `.Brnach` in keys
    help: did you mean `.Branch`?
    {{ .Foo }}
       ^^^^ there is no field `.Foo` in keys
    help: a key can have `.Branch`, `.BuildNum`, `.Revision`, `.CheckoutKey`, `.Environment.X`, `arch`, `epoch` and `checksum "file"`
    {{ .Environment }}
       ^^^^^^^^^^^^ `.Environment` needs the name of a variable
    help: write `.Environment.CACHE_VERSION`
    {{ .Environment. }}
       ^^^^^^^^^^^^^ `.Environment.` names no variable
    help: a name has letters, digits and `_`: `.Environment.CACHE_VERSION`
    {{ .Environment.A-B }}
       ^^^^^^^^^^^^^^^^ `.Environment.A-B` names no variable
    help: a name has letters, digits and `_`: `.Environment.CACHE_VERSION`
    {{ .Environment.1 }}
       ^^^^^^^^^^^^^^ `.Environment.1` names no variable
    help: a name has letters, digits and `_`: `.Environment.CACHE_VERSION`
    {{ $CIRCLE_BRANCH }}
       ^^^^^^^^^^^^^^ there is no function `$CIRCLE_BRANCH` in keys
    help: a key can have `.Branch`, `.BuildNum`, `.Revision`, `.CheckoutKey`, `.Environment.X`, `arch`, `epoch` and `checksum "file"`
    {{ chekcsum "a" }}
       ^^^^^^^^ there is no function `chekcsum` in keys
    help: did you mean `checksum`?
    {{ checksum }}
       ^^^^^^^^ `checksum` needs a file
    help: write `{{ checksum "package-lock.json" }}`
    {{ checksum "" }}
                ^^ `checksum` needs a file
    help: write `{{ checksum "package-lock.json" }}`
    {{ checksum a.txt }}
                ^^^^^ the file of `checksum` has to be in quotes
    help: write `{{ checksum "package-lock.json" }}`
    {{ checksum 'a.txt' }}
                ^ strings are not written with `'` here
    help: write them with double quotes: `"package-lock.json"`
    {{ checksum "a" "b" }}
                    ^^^ `checksum` takes one file
    help: write another `{{ checksum … }}` for another file
    {{ checksum "a }}
                ^ this `"` is never closed
    {{ checksum "a\x" }}
                  ^^ this escape is not supported
    help: there are `\"`, `\\`, `\n` and `\t`
    {{ arch "a" }}
            ^^^ `arch` takes nothing behind it
    {{ .Branch .Revision }}
               ^^^^^^^^^ `.Branch` takes nothing behind it
    {{ "a" "b" }}
           ^^^ a string takes nothing behind it
    {{ if .Branch }}x{{ end }}
       ^^ there is no function `if` in keys
    help: a key can have `.Branch`, `.BuildNum`, `.Revision`, `.CheckoutKey`, `.Environment.X`, `arch`, `epoch` and `checksum "file"`
    {{ if .Branch }}x{{ end }}
                        ^^^ there is no function `end` in keys
    help: a key can have `.Branch`, `.BuildNum`, `.Revision`, `.CheckoutKey`, `.Environment.X`, `arch`, `epoch` and `checksum "file"`
    {{ .Branch | lower }}
                 ^^^^^ this can't be passed on to that
    help: only `{{ epoch | round "24h" }}` is supported
    {{ epoch | round }}
               ^^^^^ this can't be passed on to that
    help: only `{{ epoch | round "24h" }}` is supported
    {{ epoch | round 24 }}
                     ^^ `round` needs a duration in quotes
    help: write it like `round "24h"`
    {{ epoch | round "soon" }}
                     ^^^^^^ `round` needs a duration
    help: write it like `round "24h"`
    {{ epoch | round "0s" }}
                     ^^^^ nothing can be rounded to 0
    help: write it like `round "24h"`
    {{ epoch | round "1h" | round "1h" }}
                            ^^^^^ this can't be passed on any further
    help: only `{{ epoch | round "24h" }}` is supported
    {{ epoch | }}
    ^^^^^^^^^^^^^ this can't be passed on to that
    help: only `{{ epoch | round "24h" }}` is supported
    {{ | arch }}
       ^ there is nothing before this `|`
    é-{{ aarch }}-{{ .Branhc }}
         ^^^^^ there is no function `aarch` in keys
    help: did you mean `arch`?
    é-{{ aarch }}-{{ .Branhc }}
                     ^^^^^^^ there is no field `.Branhc` in keys
    help: did you mean `.Branch`?
    {{ /* why }}
    ^^ this `{{` is never closed
    help: it ends with `}}`
    "#);
    let long = "{{".repeat(MAX_TEMPLATE_CHARS);
    assert_eq!(parse(&long).unwrap_err().len(), 1);
}

/// What keys are made of.
const PIECES: &[&str] = &[
    "{{",
    "}}",
    "{",
    "}",
    " ",
    "-",
    "- ",
    " -",
    "/*",
    "*/",
    "\"",
    "`",
    "'",
    "\\",
    "|",
    ".Branch",
    ".Environment.",
    "X",
    "checksum ",
    "epoch",
    "arch",
    "round ",
    "\"1h\"",
    "é",
    "\n",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_gets_an_answer(text in "\\PC{0,60}", pieces in proptest::collection::vec(0..PIECES.len(), 0..20)) {
        let pieces: String = pieces.into_iter().map(|place| PIECES[place]).collect();
        for text in [text, pieces] {
            if let Err(faults) = parse(&text) {
                prop_assert!(!faults.is_empty());
                for fault in faults {
                    shown(&text, &fault);
                }
            }
        }
    }

    #[test]
    fn text_without_braces_is_itself(text in "[^{]{1,60}") {
        prop_assert_eq!(parse(&text), Ok(vec![Part::Text(text)]));
    }

    #[test]
    fn any_file_can_be_quoted(file in "[^\\s]{1,40}") {
        let quoted = file.replace('\\', "\\\\").replace('"', "\\\"");
        let key = format!("a-{{{{ checksum \"{quoted}\" }}}}");
        prop_assert_eq!(parse(&key), Ok(vec![Part::Text("a-".into()), Part::Checksum(file)]));
    }
}
