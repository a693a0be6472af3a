//! Lists come a page at a time; the `Link` header (RFC 8288) leads on.

use api::Cursor;
use reqwest::header::{HeaderMap, LINK};
use url::Url;

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// Where the next one begins, if there is one.
    pub next: Option<Cursor>,
}

/// The cursor in the `rel="next"` link, if there is one.
pub(crate) fn next_cursor(headers: &HeaderMap, asked: &Url) -> Option<Cursor> {
    headers
        .get_all(LINK)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .find_map(|link| {
            let (target, parameters) = link.split_once('>')?;
            let is_next = parameters.split(';').any(|parameter| {
                let (name, value) = parameter.split_once('=').unwrap_or_default();
                name.trim().eq_ignore_ascii_case("rel")
                    && value.trim().trim_matches('"').eq_ignore_ascii_case("next")
            });
            if !is_next {
                return None;
            }
            let target = asked.join(target.trim().strip_prefix('<')?).ok()?;
            target
                .query_pairs()
                .find(|(name, _)| name == "cursor")
                .map(|(_, cursor)| Cursor(cursor.into_owned()))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cursor(link: &str) -> Option<String> {
        let asked = Url::parse("http://ci:5000/pipelines").unwrap();
        let headers = HeaderMap::from_iter([(LINK, link.parse().unwrap())]);
        next_cursor(&headers, &asked).map(|cursor| cursor.0)
    }

    #[test]
    fn the_next_link_is_found() {
        let found = Some("a=b".to_owned());
        assert_eq!(
            cursor("</pipelines?limit=2&cursor=a%3Db>; rel=\"next\""),
            found
        );
        assert_eq!(
            cursor("<http://ci/x?cursor=no>; rel=prev, <http://ci/x?cursor=a%3Db>; rel=next"),
            found
        );
        assert_eq!(cursor("</pipelines?cursor=x>; rel=\"prev\""), None);
        assert_eq!(cursor("</pipelines?limit=2>; rel=\"next\""), None);
        assert_eq!(cursor("nonsense"), None);
    }
}
