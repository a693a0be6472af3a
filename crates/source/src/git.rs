//! Running git: the one place where a git process is started.
//!
//! Arguments are never put together by a shell, and no process outlives the future that waits for it:
//! each is the leader of a process group of its own (git starts `ssh`, `git-remote-https`,
//! `index-pack` …), and the group is killed when its future is dropped.
//!
//! Git reads three kinds of configuration, and who may speak depends on the call:
//!
//! - What talks to a remote, or reads a user's own folder, hears the operator: their `url.insteadOf`,
//!   `http.proxy`, `core.sshCommand`, `safe.directory` and credential helpers are how they told git to
//!   reach their forge. What could run programs of theirs on our mirrors (hooks, fsmonitor) is off.
//! - What only works on our mirrors and work trees hears nobody, so that a job's tree has the same bytes
//!   on every server: no `core.autocrlf`, and no filter program that a pushed `.gitattributes` could name.
//!
//! The environment is built from nothing for the same reason: no `GIT_DIR` of a hook that we run under,
//! no `GIT_TRACE_CURL` that writes credentials out, none of the server's own secrets.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};

use crate::SourceError;
use crate::credentials::Token;

/// What a git process may say on standard output, in bytes.
const OUTPUT_LIMIT: u64 = 256 * 1024 * 1024;
/// How much of the end of its standard error is kept, in bytes.
const WORDS_LIMIT: usize = 4096;
/// How long a pipe may stay open after git ended: an `ssh` that stays behind as a connection's
/// master keeps it for hours.
const PIPE_GRACE: Duration = Duration::from_secs(1);

/// The environment variables of the operator's that reach git, where they are set.
const KEPT: &[&str] = &[
    "PATH",
    "USER",
    "LOGNAME",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    "GIT_EXEC_PATH",
];
/// And those that reach it where the operator is heard.
const KEPT_FOR_OPERATOR: &[&str] = &[
    "HOME",
    "XDG_CONFIG_HOME",
    "XDG_RUNTIME_DIR",
    "SSH_AUTH_SOCK",
    "GIT_SSH",
    "GIT_SSH_COMMAND",
    "GIT_SSH_VARIANT",
    "GIT_PROXY_COMMAND",
    "GIT_SSL_CAINFO",
    "GIT_SSL_CAPATH",
    "GIT_SSL_CERT",
    "GIT_SSL_KEY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NIX_SSL_CERT_FILE",
    "CURL_CA_BUNDLE",
    "http_proxy",
    "https_proxy",
    "HTTPS_PROXY",
    "all_proxy",
    "ALL_PROXY",
    "no_proxy",
    "NO_PROXY",
];

/// Whose configuration a call hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hears {
    /// The operator's (or, for `popsicle run`, the user's) and the repository's.
    Operator,
    /// The repository's alone.
    Nobody,
}

/// One call of git, before it is made.
#[derive(Debug)]
pub(crate) struct Git {
    subcommand: &'static str,
    hears: Hears,
    globals: Vec<OsString>,
    args: Vec<OsString>,
    env: Vec<(&'static str, OsString)>,
    secrets: Vec<Token>,
    stdin: Option<File>,
    directory: Option<PathBuf>,
    open_umask: bool,
    memory_limit: Option<u64>,
    output_limit: u64,
}

impl Git {
    /// A call of `git <subcommand>` on what is ours: it runs no hooks, and leaves the tidying to us.
    pub(crate) fn new(subcommand: &'static str, hears: Hears) -> Self {
        Self::plain(subcommand, hears)
            .config("core.hooksPath", "/dev/null")
            .config("core.fsmonitor", "false")
            .config("gc.auto", "0")
            .config("maintenance.auto", "false")
    }

    /// A call of `git <subcommand>` that runs the repository's hooks and tidies up as git does.
    pub(crate) fn plain(subcommand: &'static str, hears: Hears) -> Self {
        Self {
            subcommand,
            hears,
            globals: Vec::new(),
            args: Vec::new(),
            env: Vec::new(),
            secrets: Vec::new(),
            stdin: None,
            directory: None,
            open_umask: false,
            memory_limit: None,
            output_limit: OUTPUT_LIMIT,
        }
    }

    /// Adds an argument of the subcommand.
    #[must_use]
    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// Adds arguments of the subcommand.
    #[must_use]
    pub(crate) fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args
            .extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Sets a configuration value for this call, over all files. Never a secret: it is an argument.
    #[must_use]
    pub(crate) fn config(mut self, key: &str, value: &str) -> Self {
        self.globals.push("-c".into());
        self.globals.push(format!("{key}={value}").into());
        self
    }

    /// Names the repository, so that none is looked for.
    #[must_use]
    pub(crate) fn git_dir(mut self, git_dir: &Path) -> Self {
        let mut arg = OsString::from("--git-dir=");
        arg.push(git_dir);
        self.globals.push(arg);
        self
    }

    /// Names the work tree.
    #[must_use]
    pub(crate) fn work_tree(mut self, work_tree: &Path) -> Self {
        let mut arg = OsString::from("--work-tree=");
        arg.push(work_tree);
        self.globals.push(arg);
        self.in_directory(work_tree)
    }

    /// Starts it in a directory other than the server's.
    #[must_use]
    pub(crate) fn in_directory(mut self, directory: &Path) -> Self {
        self.directory = Some(directory.to_owned());
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub(crate) fn env(mut self, name: &'static str, value: impl Into<OsString>) -> Self {
        self.env.push((name, value.into()));
        self
    }

    /// Hands it a secret in an environment variable, and masks it in what it says.
    #[must_use]
    pub(crate) fn secret(mut self, name: &'static str, token: &Token) -> Self {
        self.secrets.push(token.clone());
        self.env(name, token.reveal())
    }

    /// Lets it hold a lock: `file` becomes its standard input, which it does not read, so that a lock
    /// on it is kept until git itself is gone, even if the server is killed first.
    #[must_use]
    pub(crate) fn holding(mut self, file: File) -> Self {
        self.stdin = Some(file);
        self
    }

    /// Lets everybody write what it creates. The umask belongs to the whole process, so that only a
    /// process between us and git can set it.
    #[must_use]
    pub(crate) fn open_umask(mut self) -> Self {
        self.open_umask = true;
        self
    }

    /// Lets it have no more address space than so many bytes.
    #[must_use]
    pub(crate) fn memory_limit(mut self, bytes: u64) -> Self {
        self.memory_limit = Some(bytes);
        self
    }

    /// Lets it write no more than so many bytes.
    #[must_use]
    pub(crate) fn output_limit(mut self, bytes: u64) -> Self {
        self.output_limit = bytes;
        self
    }

    /// Runs it to its end and returns what it wrote.
    ///
    /// # Errors
    /// [`SourceError::Git`] where it ended with anything but 0, with its last words;
    /// [`SourceError::NoGit`].
    pub(crate) async fn run(self) -> Result<Vec<u8>, SourceError> {
        let (subcommand, secrets) = (self.subcommand, self.secrets.clone());
        let limit = self.output_limit;
        let mut running = self.spawn(Stdio::null())?;
        let (mut out, mut words) = (Vec::new(), Words::default());
        let (stdout, stderr) = (running.child.stdout.take(), running.child.stderr.take());
        let ended = {
            let mut reading = std::pin::pin!(async {
                tokio::join!(read_output(stdout, limit, &mut out), words.read(stderr))
            });
            tokio::select! {
                status = running.child.wait() => {
                    // What it wrote last may still be in the pipes.
                    let read = tokio::time::timeout(PIPE_GRACE, &mut reading).await;
                    status.map(|status| (status, read.is_ok_and(|(too_much, ())| too_much)))
                }
                (too_much, ()) = &mut reading => {
                    if too_much {
                        running.kill();
                    }
                    running.child.wait().await.map(|status| (status, too_much))
                }
            }
        };
        let failed = |exit: String, stderr: String| SourceError::Git {
            command: subcommand.to_owned(),
            exit,
            stderr,
        };
        match ended {
            Ok((_, true)) => Err(failed(
                "stopped".to_owned(),
                format!("it wrote more than {limit} bytes"),
            )),
            Ok((status, false)) if status.success() => Ok(out),
            Ok((status, false)) => Err(failed(exit_text(status), words.text(&secrets))),
            Err(cause) => Err(failed("unknown".to_owned(), cause.to_string())),
        }
    }

    /// Starts it as a process to talk with.
    ///
    /// # Errors
    /// [`SourceError::NoGit`].
    pub(crate) fn start(self) -> Result<Conversation, SourceError> {
        let subcommand = self.subcommand;
        let mut running = self.spawn(Stdio::piped())?;
        let asked = "it was asked for as a pipe and is taken once";
        let stdin = running.child.stdin.take().expect(asked);
        let stdout = running.child.stdout.take().expect(asked);
        let stderr = running.child.stderr.take().expect(asked);
        Ok(Conversation {
            subcommand,
            stdin,
            stdout,
            stderr,
            running,
        })
    }

    fn spawn(self, stdin: Stdio) -> Result<Running, SourceError> {
        let mut setup = String::new();
        if self.open_umask {
            setup.push_str("umask 000; ");
        }
        if let Some(bytes) = self.memory_limit {
            // Where a lower one holds already, that is well too.
            setup.push_str(&format!("ulimit -v {} 2>/dev/null; ", bytes / 1024));
        }
        let mut command = if setup.is_empty() {
            Command::new("git")
        } else {
            let mut command = Command::new("sh");
            // Constants and a number; the arguments stay arguments.
            command.args(["-c", &format!("{setup}exec git \"$@\""), "git"]);
            command
        };
        command
            .args(self.globals)
            .arg(self.subcommand)
            .args(self.args)
            .env_clear()
            .envs(kept(KEPT))
            .env("LC_ALL", "C")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_ALLOW_PROTOCOL", "http:https:ssh:file:git")
            .env("GIT_OPTIONAL_LOCKS", "0")
            .env("GIT_NO_LAZY_FETCH", "1")
            .env("GIT_LFS_SKIP_SMUDGE", "1");
        match self.hears {
            Hears::Operator => {
                command.envs(kept(KEPT_FOR_OPERATOR)).envs(configuration());
            }
            Hears::Nobody => {
                command
                    .env("HOME", "/nonexistent")
                    .env("GIT_CONFIG_NOSYSTEM", "1")
                    .env("GIT_CONFIG_GLOBAL", "/dev/null")
                    .env("GIT_ATTR_NOSYSTEM", "1");
            }
        }
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        let child = command
            .envs(self.env)
            .stdin(self.stdin.map_or(stdin, Stdio::from))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|cause| match &self.directory {
                Some(directory) if !directory.is_dir() => {
                    SourceError::io("enter", directory, cause)
                }
                _ if cause.kind() == io::ErrorKind::NotFound => SourceError::NoGit,
                _ => SourceError::io("start", Path::new("git"), cause),
            })?;
        Ok(Running { child })
    }
}

/// A git process that answers as long as it is asked.
#[derive(Debug)]
pub(crate) struct Conversation<O = ChildStdout> {
    subcommand: &'static str,
    pub(crate) stdin: ChildStdin,
    pub(crate) stdout: O,
    stderr: ChildStderr,
    running: Running,
}

impl<O> Conversation<O> {
    /// Its three pipes, and what ends it.
    pub(crate) fn into_parts(self) -> (ChildStdin, O, ChildStderr, Running) {
        (self.stdin, self.stdout, self.stderr, self.running)
    }

    /// Wraps what it writes.
    pub(crate) fn map_stdout<P>(self, wrap: impl FnOnce(O) -> P) -> Conversation<P> {
        Conversation {
            subcommand: self.subcommand,
            stdin: self.stdin,
            stdout: wrap(self.stdout),
            stderr: self.stderr,
            running: self.running,
        }
    }

    /// Why it stopped answering.
    pub(crate) async fn last_words(self) -> SourceError {
        let Self {
            subcommand,
            stdin,
            stdout,
            stderr,
            mut running,
        } = self;
        drop((stdin, stdout));
        let mut words = Words::default();
        let read = tokio::time::timeout(PIPE_GRACE, words.read(Some(stderr))).await;
        if read.is_err() {
            running.kill();
        }
        SourceError::Git {
            command: subcommand.to_owned(),
            exit: match running.child.wait().await {
                Ok(status) => exit_text(status),
                Err(cause) => cause.to_string(),
            },
            stderr: words.text(&[]),
        }
    }
}

/// A process group that ends with this value.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
}

impl Running {
    /// Lets it clean up and end: what it has locked must not stay locked. Kills what has not ended then.
    pub(crate) async fn end(mut self, grace: Duration) {
        self.signal(Signal::TERM);
        // What has not ended is killed as it is dropped.
        let _ = tokio::time::timeout(grace, self.child.wait()).await;
    }

    fn kill(&self) {
        self.signal(Signal::KILL);
    }

    fn signal(&self, signal: Signal) {
        // No id means that the leader was waited for; its number may be another's by now.
        let leader = self.child.id().and_then(|id| i32::try_from(id).ok());
        if let Some(group) = leader.and_then(Pid::from_raw) {
            // The group is gone already where this fails.
            let _ = kill_process_group(group, signal);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The end of what a process wrote to standard error.
#[derive(Debug, Default)]
struct Words(Vec<u8>);

impl Words {
    async fn read(&mut self, stderr: Option<impl AsyncRead + Unpin>) {
        let Some(mut stderr) = stderr else { return };
        let mut buffer = [0; 1024];
        while let Ok(count @ 1..) = stderr.read(&mut buffer).await {
            self.0.extend_from_slice(&buffer[..count]);
            let surplus = self.0.len().saturating_sub(WORDS_LIMIT);
            self.0.drain(..surplus);
        }
    }

    /// As one short paragraph without secrets.
    fn text(&self, secrets: &[Token]) -> String {
        let mut text = String::from_utf8_lossy(&self.0).into_owned();
        for secret in secrets {
            if !secret.reveal().is_empty() {
                text = text.replace(secret.reveal(), "[hidden]");
            }
        }
        let mut lines: Vec<&str> = text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .collect();
        // Of a broken file git tells each time that it looks.
        lines.dedup();
        lines.join("; ")
    }
}

/// Reads all of it; true if that was too much.
async fn read_output(
    stdout: Option<impl AsyncRead + Unpin>,
    limit: u64,
    out: &mut Vec<u8>,
) -> bool {
    let Some(stdout) = stdout else { return false };
    // A pipe that breaks is told by the exit code.
    let _ = stdout.take(limit + 1).read_to_end(out).await;
    out.len() as u64 > limit
}

fn kept(names: &[&'static str]) -> impl Iterator<Item = (&'static str, OsString)> {
    names
        .iter()
        .filter_map(|name| std::env::var_os(name).map(|value| (*name, value)))
}

/// Where the operator's configuration is (`GIT_CONFIG_GLOBAL` …), and what it says in the environment
/// (`GIT_CONFIG_COUNT` …); without what an outer git hands to its hooks.
fn configuration() -> impl Iterator<Item = (OsString, OsString)> {
    std::env::vars_os().filter(|(name, _)| {
        name.as_bytes().starts_with(b"GIT_CONFIG_") && name != "GIT_CONFIG_PARAMETERS"
    })
}

fn exit_text(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "unknown".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_git_says_is_bounded_and_masked() {
        let mut words = Words::default();
        let said = format!("{}fatal: s3cret is wrong\n\n  hint: no\n", "x".repeat(9000));
        words.read(Some(said.as_bytes())).await;
        let text = words.text(&[Token::new("s3cret")]);
        assert!(
            text.ends_with("fatal: [hidden] is wrong; hint: no"),
            "{text}"
        );
        assert!(text.len() <= WORDS_LIMIT + 10);
    }

    #[tokio::test]
    async fn a_call_tells_how_it_failed() {
        let failed = Git::new("rev-parse", Hears::Nobody)
            .git_dir(Path::new("/nowhere"))
            .run()
            .await;
        let Err(SourceError::Git {
            command,
            exit,
            stderr,
        }) = failed
        else {
            panic!("{failed:?}");
        };
        assert_eq!((command.as_str(), exit.as_str()), ("rev-parse", "exit 128"));
        assert!(stderr.contains("/nowhere"), "{stderr}");
    }
}
