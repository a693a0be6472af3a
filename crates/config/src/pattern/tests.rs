use insta::assert_snapshot;
use proptest::prelude::*;

use super::{MAX_MATCHED_BYTES, MAX_PATTERN_CHARS, Pattern, Patterns};
use crate::fault::shown;

fn matches(pattern: &str, text: &str) -> bool {
    Patterns::default()
        .filter(pattern)
        .unwrap_or_else(|fault| panic!("{}", shown(pattern, &fault)))
        .is_match(text)
        .unwrap()
}

fn fault(pattern: &str) -> String {
    match Patterns::default().filter(pattern) {
        Ok(_) => panic!("{pattern} is a pattern"),
        Err(fault) => shown(pattern, &fault),
    }
}

#[test]
fn what_is_not_in_slashes_is_meant_exactly() {
    assert!(matches("main", "main"));
    for other in ["Main", "main2", "mai", ""] {
        assert!(!matches("main", other), "{other}");
    }
    assert!(matches("release-.*", "release-.*"));
    assert!(!matches("release-.*", "release-1"));
    assert!(matches("/main", "/main"));
    assert!(matches("/", "/"));
    assert!(matches("", ""));
}

#[test]
fn a_regular_expression_has_to_match_all_of_it() {
    for (pattern, yes, no) in [
        ("/.*/", "main", "a\nb"),
        ("/^v.*/", "v1.0", "xv1"),
        ("/v/", "v", "v1"),
        ("/^config-test/", "config-test", "config-test-2"),
        ("/a|b/", "b", "ab"),
        (r"/pull\/[0-9]+/", "pull/12", "pull/x"),
        (
            r"/^release\/v\d+\.\d+\.\d+(-rc\d+)?$/",
            "release/v1.2.3-rc4",
            "release/v1.2",
        ),
        ("/^(?!main$).*/", "maintenance", "main"),
        (r"/^.*(?<!-rhel-7)-r[0-9]+$/", "x-r1", "x-rhel-7-r1"),
        ("/^((?!main|develop).)*$/", "feature", "my-main"),
        ("/pre-prod(?:-.+)?$/", "pre-prod-1", "pre-prod-"),
        ("/(?i)v[a-c]/", "VB", "vd"),
        ("/(?i:v)x/", "Vx", "VX"),
        ("//", "", "x"),
    ] {
        assert!(matches(pattern, yes), "{pattern} {yes}");
        assert!(!matches(pattern, no), "{pattern} {no}");
    }
}

#[test]
fn what_java_means_otherwise_is_translated() {
    for (pattern, yes, no) in [
        // ASCII only.
        (r"/\d\w\s/", "1a ", "١a "),
        (r"/\D\W\S/", "xé1", "1é1"),
        (r"/[\w-.]+/", "a-b.c", "a/b"),
        (r"/[\d\-x]+/", "1-x", "y"),
        (r"/[^\d]/", "a", "1"),
        (r"/a\h\H\v\V/", "a\tb\nc", "abcde"),
        (r"/a\Rb/", "a\r\nb", "ab"),
        (r"/\x41\u0042\x{43}\0104\cA/", "ABCD\u{1}", "ABCD"),
        (r"/\Qa.b\E+/", "a.bb", "axb"),
        (r"/[\Q^]\E]/", "]", "a"),
        (r"/\p{Lower}\p{Upper}\pN\P{Alpha}/", "aB1-", "ab1-"),
        (r"/\p{IsLatin}\p{Lu}/", "éÉ", "éé"),
        (r"/[a-d[m-p]]/", "n", "e"),
        (r"/[a-z&&[def]]/", "e", "a"),
        (r"/[a-z&&[^bc]]/", "a", "b"),
        (r"/[]a]/", "]", "b"),
        (r"/[^]a]/", "b", "]"),
        (r"/[~~a]/", "~", "b"),
        (r"/[+--]/", ",", "a"),
        (r"/}]/", "}]", "}"),
        (r"/a{2}b{1,}c{0,1}/", "aabbc", "abc"),
        // Possessive: nothing is given back.
        (r"/a*+b/", "aab", "aac"),
        (r"/(?:a++|b)c?+/", "aac", "cc"),
        (r"/a{1,2}+b/", "aab", "aaab"),
        (r"/(?>a|ab)c/", "ac", "abc"),
        (r"/(a)\1/", "aa", "ab"),
        (r"/(?<x>a|b)\k<x>/", "bb", "ba"),
        (r"/a\z/", "a", "a\n"),
        (r"/(?u)a/", "a", "b"),
        (r"/(?d-s:a)/", "a", "b"),
        // RE2's, in expressions.
        (r"/(?P<major>[[:digit:]]+)/", "12", "x"),
    ] {
        assert!(matches(pattern, yes), "{pattern} {yes:?}");
        assert!(!matches(pattern, no), "{pattern} {no:?}");
    }
    assert!(!matches("/a*+a/", "aa"));
    assert!(!matches("/a{1,2}+a/", "aa"));
}

#[test]
fn what_is_none_of_javas_is_told_with_its_place() {
    let faults: Vec<_> = [
        "/*/",
        "/release-(.*/",
        "/a)|(b/",
        "/[a-z/",
        "/a**/",
        "/+1/",
        r"/\y/",
        r"/[z-a]/",
        r"/[a-\d]/",
        r"/[\b]/",
        r"/v{1/",
        r"/v{,2}/",
        r"/v{3,2}/",
        r"/v{1001}/",
        r"/(?x) a/",
        r"/(?R)/",
        r"/(?#comment)/",
        r"/(?<1>a)/",
        r"/\x{110000}/",
        r"/\u12/",
        r"/\p{InGreek}/",
        r"/\p{Nonsense}/",
        r"/\2/",
        r"/a\/",
    ]
    .into_iter()
    .map(fault)
    .collect();
    assert_snapshot!(faults.join("\n"), @r"
    /*/
     ^ there is nothing before `*` that it could repeat
    help: any text is `.*`
    /release-(.*/
             ^ this `(` is never closed
    /a)|(b/
      ^ this `)` closes nothing
    help: write `\)` for the character
    /[a-z/
     ^ this `[` is never closed
    help: write `\[` for the character
    /a**/
       ^ there is nothing before `*` that it could repeat
    help: any text is `.*`
    /+1/
     ^ there is nothing before `+` that it could repeat
    help: write `\+` for the character
    /\y/
     ^^ `\y` means nothing in Java's regular expressions
    help: write `y` for the letter
    /[z-a]/
      ^^^ the range `z-a` is in the wrong order
    /[a-\d]/
      ^^^^ `a-\d` is no range of characters
    help: write `\-` for the character
    /[\b]/
      ^^ `\b` has no meaning between `[` and `]`
    /v{1/
      ^ this `{` begins no repetition
    help: repetitions are `{2}`, `{2,}` and `{2,5}`; the character is `\{`
    /v{,2}/
      ^ this `{` begins no repetition
    help: repetitions are `{2}`, `{2,}` and `{2,5}`; the character is `\{`
    /v{3,2}/
      ^^^^^ the numbers of `{3,2}` are in the wrong order
    /v{1001}/
      ^^^^^^ `{1001}` repeats more than 1000 times
    /(?x) a/
     ^^^^ the flag `x` is not supported
    help: write the expression without spaces and comments
    /(?R)/
     ^^^^ there is no flag `R` in Java's regular expressions
    /(?#comment)/
     ^^^ there is no such group in Java's regular expressions
    /(?<1>a)/
     ^^^^^ the name of a group is expected here
    help: a name has letters and digits and ends with `>`, as in `(?<major>[0-9]+)`
    /\x{110000}/
     ^^^^^^^^^^ `\x{110000}` is no character
    help: characters by number are `\x2F`, `\x{1F600}`, `\u002F` and `\057`
    /\u12/
     ^^^^ `\u12` is no character
    help: characters by number are `\x2F`, `\x{1F600}`, `\u002F` and `\057`
    /\p{InGreek}/
     ^^^^^^^^^^^ `\p{InGreek}` is no class of characters that is known here
    /\p{Nonsense}/
     ^^^^^^^^^^^^ the regular expression can't be used: unicode property not found
    /\2/
     ^^ the regular expression can't be used: invalid back reference to group 2
    /a\/
      ^ a `\` escapes what follows, and nothing does
    ");
}

#[test]
fn sizes_are_bounded() {
    let long = "a".repeat(MAX_PATTERN_CHARS + 1);
    let nested = format!("/{}{}/", "(".repeat(400), ")".repeat(400));
    let faults: Vec<_> = [
        "/(((a{1000}){1000}){1000}){1000}/",
        "/.{1000}/",
        r"/(\p{L}{100}){100}/",
        r"/(?<=\p{L}{9,100})x/",
    ]
    .into_iter()
    .map(fault)
    .collect();
    assert_snapshot!(faults.join("\n"), @r"
    /(((a{1000}){1000}){1000}){1000}/
     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ the regular expression is too large: it repeats too much
    /.{1000}/
     ^^^^^^^ the regular expression is too large: it repeats too much
    /(\p{L}{100}){100}/
     ^^^^^^^^^^^^^^^^^ the regular expression is too large: it repeats too much
    /(?<=\p{L}{9,100})x/
     ^^^^^^^^^^^^^^^^^^ the regular expression is too large: it repeats too much
    ");
    assert!(
        Pattern::regex(&long)
            .unwrap_err()
            .message
            .contains("1001 characters")
    );
    assert!(Patterns::default().filter(&nested).is_err());

    let text = "a".repeat(MAX_MATCHED_BYTES);
    let slow = Patterns::default().filter("/(?:(?=a)a*)*b/").unwrap();
    assert_snapshot!(slow.is_match(&text).unwrap_err(), @"the regular expression takes too many attempts on this text");
    let longer = "a".repeat(MAX_MATCHED_BYTES + 1);
    assert_snapshot!(slow.is_match(&longer).unwrap_err(), @"the text has 8193 bytes, and 8192 are the most that a regular expression is held against");
    assert_eq!(
        Patterns::default()
            .filter("/(a*)*b/")
            .unwrap()
            .is_match(&text),
        Ok(false)
    );
}

/// What regular expressions are made of.
const PIECES: &[&str] = &[
    "a", "b", ".", "*", "+", "?", "{2}", "{2,3}", "{,", "(", ")", "(?:", "(?=", "(?!", "(?<!",
    "(?>", "(?i)", "(?<n>", "[", "]", "[^", "-", "&&", "|", "^", "$", "\\", "\\d", "\\b", "\\1",
    "\\k<n>", "\\Q", "\\E", "\\p{L}", "\\x", "\\u0041", "\\h", "/", "é", "😀", "\n", "#", " ",
    "~~", "--",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_gets_an_answer(text in "\\PC{0,60}", value in "\\PC{0,60}") {
        check(&text, &value);
    }

    #[test]
    fn any_pieces_get_an_answer(
        places in proptest::collection::vec(0..PIECES.len(), 0..30),
        value in "[ab]{0,40}",
    ) {
        let text: String = places.into_iter().map(|place| PIECES[place]).collect();
        check(&text, &value);
    }

    #[test]
    fn quoted_text_matches_itself_alone(text in "[^\\\\]{1,40}", other in "[^\\\\]{1,40}") {
        let pattern = Pattern::regex(&format!(r"\Q{text}\E")).unwrap();
        prop_assert_eq!(pattern.is_match(&text), Ok(true));
        prop_assert_eq!(pattern.is_match(&other), Ok(text == other));
        let escaped: String = text
            .chars()
            .map(|char| if char.is_ascii_alphanumeric() { char.to_string() } else { format!("\\{char}") })
            .collect();
        let pattern = Pattern::regex(&escaped).unwrap();
        prop_assert_eq!(pattern.is_match(&text), Ok(true));
        prop_assert_eq!(pattern.is_match(&other), Ok(text == other));
    }
}

fn check(text: &str, value: &str) {
    match Pattern::regex(text) {
        Ok(pattern) => drop(pattern.is_match(value)),
        Err(fault) => drop(shown(text, &fault)),
    }
}
