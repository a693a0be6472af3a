//! Lists, a page at a time.

use api::{Cursor, Limit};
use axum::Json;
use axum::extract::OriginalUri;
use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use http::header::LINK;
use serde::Serialize;
use store::{Page, Paged, StoreError};

use crate::error::ApiError;

/// Which page of a list somebody asked for.
pub(crate) fn wanted(limit: Option<Limit>, cursor: Option<Cursor>) -> Page {
    Page {
        limit: u32::from(limit.unwrap_or_default().get()),
        cursor: cursor.map(|cursor| cursor.0),
    }
}

/// The page that somebody asked for of a list that is short enough to be read whole. `key` counts up
/// along it; `list` begins its cursors, so that they mean nothing to another list.
///
/// # Errors
/// 400 for a cursor that is none of this list's.
pub(crate) fn cut<T>(
    mut items: Vec<T>,
    page: &Page,
    list: &str,
    key: impl Fn(&T) -> i64,
) -> Result<Paged<T>, ApiError> {
    if let Some(cursor) = &page.cursor {
        let after = cursor
            .strip_prefix(list)
            .and_then(|number| number.parse::<i64>().ok())
            .ok_or_else(|| StoreError::BadCursor(cursor.chars().take(100).collect()))?;
        items.retain(|item| key(item) > after);
    }
    let limit = usize::try_from(page.limit).unwrap_or(usize::MAX);
    let has_more = items.len() > limit;
    items.truncate(limit);
    let next = items
        .last()
        .filter(|_| has_more)
        .map(|last| format!("{list}{}", key(last)));
    Ok(Paged { items, next })
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
