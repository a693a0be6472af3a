//! What deliveries ask for, and which of their fields can't be.

use forge::Received;
use model::{Delivery as DeliveryId, ForgeKind, GitRef, Origin, PullRequest, Trigger, TriggerKind};
use serde_json::{Value, json};

use crate::delivery::{Delivery, ID, payload, pull_request, push, tag};

const COMMIT: &str = "6113728f27ae82c7b1a177c8d03f9e96e0adf246";
const ZEROS: &str = "0000000000000000000000000000000000000000";

fn delivery_id() -> Option<DeliveryId> {
    Some(DeliveryId {
        forge: ForgeKind::Github,
        id: ID.to_owned(),
    })
}

#[test]
fn a_push_to_a_branch() {
    let expected = Trigger {
        kind: TriggerKind::Push,
        repo: "Codertocat/Hello-World".parse().unwrap(),
        origin: Origin::Git {
            url: "https://github.com/Codertocat/Hello-World.git".to_owned(),
        },
        commit: Some(COMMIT.parse().unwrap()),
        git_ref: Some(GitRef::Branch("master".to_owned())),
        base: None,
        author: Some("Codertocat".to_owned()),
        message: Some("Initial commit".to_owned()),
        pull_request: None,
        rerun: None,
        forge: Some(ForgeKind::Github),
        parameters: std::collections::BTreeMap::new(),
        delivery: delivery_id(),
    };
    assert_eq!(push().trigger(), expected);
}

#[test]
fn a_push_knows_what_was_there_before() {
    let before = "a".repeat(40);
    let trigger = push().with("/before", json!(before)).trigger();
    assert_eq!(trigger.base, Some(before.parse().unwrap()));
}

#[test]
fn a_push_by_somebody_whom_github_does_not_know() {
    let push = push().missing("head_commit.author.username");
    let trigger = push.with("/pusher/name", json!("deployer")).trigger();
    assert_eq!(trigger.author.as_deref(), Some("deployer"));
}

#[test]
fn a_push_with_nothing_but_what_is_needed() {
    let body = json!({
        "ref": "refs/heads/main",
        "after": COMMIT,
        "repository": {"full_name": "octo/repo", "clone_url": "file:///srv/git/repo.git"},
    });
    let push = Delivery::of("push", body.to_string().as_bytes()).without("x-github-delivery");
    let trigger = push.trigger();
    assert_eq!(trigger.commit, Some(COMMIT.parse().unwrap()));
    assert_eq!(trigger.message, None);
    assert_eq!(trigger.author, None);
    assert_eq!(trigger.delivery, None);
}

#[test]
fn a_push_of_a_tag() {
    let trigger = tag().trigger();
    assert_eq!(trigger.kind, TriggerKind::Tag);
    assert_eq!(trigger.git_ref, Some(GitRef::Tag("simple-tag".to_owned())));
    assert_eq!(trigger.commit, Some(COMMIT.parse().unwrap()));
}

#[test]
fn an_annotated_tag_is_an_object_of_its_own() {
    let trigger = tag().with("/after", json!("b".repeat(40))).trigger();
    assert_eq!(trigger.commit, Some(COMMIT.parse().unwrap()));
}

#[test]
fn what_was_deleted_starts_nothing() {
    let deleted = Delivery::of("push", payload!("push_deleted"));
    assert_eq!(deleted.ignored(), "`refs/tags/simple-tag` was deleted");
    let zeros = push().with("/after", json!(ZEROS));
    assert_eq!(zeros.ignored(), "`refs/heads/master` was deleted");
}

#[test]
fn other_refs_start_nothing() {
    let notes = push().with("/ref", json!("refs/notes/commits"));
    assert_eq!(
        notes.ignored(),
        "only pushes to `refs/heads/` and `refs/tags/` start pipelines"
    );
}

#[test]
fn ci_can_be_skipped() {
    for message in [
        "Fix a typo [skip ci]",
        "[ci skip] Fix\n\nmore",
        "x\n\n[Skip CI]",
    ] {
        let reason = "the head commit's message asks to skip CI";
        let skipped = push().with("/head_commit/message", json!(message));
        assert_eq!(skipped.ignored(), reason);
        let skipped = tag().with("/head_commit/message", json!(message));
        assert_eq!(skipped.ignored(), reason);
        let skipped = pull_request().with("/pull_request/title", json!(message));
        assert_eq!(
            skipped.ignored(),
            "the pull request's title asks to skip CI"
        );
    }
    for message in ["skip ci", "[skip]", "[skip cider]"] {
        push()
            .with("/head_commit/message", json!(message))
            .trigger();
    }
}

#[test]
fn a_branch_may_be_named_like_an_option() {
    let trigger = push()
        .with("/ref", json!("refs/heads/--upload-pack=x"))
        .trigger();
    let git_ref = trigger.git_ref.expect("a branch");
    assert_eq!(git_ref, GitRef::Branch("--upload-pack=x".to_owned()));
}

#[test]
fn a_pull_request() {
    let expected = Trigger {
        kind: TriggerKind::PullRequest,
        repo: "Codertocat/Hello-World".parse().unwrap(),
        origin: Origin::Git {
            url: "https://github.com/Codertocat/Hello-World.git".to_owned(),
        },
        commit: Some("ec26c3e57ca3a959ca5aad62de7213c562f8c821".parse().unwrap()),
        git_ref: Some(GitRef::Branch("changes".to_owned())),
        base: None,
        author: Some("Codertocat".to_owned()),
        message: Some("Update the README with new information.".to_owned()),
        pull_request: Some(PullRequest {
            number: 2,
            base_branch: "master".to_owned(),
            from_fork: false,
            fork: None,
            fetch_ref: "refs/pull/2/head".to_owned(),
            url: Some("https://github.com/Codertocat/Hello-World/pull/2".to_owned()),
        }),
        rerun: None,
        forge: Some(ForgeKind::Github),
        parameters: std::collections::BTreeMap::new(),
        delivery: delivery_id(),
    };
    assert_eq!(pull_request().trigger(), expected);
    let body = payload!("pull_request_synchronize");
    assert_eq!(Delivery::of("pull_request", body).trigger(), expected);
    let reopened = pull_request().with("/action", json!("reopened"));
    assert_eq!(reopened.trigger(), expected);
}

#[test]
fn a_pull_request_from_a_fork_has_no_branch_of_the_projects() {
    let fork = json!("somebody/Hello-World");
    let fork = pull_request().with("/pull_request/head/repo/full_name", fork);
    let deleted = pull_request().with("/pull_request/head/repo", Value::Null);
    for (delivery, name) in [(fork, Some("somebody/Hello-World")), (deleted, None)] {
        let trigger = delivery
            .with("/pull_request/head/ref", json!("master"))
            .trigger();
        assert_eq!(trigger.repo.as_str(), "Codertocat/Hello-World");
        assert_eq!(trigger.git_ref, Some(GitRef::Branch("pull/2".to_owned())));
        let pull_request = trigger.pull_request.expect("a pull request");
        assert!(pull_request.from_fork);
        assert_eq!(pull_request.fork, name.map(|name| name.parse().unwrap()));
        assert_eq!(pull_request.fetch_ref, "refs/pull/2/head");
    }
}

#[test]
fn a_pull_request_with_an_odd_page_has_none() {
    for odd in [json!("no page"), Value::Null] {
        let delivery = pull_request().with("/pull_request/html_url", odd);
        let pull_request = delivery.trigger().pull_request.expect("a pull request");
        assert_eq!(pull_request.url, None);
    }
}

#[test]
fn what_else_happens_to_a_pull_request_starts_nothing() {
    let closed = Delivery::of("pull_request", payload!("pull_request_closed"));
    assert_eq!(
        closed.ignored(),
        "the event `pull_request` with the action `closed` starts no pipeline"
    );
}

#[test]
fn a_ping_is_answered() {
    let ping = Delivery::of("ping", payload!("ping"));
    assert_eq!(ping.received(), Ok(Received::Pong));
}

#[test]
fn checks_can_be_asked_for_again() {
    let run = Delivery::of("check_run", payload!("check_run_rerequested"));
    assert_eq!(
        run.received(),
        Ok(Received::Rerequested {
            repo: "github/hello-world".parse().unwrap(),
            commit: "d6fde92930d4715a2b49857d24b940956b26d2d3".parse().unwrap(),
            delivery: delivery_id(),
        })
    );
    let suite = Delivery::of("check_suite", payload!("check_suite_rerequested"));
    assert_eq!(
        suite.received(),
        Ok(Received::Rerequested {
            repo: "Codertocat/Hello-World".parse().unwrap(),
            commit: "ec26c3e57ca3a959ca5aad62de7213c562f8c821".parse().unwrap(),
            delivery: delivery_id(),
        })
    );
    let created = Delivery::of("check_run", payload!("check_run_created"));
    assert_eq!(
        created.ignored(),
        "the event `check_run` with the action `created` starts no pipeline"
    );
}

#[test]
fn other_events_start_nothing() {
    let issues = Delivery::of("issues", payload!("issues_pinned"));
    assert_eq!(issues.ignored(), "the event `issues` starts no pipeline");
}

#[test]
fn a_missing_field_is_named() {
    #[track_caller]
    fn check(delivery: Delivery, path: &str) {
        let text = format!("the field `{path}` is missing");
        assert_eq!(
            delivery.missing(path).refused(),
            (400, "missing_field", text)
        );
    }
    check(push(), "after");
    check(push(), "ref");
    check(push(), "repository");
    check(push(), "repository.full_name");
    check(push(), "repository.clone_url");
    check(pull_request(), "action");
    check(pull_request(), "number");
    check(pull_request(), "pull_request");
    check(pull_request(), "pull_request.head.sha");
    check(pull_request(), "pull_request.head.ref");
    check(pull_request(), "pull_request.base.ref");
    check(pull_request(), "repository.clone_url");
    let run = || Delivery::of("check_run", payload!("check_run_rerequested"));
    check(run(), "check_run.head_sha");
    check(run(), "repository.full_name");
    let suite = || Delivery::of("check_suite", payload!("check_suite_rerequested"));
    check(suite(), "check_suite.head_sha");
}

#[test]
fn a_field_that_can_not_be_is_named() {
    #[track_caller]
    fn check(delivery: Delivery, pointer: &str, value: Value) {
        let (status, code, text) = delivery.with(pointer, value).refused();
        assert_eq!((status, code), (400, "invalid_field"), "{text}");
        let path = pointer[1..].replace('/', ".");
        let start = format!("the field `{path}` is not valid: ");
        assert!(text.starts_with(&start), "{text}");
        assert!(!text.contains('\n'), "{text}");
        assert!(text.len() < 500, "{text}");
    }
    check(push(), "/after", json!("HEAD"));
    check(push(), "/after", json!(5));
    check(push(), "/after", Value::Null);
    check(push(), "/before", json!("HEAD"));
    for full_ref in [
        "master",
        "refs/heads/",
        "refs/heads/a..b",
        "refs/heads/a\nb",
        "--x",
    ] {
        check(push(), "/ref", json!(full_ref));
    }
    for name in [
        "octo/..",
        "../repo",
        "octo/re po",
        "octo/re\"po",
        "octo/re'po",
        "octo/re\npo",
        "octo/-repo",
        "octo",
        "octo/repo/more",
        &"x/y".repeat(10_000),
    ] {
        check(push(), "/repository/full_name", json!(name));
        check(pull_request(), "/repository/full_name", json!(name));
    }
    let run = || Delivery::of("check_run", payload!("check_run_rerequested"));
    check(run(), "/repository/full_name", json!("octo"));
    check(push(), "/repository/clone_url", json!("ext::sh -c id"));
    check(push(), "/repository/clone_url", json!("--upload-pack=id"));
    check(pull_request(), "/number", json!(-1));
    check(pull_request(), "/pull_request/head/ref", json!("a b"));
    check(pull_request(), "/pull_request/base/ref", json!("a b"));
    check(push(), "/deleted", json!("x".repeat(1_000_000)));
}

#[test]
fn a_credential_in_an_address_is_refused_and_not_repeated() {
    let url = json!("https://octo:hunter2@github.com/octo/repo.git");
    let (_, _, text) = push().with("/repository/clone_url", url).refused();
    assert_eq!(
        text,
        "the field `repository.clone_url` is not valid: it must not hold a user name or a token"
    );
}
