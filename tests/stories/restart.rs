//! The server may die at any moment: no answered webhook, no job and no line of a log is lost with it.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use insta::assert_snapshot;
use serde_json::Value;
use tokio::task::JoinSet;

use crate::world::{
    Answered, Ci, Image, Repo, Webhook, has_docker, has_machine_jobs, processes_with, until,
};

/// How many lines a counting job prints.
const LINES: u32 = 60;

/// A job that prints numbered lines, slowly, in a place of that kind.
fn counting(place: &str) -> Repo {
    Repo::with_config(&format!(
        "
version: 2.1
jobs:
  build:
    {place}
    steps:
      - checkout
      - run: |
          i=0
          while [ $i -lt {LINES} ]; do i=$((i+1)); echo \"line $i\"; sleep 0.05; done
      - run: echo the end
workflows: {{main: {{jobs: [build]}}}}
"
    ))
}

/// That a counting job went on as if nothing had happened.
async fn assert_counted(ci: &Ci, id: u64) {
    assert_eq!(ci.settled(id).await, "pipeline success\n  build  success");
    assert_eq!(ci.job(id, "build").await["attempt"], 1);
    let log = ci.log(id, "build").await;
    let counted: Vec<&str> = log.lines().skip_while(|line| *line != "line 1").collect();
    let mut expected: Vec<String> = (1..=LINES).map(|number| format!("line {number}")).collect();
    expected.push("the end".to_owned());
    assert_eq!(counted, expected, "{log}");
    ci.until_clean().await;
}

#[tokio::test]
async fn an_answered_webhook_is_never_lost() {
    if !has_machine_jobs().await {
        return;
    }
    let mut ci = Ci::start().await;
    let repo = Repo::with_config(
        "
version: 2.1
jobs:
  build:
    machine: true
    steps: [run: 'true']
workflows: {main: {jobs: [build]}}
",
    );
    let payload = repo.push();
    let mut answered: Vec<(Webhook, u64)> = Vec::new();
    for _ in 0..5 {
        let sent = [(); 4].map(|()| Webhook::new("push", &payload));
        let (a, b, c, d) = tokio::join!(
            ci.deliver(&sent[0]),
            ci.deliver(&sent[1]),
            ci.deliver(&sent[2]),
            ci.deliver(&sent[3])
        );
        ci.kill();
        let ids = [a, b, c, d].map(|answer: Answered| answer.pipeline());
        answered.extend(sent.into_iter().zip(ids));
        ci.restart().await;
    }
    let mut ids: Vec<u64> = answered.iter().map(|(_, id)| *id).collect();
    for id in &ids {
        assert_eq!(ci.settled(*id).await, "pipeline success\n  build  success");
    }
    ids.sort_unstable();
    assert_eq!(
        ids,
        (1..=20).collect::<Vec<u64>>(),
        "one each, and no others"
    );

    // GitHub may not have heard an answer, and send a delivery again.
    for (webhook, id) in &answered {
        assert_eq!(ci.deliver(webhook).await.pipeline(), *id);
    }
    ci.until_clean().await;
}

/// The server is killed at the first answer, with the other deliveries somewhere on their way.
#[tokio::test]
async fn an_answer_is_given_for_what_is_stored_alone() {
    if !has_machine_jobs().await {
        return;
    }
    let mut ci = Ci::start().await;
    let repo = Repo::with_config(
        "
version: 2.1
jobs:
  build:
    machine: true
    steps: [run: 'true']
workflows: {main: {jobs: [build]}}
",
    );
    let payload = repo.push();
    let mut sent = Vec::new();
    let mut answered = Vec::new();
    for _ in 0..5 {
        let mut deliveries = JoinSet::new();
        for _ in 0..16 {
            let webhook = Webhook::new("push", &payload);
            let request = ci.delivery(&webhook);
            sent.push(webhook.clone());
            deliveries.spawn(async move {
                // The server may be gone before it answers, or in the middle of its answer.
                let answer = request.send().await.ok()?;
                let told: Value = answer.json().await.ok()?;
                Some((webhook, told["pipeline_id"].as_u64()?))
            });
        }
        let mut first = None;
        while first.is_none() {
            let ended = deliveries.join_next().await.expect("one is answered");
            first = ended.expect("a delivery ends");
        }
        ci.kill();
        answered.extend(first);
        answered.extend(deliveries.join_all().await.into_iter().flatten());
        ci.restart().await;
    }
    for (webhook, id) in &answered {
        assert_eq!(ci.settled(*id).await, "pipeline success\n  build  success");
        assert_eq!(ci.deliver(webhook).await.pipeline(), *id);
    }
    // Those that were not answered are sent again, and each is there once in the end.
    let mut ids = Vec::new();
    for webhook in &sent {
        ids.push(ci.deliver(webhook).await.pipeline());
    }
    ids.sort_unstable();
    assert_eq!(ids, (1..=80).collect::<Vec<u64>>());
    for id in ids {
        assert_eq!(ci.settled(id).await, "pipeline success\n  build  success");
    }
    ci.until_clean().await;
}

#[tokio::test]
async fn a_job_goes_on_when_the_server_is_killed() {
    if !has_machine_jobs().await {
        return;
    }
    let mut ci = Ci::start().await;
    let repo = counting("machine: true");
    let id = ci.push(&repo).await;
    for line in ["line 3\n", "line 20\n", "line 30\n"] {
        ci.until_log(id, "build", line).await;
        ci.kill();
        ci.restart().await;
    }
    assert_counted(&ci, id).await;
}

#[tokio::test]
async fn a_job_goes_on_when_the_server_is_told_to_end() {
    if !has_machine_jobs().await {
        return;
    }
    let mut ci = Ci::start().await;
    let repo = counting("machine: true");
    let id = ci.push(&repo).await;
    ci.until_log(id, "build", "line 5\n").await;
    ci.terminate().await;
    ci.restart().await;
    assert_counted(&ci, id).await;
}

#[tokio::test]
async fn a_job_that_ends_while_there_is_no_server_has_ended() {
    if !has_machine_jobs().await {
        return;
    }
    let mut ci = Ci::start().await;
    let repo = counting("machine: true");
    let id = ci.push(&repo).await;
    ci.until_log(id, "build", "line 5\n").await;
    ci.kill();
    let home = ci.data().display().to_string();
    until("the job ends by itself", async || {
        processes_with(&home).is_empty().then_some(())
    })
    .await;
    ci.restart().await;
    assert_counted(&ci, id).await;
}

#[tokio::test]
async fn a_job_that_failed_while_there_was_no_server_has_failed() {
    if !has_machine_jobs().await {
        return;
    }
    let mut ci = Ci::start().await;
    let repo = Repo::with_config(
        "
version: 2.1
jobs:
  build:
    machine: true
    steps: [run: 'echo begun; sleep 1; echo broken; exit 9']
workflows: {main: {jobs: [build]}}
",
    );
    let id = ci.push(&repo).await;
    ci.until_log(id, "build", "begun").await;
    ci.kill();
    let home = ci.data().display().to_string();
    until("the job ends by itself", async || {
        processes_with(&home).is_empty().then_some(())
    })
    .await;
    ci.restart().await;
    assert_snapshot!(ci.settled(id).await, @r#"
    pipeline failure
      build  failure  (step "echo begun; sleep 1; echo broken; exit 9" ended with exit code 9)
    "#);
    assert_eq!(ci.log(id, "build").await, "begun\nbroken\n");
}

/// The server is killed where it is told apart by what it left, at each stage of a job's start.
#[tokio::test]
async fn a_job_runs_whenever_the_server_is_killed_on_the_way_to_it() {
    if !has_machine_jobs().await {
        return;
    }
    let mut ci = Ci::start().await;
    // So much code that its checkout takes a while.
    let repo = Repo::empty("octo/repo");
    for number in 0..4000 {
        repo.write(
            &format!("many/{}/{number}", number % 50),
            format!("{number}\n").as_bytes(),
        );
    }
    repo.commit(
        "Much",
        &[(
            ".popsicle/ci.yml",
            "
version: 2.1
jobs:
  build:
    machine: true
    steps:
      - checkout
      - run: cat many/*/* | sort -n | tail -n 1
workflows: {main: {jobs: [build]}}
",
        )],
    );
    let data = ci.data().display().to_string();
    for stage in ["stored", "prepared", "folder", "container", "checkout"] {
        let id = ci.push(&repo).await;
        until(stage, async || {
            let reached = match stage {
                "stored" => true,
                "prepared" => ci.pipeline(id).await["jobs"]
                    .as_array()
                    .is_some_and(|jobs| !jobs.is_empty()),
                "folder" => !ci.job_folders().is_empty(),
                "container" => processes_with(&data)
                    .iter()
                    .any(|line| line.contains(" shim ")),
                _ => {
                    let jobs = ci.pipeline(id).await["jobs"].clone();
                    match jobs[0]["id"].as_i64() {
                        Some(job) => {
                            let steps = ci
                                .get(&format!("/pipelines/{id}/jobs/{job}/steps"))
                                .await
                                .json();
                            steps.as_array().is_some_and(|steps| !steps.is_empty())
                        }
                        None => false,
                    }
                }
            };
            reached.then_some(())
        })
        .await;
        ci.kill();
        ci.restart().await;
        assert_eq!(
            ci.settled(id).await,
            "pipeline success\n  build  success",
            "killed at: {stage}"
        );
        assert!(
            ci.log(id, "build").await.ends_with("\n3999\n"),
            "killed at: {stage}"
        );
    }
    ci.until_clean().await;
}

#[tokio::test]
async fn who_watches_and_reads_goes_on_over_a_restart() {
    if !has_machine_jobs().await {
        return;
    }
    let mut ci = Ci::start().await;
    let repo = counting("machine: true");
    let id = ci.push(&repo).await;
    ci.until_log(id, "build", "line 3\n").await;
    let log = ci.start_cli(&["logs", "1", "-f"]);
    let tail = ci.start_cli(&["logs", "1", "-f", "--tail", "1"]);
    let watch = ci.start_cli(&["watch", "1"]);
    log.until_it_tells("line 3\n").await;
    tail.until_it_tells("line ").await;
    watch.until_it_tells("build").await;
    ci.terminate().await;
    ci.restart().await;
    // And once more, without a word.
    log.until_it_tells("line 20\n").await;
    ci.kill();
    ci.restart().await;

    let whole = ci.start_cli(&["logs", "1", "-f"]).told().await.success();
    assert!(whole.ends_with("line 60\nthe end\n"), "{whole}");
    assert_eq!(log.told().await.success(), whole);
    let tail = tail.told().await.success();
    let (_, tail) = tail.split_once('\n').expect("there is a headline");
    assert!(
        whole.ends_with(tail) && tail.contains("line 20\n"),
        "{tail}"
    );
    let watched = watch.told().await;
    assert_eq!(watched.code, Some(0), "{watched:?}");
    assert!(watched.stdout.contains("build  success"), "{watched:?}");
    assert_counted(&ci, id).await;
}

#[tokio::test]
async fn a_second_signal_ends_the_server_at_once() {
    let ci = Ci::prepare(&[]).await;
    let server = ci.start_cli(&["serve", "--listen", "127.0.0.1:0"]);
    let said = server.until_it_says("popsicle::command::serve").await;
    let (_, address) = said
        .split_once("url=http://localhost:")
        .expect("it says where");
    let port: String = address.chars().take_while(char::is_ascii_digit).collect();
    let address = format!("127.0.0.1:{port}");

    // A request that is waited for, as it was begun before the stop.
    let mut slow = TcpStream::connect(&address).expect("the server listens");
    slow.set_read_timeout(Some(Duration::from_secs(60)))
        .expect("a read can have a bound");
    slow.write_all(b"POST /pipelines HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n")
        .expect("the server reads");
    let mut go_on = [0; 12];
    slow.read_exact(&mut go_on)
        .expect("the server wants the body");
    assert_eq!(&go_on, b"HTTP/1.1 100");
    server.terminate();
    until("the server listens no more", async || {
        TcpStream::connect(&address).is_err().then_some(())
    })
    .await;
    server.terminate();
    let told = server.told().await;
    assert_eq!(told.code, Some(3), "{told:?}");
    assert!(told.stderr.contains("second signal"), "{told:?}");
}

#[tokio::test]
async fn a_server_whose_docker_is_silent_can_be_stopped() {
    let ci = Ci::prepare(&[]).await;
    // Docker that takes requests and answers none.
    let docker = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let host = format!("tcp://{}", docker.local_addr().expect("it has an address"));
    let server = ci.start_cli(&["serve", "--listen", "127.0.0.1:0", "--docker-host", &host]);
    docker
        .set_nonblocking(true)
        .expect("a listener can be asked without waiting");
    // It serves without waiting for the answer, and stops without it.
    let _asked = until("the server asks Docker", async || docker.accept().ok()).await;
    server.terminate();
    let told = server.told().await;
    assert_eq!(told.code, Some(0), "{told:?}");
}

#[tokio::test]
async fn a_job_in_docker_goes_on_when_the_server_is_killed() {
    if !has_docker() {
        return;
    }
    let image = Image::busybox();
    let mut ci = Ci::start().await.with_docker();
    let repo = counting(&format!("docker: [{{image: '{}'}}]", image.name));
    let id = ci.push(&repo).await;
    ci.until_log(id, "build", "line 5\n").await;
    ci.kill();
    ci.restart().await;
    assert_counted(&ci, id).await;
}
