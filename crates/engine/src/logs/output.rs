//! The pump on a blocking thread and the wait for more, as one thing that can be awaited and dropped.

use std::io;
use std::path::{Path, PathBuf};

use model::Timestamp;
use store::{LogSize, LogWriter, StoreError};
use tokio::task::JoinHandle;

use super::marker::Nonce;
use super::mask::Masks;
use super::pump::{Pump, Pumped};
use super::watch::Watch;

/// An attempt's output, chunk by chunk.
pub(crate) struct Output {
    pump: State,
    watch: Watch,
    /// Whether the raw file was at its end when last read.
    at_end: bool,
}

#[derive(Debug)]
enum State {
    Idle(Box<Pump>),
    Working(JoinHandle<(Box<Pump>, Result<Pumped, StoreError>)>),
    /// A bug in the pump took it down.
    Lost,
}

impl Output {
    /// Goes on where the stored log ends; `masks` keep out of it what must not get there.
    pub(crate) fn open(
        raw: &Path,
        nonce: &Nonce,
        masks: Masks,
        writer: LogWriter,
        limit: u64,
    ) -> Result<Self, StoreError> {
        // Watch before the first read, so that nothing falls between.
        let watch = Watch::new(raw);
        Ok(Self {
            pump: State::Idle(Box::new(Pump::open(raw, nonce, masks, writer, limit)?)),
            watch,
            at_end: false,
        })
    }

    /// The next chunk, once there is one. Can be dropped and called again.
    pub(crate) async fn next(&mut self) -> Result<Pumped, StoreError> {
        loop {
            if self.at_end {
                self.watch.grown().await;
                self.at_end = false;
            }
            let pumped = self.step().await?;
            if pumped.read > 0 {
                return Ok(pumped);
            }
        }
    }

    /// The next chunk if there is one already; an empty one at the end.
    pub(crate) async fn step(&mut self) -> Result<Pumped, StoreError> {
        if let State::Idle(_) = self.pump
            && let State::Idle(mut pump) = std::mem::replace(&mut self.pump, State::Lost)
        {
            self.pump = State::Working(tokio::task::spawn_blocking(move || {
                let pumped = pump.step();
                (pump, pumped)
            }));
        }
        let State::Working(working) = &mut self.pump else {
            return Err(lost());
        };
        match working.await {
            Ok((pump, pumped)) => {
                self.pump = State::Idle(pump);
                self.at_end = pumped.as_ref().is_ok_and(|pumped| pumped.at_end);
                pumped
            }
            Err(_) => {
                self.pump = State::Lost;
                Err(lost())
            }
        }
    }

    /// Remembers that everything given so far has been dealt with.
    pub(crate) fn checkpoint(&mut self, now: Timestamp) -> Result<(), StoreError> {
        match &mut self.pump {
            // One small write to a file that is open.
            State::Idle(pump) => pump.checkpoint(now),
            State::Working(_) => Ok(()),
            State::Lost => Err(lost()),
        }
    }

    /// The output is over, and all of it was given.
    pub(crate) async fn finish(self) -> Result<LogSize, StoreError> {
        let pump = match self.pump {
            State::Idle(pump) => pump,
            State::Working(working) => working.await.map_err(|_| lost())?.0,
            State::Lost => return Err(lost()),
        };
        // It waits for the disk.
        tokio::task::spawn_blocking(move || pump.finish())
            .await
            .map_err(|_| lost())?
    }
}

fn lost() -> StoreError {
    let cause = io::Error::other("its reader died of a bug");
    StoreError::Io {
        path: PathBuf::from("log"),
        cause,
    }
}
