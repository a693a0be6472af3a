//! `docker` and `machine`: where a job's steps run.

use model::{ForeignSystem, ImageAuth, ImageSpec, RunsIn};

use crate::keys::Place;
use crate::read::{Entry, Key, Map, Node, Value};

use super::environment::{Names, environment};
use super::ignored as no;
use super::reader::{Reader, UnknownKeys, is_unknown};
use super::{at_item, is_empty};

/// The ways to say where a job runs.
const PLACES: [&str; 4] = ["docker", "machine", "macos", "windows"];

/// Reads it out of a job. None if there is none, or if it is wrong; that has been told then.
pub(super) fn runs_in(job: &Key, map: &Map, reader: &mut Reader<'_>) -> Option<RunsIn> {
    let mut places = map
        .iter()
        .filter(|entry| PLACES.contains(&&*entry.key.text) && entry.value.as_bool() != Some(false));
    let Some(first) = places.next() else {
        tell_no_place(job, map, reader);
        return None;
    };
    if let Some(second) = places.next() {
        let related = reader
            .problems
            .related(first.key.region, format!("`{}` is here", first.key.text));
        reader
            .problems
            .error(
                second.key.region,
                format!(
                    "job `{}` has both `{}` and `{}`",
                    job.text, first.key.text, second.key.text
                ),
            )
            .help("keep one")
            .related(related);
        return None;
    }
    match &*first.key.text {
        "docker" => images(first, reader),
        "machine" => machine(first, map, reader),
        "macos" => macos(first, reader),
        _ => Some(RunsIn::Foreign {
            system: ForeignSystem::Windows,
            image: String::new(),
        }),
    }
}

fn tell_no_place(job: &Key, map: &Map, reader: &mut Reader<'_>) {
    // An executor that does not exist, or is of an orb that is not at hand, has been told.
    // So was an `image` in the job itself.
    if map.get("executor").is_some()
        || map.get("image").is_some()
        || map.iter().any(|entry| is_unknown(&entry.key.text))
    {
        return;
    }
    reader
        .problems
        .error(
            job.region,
            format!("job `{}` does not say where it runs", job.text),
        )
        .help("add `docker: [{image: …}]` or `machine: true`");
}

fn macos(entry: &Entry, reader: &mut Reader<'_>) -> Option<RunsIn> {
    let Entry { key, value } = entry;
    let map = reader.map(key, value)?;
    let mut xcode = None;
    for Entry { key, value } in map.iter() {
        match Place::Macos.own(&key.text) {
            "xcode" => xcode = reader.text(key, value),
            "resource_class" | "shell" | "code_signing" => {}
            _ => reader.unknown_key(key, "`macos`", Place::Macos, UnknownKeys::Refused),
        }
    }
    if map.get("xcode").is_none() {
        reader
            .problems
            .error(key.region, "`macos` has no `xcode`")
            .help("add the version: `xcode: 16.4.0`");
    }
    Some(RunsIn::Foreign {
        system: ForeignSystem::Macos,
        image: xcode?,
    })
}

fn images(entry: &Entry, reader: &mut Reader<'_>) -> Option<RunsIn> {
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
                .error_of(
                    key,
                    value,
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
    images
        .into_iter()
        .collect::<Option<Vec<_>>>()
        .map(RunsIn::Containers)
}

fn image(docker: &Key, item: &Node, reader: &mut Reader<'_>) -> Option<ImageSpec> {
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
        match Place::Image.own(&key.text) {
            "image" => image = image_reference(key, value, reader),
            "name" => spec.name = reader.optional_text(key, value),
            "user" => spec.user = reader.optional_text(key, value),
            "environment" => spec.environment = environment(entry, Names::Any, reader),
            "entrypoint" => spec.entrypoint = arguments(key, value, reader),
            "command" => spec.command = arguments(key, value, reader),
            "auth" => spec.auth = auth(key, value, reader).or(spec.auth),
            "aws_auth" => spec.auth = aws_auth(key, value, reader).or(spec.auth),
            "gcp_auth" => reader.ignore(key.region, no::GCP_AUTH),
            _ => reader.unknown_key(key, "an image", Place::Image, UnknownKeys::Refused),
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

fn image_reference(key: &Key, value: &Node, reader: &mut Reader<'_>) -> Option<String> {
    let image = reader.text(key, value)?;
    if is_unknown(&image) {
        return None;
    }
    if image.is_empty() || image.contains(char::is_whitespace) {
        reader.problems.error_of(
            key,
            value,
            format!("`{image}` can't be the name of an image"),
        );
        return None;
    }
    Some(image)
}

/// A command line: a list of words, or one text that is split as a shell would.
fn arguments(key: &Key, value: &Node, reader: &mut Reader<'_>) -> Vec<String> {
    match value.as_text() {
        Some(text) => match shell_words(text) {
            Some(words) => words,
            None => {
                reader.problems.error_of(
                    key,
                    value,
                    format!("a quote in `{}` is never closed", key.text),
                );
                Vec::new()
            }
        },
        None => reader.texts(key, value),
    }
}

/// The words of a command line; none if a quote is not closed.
fn shell_words(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some('\''), c) => word.get_or_insert_default().push(c),
            (_, '\\') => {
                if let Some(next) = chars.next() {
                    word.get_or_insert_default().push(next);
                }
            }
            (Some(_), c) => word.get_or_insert_default().push(c),
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (None, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

fn auth(key: &Key, value: &Node, reader: &mut Reader<'_>) -> Option<ImageAuth> {
    let map = reader.map(key, value)?;
    for entry in map.iter() {
        if Place::Auth.key(&entry.key.text).is_none() {
            reader.unknown_key(&entry.key, "`auth`", Place::Auth, UnknownKeys::Refused);
        }
    }
    let field = |name| map.get(name).and_then(|entry| entry.value.as_text());
    match (field("username"), field("password")) {
        (Some(username), Some(password)) => Some(ImageAuth::Registry {
            username: username.to_owned(),
            password: password.to_owned(),
        }),
        (_, _) => {
            reader
                .problems
                .error(key.region, "`auth` needs a `username` and a `password`")
                .help("name variables of a context: `password: $DOCKERHUB_PASSWORD`");
            None
        }
    }
}

fn aws_auth(key: &Key, value: &Node, reader: &mut Reader<'_>) -> Option<ImageAuth> {
    let map = reader.map(key, value)?;
    for entry in map.iter() {
        if Place::AwsAuth.key(&entry.key.text).is_none() {
            let shown = "`aws_auth`";
            reader.unknown_key(&entry.key, shown, Place::AwsAuth, UnknownKeys::Refused);
        }
    }
    let field = |name| {
        let entry = map.get(name)?;
        entry.value.as_text().map(str::to_owned)
    };
    if let Some(role_arn) = field("oidc_role_arn") {
        return Some(ImageAuth::AwsRole { role_arn });
    }
    match (field("aws_access_key_id"), field("aws_secret_access_key")) {
        (Some(access_key_id), Some(secret_access_key)) => Some(ImageAuth::AwsKey {
            access_key_id,
            secret_access_key,
        }),
        (_, _) => {
            reader.problems.error(
                key.region,
                "`aws_auth` needs `aws_access_key_id` and `aws_secret_access_key`, or `oidc_role_arn`",
            );
            None
        }
    }
}

/// What a `machine` is, if there can be one.
fn machine(entry: &Entry, job: &Map, reader: &mut Reader<'_>) -> Option<RunsIn> {
    let Entry { key, value } = entry;
    let mut image = None;
    let mut resource_class = job
        .get("resource_class")
        .and_then(|entry| entry.value.as_text())
        .map(str::to_owned);
    match &value.value {
        Value::Scalar(scalar) if scalar.as_bool().is_some() => {}
        Value::Scalar(scalar) if matches!(scalar.text.as_str(), "true") => {}
        Value::Scalar(scalar) if !scalar.is_null() => {
            image = reader.text(key, value).map(|text| (text, value.place(key)));
        }
        Value::Map(map) if !is_empty(value) => {
            for Entry { key, value } in map.iter() {
                match Place::Machine.own(&key.text) {
                    "image" => {
                        let text = reader.optional_text(key, value);
                        image = text.map(|text| (text, value.place(key)));
                    }
                    "resource_class" => resource_class = reader.optional_text(key, value),
                    // The shell is the job's, and read with it.
                    "enabled" | "shell" => {}
                    "docker_layer_caching" => {
                        if reader.boolean(key, value) == Some(true) {
                            reader.ignore(key.region, no::LAYER_CACHING);
                        }
                    }
                    _ => reader.unknown_key(key, "`machine`", Place::Machine, UnknownKeys::Refused),
                }
            }
        }
        Value::Scalar(_) | Value::Map(_) | Value::List(_) => {
            reader
                .problems
                .error_of(
                    key,
                    value,
                    format!(
                        "`machine` must be `true` or name an image, not {}",
                        value.describe()
                    ),
                )
                .help("write `machine: true`");
            return None;
        }
    }
    let is_windows = |text: &str| text.to_ascii_lowercase().starts_with("windows");
    let by_class = resource_class.as_deref().is_some_and(is_windows);
    if by_class || image.as_ref().is_some_and(|(image, _)| is_windows(image)) {
        return Some(RunsIn::Foreign {
            system: ForeignSystem::Windows,
            image: image.map(|(image, _)| image).unwrap_or_default(),
        });
    }
    if let Some((image, region)) = image
        && !is_unknown(&image)
    {
        reader.ignore(region, no::MACHINE_IMAGE);
    }
    Some(RunsIn::Machine)
}

#[cfg(test)]
mod tests {
    use super::shell_words;

    #[test]
    fn command_lines_are_split_as_shells_do() {
        for (text, words) in [
            ("mysqld --a=b", Some(vec!["mysqld", "--a=b"])),
            (
                "sh -c 'a b' \"c d\"e",
                Some(vec!["sh", "-c", "a b", "c de"]),
            ),
            ("a\\ b ''", Some(vec!["a b", ""])),
            ("  ", Some(vec![])),
            ("a 'b", None),
        ] {
            let words = words.map(|words| words.into_iter().map(str::to_owned).collect());
            assert_eq!(shell_words(text), words, "{text}");
        }
    }
}
