//! The forge hears how its commits fare, also if it is not always there.

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::world::{Answer, Ci, Repo, Webhook, has_machine_jobs, until};

const QUICK: &str = "
version: 2.1
jobs:
  build:
    machine: true
    steps: [run: 'true']
workflows: {main: {jobs: [build]}}
";

/// Waits until the forge knows how the commit's pipeline ended.
async fn until_told(ci: &Ci, sha: &str, state: &str) {
    until("the forge is told", async || {
        ci.github
            .told(sha)
            .lines()
            .last()
            .is_some_and(|line| line.starts_with(state))
            .then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_forge_that_is_down_for_a_while_hears_all_that_matters() {
    if !has_machine_jobs().await {
        return;
    }
    let mut ci = Ci::start().await;
    ci.github.answer_next([
        Answer::BadGateway,
        Answer::BadGateway,
        Answer::TooMany { retry_after: 1 },
        Answer::RateLimited,
    ]);
    let repo = Repo::with_config(QUICK);
    let id = ci.push(&repo).await;
    assert_eq!(ci.settled(id).await, "pipeline success\n  build  success");
    // A server that ends meanwhile takes nothing with it.
    until("the forge was asked", async || {
        (ci.github.requests() > 0).then_some(())
    })
    .await;
    ci.kill();
    ci.restart().await;
    until_told(&ci, &repo.head(), "success").await;
    assert_eq!(ci.github.answers_left(), 0);
    let told = ci.github.told(&repo.head());
    let states: Vec<&str> = told
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    let (last, before) = states.split_last().expect("it was told");
    assert_eq!(*last, "success");
    assert!(before.iter().all(|state| *state == "pending"), "{told}");
}

#[tokio::test]
async fn a_forge_that_says_nothing_holds_nobody_up() {
    if !has_machine_jobs().await {
        return;
    }
    let ci = Ci::start().await;
    ci.github.answer_next([Answer::Silence]);
    let (silent, heard) = (Repo::with_config(QUICK), Repo::with_config(QUICK));
    heard.commit("Another", &[]);
    let first = ci.push(&silent).await;
    until("the forge was asked", async || {
        (ci.github.requests() > 0).then_some(())
    })
    .await;
    let second = ci.push(&heard).await;
    assert_eq!(
        ci.settled(first).await,
        "pipeline success\n  build  success"
    );
    assert_eq!(
        ci.settled(second).await,
        "pipeline success\n  build  success"
    );
    until_told(&ci, &heard.head(), "success").await;
}

#[tokio::test]
async fn without_a_token_there_is_one_warning_and_the_pipeline_runs() {
    if !has_machine_jobs().await {
        return;
    }
    let ci = Ci::start_without("POPSICLE_GITHUB_TOKEN").await;
    let repo = Repo::with_config(QUICK);
    for _ in 0..2 {
        let id = ci.push(&repo).await;
        assert_eq!(ci.settled(id).await, "pipeline success\n  build  success");
    }
    let warnings = || ci.server_log().matches("POPSICLE_GITHUB_TOKEN").count();
    until("there is a warning", async || {
        (warnings() > 0).then_some(())
    })
    .await;
    assert_eq!(warnings(), 1, "{}", ci.server_log());
    assert_eq!(ci.github.requests(), 0);
}

#[tokio::test]
async fn statuses_have_the_name_that_is_set() {
    if !has_machine_jobs().await {
        return;
    }
    let settings = [
        ("POPSICLE_STATUS_CONTEXT", "ci/lab"),
        ("POPSICLE_PUBLIC_URL", "https://ci.example.com/lab/"),
    ];
    let ci = Ci::start_with(&settings).await;
    let repo = Repo::with_config(QUICK);
    ci.push(&repo).await;
    until_told(&ci, &repo.head(), "success").await;
    let last = ci.github.statuses().pop().expect("it was told");
    assert_eq!(last.context, "ci/lab");
    assert_eq!(last.target_url, "https://ci.example.com/lab/ui/pipelines/1");
}

#[tokio::test]
async fn a_token_that_has_expired_is_one_warning_a_project() {
    let ci = Ci::start().await;
    let (denied, heard) = (Repo::empty("octo/denied"), Repo::empty("octo/heard"));
    ci.github
        .answer_next([Answer::BadCredentials, Answer::BadCredentials]);
    for commit in ["First", "Second"] {
        denied.commit(commit, &[]);
        ci.push(&denied).await;
    }
    until("the forge was asked of both commits", async || {
        (ci.github.requests() == 2).then_some(())
    })
    .await;
    heard.commit("First", &[]);
    ci.push(&heard).await;
    until_told(&ci, &heard.head(), "failure").await;
    let log = ci.server_log();
    assert_eq!(log.matches("Bad credentials").count(), 1, "{log}");
    assert_eq!(ci.github.requests(), 4, "what was denied waits");
}

/// What GitHub sends of a pull request whose commit is `head` and lies in another repository.
pub(super) fn pull_request_from_a_fork(repo: &Repo, number: u64, head: &str) -> Value {
    json!({
        "action": "opened",
        "number": number,
        "pull_request": {
            "title": "Help",
            "html_url": format!("https://github.com/{}/pull/{number}", repo.name),
            "user": {"login": "stranger"},
            "head": {"ref": "main", "sha": head, "repo": {"full_name": "stranger/repo-1"}},
            "base": {"ref": "main"},
        },
        "repository": {"full_name": repo.name, "clone_url": repo.url()},
    })
}

#[tokio::test]
async fn a_pull_request_from_a_fork_is_never_the_projects_own_branch() {
    if !has_machine_jobs().await {
        return;
    }
    let ci = Ci::start().await;
    let repo = Repo::with_config(
        "
version: 2.1
jobs:
  build:
    machine: true
    steps:
      - checkout
      - run: |
          git log -1 --format=%s
          git status --short --branch
          env | grep -E '^CIRCLE_(BRANCH|PR_|PULL_)' | sort
workflows: {main: {jobs: [build]}}
",
    );
    let base = repo.head();
    let head = repo.commit("A stranger's change", &[]);
    repo.git(&["update-ref", "refs/pull/7/head", &head]);
    repo.git(&["reset", "--quiet", "--hard", &base]);
    let payload = pull_request_from_a_fork(&repo, 7, &head);
    let webhook = Webhook::new("pull_request", &payload);
    let id = ci.deliver(&webhook).await.pipeline();
    assert_eq!(ci.settled(id).await, "pipeline success\n  build  success");
    let log = ci.log(id, "build").await.replace(&head[..7], "COMMIT");
    assert_snapshot!(log, @"
    HEAD is now at COMMIT A stranger's change
    A stranger's change
    ## pull/7
    CIRCLE_BRANCH=pull/7
    CIRCLE_PR_NUMBER=7
    CIRCLE_PR_REPONAME=repo-1
    CIRCLE_PR_USERNAME=stranger
    CIRCLE_PULL_REQUEST=https://github.com/octo/repo/pull/7
    CIRCLE_PULL_REQUESTS=https://github.com/octo/repo/pull/7
    ");
    until_told(&ci, &head, "success").await;
    assert_eq!(ci.get("/pipelines?branch=main").await.json(), json!([]));
    let listed = ci.get("/pipelines?branch=pull/7").await.json();
    assert_eq!(listed[0]["pull_request"], 7);
}

#[tokio::test]
async fn a_tag_is_told_of_on_the_commit_behind_it() {
    let ci = Ci::start().await;
    let repo = Repo::with(&[("README.md", "no config")]);
    let object = repo.tag("v1.0");
    let mut payload = repo.push_of("refs/tags/v1.0", &object);
    payload["head_commit"] = Value::Null;
    let id = ci.deliver(&Webhook::new("push", &payload)).await.pipeline();
    ci.settled(id).await;
    until_told(&ci, &repo.head(), "failure").await;
    assert_eq!(ci.pipeline(id).await["commit_sha"], repo.head());
}
