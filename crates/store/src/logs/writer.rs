//! Writes one attempt's log, and takes it up again after a crash.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;

use model::Timestamp;

use super::index::{self, Record};
use super::{Paths, at};
use crate::{Result, measure};

/// At least every so many bytes the index has a record.
const STRIDE: u64 = 64 << 10;

/// Writes one attempt's log. Only one may at a time.
#[derive(Debug)]
pub struct LogWriter {
    text: File,
    index: File,
    paths: Paths,
    /// What is written, and up to where in the raw output it was checked.
    resume: Resume,
    /// How many records the index has, and up to which byte.
    records: u64,
    indexed: u64,
    /// How long the log was at the last checkpoint.
    checked: u64,
    /// The last time that the caller told.
    time_ms: i64,
}

/// Where a log stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resume {
    /// From where the raw output is to be read on, in bytes.
    pub raw_offset: u64,
    /// How long the log is, in bytes.
    pub bytes: u64,
    /// How many line ends it has.
    pub lines: u64,
}

/// How much a finished log has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogSize {
    /// Bytes.
    pub bytes: u64,
    /// Lines; a last one without a line end counts.
    pub lines: u64,
}

impl LogWriter {
    pub(super) fn open(paths: Paths) -> Result<Self> {
        if let Some(folder) = paths.text.parent() {
            fs::create_dir_all(folder).map_err(at(folder))?;
        }
        let open = |path| {
            let mut options = File::options();
            options.read(true).write(true).create(true).truncate(false);
            options.open(path).map_err(at(path))
        };
        let (text, index) = (open(&paths.text)?, open(&paths.index)?);
        let length = text.metadata().map_err(at(&paths.text))?.len();
        let (records, last) = last_checkpoint(&index, length).map_err(at(&paths.index))?;
        if length > last.bytes {
            text.set_len(last.bytes).map_err(at(&paths.text))?;
        }
        index::truncate(&index, records).map_err(at(&paths.index))?;
        let resume = Resume {
            raw_offset: last.raw_offset.unwrap_or(0),
            bytes: last.bytes,
            lines: last.lines,
        };
        let (indexed, time_ms) = (last.bytes, last.time_ms);
        Ok(Self {
            text,
            index,
            paths,
            resume,
            records,
            indexed,
            checked: indexed,
            time_ms,
        })
    }

    /// Where the log stands, and from where the caller must read the raw output on.
    pub fn resume(&self) -> Resume {
        self.resume
    }

    /// Writes more of the log; readers see it at once.
    ///
    /// # Errors
    /// Where it can't be written: [`crate::StoreError::DiskFull`] where there is no room. The log then is
    /// as it was before the call.
    pub fn append(&mut self, text: &[u8]) -> Result<()> {
        let (resume, records, indexed) = (self.resume, self.records, self.indexed);
        let appended = self.append_pieces(text);
        if appended.is_ok() {
            measure::logged(text.len());
        } else {
            (self.resume, self.records, self.indexed) = (resume, records, indexed);
            // What fit is cut off again; if even that fails, taking up cuts it. The text goes first: a
            // record of text that is not there does not count.
            let _ = self.text.set_len(resume.bytes);
            let _ = index::truncate(&self.index, records);
        }
        appended
    }

    fn append_pieces(&mut self, text: &[u8]) -> Result<()> {
        let mut rest = text;
        while !rest.is_empty() {
            // A line can then be found by reading one stride at most.
            let room = usize::try_from(self.indexed + STRIDE - self.resume.bytes);
            let (piece, next) = rest.split_at(rest.len().min(room.unwrap_or(usize::MAX)));
            self.text
                .write_all_at(piece, self.resume.bytes)
                .map_err(at(&self.paths.text))?;
            self.resume.bytes += piece.len() as u64;
            self.resume.lines += line_ends(piece);
            if self.resume.bytes - self.indexed >= STRIDE {
                self.record(None)?;
            }
            rest = next;
        }
        Ok(())
    }

    /// Says that everything appended so far stands for the raw output up to `raw_offset`: after a crash,
    /// writing goes on from here.
    ///
    /// # Errors
    /// Where the index can't be written.
    pub fn checkpoint(&mut self, raw_offset: u64, now: Timestamp) -> Result<()> {
        self.time_ms = now.as_millis();
        if raw_offset == self.resume.raw_offset && self.checked == self.resume.bytes {
            return Ok(());
        }
        self.record(Some(raw_offset))?;
        self.resume.raw_offset = raw_offset;
        self.checked = self.resume.bytes;
        Ok(())
    }

    /// The log is whole: returns how much it has, once it is on disk.
    ///
    /// # Errors
    /// Where it can't be written to disk.
    pub fn finish(self) -> Result<LogSize> {
        self.text.sync_data().map_err(at(&self.paths.text))?;
        self.index.sync_data().map_err(at(&self.paths.index))?;
        let mut last = [b'\n'];
        if let Some(place) = self.resume.bytes.checked_sub(1) {
            self.text
                .read_exact_at(&mut last, place)
                .map_err(at(&self.paths.text))?;
        }
        let unended = u64::from(last != [b'\n']);
        Ok(LogSize {
            bytes: self.resume.bytes,
            lines: self.resume.lines + unended,
        })
    }

    fn record(&mut self, raw_offset: Option<u64>) -> Result<()> {
        let Resume { bytes, lines, .. } = self.resume;
        let record = Record {
            bytes,
            lines,
            raw_offset,
            time_ms: self.time_ms,
        };
        index::put(&self.index, self.records, record).map_err(at(&self.paths.index))?;
        self.records += 1;
        self.indexed = bytes;
        Ok(())
    }
}

/// The last checkpoint that speaks only of bytes that are there, and how many records go up to it.
fn last_checkpoint(index: &File, length: u64) -> std::io::Result<(u64, Record)> {
    for place in (0..index::count(index)?).rev() {
        let record = index::get(index, place)?;
        if record.raw_offset.is_some() && record.bytes <= length {
            return Ok((place + 1, record));
        }
    }
    Ok((0, Record::default()))
}

fn line_ends(text: &[u8]) -> u64 {
    text.iter().map(|byte| u64::from(*byte == b'\n')).sum()
}
