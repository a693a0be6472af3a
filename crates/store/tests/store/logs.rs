//! Logs: nothing lost and nothing twice after a crash, and any line found without reading all.

use std::fs::{self, File};
use std::path::PathBuf;

use model::{JobId, PipelineId};
use store::{LogReader, LogWriter, Logs, StoreError};
use tempfile::TempDir;

use crate::world::{SmallDisk, t};

const PIPELINE: PipelineId = PipelineId(7);
const JOB: JobId = JobId(3);
/// How many lines the raw output of a crash has.
const LINES: u64 = 16;

struct Folder {
    folder: TempDir,
    logs: Logs,
}

impl Folder {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let logs = Logs::new(folder.path().join("logs"));
        Self { folder, logs }
    }

    fn writer(&self) -> LogWriter {
        self.logs.writer(PIPELINE, JOB, 1).unwrap()
    }

    fn reader(&self) -> LogReader {
        self.logs.reader(PIPELINE, JOB, 1).unwrap()
    }

    fn text(&self) -> PathBuf {
        self.folder.path().join("logs/7/3.1.log")
    }

    fn index(&self) -> PathBuf {
        self.folder.path().join("logs/7/3.1.idx")
    }
}

/// Raw output with a marker of two bytes before each line; the log is the lines alone.
fn raw() -> Vec<u8> {
    (0..LINES)
        .flat_map(|line| format!("\x1b!line {line}\n").into_bytes())
        .collect()
}

fn without_markers(raw: &[u8]) -> Vec<u8> {
    raw.iter()
        .copied()
        .filter(|byte| !b"\x1b!".contains(byte))
        .collect()
}

/// Writes raw output on from where the log stands, up to `end`, in chunks with a checkpoint each.
fn write(writer: &mut LogWriter, raw: &[u8], end: usize, chunk: usize) {
    let mut offset = usize::try_from(writer.resume().raw_offset).unwrap();
    while offset < end {
        let next = end.min(offset + chunk);
        writer.append(&without_markers(&raw[offset..next])).unwrap();
        offset = next;
        writer.checkpoint(offset as u64, t(offset as i64)).unwrap();
    }
}

#[test]
fn writing_goes_on_after_a_crash_at_any_byte() {
    let raw = raw();
    let whole = without_markers(&raw);
    let folder = Folder::new();
    let mut writer = folder.writer();
    write(&mut writer, &raw, raw.len(), 37);
    drop(writer);
    let (text, index) = (
        fs::read(folder.text()).unwrap(),
        fs::read(folder.index()).unwrap(),
    );
    assert_eq!(text, whole);

    let crash = |text: &[u8], index: &[u8]| {
        fs::write(folder.text(), text).unwrap();
        fs::write(folder.index(), index).unwrap();
        let mut writer = folder.writer();
        let resume = writer.resume();
        let length = usize::try_from(resume.bytes).unwrap();
        assert!(length <= text.len());
        let stands_for = &raw[..usize::try_from(resume.raw_offset).unwrap()];
        assert_eq!(without_markers(stands_for), text[..length]);
        let lines = text[..length].iter().filter(|byte| **byte == b'\n').count();
        assert_eq!(resume.lines, lines as u64);
        write(&mut writer, &raw, raw.len(), 53);
        let size = writer.finish().unwrap();
        assert_eq!((size.bytes, size.lines), (whole.len() as u64, LINES));
        assert_eq!(fs::read(folder.text()).unwrap(), whole);
        // Every line is found by what is left of the index.
        let reader = folder.reader();
        let second = 1 + whole.iter().position(|byte| *byte == b'\n').unwrap();
        assert_eq!(reader.line_offset(1).unwrap(), second as u64);
        assert_eq!(reader.line_offset(LINES).unwrap(), whole.len() as u64);
        length
    };
    // The log is shorter than its index says, as after a power cut.
    for cut in 0..=text.len() {
        crash(&text[..cut], &index);
    }
    // The index is torn, as when the server is killed between its two writes.
    for cut in 0..=index.len() {
        let kept = crash(&text, &index[..cut]);
        assert_eq!(kept == 0, cut < 32, "a whole record is enough");
    }
}

#[test]
fn what_was_appended_after_the_last_checkpoint_is_written_again() {
    let folder = Folder::new();
    let mut writer = folder.writer();
    writer.append(b"one\n").unwrap();
    writer.checkpoint(10, t(1)).unwrap();
    writer.append(b"two\n").unwrap();
    // A server that dies does not drop its writer; what it appended is there all the same.
    assert_eq!(folder.reader().read_at(0, 100).unwrap(), b"one\ntwo\n");
    drop(writer);
    let mut writer = folder.writer();
    let resume = writer.resume();
    assert_eq!((resume.raw_offset, resume.bytes, resume.lines), (10, 4, 1));
    writer.append(b"two\n").unwrap();
    assert_eq!(writer.finish().unwrap().lines, 2);
    assert_eq!(folder.reader().read_at(0, 100).unwrap(), b"one\ntwo\n");
}

#[test]
fn what_stands_for_no_raw_output_is_kept_by_a_checkpoint_too() {
    let folder = Folder::new();
    let mut writer = folder.writer();
    writer.append(b"x").unwrap();
    writer.checkpoint(10, t(1)).unwrap();
    // Just as long that the index has a record of it already, which is no checkpoint.
    writer.append(&[b'y'; 64 << 10]).unwrap();
    writer.checkpoint(10, t(2)).unwrap();
    drop(writer);
    let resume = folder.writer().resume();
    assert_eq!((resume.raw_offset, resume.bytes), (10, 1 + (64 << 10)));
}

#[test]
fn a_log_far_larger_than_a_stride_is_taken_up_at_its_last_checkpoint() {
    let folder = Folder::new();
    let mut writer = folder.writer();
    let line = [b"x".repeat(999), b"\n".to_vec()].concat();
    for _ in 0..200 {
        writer.append(&line).unwrap();
    }
    writer.checkpoint(1_000_000, t(1)).unwrap();
    // Three strides that no checkpoint speaks of.
    writer.append(&b"y".repeat(200_000)).unwrap();
    drop(writer);
    let resume = folder.writer().resume();
    assert_eq!(
        (resume.raw_offset, resume.bytes, resume.lines),
        (1_000_000, 200_000, 200)
    );
}

#[test]
fn any_line_and_any_tail_is_found() {
    let lengths: Vec<usize> = (0..400)
        .map(|n| (n * n * 37) % 3000)
        .chain([200_000, 0, 1])
        .collect();
    let mut text = Vec::new();
    for (number, length) in lengths.iter().enumerate() {
        text.extend(format!("{number} ").bytes());
        text.extend(std::iter::repeat_n(b'x', *length));
        text.push(b'\n');
    }
    for unended in [false, true] {
        for with_index in [true, false] {
            let folder = Folder::new();
            let mut text = text.clone();
            if unended {
                text.extend(b"no line end");
            }
            let mut writer = folder.writer();
            for chunk in text.chunks(100_001) {
                writer.append(chunk).unwrap();
            }
            let size = writer.finish().unwrap();
            let mut starts = vec![0];
            starts.extend(
                text.iter()
                    .enumerate()
                    .filter(|(_, b)| **b == b'\n')
                    .map(|(at, _)| at as u64 + 1),
            );
            let lines = starts.len() - usize::from(!unended);
            assert_eq!((size.bytes, size.lines), (text.len() as u64, lines as u64));
            if !with_index {
                fs::remove_file(folder.index()).unwrap();
            }
            let reader = folder.reader();
            assert_eq!(reader.len().unwrap(), text.len() as u64);
            for (line, start) in starts.iter().enumerate() {
                assert_eq!(
                    reader.line_offset(line as u64).unwrap(),
                    *start,
                    "line {line}"
                );
            }
            let past = reader.line_offset(starts.len() as u64 + 5).unwrap();
            assert_eq!(past, text.len() as u64);
            for tail in [1, 2, 3, 100, lines - 1, lines] {
                assert_eq!(
                    reader.tail_offset(tail as u64).unwrap(),
                    starts[lines - tail]
                );
            }
            assert_eq!(reader.tail_offset(u64::MAX).unwrap(), 0);
            assert_eq!(reader.tail_offset(0).unwrap(), text.len() as u64);
        }
    }
}

#[test]
fn a_log_is_read_while_it_is_written() {
    let folder = Folder::new();
    let mut writer = folder.writer();
    let reader = folder.reader();
    assert!(reader.is_empty().unwrap());
    assert_eq!(reader.tail_offset(5).unwrap(), 0);
    assert_eq!(reader.read_at(0, 10).unwrap(), b"");
    writer.append(b"caf\xc3").unwrap();
    assert_eq!(reader.read_at(1, 100).unwrap(), b"af\xc3");
    writer.append(b"\xa9\n\xff\n").unwrap();
    assert_eq!(reader.read_at(4, 3).unwrap(), b"\xa9\n\xff");
    assert_eq!(reader.read_at(8, 10).unwrap(), b"");
    assert_eq!(reader.read_at(u64::MAX, 10).unwrap(), b"");
    assert_eq!(reader.tail_offset(1).unwrap(), 6);
}

#[test]
fn a_log_that_was_never_begun_does_not_exist() {
    let folder = Folder::new();
    let error = folder.logs.reader(PIPELINE, JOB, 2).unwrap_err();
    assert!(error.is_not_found());
    assert_eq!(error.to_string(), "there is no log of attempt 2 of job 3");
    folder.logs.remove(PIPELINE).unwrap();
    drop(folder.writer());
    folder.reader();
    folder.logs.remove(PIPELINE).unwrap();
    assert!(
        folder
            .logs
            .reader(PIPELINE, JOB, 1)
            .unwrap_err()
            .is_not_found()
    );
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_is_named() {
    let folder = Folder::new();
    drop(folder.writer());
    fs::remove_file(folder.text()).unwrap();
    // A device that always is full.
    std::os::unix::fs::symlink("/dev/full", folder.text()).unwrap();
    let mut writer = folder.writer();
    let error = writer.append(b"hello\n").unwrap_err();
    assert!(matches!(error, StoreError::DiskFull { .. }), "{error:?}");
    let says = format!(
        "no space is left on the disk of `{}`",
        folder.text().display()
    );
    assert_eq!(error.to_string(), says);
    assert_eq!(writer.resume().bytes, 0);
}

#[test]
fn what_does_not_fit_whole_is_not_appended() {
    let Some(disk) = SmallDisk::mount() else {
        tests::skip("this process may not mount a disk");
        return;
    };
    let logs = Logs::new(disk.path().to_owned());
    let mut writer = logs.writer(PIPELINE, JOB, 1).unwrap();
    writer.append(b"hello\n").unwrap();
    let before = writer.resume();
    let much = b"more\n".repeat(200_000);
    let error = writer.append(&much).unwrap_err();
    assert!(matches!(error, StoreError::DiskFull { .. }), "{error:?}");
    let reader = logs.reader(PIPELINE, JOB, 1).unwrap();
    assert_eq!(reader.read_at(0, 100).unwrap(), b"hello\n");
    assert_eq!(writer.resume(), before);

    disk.grow();
    writer.append(&much).unwrap();
    assert_eq!(writer.resume().lines, 200_001);
    let last = 6 + 5 * 199_999;
    assert_eq!(reader.line_offset(200_000).unwrap(), last);
    assert_eq!(writer.finish().unwrap().bytes, last + 5);
}

#[test]
fn a_log_that_can_not_be_made_says_where() {
    let folder = Folder::new();
    File::create(folder.folder.path().join("logs")).unwrap();
    let error = folder.logs.writer(PIPELINE, JOB, 1).unwrap_err();
    assert!(matches!(error, StoreError::Io { .. }), "{error:?}");
    assert!(error.to_string().contains("logs/7"), "{error}");
}
