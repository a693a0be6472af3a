//! What jobs keep: artifacts, test results, workspaces, caches. Each on the machine and in a container.

use serde_json::Value;

use super::forge::pull_request_from_a_fork;
use crate::world::{Ci, Image, Repo, Webhook, has_docker, has_machine_jobs, until};

/// Where a job can run here, as its config has it.
async fn places(image: Option<&Image>) -> Vec<String> {
    let machine = has_machine_jobs().await.then(|| "machine: true".to_owned());
    let docker = image.map(|image| format!("docker: [{{image: '{}'}}]", image.name));
    machine.into_iter().chain(docker).collect()
}

fn image() -> Option<Image> {
    has_docker().then(Image::busybox)
}

/// A server, watched for containers that it leaves where jobs run in some.
async fn start(image: Option<&Image>) -> Ci {
    let ci = Ci::start().await;
    match image {
        Some(_) => ci.with_docker(),
        None => ci,
    }
}

fn repo(config: &str) -> Repo {
    Repo::with(&[
        ("lock", "one\n"),
        (".popsicle/ci.yml", &format!("version: 2.1\n{config}")),
    ])
}

/// A pipeline of one job with these steps.
fn steps(place: &str, steps: &str) -> Repo {
    let mut config = format!("jobs:\n  build:\n    {place}\n    steps:\n");
    for line in steps.lines() {
        config.push_str(&format!("      {line}\n"));
    }
    config.push_str("workflows: {main: {jobs: [build]}}\n");
    repo(&config)
}

async fn list(ci: &Ci, id: u64, job: &str, what: &str) -> Vec<Value> {
    let job = ci.job(id, job).await["id"].to_string();
    let answer = ci.get(&format!("/pipelines/{id}/jobs/{job}/{what}")).await;
    assert_eq!(answer.code, 200, "{}", answer.text());
    answer.json().as_array().cloned().expect("a list")
}

const ARTIFACTS: &str = r#"
- run: |
    mkdir -p out/sub; echo one >out/one.txt; echo '<p>two' >out/sub/two.html; ln -s /etc/passwd out/link
    echo first >first; chmod 000 first
- store_artifacts: {path: out}
- store_artifacts: {path: out, destination: docs/}
- store_artifacts: {path: first, destination: renamed}
- store_artifacts: {path: nothing}
- run: exit 3
- store_artifacts: {path: out/one.txt, destination: afterwards}
- store_artifacts: {path: out/one.txt, destination: not-this, when: on_success}
"#;

#[tokio::test]
async fn artifacts_are_listed_and_downloaded() {
    let image = image();
    let ci = start(image.as_ref()).await;
    for place in places(image.as_ref()).await {
        let repo = steps(&place, ARTIFACTS);
        let id = ci.push(&repo).await;
        let settled = ci.settled(id).await;
        assert!(settled.contains("exit code 3"), "{settled}");
        let artifacts = list(&ci, id, "build", "artifacts").await;
        let paths: Vec<&str> = artifacts
            .iter()
            .filter_map(|artifact| artifact["path"].as_str())
            .collect();
        let expected = [
            "out/one.txt",
            "out/sub/two.html",
            "docs/one.txt",
            "docs/sub/two.html",
            "renamed",
            "afterwards",
        ];
        assert_eq!(paths, expected, "{place}");
        let log = ci.log(id, "build").await;
        for said in [
            "out/one.txt (4 B)",
            "1 symbolic link left out",
            "Stored 2 artifacts, 11 B, in ",
            "warning: there is nothing at `nothing`: no artifacts are stored",
        ] {
            assert!(log.contains(said), "{said} is not in {log}");
        }

        let url = artifacts[1]["url"].as_str().expect("an address");
        let page = ci.request(url).send().await.expect("an answer");
        let header = |name: &str| page.headers()[name].to_str().expect("a text").to_owned();
        assert_eq!(header("content-type"), "text/html; charset=utf-8");
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert!(header("content-security-policy").starts_with("sandbox;"));
        assert_eq!(page.text().await.expect("a text"), "<p>two\n");
        let part = ci.request(url).header("Range", "bytes=3-5").send().await;
        let part = part.expect("an answer");
        assert_eq!(part.status(), 206);
        assert_eq!(part.text().await.expect("a text"), "two");
        let job = ci.job(id, "build").await["id"].to_string();
        for absent in ["nothing", "../one.txt", "out"] {
            let path = format!("/pipelines/{id}/jobs/{job}/artifacts/{absent}");
            assert_eq!(ci.get(&path).await.code, 404, "{absent}");
        }

        let told = ci.cli(&["artifacts", &id.to_string()]).await;
        assert_eq!(told.code, Some(0), "{told:?}");
        assert!(told.stdout.contains("docs/sub/two.html"), "{told:?}");
        let to = ci.data().join(format!("downloaded-{id}"));
        let to_text = to.display().to_string();
        let told = ci
            .cli(&["artifacts", &id.to_string(), "--download", &to_text])
            .await;
        assert_eq!(told.code, Some(0), "{told:?}");
        let text = std::fs::read_to_string(to.join("docs/sub/two.html"));
        assert_eq!(text.expect("it was downloaded"), "<p>two\n");
        let text = std::fs::read_to_string(to.join("renamed"));
        assert_eq!(text.expect("it was downloaded"), "first\n");
        ci.until_clean().await;
    }
}

const TESTS: &str = r#"
- run: |
    mkdir -p results/a; cat >results/a/one.xml \<<'X'
    <testsuite name="s"><testcase classname="c" name="good" time="0.5"/>
    <testcase classname="c" name="bad" file="f.py"><failure message="no"/></testcase>
    <testcase name="later"><skipped/></testcase></testsuite>
    X
    echo '<testsuite><testcase name="half"/><testcase name=' >results/broken.xml
    echo no >results/notes.txt
- store_test_results: {path: results}
- store_test_results: {path: absent}
"#;

#[tokio::test]
async fn test_results_are_told_one_by_one() {
    let image = image();
    let ci = start(image.as_ref()).await;
    for place in places(image.as_ref()).await {
        let repo = steps(&place, TESTS);
        let id = ci.push(&repo).await;
        assert_eq!(ci.settled(id).await, "pipeline success\n  build  success");
        let tests = list(&ci, id, "build", "tests").await;
        let names: Vec<String> = tests
            .iter()
            .map(|test| format!("{} {}", test["result"], test["name"]).replace('"', ""))
            .collect();
        assert_eq!(
            names,
            [
                "failure bad",
                "skipped later",
                "success good",
                "success half"
            ],
            "{place}"
        );
        assert_eq!(tests[0]["file"], "f.py");
        assert_eq!(tests[0]["message"], "no");
        assert_eq!(tests[2]["duration_us"], 500_000);
        let log = ci.log(id, "build").await;
        assert!(
            log.contains("Stored 4 test results of 2 files: 1 failed, 1 skipped"),
            "{log}"
        );
        assert!(
            log.contains("warning: `broken.xml` can't be read to its end"),
            "{log}"
        );
        let first = list(&ci, id, "build", "tests?limit=1").await;
        assert_eq!(first.len(), 1);
        let told = ci.cli(&["tests", &id.to_string()]).await;
        assert_eq!(told.code, Some(0), "{told:?}");
        assert!(told.stdout.contains("c bad"), "{told:?}");
        assert!(
            told.stdout.ends_with("1 failed, 1 skipped, 2 passed\n"),
            "{told:?}"
        );
    }
}

#[tokio::test]
async fn a_workspace_is_handed_on_between_jobs() {
    let image = image();
    let ci = start(image.as_ref()).await;
    for place in places(image.as_ref()).await {
        let config = format!(
            r#"
jobs:
  one:
    {place}
    steps:
      - run: mkdir -p ws/a ws/b; echo one >ws/a/file; echo one >ws/b/x.jar; echo no >ws/b/x.txt
      - persist_to_workspace: {{root: ws, paths: [a, b/*.jar]}}
  two:
    {place}
    steps:
      - attach_workspace: {{at: ~/in}}
      - run: cat ~/in/a/file; echo two >~/in/a/file; ln -s ../a ~/in/a/self; ls ~/in/b
      - persist_to_workspace: {{root: ~/in, paths: ['.']}}
  three:
    {place}
    steps:
      - attach_workspace: {{at: .}}
      - run: cat a/file b/x.jar a/self/file; [ ! -e b/x.txt ]
      - run: '[ "$CIRCLE_WORKFLOW_NAME" != failing ]'
      - run: '[ -e /tmp/never ]'
  none:
    {place}
    steps:
      - run: mkdir -p ws
      - persist_to_workspace: {{root: ws, paths: [missing/*]}}
workflows:
  main:
    jobs: [one, two: {{requires: [one]}}, three: {{requires: [two]}}, none]
"#
        );
        let repo = repo(&config);
        let id = ci.push(&repo).await;
        let settled = ci.settled(id).await;
        assert!(settled.contains("one    success"), "{settled}");
        assert!(settled.contains("two    success"), "{settled}");
        let log = ci.log(id, "three").await;
        assert!(log.contains("two\none\ntwo\n"), "{log}");
        assert!(log.contains("Attached 2 layers, "), "{log}");
        let log = ci.log(id, "none").await;
        assert!(
            log.contains("error: nothing in `ws` matches `missing/*`"),
            "{log}"
        );

        // What failed is run again, with what was handed on.
        let rerun = serde_json::json!({"from": "failed"});
        let answer = ci.post(&format!("/pipelines/{id}/rerun"), &rerun).await;
        let again = answer.json()["id"].as_u64().expect("a number");
        let settled = ci.settled(again).await;
        assert!(!settled.contains("\n  one"), "{settled}");
        let log = ci.log(again, "three").await;
        assert!(log.contains("two\none\ntwo\n"), "{log}");
        assert!(log.contains("Attached 2 layers, "), "{log}");
    }
}

#[tokio::test]
async fn a_cache_is_restored_by_another_pipeline() {
    let image = image();
    let ci = start(image.as_ref()).await;
    for (number, place) in places(image.as_ref()).await.iter().enumerate() {
        let key = format!("v{number}-{{{{ arch }}}}-{{{{ checksum \"lock\" }}}}");
        let text = format!(
            r#"
- checkout
- restore_cache: {{keys: ['{key}', 'v{number}-']}}
- run: cat ~/deps/sub/file deps/x || echo fresh
- run: mkdir -p ~/deps/sub deps; echo "of $CIRCLE_PIPELINE_ID" >~/deps/sub/file; echo x >deps/x
- save_cache: {{key: '{key}', paths: [~/deps, deps, absent]}}
"#
        );
        let repo = steps(place, &text);
        let first = ci.push(&repo).await;
        assert_eq!(
            ci.settled(first).await,
            "pipeline success\n  build  success"
        );
        let log = ci.log(first, "build").await;
        assert!(log.contains("fresh\n"), "{log}");
        assert!(log.contains("No cache is found for the key `v"), "{log}");
        assert!(log.contains("Saved the cache `v"), "{log}");
        assert!(
            log.contains("warning: there is nothing at `absent`"),
            "{log}"
        );

        let second = ci.push(&repo).await;
        assert_eq!(
            ci.settled(second).await,
            "pipeline success\n  build  success"
        );
        let log = ci.log(second, "build").await;
        assert!(log.contains("Restored the cache `v"), "{log}");
        assert!(log.contains(&format!("of {first}\nx\n")), "{log}");
        assert!(log.contains("a cache never changes"), "{log}");
    }
}

#[tokio::test]
async fn steps_that_wait_one_right_after_the_other_are_all_answered() {
    if !has_machine_jobs().await {
        return;
    }
    let ci = Ci::start().await;
    let mut text = String::from("- run: echo x >a\n");
    for number in 0..60 {
        text.push_str(&format!(
            "- store_artifacts: {{path: a, destination: '{number}'}}\n"
        ));
    }
    let repo = steps("machine: true", &text);
    let id = ci.push(&repo).await;
    assert_eq!(ci.settled(id).await, "pipeline success\n  build  success");
    assert_eq!(
        list(&ci, id, "build", "artifacts?limit=200").await.len(),
        60
    );
}

#[tokio::test]
async fn what_a_fork_saves_is_its_own_alone() {
    if !has_machine_jobs().await {
        return;
    }
    let ci = Ci::start().await;
    let text = r#"
- restore_cache: {keys: ['{{ .Environment.SALT }}-']}
- run: cat /tmp/saved || echo nothing
- run: echo "by ${CIRCLE_PR_NUMBER-the project}" >/tmp/saved
- save_cache: {key: '{{ .Environment.SALT }}-{{ .BuildNum }}', paths: [/tmp/saved]}
"#;
    let repo = steps("machine: true\n    environment: {SALT: v1}", text);
    let head = repo.head();
    repo.git(&["update-ref", "refs/pull/7/head", &head]);
    let pull_request = async |number| {
        let payload = pull_request_from_a_fork(&repo, number, &head);
        ci.deliver(&Webhook::new("pull_request", &payload))
            .await
            .pipeline()
    };
    let settled_log = async |id| {
        assert_eq!(ci.settled(id).await, "pipeline success\n  build  success");
        ci.log(id, "build").await
    };
    let of_fork = async || settled_log(pull_request(7).await).await;
    let of_project = async || settled_log(ci.push(&repo).await).await;

    assert!(of_fork().await.contains("nothing\n"));
    assert!(of_project().await.contains("nothing\n"));
    // Its own first.
    let log = of_fork().await;
    assert!(log.contains("by 7\n"), "{log}");
    let log = of_project().await;
    assert!(log.contains("by the project\n"), "{log}");
    // Another one's finds the project's.
    repo.git(&["update-ref", "refs/pull/8/head", &head]);
    let log = settled_log(pull_request(8).await).await;
    assert!(log.contains("by the project\n"), "{log}");
}

#[tokio::test]
async fn a_cache_that_the_disk_has_damaged_is_a_miss_and_saved_anew() {
    if !has_machine_jobs().await {
        return;
    }
    let ci = Ci::start().await;
    let text = "
- restore_cache: {key: v1}
- run: cat /tmp/saved || seq 100000 | tee /tmp/saved | tail -1
- save_cache: {key: v1, paths: [/tmp/saved]}
";
    let repo = steps("machine: true", text);
    let log = async || {
        let id = ci.push(&repo).await;
        assert_eq!(ci.settled(id).await, "pipeline success\n  build  success");
        ci.log(id, "build").await
    };
    assert!(log().await.contains("Saved the cache `v1`"));
    // Shorter; as long, with other bytes in its midst.
    let damages: [fn(&mut Vec<u8>); 2] = [Vec::clear, |bytes| {
        let half = bytes.len() / 2;
        bytes
            .iter_mut()
            .skip(half)
            .take(8)
            .for_each(|byte| *byte ^= 0xff);
    }];
    for damage in damages {
        for folder in std::fs::read_dir(ci.data().join("blobs")).expect("blobs") {
            let folder = folder.expect("a folder").path();
            for blob in std::fs::read_dir(folder).expect("a folder") {
                let path = blob.expect("a blob").path();
                let mut bytes = std::fs::read(&path).expect("a blob");
                damage(&mut bytes);
                std::fs::write(&path, bytes).expect("it is written");
            }
        }
        let told = log().await;
        assert!(
            told.contains("disk has damaged it: it is dropped"),
            "{told}"
        );
        assert!(told.contains("Saved the cache `v1`"), "{told}");
        let told = log().await;
        assert!(told.contains("Restored the cache `v1`"), "{told}");
    }
}

#[tokio::test]
async fn a_cache_larger_than_all_may_be_is_refused_and_the_job_goes_on() {
    if !has_machine_jobs().await {
        return;
    }
    let ci = Ci::start_with(&[("POPSICLE_CACHE_LIMIT", "1MB")]).await;
    let text = "
- run: echo small >small; head -c 2000000 /dev/urandom >large
- save_cache: {key: small, paths: [small]}
- save_cache: {key: large, paths: [small, large]}
- restore_cache: {keys: [large, small]}
";
    let repo = steps("machine: true", text);
    let id = ci.push(&repo).await;
    assert_eq!(ci.settled(id).await, "pipeline success\n  build  success");
    let log = ci.log(id, "build").await;
    assert!(
        log.contains("warning: the cache `large` is 1.9 MiB packed"),
        "{log}"
    );
    assert!(log.contains("Restored the cache `small`"), "{log}");
}

#[tokio::test]
async fn a_key_is_filled_in_with_what_is_secret_and_the_log_does_not_tell_it() {
    if !has_machine_jobs().await {
        return;
    }
    let ci = Ci::start().await;
    let text = "
- run: echo x >/tmp/saved
- save_cache: {key: 'v1-{{ .Environment.SALT }}', paths: [/tmp/saved]}
- restore_cache: {key: 'v1-{{ .Environment.SALT }}'}
- restore_cache: {key: 'v1-other'}
";
    let repo = steps("machine: true", text);
    let set = ["secret", "set", "SALT", "--repo", &repo.name];
    ci.cli_with(&set, "pepper-pepper-pepper").await.success();
    let id = ci.push(&repo).await;
    assert_eq!(ci.settled(id).await, "pipeline success\n  build  success");
    let log = ci.log(id, "build").await;
    assert!(log.contains("Saved the cache `v1-********`"), "{log}");
    assert!(log.contains("Restored the cache `v1-********`"), "{log}");
    assert!(
        log.contains("No cache is found for the key `v1-other`"),
        "{log}"
    );
}

#[tokio::test]
async fn a_server_that_dies_in_the_midst_of_a_save_loses_nothing() {
    if !has_machine_jobs().await {
        return;
    }
    let mut ci = Ci::start().await;
    let text = "
- run: mkdir big; i=0; while [ $i -lt 8 ]; do head -c 20000000 /dev/urandom >big/$i; i=$((i+1)); done; echo made
- store_artifacts: {path: big}
- run: echo after
";
    let repo = steps("machine: true", text);
    let id = ci.push(&repo).await;
    ci.until_log(id, "build", "made").await;
    let drafts = ci.data().join("blobs");
    until("the save has begun", async || drafts.exists().then_some(())).await;
    ci.kill();
    ci.restart().await;
    assert_eq!(ci.settled(id).await, "pipeline success\n  build  success");
    let artifacts = list(&ci, id, "build", "artifacts").await;
    assert_eq!(artifacts.len(), 8);
    assert!(
        artifacts
            .iter()
            .all(|artifact| artifact["size_bytes"] == 20_000_000)
    );
    assert!(ci.log(id, "build").await.ends_with("after\n"));
    ci.until_clean().await;
}

#[tokio::test]
async fn what_is_too_large_fails_its_step() {
    if !has_machine_jobs().await {
        return;
    }
    let ci = Ci::start_with(&[("POPSICLE_STEP_STORAGE_LIMIT", "1MB")]).await;
    let text = "
- run: head -c 2000000 /dev/zero >big
- store_artifacts: {path: big}
";
    let repo = steps("machine: true", text);
    let id = ci.push(&repo).await;
    let settled = ci.settled(id).await;
    assert!(settled.starts_with("pipeline failure"), "{settled}");
    let log = ci.log(id, "build").await;
    assert!(log.contains("the files are larger than "), "{log}");
    assert!(list(&ci, id, "build", "artifacts").await.is_empty());
    ci.until_clean().await;
}

#[tokio::test]
async fn a_job_that_is_canceled_in_the_midst_of_a_save_ends() {
    if !has_machine_jobs().await {
        return;
    }
    let ci = Ci::start().await;
    let text = "
- run: mkfifo pipe; mkdir big; truncate -s 4G big/zeros; echo made
- store_artifacts: {path: big}
";
    let repo = steps("machine: true", text);
    let id = ci.push(&repo).await;
    let drafts = ci.data().join("blobs/drafts");
    let has_draft = || {
        let entries = std::fs::read_dir(&drafts).into_iter().flatten();
        entries.count() > 0
    };
    until("the save has begun", async || has_draft().then_some(())).await;
    ci.post(&format!("/pipelines/{id}/cancel"), &serde_json::json!({}))
        .await;
    let settled = ci.settled(id).await;
    assert!(settled.starts_with("pipeline canceled"), "{settled}");
    ci.until_clean().await;
    until("the draft is gone", async || (!has_draft()).then_some(())).await;
}
