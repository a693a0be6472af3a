//! Waiting for a state, with a bound: the only way in which a story lets time pass.

use std::time::{Duration, Instant};

/// How long a state may take to come. Nothing here takes seconds; a loaded machine may.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// How often to look.
const STEP: Duration = Duration::from_millis(20);

/// Looks until there is something to see, and returns it.
///
/// # Panics
/// If it does not come within [`PATIENCE`]; `what` says what was waited for.
pub async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let since = Instant::now();
    loop {
        if let Some(seen) = look().await {
            return seen;
        }
        assert!(
            since.elapsed() < PATIENCE,
            "waited {PATIENCE:?} in vain: {what}"
        );
        tokio::time::sleep(STEP).await;
    }
}
