//! What `popsicle shim <job dir>` runs: it holds one job, and writes down how it exited. (Given more words,
//! it reaches into a job that another holds.)
//!
//! It is a process of its own so that the server can end, crash and be replaced while jobs run. So it
//! is plain and small: one thread, no runtime, and nothing to do but to wait once the job is started.
//!
//! 1. It reads its [`Order`], and enters new mount, PID, UTS and IPC namespaces; as an ordinary user a
//!    user namespace first, in which that user is root and nobody else exists.
//! 2. It makes the job's root and changes its own root to it ([`super::root`]). Whatever it needs of the
//!    job directory afterwards it has opened before.
//! 3. It starts `/bin/sh` as the first process of the PID namespace, which takes the last steps of its
//!    confinement itself ([`super::confine`]). When that process ends, the kernel ends all others in the
//!    namespace before the shim hears of it; when the shim ends, the kernel ends that process.
//! 4. It tells the executor, waits, writes the exit.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;

use rustix::fs::{Mode, OFlags};
use rustix::io::FdFlags;
use rustix::thread::UnshareFlags;

use super::confine::{KEPT, Unconfined, User, confine};
use super::groups::Doors;
use super::layers;
use super::order::{Files, Inside, Order, Reply};
use super::process::{Process, remember};
use super::root::{self, HOME, View};
use super::seccomp::{self, Filter};
use crate::{CONTAINER_DIR, ExecutorError, Exit, JobDir, WORK_DIR_VARIABLE};

/// Why a shim could not hold its job.
#[derive(Debug, thiserror::Error)]
pub enum ShimError {
    /// Started by someone who is not an executor.
    #[error("the server starts this by itself for each job; it is of no use otherwise")]
    Stray,
    /// The program had started threads before it called [`main`].
    #[error("a shim must be started before any thread is")]
    Threads,
    /// The job asks for what can't be had.
    #[error("{0}")]
    Rejected(String),
    /// A step towards the job's start failed.
    #[error("could not {what}")]
    Step {
        /// Which, as what follows `could not`.
        what: &'static str,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// A file of the job directory could not be read.
    #[error(transparent)]
    Files(#[from] ExecutorError),
}

impl ShimError {
    pub(super) fn step(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |cause| Self::Step { what, cause }
    }

    fn reply(&self) -> Reply {
        match self {
            Self::Rejected(why) => Reply::Rejected(why.clone()),
            Self::Step { what, cause } => Reply::Failed {
                what: format!("could not {what}"),
                cause: cause.to_string(),
            },
            Self::Stray | Self::Threads | Self::Files(_) => Reply::Failed {
                what: "could not hold the job".to_owned(),
                cause: self.to_string(),
            },
        }
    }
}

/// Does what the executor asked for with these arguments, and returns the exit code: given a job's
/// directory, it holds that job until it has exited; given more, it takes files out of the job or puts some
/// in ([`super::reach`]).
///
/// The caller must have started no thread yet: the kernel lets nobody else into user namespaces.
///
/// # Errors
/// Whatever kept the job from starting, which has been told to the executor by then, or its exit from
/// being written down.
pub fn main(words: &[OsString]) -> Result<u8, ShimError> {
    let dir = words.first().map(PathBuf::from).unwrap_or_default();
    let key = dir.file_name().and_then(OsStr::to_str).unwrap_or_default();
    let (Ok(key), Some(jobs)) = (key.parse(), dir.parent()) else {
        return Err(ShimError::Stray);
    };
    let dir = JobDir::new(jobs, key);
    match words {
        [_] => hold(&dir).map(|()| 0),
        [_, verb, path] => super::reach::main(&dir, verb, path),
        _ => Err(ShimError::Stray),
    }
}

fn hold(dir: &JobDir) -> Result<(), ShimError> {
    check_lock(dir)?;
    let started = start(dir);
    let reply = match &started {
        Ok(_) => Reply::Started,
        Err(error) => error.reply(),
    };
    tell(&reply);
    started?.hold()
}

/// A job that runs.
struct Held {
    init: Child,
    doors: Arc<Doors>,
    record: Record,
    /// Nobody removes these while it runs.
    _layers: Vec<File>,
}

impl Held {
    fn hold(mut self) -> Result<(), ShimError> {
        let status = self
            .init
            .wait()
            .map_err(ShimError::step("wait for the job"))?;
        self.record
            .write(exit_of(status, &self.doors))
            .map_err(ShimError::step("write down how the job exited"))
    }
}

fn exit_of(status: ExitStatus, doors: &Doors) -> Exit {
    let code = status
        .code()
        .unwrap_or_else(|| 128 + status.signal().unwrap_or_default());
    // A job may lose a process to the limit and get over it.
    if code != 0 && doors.had_deaths() {
        Exit::OutOfMemory
    } else {
        Exit::Code(code)
    }
}

/// The executor locks the file and passes it as standard input, so that there is no moment at which
/// the shim runs and its lock is free.
fn check_lock(dir: &JobDir) -> Result<(), ShimError> {
    let stdin = rustix::fs::fstat(io::stdin()).map_err(|_| ShimError::Stray)?;
    let lock = fs::metadata(Files::of(dir).lock()).map_err(|_| ShimError::Stray)?;
    if (lock.dev(), lock.ino()) == (stdin.st_dev, stdin.st_ino) {
        Ok(())
    } else {
        Err(ShimError::Stray)
    }
}

fn tell(reply: &Reply) {
    let mut line = serde_json::to_vec(reply).unwrap_or_default();
    line.push(b'\n');
    let mut out = io::stdout();
    // The executor may be gone, as it may be at any later time.
    let _ = out.write_all(&line).and_then(|()| out.flush());
}

fn start(dir: &JobDir) -> Result<Held, ShimError> {
    let threads = fs::read_dir("/proc/self/task").map_err(ShimError::step("count threads"))?;
    if threads.count() != 1 {
        return Err(ShimError::Threads);
    }
    keep_files().map_err(ShimError::step("keep the server's open files from the job"))?;
    // Out of reach of whoever ends the server's session or its service.
    rustix::process::setsid()
        .map_err(io::Error::from)
        .map_err(ShimError::step("leave the server's session"))?;
    let proc = File::open("/proc").map_err(ShimError::step("open `/proc`"))?;
    let files = Files::of(dir);
    remember(&proc, std::process::id())
        .and_then(|text| fs::write(files.shim(), text))
        .map_err(ShimError::step("write down which process the shim is"))?;
    let order = files.read_order()?.ok_or(ShimError::Stray)?;
    let variables = files.take_environment()?.ok_or(ShimError::Stray)?;
    let asked = &order.launch.working_directory;
    let layers = order.image.as_ref().map(layers::hold).transpose();
    let layers = layers.map_err(ShimError::step("hold the image's layers"))?;
    order.groups.move_shim();
    let doors = Arc::new(order.groups.make());
    let record = Record::prepare(dir).map_err(ShimError::step("prepare the job's record"))?;
    let log = open_log(dir).map_err(ShimError::step("open the job's log"))?;
    // The kernel says so in `/proc`, which the job's root has only later.
    let filter = seccomp::offered().then(|| Filter::new(KEPT));
    if filter.is_none() {
        eprintln!("the job may make any system call: this machine's kernel filters none");
    }
    let view = enter_namespaces()?;
    let hostname = hostname(dir);
    rustix::system::sethostname(hostname.as_bytes())
        .map_err(io::Error::from)
        .map_err(ShimError::step("name the job's host"))?;
    let (user, inside) = match &order.image {
        Some(image) => {
            let (user, inside) = layers::enter(dir, image, asked, &hostname)?;
            (Some(user), inside)
        }
        None => {
            let inside = machine(asked)?;
            root::enter(
                dir,
                view,
                &inside.working_directory,
                &order.hidden,
                &hostname,
            )?;
            (None, inside)
        }
    };
    record
        .note_inside(&inside)
        .map_err(ShimError::step("write down what paths mean in the job"))?;
    let environment = environment(&order, variables, &inside, &hostname);
    let init = spawn(&order, log, environment, Arc::clone(&doors), user, filter)?;
    remember(&proc, init.id())
        .and_then(|text| record.note_init(&text))
        .map_err(ShimError::step("write down which process the job is"))?;
    Ok(Held {
        init,
        doors,
        record,
        _layers: layers.unwrap_or_default(),
    })
}

/// What paths mean in a view of the machine.
pub(super) fn machine(working_directory: &str) -> Result<Inside, ShimError> {
    let working_directory = root::resolve(working_directory, HOME).map_err(ShimError::Rejected)?;
    Ok(Inside {
        home: HOME.into(),
        working_directory,
        uid: 0,
        gid: 0,
    })
}

/// Keeps whatever this process inherited open from the job: a server may be started by anything.
fn keep_files() -> io::Result<()> {
    for entry in fs::read_dir("/proc/self/fd")? {
        let name = entry?.file_name();
        let Some(number) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        #[expect(
            unsafe_code,
            reason = "inherited files are known by their numbers only"
        )]
        // SAFETY: the number was listed as open (the list itself is, too), there is no other thread
        // that could have closed it, and it is not used beyond this loop.
        let file = unsafe { BorrowedFd::borrow_raw(number) };
        rustix::io::fcntl_setfd(file, FdFlags::CLOEXEC)?;
    }
    Ok(())
}

/// Enters the namespaces that a container consists of. The network stays the machine's.
fn enter_namespaces() -> Result<View, ShimError> {
    let new =
        UnshareFlags::NEWNS | UnshareFlags::NEWPID | UnshareFlags::NEWUTS | UnshareFlags::NEWIPC;
    match unshare(new) {
        Ok(()) => return Ok(View::CopyOnWrite),
        Err(cause) if cause.kind() == io::ErrorKind::PermissionDenied => {}
        Err(cause) => return Err(ShimError::step("make namespaces")(cause)),
    }
    let (user, group) = (rustix::process::getuid(), rustix::process::getgid());
    unshare(new | UnshareFlags::NEWUSER).map_err(ShimError::step("make a user namespace"))?;
    // In this order: a group map is refused to ordinary users while groups can be dropped.
    fs::write("/proc/self/setgroups", "deny")
        .and_then(|()| fs::write("/proc/self/uid_map", format!("0 {} 1", user.as_raw())))
        .and_then(|()| fs::write("/proc/self/gid_map", format!("0 {} 1", group.as_raw())))
        .map_err(ShimError::step("become root in a user namespace"))?;
    Ok(View::ReadOnly)
}

fn unshare(flags: UnshareFlags) -> io::Result<()> {
    #[expect(unsafe_code, reason = "rustix marks it for the sake of `FILES`")]
    // SAFETY: the only flag that could break other code's assumptions is `FILES`, which is not among
    // those that this module passes.
    let unshared = unsafe { rustix::thread::unshare_unsafe(flags) };
    Ok(unshared?)
}

/// What the job's host is called. It begins with a letter, because a name of digits alone would be
/// taken for an address.
fn hostname(dir: &JobDir) -> String {
    let key = dir.key().job.to_string();
    let short = key.split('-').next().unwrap_or_default();
    format!("job-{short}")
}

fn open_log(dir: &JobDir) -> io::Result<File> {
    fs::OpenOptions::new()
        .append(true)
        .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
        .open(dir.log())
}

fn environment(
    order: &Order,
    theirs: Vec<(String, String)>,
    inside: &Inside,
    hostname: &str,
) -> Vec<(String, String)> {
    let home = inside.home.display().to_string();
    let mut ours = vec![("HOME", home.as_str()), ("PATH", &order.path)];
    if order.image.is_some() {
        ours.push(("HOSTNAME", hostname));
    }
    let ours = ours.into_iter();
    let ours = ours.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let last = (
        WORK_DIR_VARIABLE.to_owned(),
        inside.working_directory.display().to_string(),
    );
    ours.chain(theirs).chain([last]).collect()
}

/// Starts the job's first process, PID 1 of the new namespace.
fn spawn(
    order: &Order,
    log: File,
    environment: Vec<(String, String)>,
    doors: Arc<Doors>,
    user: Option<User>,
    filter: Option<Filter>,
) -> Result<Child, ShimError> {
    let shim = Process::open(std::process::id())
        .ok_or(io::Error::from(io::ErrorKind::NotFound))
        .map_err(ShimError::step("take hold of the shim"))?;
    let mut command = Command::new("/bin/sh");
    command
        .arg(format!("{CONTAINER_DIR}/steps.sh"))
        .env_clear()
        .envs(environment)
        .current_dir("/")
        .stdin(Stdio::null())
        .stderr(log.try_clone().map_err(ShimError::step("share the log"))?)
        .stdout(log);
    #[expect(unsafe_code, reason = "nothing else runs code between fork and exec")]
    // SAFETY: what must not be done after `fork` is to rely on other threads of the parent, whose
    // locks nobody would release in the child. The shim has no other thread; `start` has counted.
    unsafe {
        command.pre_exec(move || {
            confine(&shim, &doors, user.as_ref(), filter.as_ref()).map_err(Unconfined::encode)
        });
    }
    command.spawn().map_err(|cause| {
        let rejected = |why: &str| ShimError::Rejected(format!("the job's environment {why}"));
        if cause.kind() == io::ErrorKind::ArgumentListTooLong {
            rejected("is larger than the kernel allows")
        } else if cause.kind() == io::ErrorKind::InvalidInput {
            rejected("holds a NUL character")
        } else {
            let unconfined = Unconfined::decode(cause);
            match &order.image {
                // It is there: what it needs is not, or it is made for other processors.
                Some(image) if unconfined.is_start() => ShimError::Rejected(format!(
                    "the `/bin/sh` of image `{}` can't be started: {}",
                    image.name, unconfined.cause
                )),
                Some(_) | None => ShimError::Step {
                    what: unconfined.what,
                    cause: unconfined.cause,
                },
            }
        }
    })
}

/// The files in which the shim says what becomes of the job, within reach although its root is not
/// the machine's any more.
struct Record {
    folder: OwnedFd,
    files: Files,
    draft: File,
}

impl Record {
    fn prepare(dir: &JobDir) -> io::Result<Self> {
        let files = Files::of(dir);
        let draft = File::create(files.exit_draft())?;
        // Room for the exit, taken while there is some: a job may fill the disk.
        draft.write_all_at(&[b' '; 64], 0)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::open(dir.path(), flags, Mode::empty())?;
        Ok(Self {
            folder,
            files,
            draft,
        })
    }

    fn note_init(&self, text: &str) -> io::Result<()> {
        self.note(&self.files.init(), text.as_bytes())
    }

    fn note_inside(&self, inside: &Inside) -> io::Result<()> {
        self.note(&self.files.inside(), &serde_json::to_vec(inside)?)
    }

    fn note(&self, path: &Path, text: &[u8]) -> io::Result<()> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(0o600);
        let file = rustix::fs::openat(&self.folder, name(path), flags, mode)?;
        File::from(file).write_all(text)
    }

    fn write(&self, exit: Exit) -> io::Result<()> {
        let text = serde_json::to_vec(&exit)?;
        self.draft.write_all_at(&text, 0)?;
        let folder = self.folder.as_fd();
        let (from, to) = (self.files.exit_draft(), self.files.exit());
        Ok(rustix::fs::renameat(
            folder,
            name(&from),
            folder,
            name(&to),
        )?)
    }
}

fn name(path: &Path) -> &OsStr {
    path.file_name().unwrap_or(path.as_os_str())
}
