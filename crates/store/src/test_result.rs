//! Test results: what a job's tests said of themselves.

use model::JobId;
use sqlx::{QueryBuilder, Sqlite};

use crate::page::List;
use crate::{Page, Paged, Result, Store, StoreError, json};

/// How a test went; those that people look for come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TestOutcome {
    /// It found a fault.
    Failure,
    /// It could not do its work.
    Error,
    /// It was not run.
    Skipped,
    /// It is well.
    Success,
}

impl TestOutcome {
    const ALL: [Self; 4] = [Self::Failure, Self::Error, Self::Skipped, Self::Success];

    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Failure => "failure",
            Self::Error => "error",
            Self::Skipped => "skipped",
            Self::Success => "success",
        }
    }

    /// Where the tests of this outcome begin among those of an attempt.
    fn place(self) -> i64 {
        (self as i64) << 40
    }
}

/// What one test said of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestResult {
    /// The class or module that it is in; may be empty.
    pub classname: String,
    /// Its name.
    pub name: String,
    /// The file that it is written in.
    pub file: Option<String>,
    /// How it went.
    pub outcome: TestOutcome,
    /// How long it took, in microseconds.
    pub duration_us: Option<u64>,
    /// What it had to say, where it did not go well.
    pub message: Option<String>,
}

/// How many tests of an attempt went how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TestCounts {
    /// Those that did not go well.
    pub failed: u64,
    /// Those that were not run.
    pub skipped: u64,
    /// All.
    pub total: u64,
}

#[derive(sqlx::FromRow)]
struct Row {
    place: i64,
    result: String,
    classname: String,
    test_name: String,
    file: Option<String>,
    duration_us: Option<i64>,
    message: Option<String>,
}

impl TryFrom<Row> for TestResult {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self> {
        let outcome = TestOutcome::ALL
            .into_iter()
            .find(|outcome| outcome.as_str() == row.result)
            .ok_or_else(|| {
                let of = format!("test {}", row.test_name);
                StoreError::corrupt("result", of, "there is no such word")
            })?;
        Ok(Self {
            classname: row.classname,
            name: row.test_name,
            file: row.file,
            outcome,
            duration_us: row.duration_us.map(json::count),
            message: row.message,
        })
    }
}

/// Far from SQLite's limit of bound values.
const ROWS: usize = 1000;

impl Store {
    /// Stores what the tests of a step said, all or none, in the place of what the same step stored before.
    ///
    /// # Errors
    /// Where that attempt is not running.
    pub async fn set_test_results(
        &self,
        (job, attempt): (JobId, u32),
        (node_index, step_index): (u32, u32),
        results: &[TestResult],
    ) -> Result<()> {
        let mut write = self.write().await?;
        write.running(job, attempt).await?;
        sqlx::query(
            "DELETE FROM test_results WHERE job_id = $1 AND attempt = $2 AND node_index = $3 AND step_index = $4",
        )
        .bind(job.0)
        .bind(attempt)
        .bind(node_index)
        .bind(step_index)
        .execute(write.connection())
        .await?;
        for outcome in TestOutcome::ALL {
            let base = outcome.place();
            let last: Option<i64> = sqlx::query_scalar(
                "SELECT MAX(place) FROM test_results \
                 WHERE job_id = $1 AND attempt = $2 AND place >= $3 AND place < $4",
            )
            .bind(job.0)
            .bind(attempt)
            .bind(base)
            .bind(base + (1 << 40))
            .fetch_one(write.connection())
            .await?;
            let mut place = last.map_or(base, |last| last + 1);
            let of_it: Vec<&TestResult> = results
                .iter()
                .filter(|result| result.outcome == outcome)
                .collect();
            for chunk in of_it.chunks(ROWS) {
                let mut insert = QueryBuilder::<Sqlite>::new(
                    "INSERT INTO test_results (job_id, attempt, place, node_index, step_index, \
                     result, classname, test_name, file, duration_us, message) ",
                );
                insert.push_values(chunk, |mut row, result| {
                    row.push_bind(job.0)
                        .push_bind(attempt)
                        .push_bind(place)
                        .push_bind(node_index)
                        .push_bind(step_index)
                        .push_bind(outcome.as_str())
                        .push_bind(&result.classname)
                        .push_bind(&result.name)
                        .push_bind(&result.file)
                        .push_bind(result.duration_us.map(json::offset))
                        .push_bind(&result.message);
                    place += 1;
                });
                insert
                    .build()
                    .persistent(false)
                    .execute(write.connection())
                    .await?;
            }
        }
        write.commit().await
    }

    /// The tests of a job's attempt: failures first, then errors, then what was skipped, then the rest.
    ///
    /// # Errors
    /// Where the cursor is none of this list's.
    pub async fn test_results(
        &self,
        job: JobId,
        attempt: u32,
        page: &Page,
    ) -> Result<Paged<TestResult>> {
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT place, result, classname, test_name, file, duration_us, message FROM test_results \
             WHERE job_id = $1 AND attempt = $2 AND place > $3 ORDER BY place LIMIT $4",
        )
        .bind(job.0)
        .bind(attempt)
        .bind(page.above(List::Tests)?)
        .bind(page.more())
        .fetch_all(self.readers())
        .await?;
        Ok(Paged::cut(rows, page, List::Tests, |row| row.place).read())
    }

    /// How many tests of a job's attempt went how.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn test_counts(&self, job: JobId, attempt: u32) -> Result<TestCounts> {
        let rows: Vec<(String, i64)> = sqlx::query_as(
            "SELECT result, COUNT(*) FROM test_results \
             WHERE job_id = $1 AND attempt = $2 GROUP BY result",
        )
        .bind(job.0)
        .bind(attempt)
        .fetch_all(self.readers())
        .await?;
        let mut counts = TestCounts::default();
        for (result, count) in rows {
            let count: u64 = json::count(count);
            counts.total += count;
            match result.as_str() {
                "failure" | "error" => counts.failed += count,
                "skipped" => counts.skipped += count,
                _ => {}
            }
        }
        Ok(counts)
    }
}
