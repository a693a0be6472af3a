//! A layer's archive, laid out as one layer of an overlay.
//!
//! What a layer takes away it says by files called `.wh.…`; overlayfs wants a device of number 0 for a file
//! that is gone, and a mark on a folder of which nothing below is seen.
//!
//! The archive was made by anyone. No name of it leads out of the layer: the kernel itself looks every folder
//! up as if the layer were the root (openat2(2)), so that a link leads to where it would in the container.
//! Devices are left out: a job has its own `/dev`.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, BufRead, BufReader, Read};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, RawMode, ResolveFlags, Timespec, Timestamps, Uid,
    XattrFlags,
};
use rustix::io::Errno;
use tar::{Entry, EntryType};

/// How much a layer may hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Files, folders and links.
    pub entries: u64,
    /// Bytes, unpacked.
    pub bytes: u64,
}

/// The bytes of folders' names that are remembered, to give them their times at the end.
const REMEMBERED_BYTES: usize = 64 << 20;

const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";
const OPAQUE_ATTRIBUTE: &str = "trusted.overlay.opaque";

/// Extended attributes: what sets a file's capabilities, for one.
type Attributes = HashMap<String, Vec<u8>>;

/// The archive without its compression, whichever it has.
pub(crate) fn decompressed<'a>(from: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
    let mut from = BufReader::with_capacity(128 * 1024, from);
    let begin = from.fill_buf()?;
    Ok(if begin.starts_with(&[0x1f, 0x8b]) {
        Box::new(flate2::bufread::MultiGzDecoder::new(from))
    } else if begin.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        Box::new(zstd::Decoder::with_buffer(from)?)
    } else {
        Box::new(from)
    })
}

/// Lays the archive out in the folder `root`, which is empty; tells how many bytes its files have.
///
/// # Errors
/// [`io::ErrorKind::InvalidData`] and the like where the archive is to blame.
pub(crate) fn unpack(from: impl Read, root: &Path, limits: Limits) -> io::Result<u64> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut layer = Unpacking {
        root: rustix::fs::open(root, flags, Mode::empty())?,
        parent: None,
        folders: Vec::new(),
        remembered: 0,
        bytes: 0,
    };
    let mut entries = 0;
    let mut archive = tar::Archive::new(from);
    for entry in archive.entries()? {
        entries += 1;
        if entries > limits.entries {
            return Err(invalid("it has too many entries"));
        }
        let mut entry = entry?;
        let name = PathBuf::from(OsString::from_vec(entry.path_bytes().into_owned()));
        layer.add(&mut entry, &name, limits).map_err(|cause| {
            let why = format!("`{}`: {cause}", name.display());
            io::Error::new(cause.kind(), why)
        })?;
    }
    layer.date_folders()?;
    Ok(layer.bytes)
}

fn invalid(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

struct Unpacking {
    root: OwnedFd,
    /// The folder that was looked up last: most entries have the one of their predecessor.
    parent: Option<(PathBuf, OwnedFd)>,
    /// Folders, and when they were changed, which what is put into them changes.
    folders: Vec<(PathBuf, Timestamps)>,
    remembered: usize,
    bytes: u64,
}

/// What a header says of any kind of thing.
struct Traits {
    owner: (Uid, Gid),
    mode: Mode,
    times: Timestamps,
    attributes: Attributes,
}

impl Unpacking {
    fn add(
        &mut self,
        entry: &mut Entry<'_, impl Read>,
        name: &Path,
        limits: Limits,
    ) -> io::Result<()> {
        let kind = entry.header().entry_type();
        if matches!(kind, EntryType::XGlobalHeader) {
            return Ok(());
        }
        let path = inside(name)?;
        let (Some(base), Some(folder)) = (path.file_name(), path.parent()) else {
            return self.set_root(entry);
        };
        if let Some(hidden) = base.as_bytes().strip_prefix(WHITEOUT) {
            return self.hide(folder, base, OsStr::from_bytes(hidden));
        }
        let traits = Traits::of(entry)?;
        match kind {
            EntryType::Directory => self.folder(&path, folder, base, traits),
            EntryType::Symlink => {
                let target = target(entry)?;
                let parent = self.clear(folder, base)?;
                rustix::fs::symlinkat(&target, &parent, base)?;
                traits.give(&parent, base, true)
            }
            EntryType::Link => {
                let original = inside(Path::new(&target(entry)?))?;
                self.link(&original, folder, base)
            }
            EntryType::Fifo => {
                let parent = self.clear(folder, base)?;
                rustix::fs::mknodat(&parent, base, FileType::Fifo, Mode::empty(), 0)?;
                traits.give(&parent, base, false)
            }
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                self.bytes = self.bytes.saturating_add(entry.size());
                if self.bytes > limits.bytes {
                    return Err(invalid("the layer is too large"));
                }
                let parent = self.clear(folder, base)?;
                let flags = OFlags::WRONLY
                    | OFlags::CREATE
                    | OFlags::EXCL
                    | OFlags::NOFOLLOW
                    | OFlags::CLOEXEC;
                let file = rustix::fs::openat(&parent, base, flags, Mode::RUSR | Mode::WUSR)?;
                let mut file = fs::File::from(file);
                if io::copy(entry, &mut file)? != entry.size() {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                traits.give_open(&file)
            }
            // Devices, what the library deals with itself, and letters without a meaning.
            EntryType::Char
            | EntryType::Block
            | EntryType::GNULongName
            | EntryType::GNULongLink
            | EntryType::XGlobalHeader
            | EntryType::XHeader => Ok(()),
            _ => Ok(()),
        }
    }

    fn set_root(&self, entry: &mut Entry<'_, impl Read>) -> io::Result<()> {
        if entry.header().entry_type() == EntryType::Directory {
            Traits::of(entry)?.give_open(&self.root)?;
        }
        Ok(())
    }

    fn folder(
        &mut self,
        path: &Path,
        folder: &Path,
        base: &OsStr,
        traits: Traits,
    ) -> io::Result<()> {
        let parent = self.parent(folder)?;
        let mut hid = false;
        match kind_of(&parent, base)? {
            Some(FileType::Directory) => {}
            found => {
                hid = found == Some(FileType::CharacterDevice);
                let parent = self.clear(folder, base)?;
                rustix::fs::mkdirat(&parent, base, Mode::RWXU)?;
            }
        }
        let parent = self.parent(folder)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let made = rustix::fs::openat(&parent, base, flags, Mode::empty())?;
        if hid {
            make_opaque(&made)?;
        }
        traits.give_open(&made)?;
        self.remembered += path.as_os_str().len();
        if self.remembered <= REMEMBERED_BYTES {
            self.folders.push((path.to_owned(), traits.times));
        }
        Ok(())
    }

    /// Takes what the layers below have of that name away.
    fn hide(&mut self, folder: &Path, base: &OsStr, hidden: &OsStr) -> io::Result<()> {
        let parent = self.parent(folder)?;
        if base.as_bytes() == OPAQUE {
            return make_opaque(&parent);
        }
        // Notes of another overlay's.
        if hidden.as_bytes().starts_with(WHITEOUT) {
            return Ok(());
        }
        if matches!(hidden.as_bytes(), b"" | b"." | b"..") {
            return Err(invalid("it takes away nothing"));
        }
        match kind_of(&parent, hidden)? {
            None => {
                // Nothing can be opened by it: it has the number of no device.
                rustix::fs::mknodat(&parent, hidden, FileType::CharacterDevice, Mode::empty(), 0)?;
                Ok(())
            }
            // What this layer has itself stays.
            Some(FileType::Directory) => {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                make_opaque(&rustix::fs::openat(&parent, hidden, flags, Mode::empty())?)
            }
            Some(_) => Ok(()),
        }
    }

    fn link(&mut self, original: &Path, folder: &Path, base: &OsStr) -> io::Result<()> {
        let (Some(from), Some(from_folder)) = (original.file_name(), original.parent()) else {
            return Err(invalid("it is a link to the root"));
        };
        let from_folder = self
            .look_up(from_folder)
            .map_err(|cause| missing(original, cause))?;
        let parent = self.clear(folder, base)?;
        rustix::fs::linkat(&from_folder, from, &parent, base, AtFlags::empty())
            .map_err(|cause| missing(original, cause.into()))
    }

    /// The folder that something is to be put into, with nothing of that name in it.
    fn clear(&mut self, folder: &Path, base: &OsStr) -> io::Result<OwnedFd> {
        let parent = self.parent(folder)?;
        match kind_of(&parent, base)? {
            None => {}
            Some(FileType::Directory) => {
                // What is known of folders may be in there.
                self.parent = None;
                let magic = PathBuf::from(format!("/proc/self/fd/{}", parent.as_raw_fd()));
                fs::remove_dir_all(magic.join(base))?;
            }
            Some(_) => rustix::fs::unlinkat(&parent, base, AtFlags::empty())?,
        }
        Ok(parent)
    }

    /// A folder, made where the archive has not brought it along.
    fn parent(&mut self, path: &Path) -> io::Result<OwnedFd> {
        if let Some((known, folder)) = &self.parent
            && known == path
        {
            return folder.try_clone();
        }
        let found = match self.look_up(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.make(path)?,
            found => found?,
        };
        self.parent = Some((path.to_owned(), found.try_clone()?));
        Ok(found)
    }

    fn look_up(&self, path: &Path) -> io::Result<OwnedFd> {
        let path = if path.as_os_str().is_empty() {
            Path::new(".")
        } else {
            path
        };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        Ok(rustix::fs::openat2(
            &self.root,
            path,
            flags,
            Mode::empty(),
            resolve,
        )?)
    }

    fn make(&self, path: &Path) -> io::Result<OwnedFd> {
        let mut at = PathBuf::new();
        let mut folder = self.root.try_clone()?;
        for part in path.components() {
            at.push(part);
            folder = match self.look_up(&at) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    let was_taken =
                        kind_of(&folder, part.as_os_str())? == Some(FileType::CharacterDevice);
                    if was_taken {
                        // Taken away just now, and there again, without what was in it.
                        rustix::fs::unlinkat(&folder, part.as_os_str(), AtFlags::empty())?;
                    }
                    rustix::fs::mkdirat(&folder, part.as_os_str(), Mode::from_raw_mode(0o755))
                        .map_err(|_| invalid("a link on its way leads nowhere"))?;
                    let made = self.look_up(&at)?;
                    if was_taken {
                        make_opaque(&made)?;
                    }
                    made
                }
                found => found?,
            };
        }
        Ok(folder)
    }

    fn date_folders(&self) -> io::Result<()> {
        for (path, times) in &self.folders {
            match self.look_up(path) {
                // Replaced by something else later on.
                Err(error) if is_not_there(&error) => {}
                folder => rustix::fs::futimens(folder?, times)?,
            }
        }
        Ok(())
    }
}

fn is_not_there(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

fn missing(original: &Path, cause: io::Error) -> io::Error {
    if is_not_there(&cause) {
        let original = original.display();
        invalid(&format!(
            "it is a link to `{original}`, which the layer doesn't have"
        ))
    } else {
        cause
    }
}

/// A number of a header, some of which leave out what is nothing.
fn or_none<T: Default>(field: &[u8], number: io::Result<T>) -> io::Result<T> {
    if field.iter().all(|byte| matches!(byte, 0 | b' ')) {
        Ok(T::default())
    } else {
        number
    }
}

/// What there is of that name, a link being one.
fn kind_of(folder: &OwnedFd, name: &OsStr) -> io::Result<Option<FileType>> {
    match rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(found) => Ok(Some(FileType::from_raw_mode(found.st_mode as RawMode))),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn make_opaque(folder: &OwnedFd) -> io::Result<()> {
    rustix::fs::fsetxattr(folder, OPAQUE_ATTRIBUTE, b"y", XattrFlags::empty())?;
    Ok(())
}

/// A name of the archive as a path below the root: the root's own is empty.
fn inside(name: &Path) -> io::Result<PathBuf> {
    let mut path = PathBuf::new();
    for part in name.components() {
        match part {
            Component::Normal(part) => path.push(part),
            // In a layer, absolute is the layer's.
            Component::RootDir | Component::CurDir => {}
            Component::ParentDir | Component::Prefix(_) => {
                return Err(invalid("it leads out of its layer"));
            }
        }
    }
    Ok(path)
}

fn target(entry: &Entry<'_, impl Read>) -> io::Result<OsString> {
    let target = entry.link_name_bytes();
    let target = target.filter(|target| !target.is_empty());
    target
        .map(|target| OsString::from_vec(target.into_owned()))
        .ok_or_else(|| invalid("it is a link that leads nowhere"))
}

impl Traits {
    fn of(entry: &mut Entry<'_, impl Read>) -> io::Result<Self> {
        let mut attributes = Attributes::new();
        let mut seconds = i64::try_from(or_none(
            &entry.header().as_old().mtime,
            entry.header().mtime(),
        )?)
        .unwrap_or_default();
        if let Some(extensions) = entry.pax_extensions()? {
            for extension in extensions {
                let extension = extension?;
                let Ok(key) = extension.key() else { continue };
                if let Some(name) = key.strip_prefix("SCHILY.xattr.") {
                    // Of the others none is an image's to say: overlayfs reads some itself.
                    let is_users = name.starts_with("user.") && !name.starts_with("user.overlay.");
                    if is_users || name == "security.capability" {
                        let value = extension.value_bytes().to_owned();
                        attributes.insert(name.to_owned(), value);
                    }
                } else if key == "mtime"
                    && let Some(whole) = extension
                        .value()
                        .ok()
                        .and_then(|text| text.split('.').next())
                {
                    seconds = whole.parse().unwrap_or(seconds);
                }
            }
        }
        let number = |number: u64| {
            let small = u32::try_from(number)
                .ok()
                .filter(|number| *number != u32::MAX);
            small.ok_or_else(|| invalid("its owner's number is too large"))
        };
        let header = entry.header();
        let time = Timespec {
            tv_sec: seconds,
            tv_nsec: 0,
        };
        Ok(Self {
            owner: (
                Uid::from_raw(number(or_none(&header.as_old().uid, header.uid())?)?),
                Gid::from_raw(number(or_none(&header.as_old().gid, header.gid())?)?),
            ),
            mode: Mode::from_raw_mode(or_none(&header.as_old().mode, header.mode())? & 0o7777),
            times: Timestamps {
                last_access: time,
                last_modification: time,
            },
            attributes,
        })
    }

    /// Of what can't or needn't be opened; a link has no mode.
    fn give(&self, folder: &OwnedFd, name: &OsStr, is_link: bool) -> io::Result<()> {
        let (user, group) = self.owner;
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        rustix::fs::chownat(folder, name, Some(user), Some(group), flags)?;
        if !is_link {
            rustix::fs::chmodat(folder, name, self.mode, AtFlags::empty())?;
        }
        Ok(rustix::fs::utimensat(folder, name, &self.times, flags)?)
    }

    fn give_open(&self, file: impl AsFd) -> io::Result<()> {
        let (user, group) = self.owner;
        // In this order: a change of owner takes capabilities and the set-user-id bit away.
        rustix::fs::fchown(&file, Some(user), Some(group))?;
        rustix::fs::fchmod(&file, self.mode)?;
        for (name, value) in &self.attributes {
            match rustix::fs::fsetxattr(&file, name, value, XattrFlags::empty()) {
                // The store's file system has none: most programs can do without.
                Err(Errno::NOTSUP) => {}
                set => set?,
            }
        }
        Ok(rustix::fs::futimens(&file, &self.times)?)
    }
}

#[cfg(test)]
mod tests;
