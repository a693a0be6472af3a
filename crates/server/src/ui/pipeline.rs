//! `/ui/pipelines/{pipeline}`: where commit statuses lead.

use api::PipelineDetail;
use axum::extract::State;
use axum::response::Html;
use engine::Engine;
use maud::{Markup, html};

use super::{plain, source, status, took};
use crate::api::pipelines::{PipelinePath, detail};
use crate::error::ApiError;
use crate::extract::Path;

/// `GET /ui/pipelines/{pipeline}`
pub(crate) async fn page(
    State(engine): State<Engine>,
    Path(PipelinePath { pipeline }): Path<PipelinePath>,
) -> Result<Html<String>, ApiError> {
    let pipeline = detail(&engine, pipeline).await?;
    let title = format!("#{} {}: {}", pipeline.id, pipeline.repo, pipeline.status);
    let goes_on = !pipeline.status.is_ended();
    Ok(super::page(&title, goes_on, &render(&pipeline)))
}

fn render(pipeline: &PipelineDetail) -> Markup {
    let id = pipeline.id;
    html! {
        header {
            nav { a href="/" { "Popsicle" } }
            h1 { "#" (id) " " (status(pipeline.status)) }
            p { (source(pipeline)) }
        }
        main {
            @if let Some(message) = &pipeline.message { pre { (plain(message)) } }
            p {
                (pipeline.trigger.as_str())
                @if let Some(author) = &pipeline.author { " by " (author) }
                ", came in " (pipeline.created_at.to_seconds())
                @if let Some(at) = pipeline.start_time { ", began " (at.to_seconds()) }
                @if let Some(at) = pipeline.end_time { ", ended " (at.to_seconds()) }
            }
            @if let Some(reason) = &pipeline.reason {
                h2 { "Why" }
                pre { (plain(reason)) }
            }
            @if let Some(warnings) = &pipeline.warnings {
                h2 { "Warnings" }
                pre { (plain(warnings)) }
            }
            h2 { "Jobs" }
            @if pipeline.jobs.is_empty() {
                p { @if pipeline.status.is_ended() { "It had none." } @else { "None yet." } }
            } @else {
                (jobs(pipeline))
            }
        }
    }
}

fn jobs(pipeline: &PipelineDetail) -> Markup {
    html! {
        table {
            thead {
                tr { th { "Job" } th { "Workflow" } th { "Status" } th { "Took" } th { "Why" } th { } }
            }
            tbody {
                @for job in &pipeline.jobs {
                    tr {
                        td { a href={ "/ui/pipelines/" (pipeline.id) "/jobs/" (job.id) } { (job.job_name) } }
                        td { (job.workflow) }
                        td { (status(job.status)) }
                        td { (took(job.start_time, job.end_time)) }
                        td { (job.reason.as_deref().unwrap_or_default()) }
                        td { a href={ "/pipelines/" (pipeline.id) "/jobs/" (job.id) "/log" } { "log" } }
                    }
                }
            }
        }
    }
}
