//! The signals by which people and machines ask a command to end.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::Failure;

/// Ctrl-C, `SIGTERM`, and the terminal's going away. None is missed from the moment it is made.
#[derive(Debug)]
pub struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
    count: u32,
}

impl Interrupts {
    /// Listens from now on.
    pub fn new() -> Result<Self, Failure> {
        let listen = |kind| {
            signal(kind).map_err(|error: io::Error| {
                Failure::unable(format_args!("can't listen to signals: {error}"))
            })
        };
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hang_up: listen(SignalKind::hangup())?,
            count: 0,
        })
    }

    /// Waits for the next one. Can be dropped and called again.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hang_up.recv() => {}
        }
        self.count += 1;
    }

    /// How many there were.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Returns once there was one more than the first, which only asks to stop.
    pub async fn once_more(&mut self) {
        while self.count < 2 {
            self.next().await;
        }
    }
}
