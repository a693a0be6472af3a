//! The documents that an image consists of: index, manifest, configuration; of OCI's form and Docker's, which
//! have the same keys.

use serde::Deserialize;

use crate::ImageError;
use crate::digest::digits;

/// The bytes of a document at most.
pub(crate) const DOCUMENT_BYTES: u64 = 4 << 20;
/// The layers of an image at most: overlayfs stacks no more.
const LAYERS: usize = 500;

/// Something that is found by its digest.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    #[serde(default)]
    pub media_type: String,
    pub digest: String,
    pub size: u64,
    pub platform: Option<Platform>,
    #[serde(default)]
    pub annotations: std::collections::BTreeMap<String, String>,
}

/// What an image is made for.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Platform {
    #[serde(default)]
    pub architecture: String,
    #[serde(default)]
    pub os: String,
    #[serde(default)]
    pub variant: String,
}

/// An index, which has `manifests`, or a manifest, which has a `config` and `layers`.
#[derive(Debug, Deserialize)]
pub(crate) struct Manifest {
    pub config: Option<Descriptor>,
    #[serde(default)]
    pub layers: Vec<Descriptor>,
    #[serde(default)]
    pub manifests: Vec<Descriptor>,
}

/// What of an image's configuration matters here.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Config {
    #[serde(flatten)]
    pub platform: Platform,
    #[serde(default)]
    pub config: Execution,
    #[serde(default)]
    pub rootfs: Rootfs,
}

/// How it wants to be run.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Execution {
    #[serde(default)]
    pub user: Option<String>,
    #[serde(default)]
    pub env: Option<Vec<String>>,
}

/// Its layers, unpacked.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Rootfs {
    #[serde(default)]
    pub diff_ids: Vec<String>,
}

/// This machine, in the words of images.
pub(crate) fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        "powerpc64" => "ppc64le",
        "loongarch64" => "loong64",
        other => other,
    }
}

/// Reads a document of the image `name`.
pub(crate) fn read<'a, T: Deserialize<'a>>(
    name: &str,
    what: &str,
    text: &'a [u8],
) -> Result<T, ImageError> {
    serde_json::from_slice(text).map_err(|cause| {
        ImageError::Rejected(format!(
            "the {what} of image `{name}` can't be read: {cause}"
        ))
    })
}

impl Manifest {
    /// The manifest for this machine, out of an index.
    pub(crate) fn choose(&self, name: &str) -> Result<&Descriptor, ImageError> {
        let fits =
            |platform: &Platform| platform.os == "linux" && platform.architecture == architecture();
        let fitting = self
            .manifests
            .iter()
            .filter(|manifest| manifest.platform.as_ref().is_some_and(fits));
        // The plainest: what needs newer processors has a variant.
        let chosen = fitting.min_by_key(|manifest| {
            let variant = manifest
                .platform
                .as_ref()
                .map(|platform| platform.variant.as_str());
            match variant {
                Some("" | "v1" | "v8") => 0,
                Some(_) | None => 1,
            }
        });
        // An index of one, as some tools write it, need not say what it is for; its configuration does.
        let only = match self.manifests.as_slice() {
            [only] if only.platform.is_none() => Some(only),
            _ => None,
        };
        chosen.or(only).ok_or_else(|| {
            let there = self
                .manifests
                .iter()
                .filter_map(|manifest| manifest.platform.as_ref())
                .filter(|platform| platform.os != "unknown")
                .map(Platform::to_string)
                .collect::<Vec<_>>();
            wrong_platform(name, &there)
        })
    }

    /// Its configuration's place, if it is the manifest of an image that can be run.
    pub(crate) fn config(&self, name: &str) -> Result<&Descriptor, ImageError> {
        let no = |why: &str| ImageError::Rejected(format!("`{name}` can't be run: {why}"));
        if self.layers.len() > LAYERS {
            return Err(no("it has too many layers"));
        }
        for layer in &self.layers {
            let kind = &layer.media_type;
            if kind.contains("encrypted") {
                return Err(no("its layers are encrypted"));
            }
            if !kind.is_empty() && !kind.contains("tar") {
                return Err(no(&format!("it is no image of a container (`{kind}`)")));
            }
        }
        let known = self.config.iter().chain(&self.layers);
        for descriptor in known {
            if digits(&descriptor.digest).is_none() {
                let digest = &descriptor.digest;
                return Err(no(&format!("its digest `{digest}` is no SHA-256")));
            }
        }
        let config = self.config.as_ref();
        let config = config.ok_or_else(|| no("its manifest names no configuration"))?;
        if config.size > DOCUMENT_BYTES {
            return Err(no("its configuration is too large"));
        }
        Ok(config)
    }
}

impl Config {
    /// Refuses what is made for other machines, or has other layers than its manifest.
    pub(crate) fn check(&self, name: &str, layers: usize) -> Result<(), ImageError> {
        let Platform {
            architecture: theirs,
            os,
            ..
        } = &self.platform;
        let is_other = |said: &str, ours: &str| !said.is_empty() && said != ours;
        if is_other(os, "linux") || is_other(theirs, architecture()) {
            return Err(wrong_platform(name, &[self.platform.to_string()]));
        }
        let diff_ids = &self.rootfs.diff_ids;
        if diff_ids.len() != layers || diff_ids.iter().any(|id| digits(id).is_none()) {
            return Err(ImageError::Rejected(format!(
                "image `{name}` can't be used: its manifest and its configuration name different layers"
            )));
        }
        Ok(())
    }
}

impl std::fmt::Display for Platform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match self.variant.as_str() {
            "" => Ok(()),
            variant => write!(f, "/{variant}"),
        }
    }
}

fn wrong_platform(name: &str, there: &[String]) -> ImageError {
    let there = match there {
        [] => "nothing that can be run".to_owned(),
        there => there.join(", "),
    };
    ImageError::Rejected(format!(
        "image `{name}` is not made for this machine (linux/{}): there is {there}",
        architecture()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(platforms: &[(&str, &str, &str)]) -> Manifest {
        let manifests = platforms.iter().map(|(os, architecture, variant)| {
            format!(
                r#"{{"digest": "{os}{architecture}{variant}", "size": 1, "platform":
                    {{"os": "{os}", "architecture": "{architecture}", "variant": "{variant}"}}}}"#
            )
        });
        let text = manifests.collect::<Vec<_>>().join(",");
        read(
            "x",
            "index",
            format!(r#"{{"manifests": [{text}]}}"#).as_bytes(),
        )
        .unwrap()
    }

    #[test]
    fn an_index_is_asked_for_this_machine() {
        let ours = architecture();
        let manifest = index(&[
            ("windows", ours, ""),
            ("linux", "s390x", ""),
            ("linux", ours, "v3"),
            ("linux", ours, ""),
        ]);
        assert_eq!(manifest.choose("x").unwrap().digest, format!("linux{ours}"));
        let foreign = index(&[("linux", "s390x", ""), ("unknown", "unknown", "")]);
        let error = foreign.choose("x").unwrap_err().to_string();
        assert!(error.ends_with("there is linux/s390x"), "{error}");
    }

    #[test]
    fn what_is_no_image_is_refused() {
        let digest = crate::digest::of(b"");
        for (text, why) in [
            ("{}".to_owned(), "names no configuration"),
            (
                format!(r#"{{"config": {{"digest": "{digest}", "size": 9999999}}}}"#),
                "too large",
            ),
            (
                r#"{"config": {"digest": "sha256:../x", "size": 1}}"#.to_owned(),
                "no SHA-256",
            ),
            (
                format!(
                    r#"{{"config": {{"digest": "{digest}", "size": 1}}, "layers":
                        [{{"mediaType": "application/vnd.in-toto+json", "digest": "{digest}", "size": 1}}]}}"#
                ),
                "no image of a container",
            ),
        ] {
            let manifest: Manifest = read("x", "manifest", text.as_bytes()).unwrap();
            let error = manifest.config("x").unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
        let config: Config = read("x", "config", br#"{"architecture": "s390x"}"#).unwrap();
        let error = config.check("x", 0).unwrap_err().to_string();
        assert!(error.contains("not made for this machine"), "{error}");
        let error = Config::default().check("x", 1).unwrap_err().to_string();
        assert!(error.contains("different layers"), "{error}");
    }
}
