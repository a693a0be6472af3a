//! `/ui/pipelines/{pipeline}/jobs/{job}`: a job's steps, what it keeps, and the end of its log.

use api::{Artifact, Job, Pipeline, Step};
use axum::extract::State;
use axum::response::Html;
use engine::Engine;
use maud::{Markup, html};
use store::{Page, TestCounts, TestOutcome, TestResult};

use super::{plain, source, status, took};
use crate::api::jobs::{JobPath, of_pipeline};
use crate::api::{artifacts, logs, view};
use crate::error::ApiError;
use crate::extract::Path;

/// How many lines of the log the page has.
const LINES: u64 = 200;
/// How many artifacts, and how many tests that did not go well, it has.
const ENTRIES: u32 = 50;

/// What a job keeps, as far as the page has it.
struct Kept {
    artifacts: Vec<Artifact>,
    counts: TestCounts,
    /// Those that did not go well.
    tests: Vec<TestResult>,
}

/// `GET /ui/pipelines/{pipeline}/jobs/{job}`
pub(crate) async fn page(
    State(engine): State<Engine>,
    Path(path): Path<JobPath>,
) -> Result<Html<String>, ApiError> {
    let job = of_pipeline(&engine, path).await?;
    let pipeline = view::pipeline(engine.store().pipeline(job.pipeline).await?);
    let attempt = job.state.attempt();
    let steps = engine.store().steps(job.id, attempt).await?;
    let steps: Vec<Step> = steps.into_iter().map(view::step).collect();
    let log = logs::last_lines(&engine, &job, attempt, LINES).await?;
    let kept = kept(&engine, &job, attempt).await?;
    let job = view::job(job);
    let title = format!("#{} {}: {}", pipeline.id, job.job_name, job.status);
    let goes_on = !job.status.is_ended();
    let log = String::from_utf8_lossy(&log);
    let content = render(&pipeline, &job, &steps, &kept, &log);
    Ok(super::page(&title, goes_on, &content))
}

async fn kept(engine: &Engine, job: &store::Job, attempt: u32) -> Result<Kept, ApiError> {
    let (store, first) = (
        engine.store(),
        Page {
            limit: ENTRIES,
            cursor: None,
        },
    );
    let artifacts = store.artifacts(job.id, attempt, &first).await?.items;
    // Those that did not go well come first.
    let mut tests = store.test_results(job.id, attempt, &first).await?.items;
    tests.retain(|test| matches!(test.outcome, TestOutcome::Failure | TestOutcome::Error));
    Ok(Kept {
        artifacts: artifacts
            .into_iter()
            .map(|artifact| artifacts::view(job, attempt, artifact))
            .collect(),
        counts: store.test_counts(job.id, attempt).await?,
        tests,
    })
}

fn render(pipeline: &Pipeline, job: &Job, steps: &[Step], kept: &Kept, log: &str) -> Markup {
    let id = pipeline.id;
    html! {
        header {
            nav {
                a href="/" { "Popsicle" }
                a href={ "/ui/pipelines/" (id) } { "#" (id) }
            }
            h1 { (job.job_name) " " (status(job.status)) }
            p { (source(pipeline)) ", workflow " (job.workflow)
                @if job.attempt > 1 { ", attempt " (job.attempt) }
                @if !job.requires.is_empty() { ", requires " (job.requires.join(", ")) } }
        }
        main {
            @if let Some(reason) = &job.reason { pre { (plain(reason)) } }
            h2 { "Steps" }
            @if steps.is_empty() {
                p { @if job.status.is_ended() { "None ran." } @else { "None yet." } }
            } @else {
                (table(steps))
            }
            @if kept.counts.total > 0 { (tests(kept, &format!("/pipelines/{id}/jobs/{}/tests", job.id))) }
            @if !kept.artifacts.is_empty() {
                h2 { "Artifacts" }
                @if kept.artifacts.len() == ENTRIES as usize {
                    p { "The first " (ENTRIES) "; "
                        a href={ "/pipelines/" (id) "/jobs/" (job.id) "/artifacts" } { "the whole list" } "." }
                }
                ul {
                    @for artifact in &kept.artifacts {
                        li { a href=(artifact.url) { (plain(&artifact.path)) } ", " (artifact.size_bytes) " bytes" }
                    }
                }
            }
            h2 { "Log" }
            p { a href={ "/pipelines/" (id) "/jobs/" (job.id) "/log" } { "The whole log" }
                "; here are its last " (LINES) " lines at most." }
            pre { (plain(log)) }
        }
    }
}

fn table(steps: &[Step]) -> Markup {
    html! {
        table {
            thead { tr { th { "#" } th { "Step" } th { "Status" } th { "Took" } th { "Exit code" } } }
            tbody {
                @for step in steps {
                    tr {
                        td { (step.index) }
                        td { (step.name) }
                        td { (status(step.status)) }
                        td { (took(step.start_time, step.end_time)) }
                        td { @if let Some(code) = step.exit_code { (code) } }
                    }
                }
            }
        }
    }
}

fn tests(kept: &Kept, list: &str) -> Markup {
    let TestCounts {
        failed,
        skipped,
        total,
    } = kept.counts;
    let passed = total.saturating_sub(failed + skipped);
    html! {
        h2 { "Tests" }
        p { (failed) " failed, " (skipped) " skipped, " (passed) " passed; " a href=(list) { "the whole list" } "." }
        @for test in &kept.tests {
            p { b { (plain(&test.classname)) " " (plain(&test.name)) } }
            @if let Some(message) = &test.message { pre { (plain(message)) } }
        }
    }
}
