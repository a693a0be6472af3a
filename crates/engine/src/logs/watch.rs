//! Waits for a file to grow, at no cost while it does not.

use std::path::Path;
use std::time::Duration;

use futures_util::StreamExt;
use inotify::{EventStream, Inotify, WatchMask};

/// A guard against a missed notice.
const GUARD: Duration = Duration::from_secs(1);
/// How often to look where the kernel gives no notices (no inotify instances left, say).
const POLL: Duration = Duration::from_millis(50);

/// Enough for many notices at once; what they say is known anyway.
const BUFFER: usize = 4096;

/// Notices of one file's growth.
pub(crate) struct Watch {
    notices: Option<EventStream<[u8; BUFFER]>>,
}

impl Watch {
    /// Watches a file. Whatever it gains before [`Watch::grown`] is called is noticed too.
    pub(crate) fn new(path: &Path) -> Self {
        let notices = Inotify::init().and_then(|instance| {
            instance.watches().add(path, WatchMask::MODIFY)?;
            instance.into_event_stream([0; BUFFER])
        });
        if let Err(error) = &notices {
            tracing::debug!(%error, path = %path.display(), "no inotify; looking every 50 ms");
        }
        Self {
            notices: notices.ok(),
        }
    }

    /// Returns when the file may have grown. Can be dropped and called again.
    pub(crate) async fn grown(&mut self) {
        match &mut self.notices {
            // Whatever came of the wait, the file is looked at.
            Some(notices) => drop(tokio::time::timeout(GUARD, notices.next()).await),
            None => tokio::time::sleep(POLL).await,
        }
    }
}
