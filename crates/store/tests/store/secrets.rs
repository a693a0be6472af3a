//! Secrets and contexts: what is kept, what is shown, and what the disk holds of it.

use model::{ContextName, RepoName, SecretOwner, SecretValue, VariableName};
use store::{Keyring, Nonce, Secret, StoreError};

use crate::world::{World, t};

const OLD: &str = "0123456789abcdef0123456789abcdef";
const NEW: &str = "fedcba9876543210fedcba9876543210";
const VALUE: &str = "hunter2-is-not-for-the-disk";

fn keyring(text: &str) -> Keyring {
    Keyring::parse(text).unwrap()
}

fn project(name: &str) -> SecretOwner {
    SecretOwner::Project(format!("octo/{name}").parse().unwrap())
}

fn context(name: &str) -> SecretOwner {
    SecretOwner::Context(name.parse().unwrap())
}

fn nonce(number: u8) -> Nonce {
    [number; 24]
}

impl World {
    async fn set(&self, owner: &SecretOwner, name: &str, value: &str, at: i64) -> bool {
        let (name, value) = (variable(name), secret(value));
        let nonce = nonce(u8::try_from(at).unwrap());
        self.store
            .set_secret(owner, &name, &value, &keyring(OLD), nonce, t(at))
            .await
            .unwrap()
    }

    async fn secrets(&self, owner: &SecretOwner) -> Vec<Secret> {
        self.store.secrets(owner).await.unwrap()
    }

    /// Each variable with its value, as those keys open it.
    async fn values(&self, owner: &SecretOwner, keys: &Keyring) -> Vec<String> {
        let secrets = self.secrets(owner).await;
        let shown = secrets.iter().map(|secret| match secret.open(keys) {
            Ok(value) => format!("{}={}", secret.name, value.expose()),
            Err(error) => format!("{}: {error}", secret.name),
        });
        shown.collect()
    }
}

fn variable(name: &str) -> VariableName {
    name.parse().unwrap()
}

fn secret(value: &str) -> SecretValue {
    SecretValue::try_from(value.to_owned()).unwrap()
}

#[tokio::test]
async fn a_variable_is_set_replaced_and_deleted() {
    let world = World::new().await;
    let owner = project("repo");
    assert!(world.set(&owner, "TOKEN", "first", 1).await);
    assert!(world.set(&owner, "OTHER", "x", 2).await);
    assert!(!world.set(&owner, "TOKEN", VALUE, 3).await);
    assert!(world.set(&project("other"), "TOKEN", "y", 4).await);

    let values = world.values(&owner, &keyring(OLD)).await;
    assert_eq!(values, [format!("TOKEN={VALUE}"), "OTHER=x".to_owned()]);
    let first = &world.secrets(&owner).await[0];
    assert_eq!((first.created, first.updated), (t(1), t(3)));

    let store = &world.store;
    store
        .delete_secret(&owner, &variable("TOKEN"))
        .await
        .unwrap();
    let error = store.delete_secret(&owner, &variable("TOKEN")).await;
    assert_eq!(
        error.unwrap_err().to_string(),
        "there is no variable `TOKEN` of project `octo/repo`"
    );
    assert_eq!(world.values(&owner, &keyring(OLD)).await, ["OTHER=x"]);
}

#[tokio::test]
async fn no_file_holds_a_value() {
    let world = World::new().await;
    world.set(&project("repo"), "TOKEN", VALUE, 1).await;
    let name: ContextName = "aws".parse().unwrap();
    world.store.create_context(&name, None, t(1)).await.unwrap();
    world.set(&context("aws"), "KEY", VALUE, 2).await;
    let mut names = 0;
    for entry in std::fs::read_dir(world.folder.path()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        let holds = |text: &str| {
            bytes
                .windows(text.len())
                .any(|part| part == text.as_bytes())
        };
        assert!(!holds("hunter2") && !holds(OLD));
        names += usize::from(holds("TOKEN"));
    }
    assert!(names > 0, "the names are in some file");
}

#[tokio::test]
async fn a_value_moved_to_another_row_stays_closed() {
    let world = World::new().await;
    let (repo, other) = (project("repo"), project("other"));
    world.set(&repo, "TOKEN", VALUE, 1).await;
    world.set(&other, "TOKEN", "mine", 2).await;
    let path = world.folder.path().join("popsicle.db");
    let url = format!("sqlite:{}", path.display());
    let database = sqlx::SqlitePool::connect(&url).await.unwrap();
    let swap = "UPDATE secrets SET sealed = (SELECT sealed FROM secrets WHERE repo = 'octo/repo') \
                WHERE repo = 'octo/other'";
    sqlx::query(swap).execute(&database).await.unwrap();
    database.close().await;
    assert_eq!(
        world.values(&other, &keyring(OLD)).await,
        [
            "TOKEN: can't read TOKEN of project `octo/other`: what is stored is not what was encrypted for it; set the value again"
        ]
    );
}

#[tokio::test]
async fn a_lost_key_is_told_and_loses_nothing() {
    let world = World::new().await;
    let owner = project("repo");
    world.set(&owner, "TOKEN", VALUE, 1).await;
    let told = &world.values(&owner, &keyring(NEW)).await[0];
    let old = keyring(OLD).ids().next().unwrap();
    assert!(
        told.contains(&format!("encrypted with the key {old}"))
            && told.contains("set the value again"),
        "{told}"
    );
    let none = || nonce(9);
    assert_eq!(
        world
            .store
            .reseal_secrets(&keyring(NEW), none)
            .await
            .unwrap(),
        0
    );
    assert_eq!(
        world.values(&owner, &keyring(OLD)).await,
        [format!("TOKEN={VALUE}")]
    );
}

#[tokio::test]
async fn an_old_key_can_go_once_all_is_encrypted_with_the_new() {
    let world = World::new().await;
    let name: ContextName = "aws".parse().unwrap();
    world.store.create_context(&name, None, t(1)).await.unwrap();
    let (repo, aws) = (project("repo"), context("aws"));
    world.set(&repo, "TOKEN", VALUE, 1).await;
    world.set(&aws, "KEY", "k", 2).await;
    let both = keyring(&format!("{NEW} {OLD}"));
    let resealed = world
        .store
        .reseal_secrets(&both, || nonce(7))
        .await
        .unwrap();
    assert_eq!(resealed, 2);
    assert_eq!(
        world.values(&repo, &keyring(NEW)).await,
        [format!("TOKEN={VALUE}")]
    );
    assert_eq!(world.values(&aws, &keyring(NEW)).await, ["KEY=k"]);
    let keys = world.store.secret_keys().await.unwrap();
    assert_eq!(
        keys.into_iter().collect::<Vec<_>>(),
        [(keyring(NEW).ids().next().unwrap(), 2)]
    );
}

#[tokio::test]
async fn contexts_are_for_all_or_for_some_and_go_with_their_variables() {
    let world = World::new().await;
    let store = &world.store;
    let (name, repo): (ContextName, RepoName) =
        ("aws".parse().unwrap(), "octo/repo".parse().unwrap());
    let made = store.create_context(&name, None, t(5)).await.unwrap();
    assert!(made.is_open_to(&repo) && made.variables == 0 && made.created == t(5));
    let error = store.create_context(&name, None, t(6)).await.unwrap_err();
    assert!(error.is_conflict(), "{error}");
    world.set(&context("aws"), "KEY", VALUE, 6).await;

    let other: RepoName = "octo/other".parse().unwrap();
    let some = store
        .restrict_context(&name, Some(std::slice::from_ref(&other)))
        .await
        .unwrap();
    assert!(!some.is_open_to(&repo) && some.is_open_to(&other));
    assert_eq!(store.contexts().await.unwrap().len(), 1);
    assert_eq!(
        (some.variables, store.context(&name).await.unwrap()),
        (1, some)
    );

    store.delete_context(&name).await.unwrap();
    for error in [
        store.context(&name).await.unwrap_err(),
        store.secrets(&context("aws")).await.unwrap_err(),
        store.delete_context(&name).await.unwrap_err(),
        store.restrict_context(&name, None).await.unwrap_err(),
    ] {
        assert_eq!(error.to_string(), "there is no context `aws`");
    }
    // Another of that name begins with nothing.
    store.create_context(&name, None, t(7)).await.unwrap();
    assert!(world.secrets(&context("aws")).await.is_empty());
}

#[tokio::test]
async fn an_owner_has_a_bounded_number_of_variables() {
    let world = World::new().await;
    let owner = project("repo");
    for number in 0..200 {
        world.set(&owner, &format!("V{number}"), "x", 1).await;
    }
    let (name, value) = (variable("V200"), secret("x"));
    let one_more = world
        .store
        .set_secret(&owner, &name, &value, &keyring(OLD), nonce(1), t(1))
        .await;
    assert!(
        matches!(one_more, Err(StoreError::TooMany(_))),
        "{one_more:?}"
    );
    assert!(
        !world.set(&owner, "V7", "y", 2).await,
        "an old one can be set"
    );
}
