//! A server that asks for tokens, and who has one.

use insta::assert_snapshot;

use crate::world::{Ci, Repo, has_machine_jobs};

#[tokio::test]
async fn a_server_that_asks_for_tokens_is_used_with_one() {
    if !has_machine_jobs().await {
        return;
    }
    let ci = Ci::start_with(&[("POPSICLE_AUTH", "token")]).await;
    let repo = Repo::with_config(
        "
version: 2.1
jobs:
  build:
    machine: true
    steps: [run: echo hello]
workflows: {main: {jobs: [build]}}
",
    );
    // The forge needs none.
    ci.push(&repo).await;
    let refused = ci.cli(&["list"]).await;
    assert_eq!(refused.code, Some(3), "{refused:?}");
    assert_snapshot!(refused.stderr, @"
    error: this needs a token of the scope `read`: `popsicle token create` makes one on the server's machine; send it as `Authorization: Bearer …`
    hint: set POPSICLE_TOKEN, or name a file that holds the token with --token-file
    ");

    let data = ci.data().display().to_string();
    let here = [("POPSICLE_DATA_DIR", data.as_str())];
    let made = ci
        .cli_set(
            &here,
            &[
                "token",
                "create",
                "ada",
                "--scope",
                "write",
                "--expires",
                "90d",
            ],
        )
        .await;
    assert!(!made.stderr.contains("pop_"), "{made:?}");
    let token = made.success();
    assert!(token.starts_with("pop_1_"), "{token}");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, &token).unwrap();
    let file = file.display().to_string();

    let watched = ci.cli(&["watch", "1", "--token-file", &file]).await;
    assert_eq!(watched.code, Some(0), "{watched:?}");
    let log = ci.cli(&["logs", "1", "build", "--token-file", &file]).await;
    assert!(log.success().ends_with("hello\n"));
    // It is no admin's.
    let refused = ci.cli(&["token", "list", "--token-file", &file]).await;
    assert_eq!(refused.code, Some(3));
    assert_snapshot!(refused.stderr, @"error: this needs a token of the scope `admin`, and yours has `write`");

    let listed = ci.cli_set(&here, &["token", "list"]).await.success();
    assert!(
        listed.starts_with("1: ada [write] last used 20"),
        "{listed}"
    );
    assert!(!listed.contains(token.trim()), "{listed}");
    ci.cli_set(&here, &["token", "revoke", "1"]).await.success();
    let refused = ci.cli(&["list", "--token-file", &file]).await;
    assert_eq!(refused.code, Some(3));
    assert!(refused.stderr.contains("was revoked"), "{refused:?}");
    let log = ci.server_log();
    assert!(!log.contains(token.trim()), "{log}");
    ci.until_clean().await;
}
