//! `popsicle artifacts`: what a job keeps for people.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Component, Path, PathBuf};

use api::Artifact;
use clap::Args;
use client::Client;
use model::{JobId, PipelineId};

use super::{connect, jobs};
use crate::error::{Exit, Failure};
use crate::output::{Output, clean, plural};
use crate::settings::Settings;

/// Which artifacts.
#[derive(Debug, Args)]
pub struct ArtifactsArgs {
    /// The pipeline's number
    pipeline: PipelineId,
    /// The job's name, `workflow/name` or number; may be left out if there is only one
    job: Option<String>,
    /// Download them into this directory, instead of listing them
    #[arg(long, short, value_name = "DIR")]
    download: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Carries out the command.
pub async fn run(
    args: &ArtifactsArgs,
    settings: &Settings,
    out: &mut Output,
) -> Result<Exit, Failure> {
    let client = connect(settings)?;
    let pipeline = client.pipeline(args.pipeline).await?;
    let job = match &args.job {
        Some(wanted) => jobs::find(&pipeline, wanted)?,
        None => jobs::choose(&pipeline, out)?,
    };
    let artifacts = client.artifacts(pipeline.id, job.id).await?;
    if let Some(folder) = &args.download {
        for artifact in &artifacts {
            let to = folder.join(relative(artifact)?);
            download(&client, (pipeline.id, job.id), artifact, &to).await?;
        }
    }
    if args.json {
        out.json(&artifacts)?;
        return Ok(Exit::Success);
    }
    for artifact in &artifacts {
        let size = bytesize::ByteSize(artifact.size_bytes).to_string();
        out.line(format_args!("{size:>10}  {}", clean(&artifact.path)))?;
    }
    let number = plural(artifacts.len(), "artifact");
    match &args.download {
        Some(folder) => out.say(format_args!("{number} in {}", folder.display())),
        None => out.say(number),
    }
    Ok(Exit::Success)
}

/// Where an artifact goes below the folder: never out of it, whatever the server says.
fn relative(artifact: &Artifact) -> Result<PathBuf, Failure> {
    let path = PathBuf::from(&artifact.path);
    let is_well = path
        .components()
        .all(|part| matches!(part, Component::Normal(_)))
        && !artifact.path.is_empty();
    if !is_well {
        return Err(Failure::unable(format_args!(
            "the server names an artifact `{}`, which can't be a file here",
            clean(&artifact.path)
        )));
    }
    // One node's files have their own names; more nodes may have the same.
    Ok(match artifact.node_index {
        0 => path,
        node => Path::new(&format!("node-{node}")).join(path),
    })
}

/// Writes one artifact to its place, whole or not at all.
async fn download(
    client: &Client,
    (pipeline, job): (PipelineId, JobId),
    artifact: &Artifact,
    to: &Path,
) -> Result<(), Failure> {
    let failed =
        |error: io::Error| Failure::unable(format_args!("can't write {}: {error}", to.display()));
    let folder = to.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(failed)?;
    let mut draft = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    let mut from = client.artifact(pipeline, job, artifact).await?;
    while let Some(bytes) = from.next().await? {
        draft.write_all(&bytes).map_err(failed)?;
    }
    let length = draft.as_file().metadata().map_err(failed)?.len();
    if length != artifact.size_bytes {
        return Err(Failure::unable(format_args!(
            "{} came with {length} of {} bytes",
            clean(&artifact.path),
            artifact.size_bytes
        )));
    }
    open_to_all(draft.as_file()).map_err(failed)?;
    draft.persist(to).map_err(|error| failed(error.error))?;
    Ok(())
}

/// As other new files are: a temporary one is its owner's alone.
fn open_to_all(file: &File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(fs::Permissions::from_mode(0o644))
}
