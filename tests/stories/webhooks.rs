//! What comes in at the webhook's door, wanted or not.

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::world::{Ci, Repo, Webhook, sign};

/// A server, a repository whose pipelines end without a job, and a good delivery of it.
async fn world() -> (Ci, Repo, Value) {
    let repo = Repo::with(&[("README.md", "no config")]);
    let push = repo.push();
    (Ci::start().await, repo, push)
}

/// The payload with one field set to something else.
fn with(payload: &Value, pointer: &str, value: Value) -> Webhook {
    let mut payload = payload.clone();
    *payload.pointer_mut(pointer).expect("the field is there") = value;
    Webhook::new("push", &payload)
}

#[tokio::test]
async fn what_is_not_signed_by_us_is_refused() {
    let (mut ci, _repo, push) = world().await;
    let good = Webhook::new("push", &push);
    let other = sign("another secret", &good.body);
    let of_another_body = sign(crate::world::SECRET, b"{}");
    let bad = [
        ("none", good.clone().unsigned()),
        (
            "sha1 only",
            good.clone().signed(
                "X-Hub-Signature",
                "sha1=7d38cdd689735b008b3c702edd92eea23791c5f6",
            ),
        ),
        (
            "another secret",
            good.clone().signed("X-Hub-Signature-256", &other),
        ),
        (
            "another body",
            good.clone().signed("X-Hub-Signature-256", &of_another_body),
        ),
        (
            "too short",
            good.clone().signed("X-Hub-Signature-256", &other[..30]),
        ),
        (
            "no digits",
            good.clone().signed("X-Hub-Signature-256", "sha256=zz"),
        ),
        ("empty", good.clone().signed("X-Hub-Signature-256", "")),
    ];
    let mut told = Vec::new();
    for (name, webhook) in bad {
        told.push(format!("{name}: {}", ci.deliver(&webhook).await.error()));
    }
    assert_snapshot!(told.join("\n"), @"
    none: 401 missing_signature: the header `X-Hub-Signature-256` is missing: set the webhook's secret on the forge to the one that Popsicle has
    sha1 only: 401 weak_signature: only the SHA-1 signature `X-Hub-Signature` is there, and SHA-1 is not accepted: send `X-Hub-Signature-256`
    another secret: 401 wrong_signature: the signature in `X-Hub-Signature-256` does not match the body: check that the webhook's secret on the forge is the one that Popsicle has
    another body: 401 wrong_signature: the signature in `X-Hub-Signature-256` does not match the body: check that the webhook's secret on the forge is the one that Popsicle has
    too short: 401 malformed_signature: the header `X-Hub-Signature-256` is not a signature: it does not have 64 hexadecimal digits after `sha256=`
    no digits: 401 malformed_signature: the header `X-Hub-Signature-256` is not a signature: it does not have 64 hexadecimal digits after `sha256=`
    empty: 401 malformed_signature: the header `X-Hub-Signature-256` is not a signature: it does not start with `sha256=`
    ");
    ci.assert_alive();
    assert_eq!(
        ci.deliver(&good).await.pipeline(),
        1,
        "nothing of the above was stored"
    );
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_and_says_why() {
    let (mut ci, _repo, push) = world().await;
    let without = |pointer: &str, key: &str| {
        let mut payload = push.clone();
        let object = payload.pointer_mut(pointer).and_then(Value::as_object_mut);
        object.expect("the object is there").remove(key);
        Webhook::new("push", &payload)
    };
    let name = |name: &str| with(&push, "/repository/full_name", json!(name));
    let url = |url: &str| with(&push, "/repository/clone_url", json!(url));
    let bad = [
        ("empty", Webhook::of_bytes("push", Vec::new())),
        (
            "not JSON",
            Webhook::of_bytes("push", b"ref=refs/heads/main".to_vec()),
        ),
        (
            "half of it",
            Webhook::of_bytes("push", push.to_string().as_bytes()[..40].to_vec()),
        ),
        (
            "not UTF-8",
            Webhook::of_bytes("push", b"{\"ref\": \"\xff\xfe\"}".to_vec()),
        ),
        ("a list", Webhook::new("push", &json!([1, 2]))),
        (
            "very deep",
            Webhook::of_bytes("push", "[".repeat(100_000).into_bytes()),
        ),
        ("no after", without("", "after")),
        ("no ref", without("", "ref")),
        ("no repository", without("", "repository")),
        ("no clone_url", without("/repository", "clone_url")),
        ("after is no commit", with(&push, "/after", json!("main"))),
        ("after is a number", with(&push, "/after", json!(12))),
        ("name with ..", name("octo/../../etc")),
        ("name with space", name("octo/my repo")),
        ("name with quote", name("octo/repo'\"")),
        ("name with newline", name("octo/repo\nfake: line")),
        ("name like an option", name("octo/--help")),
        ("name empty", name("")),
        ("url like an option", url("--upload-pack=x")),
        ("url that runs a program", url("ext::sh -c id")),
        (
            "url with a token",
            url("https://user:hunter2@example.com/r.git"),
        ),
        (
            "event missing",
            Webhook {
                event: String::new(),
                ..Webhook::new("push", &push)
            },
        ),
    ];
    let mut told = Vec::new();
    for (name, webhook) in bad {
        let answer = ci.deliver(&webhook).await;
        assert_eq!(answer.code, 400, "{name}: {}", answer.text());
        let error = answer.error();
        assert!(!error.contains("hunter2"), "{error}");
        // How far into the payload depends on where the repository lies.
        let error = error
            .split(" at line 1 column")
            .next()
            .unwrap_or_default()
            .to_owned();
        told.push(format!("{name}: {error}"));
    }
    assert_snapshot!(told.join("\n"), @r#"
    empty: 400 malformed_json: the body is not valid JSON: it does not start with `{`
    not JSON: 400 malformed_json: the body is not valid JSON: it does not start with `{`
    half of it: 400 malformed_json: the body is not valid JSON: EOF while parsing a string
    not UTF-8: 400 malformed_json: the body is not valid JSON: invalid unicode code point
    a list: 400 malformed_json: the body is not valid JSON: it does not start with `{`
    very deep: 400 malformed_json: the body is not valid JSON: it does not start with `{`
    no after: 400 missing_field: the field `after` is missing
    no ref: 400 missing_field: the field `ref` is missing
    no repository: 400 missing_field: the field `repository` is missing
    no clone_url: 400 missing_field: the field `repository.clone_url` is missing
    after is no commit: 400 invalid_field: the field `after` is not valid: commit id "main" is not valid: it must be 40 or 64 lower-case hexadecimal digits
    after is a number: 400 invalid_field: the field `after` is not valid: invalid type: integer `12`, expected a string
    name with ..: 400 invalid_field: the field `repository.full_name` is not valid: repository name "octo/../../etc" is not valid: each part between slashes must be a name: not empty, `.`, `..` or starting with `-`
    name with space: 400 invalid_field: the field `repository.full_name` is not valid: repository name "octo/my repo" is not valid: only letters, digits, `.`, `_`, `-` and `/` can be in it
    name with quote: 400 invalid_field: the field `repository.full_name` is not valid: repository name "octo/repo'\"" is not valid: only letters, digits, `.`, `_`, `-` and `/` can be in it
    name with newline: 400 invalid_field: the field `repository.full_name` is not valid: repository name "octo/repo\nfake: line" is not valid: only letters, digits, `.`, `_`, `-` and `/` can be in it
    name like an option: 400 invalid_field: the field `repository.full_name` is not valid: repository name "octo/--help" is not valid: each part between slashes must be a name: not empty, `.`, `..` or starting with `-`
    name empty: 400 invalid_field: the field `repository.full_name` is not valid: repository name "" is not valid: it must have 1 to 255 characters
    url like an option: 400 invalid_field: the field `repository.clone_url` is not valid: it must not start with `-`
    url that runs a program: 400 invalid_field: the field `repository.clone_url` is not valid: it must be https://…, http://…, ssh://…, file:///… or user@host:path
    url with a token: 400 invalid_field: the field `repository.clone_url` is not valid: it must not hold a user name or a token
    event missing: 400 invalid_header: the header `X-GitHub-Event` is not valid: it must have 1 to 200 ASCII characters
    "#);
    ci.assert_alive();
    assert_eq!(
        ci.deliver(&Webhook::new("push", &push)).await.pipeline(),
        1,
        "nothing of the above was stored"
    );
}

#[tokio::test]
async fn what_is_too_large_is_refused() {
    let (mut ci, _repo, push) = world().await;
    let padded = |bytes: usize| {
        let mut payload = push.clone();
        payload["padding"] = json!("x".repeat(bytes));
        Webhook::new("push", &payload)
    };
    let answer = ci.deliver(&padded(25 << 20)).await;
    assert_snapshot!(answer.error(), @"413 too_large: the body is larger than 26214400 bytes");
    ci.assert_alive();
    // GitHub's own limit is ours.
    assert_eq!(ci.deliver(&padded((25 << 20) - 4096)).await.pipeline(), 1);
}

#[tokio::test]
async fn what_asks_for_nothing_is_ignored_and_says_why() {
    let (ci, repo, push) = world().await;
    let deleted = {
        let mut payload = repo.push_of("refs/heads/old", &"0".repeat(40));
        payload["deleted"] = json!(true);
        payload["head_commit"] = Value::Null;
        Webhook::new("push", &payload)
    };
    let message = |text: &str| with(&push, "/head_commit/message", json!(text));
    let nothing = [
        (
            "another event",
            Webhook::new("issues", &json!({"action": "opened"})),
        ),
        ("skip ci", message("Fix a typo [skip ci]")),
        ("ci skip", message("[ci skip] Fix a typo")),
        ("a branch deleted", deleted),
        (
            "a pull request closed",
            Webhook::new("pull_request", &json!({"action": "closed"})),
        ),
        (
            "neither branch nor tag",
            with(&push, "/ref", json!("refs/notes/commits")),
        ),
        (
            "a check nobody ran",
            Webhook::new(
                "check_run",
                &json!({
                    "action": "rerequested",
                    "check_run": {"head_sha": repo.head()},
                    "repository": {"full_name": repo.name},
                }),
            ),
        ),
    ];
    let mut told = Vec::new();
    for (name, webhook) in nothing {
        let answer = ci.deliver(&webhook).await;
        assert_eq!(answer.code, 202, "{name}: {}", answer.text());
        assert_eq!(answer.json()["status"], "ignored", "{name}");
        let reason = answer.json()["reason"]
            .as_str()
            .unwrap_or_default()
            .replace(&repo.head(), "COMMIT");
        told.push(format!("{name}: {reason}"));
    }
    assert_snapshot!(told.join("\n"), @"
    another event: the event `issues` starts no pipeline
    skip ci: the head commit's message asks to skip CI
    ci skip: the head commit's message asks to skip CI
    a branch deleted: `refs/heads/old` was deleted
    a pull request closed: the event `pull_request` with the action `closed` starts no pipeline
    neither branch nor tag: only pushes to `refs/heads/` and `refs/tags/` start pipelines
    a check nobody ran: `octo/repo` has no pipeline of the commit COMMIT to run again
    ");
    let pong = ci
        .deliver(&Webhook::new(
            "ping",
            &json!({"zen": "Keep it logically awesome."}),
        ))
        .await;
    assert_eq!((pong.code, pong.json()), (200, json!({"status": "pong"})));
    assert_eq!(ci.get("/pipelines").await.json(), json!([]));
}

#[tokio::test]
async fn a_repeated_delivery_is_the_same_pipeline() {
    let (mut ci, _repo, push) = world().await;
    let webhook = Webhook::new("push", &push);
    assert_eq!(ci.deliver(&webhook).await.pipeline(), 1);
    assert_eq!(ci.deliver(&webhook).await.pipeline(), 1);
    assert_eq!(ci.deliver(&Webhook::new("push", &push)).await.pipeline(), 2);
    ci.settled(1).await;
    ci.kill();
    ci.restart().await;
    assert_eq!(ci.deliver(&webhook).await.pipeline(), 1);
    let (a, b) = (Webhook::new("push", &push), Webhook::new("push", &push));
    let (a1, b1, a2, b2) = tokio::join!(
        ci.deliver(&a),
        ci.deliver(&b),
        ci.deliver(&a),
        ci.deliver(&b)
    );
    assert_eq!(a1.pipeline(), a2.pipeline());
    assert_eq!(b1.pipeline(), b2.pipeline());
    assert_ne!(a1.pipeline(), b1.pipeline());
}
