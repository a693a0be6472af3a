//! `popsicle image`: the images on this machine that jobs run in without Docker.

use std::path::PathBuf;

use ::image::{Image, ImageError, ImageName, ImageStore, Keep, Origin, Puller, megabytes};
use clap::{Args, Subcommand};
use serde::Serialize;

use crate::error::{Exit, Failure};
use crate::output::{Output, clean, plural};
use crate::settings::{Flags, Given, Imaging, Settings};
use crate::wiring;

/// What to do.
#[derive(Debug, Subcommand)]
pub enum ImageCommand {
    /// Pull an image, or pull it anew
    Pull(PullArgs),
    /// Take images in: an OCI layout, or an archive of `docker save`
    Import(ImportArgs),
    /// List the images, those used last first
    List(ListArgs),
    /// Remove what is over the limit, and what no image needs
    Prune(PruneArgs),
}

/// Which image.
#[derive(Debug, Args)]
pub struct PullArgs {
    /// Its name, as for `docker pull`
    name: String,
    #[command(flatten)]
    common: CommonArgs,
}

/// Which file.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// A folder or an archive, which may be compressed
    path: PathBuf,
    /// What the image is called from now on, if the file holds one
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    #[command(flatten)]
    common: CommonArgs,
}

/// How to list.
#[derive(Debug, Args)]
pub struct ListArgs {
    #[command(flatten)]
    common: CommonArgs,
}

/// What to remove.
#[derive(Debug, Args)]
pub struct PruneArgs {
    /// Remove all images that no job uses now
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    common: CommonArgs,
}

/// What all of them take.
#[derive(Debug, Args)]
struct CommonArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flags: Flags<Imaging>,
}

impl ImageCommand {
    /// What was said with flags.
    pub fn given(&self) -> Given {
        self.common().flags.given.clone()
    }

    fn common(&self) -> &CommonArgs {
        match self {
            Self::Pull(args) => &args.common,
            Self::Import(args) => &args.common,
            Self::List(args) => &args.common,
            Self::Prune(args) => &args.common,
        }
    }
}

/// What is told to programs of an image.
#[derive(Debug, Serialize)]
struct Told {
    name: String,
    digest: String,
    id: String,
    origin: Origin,
    layers: usize,
    bytes: u64,
}

impl From<&Image> for Told {
    fn from(image: &Image) -> Self {
        Self {
            name: image.name.clone(),
            digest: image.digest.clone(),
            id: image.id.clone(),
            origin: image.origin,
            layers: image.layers.len(),
            bytes: image.bytes(),
        }
    }
}

/// What is told to programs of what is gone.
#[derive(Debug, Serialize)]
struct ToldPruned {
    images: Vec<String>,
    layers: usize,
    bytes: u64,
}

/// Carries out the command.
pub async fn run(
    command: &ImageCommand,
    settings: &Settings,
    out: &mut Output,
) -> Result<Exit, Failure> {
    let store = ImageStore::new(wiring::images(settings));
    let json = command.common().json;
    match command {
        ImageCommand::Pull(args) => {
            let name = ImageName::parse(&args.name)?;
            // Told while it goes on, so by something that this can't lend out.
            let say = |line: &str| Output::new().say(clean(line));
            let held = store.pull(&name, Puller::ThisUser, &say).await?;
            tell(&[held.image], json, out)?;
        }
        ImageCommand::Import(args) => {
            let name = args.name.as_deref().map(ImageName::parse).transpose()?;
            let held = store.import(&args.path, name.as_ref(), Origin::Import)?;
            let images = held.into_iter().map(|held| held.image).collect::<Vec<_>>();
            tell(&images, json, out)?;
        }
        ImageCommand::List(_) => {
            let images = store.list()?;
            if images.is_empty() && !json {
                out.say(format_args!(
                    "no images; the store is {}",
                    settings.images.display()
                ));
            }
            tell(&images, json, out)?;
        }
        ImageCommand::Prune(args) => {
            let pruned = store.prune(if args.all { Keep::Used } else { Keep::Limit })?;
            if json {
                out.json(&ToldPruned {
                    images: pruned.images,
                    layers: pruned.layers,
                    bytes: pruned.bytes,
                })?;
            } else {
                for name in &pruned.images {
                    out.line(clean(name))?;
                }
                out.say(format_args!(
                    "removed {} and {}, {}",
                    plural(pruned.images.len(), "image"),
                    plural(pruned.layers, "layer"),
                    megabytes(pruned.bytes)
                ));
            }
        }
    }
    Ok(Exit::Success)
}

fn tell(images: &[Image], json: bool, out: &mut Output) -> Result<(), Failure> {
    if json {
        return out.json(&images.iter().map(Told::from).collect::<Vec<_>>());
    }
    let width = images.iter().map(|image| image.name.len()).max();
    let width = width.unwrap_or_default();
    for image in images {
        let short = image.id.trim_start_matches("sha256:").get(..12);
        out.line(format_args!(
            "{:width$}  {}  {}",
            image.name,
            short.unwrap_or_default(),
            megabytes(image.bytes())
        ))?;
    }
    Ok(())
}

impl From<ImageError> for Failure {
    fn from(error: ImageError) -> Self {
        match error {
            ImageError::Rejected(_) => Self::usage(error),
            ImageError::Unavailable { .. } | ImageError::Io { .. } => Self::unable(error),
        }
    }
}
