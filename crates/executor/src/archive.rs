//! Trees of files as tar archives: how they come out of a job and go into one.
//!
//! The first part of every name in such an archive stands for the thing that was taken, whatever it is
//! called: `<any>`, `<any>/file`, `<any>/folder/file`. So a thing can be taken in one place and put in
//! another, and the archive need not know either.
//!
//! What is in an archive was made by a job. Nothing of it is written outside the place that it is put
//! to: no name may be absolute or have a `..`, and none may lead through a symbolic link that the
//! archive itself brings.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::{self, Metadata, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use rustix::fs::OFlags;
use tar::{Builder, Entry, EntryType, Header};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::io::{StreamReader, SyncIoBridge};

/// A tar archive on its way, in chunks. An error that is the job's own is of the kind
/// [`io::ErrorKind::InvalidInput`]; after any other the archive may be cut short.
pub type Archive = BoxStream<'static, io::Result<Bytes>>;

/// How much is in memory at once.
const CHUNK_BYTES: usize = 256 * 1024;

/// What `write` writes, on a thread that may block. The thread ends when nobody takes it any more.
///
/// An error of `write` ends the archive with an error, so that what there is is not taken for the whole.
pub fn written(
    write: impl FnOnce(&mut dyn Write) -> io::Result<()> + Send + 'static,
) -> (Archive, JoinHandle<io::Result<()>>) {
    let (sender, chunks) = mpsc::channel(4);
    let writing = tokio::task::spawn_blocking(move || {
        let chunks = Chunks(sender.clone());
        let mut buffered = io::BufWriter::with_capacity(CHUNK_BYTES, chunks);
        let written = write(&mut buffered).and_then(|()| buffered.flush());
        if let Err(error) = &written {
            let cut = io::Error::new(error.kind(), format!("archive cut short: {error}"));
            let _ = sender.blocking_send(Err(cut));
        }
        written
    });
    let chunks = futures_util::stream::unfold(chunks, async |mut chunks| {
        chunks.recv().await.map(|chunk| (chunk, chunks))
    });
    (chunks.boxed(), writing)
}

/// Reads an archive on a thread that may block, one of the runtime that this is called in.
pub fn reading(archive: Archive) -> impl Read + Send + use<> {
    SyncIoBridge::new(StreamReader::new(archive))
}

/// What is written becomes chunks.
struct Chunks(mpsc::Sender<io::Result<Bytes>>);

impl Write for Chunks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0
            .blocking_send(Ok(Bytes::copy_from_slice(bytes)))
            .map_err(|_| io::ErrorKind::BrokenPipe)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Where `path` is: absolute, from `~`, or from the working directory. `..` goes up in the text, whatever
/// links there are, and never above `/`.
pub(crate) fn inside(path: &str, home: &Path, working_directory: &Path) -> PathBuf {
    let full = match path.strip_prefix('~') {
        Some("") => home.to_owned(),
        Some(rest) if rest.starts_with('/') => home.join(rest.trim_start_matches('/')),
        Some(_) | None => working_directory.join(path),
    };
    let mut clean = PathBuf::from("/");
    for part in full.components() {
        match part {
            Component::Normal(part) => clean.push(part),
            Component::ParentDir => {
                clean.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    clean
}

/// A name of an archive without its first part; empty for the thing itself.
///
/// # Errors
/// Where the name would lead out of the thing.
pub fn below(name: &Path) -> io::Result<PathBuf> {
    let mut parts = name.components();
    let is_well = match parts.next() {
        Some(Component::Normal(_) | Component::CurDir) => parts
            .clone()
            .all(|part| matches!(part, Component::Normal(_))),
        Some(Component::RootDir | Component::ParentDir | Component::Prefix(_)) | None => false,
    };
    if is_well {
        Ok(parts.as_path().to_owned())
    } else {
        Err(bad(name, "it leads out of its folder"))
    }
}

fn bad(name: &Path, why: &str) -> io::Error {
    let name = name.display();
    io::Error::new(
        io::ErrorKind::InvalidInput,
        format!("the archive has the name `{name}`: {why}"),
    )
}

/// What an entry of an archive is; what is none of these is left out everywhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link that leads wherever it leads.
    Link(PathBuf),
    /// Another name of a file that came before, which has this name below the thing.
    Same(PathBuf),
}

/// Where an entry goes below the thing, and what it is; none for what is left out.
///
/// # Errors
/// Where a name would lead out of the thing.
pub fn look(entry: &Entry<'_, impl Read>) -> io::Result<Option<(PathBuf, Kind)>> {
    let target = || {
        let target = entry.link_name()?;
        target
            .map(|target| target.into_owned())
            .ok_or_else(|| io::Error::other("a link of the archive leads nowhere"))
    };
    let found = entry.header().entry_type();
    let kind = if found.is_file() || found.is_contiguous() || found.is_gnu_sparse() {
        Kind::File
    } else if found.is_dir() {
        Kind::Folder
    } else if found.is_symlink() {
        Kind::Link(target()?)
    } else if found.is_hard_link() {
        Kind::Same(below(&target()?)?)
    } else {
        return Ok(None);
    };
    Ok(Some((below(&entry.path()?)?, kind)))
}

/// Sees to it that no entry goes through a link of its own archive.
#[derive(Debug, Default)]
struct Links(HashSet<PathBuf>);

impl Links {
    fn check(&mut self, name: &Path, kind: &Kind) -> io::Result<()> {
        let through = |name: &Path| name.ancestors().skip(1).any(|above| self.0.contains(above));
        let target = match kind {
            Kind::Same(target) => Some(target.as_path()),
            Kind::File | Kind::Folder | Kind::Link(_) => None,
        };
        if through(name) || target.is_some_and(through) {
            return Err(bad(name, "it leads through a symbolic link"));
        }
        match kind {
            Kind::Link(_) => self.0.insert(name.to_owned()),
            Kind::File | Kind::Folder | Kind::Same(_) => self.0.remove(name),
        };
        Ok(())
    }
}

/// Who something belongs to where it is put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// Appends what is at `path` under that name, without following a link; nothing if it is gone, or a
/// socket or a device.
pub(crate) fn append(
    archive: &mut Builder<impl Write>,
    path: &Path,
    name: &Path,
    owner: Option<Owner>,
) -> io::Result<()> {
    let metadata = fs::symlink_metadata(path)?;
    let kind = metadata.file_type();
    let mut header = header_of(&metadata, owner);
    if kind.is_file() {
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let file = fs::OpenOptions::new()
            .read(true)
            .custom_flags(flags.bits().cast_signed())
            .open(path)?;
        // A file that grows meanwhile must not run over the size that its header has.
        let left = metadata.len();
        archive.append_data(&mut header, name, Exactly { left, file })
    } else if kind.is_symlink() {
        header.set_size(0);
        archive.append_link(&mut header, name, fs::read_link(path)?)
    } else if kind.is_dir() {
        header.set_size(0);
        archive.append_data(&mut header, name, io::empty())
    } else if kind.is_fifo() {
        header.set_entry_type(EntryType::Fifo);
        header.set_size(0);
        archive.append_data(&mut header, name, io::empty())
    } else {
        Ok(())
    }
}

fn header_of(metadata: &Metadata, owner: Option<Owner>) -> Header {
    let mut header = Header::new_gnu();
    header.set_metadata(metadata);
    if let Some(owner) = owner {
        header.set_uid(owner.uid.into());
        header.set_gid(owner.gid.into());
    }
    header
}

/// Reads as many bytes of a file as its header has promised, or fails.
struct Exactly {
    left: u64,
    file: fs::File,
}

impl Read for Exactly {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left)
            .unwrap_or(usize::MAX)
            .min(into.len());
        if most == 0 {
            return Ok(0);
        }
        let read = self.file.read(&mut into[..most])?;
        if read == 0 {
            return Err(io::Error::other("a file shrank while it was copied"));
        }
        self.left -= read as u64;
        Ok(read)
    }
}

/// Writes an archive of what is at `path`, which is no link: folders before what is in them, in the
/// order of their names.
pub(crate) fn pack(path: &Path, to: impl Write) -> io::Result<()> {
    let mut archive = Builder::new(to);
    let mut todo = vec![(path.to_owned(), PathBuf::from("files"))];
    while let Some((path, name)) = todo.pop() {
        let at = |error: io::Error| {
            let why = format!("could not read `{}`: {error}", path.display());
            io::Error::new(error.kind(), why)
        };
        match append(&mut archive, &path, &name, None) {
            // A process that goes on beside the step has removed it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            appended => appended.map_err(at)?,
        }
        if !fs::symlink_metadata(&path).is_ok_and(|found| found.is_dir()) {
            continue;
        }
        let entries = fs::read_dir(&path).map_err(at)?;
        let names: io::Result<Vec<OsString>> =
            entries.map(|entry| Ok(entry?.file_name())).collect();
        let mut names = names.map_err(at)?;
        names.sort_unstable();
        let below = names.into_iter().rev();
        todo.extend(below.map(|entry| (path.join(&entry), name.join(&entry))));
    }
    archive.into_inner()?.flush()
}

/// Lays an archive out at `path`. Folders that are there keep all that the archive does not have; files
/// and links are replaced.
pub(crate) fn unpack(from: impl Read, path: &Path) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(|error| not_made(parent, &error))?;
    }
    // What the path leads through is the job's own choice; what is below it is the archive's.
    let root = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let mut links = Links::default();
    let mut folders = Folders {
        root: root.clone(),
        known: None,
    };
    let mut archive = tar::Archive::new(from);
    for entry in archive.entries()? {
        let mut entry = entry?;
        let Some((name, kind)) = look(&entry)? else {
            continue;
        };
        links.check(&name, &kind)?;
        folders.make_for(&name)?;
        let at = if name.as_os_str().is_empty() {
            root.clone()
        } else {
            root.join(&name)
        };
        place(&mut entry, &kind, &at, &root).map_err(|error| not_made(&at, &error))?;
    }
    Ok(())
}

fn not_made(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidInput,
        format!("could not make `{}`: {error}", path.display()),
    )
}

/// Sees to it that what is laid out goes into folders, and through no link that the job has there.
struct Folders {
    root: PathBuf,
    /// The last folder that was found to be one.
    known: Option<PathBuf>,
}

impl Folders {
    fn make_for(&mut self, name: &Path) -> io::Result<()> {
        let Some(parent) = name.parent() else {
            return Ok(());
        };
        if self.known.as_deref() == Some(parent) {
            return Ok(());
        }
        let mut at = self.root.clone();
        for part in [None].into_iter().chain(parent.components().map(Some)) {
            if let Some(part) = part {
                at.push(part);
            }
            match fs::symlink_metadata(&at) {
                Ok(found) if found.is_dir() => {}
                Ok(_) => return Err(not_made(&at, &io::ErrorKind::NotADirectory.into())),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    fs::create_dir(&at).map_err(|error| not_made(&at, &error))?;
                }
                Err(error) => return Err(not_made(&at, &error)),
            }
        }
        self.known = Some(parent.to_owned());
        Ok(())
    }
}

fn place(entry: &mut Entry<'_, impl Read>, kind: &Kind, at: &Path, root: &Path) -> io::Result<()> {
    let mode = entry.header().mode()? & 0o7777;
    match kind {
        Kind::Folder => match fs::symlink_metadata(at) {
            Ok(found) if found.is_dir() => Ok(()),
            found => {
                if found.is_ok() {
                    fs::remove_file(at)?;
                }
                fs::create_dir(at)?;
                // Of a folder that its owner can't write to, nothing more could be laid out.
                fs::set_permissions(at, Permissions::from_mode(mode | 0o700))
            }
        },
        Kind::File => {
            make_way(at)?;
            let mut file = fs::OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(mode & 0o777)
                .open(at)?;
            io::copy(entry, &mut file)?;
            file.set_permissions(Permissions::from_mode(mode))?;
            let modified = Duration::from_secs(entry.header().mtime().unwrap_or_default());
            file.set_modified(SystemTime::UNIX_EPOCH + modified)
        }
        Kind::Link(target) => {
            make_way(at)?;
            symlink(target, at)
        }
        Kind::Same(target) => {
            make_way(at)?;
            fs::hard_link(root.join(target), at)
        }
    }
}

/// Removes what is at a place; a folder with all in it.
fn make_way(at: &Path) -> io::Result<()> {
    match fs::symlink_metadata(at) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(at),
        Ok(_) => fs::remove_file(at),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Copies an archive, with the thing now called `to_name` and all of it belonging to `owner`. Before it
/// come `parents`, folders that are to be made; `skip_root` leaves the thing itself out if it is a folder,
/// because it is there already.
pub(crate) fn rebase(
    from: impl Read,
    to: impl Write,
    (to_name, parents, skip_root): (&Path, &[PathBuf], bool),
    owner: Owner,
) -> io::Result<()> {
    let mut out = Builder::new(to);
    let header = |kind: EntryType, mode: u32, mtime: u64, size: u64| {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_mtime(mtime);
        header.set_size(size);
        header.set_uid(owner.uid.into());
        header.set_gid(owner.gid.into());
        header
    };
    let named = |name: &Path| {
        if name.as_os_str().is_empty() {
            to_name.to_owned()
        } else {
            to_name.join(name)
        }
    };
    for parent in parents {
        out.append_data(
            &mut header(EntryType::Directory, 0o755, 0, 0),
            parent,
            io::empty(),
        )?;
    }
    let mut links = Links::default();
    let mut archive = tar::Archive::new(from);
    for entry in archive.entries()? {
        let entry = entry?;
        let Some((name, kind)) = look(&entry)? else {
            continue;
        };
        links.check(&name, &kind)?;
        let mode = entry.header().mode()? & 0o7777;
        let mtime = entry.header().mtime().unwrap_or_default();
        let size = entry.size();
        let at = named(&name);
        match kind {
            Kind::Folder if skip_root && name.as_os_str().is_empty() => {}
            Kind::Folder => out.append_data(
                &mut header(EntryType::Directory, mode | 0o700, mtime, 0),
                at,
                io::empty(),
            )?,
            Kind::File => {
                out.append_data(
                    &mut header(EntryType::Regular, mode, mtime, size),
                    at,
                    entry,
                )?;
            }
            Kind::Link(target) => {
                out.append_link(&mut header(EntryType::Symlink, 0o777, mtime, 0), at, target)?;
            }
            Kind::Same(target) => out.append_link(
                &mut header(EntryType::Link, mode, mtime, 0),
                at,
                named(&target),
            )?,
        }
    }
    out.into_inner()?.flush()
}

#[cfg(test)]
mod tests;
