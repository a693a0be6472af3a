//! Whatever the bytes are: an answer, the same each time, never a plan beside an error, and an expansion
//! that stands for the same plan.

use config::{Inputs, Severity, process};
use model::Plan;
use proptest::prelude::*;

use crate::{compile_one, file};

/// A config with most of what the language has.
const SEED: &str = include_str!("seed.yml");

/// What configs are made of; strung together at random they come near to being one.
const PIECES: &[&str] = &[
    "version: 2.1\n",
    "jobs:\n",
    "workflows:\n",
    "  build:\n",
    "    steps:\n",
    "      - run: ",
    "      - checkout\n",
    "    docker:\n",
    "      - image: a\n",
    "    machine: true\n",
    "  ci:\n    jobs:\n",
    "      - build\n",
    "&a ",
    "*a",
    "<<: ",
    "<<",
    ">>",
    "[",
    "]",
    "{",
    "}",
    ": ",
    ", ",
    "- ",
    "\n",
    "  ",
    "\t",
    "\"",
    "'",
    "|\n",
    ">-\n",
    "? ",
    "!!str ",
    "---\n",
    "...\n",
    "# ",
    "requires: ",
    "name: ",
    "\u{feff}",
    "é日",
    "\0",
    "\r",
    "~",
    "yes",
    "%YAML 1.1\n",
    "*",
    "&",
];

pub(crate) fn check(bytes: &[u8]) {
    let compiled = compile_one(bytes);
    assert_eq!(compiled, compile_one(bytes));
    let has_errors = compiled
        .diagnostics
        .iter()
        .any(|diagnostic| diagnostic.severity == Severity::Error);
    assert_eq!(compiled.plan.is_none(), has_errors);
    for diagnostic in &compiled.diagnostics {
        let shown = diagnostic.to_string();
        assert!(
            shown.lines().all(|line| line.chars().count() < 1000),
            "{shown}"
        );
        if let Some(span) = diagnostic.span {
            assert!(span.line > 0 && span.column > 0 && span.length > 0);
        }
    }
    let expanded = expansion(bytes);
    if let Some(plan) = &compiled.plan {
        check_plan(plan);
        let expanded = expanded.expect("what compiles can be expanded");
        assert_eq!(
            compile_one(&expanded).plan.as_ref(),
            Some(plan),
            "{expanded}"
        );
        assert_eq!(expansion(expanded.as_bytes()).as_ref(), Some(&expanded));
    }
}

fn expansion(bytes: &[u8]) -> Option<String> {
    process(&file("ci.yml", bytes), &Inputs::default()).text
}

/// What the engine takes for granted.
pub(crate) fn check_plan(plan: &Plan) {
    let stored = serde_json::to_string(plan).expect("a plan can be stored");
    assert_eq!(
        serde_json::from_str::<Plan>(&stored).ok().as_ref(),
        Some(plan)
    );
    for workflow in &plan.workflows {
        assert!(!workflow.jobs.is_empty());
        for (place, job) in workflow.jobs.iter().enumerate() {
            let before: Vec<&str> = workflow.jobs[..place]
                .iter()
                .map(|j| j.name.as_str())
                .collect();
            assert!(!before.contains(&job.name.as_str()));
            for required in &job.requires {
                assert!(before.contains(&required.job.as_str()));
            }
        }
    }
}

#[test]
fn the_seed_compiles() {
    let compiled = compile_one(SEED);
    assert_eq!(compiled.diagnostics, []);
    check(SEED.as_bytes());
}

#[test]
fn every_beginning_of_a_config_gets_an_answer() {
    for end in 0..SEED.len() {
        check(&SEED.as_bytes()[..end]);
    }
}

#[test]
fn every_line_left_out_or_doubled_gets_an_answer() {
    let lines: Vec<&str> = SEED.split_inclusive('\n').collect();
    for at in 0..lines.len() {
        let mut without = lines.clone();
        without.remove(at);
        check(without.concat().as_bytes());
        let mut doubled = lines.clone();
        doubled.insert(at, lines[at]);
        check(doubled.concat().as_bytes());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        check(&bytes);
    }

    #[test]
    fn any_text(text in "\\PC{0,200}") {
        check(text.as_bytes());
    }

    #[test]
    fn pieces_of_configs(places in proptest::collection::vec(0..PIECES.len(), 0..60)) {
        let text: String = places.into_iter().map(|place| PIECES[place]).collect();
        check(text.as_bytes());
    }

    #[test]
    fn mutated_configs(
        cuts in proptest::collection::vec((0..SEED.len(), 0..20usize, 0..PIECES.len()), 1..6),
    ) {
        let mut bytes = SEED.as_bytes().to_vec();
        for (at, length, piece) in cuts {
            let start = at.min(bytes.len());
            let end = (start + length).min(bytes.len());
            bytes.splice(start..end, PIECES[piece].bytes());
        }
        check(&bytes);
    }
}
