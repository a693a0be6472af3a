//! `store_test_results`: what a job's tests said of themselves, one by one.

use std::io::{BufReader, Read as _};
use std::path::PathBuf;
use std::time::Instant;

use executor::archive::Kind;
use store::{TestOutcome, TestResult};

use super::files::{Source, count, took};
use super::{Asked, Problem, Said, junit};
use crate::persist::{Patience, persist};

/// How many tests one step may tell of.
const MOST_TESTS: usize = 200_000;
/// The largest report, in bytes.
const LARGEST: u64 = 512 << 20;
/// How many files that can't be read are named.
const NAMED: usize = 5;

/// What was read.
#[derive(Default)]
struct Read {
    files: u64,
    results: Vec<TestResult>,
    /// What was wrong with files, a line each.
    faults: Vec<String>,
}

impl Asked {
    pub(super) async fn store_test_results(&self, path: &str) -> Result<Said, Problem> {
        let begun = Instant::now();
        let is_file_called = path.to_owned();
        let read = self.take(path, move |source| read(source, &is_file_called));
        let Some(read) = read.await? else {
            return Ok(vec![format!(
                "warning: there is nothing at `{path}`: no test results are stored"
            )]);
        };
        let Read {
            files,
            results,
            mut faults,
        } = read;
        if files == 0 {
            faults.push(format!("warning: there is no `.xml` file at `{path}`"));
        }
        let (job, attempt) = (self.claim.job.id, self.dir.key().attempt);
        persist("test results", Patience::Endless, || {
            let store = &self.shared.store;
            store.set_test_results((job, attempt), (0, self.index), &results)
        })
        .await?;
        let number = |wanted: &[TestOutcome]| {
            let found = results.iter().filter(|test| wanted.contains(&test.outcome));
            u64::try_from(found.count()).unwrap_or(u64::MAX)
        };
        let failed = number(&[TestOutcome::Failure, TestOutcome::Error]);
        let skipped = number(&[TestOutcome::Skipped]);
        let all = u64::try_from(results.len()).unwrap_or(u64::MAX);
        faults.push(format!(
            "Stored {} of {}: {failed} failed, {skipped} skipped, in {}",
            count(all, "test result"),
            count(files, "file"),
            took(begun)
        ));
        Ok(faults)
    }
}

/// Reads all `.xml` files of an archive, and the thing itself whatever it is called.
fn read(source: Source, path: &str) -> Result<Read, Problem> {
    let mut read = Read::default();
    let mut unnamed = 0;
    source.each(|name, kind, entry| {
        let is_report = kind == Kind::File && (name.as_os_str().is_empty() || is_xml(&name));
        if !is_report {
            return Ok(());
        }
        read.files += 1;
        let results = &mut read.results;
        let parsed = junit::read(BufReader::new(entry.take(LARGEST)), |test| {
            if results.len() == MOST_TESTS {
                return Err(format!("there are more than {MOST_TESTS} tests"));
            }
            results.push(test);
            Ok(())
        });
        if let Err(why) = parsed {
            let name = if name.as_os_str().is_empty() {
                path.to_owned()
            } else {
                name.display().to_string()
            };
            if read.faults.len() < NAMED {
                read.faults
                    .push(format!("warning: `{name}` can't be read to its end: {why}"));
            } else {
                unnamed += 1;
            }
        }
        Ok(())
    })?;
    if unnamed > 0 {
        let files = count(unnamed, "more file");
        read.faults
            .push(format!("warning: {files} can't be read to their end"));
    }
    Ok(read)
}

fn is_xml(name: &PathBuf) -> bool {
    let extension = PathBuf::from(name);
    extension
        .extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("xml"))
}
