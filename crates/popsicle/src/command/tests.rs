//! `popsicle tests`: what a job's tests said of themselves, those that failed first.

use api::{AttemptQuery, Limit, TestResult};
use clap::Args;
use model::{PipelineId, Status};

use super::{connect, jobs};
use crate::error::{Exit, Failure};
use crate::output::{Output, clean, painted};
use crate::settings::Settings;

/// Which tests.
#[derive(Debug, Args)]
pub struct TestsArgs {
    /// The pipeline's number
    pipeline: PipelineId,
    /// The job's name, `workflow/name` or number; may be left out if there is only one
    job: Option<String>,
    /// List those that passed, too
    #[arg(long, short)]
    all: bool,
    /// Print a JSON object for each test
    #[arg(long)]
    json: bool,
}

/// How many there are of each.
#[derive(Debug, Default)]
struct Counts {
    failed: usize,
    skipped: usize,
    passed: usize,
}

/// Carries out the command.
pub async fn run(args: &TestsArgs, settings: &Settings, out: &mut Output) -> Result<Exit, Failure> {
    let client = connect(settings)?;
    let pipeline = client.pipeline(args.pipeline).await?;
    let job = match &args.job {
        Some(wanted) => jobs::find(&pipeline, wanted)?,
        None => jobs::choose(&pipeline, out)?,
    };
    let mut query = AttemptQuery {
        limit: Some(Limit::MAX),
        ..AttemptQuery::default()
    };
    let mut counts = Counts::default();
    loop {
        let page = client.tests(pipeline.id, job.id, &query).await?;
        let is_over = page.next.is_none() || page.items.is_empty();
        for test in &page.items {
            if args.json {
                out.json_line(test)?;
            } else {
                show(test, args.all, &mut counts, out)?;
            }
        }
        if is_over {
            break;
        }
        query.cursor = page.next;
    }
    if !args.json {
        let Counts {
            failed,
            skipped,
            passed,
        } = counts;
        out.line(format_args!(
            "{failed} failed, {skipped} skipped, {passed} passed"
        ))?;
    }
    Ok(Exit::Success)
}

fn show(
    test: &TestResult,
    all: bool,
    counts: &mut Counts,
    out: &mut Output,
) -> Result<(), Failure> {
    let (status, is_shown) = match test.result.as_str() {
        "failure" | "error" => {
            counts.failed += 1;
            (Status::Failure, true)
        }
        "skipped" => {
            counts.skipped += 1;
            (Status::Skipped, true)
        }
        _ => {
            counts.passed += 1;
            (Status::Success, all)
        }
    };
    if !is_shown {
        return Ok(());
    }
    let name = match test.classname.as_str() {
        "" => clean(&test.name).into_owned(),
        class => format!("{} {}", clean(class), clean(&test.name)),
    };
    let time = test
        .duration_us
        .map(|us| format!(" ({}.{:03} s)", us / 1_000_000, us / 1000 % 1000));
    let result = painted(status, &test.result);
    out.line(format_args!("{result}  {name}{}", time.unwrap_or_default()))?;
    for line in test.message.as_deref().unwrap_or_default().lines() {
        out.line(format_args!("    {}", clean(line)))?;
    }
    Ok(())
}
