//! The head of an answer as a CGI program gives it (RFC 3875, section 6).

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, HeaderName};
use http::{HeaderMap, HeaderValue, StatusCode};

/// The longest head, in bytes. Git's has a few lines.
const LONGEST: usize = 16 << 10;

/// A head that comes in pieces.
#[derive(Debug, Default)]
pub(super) struct Head(BytesMut);

/// What a piece made of it.
#[derive(Debug)]
pub(super) enum Fed {
    /// There must be more.
    More,
    /// The head is whole.
    Whole {
        status: StatusCode,
        headers: HeaderMap,
        /// What of the body came with it.
        rest: Bytes,
    },
    /// It can't be read.
    Wrong,
}

impl Head {
    pub(super) fn feed(&mut self, piece: &[u8]) -> Fed {
        self.0.extend_from_slice(piece);
        let ends = [&b"\r\n\r\n"[..], b"\n\n"];
        let found = ends
            .iter()
            .filter_map(|end| {
                let at = self
                    .0
                    .windows(end.len())
                    .position(|window| window == *end)?;
                Some((at, end.len()))
            })
            .min();
        let Some((at, length)) = found else {
            return if self.0.len() > LONGEST {
                Fed::Wrong
            } else {
                Fed::More
            };
        };
        let head = self.0.split_to(at + length);
        let Some((status, headers)) = read(&head[..at]) else {
            return Fed::Wrong;
        };
        Fed::Whole {
            status,
            headers,
            rest: self.0.split().freeze(),
        }
    }
}

fn read(head: &[u8]) -> Option<(StatusCode, HeaderMap)> {
    let head = std::str::from_utf8(head).ok()?;
    let (mut status, mut headers) = (StatusCode::OK, HeaderMap::new());
    for line in head.lines() {
        let (name, value) = line.split_once(':')?;
        let value = value.trim();
        if name.eq_ignore_ascii_case("status") {
            status = value.split(' ').next()?.parse().ok()?;
            continue;
        }
        let name: HeaderName = name.parse().ok()?;
        // What passes is counted anew.
        if name != CONTENT_LENGTH {
            headers.append(name, HeaderValue::from_str(value).ok()?);
        }
    }
    Some((status, headers))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_whatever_the_pieces() {
        let text = b"Status: 404 Not Found\r\nContent-Type: text/plain\r\n\r\nbody\n\nmore";
        for border in 0..=text.len() {
            let (left, right) = text.split_at(border);
            let mut head = Head::default();
            let (fed, after) = match head.feed(left) {
                Fed::More => (head.feed(right), &b""[..]),
                fed @ (Fed::Whole { .. } | Fed::Wrong) => (fed, right),
            };
            let Fed::Whole {
                status,
                headers,
                rest,
            } = fed
            else {
                panic!("border at {border}: {fed:?}");
            };
            assert_eq!(status, StatusCode::NOT_FOUND);
            assert_eq!(headers["content-type"], "text/plain");
            assert_eq!([&rest[..], after].concat(), b"body\n\nmore");
        }
    }

    #[test]
    fn what_is_no_head_is_refused_and_not_kept() {
        assert!(matches!(Head::default().feed(b"no colon\n\n"), Fed::Wrong));
        assert!(matches!(Head::default().feed(b"Status: x\n\n"), Fed::Wrong));
        assert!(matches!(
            Head::default().feed(&[b'x'; LONGEST + 1]),
            Fed::Wrong
        ));
    }
}
