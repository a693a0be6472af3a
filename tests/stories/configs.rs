//! Configs that can't be run: each ends its pipeline with a reason, and nothing else.

use insta::assert_snapshot;

use crate::world::{Ci, Repo, until};

/// What each pipeline of a repository with that `.circleci/config.yml` ends with.
async fn reason(ci: &Ci, config: Option<&[u8]>) -> String {
    let repo = Repo::empty("octo/repo");
    if let Some(config) = config {
        repo.write(".circleci/config.yml", config);
    }
    let sha = repo.commit_all("Try");
    let id = ci.push(&repo).await;
    ci.settled(id).await;
    let pipeline = ci.pipeline(id).await;
    assert_eq!(pipeline["status"], "failure", "{pipeline}");
    assert_eq!(pipeline["jobs"].as_array().map(Vec::len), Some(0));
    // The forge hears of it too.
    until("the forge hears of the failure", async || {
        ci.github
            .told(&sha)
            .lines()
            .any(|line| line.starts_with("failure"))
            .then_some(())
    })
    .await;
    let reason = pipeline["reason"].as_str().expect("a failure has a reason");
    reason.replace(&sha[..7], "COMMIT")
}

/// Nine lists, each of nine aliases of the one before: a billion entries.
fn bomb() -> String {
    let mut yaml = "version: 2.1\na0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..10 {
        let aliases = vec![format!("*a{}", level - 1); 9].join(", ");
        yaml.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
    }
    yaml.push_str("jobs: *a9\n");
    yaml
}

#[tokio::test]
async fn what_can_t_be_run_says_why() {
    let mut ci = Ci::start().await;
    let job = |job: &str, workflow: &str| {
        format!("version: 2.1\njobs:\n  build:\n    machine: true\n    steps: [run: make]\n  test:\n{job}workflows:\n  main:\n    jobs:\n{workflow}").into_bytes()
    };
    let good_job = "    machine: true\n    steps: [run: make test]\n";
    let mut large = b"version: 2.1\n".to_vec();
    large.resize(10 << 20, b'#');
    let deep = format!(
        "version: 2.1\njobs: {}{}",
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    let cases: Vec<(&str, Option<Vec<u8>>)> = vec![
        ("absent", None),
        ("empty", Some(Vec::new())),
        ("only a comment", Some(b"# later\n".to_vec())),
        ("a list", Some(b"- build\n- test\n".to_vec())),
        ("a word", Some(b"build".to_vec())),
        ("binary", Some((0..=255).cycle().take(4096).collect())),
        (
            "not UTF-8",
            Some(b"version: 2.1\njobs: {b\xff: 1}\n".to_vec()),
        ),
        ("10 MB", Some(large)),
        ("very deep", Some(deep.into_bytes())),
        ("a bomb", Some(bomb().into_bytes())),
        ("no YAML", Some(b"version: 2.1\njobs: [\n".to_vec())),
        (
            "a cycle",
            Some(job(
                good_job,
                "      - build: {requires: [test]}\n      - test: {requires: [build]}\n",
            )),
        ),
        (
            "needs itself",
            Some(job(
                good_job,
                "      - build: {requires: [build]}\n      - test\n",
            )),
        ),
        (
            "an unknown need",
            Some(job(
                good_job,
                "      - build\n      - test: {requires: [biuld]}\n",
            )),
        ),
        (
            "an unknown job",
            Some(job(good_job, "      - build\n      - tset\n")),
        ),
        (
            "no image",
            Some(job(
                "    steps: [run: make test]\n",
                "      - build\n      - test\n",
            )),
        ),
        (
            "an empty image",
            Some(job(
                "    docker: [{image: ''}]\n    steps: [run: make test]\n",
                "      - test\n",
            )),
        ),
        (
            "no steps",
            Some(job("    machine: true\n", "      - test\n")),
        ),
        (
            "an unknown step",
            Some(job(
                "    machine: true\n    steps: [chekout]\n",
                "      - test\n",
            )),
        ),
    ];
    let mut told = Vec::new();
    for (name, config) in cases {
        let reason = reason(&ci, config.as_deref()).await;
        assert!(
            reason.len() < 20_000,
            "{name}: {} bytes of reason",
            reason.len()
        );
        let first = reason.lines().next().unwrap_or_default().to_owned();
        told.push(format!("{name}: {first}"));
        ci.assert_alive();
    }
    assert_snapshot!(told.join("\n"), @"
    absent: no config in octo/repo at COMMIT: add `.popsicle/ci.yml` (`popsicle init` writes one) or `.circleci/config.yml`
    empty: error: the config is empty
    only a comment: error: the config is empty
    a list: error: a config is a map with `jobs`, not a list
    a word: error: a config is a map with `jobs`, not a string
    binary: error: the file is not text: line 2 holds bytes that are not UTF-8
    not UTF-8: error: the file is not text: line 2 holds bytes that are not UTF-8
    10 MB: error: the file is too large: 1025 KiB, at most 1024 KiB are read
    very deep: error: lists and maps are nested more than 100 deep
    a bomb: error: the file expands to more than 250000 values
    no YAML: error: a value is missing here, or a bracket before it is not closed
    a cycle: error: 2 jobs require each other in a circle: `build` → `test` → `build`
    needs itself: error: job `build` requires itself
    an unknown need: error: job `test` requires `biuld`, which is not in this workflow
    an unknown job: error: workflow `main` runs `tset`, which is not in `jobs`
    no image: error: job `test` does not say where it runs
    an empty image: error: `` can't be the name of an image
    no steps: error: job `test` has no `steps`
    an unknown step: error: there is no step `chekout`
    ");
    assert!(ci.job_folders().is_empty());
}

#[tokio::test]
async fn a_diagnostic_shows_the_place_and_what_may_be_meant() {
    let ci = Ci::start().await;
    let config = b"version: 2.1
jobs:
  build:
    machine: true
    steps: [run: make]
  deploy:
    machine: true
    steps: [run: make deploy]
workflows:
  main:
    jobs:
      - build
      - deploy:
          requires: [biuld]
";
    assert_snapshot!(reason(&ci, Some(config)).await, @"
    error: job `deploy` requires `biuld`, which is not in this workflow
      .circleci/config.yml:14:22
    14 │           requires: [biuld]
       │                      ^^^^^ did you mean `build`?
    ");
}
