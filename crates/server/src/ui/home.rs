//! `/`: a plain page that says what this is, and what happened last.

use axum::extract::State;
use axum::response::Html;
use engine::Engine;
use maud::{Markup, html};
use store::{Page, PipelineFilter};

use crate::api::view;
use crate::error::ApiError;

/// How many pipelines the page has.
const NEWEST: u32 = 10;

/// `GET /`
pub(crate) async fn page(State(engine): State<Engine>) -> Result<Html<String>, ApiError> {
    let page = Page {
        limit: NEWEST,
        cursor: None,
    };
    let newest = engine
        .store()
        .pipelines(&PipelineFilter::default(), &page)
        .await?;
    let newest: Vec<api::Pipeline> = newest.items.into_iter().map(view::pipeline).collect();
    Ok(super::page("Popsicle", false, &render(&newest)))
}

fn render(newest: &[api::Pipeline]) -> Markup {
    html! {
        header {
            h1 { "Popsicle" }
            p { "This is a CI/CD server, version " (env!("CARGO_PKG_VERSION")) ". It runs \
                the pipelines of your repositories on your own machines." }
            nav {
                a href="/pipelines" { "Pipelines" }
                a href="/projects" { "Projects" }
                a href="/runners" { "Runners" }
                a href="/jobs" { "Jobs" }
                a href="/readyz" { "Health" }
            }
        }
        main {
            h2 { "Newest pipelines" }
            @if newest.is_empty() {
                p { "None yet. Point a webhook of GitHub at " code { "/webhook" }
                    ", or run " code { "popsicle run" } " in a project's folder." }
            } @else {
                (table(newest))
            }
        }
    }
}

fn table(pipelines: &[api::Pipeline]) -> Markup {
    html! {
        table {
            thead {
                tr { th { "#" } th { "Status" } th { "Project" } th { "Ref" } th { "Commit" }
                    th { "Message" } th { "Came in" } }
            }
            tbody {
                @for pipeline in pipelines {
                    tr {
                        td { a href={ "/ui/pipelines/" (pipeline.id) } { (pipeline.id) } }
                        td { (super::status(pipeline.status)) }
                        td { (pipeline.repo) }
                        td { (pipeline.branch.as_ref().or(pipeline.tag.as_ref()).map_or("", |name| name)) }
                        td { code { (pipeline.commit_sha.as_ref().map_or("", |commit| commit.short())) } }
                        td class="message" { (title(pipeline)) }
                        td { (pipeline.created_at.to_seconds()) }
                    }
                }
            }
        }
    }
}

/// The first line of what the commit says.
fn title(pipeline: &api::Pipeline) -> &str {
    pipeline
        .message
        .as_deref()
        .and_then(|message| message.lines().next())
        .unwrap_or_default()
}
