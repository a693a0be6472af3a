//! Reads one attempt's log by byte or by line, without reading all of it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::index::{self, Record};
use super::{Paths, at};
use crate::Result;

/// How much is read at once when lines are counted.
const BLOCK: usize = 64 << 10;

/// Reads one attempt's log, even while it is written.
///
/// Offsets and lengths are of the log's text, whatever form its file has.
#[derive(Debug)]
pub struct LogReader {
    text: File,
    /// None where it was never made: then lines are counted from the log's beginning.
    index: Option<File>,
    paths: Paths,
}

impl LogReader {
    pub(super) fn open(paths: &Paths) -> Result<Option<Self>> {
        let Some(text) = open(&paths.text)? else {
            return Ok(None);
        };
        let index = open(&paths.index)?;
        Ok(Some(Self {
            text,
            index,
            paths: paths.clone(),
        }))
    }

    /// How long the log is now, in bytes.
    ///
    /// # Errors
    /// Where the file can't be looked at.
    pub fn len(&self) -> Result<u64> {
        Ok(self.text.metadata().map_err(at(&self.paths.text))?.len())
    }

    /// Whether nothing was written yet.
    ///
    /// # Errors
    /// Where the file can't be looked at.
    pub fn is_empty(&self) -> Result<bool> {
        Ok(self.len()? == 0)
    }

    /// At most `limit` bytes from an offset on; none at the log's end, fewer only before it.
    ///
    /// # Errors
    /// Where the file can't be read.
    pub fn read_at(&self, offset: u64, limit: usize) -> Result<Vec<u8>> {
        let there = self.len()?.saturating_sub(offset);
        let mut bytes = vec![0; limit.min(usize::try_from(there).unwrap_or(usize::MAX))];
        let read = self.fill(&mut bytes, offset)?;
        bytes.truncate(read);
        Ok(bytes)
    }

    /// Where the last so many lines begin, in bytes; 0 if the log has no more. A last line without a
    /// line end counts.
    ///
    /// # Errors
    /// Where the files can't be read.
    pub fn tail_offset(&self, lines: u64) -> Result<u64> {
        let length = self.len()?;
        if lines == 0 || length == 0 {
            return Ok(length);
        }
        let ends = self.line_ends(length)?;
        let last = self.read_at(length - 1, 1)?;
        let whole = ends + u64::from(last != b"\n");
        self.line_offset(whole.saturating_sub(lines))
    }

    /// Where a line begins, in bytes; lines count from 0. The log's end if it has no such line.
    ///
    /// # Errors
    /// Where the files can't be read.
    pub fn line_offset(&self, line: u64) -> Result<u64> {
        if line == 0 {
            return Ok(0);
        }
        let length = self.len()?;
        // The line begins behind its predecessors' last line end, which the record must not have yet.
        let near = self.record(|record| record.lines < line && record.bytes <= length)?;
        let mut missing = line - near.lines;
        let mut offset = near.bytes;
        loop {
            let block = self.read_at(offset, BLOCK)?;
            if block.is_empty() {
                return Ok(offset);
            }
            for (place, byte) in block.iter().enumerate() {
                if *byte == b'\n' {
                    missing -= 1;
                    if missing == 0 {
                        return Ok(offset + place as u64 + 1);
                    }
                }
            }
            offset += block.len() as u64;
        }
    }

    /// How many line ends the log has before a byte.
    fn line_ends(&self, before: u64) -> Result<u64> {
        let near = self.record(|record| record.bytes <= before)?;
        let (mut ends, mut offset) = (near.lines, near.bytes);
        while offset < before {
            let limit = usize::try_from(before - offset).unwrap_or(BLOCK).min(BLOCK);
            let block = self.read_at(offset, limit)?;
            if block.is_empty() {
                break;
            }
            ends += block
                .iter()
                .map(|byte| u64::from(*byte == b'\n'))
                .sum::<u64>();
            offset += block.len() as u64;
        }
        Ok(ends)
    }

    fn record(&self, fits: impl Fn(Record) -> bool) -> Result<Record> {
        let Some(index) = &self.index else {
            return Ok(Record::default());
        };
        index::last(index, fits).map_err(at(&self.paths.index))
    }

    fn fill(&self, bytes: &mut [u8], offset: u64) -> Result<usize> {
        let mut filled = 0;
        while filled < bytes.len() {
            match self
                .text
                .read_at(&mut bytes[filled..], offset + filled as u64)
            {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(at(&self.paths.text)(error)),
            }
        }
        Ok(filled)
    }
}

fn open(path: &Path) -> Result<Option<File>> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(at(path)(error)),
    }
}
