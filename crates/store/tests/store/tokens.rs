//! Tokens open what they are for, until they don't.

use model::TokenScope;
use store::{NewRunner, NewToken, Page, TOKEN_PREFIX};

use crate::world::{World, t};

fn new(scope: TokenScope, expires: Option<i64>) -> NewToken {
    NewToken {
        name: "ada's laptop".into(),
        scope,
        expires: expires.map(t),
    }
}

#[tokio::test]
async fn a_token_is_known_by_its_text_until_it_expires_or_is_revoked() {
    let world = World::new().await;
    let store = &world.store;
    let (made, text) = store
        .create_token(&new(TokenScope::Write, Some(100_000)), [7; 32], t(1))
        .await
        .unwrap();
    let text = text.expose();
    assert!(text.starts_with(TOKEN_PREFIX));
    let known = store.token_of(text, t(10)).await.unwrap().unwrap();
    assert_eq!((known.id, known.scope), (made.id, TokenScope::Write));
    let last_used = async || {
        let page = Page {
            limit: 9,
            cursor: None,
        };
        store.tokens(&page).await.unwrap().items[0].last_used
    };
    assert_eq!(last_used().await, Some(t(10)));
    store.token_of(text, t(20)).await.unwrap().unwrap();
    assert_eq!(last_used().await, Some(t(10)), "to the minute");
    store.token_of(text, t(70_000)).await.unwrap().unwrap();
    assert_eq!(last_used().await, Some(t(70_000)));

    let mut wrong = text.to_owned();
    let last = if wrong.pop() == Some('0') { '1' } else { '0' };
    wrong.push(last);
    let long = "x".repeat(10_000);
    for none in [
        wrong.as_str(),
        "",
        "pop_",
        "pop_1_",
        "pop_2_00",
        "pop_-1_00",
        "pop_99999999999999999999_00",
        long.as_str(),
    ] {
        assert_eq!(store.token_of(none, t(20)).await.unwrap(), None, "{none}");
    }
    assert_eq!(store.token_of(text, t(100_000)).await.unwrap(), None);
    store.revoke_token(made.id, t(30)).await.unwrap();
    assert_eq!(store.token_of(text, t(40)).await.unwrap(), None);
    let again = store.revoke_token(made.id, t(50)).await.unwrap();
    assert_eq!(again.revoked, Some(t(30)));

    // No file has the secret.
    let secret = text.rsplit('_').next().unwrap().as_bytes();
    for entry in std::fs::read_dir(world.folder.path()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        assert!(!bytes.windows(secret.len()).any(|found| found == secret));
    }
}

#[tokio::test]
async fn a_runner_s_token_goes_with_it_and_can_be_changed() {
    let world = World::new().await;
    let store = &world.store;
    let runner = NewRunner {
        host: "build-1".into(),
        labels: Vec::new(),
        capacity: 1,
    };
    let (runner, first) = store
        .add_runner_with_token(&runner, [1; 32], t(1))
        .await
        .unwrap();
    let known = store.token_of(first.expose(), t(2)).await.unwrap().unwrap();
    assert_eq!(
        (known.scope, known.runner),
        (TokenScope::Runner, Some(runner.id))
    );
    let second = store
        .rotate_runner_token(runner.id, [2; 32], t(3))
        .await
        .unwrap();
    assert_eq!(store.token_of(first.expose(), t(4)).await.unwrap(), None);
    assert!(
        store
            .token_of(second.expose(), t(4))
            .await
            .unwrap()
            .is_some()
    );
    store.remove_runner(runner.id).await.unwrap();
    assert_eq!(store.token_of(second.expose(), t(5)).await.unwrap(), None);
    let refused = store
        .create_token(&new(TokenScope::Runner, None), [3; 32], t(6))
        .await
        .unwrap_err();
    assert!(refused.is_bad_request(), "{refused}");
}
