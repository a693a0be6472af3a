//! Orbs: what a reference finds, what pins it, and what a registry gives.

use std::fs;
use std::path::Path;

use axum::Router;
use axum::routing::post;
use source::orbs::{
    FetchError, LOCK_FILE, MAX_ORB_BYTES, OrbFinder, OrbFolders, OrbReference, OrbRegistry,
    OrbStore, StoreOrbError, VENDORED_DIR, read_unpacked, write_lock,
};
use tempfile::TempDir;

use crate::world::World;

fn reference(text: &str) -> OrbReference {
    text.parse().unwrap()
}

/// A store and a project, each in a folder.
struct Place {
    temp: TempDir,
}

impl Place {
    fn new() -> Self {
        let temp = tempfile::tempdir().unwrap();
        fs::create_dir(temp.path().join("project")).unwrap();
        Self { temp }
    }

    fn project(&self) -> std::path::PathBuf {
        self.temp.path().join("project")
    }

    fn folders(&self) -> OrbFolders {
        OrbFolders {
            first: Some(self.temp.path().join("first")),
            store: Some(self.temp.path().join("store")),
        }
    }

    fn put(&self, folder: &str, orb: &str, text: &str) {
        let store = OrbStore::new(self.temp.path().join(folder));
        store.put(&reference(orb), text.as_bytes(), false).unwrap();
    }

    fn vendor(&self, orb: &str, text: &str) {
        self.put(&format!("project/{VENDORED_DIR}"), orb, text);
    }

    fn finder(&self) -> OrbFinder {
        OrbFinder::of_folder(&self.project(), &self.folders()).unwrap()
    }

    /// Which version is found, and its text; or why none is.
    fn found(&self, orb: &str) -> String {
        told(&self.finder(), orb)
    }
}

fn told(finder: &OrbFinder, orb: &str) -> String {
    match finder.find(&reference(orb)) {
        Ok(found) => {
            let text = String::from_utf8(found.text).unwrap();
            format!("{}: {text}", found.reference)
        }
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_reference_finds_the_newest_that_will_do() {
    let place = Place::new();
    for version in ["1.9.0", "1.10.1", "1.10.0", "2.0.0", "dev:try"] {
        place.put("store", &format!("acme/tools@{version}"), version);
    }
    place.put("store", "acme/tools-extra@9.0.0", "another orb");
    place.put("store", "https://example.com/orb.yml", "by address");
    for (asked, found) in [
        ("1.10.0", "1.10.0"),
        ("1.10", "1.10.1"),
        ("1", "1.10.1"),
        ("volatile", "2.0.0"),
        ("dev:try", "dev:try"),
    ] {
        let expected = format!("acme/tools@{found}: {found}");
        assert_eq!(place.found(&format!("acme/tools@{asked}")), expected);
    }
    let address = "https://example.com/orb.yml";
    assert_eq!(place.found(address), format!("{address}: by address"));
    assert_eq!(
        place.found("acme/tools@3"),
        "is not at hand; its versions here: 2.0.0, 1.10.1, 1.10.0, 1.9.0, dev:try"
    );
    assert_eq!(place.found("acme/nothing@1"), "is not at hand");
    let listed = OrbStore::new(place.temp.path().join("store")).list();
    assert_eq!(listed.unwrap().len(), 7);
}

#[test]
fn the_first_place_with_a_fitting_version_wins() {
    let place = Place::new();
    place.put("store", "acme/tools@1.5.0", "store");
    assert_eq!(place.found("acme/tools@1"), "acme/tools@1.5.0: store");
    place.vendor("acme/tools@1.2.0", "vendored");
    assert_eq!(place.found("acme/tools@1"), "acme/tools@1.2.0: vendored");
    assert_eq!(place.found("acme/tools@1.5"), "acme/tools@1.5.0: store");
    place.put("first", "acme/tools@1.1.0", "first");
    assert_eq!(place.found("acme/tools@1"), "acme/tools@1.1.0: first");
}

#[test]
fn a_pinned_reference_stays_what_it_was() {
    let place = Place::new();
    place.put("store", "acme/tools@1.2.0", "good");
    let mut lock = source::orbs::OrbLock::default();
    let found = place.finder().find(&reference("acme/tools@1")).unwrap();
    let pin = source::orbs::Pin {
        version: found.reference.version().cloned(),
        sha256: found.sha256,
    };
    lock.insert(reference("acme/tools@1"), pin);
    write_lock(&place.project(), &lock).unwrap();
    place.put("store", "acme/tools@1.3.0", "newer");
    assert_eq!(place.found("acme/tools@1"), "acme/tools@1.2.0: good");
    // What nobody pinned is not what this machine happens to have,
    let unpinned = place.found("acme/tools@1.3");
    assert_eq!(
        unpinned,
        "is not pinned by `.popsicle/orbs.lock`: acme/tools@1.3.0 is in this machine's store, and elsewhere it may be another"
    );
    assert!(place.found("acme/tools@4").starts_with("is not at hand"));
    // but for whoever is about to pin it;
    let pinning = place.finder().adding_pins();
    assert_eq!(told(&pinning, "acme/tools@1.3"), "acme/tools@1.3.0: newer");
    assert_eq!(told(&pinning, "acme/tools@1"), "acme/tools@1.2.0: good");
    // what comes along with the project is the same everywhere, and what somebody names is meant.
    place.vendor("acme/other@2.0.0", "brought along");
    assert_eq!(
        place.found("acme/other@2"),
        "acme/other@2.0.0: brought along"
    );
    place.put("first", "acme/named@2.0.0", "named");
    assert_eq!(place.found("acme/named@2"), "acme/named@2.0.0: named");

    place.put("first", "acme/tools@1.2.0", "evil");
    let refused = place.found("acme/tools@1");
    assert!(
        refused.starts_with("is not what `.popsicle/orbs.lock` pins: the text of acme/tools@1.2.0"),
        "{refused}"
    );
    let anew = OrbFinder::relocking(&place.project(), &place.folders()).unwrap();
    assert_eq!(told(&anew, "acme/tools@1"), "acme/tools@1.2.0: evil");

    fs::remove_dir_all(place.temp.path().join("first")).unwrap();
    fs::remove_file(place.temp.path().join("store/acme/tools@1.2.0.yml")).unwrap();
    let missing = place.found("acme/tools@1");
    assert!(missing.contains("pins it to 1.2.0; its versions here: 1.3.0"));
    fs::write(place.project().join(LOCK_FILE), "nonsense").unwrap();
    let error = OrbFinder::of_folder(&place.project(), &place.folders()).unwrap_err();
    assert!(error.to_string().contains("line 1"), "{error}");
    assert!(OrbFinder::relocking(&place.project(), &place.folders()).is_ok());
}

#[test]
fn a_lock_file_that_pins_nothing_is_one_too() {
    let place = Place::new();
    place.put("store", "acme/tools@1.2.0", "text");
    assert_eq!(place.found("acme/tools@1.2.0"), "acme/tools@1.2.0: text");
    write_lock(&place.project(), &source::orbs::OrbLock::default()).unwrap();
    assert!(place.found("acme/tools@1.2.0").starts_with("is not pinned"));
}

#[test]
fn what_a_project_brings_along_is_written_into_the_project() {
    let place = Place::new();
    let project = place.project();
    let outside = place.temp.path().join("outside");
    fs::create_dir(&outside).unwrap();
    let store = OrbStore::of_project(&project);
    for link in [".popsicle", ".popsicle/orbs", ".popsicle/orbs/acme"] {
        let _ = fs::remove_dir_all(project.join(".popsicle"));
        let path = project.join(link);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(&outside, &path).unwrap();
        let refused = store.put(&reference("acme/tools@1.2.0"), b"text", true);
        assert!(matches!(refused, Err(StoreOrbError::Link(at)) if at == path));
        fs::remove_file(&path).unwrap();
    }
    let _ = fs::remove_dir_all(project.join(".popsicle"));
    std::os::unix::fs::symlink(&outside, project.join(".popsicle")).unwrap();
    let refused = write_lock(&project, &source::orbs::OrbLock::default());
    assert!(matches!(refused, Err(StoreOrbError::Link(_))));
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
}

#[test]
fn only_what_is_kept_stays() {
    let place = Place::new();
    let store = OrbStore::of_project(&place.project());
    let address = "https://example.com/orb.yml";
    for orb in [
        "acme/tools@1.2.0",
        "acme/tools@1.3.0",
        "acme/old@1.0.0",
        address,
    ] {
        store.put(&reference(orb), b"text", true).unwrap();
    }
    fs::write(store.folder().join("README"), "orbs").unwrap();
    let removed = store.keep_only(&[&reference("acme/tools@1.3.0")]).unwrap();
    let removed: Vec<String> = removed.iter().map(ToString::to_string).collect();
    assert_eq!(removed, ["acme/old@1.0.0", "acme/tools@1.2.0", address]);
    let left = store.list().unwrap();
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].reference, reference("acme/tools@1.3.0"));
    assert!(store.folder().join("README").exists());
    assert_eq!(
        fs::read_dir(store.folder().join("@url")).unwrap().count(),
        0
    );
}

#[test]
fn a_released_version_does_not_change() {
    let temp = tempfile::tempdir().unwrap();
    let store = OrbStore::new(temp.path().join("store"));
    let release = reference("acme/tools@1.0.0");
    let path = store.put(&release, b"one", false).unwrap();
    store.put(&release, b"one", false).unwrap();
    let refused = store.put(&release, b"two", false);
    assert!(matches!(refused, Err(StoreOrbError::Differs { .. })));
    store.put(&release, b"two", true).unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"two");
    // Nothing half-written is left beside it.
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);

    let range = store.put(&reference("acme/tools@1"), b"", false);
    assert!(matches!(range, Err(StoreOrbError::NotExact { .. })));
    let large = store.put(&release, &vec![b'#'; MAX_ORB_BYTES + 1], true);
    assert!(matches!(large, Err(StoreOrbError::TooLarge { .. })));
}

#[tokio::test]
async fn a_commit_brings_its_orbs_along() {
    let world = World::new();
    let orb = world.remote().join(VENDORED_DIR).join("acme");
    fs::create_dir_all(&orb).unwrap();
    fs::write(orb.join("tools@1.2.0.yml"), "committed").unwrap();
    std::os::unix::fs::symlink("/etc/passwd", orb.join("tools@2.0.0.yml")).unwrap();
    world.git(&["add", "."]);
    world.git(&["commit", "-q", "-m", "Bring orbs along"]);
    let commit = world.git(&["rev-parse", "HEAD"]);
    let tree = world.fetch(&commit.trim().parse().unwrap()).await.unwrap();
    let finder = OrbFinder::of_tree(&tree, &OrbFolders::default())
        .await
        .unwrap();
    let looked = tokio::task::spawn_blocking(move || {
        (told(&finder, "acme/tools@1"), told(&finder, "acme/tools@2"))
    });
    let (found, outside) = looked.await.unwrap();
    assert_eq!(found, "acme/tools@1.2.0: committed");
    assert!(outside.contains("leads out of the repository"), "{outside}");
}

/// A registry that always gives this answer.
async fn registry(answer: String) -> OrbRegistry {
    // Refused only where there is one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/graphql", listener.local_addr().unwrap());
    let app = Router::new().route("/graphql", post(async move || answer.clone()));
    tokio::spawn(async move { axum::serve(listener, app).await });
    OrbRegistry::new(url.parse().unwrap()).unwrap()
}

#[tokio::test]
async fn a_registry_gives_an_orb_or_says_why_not() {
    let asked = reference("acme/tools@1");
    let good = r#"{"data": {"orbVersion": {"version": "1.2.3", "source": "version: 2.1\n"}}}"#;
    let fetched = registry(good.to_owned()).await.fetch(&asked).await.unwrap();
    assert_eq!(fetched.reference, reference("acme/tools@1.2.3"));
    assert_eq!(fetched.text, b"version: 2.1\n");

    let large = format!(
        r#"{{"data": {{"orbVersion": {{"version": "1.2.3", "source": "{}"}}}}}}"#,
        "x".repeat(MAX_ORB_BYTES + 1)
    );
    for (answer, why) in [
        (
            r#"{"data": {"orbVersion": null}}"#.to_owned(),
            "no such orb",
        ),
        (
            r#"{"errors": [{"message": "be quiet"}]}"#.to_owned(),
            "be quiet",
        ),
        (
            // Of a terminal's codes, nothing is left to steer it.
            r#"{"errors": [{"message": "a\u001b[2J\u202eb\nc"}]}"#.to_owned(),
            ": a [2Jb c",
        ),
        (
            format!(
                r#"{{"errors": [{{"message": "{}"}}]}}"#,
                "y".repeat(100_000)
            ),
            &format!(": {}…", "y".repeat(500)),
        ),
        ("<html>".to_owned(), "not a registry's"),
        (good.replace("1.2.3", "2.0.0"), "`2.0.0`"),
        (good.replace("1.2.3", "../../x"), "`../../x`"),
        (large, "larger than 1024 KiB"),
        ("x".repeat(7 * MAX_ORB_BYTES), "larger than 1024 KiB"),
    ] {
        let error = registry(answer).await.fetch(&asked).await.unwrap_err();
        assert!(matches!(error, FetchError::Refused { .. }), "{error}");
        assert!(error.to_string().contains(why), "{error}");
    }
}

#[tokio::test]
async fn a_registry_that_is_not_there_is_named() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    // A port that was free a moment ago.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/graphql", free.local_addr().unwrap());
    drop(free);
    let registry = OrbRegistry::new(url.parse().unwrap()).unwrap();
    let error = registry.fetch(&reference("acme/tools@1")).await;
    let error = error.unwrap_err().to_string();
    assert!(error.starts_with(&format!("could not reach `{url}` for acme/tools@1")));
}

#[test]
fn an_unpacked_orb_is_read_with_its_scripts() {
    let temp = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = temp.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    assert!(read_unpacked(temp.path()).is_err());
    write("src/@orb.yml", "version: 2.1");
    write("src/commands/greet.yml", "steps: []");
    write("src/scripts/greet.sh", "echo");
    write("README.md", "not of the source");
    let files = read_unpacked(temp.path()).unwrap();
    let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        ["@orb.yml", "commands/greet.yml", "scripts/greet.sh"]
    );
    assert_eq!(read_unpacked(&temp.path().join("src")).unwrap(), files);
    std::os::unix::fs::symlink("/etc/passwd", temp.path().join("src/link")).unwrap();
    assert_eq!(read_unpacked(Path::new(temp.path())).unwrap(), files);
}
