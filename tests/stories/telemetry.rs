//! What the server says of itself, and what it never says.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::world::{Ci, Image, Repo, SECRET, TOKEN, Webhook, has_docker, has_machine_jobs, until};

#[tokio::test]
async fn each_line_about_a_pipeline_says_which() {
    if !has_machine_jobs().await {
        return;
    }
    let mut ci =
        Ci::start_with(&[("POPSICLE_LOG_FORMAT", "json"), ("POPSICLE_LOG", "debug")]).await;
    let repo = Repo::with_config(
        "
version: 2.1
jobs:
  build:
    machine: true
    steps: [checkout, run: env]
workflows: {main: {jobs: [build]}}
",
    );
    let id = ci.push(&repo).await;
    assert_eq!(ci.settled(id).await, "pipeline success\n  build  success");
    until("the forge hears of the end", async || {
        ci.github
            .told(&repo.head())
            .contains("success")
            .then_some(())
    })
    .await;
    let unsigned = Webhook::new("push", &repo.push()).signed("X-Hub-Signature-256", "sha256=00");
    assert_eq!(ci.deliver(&unsigned).await.code, 401);
    let stuck = Repo::with_config(
        "
version: 2.1
jobs:
  build:
    machine: true
    steps: [run: sleep 600]
workflows: {main: {jobs: [build]}}
",
    );
    for (id, cancel) in [(2, "job"), (3, "pipeline")] {
        assert_eq!(ci.push(&stuck).await, id);
        ci.until_job(id, "build", "running").await;
        let canceled = if cancel == "job" {
            let uuid = ci.job(id, "build").await["uuid"].clone();
            let path = format!("/jobs/{}", uuid.as_str().unwrap_or_default());
            ci.delete(&path).await
        } else {
            ci.post(&format!("/pipelines/{id}/cancel"), &Value::Null)
                .await
        };
        assert_eq!(canceled.code, 200, "{}", canceled.text());
        ci.settled(id).await;
    }
    ci.until_clean().await;
    ci.terminate().await;

    let log = ci.server_log();
    let mut about = Vec::new();
    for line in log.lines() {
        let line: Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        // Its own fields, or those of the spans that it is in.
        let text = line.to_string();
        let has = |key: &str| text.contains(&format!("\"{key}\":"));
        if ["pipeline", "job", "attempt"].into_iter().any(has) {
            for key in [
                "\"pipeline\":",
                "\"repo\":\"octo/repo\"",
                "\"branch\":\"main\"",
            ] {
                assert!(text.contains(key), "no {key} in {text}");
            }
            about.push(line["message"].as_str().unwrap_or_default().to_owned());
        }
    }
    for expected in [
        "pipeline stored",
        "pipeline prepared",
        "job starts",
        "job ended",
        "job canceled on request",
        "pipeline canceled on request",
    ] {
        assert!(
            about.iter().any(|message| message == expected),
            "{expected:?} in {about:?}"
        );
    }

    let refused = log.lines().find(|line| line.contains("webhook refused"));
    let refused = refused.expect("a webhook that is not taken leaves a line");
    assert!(refused.contains(&unsigned.delivery), "{refused}");

    // Neither there nor in what is kept.
    for secret in [TOKEN, SECRET] {
        assert!(!log.contains(secret), "{log}");
        assert_eq!(files_with(&ci.data(), secret), Vec::<String>::new());
    }
}

#[tokio::test]
async fn what_a_job_in_docker_is_given_is_in_no_line() {
    if !has_docker() {
        return;
    }
    let image = Image::busybox();
    let mut ci = Ci::start_with(&[("POPSICLE_LOG", "debug")])
        .await
        .with_docker();
    let repo = Repo::with_config(&format!(
        "
version: 2.1
jobs:
  build:
    docker: [{{image: '{}', environment: {{NPM_TOKEN: hunter2xyz}}}}]
    environment: {{OTHER_TOKEN: hunter3xyz}}
    steps: [run: 'test \"$NPM_TOKEN$OTHER_TOKEN\" = hunter2xyzhunter3xyz']
workflows: {{main: {{jobs: [build]}}}}
",
        image.name
    ));
    let id = ci.push(&repo).await;
    assert_eq!(ci.settled(id).await, "pipeline success\n  build  success");
    ci.until_clean().await;
    ci.terminate().await;
    let log = ci.server_log();
    assert!(log.contains("DEBUG"), "{log}");
    assert!(
        !log.contains("hunter2xyz") && !log.contains("hunter3xyz"),
        "{log}"
    );
}

#[tokio::test]
async fn a_secret_that_was_made_is_kept_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;

    let mut ci = Ci::start_without("POPSICLE_WEBHOOK_SECRET").await;
    let path = ci.data().join("webhook-secret");
    let secret = fs::read_to_string(&path).expect("the secret was made");
    let secret = secret.trim().to_owned();
    assert!(secret.len() >= 32, "{} characters", secret.len());
    let mode = fs::metadata(&path)
        .expect("it is there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o077, 0, "{mode:o}");

    let repo = Repo::with(&[("README.md", "no config")]);
    let push = Webhook::new("push", &repo.push());
    assert_eq!(ci.deliver(&push).await.code, 401);
    let signed = push.clone().signed(
        "X-Hub-Signature-256",
        &crate::world::sign(&secret, &push.body),
    );
    assert_eq!(ci.deliver(&signed).await.pipeline(), 1);
    ci.settled(1).await;

    // The next start finds it again.
    ci.kill();
    ci.restart().await;
    assert_eq!(ci.deliver(&signed).await.pipeline(), 1);
    assert!(!ci.server_log().contains(&secret));
    assert_eq!(
        files_with(&ci.data(), &secret),
        [path.display().to_string()]
    );
}

/// The plain files below a folder that have that text in them.
fn files_with(folder: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("the folder can be read") {
        let entry = entry.expect("the folder can be read");
        let (path, kind) = (entry.path(), entry.file_type().expect("it is there"));
        if kind.is_dir() {
            found.extend(files_with(&path, text));
        } else if kind.is_file() {
            let bytes = fs::read(&path).expect("the file can be read");
            if String::from_utf8_lossy(&bytes).contains(text) {
                found.push(path.display().to_string());
            }
        }
    }
    found
}
