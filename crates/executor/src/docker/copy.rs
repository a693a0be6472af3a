//! Files into a container and out of it, as tar archives through the daemon.

use std::collections::HashMap;
use std::fs::{self, Metadata};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::Duration;

use bollard::errors::Error;
use bollard::query_parameters::{
    DownloadFromContainerOptionsBuilder, UploadToContainerOptionsBuilder,
};
use futures_util::StreamExt;
use rustix::fs::OFlags;
use tar::Builder;

use super::daemon::Daemon;
use super::trouble::{Failure, Trouble};
use crate::archive::{self, Owner};
use crate::{ExecutorError, JobDir};

/// A folder of ours, and what becomes of it in a container.
#[derive(Clone, Debug)]
pub(super) struct Folder {
    from: PathBuf,
    to: String,
    uid: u32,
    gid: u32,
}

impl Folder {
    /// `from` to the absolute path `to`, belonging to root there.
    pub(super) fn owned_by_root(from: PathBuf, to: &str) -> Self {
        Self::owned_by(from, to, 0, 0)
    }

    /// `from` to the absolute path `to`, belonging to those there.
    pub(super) fn owned_by(from: PathBuf, to: &str, uid: u32, gid: u32) -> Self {
        let to = to.trim_start_matches('/').to_owned();
        Self { from, to, uid, gid }
    }
}

/// What has been copied: by our path, the state it was in.
pub(super) type Seen = HashMap<PathBuf, Stamp>;

/// Tells one state of a file from the next, as git's index does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    inode: u64,
    size_bytes: u64,
    changed_s: i64,
    changed_ns: i64,
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            inode: metadata.ino(),
            size_bytes: metadata.len(),
            changed_s: metadata.ctime(),
            changed_ns: metadata.ctime_nsec(),
        }
    }
}

/// How long the daemon may take over an archive.
const UPLOAD_BOUND: Duration = Duration::from_secs(3600);

/// Copies all in `folders` that is not as it was when it was seen last. Returns what is seen now.
///
/// Symbolic links and FIFOs arrive as such; sockets and devices don't. What is gone here stays there.
pub(super) async fn upload(
    daemon: &Daemon,
    container: &str,
    folders: Vec<Folder>,
    mut seen: Seen,
) -> Result<Seen, Failure> {
    let failed = |path: &Path, cause: io::Error| {
        Failure::from(ExecutorError::Io {
            path: path.to_owned(),
            cause,
        })
    };
    let root = folders
        .first()
        .map(|folder| folder.from.clone())
        .unwrap_or_default();
    let (news, seen) = tokio::task::spawn_blocking(move || {
        let news = folders
            .iter()
            .map(|folder| Ok((folder.clone(), changed(&folder.from, &mut seen)?)))
            .collect::<io::Result<Vec<_>>>();
        news.map(|news| (news, seen))
    })
    .await
    .map_err(|error| failed(&root, error.into()))?
    .map_err(|error| failed(&root, error))?;
    if news.iter().all(|(_, paths)| paths.is_empty()) {
        return Ok(seen);
    }

    let (written, uploaded) = send(daemon, container, move |archive| write(news, archive)).await;
    match written {
        // Nobody took its chunks: what the daemon said is the reason.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(failed(&root, error)),
        Ok(()) | Err(_) => uploaded.map(|()| seen).map_err(|error| {
            Failure::new("could not copy the job's files into its container", &error)
        }),
    }
}

/// Lets the daemon unpack at `/` of a container what `write` writes, on a thread that may block. How the
/// writing went, and the unpacking.
pub(super) async fn send(
    daemon: &Daemon,
    container: &str,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()> + Send + 'static,
) -> (io::Result<()>, Result<(), Error>) {
    let (archive, written) = archive::written(write);
    let options = UploadToContainerOptionsBuilder::default().path("/").build();
    let uploaded = daemon
        .docker
        .clone()
        .with_timeout(UPLOAD_BOUND)
        .upload_to_container(container, Some(options), bollard::body_try_stream(archive))
        .await;
    (written.await.map_err(io::Error::from).flatten(), uploaded)
}

/// Everything in `folder` as it is now, as if it had been copied.
pub(super) async fn see(folder: PathBuf) -> io::Result<Seen> {
    tokio::task::spawn_blocking(move || {
        let mut seen = Seen::default();
        changed(&folder, &mut seen)?;
        Ok(seen)
    })
    .await?
}

/// The beginning of a regular file of a container: at most `limit` bytes. `None` if it has none.
pub(super) async fn read_file(
    daemon: &Daemon,
    container: &str,
    path: &str,
    limit: usize,
) -> Result<Option<Vec<u8>>, Error> {
    let options = DownloadFromContainerOptionsBuilder::default()
        .path(path)
        .build();
    let mut chunks = daemon
        .docker
        .download_from_container(container, Some(options));
    let mut archive = Vec::new();
    // Besides the file there is its header, with room for its name and attributes.
    while archive.len() < limit + 64 * 1024
        && let Some(chunk) = chunks.next().await
    {
        match chunk {
            Ok(chunk) => archive.extend_from_slice(&chunk),
            Err(error) if Trouble::of(&error) == Trouble::Missing => return Ok(None),
            Err(error) => return Err(error),
        }
    }
    let mut archive = tar::Archive::new(archive.as_slice());
    let Some(entry) = archive.entries()?.next() else {
        return Ok(None);
    };
    let entry = entry?;
    if !entry.header().entry_type().is_file() {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    entry.take(limit as u64).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

/// Writes the exit code that the script left in the container to the job's folder.
pub(super) async fn fetch_exit(
    daemon: &Daemon,
    container: &str,
    dir: &JobDir,
) -> Result<(), Error> {
    let path = format!("{}/exit", crate::CONTAINER_DIR);
    let Some(code) = read_file(daemon, container, &path, 16).await? else {
        return Ok(());
    };
    fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
        .open(dir.exit())?
        .write_all(&code)?;
    Ok(())
}

/// How much of a background command's output is fetched, in bytes.
const OUTPUT_LIMIT: u64 = 1 << 30;

/// Appends to the files of commands in the background what they have in the container and not here.
pub(super) async fn fetch_outputs(
    daemon: &Daemon,
    container: &str,
    dir: &JobDir,
) -> Result<(), Error> {
    for output in dir.outputs()? {
        let name = output.file_name().unwrap_or_default().to_string_lossy();
        let options = DownloadFromContainerOptionsBuilder::default()
            .path(&format!("{}/{name}", crate::CONTAINER_DIR))
            .build();
        let mut chunks = daemon
            .docker
            .download_from_container(container, Some(options))
            .boxed()
            .peekable();
        match Pin::new(&mut chunks).peek().await {
            // The job removed it.
            Some(Err(error)) if Trouble::of(error) == Trouble::Missing => continue,
            Some(_) | None => {}
        }
        let archive = archive::reading(chunks.map(|chunk| chunk.map_err(io::Error::other)).boxed());
        tokio::task::spawn_blocking(move || append_rest(archive, &output))
            .await
            .map_err(io::Error::from)??;
    }
    Ok(())
}

/// Appends to a file of ours what the first file of an archive has more.
fn append_rest(archive: impl Read, to: &Path) -> io::Result<()> {
    let mut archive = tar::Archive::new(archive);
    let Some(entry) = archive.entries()?.next() else {
        return Ok(());
    };
    let mut entry = entry?;
    if !entry.header().entry_type().is_file() {
        return Ok(());
    }
    let mut to = fs::OpenOptions::new()
        .append(true)
        .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
        .open(to)?;
    let there = to.metadata()?.len();
    io::copy(&mut (&mut entry).take(there), &mut io::sink())?;
    // Of what nobody wants to read, no more than that: holes of a file count as well.
    io::copy(&mut entry.take(OUTPUT_LIMIT.saturating_sub(there)), &mut to)?;
    Ok(())
}

/// What in `folder`, itself included, is not as it was seen; parents before children. Sees it.
fn changed(folder: &Path, seen: &mut Seen) -> io::Result<Vec<PathBuf>> {
    let mut news = Vec::new();
    let mut todo = vec![folder.to_owned()];
    while let Some(path) = todo.pop() {
        let metadata = fs::symlink_metadata(&path)?;
        if metadata.is_dir() {
            for entry in fs::read_dir(&path)? {
                todo.push(entry?.path());
            }
        }
        let stamp = Stamp::of(&metadata);
        if seen.insert(path.clone(), stamp) != Some(stamp) {
            news.push(path);
        }
    }
    Ok(news)
}

fn write(news: Vec<(Folder, Vec<PathBuf>)>, to: impl Write) -> io::Result<()> {
    let mut archive = Builder::new(to);
    for (folder, paths) in news {
        for path in paths {
            append(&mut archive, &folder, &path)?;
        }
    }
    archive.into_inner()?.flush()
}

fn append(archive: &mut Builder<impl Write>, folder: &Folder, path: &Path) -> io::Result<()> {
    let below = path
        .strip_prefix(&folder.from)
        .expect("only what is in the folder was listed");
    let owner = Owner {
        uid: folder.uid,
        gid: folder.gid,
    };
    archive::append(
        archive,
        path,
        &Path::new(&folder.to).join(below),
        Some(owner),
    )
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use tar::EntryType;

    use super::*;

    #[test]
    fn only_what_changed_is_copied_again() {
        let root = tempfile::tempdir().unwrap();
        let (kept, other) = (root.path().join("kept"), root.path().join("other"));
        fs::write(&kept, "a").unwrap();
        fs::write(&other, "a").unwrap();
        let mut seen = Seen::default();
        assert_eq!(changed(root.path(), &mut seen).unwrap().len(), 3);
        assert!(changed(root.path(), &mut seen).unwrap().is_empty());
        fs::write(&other, "bb").unwrap();
        assert_eq!(changed(root.path(), &mut seen).unwrap(), [other]);
    }

    #[test]
    fn an_archive_has_all_kinds_under_the_name_and_owner_of_the_other_side() {
        let root = tempfile::tempdir().unwrap();
        let long = "n".repeat(150);
        fs::create_dir(root.path().join("dir")).unwrap();
        fs::write(root.path().join("dir").join(&long), "text").unwrap();
        symlink("/etc/passwd", root.path().join("link")).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            root.path().join("fifo"),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::from_raw_mode(0o666),
            0,
        )
        .unwrap();
        let folder = Folder::owned_by(root.path().to_owned(), "/home/me/project", 7, 8);
        let paths = changed(root.path(), &mut Seen::default()).unwrap();
        let mut bytes = Vec::new();
        write(vec![(folder, paths)], &mut bytes).unwrap();

        let mut found = HashMap::new();
        let mut archive = tar::Archive::new(bytes.as_slice());
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            assert_eq!(entry.header().uid().unwrap(), 7);
            assert_eq!(entry.header().gid().unwrap(), 8);
            let name = entry.path().unwrap().display().to_string();
            let name = name.trim_end_matches('/').to_owned();
            found.insert(name, (entry.header().entry_type(), text));
        }
        let file = format!("home/me/project/dir/{long}");
        assert_eq!(found[&file], (EntryType::Regular, "text".to_owned()));
        assert_eq!(found["home/me/project"].0, EntryType::Directory);
        assert_eq!(found["home/me/project/link"].0, EntryType::Symlink);
        assert_eq!(found["home/me/project/fifo"].0, EntryType::Fifo);
        assert_eq!(found.len(), 5);
    }
}
