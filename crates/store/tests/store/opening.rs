//! Where databases are, and what happens when they can't be used.

use std::path::Path;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection};
use store::{Page, PipelineFilter, Store, StoreError};
use tokio::task::JoinSet;

use crate::world::{SmallDisk, World, push, t};

async fn count(store: &Store) -> usize {
    store
        .pipelines(&PipelineFilter::default(), &Page::default())
        .await
        .unwrap()
        .items
        .len()
}

async fn raw(path: &Path) -> SqliteConnection {
    SqliteConnectOptions::new()
        .filename(path)
        .connect()
        .await
        .unwrap()
}

#[tokio::test]
async fn a_database_is_found_again_by_any_form_of_its_address() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new/folder/ci.db");
    let path = path.to_str().unwrap();
    let addresses = [
        path.to_owned(),
        format!("sqlite:{path}"),
        format!("sqlite://{path}"),
        format!("sqlite:{path}?mode=rwc"),
    ];
    for (before, address) in addresses.iter().enumerate() {
        let store = Store::open(address).await.unwrap();
        assert_eq!(count(&store).await, before, "{address}");
        store.create_pipelines(&[push("a")], t(1)).await.unwrap();
        store.close().await;
    }
    // Nothing was to be changed, so nothing was copied; closed, it is one file.
    let files: Vec<_> = std::fs::read_dir(folder.path().join("new/folder"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(files, ["ci.db"]);
}

#[tokio::test]
async fn a_database_in_memory_is_private_to_its_clones() {
    let store = Store::open("sqlite::memory:").await.unwrap();
    let other = Store::memory().await.unwrap();
    store
        .clone()
        .create_pipelines(&[push("a")], t(1))
        .await
        .unwrap();
    assert_eq!((count(&store).await, count(&other).await), (1, 0));
}

#[tokio::test]
async fn other_databases_are_refused_without_telling_secrets() {
    for (address, says) in [
        ("postgres://ci:s3cret@db/ci", "not yet supported"),
        ("postgresql://ci:s3cret@db/ci", "not yet supported"),
        ("mysql://ci:s3cret@db/ci", "only SQLite is"),
        ("sqlite:", "names no file"),
        ("sqlite:ci.db?key=s3cret", "leave them out"),
    ] {
        let error = Store::open(address).await.unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(text.contains(says), "{text}");
        assert!(!text.contains("s3cret"), "{text}");
    }
}

#[tokio::test]
async fn what_is_no_database_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.txt");
    let text = "my notes\n".repeat(1000);
    std::fs::write(&path, &text).unwrap();
    let error = Store::open(path.to_str().unwrap()).await.unwrap_err();
    assert!(matches!(error, StoreError::Open { .. }), "{error:?}");
    assert!(error.to_string().contains("notes.txt"), "{error}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);

    let below = path.join("ci.db");
    let error = Store::open(below.to_str().unwrap()).await.unwrap_err();
    assert!(matches!(error, StoreError::Io { .. }), "{error:?}");
    let error = Store::open(folder.path().to_str().unwrap())
        .await
        .unwrap_err();
    assert!(matches!(error, StoreError::Open { .. }), "{error:?}");
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let world = World::new().await;
    world
        .store
        .create_pipelines(&[push("a")], t(1))
        .await
        .unwrap();
    world.store.close().await;
    let path = world.folder.path().join("popsicle.db");
    let mut connection = raw(&path).await;
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         VALUES (99, 'from the future', TRUE, X'00', 1)",
    )
    .execute(&mut connection)
    .await
    .unwrap();
    let error = Store::open(path.to_str().unwrap()).await.unwrap_err();
    let StoreError::NewerSchema { found: 99, .. } = error else {
        panic!("{error:?}")
    };
    assert!(
        error.to_string().contains("use the newer version"),
        "{error}"
    );

    sqlx::query("DELETE FROM _sqlx_migrations WHERE version = 99")
        .execute(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
    assert_eq!(
        count(&Store::open(path.to_str().unwrap()).await.unwrap()).await,
        1
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_new_database_can_be_opened_by_many_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ci.db");
    let mut openers = JoinSet::new();
    for _ in 0..8 {
        let path = path.to_str().unwrap().to_owned();
        openers.spawn(async move {
            let store = Store::open(&path).await.unwrap();
            store.create_pipelines(&[push("a")], t(1)).await.unwrap();
            store.close().await;
        });
    }
    openers.join_all().await;
    assert_eq!(
        count(&Store::open(path.to_str().unwrap()).await.unwrap()).await,
        8
    );
}

#[tokio::test]
async fn what_was_changed_by_hand_is_named() {
    let world = World::new().await;
    let id = world
        .store
        .create_pipelines(&[push("a")], t(1))
        .await
        .unwrap()[0]
        .id;
    let mut connection = raw(&world.folder.path().join("popsicle.db")).await;
    sqlx::query("UPDATE pipelines SET preparation = '{'")
        .execute(&mut connection)
        .await
        .unwrap();
    let error = world.store.pipeline(id).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the stored preparation of pipeline 1 can't be read"
    );
}

#[tokio::test]
async fn deleting_a_pipeline_takes_all_that_is_its() {
    let world = World::new().await;
    let runner = world
        .store
        .ensure_local_runner("localhost", 1, t(0))
        .await
        .unwrap();
    let trigger = crate::world::delivered_push("a", "x");
    let plan = crate::world::plan(vec![crate::world::job("build", &[])]);
    crate::world::planned(&world.store, trigger, &plan, 1).await;
    world
        .store
        .claim_job(runner, None, t(9))
        .await
        .unwrap()
        .unwrap();
    let mut connection = raw(&world.folder.path().join("popsicle.db")).await;
    sqlx::query("DELETE FROM pipelines")
        .execute(&mut connection)
        .await
        .unwrap();
    for table in [
        "jobs",
        "attempts",
        "steps",
        "events",
        "reports",
        "deliveries",
        "plans",
    ] {
        let query = sqlx::AssertSqlSafe(format!("SELECT COUNT(*) FROM {table}"));
        let rows: i64 = sqlx::query_scalar(query)
            .fetch_one(&mut connection)
            .await
            .unwrap();
        assert_eq!(rows, 0, "{table}");
    }
}

#[tokio::test]
async fn a_full_disk_is_named_and_costs_nothing_that_was_stored() {
    let Some(disk) = SmallDisk::mount() else {
        tests::skip("this process may not mount a disk");
        return;
    };
    let path = disk.path().join("ci.db");
    let store = Store::open(path.to_str().unwrap()).await.unwrap();
    let mut stored = 0;
    let error = loop {
        let mut trigger = push("a");
        trigger.message = Some("x".repeat(4000));
        match store.create_pipelines(&[trigger], t(1)).await {
            Ok(_) => stored += 1,
            Err(error) => break error,
        }
        assert!(stored < 1000, "the disk is never full");
    };
    assert!(error.is_disk_full(), "{error:?}");
    assert_eq!(
        error.to_string(),
        "no space is left on the disk of the database"
    );
    let filter = PipelineFilter::default();
    let page = Page {
        limit: 200,
        cursor: None,
    };
    let found = store.pipelines(&filter, &page).await.unwrap().items;
    assert_eq!(found.len(), stored);
    assert_eq!(
        store.last_event().await.unwrap().0,
        i64::try_from(stored).unwrap()
    );

    disk.grow();
    store.create_pipelines(&[push("a")], t(2)).await.unwrap();
    assert_eq!(
        store.last_event().await.unwrap().0,
        i64::try_from(stored + 1).unwrap()
    );
}
