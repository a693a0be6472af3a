//! The index of a log: records of one size, in the order of the log.
//!
//! A record is four little-endian 64-bit numbers and says: the log's first `bytes` bytes have `lines`
//! line ends. Some records, the checkpoints, say more: those bytes stand for the first `raw_offset` bytes
//! of the job's raw output. A record is written after the bytes that it speaks of, and one that was torn
//! by a crash does not count.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// The size of a record, in bytes.
const SIZE: u64 = 32;
/// In the place of a raw offset: the record is no checkpoint.
const NO_CHECKPOINT: u64 = u64::MAX;

/// What is known of the beginning of a log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Record {
    /// How long that beginning is.
    pub(super) bytes: u64,
    /// How many line ends it has.
    pub(super) lines: u64,
    /// For which beginning of the raw output it stands; none if this is no checkpoint.
    pub(super) raw_offset: Option<u64>,
    /// When it was written, in milliseconds since the epoch.
    pub(super) time_ms: i64,
}

impl Record {
    fn to_bytes(self) -> [u8; SIZE as usize] {
        let mut bytes = [0; SIZE as usize];
        bytes[..8].copy_from_slice(&self.bytes.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.lines.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.raw_offset.unwrap_or(NO_CHECKPOINT).to_le_bytes());
        bytes[24..].copy_from_slice(&self.time_ms.to_le_bytes());
        bytes
    }

    fn from_bytes(bytes: [u8; SIZE as usize]) -> Self {
        let number = |place: usize| {
            let mut number = [0; 8];
            number.copy_from_slice(&bytes[place * 8..][..8]);
            u64::from_le_bytes(number)
        };
        Self {
            bytes: number(0),
            lines: number(1),
            raw_offset: Some(number(2)).filter(|offset| *offset != NO_CHECKPOINT),
            time_ms: number(3).cast_signed(),
        }
    }
}

/// How many whole records there are.
pub(super) fn count(index: &File) -> io::Result<u64> {
    Ok(index.metadata()?.len() / SIZE)
}

/// The record at a place below [`count`].
pub(super) fn get(index: &File, place: u64) -> io::Result<Record> {
    let mut bytes = [0; SIZE as usize];
    index.read_exact_at(&mut bytes, place * SIZE)?;
    Ok(Record::from_bytes(bytes))
}

/// Writes a record at a place.
pub(super) fn put(index: &File, place: u64, record: Record) -> io::Result<()> {
    index.write_all_at(&record.to_bytes(), place * SIZE)
}

/// Cuts the index off after so many records.
pub(super) fn truncate(index: &File, records: u64) -> io::Result<()> {
    index.set_len(records * SIZE)
}

/// The last record for which `fits` holds, if it holds for all before it; nothing (an empty beginning) if
/// it holds for none.
pub(super) fn last(index: &File, fits: impl Fn(Record) -> bool) -> io::Result<Record> {
    let (mut low, mut high) = (0, count(index)?);
    let mut found = Record::default();
    while low < high {
        let middle = low.midpoint(high);
        let record = get(index, middle)?;
        if fits(record) {
            found = record;
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(found)
}
