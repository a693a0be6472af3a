//! Making room.

use std::fs;
use std::time::{Duration, SystemTime};

use image::{Held, ImageName, Keep, Origin};

use super::made::{World, architecture, is_root, lay_out, layer, made};

/// Takes an image of so many bytes in, and of a layer that others have too.
fn take_in(world: &World, name: &str, bytes: usize) -> Held {
    let layout = world.folder.path().join(name);
    let layers = [
        layer(&[("common", &"c".repeat(1000))]),
        layer(&[(name, &"x".repeat(bytes))]),
    ];
    lay_out(
        &layout,
        &made(&layers, architecture()),
        &format!("localhost/{name}:1"),
    );
    let mut held = world.store.import(&layout, None, Origin::Import).unwrap();
    held.remove(0)
}

/// Makes an image one that was used so long ago.
fn age(world: &World, name: &str, hours: u64) {
    for path in world.entries("images") {
        if fs::read_to_string(&path)
            .unwrap()
            .contains(&format!("localhost/{name}:1"))
        {
            let then = SystemTime::now() - Duration::from_secs(hours * 3600);
            let record = fs::File::options().append(true).open(path).unwrap();
            record.set_modified(then).unwrap();
        }
    }
}

fn names(world: &World) -> Vec<String> {
    let images = world.store.list().unwrap().into_iter();
    images.map(|image| image.name).collect()
}

#[test]
fn the_least_recently_used_go_and_what_is_in_use_stays() {
    if !is_root() {
        return;
    }
    let world = World::with(|settings| settings.limit_bytes = 5500);
    let held = take_in(&world, "held", 2000);
    drop(take_in(&world, "old", 2000));
    drop(take_in(&world, "new", 2000));
    age(&world, "held", 3);
    age(&world, "old", 2);
    age(&world, "new", 1);
    assert_eq!(
        names(&world),
        ["localhost/new:1", "localhost/old:1", "localhost/held:1"]
    );

    // What all have in common stays with the one that is held, and keeps no other.
    let pruned = world.store.prune(Keep::Limit).unwrap();
    assert_eq!(pruned.images, ["localhost/old:1"]);
    assert_eq!((pruned.layers, pruned.bytes), (1, 2000));
    drop(take_in(&world, "old", 2000));
    age(&world, "old", 2);
    // Used once more, the oldest is the newest.
    drop(held);
    let name = ImageName::parse("localhost/held:1").unwrap();
    drop(world.store.find(&name).unwrap().unwrap());
    let pruned = world.store.prune(Keep::Limit).unwrap();
    assert_eq!(pruned.images, ["localhost/old:1"]);
    assert_eq!((pruned.layers, pruned.bytes), (1, 2000));
    assert_eq!(names(&world), ["localhost/held:1", "localhost/new:1"]);

    let held = world.store.find(&name).unwrap().unwrap();
    // Whoever has a share in each layer, as a job has, holds the image too.
    let layers = held
        .layers
        .iter()
        .map(|layer| image::share(&layer.lock).unwrap());
    let layers = layers.collect::<Vec<_>>();
    drop(held);
    let pruned = world.store.prune(Keep::Used).unwrap();
    assert_eq!(pruned.images, ["localhost/new:1"]);
    drop(layers);
    assert_eq!(world.store.prune(Keep::Used).unwrap().layers, 2);
    assert!(world.entries("layers").is_empty() && world.entries("locks").is_empty());
    assert!(world.store.find(&name).unwrap().is_none());
}

#[test]
fn what_died_on_its_way_is_removed() {
    if !is_root() {
        return;
    }
    let world = World::new();
    drop(take_in(&world, "a", 10));
    let root = world.folder.path().join("images");
    let digits = "0".repeat(64);
    fs::write(root.join(format!("tmp/{digits}.part")), "half").unwrap();
    fs::create_dir_all(root.join("tmp").join(&digits).join("tree")).unwrap();
    fs::create_dir_all(root.join("layers").join(&digits).join("tree")).unwrap();
    let pruned = world.store.prune(Keep::Limit).unwrap();
    assert_eq!(
        (pruned.images.len(), pruned.layers),
        (0, 1),
        "one that no image has"
    );
    assert!(world.entries("tmp").is_empty());
    assert_eq!(world.entries("layers").len(), 2);
}
