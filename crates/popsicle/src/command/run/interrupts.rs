//! The signals by which people and machines ask a command to end.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::Failure;

/// Ctrl-C, `SIGTERM`, and the terminal's going away. None is missed from the moment it is made.
#[derive(Debug)]
pub struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
    /// None where whoever started us wants it ignored, as `nohup` does.
    hang_up: Option<Signal>,
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
            hang_up: match is_ignored(SignalKind::hangup()) {
                true => None,
                false => Some(listen(SignalKind::hangup())?),
            },
            count: 0,
        })
    }

    /// Waits for the next one. Can be dropped and called again.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            () = hung_up(&mut self.hang_up) => {}
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

async fn hung_up(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}

/// Whether a signal was ignored from the start. Format: proc_pid_status(5), a mask in hexadecimal digits.
fn is_ignored(kind: SignalKind) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    let bit = u32::try_from(kind.as_raw_value() - 1).unwrap_or_default();
    mask.is_some_and(|mask| mask >> bit & 1 == 1)
}
