//! What a job leaves in its folders that is not this server's to delete.
//!
//! In most containers a job is root, and what root makes in a mounted folder is root's on this machine
//! too: a server that is an ordinary user can't delete what lies in such a folder. Another container of
//! the same image, whose user is root, can.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

use bollard::query_parameters::CreateContainerOptionsBuilder;
use futures_util::StreamExt;
use tokio::time::timeout;

use super::Shared;
use super::daemon::Daemon;
use super::exit::{self, State};
use super::pump::Copied;
use super::spec;
use super::trouble::{self, Trouble};
use crate::{ExecutorError, JobDir};

/// For how long a container may empty a job's folders.
const BOUND: Duration = Duration::from_secs(120);

impl Shared {
    /// Makes a job's folder one that we can delete. Its container must be there still: it says of
    /// which image it is, and while it is there, the job is held and this is tried again.
    pub(super) async fn clear(&self, daemon: &Daemon, dir: &JobDir) -> Result<(), ExecutorError> {
        if rustix::process::geteuid().is_root() || Copied::read(dir)?.is_some() {
            return Ok(());
        }
        self.stop(dir, Duration::ZERO).await?;
        if !has_foreign_folders(dir).await {
            return Ok(());
        }
        let job = spec::container_name(&self.settings.namespace, dir.key());
        let what = "could not empty the job's folders";
        let image = match daemon.docker.inspect_container(&job, None).await {
            Ok(container) => container.image.unwrap_or_default(),
            Err(error) if Trouble::of(&error) == Trouble::Missing => return Ok(()),
            Err(error) => return Err(trouble::unavailable(what, &error)),
        };

        let name = format!("{job}-leftovers");
        super::remove(daemon, &name).await?;
        let mut body = spec::cleaner(dir, image)?;
        body.labels = Some(spec::labels(&self.settings.namespace, dir.key()));
        let options = CreateContainerOptionsBuilder::default().name(&name).build();
        let docker = &daemon.docker;
        let ran = async {
            docker.create_container(Some(options), body).await?;
            docker.start_container(&name, None).await
        };
        let emptied = match ran.await {
            Ok(()) => {
                let mut exits = docker.wait_container(&name, None);
                // Whatever it says: look.
                let _ = timeout(BOUND, exits.next()).await;
                exit::look(daemon, &name, BOUND).await
            }
            Err(error) => Err(trouble::unavailable(what, &error)),
        };
        super::remove(daemon, &name).await?;
        let state = emptied?;
        if !matches!(state, State::Exited { code: 0, .. }) {
            // Again would be no better; whoever deletes the folder says what is in the way.
            tracing::warn!(?state, container = %job, "{what}");
        }
        Ok(())
    }
}

/// Whether there are folders of others in a job's, or such as we can't look into.
async fn has_foreign_folders(dir: &JobDir) -> bool {
    let todo = vec![dir.io(), dir.work()];
    let looked = tokio::task::spawn_blocking(move || look_for_foreign_folders(todo)).await;
    !matches!(looked, Ok(Ok(false)))
}

fn look_for_foreign_folders(mut todo: Vec<PathBuf>) -> io::Result<bool> {
    let us = rustix::process::geteuid().as_raw();
    while let Some(folder) = todo.pop() {
        if fs::symlink_metadata(&folder)?.uid() != us {
            return Ok(true);
        }
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                todo.push(entry.path());
            }
        }
    }
    Ok(false)
}
