//! Pulls that go well, from a real registry.

use image::ImageError;
use serde_json::json;

use super::made::{Registry, World, architecture, digest, is_root, layer, made, text};

fn two_layers() -> Vec<Vec<u8>> {
    vec![
        layer(&[("etc/a", "below"), ("etc/gone", "x")]),
        layer(&[("etc/b", "above"), ("etc/.wh.gone", "")]),
    ]
}

#[tokio::test]
async fn an_image_is_pulled_once_and_is_there_from_then_on() {
    if !is_root() {
        return;
    }
    let Some(registry) = Registry::start() else {
        return;
    };
    let image = made(&two_layers(), architecture());
    let name = registry.push("two/layers:1", &image).await;
    let world = World::new();
    let held = futures_util::future::join_all([(); 3].map(|()| world.provide(&name))).await;
    for held in held {
        let held = held.unwrap();
        assert_eq!(text(&held, 0, "etc/b"), "above", "the topmost first");
        assert_eq!(text(&held, 1, "etc/a"), "below");
        assert!(
            held.layers[0]
                .tree
                .join("etc/gone")
                .symlink_metadata()
                .is_ok()
        );
        assert_eq!(
            (held.image.user.as_str(), held.image.environment.len()),
            ("circleci", 1)
        );
        assert_eq!(held.image.digest, digest(&image.manifest));
        assert_eq!(held.image.id, digest(&image.config));
    }
    assert_eq!(world.said("Pulling image"), 1);
    assert_eq!(world.said("Waiting for image"), 2);
    assert_eq!(world.said(&format!("Pulled {name} (sha256:")), 1);
    assert!(world.entries("tmp").is_empty());
    drop(registry);
    // Nobody is asked any more.
    world.provide(&name).await.unwrap();
    assert_eq!(world.said(""), 4);
    assert_eq!(world.store.list().unwrap().len(), 1);
}

#[tokio::test]
async fn a_layer_of_two_images_or_twice_of_one_is_there_once() {
    if !is_root() {
        return;
    }
    let Some(registry) = Registry::start() else {
        return;
    };
    let mut layers = two_layers();
    let first = registry
        .push("first:1", &made(&layers, architecture()))
        .await;
    layers.push(layers[0].clone());
    let second = registry
        .push("second:1", &made(&layers, architecture()))
        .await;
    let world = World::new();
    let (first, second) = tokio::join!(world.provide(&first), world.provide(&second));
    assert_eq!(first.unwrap().layers.len(), 2);
    let second = second.unwrap();
    assert_eq!((second.layers.len(), second.image.layers.len()), (2, 3));
    assert_eq!(text(&second, 0, "etc/a"), "below", "where it is seen");
    assert_eq!(world.entries("layers").len(), 2);
}

#[tokio::test]
async fn of_an_index_this_machines_image_is_taken() {
    if !is_root() {
        return;
    }
    let Some(registry) = Registry::start() else {
        return;
    };
    let ours = made(&two_layers(), architecture());
    let theirs = made(&two_layers(), "s390x");
    registry.push("many:ours", &ours).await;
    let foreign = registry.push("many:theirs", &theirs).await;
    let entry = |image: &super::made::Made, architecture: &str| {
        json!({
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": digest(&image.manifest),
            "size": image.manifest.len(),
            "platform": {"os": "linux", "architecture": architecture},
        })
    };
    let index = |entries: &[serde_json::Value]| {
        let index = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": entries,
        });
        serde_json::to_vec(&index).unwrap()
    };
    let both = index(&[entry(&theirs, "s390x"), entry(&ours, architecture())]);
    let name = format!("{}/many:both", registry.host);
    registry.push_manifest(&name, &both).await;
    let world = World::new();
    let held = world.provide(&name).await.unwrap();
    assert_eq!(held.image.id, digest(&ours.config));
    assert_eq!(held.image.digest, digest(&both));
    let by_digest = format!("{}/many@{}", registry.host, digest(&both));
    world.provide(&by_digest).await.unwrap();

    let name = format!("{}/many:other", registry.host);
    registry
        .push_manifest(&name, &index(&[entry(&theirs, "s390x")]))
        .await;
    for name in [name, foreign] {
        let error = world.provide(&name).await.unwrap_err();
        assert!(matches!(error, ImageError::Rejected(_)), "{error}");
        let error = error.to_string();
        assert!(
            error.contains(&name) && error.contains("there is linux/s390x"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn what_no_one_has_is_told_from_a_registry_that_is_away() {
    if !is_root() {
        return;
    }
    let Some(registry) = Registry::start() else {
        return;
    };
    let world = World::new();
    let name = format!("{}/never/made:1", registry.host);
    let error = world.provide(&name).await.unwrap_err();
    assert!(matches!(error, ImageError::Rejected(_)), "{error}");
    assert!(error.to_string().contains("check its name"), "{error}");
    let error = world.provide("127.0.0.1:1/away/image:1").await.unwrap_err();
    assert!(matches!(error, ImageError::Unavailable { .. }), "{error}");
    assert!(error.to_string().contains("refused"), "{error}");
    assert!(world.entries("images").is_empty());
}
