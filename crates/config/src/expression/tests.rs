use std::cell::Cell;

use insta::assert_snapshot;
use proptest::prelude::*;

use super::{Datum, Expression, MAX_EXPRESSION_BYTES, MAX_NESTING, Number, Reference};
use crate::fault::{Fault, shown};
use crate::pattern::{MAX_PATTERNS, Patterns};

fn parse(text: &str) -> Result<Expression, Fault> {
    super::parse(text, &mut Patterns::default())
}

/// What the names in these tests stand for.
fn lookup(reference: &Reference) -> Result<Datum, Fault> {
    Ok(match reference.name.as_str() {
        "none" | "pipeline.git.tag" => Datum::Null,
        "yes" => true.into(),
        "no" => false.into(),
        "five" => 5.into(),
        "zero" => 0.into(),
        "empty" => "".into(),
        "branch" | "pipeline.git.branch" => "main".into(),
        "pipeline.parameters.run-tests" => true.into(),
        "parameters.version" => Datum::Number(Number::parse("3.10").unwrap()),
        "matrix.os" | "p.x_1.2-y" | "maybe?" => "linux".into(),
        name => {
            let message = format!("there is no `{name}`");
            return Err(Fault::new(reference.place.clone(), message));
        }
    })
}

fn eval(text: &str) -> Datum {
    parse(text)
        .and_then(|expression| expression.eval(&mut lookup))
        .unwrap_or_else(|fault| panic!("{}", shown(text, &fault)))
}

fn fault(text: &str) -> String {
    match parse(text).and_then(|expression| expression.eval(&mut lookup)) {
        Ok(datum) => panic!("{text} is {datum:?}"),
        Err(fault) => shown(text, &fault),
    }
}

fn check(cases: &[(&str, Datum)]) {
    for (text, expected) in cases {
        assert_eq!(eval(text), *expected, "{text}");
    }
}

#[test]
fn literals_and_names_are_what_they_stand_for() {
    check(&[
        ("1", 1.into()),
        ("0", 0.into()),
        ("9223372036854775807", i64::MAX.into()),
        (r#""a b""#, "a b".into()),
        ("'a b'", "a b".into()),
        (r#"'"'"#, "\"".into()),
        (r#"'it\'s \\ \"'"#, r#"it's \ \""#.into()),
        ("branch == 'main'", true.into()),
        ("-3", Datum::Number(Number::parse("-3").unwrap())),
        ("1.50", Datum::Number(Number::parse("1.5").unwrap())),
        ("five > 4.5 and -1 < 0 and five == 5.0", true.into()),
        (r#""""#, "".into()),
        (r#""a \"b\" \\ \d""#, r#"a "b" \ \d"#.into()),
        ("true", true.into()),
        ("false", false.into()),
        ("none", Datum::Null),
        ("  \n\tfive \r\n", 5.into()),
        ("p.x_1.2-y", "linux".into()),
        ("maybe?", "linux".into()),
    ]);
}

#[test]
fn and_and_or_have_the_value_of_a_side() {
    check(&[
        ("true and 10 or 1", 10.into()),
        ("false and 10 or 1", 1.into()),
        (r#"branch == "main" and 10 or 1"#, 10.into()),
        (r#"branch == "dev" and 10 or 1"#, 1.into()),
        ("true and five", 5.into()),
        ("five and false", false.into()),
        ("no or five", 5.into()),
        ("no or no", false.into()),
        ("none or 12", 12.into()),
        ("12 or none", 12.into()),
        (r#"none and "x""#, Datum::Null),
        (r#""x" and none"#, Datum::Null),
        ("none and false", Datum::Null),
        ("false and none", false.into()),
        ("none or false", false.into()),
        ("false or none", Datum::Null),
        (r#"pipeline.git.tag or "no tag""#, "no tag".into()),
        // All but `false` and what has no value holds.
        ("0 and 1", 1.into()),
        (r#""" or 1"#, "".into()),
        ("true AND false OR true", true.into()),
        // `and` binds tighter, on both sides.
        ("true or false and false", true.into()),
        ("(true or false) and false", false.into()),
        ("false and false or true", true.into()),
    ]);
}

#[test]
fn what_decides_nothing_is_not_looked_at() {
    for text in [
        "false and unknown",
        "true or unknown",
        "none and (unknown or 1 < yes)",
    ] {
        eval(text);
    }
    let asked = Cell::new(0);
    let expression = parse("a or b or c").unwrap();
    let datum = expression.eval(&mut |reference| {
        asked.set(asked.get() + 1);
        Ok(Datum::Bool(reference.name == "b"))
    });
    assert_eq!((datum, asked.get()), (Ok(true.into()), 2));
}

#[test]
fn not_binds_tightest() {
    check(&[
        ("not true", false.into()),
        ("!true", false.into()),
        ("NOT no", true.into()),
        ("not none", true.into()),
        ("not 0", false.into()),
        ("not not 5", true.into()),
        ("not not not 5", false.into()),
        ("not yes and no", false.into()),
        ("not (yes and no)", true.into()),
        (r#"not branch == "main""#, false.into()),
        (r#"not (branch == "main")"#, false.into()),
        (r#"not (branch == "dev")"#, true.into()),
    ]);
    let doubtful = [r#"not branch == "dev""#, "yes and !five < 3 or no"];
    let doubts: Vec<_> = doubtful
        .into_iter()
        .flat_map(|text| {
            let expression = parse(text).unwrap();
            let told = expression.doubts().iter().map(|doubt| shown(text, doubt));
            told.collect::<Vec<_>>()
        })
        .collect();
    assert_snapshot!(doubts.join("\n"), @r#"
    not branch == "dev"
    ^^^^^^^^^^^^^ `not` binds tighter than the comparison behind it
    help: put the comparison in parentheses: `not (… == …)`
    yes and !five < 3 or no
            ^^^^^^^ `not` binds tighter than the comparison behind it
    help: put the comparison in parentheses: `not (… == …)`
    "#);
    for clear in [
        r#"not (branch == "dev")"#,
        "not yes and not no",
        "five == not no",
    ] {
        assert_eq!(parse(clear).unwrap().doubts(), [], "{clear}");
    }
}

#[test]
fn only_values_of_one_type_are_equal() {
    check(&[
        ("1 == 1", true.into()),
        ("1 == 2", false.into()),
        ("1 != 2", true.into()),
        (r#"branch == "main""#, true.into()),
        (r#"branch != "main""#, false.into()),
        ("yes == true", true.into()),
        ("yes != true", false.into()),
        ("true == 1", false.into()),
        (r#""5" == five"#, false.into()),
        (r#""5" != five"#, true.into()),
        (r#""true" == yes"#, false.into()),
        // What has no value is neither equal nor unequal to anything.
        ("none == none", Datum::Null),
        ("none != none", Datum::Null),
        (r#"none == "x""#, Datum::Null),
        (r#""x" != none"#, Datum::Null),
        // From left to right.
        ("1 == 1 == true", true.into()),
        ("1 < 2 == 3 > 2", true.into()),
    ]);
}

#[test]
fn order_is_one_of_numbers() {
    check(&[
        ("1 < 2", true.into()),
        ("2 < 2", false.into()),
        ("2 <= 2", true.into()),
        ("five > 4", true.into()),
        ("five >= 6", false.into()),
        ("none > 1", Datum::Null),
        ("1 <= none", Datum::Null),
        ("parameters.version < 4", true.into()),
        ("9223372036854775807 > 9223372036854775806", true.into()),
    ]);
}

#[test]
fn texts_are_searched() {
    check(&[
        (r#"branch starts-with "ma""#, true.into()),
        (r#"branch starts-with "in""#, false.into()),
        (r#""mainly" starts-with branch"#, true.into()),
        (r#"branch starts-with none"#, Datum::Null),
        (r#"branch contains "ai""#, true.into()),
        (r#"branch contains "ia""#, false.into()),
        (r#"none contains "ia""#, Datum::Null),
        ("branch matches /m.*/", true.into()),
        ("branch matches /m/", false.into()),
        (r#""release/1" matches /release\/\d/"#, true.into()),
        ("none matches /.*/", Datum::Null),
        ("not (branch matches /^feature-.*$/)", true.into()),
        (r#"branch matches /(?i)MAIN/ == true"#, true.into()),
    ]);
}

#[test]
fn real_ones() {
    check(&[
        (
            "pipeline.parameters.run-tests\nor pipeline.git.branch == \"dry-run\"\nor pipeline.git.branch starts-with \"deploy\"",
            true.into(),
        ),
        (
            r#"pipeline.git.tag starts-with "v" and pipeline.trigger_source == "api""#,
            Datum::Null,
        ),
        (
            "pipeline.git.branch or (pipeline.git.tag matches /^v.*/)",
            "main".into(),
        ),
        (
            r#"pipeline.git.branch == "main" and not pipeline.parameters.run-tests and (no or yes)"#,
            false.into(),
        ),
    ]);
}

#[test]
fn references_are_told_with_their_places() {
    let text = r#"é.x"#;
    assert!(parse(text).is_err());
    let text = r#""é" == a.b and (not c-d or a.b matches /x/)"#;
    let told: Vec<_> = parse(text)
        .unwrap()
        .references()
        .iter()
        .map(|reference| (reference.name.clone(), reference.place.clone()))
        .collect();
    assert_eq!(
        told,
        [
            ("a.b".into(), 7..10),
            ("c-d".into(), 20..23),
            ("a.b".into(), 27..30)
        ]
    );
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    let faults: Vec<_> = [
        "and",
        "",
        "yes or",
        "and yes",
        "!",
        "5 <",
        ">= 4",
        "(",
        "yes and (",
        "()",
        "(1 > 2 3",
        "1 > 2) < 3",
        "((yes and no)",
        "0 <= (1 > (2 < 3) >= 5",
        "yes and no five",
        "branch start-with \"m\"",
        "branch equals \"main\"",
        "yes true",
        "foo..bar",
        ".foo",
        "foo.",
        "-foo",
        "_foo",
        "14bar",
        "1.5.2",
        "1.",
        "-1x",
        "9223372036854775808",
        "branch = \"main\"",
        "branch =~ /x/",
        "yes && no",
        "yes || no",
        "branch == ‘main’",
        "branch == 'main",
        "branch == \"main",
        "branch matches /main",
        "branch matches /ma(in/",
        "branch matches \"main\"",
        "branch matches",
        "/main/",
        "yes or << pipeline.parameters.x >>",
        "$BRANCH == \"main\"",
        "yes ? 1 : 2",
        "unknown",
        "yes < 3",
        "\"a\" < \"b\"",
        "5 starts-with \"5\"",
        "branch contains 5",
        "five matches /5/",
    ]
    .into_iter()
    .map(fault)
    .collect();
    assert_snapshot!(faults.join("\n"), @r#"
    and
    ^^^ a value is expected before `and`

    ^ there is no expression
    yes or
          ^ a value is expected behind `or`
    and yes
    ^^^ a value is expected before `and`
    !
     ^ a value is expected behind `not`
    5 <
       ^ a value is expected behind `<`
    >= 4
    ^^ a value is expected before `>=`
    (
     ^ a value is expected behind `(`
    yes and (
             ^ a value is expected behind `(`
    ()
     ^ a value is expected between `(` and `)`
    (1 > 2 3
           ^ an operator is expected before `3`
    help: as `and`, `or` or `==`
    1 > 2) < 3
         ^ this `)` closes nothing
    ((yes and no)
    ^ this `(` is never closed
    0 <= (1 > (2 < 3) >= 5
         ^ this `(` is never closed
    yes and no five
               ^^^^ there is no operator `five`
    help: operators are `and`, `or`, `==`, `!=`, `<`, `<=`, `>`, `>=`, `starts-with`, `contains` and `matches`
    branch start-with "m"
           ^^^^^^^^^^ there is no operator `start-with`
    help: did you mean `starts-with`?
    branch equals "main"
           ^^^^^^ there is no operator `equals`
    help: operators are `and`, `or`, `==`, `!=`, `<`, `<=`, `>`, `>=`, `starts-with`, `contains` and `matches`
    yes true
        ^^^^ an operator is expected before `true`
    help: as `and`, `or` or `==`
    foo..bar
       ^ a name is expected behind this dot
    help: a reference is like `pipeline.git.branch`
    .foo
    ^ the character `.` means nothing here
    foo.
       ^ a name is expected behind this dot
    help: a reference is like `pipeline.git.branch`
    -foo
    ^ the character `-` means nothing here
    _foo
    ^ the character `_` means nothing here
    14bar
    ^^^^^ `14bar` is neither a number nor a name
    help: numbers are like `3` or `1.5`, and names begin with a letter
    1.5.2
    ^^^^^ `1.5.2` is neither a number nor a name
    help: numbers are like `3` or `1.5`, and names begin with a letter
    1.
    ^^ `1.` is neither a number nor a name
    help: numbers are like `3` or `1.5`, and names begin with a letter
    -1x
    ^^^ `-1x` is neither a number nor a name
    help: numbers are like `3` or `1.5`, and names begin with a letter
    9223372036854775808
    ^^^^^^^^^^^^^^^^^^^ the number `9223372036854775808` is too large
    branch = "main"
           ^ a single `=` is no operator
    help: write `==`
    branch =~ /x/
           ^^ there is no operator `=~`
    help: write `matches /…/`
    yes && no
        ^^ there is no operator `&&`
    help: write `and`
    yes || no
        ^^ there is no operator `||`
    help: write `or`
    branch == ‘main’
              ^ strings are not written with `‘`
    help: write them with straight quotes: `"main"`
    branch == 'main
              ^ this string is never closed
    help: it ends with `'`; a `'` inside is written `\'`
    branch == "main
              ^ this string is never closed
    help: it ends with `"`; a `"` inside is written `\"`
    branch matches /main
                   ^ this regular expression is never closed
    help: it ends with `/`; a `/` inside is written `\/`
    branch matches /ma(in/
                      ^ this `(` is never closed
    branch matches "main"
                   ^^^^^^ `matches` needs a regular expression on its right
    help: write it between slashes: `matches /^release-.*$/`
    branch matches
                  ^ `matches` needs a regular expression on its right
    help: write it between slashes: `matches /^release-.*$/`
    /main/
    ^^^^^^ a regular expression can only be behind `matches`
    help: strings are written with double quotes: `"main"`
    yes or << pipeline.parameters.x >>
           ^^ `<<` can't be inside an expression
    help: write names without `<<` and `>>` here, as in `pipeline.git.branch == "main"`
    $BRANCH == "main"
    ^ environment variables have no value yet when this is evaluated
    help: only pipeline values and parameters do
    yes ? 1 : 2
        ^ the character `?` means nothing here
    unknown
    ^^^^^^^ there is no `unknown`
    yes < 3
        ^ `<` takes numbers, not a boolean and a number
    "a" < "b"
        ^ `<` takes numbers, not a string and a string
    5 starts-with "5"
      ^^^^^^^^^^^ `starts-with` takes strings, not a number and a string
    branch contains 5
           ^^^^^^^^ `contains` takes strings, not a string and a number
    five matches /5/
         ^^^^^^^ `matches` takes a string, not a number
    "#);
}

#[test]
fn sizes_are_bounded() {
    let nested = |depth| format!("{}1{}", "(".repeat(depth), ")".repeat(depth));
    assert_eq!(eval(&nested(MAX_NESTING)), 1.into());
    for depth in [MAX_NESTING + 1, 5000] {
        let fault = parse(&nested(depth)).unwrap_err();
        assert_eq!(fault.message, "parentheses are nested more than 100 deep");
        assert_eq!((fault.start, fault.end), (MAX_NESTING, MAX_NESTING + 1));
    }
    let fault = parse(&nested(500_000)).unwrap_err();
    assert_eq!(
        fault.message,
        "the expression has 1000001 bytes, and 16384 are the most"
    );

    // Nothing else makes it deeper.
    for (piece, last) in [
        ("1 or ", "1"),
        ("1 and ", "1"),
        ("not ", "1"),
        ("1 == ", "1"),
        ("1 < ", "1"),
        ("!", "1"),
    ] {
        let long = piece.repeat(MAX_EXPRESSION_BYTES / piece.len() - 1) + last;
        let expression = parse(&long).unwrap();
        drop(expression.clone().eval(&mut lookup));
    }
    let matches = |count: usize, pattern: &dyn Fn(usize) -> usize| {
        let tests = (0..count).map(|number| format!("b matches /{}/", pattern(number)));
        tests.collect::<Vec<_>>().join(" or ")
    };
    assert!(parse(&matches(2 * MAX_PATTERNS, &|_| 0)).is_ok());
    assert!(parse(&matches(MAX_PATTERNS, &|number| number)).is_ok());
    assert_eq!(
        parse(&matches(MAX_PATTERNS + 1, &|number| number))
            .unwrap_err()
            .message,
        "the config has more than 300 different regular expressions"
    );
}

#[test]
fn data_is_true_shown_and_equal_as_documented() {
    let number = |text| Datum::Number(Number::parse(text).unwrap());
    for falsy in [
        Datum::Null,
        false.into(),
        0.into(),
        number("-0.0"),
        number(".nan"),
        "".into(),
    ] {
        assert!(!falsy.is_truthy(), "{falsy:?}");
    }
    for truthy in [
        true.into(),
        1.into(),
        number("0.1"),
        "false".into(),
        "0".into(),
        " ".into(),
    ] {
        assert!(truthy.is_truthy(), "{truthy:?}");
    }
    for (datum, text) in [
        (Datum::Null, ""),
        (true.into(), "true"),
        ((-3).into(), "-3"),
        (number("3.10"), "3.10"),
        ("a b".into(), "a b"),
    ] {
        assert_eq!(datum.to_string(), text);
    }
    assert_eq!(number("3.10"), number("3.1"));
    assert_eq!(number("1e3"), 1000.into());
    assert_eq!(number("+5"), 5.into());
    // As decimals these would be equal.
    assert_ne!(number("9007199254740993"), number("9007199254740992"));
    for none in [
        "", "-", "a", "1a", "0x10", "1_000", "inf", "nan", "- 1", ".", "-.nan",
    ] {
        assert!(Number::parse(none).is_none(), "{none}");
    }
}

/// What expressions are made of.
const PIECES: &[&str] = &[
    "yes",
    "no",
    "none",
    "five",
    "branch",
    "a.b",
    "1",
    "\"main\"",
    "true",
    "false",
    " and ",
    " or ",
    " not ",
    "!",
    " == ",
    " != ",
    " < ",
    " <= ",
    " > ",
    " >= ",
    " starts-with ",
    " contains ",
    " matches /m.*/",
    "(",
    ")",
    " ",
    "/",
    "\"",
    "\\",
    ".",
    "-",
    "=",
    "<<",
    "é",
    "\n",
    "'",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_gets_an_answer(text in "\\PC{0,80}") {
        answer(&text);
    }

    #[test]
    fn any_pieces_get_an_answer(places in proptest::collection::vec(0..PIECES.len(), 0..25)) {
        let text: String = places.into_iter().map(|place| PIECES[place]).collect();
        answer(&text);
    }

    #[test]
    fn quoted_text_is_that_text(text in any::<String>()) {
        let quoted = text.replace('\\', "\\\\").replace('"', "\\\"");
        prop_assert_eq!(eval(&format!("\"{quoted}\"")), Datum::Text(text));
    }

    #[test]
    fn parentheses_that_say_the_same_change_nothing(
        operands in proptest::collection::vec(0..5usize, 2..8),
        operators in proptest::collection::vec(any::<bool>(), 8),
    ) {
        const OPERANDS: [&str; 5] = ["yes", "no", "none", "five", "(1 == 1)"];
        let mut flat = OPERANDS[operands[0]].to_owned();
        let mut alternatives = vec![flat.clone()];
        for (operand, is_and) in operands[1..].iter().zip(operators) {
            let operand = OPERANDS[*operand];
            flat.push_str(if is_and { " and " } else { " or " });
            flat.push_str(operand);
            if is_and {
                let last = alternatives.last_mut().unwrap();
                *last = format!("({last} and {operand})");
            } else {
                alternatives.push(operand.to_owned());
            }
        }
        let grouped = alternatives.into_iter().reduce(|left, right| format!("({left} or {right})"));
        prop_assert_eq!(eval(&flat), eval(&grouped.unwrap()));
    }
}

fn answer(text: &str) {
    match parse(text) {
        Ok(expression) => {
            if let Err(fault) = expression.eval(&mut lookup) {
                shown(text, &fault);
            }
            for doubt in expression.doubts() {
                shown(text, doubt);
            }
        }
        Err(fault) => drop(shown(text, &fault)),
    }
}
