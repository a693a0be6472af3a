//! Files on their way between a job and the blobs, as archives that are never whole in memory.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use executor::archive::{self, Archive, Kind};
use futures_util::StreamExt;
use model::FaultKind;
use store::{Blob, Blobs};
use tokio_util::sync::CancellationToken;

use super::{Asked, Problem};

/// How hard is packed. At this level it keeps up with a disk.
const LEVEL: i32 = 3;
/// How many files one step may keep or bring.
const MOST_FILES: usize = 1_000_000;
/// The longest path of a file, in bytes (`PATH_MAX` of Linux).
const LONGEST_PATH: usize = 4 << 10;
/// What an entry counts besides its name and its bytes, in bytes: about what it takes to remember it.
const ENTRY: u64 = 256;

/// How much one step may still keep or bring.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    /// Entries of archives.
    entries: usize,
    /// Bytes of files, of their names, and of what else it takes to remember them.
    bytes: u64,
    /// How many bytes it was in the beginning.
    limit: u64,
}

impl Room {
    fn new(limit: u64) -> Self {
        Self {
            entries: MOST_FILES,
            bytes: limit,
            limit,
        }
    }

    fn take(&mut self, name: &Path, kind: &Kind, bytes: u64) -> Result<(), Problem> {
        let target = match kind {
            Kind::Link(target) | Kind::Same(target) => target.as_os_str().len(),
            Kind::File | Kind::Folder => 0,
        };
        let length = name.as_os_str().len();
        if length > LONGEST_PATH || target > LONGEST_PATH {
            let begin: String = name.to_string_lossy().chars().take(100).collect();
            return Err(Problem::Users(format!(
                "the path `{begin}…` or what it links to is longer than {LONGEST_PATH} bytes"
            )));
        }
        self.entries = self.entries.checked_sub(1).ok_or_else(|| {
            let why = format!("there are more than {MOST_FILES} files, the most for one step");
            Problem::Users(why)
        })?;
        let names = u64::try_from(length + target).unwrap_or(u64::MAX);
        let cost = bytes.saturating_add(names).saturating_add(ENTRY);
        self.bytes = self.bytes.checked_sub(cost).ok_or_else(|| {
            let limit = size(self.limit);
            Problem::Users(format!(
                "the files are larger than {limit}, with their names: the most that one step may keep on this server (`step_storage_limit`)"
            ))
        })?;
        Ok(())
    }
}

/// What was packed, or unpacked.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Amount {
    pub(super) files: u64,
    pub(super) bytes: u64,
}

/// What came of putting a blob.
pub(super) enum Put {
    Whole,
    /// It is not as it was packed, and this is how. A part of it may be there.
    Damaged(String),
}

/// A size, for people.
pub(super) fn size(bytes: u64) -> String {
    bytesize::ByteSize(bytes).to_string()
}

/// A time since then, for people.
pub(super) fn took(since: Instant) -> String {
    let spent = since.elapsed();
    if spent < Duration::from_secs(1) {
        format!("{} ms", spent.as_millis())
    } else {
        format!("{:.1} s", spent.as_secs_f64())
    }
}

/// `1 file`, `2 files`.
pub(super) fn count(number: u64, noun: &str) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{s}")
}

impl Asked {
    /// How much a step may keep or bring that has not begun to.
    pub(super) fn room(&self) -> Room {
        Room::new(self.shared.settings.step_storage_limit_bytes)
    }

    /// Takes what is at the one path of a step, as [`Asked::take_within`] does.
    pub(super) async fn take<T: Send + 'static>(
        &self,
        path: &str,
        read: impl FnOnce(Source) -> Result<T, Problem> + Send + 'static,
    ) -> Result<Option<T>, Problem> {
        self.take_within(self.room(), path, read).await
    }

    /// Takes what is at a path inside, and lets `read` read it on a thread that may block; none if nothing
    /// is there. Once the step is stopped, the archive ends with an error.
    pub(super) async fn take_within<T: Send + 'static>(
        &self,
        room: Room,
        path: &str,
        read: impl FnOnce(Source) -> Result<T, Problem> + Send + 'static,
    ) -> Result<Option<T>, Problem> {
        let taken = tokio::select! {
            () = self.stop.cancelled() => return Err(Problem::Stopped),
            taken = self.executor.take(&self.dir, path) => taken?,
        };
        let Some(taken) = taken else {
            return Ok(None);
        };
        let source = Source {
            from: Box::new(archive::reading(until(taken, self.stop.clone()))),
            room,
        };
        self.blocking(move || read(source)).await.map(Some)
    }

    /// A packed blob, to be put; none if it is there no more.
    pub(super) async fn open(&self, blob: &Blob) -> Result<Option<File>, Problem> {
        let (blobs, digest) = (self.shared.blobs.clone(), blob.digest.clone());
        let open = move || match blobs.open(&digest) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error.into()),
        };
        self.blocking(open).await
    }

    /// Puts a packed blob to a path inside.
    pub(super) async fn put(&self, path: &str, file: File) -> Result<Put, Problem> {
        let (unpacked, unpacking) = archive::written(move |to| {
            let mut from = zstd::Decoder::new(file)?;
            io::copy(&mut from, to).map(drop)
        });
        let unpacked = until(unpacked, self.stop.clone());
        let put = tokio::select! {
            () = self.stop.cancelled() => Err(Problem::Stopped),
            put = self.executor.put(&self.dir, path, unpacked) => put.map_err(Problem::from),
        };
        match (put, unpacking.await) {
            (Err(Problem::Stopped), _) => Err(Problem::Stopped),
            // It can't write where its taker has gone, and that one says why. Whatever else it meets, it
            // meets in reading.
            (_, Ok(Err(error))) if error.kind() != io::ErrorKind::BrokenPipe => {
                Ok(Put::Damaged(error.to_string()))
            }
            (put, _) => put.map(|()| Put::Whole),
        }
    }

    /// Work that blocks, on a thread that may.
    pub(super) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let done = match tokio::task::spawn_blocking(work).await {
            Ok(done) => done,
            Err(panic) => Err(Problem::Ours(FaultKind::Storage, panic.to_string())),
        };
        // Whatever it met then.
        if self.stop.is_cancelled() {
            return Err(Problem::Stopped);
        }
        done
    }

    /// Waits until the blobs are on disk.
    pub(super) async fn settle(&self) -> Result<(), Problem> {
        let blobs = self.shared.blobs.clone();
        self.blocking(move || blobs.settle().map_err(Problem::from))
            .await
    }
}

/// The archive, which ends with an error once it is stopped.
fn until(archive: Archive, stop: CancellationToken) -> Archive {
    let chunks = futures_util::stream::unfold((archive, stop), async |(mut archive, stop)| {
        let chunk = tokio::select! {
            biased;
            () = stop.cancelled() => Some(Err(io::Error::other("the step was stopped"))),
            chunk = archive.next() => chunk,
        };
        chunk.map(|chunk| (chunk, (archive, stop)))
    });
    chunks.boxed()
}

/// An archive out of a job, to be read once.
pub(super) struct Source {
    from: Box<dyn Read + Send>,
    room: Room,
}

/// What a job's archive brought. Its reading fails with this.
pub(super) fn unreadable(error: &io::Error) -> Problem {
    let why = format!("the job's files can't be taken: {error}");
    // A disk of ours that is full is told by the blob that could not be written.
    if error.kind() == io::ErrorKind::InvalidInput {
        Problem::Users(why)
    } else {
        Problem::Ours(FaultKind::Executor, why)
    }
}

impl Source {
    /// Gives each entry to `sink` with its name below the thing; how much there was, and what room is left.
    pub(super) fn each(
        self,
        mut sink: impl FnMut(
            PathBuf,
            Kind,
            &mut tar::Entry<'_, Box<dyn Read + Send>>,
        ) -> Result<(), Problem>,
    ) -> Result<(Amount, Room), Problem> {
        let mut room = self.room;
        let mut amount = Amount::default();
        let mut archive = tar::Archive::new(self.from);
        for entry in archive.entries().map_err(|error| unreadable(&error))? {
            let mut entry = entry.map_err(|error| unreadable(&error))?;
            let looked = archive::look(&entry).map_err(|error| unreadable(&error))?;
            let Some((name, kind)) = looked else { continue };
            let bytes = if kind == Kind::File { entry.size() } else { 0 };
            room.take(&name, &kind, bytes)?;
            if kind == Kind::File {
                amount.bytes += bytes;
                amount.files += 1;
            }
            sink(name, kind, &mut entry)?;
        }
        // What comes after the end is read, so that whoever sends it is not cut off.
        io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(|error| unreadable(&error))?;
        Ok((amount, room))
    }
}

/// Files of a job, packed into one blob: the entries of one or several archives below one root.
pub(super) struct Packer {
    out: tar::Builder<zstd::Encoder<'static, store::BlobWriter>>,
}

fn unwritten(error: &io::Error) -> Problem {
    Problem::Ours(
        FaultKind::Storage,
        format!("the files can't be kept: {error}"),
    )
}

impl Packer {
    pub(super) fn new(blobs: &Blobs) -> Result<Self, Problem> {
        let encoder = zstd::Encoder::new(blobs.writer()?, LEVEL);
        let mut encoder = encoder.map_err(|error| unwritten(&error))?;
        // So that one that the disk has damaged is found out.
        let checked = encoder.include_checksum(true);
        checked.map_err(|error| unwritten(&error))?;
        Ok(Self {
            out: tar::Builder::new(encoder),
        })
    }

    /// Adds an entry under that name below the root. Of a second name of a file `same` says what it is
    /// called here; if it is not, the name is left out.
    pub(super) fn add(
        &mut self,
        name: &PathBuf,
        kind: &Kind,
        entry: &mut tar::Entry<'_, Box<dyn Read + Send>>,
        same: Option<&PathBuf>,
    ) -> Result<(), Problem> {
        let root = PathBuf::from("files");
        let at = |name: &PathBuf| {
            if name.as_os_str().is_empty() {
                root.clone()
            } else {
                root.join(name)
            }
        };
        let mut header = tar::Header::new_gnu();
        header.set_mode(entry.header().mode().map_err(|error| unreadable(&error))? & 0o7777);
        header.set_mtime(entry.header().mtime().unwrap_or_default());
        header.set_size(0);
        let added = match (kind, same) {
            (Kind::File, _) => {
                header.set_size(entry.size());
                self.out.append_data(&mut header, at(name), entry)
            }
            (Kind::Folder, _) => {
                header.set_entry_type(tar::EntryType::Directory);
                self.out.append_data(&mut header, at(name), io::empty())
            }
            (Kind::Link(target), _) => {
                header.set_entry_type(tar::EntryType::Symlink);
                self.out.append_link(&mut header, at(name), target)
            }
            (Kind::Same(_), Some(target)) => {
                header.set_entry_type(tar::EntryType::Link);
                self.out.append_link(&mut header, at(name), at(target))
            }
            (Kind::Same(_), None) => Ok(()),
        };
        added.map_err(|error| unwritten(&error))
    }

    pub(super) fn finish(self) -> Result<Blob, Problem> {
        let encoder = self.out.into_inner().map_err(|error| unwritten(&error))?;
        let writer = encoder.finish().map_err(|error| unwritten(&error))?;
        Ok(writer.finish()?)
    }
}

/// A whole archive that was packed.
pub(super) struct Packed {
    pub(super) amount: Amount,
    pub(super) blob: Blob,
    /// What is left of the step's room.
    pub(super) room: Room,
}

/// Packs a whole archive.
pub(super) fn pack(source: Source, blobs: &Blobs) -> Result<Packed, Problem> {
    let mut packer = Packer::new(blobs)?;
    let (amount, room) = source.each(|name, kind, entry| {
        let same = match &kind {
            Kind::Same(target) => Some(target),
            Kind::File | Kind::Folder | Kind::Link(_) => None,
        };
        packer.add(&name, &kind, entry, same)
    })?;
    Ok(Packed {
        amount,
        blob: packer.finish()?,
        room,
    })
}

/// The files of an archive, each a blob.
pub(super) struct Kept {
    /// In order, by their names below the thing.
    pub(super) files: Vec<(PathBuf, Blob)>,
    /// How many symbolic links were left out.
    pub(super) links: u64,
    pub(super) amount: Amount,
}

/// Keeps each file of an archive.
pub(super) fn keep_each(source: Source, blobs: &Blobs) -> Result<Kept, Problem> {
    let mut files: Vec<(PathBuf, Blob)> = Vec::new();
    let mut places: HashMap<PathBuf, usize> = HashMap::new();
    let mut links = 0;
    let (amount, _) = source.each(|name, kind, entry| {
        let blob = match &kind {
            Kind::File => {
                let mut writer = blobs.writer()?;
                io::copy(entry, &mut writer).map_err(|error| unwritten(&error))?;
                writer.finish()?
            }
            Kind::Same(target) => match places.get(target) {
                Some(place) => files[*place].1.clone(),
                None => return Ok(()),
            },
            Kind::Link(_) => {
                links += 1;
                return Ok(());
            }
            Kind::Folder => return Ok(()),
        };
        places.insert(name.clone(), files.len());
        files.push((name, blob));
        Ok(())
    })?;
    Ok(Kept {
        files,
        links,
        amount,
    })
}

/// What a job's archive of these files would be, with a limit in bytes.
#[cfg(test)]
pub(super) fn packed_source(files: &[(&str, &str)], limit: u64) -> Source {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, text) in files {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(text.len() as u64);
        let name = format!("thing/{name}");
        let name = name.trim_end_matches('/');
        archive
            .append_data(&mut header, name, text.as_bytes())
            .unwrap();
    }
    Source {
        from: Box::new(io::Cursor::new(archive.into_inner().unwrap())),
        room: Room::new(limit),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal<T>(result: Result<T, Problem>) -> String {
        match result {
            Err(Problem::Users(why)) => why,
            Ok(_) | Err(_) => panic!("it was not refused"),
        }
    }

    #[test]
    fn names_count_and_what_is_left_is_carried_on() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::new(folder.path().to_owned());
        let files = [("a", ""), ("b", "")];
        let Ok(packed) = pack(packed_source(&files, 3 * 257), &blobs) else {
            panic!("it was not packed")
        };
        assert_eq!((packed.amount.files, packed.room.bytes), (2, 257));
        assert_eq!(packed.room.entries, MOST_FILES - 2);
        let more = Source {
            room: packed.room,
            ..packed_source(&files, 0)
        };
        let why = refusal(pack(more, &blobs));
        assert!(why.contains("larger than 771 B"), "{why}");
    }

    #[test]
    fn a_path_longer_than_linux_knows_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::new(folder.path().to_owned());
        let name = |length: usize| "d/".repeat(length / 2);
        let well = name(LONGEST_PATH) + "x";
        let kept = keep_each(packed_source(&[(&well[2..], "")], 1 << 20), &blobs);
        assert_eq!(kept.map_or(0, |kept| kept.files.len()), 1);
        let long = name(LONGEST_PATH + 2);
        let why = refusal(keep_each(
            packed_source(&[(&format!("{long}x"), "")], 1 << 20),
            &blobs,
        ));
        assert!(why.contains("longer than 4096 bytes"), "{why}");
    }
}
