//! `docker` and `machine`: where a job's steps run.

use model::{ImageSpec, RunsIn};

use crate::read::{Entry, Key, Map, Node, Value};

use super::environment::{Names, environment};
use super::reader::{Reader, UnknownKeys};
use super::unsupported as no;
use super::{at, at_item, is_empty};

/// The keys of an entry of `docker`.
const IMAGE_KEYS: &[&str] = &[
    "image",
    "name",
    "user",
    "environment",
    "entrypoint",
    "command",
    "auth",
    "aws_auth",
];

/// The keys of `machine` as a map.
const MACHINE_KEYS: &[&str] = &["image", "enabled", "docker_layer_caching", "resource_class"];

/// Reads it out of a job. None if there is none, or if it is wrong; that has been told then.
pub(super) fn runs_in(job: &Key, map: &Map, reader: &mut Reader<'_, '_>) -> Option<RunsIn> {
    if let Some(entry) = map.get("executor") {
        reader.unsupported(entry.key.region, no::EXECUTORS);
        return None;
    }
    if let Some(entry) = map.get("macos") {
        reader.unsupported(entry.key.region, no::MACOS);
        return None;
    }
    let docker = map.get("docker");
    let machine = map
        .get("machine")
        .filter(|entry| entry.value.as_bool() != Some(false));
    match (docker, machine) {
        (Some(docker), None) => images(docker, reader),
        (None, Some(entry)) => machine_is_right(entry, reader).then_some(RunsIn::Machine),
        (Some(docker), Some(machine)) => {
            let related = reader
                .problems
                .related(docker.key.region, "`docker` is here");
            reader
                .problems
                .error(
                    machine.key.region,
                    format!("job `{}` has both `docker` and `machine`", job.text),
                )
                .help("keep one")
                .related(related);
            None
        }
        (None, None) => {
            reader
                .problems
                .error(
                    job.region,
                    format!("job `{}` does not say where it runs", job.text),
                )
                .help("add `docker: [{image: …}]` or `machine: true`");
            None
        }
    }
}

fn images(entry: &Entry, reader: &mut Reader<'_, '_>) -> Option<RunsIn> {
    let Entry { key, value } = entry;
    let items = match &value.value {
        Value::List(items) if !items.is_empty() => items,
        Value::List(_) => {
            reader
                .problems
                .error(key.region, "`docker` holds no image")
                .help("add `- image: …`");
            return None;
        }
        Value::Map(_) | Value::Scalar(_) => {
            reader
                .problems
                .error(
                    at(key, value),
                    format!(
                        "`docker` must be a list of images, not {}",
                        value.describe()
                    ),
                )
                .help("write `- image: …` below it");
            return None;
        }
    };
    let images: Vec<Option<ImageSpec>> =
        items.iter().map(|item| image(key, item, reader)).collect();
    if let Some(service) = items.get(1) {
        reader.unsupported(service.region, no::SERVICES);
    }
    images
        .into_iter()
        .collect::<Option<Vec<_>>>()
        .map(RunsIn::Containers)
}

fn image(docker: &Key, item: &Node, reader: &mut Reader<'_, '_>) -> Option<ImageSpec> {
    let Value::Map(map) = &item.value else {
        reader
            .problems
            .error(
                at_item(docker, item),
                format!(
                    "an entry of `docker` must be a map, not {}",
                    item.describe()
                ),
            )
            .help("write `- image: …`");
        return None;
    };
    let mut spec = ImageSpec::default();
    let mut image = None;
    for entry in map.iter() {
        let Entry { key, value } = entry;
        match &*key.text {
            "image" => image = image_reference(key, value, reader),
            "user" => spec.user = reader.optional_text(key, value),
            "environment" => spec.environment = environment(entry, Names::Any, reader),
            "name" | "entrypoint" | "command" => reader.unsupported(key.region, no::IMAGE_OPTIONS),
            "auth" | "aws_auth" => reader.unsupported(key.region, no::IMAGE_AUTH),
            _ => reader.unknown_key(key, "an image", IMAGE_KEYS, UnknownKeys::Refused),
        }
    }
    if map.get("image").is_none() {
        reader
            .problems
            .error(item.region, "an entry of `docker` has no `image`")
            .help("add `image: …`");
    }
    spec.image = image?;
    Some(spec)
}

fn image_reference(key: &Key, value: &Node, reader: &mut Reader<'_, '_>) -> Option<String> {
    let image = reader.text(key, value)?;
    let is_expression = reader.is_expression(&image);
    if image.is_empty() || (!is_expression && image.contains(char::is_whitespace)) {
        reader.problems.error(
            at(key, value),
            format!("`{image}` can't be the name of an image"),
        );
        return None;
    }
    Some(image)
}

/// Whether `machine` asks for something that there can be here.
fn machine_is_right(entry: &Entry, reader: &mut Reader<'_, '_>) -> bool {
    let Entry { key, value } = entry;
    match &value.value {
        Value::Scalar(scalar) if scalar.as_bool().is_some() => true,
        Value::Scalar(scalar) if !scalar.is_null() => machine_image(key, value, reader),
        Value::Map(map) if !is_empty(value) => {
            let mut right = true;
            for Entry { key, value } in map.iter() {
                match &*key.text {
                    "image" => right &= machine_image(key, value, reader),
                    "resource_class" => reader.unsupported(key.region, no::RESOURCE_CLASS),
                    "enabled" | "docker_layer_caching" => {}
                    _ => reader.unknown_key(key, "`machine`", MACHINE_KEYS, UnknownKeys::Refused),
                }
            }
            right
        }
        Value::Scalar(_) | Value::Map(_) | Value::List(_) => {
            reader
                .problems
                .error(
                    at(key, value),
                    format!(
                        "`machine` must be `true` or name an image, not {}",
                        value.describe()
                    ),
                )
                .help("write `machine: true`");
            false
        }
    }
}

fn machine_image(key: &Key, value: &Node, reader: &mut Reader<'_, '_>) -> bool {
    let Some(image) = reader.text(key, value) else {
        return false;
    };
    let is_windows = image.starts_with("windows");
    let feature = if is_windows {
        no::WINDOWS
    } else {
        no::MACHINE_IMAGE
    };
    reader.unsupported(at(key, value), feature);
    !is_windows
}
