//! What steps write that run in the background: each has a file and a log of its own.

use std::future::pending;
use std::path::PathBuf;

use executor::JobDir;
use futures_util::future::select_all;
use model::{JobSpec, Timestamp};
use store::{LogWriter, StoreError};

use crate::logs::{Masks, Nonce, Output, Pumped};

/// The steps of a job that run in the background.
pub(super) fn steps(spec: &JobSpec) -> impl Iterator<Item = u32> {
    (0..)
        .zip(spec.steps())
        .filter(|(_, step)| step.is_behind())
        .map(|(index, _)| index)
}

/// The output of all steps of an attempt that run in the background.
#[derive(Default)]
pub(super) struct Behind {
    outputs: Vec<Output>,
}

impl Behind {
    /// Goes on with another step's log where it ends. `no_marker` is in no output: whatever such a step
    /// writes is text.
    pub(super) fn add(
        &mut self,
        (dir, step): (&JobDir, u32),
        no_marker: &Nonce,
        masks: Masks,
        writer: LogWriter,
        limit: u64,
    ) -> Result<(), StoreError> {
        let raw: PathBuf = dir.output(step);
        let output = Output::open(&raw, no_marker, masks, writer, limit)?;
        self.outputs.push(output);
        Ok(())
    }

    /// Stores the next chunk of any of them, once there is one. Can be dropped and called again.
    pub(super) async fn next(&mut self, now: impl Fn() -> Timestamp) -> Result<Pumped, StoreError> {
        if self.outputs.is_empty() {
            return pending().await;
        }
        let next = self
            .outputs
            .iter_mut()
            .map(|output| Box::pin(output.next()));
        let (pumped, place, _) = select_all(next).await;
        let pumped = pumped?;
        self.outputs[place].checkpoint(now())?;
        Ok(pumped)
    }

    /// Stores the rest, as far as there is room for it: nobody writes any more. Whether there was none.
    pub(super) async fn finish(self) -> Result<bool, StoreError> {
        let mut is_full = false;
        for mut output in self.outputs {
            // The first chunk may have been read while there was more to come.
            let mut fresh = false;
            loop {
                let pumped = output.step().await?;
                is_full |= pumped.is_full;
                if pumped.is_full || fresh && pumped.read == 0 {
                    break;
                }
                fresh = true;
            }
            output.finish().await?;
        }
        Ok(is_full)
    }
}
