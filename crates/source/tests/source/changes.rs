//! The files that a trigger changed.

use model::{CommitSha, GitRef, Trigger, TriggerKind};

use crate::world::{World, branch, pull_request};

async fn changed(world: &World, trigger: &Trigger) -> Option<Vec<String>> {
    let tree = world.source.fetch(trigger).await.unwrap();
    tree.changed(trigger).await.unwrap()
}

fn after(world: &World, name: &str, base: Option<CommitSha>) -> Trigger {
    Trigger {
        base,
        ..world.push(branch(name), &world.tip())
    }
}

#[tokio::test]
async fn a_push_changed_what_all_its_commits_did() {
    let world = World::new();
    let before = world.tip();
    world.commit("docs/a b", "1");
    world.git(&["mv", "README", "READ.me"]);
    world.commit("src/\u{e4}", "2");
    let files = changed(&world, &after(&world, "main", Some(before))).await;
    assert_eq!(
        files.unwrap(),
        ["READ.me", "README", "docs/a b", "src/\u{e4}"]
    );
}

#[tokio::test]
async fn a_new_branch_changed_what_it_has_over_the_default_branch() {
    let world = World::new();
    world.fetch(&world.tip()).await.unwrap();
    world.git(&["checkout", "-q", "-b", "topic"]);
    world.commit("topic", "1");
    world.git(&["checkout", "-q", "main"]);
    // The mirror has not heard of it.
    world.commit("main", "1");
    world.git(&["checkout", "-q", "topic"]);
    world.git(&["merge", "-q", "--no-edit", "main"]);
    world.git(&["symbolic-ref", "HEAD", "refs/heads/main"]);
    let tip: CommitSha = world.git(&["rev-parse", "topic"]).parse().unwrap();
    let push = world.push(branch("topic"), &tip);
    assert_eq!(changed(&world, &push).await.unwrap(), ["topic"]);
    // The first push of the default branch itself: everything may be new.
    assert_eq!(changed(&world, &after(&world, "main", None)).await, None);
}

#[tokio::test]
async fn a_pull_request_changed_what_it_has_over_its_target() {
    let world = World::new();
    world.git(&["branch", "stable"]);
    world.commit("main", "1");
    world.git(&["checkout", "-q", "stable"]);
    world.commit("stable", "1");
    world.git(&["checkout", "-q", "-b", "topic"]);
    world.commit("topic", "1");
    let tip = world.tip();
    world.git(&["update-ref", "refs/pull/7/head", tip.as_str()]);
    let mut asked = world.push(branch("pull/7"), &tip);
    asked.kind = TriggerKind::PullRequest;
    let mut request = pull_request(7, false);
    request.base_branch = "stable".into();
    asked.pull_request = Some(request);
    assert_eq!(changed(&world, &asked).await.unwrap(), ["topic"]);
}

#[tokio::test]
async fn what_can_not_be_told_is_not() {
    let world = World::new();
    let tag = world.push(GitRef::Tag("v1".into()), &world.tip());
    world.git(&["tag", "v1"]);
    assert_eq!(changed(&world, &tag).await, None);
    let mut asked = world.push(branch("main"), &world.tip());
    asked.kind = TriggerKind::Api;
    assert_eq!(changed(&world, &asked).await, None);
    // A push that replaced what nobody has any more.
    let gone = "a1b2c3d4e5".repeat(4).parse().unwrap();
    let forced = after(&world, "main", Some(gone));
    let tree = world.source.fetch(&forced).await.unwrap();
    assert!(tree.changed(&forced).await.is_err());
}
