//! Jobs in Docker containers.

use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use insta::assert_snapshot;
use serde_json::json;
use tokio::net::{TcpListener, UnixStream};

use crate::world::{Ci, Dockerd, Image, Repo, containers, end_container, has_docker, skip, until};

fn in_image(image: &str, steps: &str) -> Repo {
    Repo::with(&[
        ("greeting.txt", "hello\n"),
        (
            ".popsicle/ci.yml",
            &format!(
                "
version: 2.1
jobs:
  build:
    docker:
      - image: '{image}'
        environment: {{COLOUR: green}}
    steps:
{steps}
workflows: {{main: {{jobs: [build]}}}}
"
            ),
        ),
    ])
}

#[tokio::test]
async fn a_job_runs_in_its_image_and_leaves_no_container() {
    if !has_docker() {
        return;
    }
    let image = Image::busybox();
    let ci = Ci::start().await.with_docker();
    let steps = "
      - checkout
      - run: cat greeting.txt
      - run: echo \"$CIRCLE_JOB is $COLOUR\"; ls /bin/busybox
      - run:
          name: Fail
          command: echo bad >&2; exit 42
";
    let repo = in_image(&image.name, steps);
    let id = ci.push(&repo).await;
    assert_snapshot!(ci.settled(id).await, @r#"
    pipeline failure
      build  failure  (step "Fail" ended with exit code 42)
    "#);
    assert_eq!(ci.job(id, "build").await["exit_code"], 42);
    let log = ci.log(id, "build").await;
    assert!(
        log.ends_with("hello\nbuild is green\n/bin/busybox\nbad\n"),
        "{log}"
    );
    ci.until_clean().await;

    let repo = in_image(&image.name, "      - run: echo well");
    let id = ci.push(&repo).await;
    assert_eq!(ci.settled(id).await, "pipeline success\n  build  success");
    assert!(ci.log(id, "build").await.ends_with("well\n"));
    ci.until_clean().await;
}

/// A registry that has no images, for as long as the story lasts; its address.
async fn empty_registry() -> String {
    let not_found = (
        StatusCode::NOT_FOUND,
        Json(json!({"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]})),
    );
    let app = Router::new()
        .route("/v2/", get(async || Json(json!({}))))
        .fallback(async || not_found);
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port is free");
    let address = listener.local_addr().expect("a listener has an address");
    // Ends with the story's runtime.
    tokio::spawn(async move { axum::serve(listener, app).await });
    address.to_string()
}

#[tokio::test]
async fn an_image_that_does_not_exist_fails_its_job() {
    if !has_docker() {
        return;
    }
    let ci = Ci::start().await.with_docker();
    let registry = empty_registry().await;
    let missing = format!("{registry}/octo/missing:1.0");
    let repo = in_image(&missing, "      - run: 'true'");
    let id = ci.push(&repo).await;
    let settled = ci.settled(id).await;
    assert_snapshot!(settled.replace(&registry, "REGISTRY"), @"
    pipeline failure
      build  failure  (image `REGISTRY/octo/missing:1.0` can't be pulled from `REGISTRY`: manifest unknown; check its name and tag, and if it is private, that this machine may read it)
    ");

    let repo = in_image("No such/Name", "      - run: 'true'");
    let id = ci.push(&repo).await;
    let settled = ci.settled(id).await;
    assert!(settled.starts_with("pipeline failure"), "{settled}");
    assert!(settled.contains("No such/Name"), "{settled}");
    ci.until_clean().await;
}

/// Carries what is said to a port to the machine's daemon, for as long as the story lasts; where.
pub(super) async fn remote_docker() -> Option<String> {
    let host = std::env::var("DOCKER_HOST").unwrap_or("unix:///var/run/docker.sock".to_owned());
    let socket = host.strip_prefix("unix://")?.to_owned();
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port is free");
    let address = listener.local_addr().expect("a listener has an address");
    // Ends with the story's runtime.
    tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            let socket = socket.clone();
            tokio::spawn(async move {
                let mut far = UnixStream::connect(socket).await?;
                tokio::io::copy_bidirectional(&mut near, &mut far).await
            });
        }
    });
    Some(format!("tcp://{address}"))
}

#[tokio::test]
async fn a_daemon_elsewhere_runs_the_same_job_to_the_same_log() {
    if !has_docker() {
        return;
    }
    let Some(remote) = remote_docker().await else {
        skip("the daemon is not on a local socket");
        return;
    };
    let image = Image::busybox();
    let steps = "
      - checkout
      - run: cat greeting.txt; printf 'no end'
      - run: echo; echo; printf '\\n\\nend'
      - checkout: {path: ~/else where}
      - run:
          name: Fail
          command: cat ~/'else where'/greeting.txt; seq 1 20000; echo bad >&2; exit 3
      - run: {command: printf last, when: always}
";
    let repo = in_image(&image.name, steps);
    let mut logs = Vec::new();
    for settings in [&[][..], &[("POPSICLE_DOCKER_HOST", remote.as_str())]] {
        let ci = Ci::start_with(settings).await.with_docker();
        let id = ci.push(&repo).await;
        assert_eq!(
            ci.settled(id).await,
            "pipeline failure\n  build  failure  (step \"Fail\" ended with exit code 3)"
        );
        let log = ci.log(id, "build").await;
        ci.until_clean().await;
        assert!(log.starts_with("HEAD is now at "), "{log}");
        assert!(
            log.contains("\nhello\nno end\n\n\n\nendHEAD is now at "),
            "{log}"
        );
        assert!(log.ends_with("20000\nbad\nlast"), "{log}");
        logs.push(log);
    }
    assert_eq!(logs[0], logs[1]);
}

#[tokio::test]
async fn a_canceled_container_is_removed() {
    if !has_docker() {
        return;
    }
    let image = Image::busybox();
    let ci = Ci::start().await.with_docker();
    let steps = "      - run: trap '' TERM; echo ready; while :; do sleep 1; done";
    let repo = in_image(&image.name, steps);
    let id = ci.push(&repo).await;
    ci.until_log(id, "build", "ready").await;
    assert_eq!(containers(&ci.namespace).len(), 1);
    ci.cli(&["cancel", "1"]).await.success();
    assert_snapshot!(ci.settled(id).await, @"
    pipeline canceled
      build  canceled  (canceled on request)
    ");
    ci.until_clean().await;
}

#[tokio::test]
async fn a_daemon_that_dies_ends_its_jobs_and_not_the_server() {
    if !has_docker() {
        return;
    }
    let Some(mut dockerd) = Dockerd::start().await else {
        skip("a second dockerd does not start here");
        return;
    };
    let image = dockerd.image();
    let mut ci = Ci::start_with(&[("POPSICLE_DOCKER_HOST", &dockerd.host())]).await;
    let steps = "      - run: echo ready; sleep 600";
    let repo = in_image(&image.name, steps);
    let id = ci.push(&repo).await;
    ci.until_log(id, "build", "ready").await;
    dockerd.kill();
    let settled = ci.settled(id).await;
    assert!(
        settled.starts_with("pipeline error\n  build  error  ("),
        "{settled}"
    );
    assert!(ci.log(id, "build").await.contains("ready\n"));
    ci.assert_alive();

    // Without a daemon a job is not run, and says so.
    let repo = in_image(&image.name, steps);
    let id = ci.push(&repo).await;
    let settled = ci.settled(id).await;
    assert!(!settled.contains("success"), "{settled}");
    until("the forge hears of both", async || {
        let told = ci.github.statuses();
        (told
            .iter()
            .filter(|status| status.state == "error" || status.state == "failure")
            .count()
            >= 2)
            .then_some(())
    })
    .await;
}

/// Waits until the pipeline's job is at that attempt, and that one says that it is ready.
async fn until_ready(ci: &Ci, id: u64, attempt: u64) {
    until(&format!("attempt {attempt} begins"), async || {
        let jobs = ci.pipeline(id).await["jobs"].clone();
        (jobs[0]["attempt"] == attempt).then_some(())
    })
    .await;
    ci.until_log(id, "build", "ready").await;
}

#[tokio::test]
async fn a_container_that_others_end_costs_its_job_an_attempt_and_no_more() {
    if !has_docker() {
        return;
    }
    let image = Image::busybox();
    let ci = Ci::start().await.with_docker();
    let repo = in_image(&image.name, "      - run: echo ready; sleep 600");
    let id = ci.push(&repo).await;
    for (attempt, how) in (1..).zip(["kill", "stop"]) {
        until_ready(&ci, id, attempt).await;
        end_container(how, &containers(&ci.namespace)[0]);
    }
    until_ready(&ci, id, 3).await;
    ci.cli(&["cancel", "1"]).await.success();
    assert_eq!(
        ci.settled(id).await,
        "pipeline canceled\n  build  canceled  (canceled on request)"
    );
    ci.until_clean().await;
}

#[tokio::test]
async fn a_daemon_that_restarts_ends_no_job() {
    if !has_docker() {
        return;
    }
    let Some(mut dockerd) = Dockerd::start().await else {
        skip("a second dockerd does not start here");
        return;
    };
    let image = dockerd.image();
    let ci = Ci::start_with(&[("POPSICLE_DOCKER_HOST", &dockerd.host())]).await;
    let repo = in_image(&image.name, "      - run: echo ready; sleep 600");
    let running = ci.push(&repo).await;
    until_ready(&ci, running, 1).await;
    dockerd.stop().await;
    // One that is launched meanwhile waits for the daemon.
    let repo = in_image(&image.name, "      - run: echo well");
    let queued = ci.push(&repo).await;
    ci.until_job(queued, "build", "running").await;
    dockerd.start_again().await;
    assert_eq!(
        ci.settled(queued).await,
        "pipeline success\n  build  success"
    );
    assert_eq!(ci.job(queued, "build").await["attempt"], 1);
    until_ready(&ci, running, 2).await;
    ci.cli(&["cancel", "1"]).await.success();
    ci.settled(running).await;
    ci.until_clean().await;
}

#[tokio::test]
async fn a_silent_step_of_a_container_is_ended_and_its_job_goes_on() {
    if !has_docker() {
        return;
    }
    let image = Image::busybox();
    let ci = Ci::start().await.with_docker();
    let repo = in_image(
        &image.name,
        "      - run: {name: Hang, command: echo waiting; sleep 600, no_output_timeout: 1s}
      - run: {command: echo tidied, when: always}",
    );
    let id = ci.push(&repo).await;
    assert_snapshot!(ci.settled(id).await, @r#"
    pipeline failure
      build  failure  (step "Hang" wrote nothing for its limit of 1 s)
    "#);
    let log = ci.log(id, "build").await;
    assert!(log.ends_with("tidied\n"), "{log}");
    ci.until_clean().await;
}
