//! `/ui/pipelines/{pipeline}/jobs/{job}`: a job's steps, and the end of its log.

use api::{Job, Pipeline, Step};
use axum::extract::State;
use axum::response::Html;
use engine::Engine;
use maud::{Markup, html};

use super::{plain, source, status, took};
use crate::api::jobs::{JobPath, of_pipeline};
use crate::api::{logs, view};
use crate::error::ApiError;
use crate::extract::Path;

/// How many lines of the log the page has.
const LINES: u64 = 200;

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
    let job = view::job(job);
    let title = format!("#{} {}: {}", pipeline.id, job.job_name, job.status);
    let goes_on = !job.status.is_ended();
    let log = String::from_utf8_lossy(&log);
    let content = render(&pipeline, &job, &steps, &log);
    Ok(super::page(&title, goes_on, &content))
}

fn render(pipeline: &Pipeline, job: &Job, steps: &[Step], log: &str) -> Markup {
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
