//! One chunk at a time from the raw file to the stored log. Plain file I/O, for a blocking thread.

use std::fs::File;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use model::Timestamp;
use rustix::fs::OFlags;
use store::{LogSize, LogWriter, StoreError};

use super::marker::{Marker, Nonce, Piece, Splitter};
use super::mask::{Masker, Masks};

/// How much is read at once.
const CHUNK: usize = 256 << 10;

/// How far a job may be ahead of us over what its log may have, in bytes.
const AHEAD: u64 = 64 << 20;

/// A marker, and the length of the stored log where it stood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Placed {
    pub(crate) marker: Marker,
    pub(crate) offset: u64,
}

/// What one chunk brought.
#[derive(Debug)]
pub(crate) struct Pumped {
    /// How many raw bytes it had.
    pub(crate) read: usize,
    /// The markers in it.
    pub(crate) markers: Vec<Placed>,
    /// Whether the raw file was read to its end.
    pub(crate) at_end: bool,
    /// The length of the stored log, in bytes.
    pub(crate) bytes: u64,
    /// Whether the log has reached its limit; what is over is not stored.
    pub(crate) is_full: bool,
    /// Whether the job is so far ahead of us that it must be stopped.
    pub(crate) is_flooded: bool,
}

impl Pumped {
    /// Whether the job has written more than it may.
    pub(crate) fn is_too_much(&self) -> bool {
        self.is_full || self.is_flooded
    }
}

/// Reads the raw file, writes the stored log.
#[derive(Debug)]
pub(crate) struct Pump {
    raw: File,
    raw_offset: u64,
    splitter: Splitter,
    masker: Masker,
    writer: LogWriter,
    bytes: u64,
    limit: u64,
    buffer: Vec<u8>,
}

impl Pump {
    /// Goes on where the stored log ends.
    pub(crate) fn open(
        raw: &Path,
        nonce: &Nonce,
        masks: Masks,
        writer: LogWriter,
        limit: u64,
    ) -> Result<Self, StoreError> {
        // A job can replace its files: never follow a link, never wait for a FIFO.
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let file = File::options()
            .read(true)
            .custom_flags(flags.bits().cast_signed())
            .open(raw)
            .map_err(|cause| unreadable(raw, cause))?;
        let resume = writer.resume();
        Ok(Self {
            raw: file,
            raw_offset: resume.raw_offset,
            splitter: Splitter::new(nonce),
            masker: Masker::new(masks),
            writer,
            bytes: resume.bytes,
            limit,
            buffer: vec![0; CHUNK],
        })
    }

    /// Takes the next chunk.
    pub(crate) fn step(&mut self) -> Result<Pumped, StoreError> {
        let read = self
            .raw
            .read_at(&mut self.buffer, self.raw_offset)
            .map_err(|cause| unreadable(Path::new("log"), cause))?;
        self.raw_offset += read as u64;
        let mut markers = Vec::new();
        let Self {
            splitter,
            masker,
            writer,
            bytes,
            limit,
            buffer,
            ..
        } = self;
        splitter.split(&buffer[..read], |piece| {
            match piece {
                Piece::Text(text) => {
                    masker.mask(text, |text| append(writer, bytes, *limit, text))?;
                }
                Piece::Marker(marker) => {
                    // What one step began to say, the next one does not end.
                    masker.flush(|text| append(writer, bytes, *limit, text))?;
                    markers.push(Placed {
                        marker,
                        offset: *bytes,
                    });
                }
            }
            Ok::<(), StoreError>(())
        })?;
        Ok(Pumped {
            read,
            markers,
            at_end: read < self.buffer.len(),
            bytes: self.bytes,
            is_full: self.bytes >= self.limit,
            is_flooded: self.is_flooded()?,
        })
    }

    /// Whether the job writes so much faster than we read that the raw file takes far more room than its
    /// log ever may.
    fn is_flooded(&self) -> Result<bool, StoreError> {
        let raw = self.raw.metadata();
        let length = raw
            .map_err(|cause| unreadable(Path::new("log"), cause))?
            .len();
        Ok(length.saturating_sub(self.raw_offset) > self.limit.saturating_add(AHEAD))
    }

    /// Remembers that all markers up to here have been dealt with: after a crash, reading goes on here.
    pub(crate) fn checkpoint(&mut self, now: Timestamp) -> Result<(), StoreError> {
        // What the splitter holds back comes right after what the masker does.
        let pending = self.splitter.pending() + self.masker.pending();
        self.writer
            .checkpoint(self.raw_offset - pending as u64, now)
    }

    /// The output is over.
    pub(crate) fn finish(mut self) -> Result<LogSize, StoreError> {
        let rest = self.splitter.finish();
        let (writer, bytes, limit) = (&mut self.writer, &mut self.bytes, self.limit);
        let mut keep = |text: &[u8]| append(writer, bytes, limit, text);
        self.masker.mask(&rest, &mut keep)?;
        self.masker.flush(&mut keep)?;
        self.writer.finish()
    }
}

fn append(
    writer: &mut LogWriter,
    bytes: &mut u64,
    limit: u64,
    text: &[u8],
) -> Result<(), StoreError> {
    let room = usize::try_from(limit.saturating_sub(*bytes)).unwrap_or(usize::MAX);
    let text = &text[..text.len().min(room)];
    writer.append(text)?;
    *bytes += text.len() as u64;
    Ok(())
}

fn unreadable(path: &Path, cause: std::io::Error) -> StoreError {
    StoreError::Io {
        path: PathBuf::from(path),
        cause,
    }
}
