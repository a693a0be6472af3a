//! Lists, a page at a time.

use api::{Cursor, Limit};
use axum::Json;
use axum::extract::OriginalUri;
use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use http::header::LINK;
use serde::Serialize;
use store::{Page, Paged};

/// Which page of a list somebody asked for.
pub(crate) fn wanted(limit: Option<Limit>, cursor: Option<Cursor>) -> Page {
    Page {
        limit: u32::from(limit.unwrap_or_default().get()),
        cursor: cursor.map(|cursor| cursor.0),
    }
}

/// A page, and in the header `Link` where the next one is.
pub(crate) fn answer<T, V: Serialize>(
    OriginalUri(asked): &OriginalUri,
    found: Paged<T>,
    view: impl FnMut(T) -> V,
) -> Response {
    let next = found.next.map(|cursor| {
        let query = url::form_urlencoded::parse(asked.query().unwrap_or_default().as_bytes())
            .filter(|(name, _)| name != "cursor");
        let query = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(query)
            .append_pair("cursor", &cursor)
            .finish();
        format!("<{}?{query}>; rel=\"next\"", asked.path())
    });
    let views: Vec<V> = found.items.into_iter().map(view).collect();
    let mut response = Json(views).into_response();
    // A path and a query that were parsed have only characters that a header can have.
    if let Some(link) = next.and_then(|next| HeaderValue::try_from(next).ok()) {
        response.headers_mut().insert(LINK, link);
    }
    response
}
