//! The folder of one attempt: all that its container, its executor and the engine share.
//!
//! ```text
//! <root>/<uuid>.<attempt>/
//!   work/         the job's working directory
//!   io/           seen inside at CONTAINER_DIR
//!     steps.sh    the generated script
//!     steps/      the users' commands, a file each
//!     log         all output, with the script's markers
//!     out.<step>  what a command writes that runs in the background
//!     answer      a FIFO: the engine's answers to a waiting script
//!     exit        the script's exit code, written last; or UNHEARD
//!   …             whatever else the executor keeps there (never seen inside)
//! ```
//!
//! A job may write whatever it likes into `io/` and `work/`, symbolic links too. Whoever reads there
//! from outside opens with `O_NOFOLLOW` and trusts nothing.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use model::AttemptKey;
use rustix::fs::{FileType, Mode, OFlags};

/// What the script writes instead of an exit code where it could not write to its log.
pub const UNHEARD: &str = "unheard";

/// Where a job finds its `io/` folder.
pub const CONTAINER_DIR: &str = "/.popsicle";

/// The folder of one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobDir {
    path: PathBuf,
    key: AttemptKey,
}

impl JobDir {
    /// The folder of `key` below `root`; makes nothing.
    pub fn new(root: &Path, key: AttemptKey) -> Self {
        Self {
            path: root.join(key.to_string()),
            key,
        }
    }

    /// Makes the folder, emptied if it was there, with its `io/`, `work/`, log and FIFO.
    ///
    /// The folder itself is open to its owner alone; what is inside is open to all, because a
    /// container's user may be anyone.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn create(&self) -> io::Result<()> {
        self.delete()?;
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.path)?;
        for open in [self.io(), self.io().join("steps"), self.work()] {
            fs::create_dir(&open)?;
            rustix::fs::chmod(&open, Mode::from_raw_mode(0o777))?;
        }
        make_open(&self.log())?;
        rustix::fs::mknodat(
            rustix::fs::CWD,
            self.answer(),
            FileType::Fifo,
            Mode::from_raw_mode(0o666),
            0,
        )?;
        rustix::fs::chmod(self.answer(), Mode::from_raw_mode(0o666))?;
        Ok(())
    }

    /// Removes the folder and all in it; does nothing if it is not there.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn delete(&self) -> io::Result<()> {
        delete_all(&self.path)
    }

    /// Whose it is.
    pub fn key(&self) -> AttemptKey {
        self.key
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The job's working directory.
    pub fn work(&self) -> PathBuf {
        self.path.join("work")
    }

    /// What is seen inside at [`CONTAINER_DIR`].
    pub fn io(&self) -> PathBuf {
        self.path.join("io")
    }

    /// The generated script.
    pub fn script(&self) -> PathBuf {
        self.io().join("steps.sh")
    }

    /// All output.
    pub fn log(&self) -> PathBuf {
        self.io().join("log")
    }

    /// What a step writes that runs in the background.
    pub fn output(&self, step: u32) -> PathBuf {
        self.io().join(format!("{OUTPUT}{step}"))
    }

    /// Makes that file, open to whoever the job runs as.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn make_output(&self, step: u32) -> io::Result<()> {
        make_open(&self.output(step))
    }

    /// The files that [`JobDir::output`] names and that are there.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn outputs(&self) -> io::Result<Vec<PathBuf>> {
        let mut outputs = Vec::new();
        for entry in fs::read_dir(self.io())? {
            let entry = entry?;
            if is_output(&entry.file_name()) && entry.file_type()?.is_file() {
                outputs.push(entry.path());
            }
        }
        Ok(outputs)
    }

    /// The FIFO of the engine's answers.
    pub fn answer(&self) -> PathBuf {
        self.io().join("answer")
    }

    /// Where the script writes its exit code.
    pub fn exit(&self) -> PathBuf {
        self.io().join("exit")
    }

    /// Frees what takes room and is needed no more once the attempt has ended and its output was read: all
    /// but what tells that it ended.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn shed(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            // The working directory, and code that was on its way there.
            let is_tree = entry.file_name().as_encoded_bytes().starts_with(b"tree.");
            if is_tree || entry.path() == self.work() {
                delete_all(&entry.path())?;
            }
        }
        for output in self.outputs()? {
            let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
            fs::OpenOptions::new()
                .write(true)
                .custom_flags(flags.bits().cast_signed())
                .open(output)?
                .set_len(0)?;
        }
        self.open_log(fs::OpenOptions::new().write(true))?
            .set_len(0)
    }

    /// Appends a line of ours to the log.
    ///
    /// # Errors
    /// Whatever the file system says, or where the job put something else in the log's place.
    pub fn note(&self, line: &str) -> io::Result<()> {
        self.append(format!("{line}\n").as_bytes())
    }

    /// Appends to the log what is ours to append.
    ///
    /// # Errors
    /// As for [`JobDir::note`].
    pub(crate) fn append(&self, bytes: &[u8]) -> io::Result<()> {
        self.open_log(fs::OpenOptions::new().append(true))?
            .write_all(bytes)
    }

    /// The log, if it is a file still: nothing else is waited for.
    fn open_log(&self, options: &mut fs::OpenOptions) -> io::Result<fs::File> {
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let log = options
            .custom_flags(flags.bits().cast_signed())
            .open(self.log())?;
        if !log.metadata()?.is_file() {
            return Err(io::Error::other(
                "the job put something else in the place of its log",
            ));
        }
        Ok(log)
    }

    /// The exit code that the script wrote, if it got that far.
    pub fn exit_code(&self) -> Option<i32> {
        self.exit_text()?.parse().ok()
    }

    /// Whether the script gave up because it could not write to its log: the disk was full.
    pub fn is_unheard(&self) -> bool {
        self.exit_text().as_deref() == Some(UNHEARD)
    }

    fn exit_text(&self) -> Option<String> {
        // A few bytes at most: a job can put anything there.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::open(self.exit(), flags, Mode::empty()).ok()?;
        let mut bytes = [0; 16];
        let read = rustix::io::read(&file, &mut bytes).ok()?;
        let text = std::str::from_utf8(&bytes[..read]).ok()?;
        Some(text.trim().to_owned())
    }
}

/// What the names of the files begin with that commands in the background write to.
const OUTPUT: &str = "out.";

/// Whether a file of that name is one of these: the job may have made others.
fn is_output(name: &OsStr) -> bool {
    let step = name.to_str().and_then(|name| name.strip_prefix(OUTPUT));
    step.is_some_and(|step| step.parse::<u32>().is_ok())
}

/// Makes an empty file that anybody may write to, whatever our own umask.
fn make_open(path: &Path) -> io::Result<()> {
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)?;
    Ok(rustix::fs::chmod(path, Mode::from_raw_mode(0o666))?)
}

fn delete_all(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        // Where we are not root, a job can close its own folders to us.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            open_folders(folder)?;
            fs::remove_dir_all(folder)
        }
        other => other,
    }
}

/// Opens a folder and all below it to their owner; follows no links.
fn open_folders(folder: &Path) -> io::Result<()> {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            open_folders(&entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::JobUuid;

    fn dir(root: &Path) -> JobDir {
        let job: JobUuid = "550e8400-e29b-41d4-a716-446655440000".parse().unwrap();
        let dir = JobDir::new(root, AttemptKey { job, attempt: 1 });
        dir.create().unwrap();
        dir
    }

    #[test]
    fn a_folder_is_made_empty_and_goes_away_whole() {
        let root = tempfile::tempdir().unwrap();
        let dir = dir(root.path());
        fs::write(dir.work().join("file"), "x").unwrap();
        dir.note("Pulling image").unwrap();
        assert_eq!(fs::read_to_string(dir.log()).unwrap(), "Pulling image\n");
        dir.create().unwrap();
        assert_eq!(fs::read_dir(dir.work()).unwrap().count(), 0);
        assert_eq!(fs::read_to_string(dir.log()).unwrap(), "");
        dir.delete().unwrap();
        dir.delete().unwrap();
        assert!(!dir.path().exists());
    }

    #[test]
    fn a_folder_that_the_job_closed_goes_away_too() {
        let root = tempfile::tempdir().unwrap();
        let dir = dir(root.path());
        let closed = dir.work().join("closed");
        fs::create_dir_all(closed.join("inner")).unwrap();
        fs::set_permissions(closed.join("inner"), fs::Permissions::from_mode(0o000)).unwrap();
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).unwrap();
        // As root nothing is closed; what opens it must do no harm then.
        open_folders(dir.path()).unwrap();
        dir.delete().unwrap();
        assert!(!dir.path().exists());
    }

    #[test]
    fn what_takes_room_goes_and_how_it_ended_stays() {
        let root = tempfile::tempdir().unwrap();
        let dir = dir(root.path());
        fs::write(dir.work().join("file"), "x").unwrap();
        fs::create_dir(dir.path().join("tree.1")).unwrap();
        fs::write(dir.exit(), "3\n").unwrap();
        dir.note("much").unwrap();
        dir.make_output(2).unwrap();
        fs::write(dir.output(2), "much").unwrap();
        // What the job made of that name is not written through.
        let outside = root.path().join("outside");
        fs::write(&outside, "kept").unwrap();
        std::os::unix::fs::symlink(&outside, dir.output(3)).unwrap();
        dir.shed().unwrap();
        assert_eq!(fs::metadata(dir.output(2)).unwrap().len(), 0);
        assert_eq!(fs::read_to_string(outside).unwrap(), "kept");
        assert!(!dir.work().exists() && !dir.path().join("tree.1").exists());
        assert_eq!(fs::metadata(dir.log()).unwrap().len(), 0);
        assert_eq!(dir.exit_code(), Some(3));
    }

    #[test]
    fn a_log_that_is_none_is_not_waited_for() {
        let root = tempfile::tempdir().unwrap();
        let dir = dir(root.path());
        fs::remove_file(dir.log()).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            dir.log(),
            FileType::Fifo,
            Mode::from_raw_mode(0o666),
            0,
        )
        .unwrap();
        assert!(dir.note("hello").is_err());
        // With a reader it could be opened, and is refused all the same.
        let _reader =
            rustix::fs::open(dir.log(), OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty()).unwrap();
        assert!(dir.note("hello").is_err());
        fs::remove_file(dir.log()).unwrap();
        let outside = root.path().join("outside");
        fs::write(&outside, "").unwrap();
        std::os::unix::fs::symlink(&outside, dir.log()).unwrap();
        assert!(dir.note("hello").is_err());
        assert_eq!(fs::read_to_string(outside).unwrap(), "");
    }

    #[test]
    fn an_exit_code_is_read_with_suspicion() {
        let root = tempfile::tempdir().unwrap();
        let dir = dir(root.path());
        assert_eq!(dir.exit_code(), None);
        fs::write(dir.exit(), "3\n").unwrap();
        assert_eq!(dir.exit_code(), Some(3));
        fs::write(dir.exit(), "x".repeat(1 << 20)).unwrap();
        assert_eq!(dir.exit_code(), None);
        fs::write(dir.exit(), "unheard\n       \n").unwrap();
        assert_eq!(dir.exit_code(), None);
        assert!(dir.is_unheard());
        fs::remove_file(dir.exit()).unwrap();
        std::os::unix::fs::symlink("/etc/hostname", dir.exit()).unwrap();
        assert_eq!(dir.exit_code(), None);
    }
}
