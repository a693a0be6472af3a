//! The header `Range`, for one range of bytes (RFC 9110, section 14).

use std::ops::Range;

use http::HeaderMap;
use http::header::{IF_RANGE, RANGE};

/// What a request asks for of something that has so many bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// All of it.
    Whole,
    /// These bytes of it.
    Part(Range<u64>),
    /// Bytes that it does not have.
    Nothing,
}

/// Reads the header. As the RFC allows, all is given where it asks for several ranges, for other
/// units than bytes, or under a condition (`If-Range`): we give no validators.
pub(crate) fn wanted(headers: &HeaderMap, length: u64) -> Wanted {
    if headers.contains_key(IF_RANGE) {
        return Wanted::Whole;
    }
    headers
        .get(RANGE)
        .and_then(|value| value.to_str().ok()?.trim().strip_prefix("bytes="))
        .and_then(|spec| part(spec.trim(), length))
        .unwrap_or(Wanted::Whole)
}

/// None for what is not one well-formed range.
fn part(spec: &str, length: u64) -> Option<Wanted> {
    let (first, last) = spec.split_once('-')?;
    let range = if first.is_empty() {
        let suffix = number(last)?;
        length.saturating_sub(suffix)..length
    } else {
        let first = number(first)?;
        let end = if last.is_empty() {
            length
        } else {
            let last = number(last)?;
            if last < first {
                return None;
            }
            last.saturating_add(1).min(length)
        };
        first..end
    };
    Some(if range.is_empty() {
        Wanted::Nothing
    } else {
        Wanted::Part(range)
    })
}

/// Digits only: `parse` would let a sign pass.
fn number(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    // A number that has no room is farther than any end.
    Some(text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_the_rfc_has_them() {
        let check = |header: &'static str, expected: Wanted| {
            let mut headers = HeaderMap::new();
            headers.insert(RANGE, header.parse().unwrap());
            assert_eq!(wanted(&headers, 10), expected, "{header}");
        };
        check("bytes=0-3", Wanted::Part(0..4));
        check("bytes=9-9", Wanted::Part(9..10));
        check("bytes=4-", Wanted::Part(4..10));
        check("bytes=-3", Wanted::Part(7..10));
        check("bytes=-99", Wanted::Part(0..10));
        check("bytes=0-99999999999999999999999", Wanted::Part(0..10));
        check("bytes=10-", Wanted::Nothing);
        check("bytes=10-20", Wanted::Nothing);
        check("bytes=-0", Wanted::Nothing);
        for whole in [
            "bytes=5-4",
            "bytes=0-1,3-4",
            "bytes=",
            "bytes=-",
            "bytes=a-b",
            "bytes=+1-2",
            "lines=1-2",
            "bytes 0-3",
        ] {
            check(whole, Wanted::Whole);
        }
        let mut headers = HeaderMap::new();
        headers.insert(RANGE, "bytes=0-3".parse().unwrap());
        headers.insert(IF_RANGE, "\"x\"".parse().unwrap());
        assert_eq!(wanted(&headers, 10), Wanted::Whole);
        assert_eq!(wanted(&HeaderMap::new(), 10), Wanted::Whole);
    }

    #[test]
    fn an_empty_log_has_no_part() {
        let mut headers = HeaderMap::new();
        headers.insert(RANGE, "bytes=0-".parse().unwrap());
        assert_eq!(wanted(&headers, 0), Wanted::Nothing);
    }
}
