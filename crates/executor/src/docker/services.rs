//! A job's service containers: its further images, in one network with it.
//!
//! The network is that of one more container, which only waits: a service may end at any time, and must
//! not take the network with it. All of them have the attempt's labels, and a list of them is in the
//! job's folder before the first is made, so that whoever removes the attempt finds them.
//!
//! What services write is the daemon's while the job runs. The end of it goes to the job's log once the
//! job has exited: it is put together in a file first, so that a server that dies over it leaves to the
//! next which bytes are missing.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use bollard::query_parameters::{ListContainersOptionsBuilder, LogsOptionsBuilder};
use futures_util::StreamExt;
use model::ImageSpec;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use super::daemon::Daemon;
use super::exit::{self, State};
use super::image::Image;
use super::pump::{self, io_error};
use super::trouble::{self, Failure};
use super::{Shared, spec};
use crate::{ExecutorError, JobDir};

/// A service to be started.
#[derive(Clone, Debug)]
pub(super) struct Service {
    /// As the job asks for it.
    pub(super) spec: ImageSpec,
    /// Its image, which is there.
    pub(super) image: Image,
}

/// A service as the job's folder remembers it.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Kept {
    container: String,
    shown: String,
}

/// How many of a service's last lines go to the job's log, and how many bytes of them.
const LAST_LINES: usize = 500;
const LAST_BYTES: usize = 64 << 10;
/// How long the daemon may take to tell what a service wrote.
const LOG_BOUND: Duration = Duration::from_secs(10);

impl Service {
    /// What it is called in logs and errors.
    pub(super) fn shown(&self) -> String {
        match &self.spec.name {
            Some(name) => format!("{} ({name})", self.spec.image),
            None => self.spec.image.clone(),
        }
    }
}

/// Writes down what containers there will be, before there are any.
pub(super) fn keep(
    dir: &JobDir,
    namespace: &str,
    services: &[Service],
) -> Result<(), ExecutorError> {
    let kept = services.iter().enumerate().map(|(index, service)| Kept {
        container: spec::service_name(namespace, dir.key(), index),
        shown: service.shown(),
    });
    let kept: Vec<Kept> = kept.collect();
    let path = list(dir);
    let text = serde_json::to_vec(&kept).map_err(io::Error::from);
    text.and_then(|text| fs::write(&path, text))
        .map_err(io_error(&path))
}

fn kept(dir: &JobDir) -> Result<Vec<Kept>, ExecutorError> {
    let path = list(dir);
    let text = match fs::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        text => text.map_err(io_error(&path))?,
    };
    serde_json::from_slice(&text).map_err(|error| io_error(&path)(error.into()))
}

impl Shared {
    /// Removes all that was started for the job's own container, whether or not that one is there.
    pub(super) async fn remove_services(
        &self,
        daemon: &Daemon,
        dir: &JobDir,
    ) -> Result<(), Failure> {
        // Where the folder is gone, only the daemon knows whether there are any.
        if dir.path().exists() && !list(dir).exists() {
            return Ok(());
        }
        let labels = spec::labels(&self.settings.namespace, dir.key());
        let labels = labels.iter().map(|(name, value)| format!("{name}={value}"));
        let options = ListContainersOptionsBuilder::default()
            .all(true)
            .filters(&HashMap::from([("label", labels.collect::<Vec<_>>())]))
            .build();
        let found = super::list(daemon, options).await?;
        let job = spec::container_name(&self.settings.namespace, dir.key());
        let is_jobs = |names: &[String]| names.iter().any(|name| name.trim_matches('/') == job);
        // The network last: Podman does not remove a container that others are joined to.
        let mut found: Vec<_> = found
            .into_iter()
            .filter(|container| !is_jobs(container.names.as_deref().unwrap_or_default()))
            .collect();
        let network = spec::network_name(&self.settings.namespace, dir.key());
        found.sort_by_key(|container| {
            let names = container.names.as_deref().unwrap_or_default();
            names.iter().any(|name| name.trim_matches('/') == network)
        });
        for id in found.into_iter().filter_map(|container| container.id) {
            super::remove(daemon, &id).await?;
        }
        Ok(())
    }

    /// Appends the end of what each service wrote to the job's log; once, however often it is asked.
    pub(super) async fn tell_of_services(&self, dir: &JobDir) -> Result<(), ExecutorError> {
        let services = kept(dir)?;
        if services.is_empty() {
            return Ok(());
        }
        let path = dir.path().join("docker-services.log");
        let told = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let daemon = self.daemon().await?;
                let mut told = pump::log_bytes(dir)?.to_le_bytes().to_vec();
                for service in &services {
                    told.extend(account(daemon, service).await);
                }
                let draft = path.with_extension("draft");
                fs::write(&draft, &told)
                    .and_then(|()| fs::rename(&draft, &path))
                    .map_err(io_error(&path))?;
                told
            }
            told => told.map_err(io_error(&path))?,
        };
        let Some((base_bytes, text)) = told.split_first_chunk() else {
            return Ok(());
        };
        let there = pump::log_bytes(dir)?.saturating_sub(u64::from_le_bytes(*base_bytes));
        let there = usize::try_from(there).unwrap_or(usize::MAX).min(text.len());
        dir.append(&text[there..]).map_err(io_error(&dir.log()))
    }
}

/// What became of a service, and the end of what it wrote, as lines.
async fn account(daemon: &Daemon, service: &Kept) -> Vec<u8> {
    let shown = &service.shown;
    let state = match exit::look(daemon, &service.container, LOG_BOUND).await {
        Ok(State::Running) => "ran until the job's end".to_owned(),
        Ok(State::Exited {
            out_of_memory: true,
            ..
        }) => "ran out of memory before the job's end".to_owned(),
        Ok(State::Exited { code, .. }) => {
            format!("exited with code {code} before the job's end")
        }
        Ok(State::Absent | State::Created) => "was gone before the job's end".to_owned(),
        Err(error) => return format!("\nService container {shown}: {error}\n").into_bytes(),
    };
    let mut text = format!("\nService container {shown} {state}");
    let wrote = match timeout(LOG_BOUND, last_lines(daemon, &service.container)).await {
        Ok(Ok(wrote)) => wrote,
        Ok(Err(why)) => {
            text.push_str(&format!("; its output can't be read: {why}\n"));
            return text.into_bytes();
        }
        Err(_) => {
            text.push_str("; its output can't be read: the daemon does not tell it in time\n");
            return text.into_bytes();
        }
    };
    text.push_str(if wrote.is_empty() {
        ", and wrote nothing\n"
    } else {
        ". The end of its output:\n"
    });
    let mut text = text.into_bytes();
    text.extend_from_slice(&wrote);
    if !text.ends_with(b"\n") {
        text.push(b'\n');
    }
    text
}

async fn last_lines(daemon: &Daemon, container: &str) -> Result<Vec<u8>, String> {
    let options = LogsOptionsBuilder::default()
        .stdout(true)
        .stderr(true)
        .tail(&LAST_LINES.to_string())
        .build();
    let mut lines = daemon.docker.logs(container, Some(options));
    let mut wrote = Vec::new();
    while let Some(line) = lines.next().await {
        let line = line.map_err(|error| trouble::words(&error))?;
        wrote.extend_from_slice(&line.into_bytes());
        if wrote.len() > 2 * LAST_BYTES {
            wrote.drain(..wrote.len() - LAST_BYTES);
        }
    }
    if wrote.len() > LAST_BYTES {
        wrote.drain(..wrote.len() - LAST_BYTES);
        // What is left of a line that began before.
        let rest = wrote.iter().position(|byte| *byte == b'\n');
        wrote.drain(..rest.map_or(0, |end| end + 1));
    }
    Ok(wrote)
}

fn list(dir: &JobDir) -> PathBuf {
    dir.path().join("docker-services.json")
}
