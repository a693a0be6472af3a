//! The repositories that are hosted here.

use model::HostedName;
use store::{Page, StoreError};

use crate::world::{World, t};

fn name(text: &str) -> HostedName {
    text.parse().unwrap()
}

#[tokio::test]
async fn repositories_come_and_go() {
    let mut world = World::new().await;
    let store = &world.store;
    let added = store.add_repo(&name("demo"), "A demo", t(5)).await.unwrap();
    assert_eq!((added.folder.as_str(), added.created), ("demo.git", t(5)));

    world.reopen().await;
    let store = &world.store;
    assert_eq!(store.repo(&name("demo")).await.unwrap(), added);
    assert_eq!(store.remove_repo(&name("demo")).await.unwrap(), added);
    for missing in [
        store.repo(&name("demo")).await.unwrap_err(),
        store.remove_repo(&name("demo")).await.unwrap_err(),
    ] {
        assert!(missing.is_not_found());
        assert_eq!(missing.to_string(), "there is no hosted repository demo");
    }
    // Its name is free again, its number is not.
    let again = store.add_repo(&name("demo"), "", t(6)).await.unwrap();
    assert!(again.id > added.id);
}

#[tokio::test]
async fn names_that_differ_in_case_alone_are_one() {
    let world = World::new().await;
    let store = &world.store;
    let demo = store.add_repo(&name("Demo"), "", t(1)).await.unwrap();
    for clash in ["Demo", "demo", "DEMO"] {
        let refused = store.add_repo(&name(clash), "", t(2)).await.unwrap_err();
        assert!(matches!(refused, StoreError::RepoTaken(_)), "{refused:?}");
        assert!(refused.is_conflict());
        assert_eq!(store.repo(&name(clash)).await.unwrap(), demo);
    }
    store.remove_repo(&name("dEMO")).await.unwrap();
    assert!(store.repo(&name("Demo")).await.is_err());
}

#[tokio::test]
async fn the_list_has_pages_newest_first() {
    let world = World::new().await;
    let store = &world.store;
    for number in 0..5 {
        let name = name(&format!("r{number}"));
        store.add_repo(&name, "", t(number)).await.unwrap();
    }
    let (mut seen, mut page) = (
        Vec::new(),
        Page {
            limit: 2,
            cursor: None,
        },
    );
    loop {
        let found = store.repos(&page).await.unwrap();
        seen.extend(found.items.into_iter().map(|repo| repo.name.to_string()));
        // What comes meanwhile disturbs no page.
        let new = name(&format!("n{}", seen.len()));
        store.add_repo(&new, "", t(9)).await.unwrap();
        match found.next {
            Some(cursor) => page.cursor = Some(cursor),
            None => break,
        }
    }
    assert_eq!(seen, ["r4", "r3", "r2", "r1", "r0"]);
    let foreign = Page {
        limit: 2,
        cursor: Some("p7".into()),
    };
    assert!(matches!(
        store.repos(&foreign).await,
        Err(StoreError::BadCursor(_))
    ));
}
