//! Trying again what a restart of the server, or a stumble of the network, broke.

use std::time::Duration;

use crate::ClientError;

/// How long to wait before each attempt to connect again; after the last one it is given up. Half a
/// minute in all: enough for a server that restarts.
const BACK_OFF_MS: [u64; 7] = [250, 500, 1000, 2000, 4000, 8000, 15_000];

/// How often it failed in a row.
#[derive(Debug, Default)]
pub(crate) struct Retry {
    failures: usize,
}

impl Retry {
    /// One that never tries again.
    pub(crate) fn spent() -> Self {
        Self {
            failures: BACK_OFF_MS.len(),
        }
    }

    /// Waits until it is time to try again.
    ///
    /// # Errors
    /// The one that is given, at once, where trying again is of no use, or was tried enough.
    pub(crate) async fn wait(&mut self, error: ClientError) -> Result<(), ClientError> {
        let delay = BACK_OFF_MS.get(self.failures);
        let (true, Some(delay)) = (error.is_passing(), delay) else {
            return Err(error);
        };
        self.failures += 1;
        tokio::time::sleep(Duration::from_millis(*delay)).await;
        Ok(())
    }
}
