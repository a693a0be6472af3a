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
/// How much text all tests of one step may have together, in bytes.
const MOST_TEXT: usize = 64 << 20;
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
    let mut room = Room::default();
    source.each(|name, kind, entry| {
        let is_report = kind == Kind::File && (name.as_os_str().is_empty() || is_xml(&name));
        // Once there is no room, what comes is left out; the archive is read to its end all the same.
        if !is_report || room.full.is_some() {
            return Ok(());
        }
        read.files += 1;
        let results = &mut read.results;
        let parsed = junit::read(BufReader::new(entry.take(LARGEST)), |test| {
            room.take(&test)?;
            results.push(test);
            Ok(())
        });
        if let (Err(why), None) = (parsed, &room.full) {
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
    if let Some(limit) = room.full {
        read.faults.push(format!(
            "warning: there are more than {limit}, the most for one step: the rest is left out"
        ));
    }
    Ok(read)
}

/// What of the limits is left, and which of them was met.
struct Room {
    tests: usize,
    text: usize,
    full: Option<String>,
}

impl Default for Room {
    fn default() -> Self {
        Self {
            tests: MOST_TESTS,
            text: MOST_TEXT,
            full: None,
        }
    }
}

impl Room {
    /// Makes room for one, or says which limit it would pass.
    fn take(&mut self, test: &TestResult) -> Result<(), String> {
        let texts = [&test.file, &test.message];
        let text = texts.into_iter().flatten().map(String::len).sum::<usize>();
        let text = text + test.classname.len() + test.name.len();
        match (self.tests.checked_sub(1), self.text.checked_sub(text)) {
            (Some(tests), Some(text)) => {
                (self.tests, self.text) = (tests, text);
                return Ok(());
            }
            (None, _) => self.full = Some(format!("{MOST_TESTS} tests")),
            (_, None) => self.full = Some(format!("{} MiB of text of tests", MOST_TEXT >> 20)),
        }
        Err(self.full.clone().unwrap_or_default())
    }
}

fn is_xml(name: &PathBuf) -> bool {
    let extension = PathBuf::from(name);
    extension
        .extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("xml"))
}

#[cfg(test)]
mod limits {
    use super::super::files::packed_source;
    use super::*;

    #[test]
    fn tests_are_left_out_after_so_much_text_and_one_warning_says_so() {
        let message = "m".repeat(16 << 10);
        let tests = format!("<testcase name='t'><failure>{message}</failure></testcase>");
        let report = format!("<testsuite>{}</testsuite>", tests.repeat(1_000));
        let names: Vec<String> = (0..6).map(|number| format!("{number}.xml")).collect();
        let files: Vec<_> = names
            .iter()
            .map(|name| (name.as_str(), report.as_str()))
            .collect();
        let read = read(packed_source(&files, u64::MAX), "results");
        let Ok(Read {
            files,
            results,
            faults,
        }) = read
        else {
            panic!("it was not read")
        };
        assert_eq!(files, 5);
        assert_eq!(results.len(), MOST_TEXT / ((16 << 10) + 1));
        assert_eq!(
            faults,
            [
                "warning: there are more than 64 MiB of text of tests, the most for one step: the rest is left out"
            ]
        );
    }

    #[test]
    fn a_report_that_is_cut_off_is_told() {
        let report = "<testsuite><testcase name='a'><failure>no";
        let Ok(read) = read(packed_source(&[("", report)], u64::MAX), "r.xml") else {
            panic!("it was not read")
        };
        assert_eq!(read.results.len(), 1);
        assert_eq!(
            read.faults,
            ["warning: `r.xml` can't be read to its end: it ends inside of an element"]
        );
    }
}
