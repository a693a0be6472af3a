//! Service containers of Docker jobs.

use insta::assert_snapshot;

use crate::world::{Ci, Image, Repo, containers, end_container, has_docker};

/// A job that asks a web server beside it, first by `localhost`, then by its name.
fn beside_a_server(image: &str, steps: &str) -> Repo {
    Repo::with_config(&format!(
        "
version: 2.1
jobs:
  build:
    docker:
      - image: '{image}'
      - image: '{image}'
        name: web
        environment: {{GREETING: good day}}
        entrypoint: [sh, -c]
        command: ['mkdir /www && echo \"$GREETING\" >/www/index.html && echo up && exec httpd -f -vv -p 8080 -h /www']
    steps:
      - run: until wget -q -O - http://localhost:8080/; do sleep 0.1; done
      - run: wget -q -O - http://web:8080/index.html
{steps}
workflows: {{main: {{jobs: [build]}}}}
"
    ))
}

#[tokio::test]
async fn a_service_answers_at_localhost_and_by_name_and_its_output_is_kept() {
    if !has_docker() {
        return;
    }
    let image = Image::busybox();
    let ci = Ci::start().await.with_docker();
    let repo = beside_a_server(&image.name, "");
    let id = ci.push(&repo).await;
    assert_eq!(ci.settled(id).await, "pipeline success\n  build  success");
    let log = ci.log(id, "build").await;
    let started = format!("Started service container {} (web)\n", image.name);
    assert!(log.contains(&started), "{log}");
    assert!(log.contains("\ngood day\ngood day\n"), "{log}");
    let ended = format!(
        "\nService container {} (web) ran until the job's end. The end of its output:\nup\n",
        image.name
    );
    assert!(log.contains(&ended), "{log}");
    ci.until_clean().await;
}

#[tokio::test]
async fn a_service_that_dies_is_told_of_and_one_that_can_not_start_fails_the_job() {
    if !has_docker() {
        return;
    }
    let image = Image::busybox();
    let ci = Ci::start().await.with_docker();
    let with = |service: &str| {
        Repo::with_config(&format!(
            "
version: 2.1
jobs:
  build:
    docker:
      - image: '{}'
      - {service}
    steps: [run: sleep 1]
workflows: {{main: {{jobs: [build]}}}}
",
            image.name
        ))
    };
    let repo = with(&format!(
        "{{image: '{}', entrypoint: [sh, -c], command: ['echo no room >&2; exit 3']}}",
        image.name
    ));
    let id = ci.push(&repo).await;
    assert_eq!(ci.settled(id).await, "pipeline success\n  build  success");
    let log = ci.log(id, "build").await;
    assert!(
        log.ends_with("exited with code 3 before the job's end. The end of its output:\nno room\n"),
        "{log}"
    );
    let repo = with(&format!(
        "{{image: '{}', name: db, entrypoint: /no/such}}",
        image.name
    ));
    let id = ci.push(&repo).await;
    let settled = ci.settled(id).await;
    let why = format!("service container {} (db) can't be started: ", image.name);
    assert!(
        settled.starts_with("pipeline failure") && settled.contains(&why),
        "{settled}"
    );
    ci.until_clean().await;
}

#[tokio::test]
async fn a_server_that_dies_leaves_a_job_its_services_and_the_next_clears_them_away() {
    if !has_docker() {
        return;
    }
    let image = Image::busybox();
    let mut ci = Ci::start().await.with_docker();
    let steps = "
      - run: echo ready; sleep 3; wget -q -O - http://web:8080/ && echo still there";
    let repo = beside_a_server(&image.name, steps);
    let id = ci.push(&repo).await;
    ci.until_log(id, "build", "ready").await;
    assert_eq!(containers(&ci.namespace).len(), 3);
    ci.kill();
    ci.restart().await;
    assert_snapshot!(ci.settled(id).await, @"
    pipeline success
      build  success
    ");
    assert_eq!(ci.job(id, "build").await["attempt"], 1);
    let log = ci.log(id, "build").await;
    assert!(log.contains("ready\ngood day\nstill there\n"), "{log}");
    assert_eq!(log.matches("ran until the job's end").count(), 1, "{log}");
    ci.until_clean().await;

    // What ends a service from outside ends no job; a canceled one leaves nothing either.
    let repo = beside_a_server(&image.name, "      - run: echo ready; sleep 600");
    let id = ci.push(&repo).await;
    ci.until_log(id, "build", "ready").await;
    for container in containers(&ci.namespace) {
        // All but the job's own, which is the newest.
        if container != containers(&ci.namespace)[0] {
            end_container("kill", &container);
        }
    }
    ci.cli(&["cancel", "2"]).await.success();
    assert_eq!(
        ci.settled(id).await,
        "pipeline canceled\n  build  canceled  (canceled on request)"
    );
    ci.until_clean().await;
}

#[tokio::test]
async fn a_class_limits_its_job_as_far_as_the_machine_goes() {
    if !has_docker() {
        return;
    }
    let image = Image::busybox();
    let ci = Ci::start().await.with_docker();
    let of_class = |class: &str| {
        Repo::with_config(&format!(
            "
version: 2.1
jobs:
  build:
    docker: [image: '{}']
    resource_class: {class}
    steps:
      - run: cd /sys/fs/cgroup; cat memory.max 2>/dev/null || cat memory/memory.limit_in_bytes
workflows: {{main: {{jobs: [build]}}}}
",
            image.name
        ))
    };
    let repo = of_class("small");
    let id = ci.push(&repo).await;
    assert_eq!(ci.settled(id).await, "pipeline success\n  build  success");
    assert_eq!(ci.log(id, "build").await, "2147483648\n");

    let repo = of_class("2xlarge+");
    let id = ci.push(&repo).await;
    assert_eq!(ci.settled(id).await, "pipeline success\n  build  success");
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    if cpus < 20 {
        let log = ci.log(id, "build").await;
        assert!(
            log.starts_with("The job gets what this machine has: "),
            "{log}"
        );
    }
    ci.until_clean().await;
}
