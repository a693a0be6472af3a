//! Log lines that strangers can cause, few enough that they can't fill the disk with them.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How many lines are written in each [`SPAN`].
const MOST: u64 = 10;

/// After how long it is counted anew.
const SPAN: Duration = Duration::from_secs(60);

/// Counts lines of one kind.
#[derive(Debug, Default)]
pub(crate) struct Sparing(Mutex<Option<Count>>);

#[derive(Debug)]
struct Count {
    since: Instant,
    lines: u64,
}

impl Sparing {
    /// Whether to write a line now; then how many were left out since the last one.
    pub(crate) fn line(&self, now: Instant) -> Option<u64> {
        // Nothing that holds the lock can panic half-way.
        let mut count = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut left_out = 0;
        if let Some(before) = &*count
            && now.saturating_duration_since(before.since) >= SPAN
        {
            left_out = before.lines.saturating_sub(MOST);
            *count = None;
        }
        let count = count.get_or_insert(Count {
            since: now,
            lines: 0,
        });
        count.lines += 1;
        (count.lines <= MOST).then_some(left_out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_a_few_lines_and_a_number() {
        let lines = Sparing::default();
        let begin = Instant::now();
        let written = (0..1000).filter_map(|_| lines.line(begin));
        assert_eq!(written.collect::<Vec<_>>(), [0; 10]);
        assert_eq!(lines.line(begin + SPAN), Some(990));
        assert_eq!(lines.line(begin + SPAN), Some(0));
    }
}
