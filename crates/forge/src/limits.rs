//! When to ask again, from the headers of an answer.
//!
//! All times are relative to the answer's own `Date`, so a clock that is wrong on either side does
//! not matter and none is needed here.

use std::time::Duration;

use http::HeaderMap;
use http::header::{DATE, RETRY_AFTER};
use jiff::Timestamp;

/// For answers that ask for fewer requests without saying when. What GitHub's documentation advises
/// ("Best practices for using the REST API": wait for at least one minute).
pub(crate) const DEFAULT_PAUSE: Duration = Duration::from_secs(60);

/// No answer can silence us for longer than this.
const LONGEST_PAUSE: Duration = Duration::from_secs(24 * 60 * 60);

/// How long `Retry-After` asks to wait: seconds, or a date (RFC 9110, section 10.2.3).
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let pause = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => until(headers, http_date(text)?),
    };
    Some(bounded(pause))
}

/// How long until the moment in `header`, in seconds since the epoch.
pub(crate) fn until_epoch(headers: &HeaderMap, header: &str) -> Option<Duration> {
    let seconds = headers.get(header)?.to_str().ok()?.trim().parse().ok()?;
    let moment = Timestamp::from_second(seconds).ok()?;
    Some(bounded(until(headers, moment)))
}

fn until(headers: &HeaderMap, moment: Timestamp) -> Duration {
    let now = headers
        .get(DATE)
        .and_then(|date| http_date(date.to_str().ok()?));
    match now {
        // One second more, as both are cut to whole seconds.
        Some(now) => {
            Duration::try_from(moment.duration_since(now)).unwrap_or_default()
                + Duration::from_secs(1)
        }
        None => DEFAULT_PAUSE,
    }
}

fn bounded(pause: Duration) -> Duration {
    pause.clamp(Duration::from_secs(1), LONGEST_PAUSE)
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`: the form that HTTP's dates must have.
fn http_date(text: &str) -> Option<Timestamp> {
    jiff::fmt::rfc2822::DateTimeParser::new()
        .parse_timestamp(text)
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                (
                    http::HeaderName::from_static(name),
                    http::HeaderValue::from_static(value),
                )
            })
            .collect()
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let date = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
        let seconds = |pairs: &[_]| retry_after(&headers(pairs)).map(|pause| pause.as_secs());
        assert_eq!(seconds(&[("retry-after", "7")]), Some(7));
        assert_eq!(seconds(&[("retry-after", " 7 "), date]), Some(7));
        assert_eq!(seconds(&[("retry-after", "0")]), Some(1));
        assert_eq!(seconds(&[("retry-after", "99999999999")]), Some(86_400));
        let later = ("retry-after", "Sun, 06 Nov 1994 08:51:37 GMT");
        assert_eq!(seconds(&[later, date]), Some(121));
        assert_eq!(seconds(&[later]), Some(60));
        let earlier = ("retry-after", "Sun, 06 Nov 1994 08:00:00 GMT");
        assert_eq!(seconds(&[earlier, date]), Some(1));
        assert_eq!(seconds(&[("retry-after", "soon")]), None);
        assert_eq!(seconds(&[("retry-after", "-1")]), None);
        assert_eq!(seconds(&[date]), None);
    }

    #[test]
    fn a_reset_counts_from_the_answers_own_date() {
        let date = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
        let seconds = |pairs: &[_]| {
            until_epoch(&headers(pairs), "x-ratelimit-reset").map(|pause| pause.as_secs())
        };
        // 784111777 is the date above.
        assert_eq!(
            seconds(&[("x-ratelimit-reset", "784111807"), date]),
            Some(31)
        );
        assert_eq!(
            seconds(&[("x-ratelimit-reset", "784111000"), date]),
            Some(1)
        );
        assert_eq!(seconds(&[("x-ratelimit-reset", "784111807")]), Some(60));
        assert_eq!(seconds(&[("x-ratelimit-reset", "never"), date]), None);
        assert_eq!(seconds(&[date]), None);
    }
}
