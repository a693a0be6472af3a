//! Files of a running job, taken out and put in by a process that enters the job's mount namespace.
//!
//! Only in there do paths mean what they mean to the job, and no link of its files leads anywhere else. The
//! executor's own process can't enter: a program with threads can't join a user namespace. So it starts
//! the shim's program once more, with what to do, and talks to it by its standard streams:
//!
//! - `<job dir> take <path>` writes an archive to standard output;
//! - `<job dir> put <path>` reads one from standard input.
//!
//! How it went is its exit code, and why on standard error.

use std::ffi::{OsStr, OsString};
use std::io::{self, BufReader, BufWriter, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{ExitStatus, Stdio};

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use rustix::fs::{Gid, Uid};
use rustix::thread::{ThreadNameSpaceType, move_into_thread_name_spaces};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdout, Command};

use super::order::{Files, Inside};
use super::process::Process;
use super::shim::ShimError;
use crate::archive::{self, Archive};
use crate::{ExecutorError, JobDir};

/// How the helper ends where nothing is at the path.
const ABSENT: u8 = 40;
/// How it ends where the job's files are not as they should be.
const REFUSED: u8 = 41;
/// How it ends where the job has ended.
const GONE: u8 = 42;

/// How many bytes of what the helper has to say are heard.
const WORDS: u64 = 4096;
const CHUNK_BYTES: usize = 64 * 1024;

/// What the helper does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Take,
    Put,
}

impl Verb {
    fn as_str(self) -> &'static str {
        match self {
            Self::Take => "take",
            Self::Put => "put",
        }
    }

    fn of(word: &OsStr) -> Option<Self> {
        [Self::Take, Self::Put]
            .into_iter()
            .find(|verb| word == verb.as_str())
    }
}

/// Starts the helper.
fn spawn(shim: &[OsString], dir: &JobDir, verb: Verb, path: &str) -> Result<Child, ExecutorError> {
    let unavailable = |cause: io::Error| ExecutorError::Unavailable {
        what: "could not start the program that reaches into a job".to_owned(),
        cause: cause.to_string(),
    };
    let [program, arguments @ ..] = shim else {
        return Err(unavailable(io::Error::other("no program is set")));
    };
    let dir = std::path::absolute(dir.path()).map_err(unavailable)?;
    let (stdin, stdout) = match verb {
        Verb::Take => (Stdio::null(), Stdio::piped()),
        Verb::Put => (Stdio::piped(), Stdio::null()),
    };
    Command::new(program)
        .args(arguments)
        .arg(dir)
        .args([verb.as_str(), path])
        .env_clear()
        .current_dir("/")
        .stdin(stdin)
        .stdout(stdout)
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(unavailable)
}

pub(super) async fn take(
    shim: &[OsString],
    dir: &JobDir,
    path: &str,
) -> Result<Option<Archive>, ExecutorError> {
    let mut helper = spawn(shim, dir, Verb::Take, path)?;
    let Some(stdout) = helper.stdout.take() else {
        return Ok(None);
    };
    let mut chunks = chunks(helper, stdout, path.to_owned()).boxed();
    // The first one tells whether there is anything.
    match chunks.next().await {
        None => Ok(None),
        Some(Ok(first)) => {
            let first = futures_util::stream::iter([Ok(first)]);
            Ok(Some(first.chain(chunks).boxed()))
        }
        Some(Err(error)) => match error.downcast::<ExecutorError>() {
            Ok(error) => Err(error),
            Err(error) => Err(ExecutorError::Rejected(error.to_string())),
        },
    }
}

/// What the helper writes; an error at the end where it did not end well.
fn chunks(
    helper: Child,
    stdout: ChildStdout,
    path: String,
) -> impl Stream<Item = io::Result<Bytes>> + Send {
    let begin = Some((helper, stdout, path));
    futures_util::stream::try_unfold(begin, async |state| {
        let Some((helper, mut stdout, path)) = state else {
            return Ok(None);
        };
        let mut chunk = vec![0; CHUNK_BYTES];
        let read = stdout.read(&mut chunk).await?;
        if read > 0 {
            chunk.truncate(read);
            return Ok(Some((Bytes::from(chunk), Some((helper, stdout, path)))));
        }
        match end(helper, &path).await {
            Ok(()) | Err(None) => Ok(None),
            // The archive's reader tells what is the job's by its kind.
            Err(Some(ExecutorError::Rejected(why))) => {
                Err(io::Error::new(io::ErrorKind::InvalidInput, why))
            }
            Err(Some(error)) => Err(io::Error::other(error)),
        }
    })
}

pub(super) async fn put(
    shim: &[OsString],
    dir: &JobDir,
    path: &str,
    mut archive: Archive,
) -> Result<(), ExecutorError> {
    let mut helper = spawn(shim, dir, Verb::Put, path)?;
    let mut stdin = helper.stdin.take();
    while let Some(to) = &mut stdin
        && let Some(chunk) = archive.next().await
    {
        let chunk = chunk.map_err(|cause| ExecutorError::Unavailable {
            what: "could not read what was to be put into the job".to_owned(),
            cause: cause.to_string(),
        })?;
        // It has ended early, and says why.
        if to.write_all(&chunk).await.is_err() {
            break;
        }
    }
    // Its end is the archive's.
    drop(stdin.take());
    end(helper, path).await.map_err(|error| {
        error.unwrap_or_else(|| ExecutorError::Rejected(format!("there is nothing at `{path}`")))
    })
}

/// Waits for the helper. The error is none where there was nothing at the path.
async fn end(mut helper: Child, path: &str) -> Result<(), Option<ExecutorError>> {
    let mut words = String::new();
    if let Some(stderr) = helper.stderr.take() {
        // Whatever can't be read of it: the exit code says the most.
        let _ = stderr.take(WORDS).read_to_string(&mut words).await;
    }
    let status = helper.wait().await;
    let words = words.trim();
    let unavailable = |cause: String| ExecutorError::Unavailable {
        what: format!("could not reach `{path}` in the job"),
        cause,
    };
    let status = status.map_err(|error| Some(unavailable(error.to_string())))?;
    match code(status) {
        Some(0) => Ok(()),
        Some(ABSENT) => Err(None),
        Some(REFUSED) => Err(Some(ExecutorError::Rejected(words.to_owned()))),
        Some(GONE) => Err(Some(ExecutorError::Vanished)),
        Some(_) | None if words.is_empty() => Err(Some(unavailable(status.to_string()))),
        Some(_) | None => Err(Some(unavailable(words.to_owned()))),
    }
}

fn code(status: ExitStatus) -> Option<u8> {
    status.code().and_then(|code| u8::try_from(code).ok())
}

/// What the helper runs; the exit code.
pub(super) fn main(dir: &JobDir, verb: &OsStr, path: &OsStr) -> Result<u8, ShimError> {
    let (Some(verb), Some(path)) = (Verb::of(verb), path.to_str()) else {
        return Err(ShimError::Stray);
    };
    let files = Files::of(dir);
    let order = files.read_order()?.ok_or(ShimError::Stray)?;
    let inside = match files.read_inside()? {
        Some(inside) => inside,
        // Started by an older version, which ran no images.
        None => super::shim::machine(&order.launch.working_directory)?,
    };
    let path = archive::inside(path, &inside.home, &inside.working_directory);
    let Some(init) = Process::recall(&files.init()).filter(|init| !init.has_ended()) else {
        return Ok(GONE);
    };
    enter(&init).map_err(ShimError::step("enter the job's namespaces"))?;
    let done = match verb {
        Verb::Take => take_here(&path),
        Verb::Put => {
            become_user(&inside).map_err(ShimError::step("become the job's user"))?;
            put_here(&path).map(|()| true)
        }
    };
    match done {
        Ok(true) => Ok(0),
        Ok(false) => Ok(ABSENT),
        Err(error) => {
            // Nothing else is said there.
            let _ = write!(io::stderr(), "{error}");
            Ok(REFUSED)
        }
    }
}

/// Enters the mount namespace of a process, and its user namespace where that is another than ours.
fn enter(process: &Process) -> io::Result<()> {
    let own = std::fs::read_link("/proc/self/ns/user")?;
    let theirs = std::fs::read_link(format!("/proc/{}/ns/user", process.pid()))?;
    let mut namespaces = ThreadNameSpaceType::MOUNT;
    if own != theirs {
        namespaces |= ThreadNameSpaceType::USER;
    }
    move_into_thread_name_spaces(process.as_fd(), namespaces)?;
    std::env::set_current_dir("/")
}

/// Whatever is made from here on belongs to the job's user, wherever it is put.
fn become_user(inside: &Inside) -> io::Result<()> {
    if (inside.uid, inside.gid) == (0, 0) {
        return Ok(());
    }
    let (uid, gid) = (Uid::from_raw(inside.uid), Gid::from_raw(inside.gid));
    let powers = rustix::thread::capabilities(None)?;
    rustix::thread::set_thread_groups(&[])?;
    rustix::thread::set_thread_res_gid(gid, gid, Gid::ROOT)?;
    // Root stays at hand, without which the powers would be gone for good.
    rustix::thread::set_thread_res_uid(Uid::ROOT, uid, Uid::ROOT)?;
    Ok(rustix::thread::set_capabilities(None, powers)?)
}

fn take_here(path: &Path) -> io::Result<bool> {
    let path = match std::fs::canonicalize(path) {
        Ok(path) => path,
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            return Ok(false);
        }
        Err(error) => {
            let why = format!("could not read `{}`: {error}", path.display());
            return Err(io::Error::new(error.kind(), why));
        }
    };
    let out = BufWriter::with_capacity(CHUNK_BYTES, io::stdout().lock());
    archive::pack(&path, out).map(|()| true)
}

fn put_here(path: &Path) -> io::Result<()> {
    // Modes are the archive's.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    archive::unpack(
        BufReader::with_capacity(CHUNK_BYTES, io::stdin().lock()),
        path,
    )
}
