//! Patience with the database: what must be stored is stored, as soon as it can be.
//!
//! The disk may be full for an hour, or another program may hold the database. What has happened has
//! happened all the same, so its storing is repeated rather than given up.

use std::time::Duration;

use store::StoreError;
use tokio::time::Instant;

use crate::run::chain;

const FIRST_RETRY: Duration = Duration::from_millis(100);
const LONGEST_RETRY: Duration = Duration::from_secs(15);

/// How long to go on.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Patience {
    /// Until it is stored: nothing else could be done.
    Endless,
    /// While others hold the database, but no longer than that.
    Busy(Duration),
}

/// Stores something, again and again while that can't be done just now. `what` goes to the log: `how the
/// job ended`.
///
/// # Errors
/// Those that a repetition would not mend, and the last one where the patience is at its end.
pub(crate) async fn persist<T, F>(
    what: &'static str,
    patience: Patience,
    store: impl Fn() -> F,
) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, StoreError>>,
{
    let began = Instant::now();
    let mut delay = FIRST_RETRY;
    loop {
        let error = match store().await {
            Err(error) if error.is_passing() => error,
            done => return done,
        };
        let go_on = match patience {
            Patience::Endless => true,
            Patience::Busy(limit) => error.is_busy() && began.elapsed() < limit,
        };
        if !go_on {
            return Err(error);
        }
        let delay_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        tracing::error!(
            what,
            error = chain(&error),
            delay_ms,
            "not stored; trying again"
        );
        tokio::time::sleep(delay).await;
        delay = delay.saturating_mul(2).min(LONGEST_RETRY);
    }
}
