//! `store_artifacts`: files that people can look at afterwards.

use std::path::{Path, PathBuf};
use std::time::Instant;

use super::files::{Kept, count, keep_each, size, took};
use super::{Asked, Problem, Said};
use crate::persist::{Patience, persist};

/// How many artifacts are named in the log; the list has all.
const NAMED: usize = 10;

impl Asked {
    pub(super) async fn store_artifacts(
        &self,
        path: &str,
        destination: Option<&str>,
    ) -> Result<Said, Problem> {
        let begun = Instant::now();
        let blobs = self.shared.blobs.clone();
        let kept = self.take(path, move |source| keep_each(source, &blobs));
        let Some(kept) = kept.await? else {
            return Ok(vec![format!(
                "warning: there is nothing at `{path}`: no artifacts are stored"
            )]);
        };
        self.settle().await?;
        let Kept {
            files,
            links,
            amount,
        } = kept;
        let artifacts: Vec<_> = files
            .into_iter()
            .map(|(name, blob)| (called(path, destination, &name), blob))
            .collect();
        let (job, attempt) = (self.claim.job.id, self.dir.key().attempt);
        persist("artifacts", Patience::Endless, || {
            let store = &self.shared.store;
            store.add_artifacts(job, attempt, 0, &artifacts)
        })
        .await?;
        let mut said: Said = artifacts
            .iter()
            .take(NAMED)
            .map(|(path, blob)| format!("{path} ({})", size(blob.bytes)))
            .collect();
        if artifacts.len() > NAMED {
            said.push(format!("and {} more", artifacts.len() - NAMED));
        }
        if links > 0 {
            said.push(format!("{} left out", count(links, "symbolic link")));
        }
        let number = u64::try_from(artifacts.len()).unwrap_or(u64::MAX);
        said.push(format!(
            "Stored {}, {}, in {}",
            count(number, "artifact"),
            size(amount.bytes),
            took(begun)
        ));
        Ok(said)
    }
}

/// What an artifact is called: below the destination, or else below its own path as the config has it,
/// without what would make it absolute. `name` is where the file is below the path; empty for the path
/// itself, which then has the destination's name.
fn called(path: &str, destination: Option<&str>, name: &Path) -> String {
    let own = path.strip_prefix('~').unwrap_or(path);
    let mut base = clean(destination.unwrap_or(own));
    // A folder is meant where it ends like one.
    let into = destination.is_some_and(|destination| destination.ends_with('/'));
    if name.as_os_str().is_empty()
        && (into || base.as_os_str().is_empty())
        && let Some(file) = clean(own).file_name()
    {
        base.push(file);
    }
    base.join(name)
        .to_string_lossy()
        .trim_end_matches('/')
        .to_owned()
}

fn clean(path: &str) -> PathBuf {
    let parts = path.split('/');
    parts
        .filter(|part| !matches!(*part, "" | "." | ".."))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_artifact_is_called_by_its_destination_or_its_path() {
        let called = |path, destination, name| called(path, destination, Path::new(name));
        // A file.
        assert_eq!(called("/tmp/artifact-1", Some("file"), ""), "file");
        assert_eq!(
            called("/tmp/artifact-1", Some("logs/"), ""),
            "logs/artifact-1"
        );
        assert_eq!(called("/tmp/artifact-1", None, ""), "tmp/artifact-1");
        assert_eq!(called("~/a.txt", None, ""), "a.txt");
        assert_eq!(called("a.txt", Some("."), ""), "a.txt");
        // A folder.
        assert_eq!(called("/tmp/out", None, "a/b"), "tmp/out/a/b");
        assert_eq!(called("./out/", None, "a"), "out/a");
        assert_eq!(called("/tmp/out", Some("docs"), "a/b"), "docs/a/b");
        assert_eq!(called("/tmp/out", Some("/docs/"), "a"), "docs/a");
        assert_eq!(called(".", None, "a"), "a");
        // Nothing leads out of what a download makes of it.
        assert_eq!(called("../../x", Some("../../y"), "a"), "y/a");
    }
}
