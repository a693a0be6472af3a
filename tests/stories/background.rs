//! Commands in the background: beside the others, in a log of their own, whatever becomes of the server.

use crate::world::{Ci, Image, Repo, has_docker, has_machine_jobs, until};

/// How many lines the command in the background writes.
const LINES: u32 = 60;

/// A job with a server in the background that counts, and steps that wait for it.
fn counting(place: &str) -> Repo {
    Repo::with_config(&format!(
        "
version: 2.1
jobs:
  build:
    {place}
    steps:
      - run:
          name: count
          background: true
          command: |
            i=0
            while [ $i -lt {LINES} ]; do i=$((i+1)); echo \"line $i\"; sleep 0.05; done
            printf 'no end'; : >counted
            sleep 600
      - run: {{name: fail, background: true, no_output_timeout: 1s, command: 'echo oh; sleep 2; exit 3'}}
      - run: until [ -e counted ]; do sleep 0.05; done; echo counted
      - run: echo the end
workflows: {{main: {{jobs: [build]}}}}
"
    ))
}

async fn of_step(ci: &Ci, id: u64, step: u32) -> String {
    let log = ci.log_path(id, "build").await;
    ci.get(&format!("{log}?step={step}")).await.text()
}

/// That it went as it does with nothing in its way.
async fn assert_counted(ci: &Ci, id: u64) {
    assert_eq!(ci.settled(id).await, "pipeline success\n  build  success");
    assert_eq!(ci.job(id, "build").await["attempt"], 1);
    let mut expected: String = (1..=LINES)
        .map(|number| format!("line {number}\n"))
        .collect();
    expected.push_str("no end");
    assert_eq!(of_step(ci, id, 0).await, expected);
    assert_eq!(of_step(ci, id, 1).await, "oh\n");
    assert_eq!(of_step(ci, id, 2).await, "counted\n");
    let log = ci.log(id, "build").await;
    assert!(log.ends_with("counted\nthe end\n"), "{log}");
    assert!(!log.contains("line") && !log.contains("oh"), "{log}");
    let job = ci.job(id, "build").await["id"].to_string();
    let steps = ci.get(&format!("/pipelines/{id}/jobs/{job}/steps")).await;
    let ends: Vec<(String, i64)> = steps
        .json()
        .as_array()
        .expect("a list")
        .iter()
        .map(|step| {
            let status = step["status"].as_str().unwrap_or_default();
            (status.to_owned(), step["exit_code"].as_i64().unwrap_or(-1))
        })
        .collect();
    let expected = [
        ("success", 0),
        ("failure", 3),
        ("success", 0),
        ("success", 0),
    ];
    assert_eq!(ends, expected.map(|(word, code)| (word.to_owned(), code)));
    ci.until_clean().await;
}

/// Kills the server as often as that while the command in the background writes.
async fn survives(mut ci: Ci, place: &str, kills: u32) {
    let repo = counting(place);
    let id = ci.push(&repo).await;
    for kill in 0..kills {
        ci.until_job(id, "build", "running").await;
        let line = format!("line {}\n", 10 * (kill + 1));
        until("the background has written so far", async || {
            of_step(&ci, id, 0).await.contains(&line).then_some(())
        })
        .await;
        ci.kill();
        ci.restart().await;
    }
    assert_counted(&ci, id).await;
    let number = id.to_string();
    let told = ci
        .cli(&["logs", &number, "--step", "count", "--tail", "1"])
        .await
        .success();
    assert!(told.ends_with("---\nno end"), "{told}");
}

#[tokio::test]
async fn a_machine_job_has_commands_in_the_background() {
    if !has_machine_jobs().await {
        return;
    }
    survives(Ci::start().await, "machine: true", 4).await;
}

#[tokio::test]
async fn a_docker_job_has_commands_in_the_background() {
    if !has_docker() {
        return;
    }
    let image = Image::busybox();
    let ci = Ci::start().await.with_docker();
    survives(ci, &format!("docker: [{{image: '{}'}}]", image.name), 2).await;
}

#[tokio::test]
async fn a_canceled_job_leaves_nothing_in_the_background() {
    if !has_machine_jobs().await {
        return;
    }
    let ci = Ci::start().await;
    let repo = counting("machine: true");
    let id = ci.push(&repo).await;
    ci.until_job(id, "build", "running").await;
    until("the background has written", async || {
        of_step(&ci, id, 0).await.contains("line 3\n").then_some(())
    })
    .await;
    let answer = ci
        .post(&format!("/pipelines/{id}/cancel"), &serde_json::json!({}))
        .await;
    assert_eq!(answer.code, 200, "{}", answer.text());
    assert!(ci.settled(id).await.contains("canceled"));
    let counted = of_step(&ci, id, 0).await;
    assert!(counted.starts_with("line 1\nline 2\nline 3\n"), "{counted}");
    ci.until_clean().await;
}
