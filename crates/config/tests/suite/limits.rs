//! Small files that stand for far too much: each ends at a limit that its error names, in about the time
//! that it takes to read it. Without the limits none of these tests would come to an end.

use config::{Inputs, MAX_FILE_BYTES};

use crate::{compile_one, file};

/// A beginning, and then lines made of their numbers, up to a length.
fn grown(text: &str, bytes: usize, line: impl Fn(usize) -> String) -> String {
    let mut text = text.to_owned();
    let bytes = text.len() + bytes;
    for number in 0.. {
        let next = line(number);
        if text.len() + next.len() > bytes {
            break;
        }
        text.push_str(&next);
    }
    assert!(text.len() <= MAX_FILE_BYTES);
    text
}

/// The first error of a config.
fn first_error(text: &str) -> String {
    let compiled = compile_one(text);
    let first = compiled.errors().next();
    first.map_or_else(String::new, |error| error.message.clone())
}

const EXPANDED: &str = "the config expands to more than 500000 values or 16 MiB of text";
const KIB: usize = 1024;

const JOB: &str = "jobs:\n  build:\n    machine: true\n    steps:\n";

#[test]
fn commands_that_use_two_of_the_next() {
    let mut text = "version: 2.1\ncommands:\n".to_owned();
    for number in 0..40 {
        let next = number + 1;
        text += &format!("  c{number}: {{steps: [c{next}, c{next}]}}\n");
    }
    text += "  c40: {steps: [checkout]}\n";
    text += JOB;
    text += "      - c0\n";
    assert_eq!(first_error(&text), EXPANDED);
}

#[test]
fn default_steps_that_use_two_of_the_next() {
    let mut text = "version: 2.1\ncommands:\n".to_owned();
    for number in 0..40 {
        let next = number + 1;
        text += &format!(
            "  c{number}: {{parameters: {{s: {{type: steps, default: [c{next}, c{next}]}}}}, steps: [steps: << parameters.s >>]}}\n"
        );
    }
    text += "  c40: {steps: [checkout]}\n";
    text += JOB;
    text += "      - c0\n";
    assert_eq!(first_error(&text), EXPANDED);
}

#[test]
fn a_text_that_doubles() {
    let mut text = "version: 2.1\ncommands:\n".to_owned();
    for number in 0..40 {
        let next = number + 1;
        text += &format!(
            "  c{number}: {{parameters: {{p: {{type: string}}}}, steps: [c{next}: {{p: '<< parameters.p >><< parameters.p >>'}}]}}\n"
        );
    }
    text += "  c40: {parameters: {p: {type: string}}, steps: [run: << parameters.p >>]}\n";
    text += JOB;
    text += "      - c0: {p: twice}\n";
    assert_eq!(first_error(&text), EXPANDED);
}

#[test]
fn many_parameters_of_a_command_that_is_used_often() {
    let declared = grown(
        "version: 2.1\ncommands:\n  c:\n    steps: [checkout]\n    parameters:\n",
        200 * KIB,
        |n| format!("      p{n}: {{type: string, default: x}}\n"),
    );
    let text = grown(&(declared + JOB), 100 * KIB, |_| "      - c\n".to_owned());
    assert_eq!(first_error(&text), EXPANDED);
}

#[test]
fn many_arguments_that_are_none() {
    let declared = grown(
        "version: 2.1\ncommands:\n  c:\n    steps: [checkout]\n    parameters:\n",
        300 * KIB,
        |n| format!("      p{n}: {{type: string, default: x}}\n"),
    );
    let text = grown(&(declared + JOB + "      - c:\n"), 300 * KIB, |n| {
        format!("          q{n}: x\n")
    });
    assert_eq!(first_error(&text), "command `c` has no parameter `q0`");
}

#[test]
fn a_large_matrix_of_a_large_job() {
    let steps = grown(
        "version: 2.1\njobs:\n  build:\n    machine: true\n    parameters: {a: {type: integer}}\n    steps:\n",
        300 * KIB,
        |n| format!("      - run: echo << parameters.a >> {n}\n"),
    );
    let values: Vec<String> = (0..config::MAX_MATRIX).map(|n| n.to_string()).collect();
    let text = format!(
        "{steps}workflows:\n  w:\n    jobs:\n      - build: {{matrix: {{parameters: {{a: [{}]}}}}}}\n",
        values.join(", ")
    );
    assert_eq!(first_error(&text), EXPANDED);
}

#[test]
fn a_long_text_in_each_job_of_a_matrix() {
    let values: Vec<String> = (0..config::MAX_MATRIX).map(|n| n.to_string()).collect();
    let text = format!(
        "version: 2.1\njobs:\n  build:\n    machine: true\n    parameters: {{a: {{type: integer}}}}\n    steps: [run: {}]\nworkflows:\n  w:\n    jobs:\n      - build: {{matrix: {{parameters: {{a: [{}]}}}}}}\n",
        "x".repeat(500 * KIB),
        values.join(", ")
    );
    assert_eq!(first_error(&text), EXPANDED);
}

#[test]
fn a_matrix_of_many_parameters_with_one_value() {
    let values: Vec<String> = (0..config::MAX_MATRIX).map(|n| n.to_string()).collect();
    let text = grown(
        &format!(
            "version: 2.1\n{JOB}      - checkout\nworkflows:\n  w:\n    jobs:\n      - build:\n          matrix:\n            parameters:\n              a: [{}]\n",
            values.join(", ")
        ),
        200 * KIB,
        |n| format!("              p{n}: [1]\n"),
    );
    assert_eq!(first_error(&text), EXPANDED);
}

#[test]
fn a_matrix_that_is_required_often() {
    let values: Vec<String> = (0..config::MAX_MATRIX).map(|n| n.to_string()).collect();
    let text = grown(
        &format!(
            "version: 2.1\njobs:\n  build:\n    machine: true\n    parameters: {{a: {{type: integer}}}}\n    steps: [checkout]\nworkflows:\n  w:\n    jobs:\n      - build: {{matrix: {{alias: m, parameters: {{a: [{}]}}}}}}\n      - hold:\n          type: approval\n          requires:\n",
            values.join(", ")
        ),
        100 * KIB,
        |_| "            - m\n".to_owned(),
    );
    assert_eq!(first_error(&text), EXPANDED);
}

#[test]
fn many_holes_in_one_line() {
    let text = grown(
        "version: 2.1\njobs: {build: {machine: true, steps: [run: \"",
        500 * KIB,
        |_| "<<pipeline.number>>".to_owned(),
    );
    assert_eq!(first_error(&(text + "\"]}}\n")), "");
}

#[test]
fn many_names_that_are_near_to_many_others() {
    let defined = grown("version: 2.1\ncommands:\n", 100 * KIB, |n| {
        format!("  c{n}: {{steps: [checkout]}}\n")
    });
    let text = grown(&(defined + JOB), 100 * KIB, |n| format!("      - d{n}\n"));
    assert_eq!(first_error(&text), "there is no step `d0`");
}

#[test]
fn many_regular_expressions() {
    let text = grown(
        "version: 2.1\njobs: {build: {machine: true, steps: [checkout]}}\nworkflows:\n  w:\n    jobs:\n",
        100 * KIB,
        |n| {
            format!(
                "      - build: {{name: b{n}, filters: {{branches: {{only: '/v{n}(?!a).*/'}}}}}}\n"
            )
        },
    );
    let told = first_error(&text);
    assert!(
        told.ends_with("the config has more than 300 different regular expressions"),
        "{told}"
    );
}

#[test]
fn a_condition_that_is_decided_often() {
    let conditions = "true, ".repeat(10_000);
    let text = grown(
        &format!(
            "version: 2.1\ncommands:\n  c:\n    steps:\n      - when: {{condition: {{and: [{conditions}true]}}, steps: [checkout]}}\n{JOB}"
        ),
        100 * KIB,
        |_| "      - c\n".to_owned(),
    );
    assert_eq!(first_error(&text), EXPANDED);
}

#[test]
fn jobs_of_one_name_in_many_workflows() {
    let text = grown(
        "version: 2.1\njobs: {build: {parameters: {p: {type: integer}}, machine: true, steps: [checkout]}}\nworkflows:\n",
        200 * KIB,
        |n| format!("  w{n}: {{jobs: [build: {{name: x, p: {n}}}]}}\n"),
    );
    assert_eq!(
        first_error(&text),
        "the pipeline has more than 250 workflows"
    );
}

#[test]
fn several_files_have_no_more_than_one() {
    let steps = "      - c\n".repeat(20_000);
    let text = format!("version: 2.1\ncommands: {{c: {{steps: [checkout]}}}}\n{JOB}{steps}");
    let files: Vec<_> = (0..4)
        .map(|number| file(&format!("ci{number}.yml"), text.clone()))
        .collect();
    let alone = config::compile(&files[..1], &Inputs::default());
    assert!(alone.plan.is_some(), "{:?}", alone.diagnostics);
    let together = config::compile(&files, &Inputs::default());
    let errors: Vec<_> = together.errors().map(|error| &error.message).collect();
    assert_eq!(errors, [EXPANDED]);
}
