//! Images out of files.

use std::fs;
use std::path::{Path, PathBuf};

use image::{ImageError, ImageName, Origin};
use serde_json::json;

use super::made::{
    Made, World, architecture, digest, gzipped, is_root, lay_out, layer, made, text,
};

fn image() -> (Vec<u8>, Made) {
    let layer = layer(&[("etc/a", "here")]);
    (layer.clone(), made(&[layer], architecture()))
}

fn archive(folder: &Path) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    archive.append_dir_all(".", folder).unwrap();
    archive.into_inner().unwrap()
}

/// As `docker save` has written it for years.
fn saved(folder: &Path, layer: &[u8], config: &[u8], layers: &[&str]) -> PathBuf {
    let path = folder.join("saved");
    fs::create_dir_all(path.join("abc")).unwrap();
    fs::write(path.join("abc/layer.tar"), layer).unwrap();
    fs::write(path.join("config.json"), config).unwrap();
    let manifest = json!([{"Config": "config.json", "RepoTags": ["saved:1"], "Layers": layers}]);
    fs::write(path.join("manifest.json"), manifest.to_string()).unwrap();
    path
}

#[test]
fn layouts_and_archives_are_taken_in() {
    if !is_root() {
        return;
    }
    let world = World::new();
    let (layer, image) = image();
    let layout = world.folder.path().join("layout");
    lay_out(&layout, &image, "localhost/laid/out:1");
    let saved = saved(
        world.folder.path(),
        &layer,
        &image.config,
        &["abc/layer.tar"],
    );
    let file = |name: &str, bytes: &[u8]| {
        let path = world.folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    let (plain, packed) = (archive(&layout), gzipped(&archive(&saved)));
    let wanted = ImageName::parse("given:2").unwrap();
    for (path, name, expected) in [
        (layout, None, "localhost/laid/out:1"),
        (
            file("layout.tar", &plain),
            Some(&wanted),
            "docker.io/library/given:2",
        ),
        (saved, None, "docker.io/library/saved:1"),
        (
            file("saved.tgz", &packed),
            Some(&wanted),
            "docker.io/library/given:2",
        ),
    ] {
        let held = world.store.import(&path, name, Origin::Import).unwrap();
        assert_eq!(held.len(), 1);
        assert_eq!(held[0].image.name, expected);
        assert_eq!(held[0].image.id, digest(&image.config));
        assert_eq!(text(&held[0], 0, "etc/a"), "here");
    }
    assert_eq!(world.entries("layers").len(), 1);
    assert_eq!(world.store.list().unwrap().len(), 3);
    assert!(world.entries("tmp").is_empty());
}

#[test]
fn what_is_no_image_is_told() {
    if !is_root() {
        return;
    }
    let world = World::new();
    let (layer, image) = image();
    let refused = |path: &Path| match world.store.import(path, None, Origin::Import) {
        Err(ImageError::Rejected(why)) => why,
        other => panic!("not refused: {other:?}"),
    };
    let empty = tempfile::tempdir().unwrap();
    assert!(refused(empty.path()).contains("neither an OCI layout nor"));
    let text = empty.path().join("text");
    fs::write(&text, "hello").unwrap();
    assert!(refused(&text).contains("neither an OCI layout nor what `docker save` writes"));

    let nameless = tempfile::tempdir().unwrap();
    lay_out(nameless.path(), &image, "latest");
    assert!(refused(nameless.path()).contains("has no name"));

    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("layer.tar"), &layer).unwrap();
    let path = saved(outside.path(), &layer, &image.config, &["../layer.tar"]);
    assert!(refused(&path).contains("lacks `../layer.tar`"));
    let other = super::made::layer(&[("etc/a", "other")]);
    let path = saved(outside.path(), &other, &image.config, &["abc/layer.tar"]);
    assert!(refused(&path).contains("not what its configuration says"));
    let foreign = made(&[layer], "s390x");
    let path = saved(outside.path(), b"", &foreign.config, &["abc/layer.tar"]);
    assert!(refused(&path).contains("not made for this machine"));

    let forged = tempfile::tempdir().unwrap();
    lay_out(forged.path(), &image, "localhost/a:1");
    let config = digest(&image.config);
    let blob = forged
        .path()
        .join("blobs/sha256")
        .join(&config["sha256:".len()..]);
    fs::write(&blob, "{}").unwrap();
    assert!(refused(forged.path()).contains(&config));
    assert!(world.entries("layers").is_empty() && world.entries("images").is_empty());
    let missing = world
        .store
        .import(Path::new("/no/such"), None, Origin::Import);
    assert!(matches!(missing, Err(ImageError::Io { .. })), "{missing:?}");
}
