//! Configs that are wrong: each is told so in words that help.

use insta::assert_snapshot;

use config::Inputs;

use crate::{compile_one, file, refusal, told, with_steps};

#[test]
fn a_name_mistyped_in_requires() {
    assert_snapshot!(refusal(
        "\
version: 2.1
jobs:
  build: {machine: true, steps: [run: make]}
  deploy: {machine: true, steps: [run: make deploy]}
workflows:
  ci:
    jobs:
      - build
      - deploy:
          requires: [biuld]
"
    ), @r"
    error: job `deploy` requires `biuld`, which is not in this workflow
      ci.yml:10:22
    10 │           requires: [biuld]
       │                      ^^^^^ did you mean `build`?
    ");
}

#[test]
fn cycles_of_requires() {
    assert_snapshot!(refusal(
        "\
version: 2.1
jobs:
  x: &job {machine: true, steps: [checkout]}
workflows:
  ci:
    jobs:
      - x: {name: a, requires: [c]}
      - x: {name: b, requires: [a]}
      - x: {name: c, requires: [b]}
      - x: {name: alone, requires: [alone]}
      - x: {name: after, requires: [a]}
"
    ), @r"
    error: 3 jobs require each other in a circle: `a` → `c` → `b` → `a`
      ci.yml:7:33
    7 │       - x: {name: a, requires: [c]}
      │                                 ^ none of them could ever start

    error: job `alone` requires itself
      ci.yml:10:37
    10 │       - x: {name: alone, requires: [alone]}
       │                                     ^^^^^ none of them could ever start
    ");
}

#[test]
fn jobs_that_are_not_there() {
    assert_snapshot!(refusal(
        "\
version: 2.1
jobs:
  build: {machine: true, steps: [checkout]}
workflows:
  ci:
    jobs: [biuld, lint]
"
    ), @"
    error: workflow `ci` runs `biuld`, which is not in `jobs`
      ci.yml:6:12
    6 │     jobs: [biuld, lint]
      │            ^^^^^ did you mean `build`?

    error: workflow `ci` runs `lint`, which is not in `jobs`
      ci.yml:6:19
    6 │     jobs: [biuld, lint]
      │                   ^^^^ for an approval, add `type: approval`
    ");
}

#[test]
fn a_job_without_a_place_to_run_or_steps() {
    assert_snapshot!(refusal(
        "\
version: 2.1
jobs:
  a:
    steps: [checkout]
  b:
    docker: []
    steps: []
  c:
    docker: [{image: a}]
    machine: true
  d:
    docker: cimg/base
    steps:
  e: nothing
  f:
    docker: [{user: root}, cimg/base]
    steps: {run: make}
"
    ), @"
    error: job `a` does not say where it runs
      ci.yml:3:3
    3 │   a:
      │   ^ add `docker: [{image: …}]` or `machine: true`

    error: there are several jobs, no `workflows`, and no job `build`
      ci.yml:3:3
    3 │   a:
      │   ^ add `workflows:` to say which jobs run

    error: `docker` holds no image
      ci.yml:6:5
    6 │     docker: []
      │     ^^^^^^ add `- image: …`

    warning: no step of job `b` is left: it does nothing
      ci.yml:7:5
    7 │     steps: []
      │     ^^^^^

    error: job `c` has no `steps`
      ci.yml:8:3
    8 │   c:
      │   ^ add `steps:` with at least one step

    error: job `c` has both `docker` and `machine`
      ci.yml:10:5
    10 │     machine: true
       │     ^^^^^^^ keep one
      ci.yml:9:5
     9 │     docker: [{image: a}]
       │     ^^^^^^ `docker` is here

    error: `docker` must be a list of images, not a string
      ci.yml:12:13
    12 │     docker: cimg/base
       │             ^^^^^^^^^ write `- image: …` below it

    error: the `steps` of job `d` are empty
      ci.yml:13:5
    13 │     steps:
       │     ^^^^^ add at least one step, such as `- run: make`

    error: the job `e` must be a map, not a string
      ci.yml:14:3
    14 │   e: nothing
       │   ^

    error: an entry of `docker` has no `image`
      ci.yml:16:14
    16 │     docker: [{user: root}, cimg/base]
       │              ^^^^^^^^^^^^ add `image: …`

    error: an entry of `docker` must be a map, not a string
      ci.yml:16:28
    16 │     docker: [{user: root}, cimg/base]
       │                            ^^^^^^^^^ write `- image: …`

    error: `steps` must be a list, not a map
      ci.yml:17:5
    17 │     steps: {run: make}
       │     ^^^^^ begin each step with `-`
    ");
}

#[test]
fn keys_that_mean_nothing() {
    assert_snapshot!(refusal(
        "\
version: 2.1
jobs:
  build:
    machine: true
    stpes: [checkout]
    steps:
      - run: {comand: make}
      - chekout
      - run:
          command: make
          enviroment: {A: b}
          colour: blue
    notes: none
worklfows:
  ci: {jobs: [build]}
"
    ), @"
    error: `stpes` means nothing in a job
      ci.yml:5:5
    5 │     stpes: [checkout]
      │     ^^^^^ did you mean `steps`?

    error: `run` has no `command`
      ci.yml:7:15
    7 │       - run: {comand: make}
      │               ^^^^^^ did you mean `command`?

    error: there is no step `chekout`
      ci.yml:8:9
    8 │       - chekout
      │         ^^^^^^^ did you mean `checkout`?

    error: `enviroment` means nothing in `run`
      ci.yml:11:11
    11 │           enviroment: {A: b}
       │           ^^^^^^^^^^ did you mean `environment`?

    error: `colour` means nothing in `run`
      ci.yml:12:11
    12 │           colour: blue
       │           ^^^^^^

    error: `notes` means nothing in a job
      ci.yml:13:5
    13 │     notes: none
       │     ^^^^^

    warning: `worklfows` means nothing at the top of a config
      ci.yml:14:1
    14 │ worklfows:
       │ ^^^^^^^^^ did you mean `workflows`?
    ");
}

#[test]
fn steps_that_are_none() {
    assert_snapshot!(refusal(with_steps(
        "      - run:
        command: make
      - run
      -
      - [checkout]
      - run: ''
      - run: [make, make install]
      - run:
      - run: {name: nothing}
      - {}
      - run: {command: make, when: on_failure}
"
    )), @r"
    error: a step has one key, this one has `run`, `command`
      ci.yml:7:9
    7 │         command: make
      │         ^^^^^^^ indent it below `run`, or begin a new step with `-`

    error: `run` has no command
      ci.yml:8:9
    8 │       - run
      │         ^^^ write `run: make`, or a map with `command`

    error: a step is empty
      ci.yml:9:8
    9 │       -
      │        ^ remove the `-` that nothing follows

    error: a step must be a string or a map, not a list
      ci.yml:10:9
    10 │       - [checkout]
       │         ^^^^^^^^^^ put its steps directly into `steps`

    error: the command is empty
      ci.yml:11:9
    11 │       - run: ''
       │         ^^^ write `true` for a command that does nothing

    error: `run` must be a string or a map, not a list
      ci.yml:12:9
    12 │       - run: [make, make install]
       │         ^^^ write one `- run: …` for each command, or one text of many lines with `|`

    error: `run` has no command
      ci.yml:13:9
    13 │       - run:
       │         ^^^ write `run: make`, or a map with `command`

    error: `run` has no `command`
      ci.yml:14:9
    14 │       - run: {name: nothing}
       │         ^^^

    error: a step is an empty map
      ci.yml:15:9
    15 │       - {}
       │         ^^ write `- run: …` for a command

    error: `when` can't be `on_failure`
      ci.yml:16:36
    16 │       - run: {command: make, when: on_failure}
       │                                    ^^^^^^^^^^ did you mean `on_fail`?
    ");
}

#[test]
fn texts_that_are_no_config() {
    assert_snapshot!(refusal(""), @r"
    error: the config is empty
      ci.yml
    ");
    assert_snapshot!(refusal("# nothing yet\n"), @r"
    error: the config is empty
      ci.yml
    ");
    assert_snapshot!(refusal("---\n...\n"), @r"
    error: the config is empty
      ci.yml
    ");
    assert_snapshot!(refusal("- build\n- test\n"), @r"
    error: a config is a map with `jobs`, not a list
      ci.yml:1:1
    1 │ - build
      │ ^ begin with `version: 2.1` and `jobs:`
    ");
    assert_snapshot!(refusal("make test\n"), @r"
    error: a config is a map with `jobs`, not a string
      ci.yml:1:1
    1 │ make test
      │ ^^^^^^^^^ begin with `version: 2.1` and `jobs:`
    ");
    assert_snapshot!(refusal("version: 2.1\n"), @r"
    error: the config has no `jobs`
      ci.yml:1:1
    1 │ version: 2.1
      │ ^ add `jobs:` with at least one job
    ");
    assert_snapshot!(refusal("version: 2.1\njobs:\n"), @r"
    error: `jobs` holds no job
      ci.yml:2:1
    2 │ jobs:
      │ ^^^^ add a job below it
    ");
    assert_snapshot!(refusal("version: 3\njobs: [build]\n"), @r"
    error: this `version` of the language is not known
      ci.yml:1:10
    1 │ version: 3
      │          ^ write `version: 2.1`

    error: `jobs` must be a map, not a list
      ci.yml:2:1
    2 │ jobs: [build]
      │ ^^^^
    ");
}

#[test]
fn bytes_that_are_no_text() {
    assert_snapshot!(refusal(b"\x7fELF\x02\x01\x01\x00\xff\xfe"), @r"
    error: the file is not text: line 1 holds bytes that are not UTF-8
      ci.yml
      save it as UTF-8
    ");
    assert_snapshot!(refusal(b"version: 2.1\njobs: \xe9\n"), @r"
    error: the file is not text: line 2 holds bytes that are not UTF-8
      ci.yml:2:7
    2 │ jobs: �
      │       ^ save it as UTF-8
    ");
    let long = format!("version: 2.1\r\n# {}caf", "é".repeat(1000));
    let bytes = [long.as_bytes(), b"\xe9 au lait\r\njobs:\n"].concat();
    let shown = format!(
        "error: the file is not text: line 2 holds bytes that are not UTF-8\n  ci.yml:2:1006\n\
         2 │ {}caf\u{fffd} au lait\n  │ {}^ save it as UTF-8",
        "é".repeat(37),
        " ".repeat(40)
    );
    assert_eq!(refusal(bytes), shown);
    assert_snapshot!(refusal(b"\xff\xfev\0e\0r\0"), @r"
    error: the file is not text: line 1 holds bytes that are not UTF-8
      ci.yml
      it looks like UTF-16: save it as UTF-8
    ");
    assert_snapshot!(refusal("jobs: \0\n"), @"
    error: the file is not text: line 1 holds a NUL character
      ci.yml:1:7
    1 │ jobs: �
      │       ^ remove it
    ");
    assert_snapshot!(refusal("jobs: \"\\0\"\n"), @r#"
    warning: the config does not say its `version`
      ci.yml:1:1
    1 │ jobs: "\0"
      │ ^ it is read as `version: 2.1`

    error: a value holds a NUL character, which no program can be given
      ci.yml:1:7
    1 │ jobs: "\0"
      │       ^^^^
    "#);
}

#[test]
fn ten_megabytes() {
    let line = "# a comment that goes on and on and on and on and on and on and on\n";
    let large = line.repeat(10 * 1024 * 1024 / line.len());
    assert_snapshot!(refusal(large), @r"
    error: the file is too large: 10240 KiB, at most 1024 KiB are read
      ci.yml
      split it into several files under `.popsicle/`
    ");
}

#[test]
fn aliases_that_explode() {
    let mut lists = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..20 {
        let below = level - 1;
        let aliases = vec![format!("*a{below}"); 10].join(", ");
        lists.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
    }
    assert_snapshot!(refusal(lists), @r"
    error: the file expands to more than 250000 values
      ci.yml:6:15
    6 │ a5: &a5 [*a4, *a4, *a4, *a4, *a4, *a4, *a4, *a4, *a4, *a4]
      │               ^^^ aliases and merge keys count as often as they are used
    ");

    // Each map merges the one before it twice, under new keys.
    let mut maps = String::from("m0: &m0 {k: v}\n");
    for level in 1..40 {
        let below = level - 1;
        maps.push_str(&format!(
            "m{level}: &m{level} {{a{level}: *m{below}, b{level}: *m{below}, <<: *m{below}}}\n"
        ));
    }
    assert_snapshot!(refusal(maps), @r"
    error: the file expands to more than 250000 values
      ci.yml:11:27
    11 │ m10: &m10 {a10: *m9, b10: *m9, <<: *m9}
       │                           ^^^ aliases and merge keys count as often as they are used
    ");

    let text = "y".repeat(100_000);
    let texts = format!("t: &t {text}\nl: [{}]\n", vec!["*t"; 1000].join(","));
    let told = refusal(texts);
    assert_eq!(
        told.lines().next(),
        Some("error: the file expands to more than 16 MiB of text")
    );
}

#[test]
fn a_job_used_too_often() {
    let steps = "      - run: make\n".repeat(2000);
    let uses = "      - build\n".repeat(4000);
    let text = format!("{}workflows:\n  ci:\n    jobs:\n{uses}", with_steps(&steps));
    assert_snapshot!(refusal(text), @r"
    error: the pipeline has more than 64 MiB of jobs
      ci.yml:2208:9
    2208 │       - build
         │         ^^^^^ jobs count as often as workflows use them
    ");
}

#[test]
fn more_jobs_than_there_may_be() {
    let gates: String = (0..=config::MAX_JOBS)
        .map(|n| format!("      - gate{n}: {{type: approval}}\n"))
        .collect();
    let text = format!("version: 2.1\nworkflows:\n  ci:\n    jobs:\n{gates}");
    assert_snapshot!(refusal(text), @r"
    error: the pipeline has more than 5000 jobs
      ci.yml:5005:9
    5005 │       - gate5000: {type: approval}
         │         ^^^^^^^^ jobs count as often as workflows use them
    ");
}

#[test]
fn jobs_that_require_too_many_others() {
    // 370 jobs, each of which requires the same 370: two such files are fine, three are too many.
    let long = "n".repeat(115);
    let gates: String = (0..370)
        .map(|n| format!("      - {long}{n}: {{type: approval}}\n"))
        .collect();
    let names: Vec<String> = (0..370).map(|n| format!("{long}{n}")).collect();
    let then = format!("then: {{type: approval, requires: [{}]}}", names.join(", "));
    let more = "      - *then\n".repeat(369);
    let files: Vec<_> = (0..3)
        .map(|n| {
            let jobs = format!("{gates}      - &then {{{then}}}\n{more}");
            let text = format!("version: 2.1\nworkflows:\n  ci{n}:\n    jobs:\n{jobs}");
            file(&format!("ci{n}.yml"), text)
        })
        .collect();
    assert!(
        config::compile(&files[..2], &Inputs::default())
            .plan
            .is_some()
    );
    let told = told(&config::compile(&files, &Inputs::default()));
    assert!(
        told.starts_with("error: the pipeline has more than 64 MiB of jobs\n  ci2.yml:375:16\n"),
        "{told}"
    );
}

#[test]
fn more_workflows_than_there_may_be() {
    let workflows: String = (0..=config::MAX_WORKFLOWS)
        .map(|n| format!("  ci{n}: {{jobs: [build]}}\n"))
        .collect();
    let text = with_steps("      - checkout\n") + "workflows:\n" + &workflows;
    assert_snapshot!(refusal(text), @r"
    error: the pipeline has more than 250 workflows
      ci.yml:258:3
    258 │   ci250: {jobs: [build]}
        │   ^^^^^
    ");
}

#[test]
fn a_fault_met_again_and_again_is_told_as_the_first_time() {
    // All on one line of half a megabyte, with hundreds of names that each could have been meant.
    let long = "n".repeat(80);
    let jobs: Vec<String> = (0..300)
        .map(|n| format!("{long}{n:03}: {{type: approval}}"))
        .collect();
    let uses = "*u, ".repeat(60_000);
    let text = format!(
        "{{version: 2.1, x: \"{}\", u: &u {long}abc, jobs: {{{}}}, workflows: {{ci: {{jobs: [{uses}]}}}}}}",
        "é".repeat(100_000),
        jobs.join(", "),
    );
    let compiled = compile_one(text);
    assert_eq!(compiled.diagnostics.len(), 1);
    let help = compiled.diagnostics[0].help.as_deref();
    assert_eq!(help, Some(format!("did you mean `{long}000`?").as_str()));
}

#[test]
fn thousands_of_keys_that_mean_nothing() {
    let keys: String = (0..40_000)
        .map(|n| format!("          k{n}: 1\n"))
        .collect();
    let told = refusal(with_steps(&format!("      - save_cache:\n{keys}")));
    assert!(
        told.starts_with("error: `save_cache` has no `key`\n"),
        "{told}"
    );
}

#[test]
fn a_fault_behind_an_anchor_is_told_once() {
    assert_snapshot!(refusal(
        "\
version: 2.1
jobs:
  a: &job {machine: true, steps: [chekout]}
  b: *job
  c: {<<: *job}
workflows:
  ci: {jobs: [a, b, c]}
"
    ), @r"
    error: there is no step `chekout`
      ci.yml:3:35
    3 │   a: &job {machine: true, steps: [chekout]}
      │                                   ^^^^^^^ did you mean `checkout`?
    ");
}

#[test]
fn nesting_without_end() {
    assert_snapshot!(refusal("[".repeat(100_000)), @r"
    error: lists and maps are nested more than 100 deep
      ci.yml:1:256
    1 │ [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[
      │                                         ^
    ");
    assert_snapshot!(refusal(format!("a: {}", "- ".repeat(10_000))), @r"
    error: a `-` stands where no list can begin
      ci.yml:1:4
    1 │ a: - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - -
      │    ^ begin the list on a line of its own
    ");
    let mut chain = String::from("a0: &a0 [x]\n");
    for level in 1..10_000 {
        chain.push_str(&format!("a{level}: &a{level} [*a{}]\n", level - 1));
    }
    assert_snapshot!(refusal(chain), @r"
    error: lists and maps are nested more than 100 deep
      ci.yml:100:12
    100 │ a99: &a99 [*a98]
        │            ^^^^
    ");
}

#[test]
fn aliases_of_nothing_and_of_themselves() {
    assert_snapshot!(refusal("version: 2.1\njobs: *jobs\n"), @r"
    error: an alias names an anchor that is not defined before it
      ci.yml:2:7
    2 │ jobs: *jobs
      │       ^ define it above with `&name`, or quote the value if the `*` is part of it
    ");
    assert_snapshot!(refusal("version: 2.1\njobs: &jobs\n  build: *jobs\n"), @r"
    error: an alias stands for something that holds the alias itself
      ci.yml:3:10
    3 │   build: *jobs
      │          ^^^^^
      ci.yml:2:7
    2 │ jobs: &jobs
      │       ^^^^^ what the alias stands for begins here
    ");
    assert_snapshot!(refusal("a: &a [1]\nb:\n  <<: *a\nc:\n  <<: text\n"), @r"
    warning: the config does not say its `version`
      ci.yml:1:1
    1 │ a: &a [1]
      │ ^ it is read as `version: 2.1`

    error: the config has no `jobs`
      ci.yml:1:1
    1 │ a: &a [1]
      │ ^ add `jobs:` with at least one job

    error: `<<` merges maps, and this is a number
      ci.yml:3:3
    3 │   <<: *a
      │   ^^ give it an alias of a map, or a list of them

    error: `<<` merges maps, and this is a string
      ci.yml:5:3
    5 │   <<: text
      │   ^^ give it an alias of a map, or a list of them
    ");
}

#[test]
fn syntax_that_is_wrong() {
    assert_snapshot!(refusal("version: 2.1\njobs:\n\tbuild:\n"), @r"
    error: a line is indented with a tab
      ci.yml:3:1
    3 │     build:
      │ ^^^^ YAML takes only spaces here
    ");
    assert_snapshot!(refusal("version: \"2.1\njobs: {}\n"), @r#"
    error: a quoted text goes on in a line that is not indented enough
      ci.yml:1:10
    1 │ version: "2.1
      │          ^ is a closing quote missing above?
    "#);
    assert_snapshot!(refusal("version: '2.1\njobs: {}\n"), @r"
    error: a quoted text goes on in a line that is not indented enough
      ci.yml:1:10
    1 │ version: '2.1
      │          ^ is a closing quote missing above?
    ");
    assert_snapshot!(refusal("version: 2.1\njobs: [build, test\n"), @r"
    error: a `[` is opened and not closed, or a `,` is missing
      ci.yml:3:1
    3 │
      │ ^ close it with `]`
      ci.yml:2:7
    2 │ jobs: [build, test
      │       ^ it is opened here
    ");
    assert_snapshot!(refusal("version: 2.1\njobs: {build: {}\n"), @r"
    error: a `{` is opened and not closed, or a `,` is missing
      ci.yml:3:1
    3 │
      │ ^ close it with `}`; quote the value if the `{` is part of it
      ci.yml:2:7
    2 │ jobs: {build: {}
      │       ^ it is opened here
    ");
    assert_snapshot!(refusal("version: 2.1\njobs:\n    build: {}\n  test: {}\n"), @r"
    error: a line does not belong to the map above it
      ci.yml:4:3
    4 │   test: {}
      │   ^ indent it as the keys above it
    ");
    assert_snapshot!(refusal("jobs:\n  build:\n    steps:\n      - run: echo a: b\n"), @r"
    error: a `:` stands where no key can be
      ci.yml:4:20
    4 │       - run: echo a: b
      │                    ^ check the indentation, or quote the value if the `:` is part of it
    ");
    assert_snapshot!(refusal("jobs:\n  - a\n  b: c\n"), @r"
    error: a line does not belong to the list above it
      ci.yml:3:3
    3 │   b: c
      │   ^ indent it as the `-` above it, or deeper
    ");
    assert_snapshot!(refusal("run: \"a\" b\n"), @r#"
    error: there is more text after a closing quote
      ci.yml:1:10
    1 │ run: "a" b
      │          ^ quote the whole value, and write quotes inside it as `\"`
    "#);
    assert_snapshot!(refusal("run: \"\\d\"\n"), @r#"
    error: a double-quoted text holds an escape that YAML does not know
      ci.yml:1:6
    1 │ run: "\d"
      │      ^ write a backslash as `\\`, or use single quotes
    "#);
    assert_snapshot!(refusal("jobs:\n  build:\n    steps: [\n      checkout,\n  test: {}\n"), @r"
    error: a line is not indented enough, or a bracket above it is not closed
      ci.yml:5:3
    5 │   test: {}
      │   ^
      ci.yml:3:12
    3 │     steps: [
      │            ^ it is opened here
    ");
    assert_snapshot!(refusal("a:\tb\n"), @"
    error: a `:` is followed by a tab
      ci.yml:1:3
    1 │ a:    b
      │   ^^^^ put a space there
    ");
    assert_snapshot!(refusal("run: @here\n"), @r"
    error: a character stands where YAML does not take it
      ci.yml:1:6
    1 │ run: @here
      │      ^ quote the value if the character is part of it
    ");
    assert_snapshot!(refusal("run: !ruby/object {}\n"), @"
    warning: the config does not say its `version`
      ci.yml:1:1
    1 │ run: !ruby/object {}
      │ ^ it is read as `version: 2.1`

    error: the config has no `jobs`
      ci.yml:1:1
    1 │ run: !ruby/object {}
      │ ^ add `jobs:` with at least one job

    error: the YAML tag `!ruby/object` means nothing here
      ci.yml:1:6
    1 │ run: !ruby/object {}
      │      ^^^^^^^^^^^^^^ remove the tag, or quote the whole text if it is a part of that
    ");
    assert_snapshot!(refusal("? [a]\n: b\n"), @r"
    warning: the config does not say its `version`
      ci.yml:1:1
    1 │ ? [a]
      │ ^ it is read as `version: 2.1`

    error: the config has no `jobs`
      ci.yml:1:1
    1 │ ? [a]
      │ ^ add `jobs:` with at least one job

    error: a key must be a string, not a list
      ci.yml:1:3
    1 │ ? [a]
      │   ^^^ quote it if it is one
    ");
    assert_snapshot!(refusal("version: 2.1\n---\nversion: 2.1\n"), @"
    error: the config has no `jobs`
      ci.yml:1:1
    1 │ version: 2.1
      │ ^ add `jobs:` with at least one job

    warning: a second YAML document begins here, and is ignored
      ci.yml:2:1
    2 │ ---
      │ ^^^ a config is one document: remove this line, or what follows it
    ");
}

#[test]
fn a_bracket_that_is_never_closed() {
    assert_snapshot!(refusal("version: 2.1\njobs: [\n"), @r"
    error: a value is missing here, or a bracket before it is not closed
      ci.yml:3:1
    3 │
      │ ^ close the bracket, remove a `,` too many, or quote the value
      ci.yml:2:7
    2 │ jobs: [
      │       ^ it is opened here
    ");
    assert_snapshot!(refusal("version: 2.1\njobs: [a, , b]\n"), @r"
    error: a value is missing here, or a bracket before it is not closed
      ci.yml:2:11
    2 │ jobs: [a, , b]
      │           ^ close the bracket, remove a `,` too many, or quote the value
      ci.yml:2:7
    2 │ jobs: [a, , b]
      │       ^ it is opened here
    ");
}

#[test]
fn environments_that_are_none() {
    assert_snapshot!(refusal(
        "\
version: 2.1
jobs:
  build:
    docker: [{image: 'a b', environment: {A: [1]}}]
    environment: [1A=x, {B-C: d}, [e]]
    working_directory: [x]
    steps:
      - run: {command: make, environment: text}
"
    ), @r"
    error: `a b` can't be the name of an image
      ci.yml:4:22
    4 │     docker: [{image: 'a b', environment: {A: [1]}}]
      │                      ^^^^^

    error: the environment variable `A` must be a string, not a list
      ci.yml:4:43
    4 │     docker: [{image: 'a b', environment: {A: [1]}}]
      │                                           ^ quote it if it is one

    error: `1A` can't be the name of an environment variable
      ci.yml:5:19
    5 │     environment: [1A=x, {B-C: d}, [e]]
      │                   ^^^^ use letters, digits and `_`, and begin with no digit

    error: `B-C` can't be the name of an environment variable
      ci.yml:5:26
    5 │     environment: [1A=x, {B-C: d}, [e]]
      │                          ^^^ use letters, digits and `_`, and begin with no digit

    error: an entry of `environment` must be a map or `NAME=value`, not a list
      ci.yml:5:35
    5 │     environment: [1A=x, {B-C: d}, [e]]
      │                                   ^^^ write `NAME: value`

    error: `working_directory` must be a string, not a list
      ci.yml:6:5
    6 │     working_directory: [x]
      │     ^^^^^^^^^^^^^^^^^

    error: `environment` must be a map, not a string
      ci.yml:8:43
    8 │       - run: {command: make, environment: text}
      │                                           ^^^^
    ");
}

#[test]
fn workflows_that_are_wrong() {
    assert_snapshot!(refusal(
        "\
version: 2.1
jobs:
  build: {machine: true, steps: [checkout]}
  test: {machine: true, steps: [checkout]}
workflows:
  version: 2
  a:
  b: {jobs: }
  c: {jobs: {build: {}}}
  d:
    jobs:
      - build
      - test:
        requires: [build]
      - build: {name: x, requries: [build], type: approval}
      - test: {requires: build}
      - [build]
  e:
    jobs:
      - build
      - build
      - test: {requires: [build]}
      - test: {name: again, requires: [test: [succes]]}
"
    ), @"
    error: workflow `a` has no jobs
      ci.yml:7:3
    7 │   a:
      │   ^ add `jobs:` with at least one job

    error: workflow `b` has no jobs
      ci.yml:8:3
    8 │   b: {jobs: }
      │   ^ add `jobs:` with at least one job

    error: `jobs` of a workflow must be a list, not a map
      ci.yml:9:7
    9 │   c: {jobs: {build: {}}}
      │       ^^^^ begin each job with `-`

    warning: `requires` stands beside the job `test`, and is read as if it stood below
      ci.yml:14:9
    14 │         requires: [build]
       │         ^^^^^^^^ indent it below `test`

    error: `requries` means nothing in the job `build` of a workflow
      ci.yml:15:26
    15 │       - build: {name: x, requries: [build], type: approval}
       │                          ^^^^^^^^ did you mean `requires`?

    error: `requires` must be a list, not a string
      ci.yml:16:26
    16 │       - test: {requires: build}
       │                          ^^^^^ write `[build]`

    error: a job of workflow `d` must be a name or a map, not a list
      ci.yml:17:9
    17 │       - [build]
       │         ^^^^^^^ write `- build`

    error: job `test` requires `build`, which is 2 times in this workflow
      ci.yml:22:27
    22 │       - test: {requires: [build]}
       │                           ^^^^^ give each of them a `name`, and require those

    error: a job can't end as `succes`
      ci.yml:23:47
    23 │       - test: {name: again, requires: [test: [succes]]}
       │                                               ^^^^^^ did you mean `success`?
    ");
}

#[test]
fn two_workflows_of_one_name() {
    let text = with_steps("      - checkout\n") + "workflows:\n  ci: {jobs: [build]}\n";
    let compiled = config::compile(
        &[
            file(".popsicle/a.yml", &text),
            file(".popsicle/b.yml", &text),
        ],
        &Inputs::default(),
    );
    assert_eq!(compiled.plan, None);
    assert_snapshot!(told(&compiled), @r"
    error: there are two workflows named `ci`
      .popsicle/b.yml:8:3
    8 │   ci: {jobs: [build]}
      │   ^^
      .popsicle/a.yml:8:3
    8 │   ci: {jobs: [build]}
      │   ^^ the first is here
    ");
}

#[test]
fn no_file_and_too_many() {
    assert_snapshot!(told(&config::compile(&[], &Inputs::default())), @"error: there is no config: neither `.popsicle/*.yml` nor `.circleci/config.yml` exists");
    let text = with_steps("      - checkout\n");
    let files: Vec<_> = (0..=config::MAX_FILES)
        .map(|number| file(&format!(".popsicle/{number}.yml"), &text))
        .collect();
    assert_snapshot!(told(&config::compile(&files, &Inputs::default())), @r"
    error: a config may have at most 100 files, and this one has more
      .popsicle/100.yml
    ");
}

#[test]
fn faults_are_counted_after_a_hundred() {
    let steps: String = (0..500).map(|n| format!("      - what{n}\n")).collect();
    let compiled = compile_one(with_steps(&steps));
    assert_eq!(compiled.diagnostics.len(), 101);
    assert_snapshot!(compiled.diagnostics[100], @r"
    error: there are 400 more problems like these
      ci.yml
    ");
}

#[test]
fn an_error_is_told_whatever_warnings_there_are() {
    let keys: String = (0..200).map(|n| format!("          k{n}: 1\n")).collect();
    let steps = format!("      - checkout:\n          path: a\n{keys}      - save_cache\n");
    let compiled = compile_one(with_steps(&steps));
    let errors: Vec<&str> = compiled
        .errors()
        .map(|error| error.message.as_str())
        .collect();
    assert_eq!(
        errors,
        ["`save_cache` has no `key`", "`save_cache` has no `paths`"]
    );
    assert_snapshot!(compiled.diagnostics[100], @"
    warning: there are 102 more problems like these
      ci.yml
    ");
}

#[test]
fn nothing_in_a_config_steers_the_terminal() {
    let told = refusal("version: 2.1\njobs:\n  \"\\e[2J\\u202e\": {machine: true}\n");
    assert!(told.contains('\u{fffd}'));
    assert!(!told.contains(['\u{1b}', '\u{202e}']));
}

#[test]
fn carets_stand_below_what_they_mean() {
    assert_snapshot!(refusal(
        "version: 2.1\njobs:\n  '日本語\t': {machine: true, steps: [chekout, \"a\tb\", checkuot]}\n"
    ), @r#"
    error: `日本語�` can't be the name of a job
      ci.yml:3:3
    3 │   '日本語    ': {machine: true, steps: [chekout, "a    b", checkuot]}
      │   ^^^^^^^^^^^^ begin with a letter, and use letters, digits, `_`, `-` and blanks

    error: the name of a job must be one line without control characters
      ci.yml:3:3
    3 │   '日本語    ': {machine: true, steps: [chekout, "a    b", checkuot]}
      │   ^^^^^^^^^^^^

    error: there is no step `chekout`
      ci.yml:3:35
    3 │   '日本語    ': {machine: true, steps: [chekout, "a    b", checkuot]}
      │                                         ^^^^^^^ did you mean `checkout`?

    error: there is no step `a�b`
      ci.yml:3:44
    3 │   '日本語    ': {machine: true, steps: [chekout, "a    b", checkuot]}
      │                                                  ^^^^^^^^ write `- run: …` for a command

    error: there is no step `checkuot`
      ci.yml:3:51
    3 │   '日本語    ': {machine: true, steps: [chekout, "a    b", checkuot]}
      │                                                            ^^^^^^^^ did you mean `checkout`?
    "#);
    let long = format!("      - {{{}chekout: x}}\n", " ".repeat(1000));
    assert_snapshot!(refusal(with_steps(&long)), @r"
    error: there is no step `chekout`
      ci.yml:6:1010
    6 │                                         chekout: x}
      │                                         ^^^^^^^ did you mean `checkout`?
    ");
}

#[test]
fn several_jobs_and_none_to_begin_with() {
    for parameters in ["", "parameters: {p: {type: string}}, "] {
        let text = format!(
            "version: 2.1\njobs:\n  one: {{{parameters}machine: true, steps: [checkout]}}\n  other: {{{parameters}machine: true, steps: [checkout]}}\n"
        );
        let told = refusal(text);
        assert!(
            told.starts_with(
                "error: there are several jobs, no `workflows`, and no job `build`\n  ci.yml:3:3\n"
            ),
            "{told}"
        );
    }
}

#[test]
fn what_looks_damaged_is_told_like_anything_else() {
    let run = |job: &str| {
        format!(
            "version: 2.1\njobs: {{a: {{machine: true, steps: [checkout]}}}}\nworkflows: {{ci: {{jobs: [a, {job}]}}}}\n"
        )
    };
    let told = |job: &str| refusal(run(job));
    assert!(told("\u{fffd}").contains("runs `\u{fffd}`, which is not in `jobs`"));
    assert!(told("\"b\\0\"").contains("holds a NUL character"));
    assert!(told("{\"b\\0\": {requires: [a]}}").contains("holds a NUL character"));
}

#[test]
fn a_fault_in_a_text_of_several_lines_is_where_it_stands() {
    let text = with_steps(
        "      - run: |
          echo hello << parameters.name >>
          cat <<EOF
      - run:
          command: >-
            echo

            << nowhere.x >> « << parameters.name >>
      - run: \"echo
          << parameters.other >>\"
",
    );
    assert_snapshot!(refusal(text), @r#"
    error: a `<<` opens a value here, and no `>>` closes it
      ci.yml:8:15
    8 │           cat <<EOF
      │               ^^ write `\<<` for what is no value

    error: there is no value `nowhere.x`
      ci.yml:13:13
    13 │             << nowhere.x >> « << parameters.name >>
       │             ^^^^^^^^^^^^^^^ values begin with `parameters.`, `pipeline.` or `matrix.`; write `\<<` for what is none

    error: there is no parameter `name` here
      ci.yml:13:31
    13 │             << nowhere.x >> « << parameters.name >>
       │                               ^^^^^^^^^^^^^^^^^^^^^ declare it under `parameters`

    error: there is no parameter `other` here
      ci.yml:15:11
    15 │           << parameters.other >>"
       │           ^^^^^^^^^^^^^^^^^^^^^^ declare it under `parameters`
    "#);
}

#[test]
fn whatever_is_made_of_the_trigger_is_looked_over_without_one() {
    let text = "\
version: 2.1
commands:
  tell:
    parameters:
      draft: {type: boolean}
      number: {type: integer}
      who: {type: string}
    steps: [run: echo << parameters.draft >> << parameters.number >> << parameters.who >>]
jobs:
  build:
    docker: [{image: << pipeline.git.branch >>}]
    steps:
      - run: << pipeline.git.branch >>
      - save_cache: {key: << pipeline.git.revision >>, paths: [a]}
      - restore_cache: {keys: [<< pipeline.git.revision >>]}
      - tell:
          draft: << pipeline.event.github.pull_request.draft >>
          number: << pipeline.number >>
          who: << pipeline.event.github.sender.login >>
workflows:
  main:
    jobs:
      - build: {name: \"<< pipeline.git.branch >>\", serial-group: << pipeline.project.slug >>}
";
    assert_eq!(told(&compile_one(text)), "");
}

#[test]
fn what_is_never_used_is_looked_over_all_the_same() {
    let text = "\
version: 2.1
commands:
  install:
    steps:
      - run: {comand: make}
      - nosuch
      - run: echo << parameters.no >>
  again: {steps: [again]}
executors:
  e: {docker: [{imag: a}]}
jobs: {build: {machine: true, steps: [checkout]}}
";
    assert_snapshot!(refusal(text), @"
    error: `run` has no `command`
      ci.yml:5:15
    5 │       - run: {comand: make}
      │               ^^^^^^ did you mean `command`?

    warning: there is no step `nosuch`
      ci.yml:6:9
    6 │       - nosuch
      │         ^^^^^^ write `- run: …` for a command

    error: there is no parameter `no` here
      ci.yml:7:19
    7 │       - run: echo << parameters.no >>
      │                   ^^^^^^^^^^^^^^^^^^^ declare it under `parameters`

    warning: the command `again` uses itself: `again` → `again`
      ci.yml:8:19
    8 │   again: {steps: [again]}
      │                   ^^^^^ it would never end

    error: an entry of `docker` has no `image`
      ci.yml:10:16
    10 │   e: {docker: [{imag: a}]}
       │                ^^^^^^^^^ add `image: …`

    error: `imag` means nothing in an image
      ci.yml:10:17
    10 │   e: {docker: [{imag: a}]}
       │                 ^^^^ did you mean `image`?
    ");
}
