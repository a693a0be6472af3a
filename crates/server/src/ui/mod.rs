//! Pages for people, plain until the real ones come: rendered here, and of use without JavaScript.

pub(crate) mod home;
pub(crate) mod job;
pub(crate) mod pipeline;

use axum::response::{Html, IntoResponse};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use maud::{DOCTYPE, Markup, html};
use model::{Status, Timestamp};

/// After how long a page is loaded again while what it shows goes on, in seconds.
const RELOAD_S: u32 = 5;

/// `GET /assets/style.css`
pub(crate) async fn style() -> impl IntoResponse {
    let headers = [
        (CONTENT_TYPE, "text/css; charset=utf-8"),
        (CACHE_CONTROL, "max-age=3600"),
    ];
    (headers, include_str!("../../assets/style.css"))
}

/// A whole page; one that `goes_on` is loaded again by itself.
pub(crate) fn page(title: &str, goes_on: bool, content: &Markup) -> Html<String> {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                @if goes_on { meta http-equiv="refresh" content=(RELOAD_S); }
                title { (title) }
                link rel="stylesheet" href="/assets/style.css";
            }
            body { (content) }
        }
    };
    Html(page.into_string())
}

/// A status in its colour.
fn status(status: Status) -> Markup {
    html! { span class={ "status " (status) } { (status) } }
}

/// How long something took, as far as it is over: `4.2 s`.
fn took(start: Option<Timestamp>, end: Option<Timestamp>) -> String {
    match (start, end) {
        (Some(start), Some(end)) => format!("{:.1} s", end.since(start).as_secs_f64()),
        (_, _) => String::new(),
    }
}

/// What a pipeline is of: `octo/repo @ a1b2c3d on main`.
fn source(pipeline: &api::Pipeline) -> Markup {
    html! {
        (pipeline.repo)
        @if let Some(commit) = &pipeline.commit_sha { " @ " code { (commit.short()) } }
        @if let Some(name) = pipeline.branch.as_ref().or(pipeline.tag.as_ref()) { " on " (name) }
    }
}

/// Text that came from a terminal, without what steers one: colours, and what a progress bar wrote over.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let end = if line.ends_with('\n') { "\n" } else { "" };
        let line = line.trim_end_matches(['\r', '\n']);
        let line = line.rsplit('\r').next().unwrap_or(line);
        let mut chars = line.chars().peekable();
        while let Some(c) = chars.next() {
            if c == '\u{1b}' && chars.next_if_eq(&'[').is_some() {
                // A control sequence goes up to its first letter (ECMA-48, 5.4).
                while chars.next_if(|c| matches!(c, ' '..='?')).is_some() {}
                chars.next_if(|c| matches!(c, '@'..='~'));
            } else if c == '\t' || !c.is_control() {
                plain.push(c);
            }
        }
        plain.push_str(end);
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_is_taken_out() {
        assert_eq!(plain("a\u{1b}[1;31mb\u{1b}[0mc\r\n\td"), "abc\n\td");
        assert_eq!(plain("10%\r50%\r100%\nnext"), "100%\nnext");
        assert_eq!(plain("\u{1b}]0;x\u{7}\u{1b}["), "]0;x");
    }
}
