//! How a command ends: an exit code, and where it failed one line and a hint.

use std::fmt;
use std::io;
use std::process::ExitCode;

use client::ClientError;

use crate::settings::SettingsError;

/// The exit codes of every command; scripts may rely on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0: all went well.
    Success,
    /// 1: the pipeline failed, or nothing can run one.
    Failed,
    /// 2: something was asked for in a way that can't be done.
    Usage,
    /// 3: the server could not be reached, refused, or this machine could not do its part.
    Unable,
    /// What the shim has to tell the executor that started it.
    Shim(u8),
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Success => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Unable => 3,
            Exit::Shim(code) => code,
        })
    }
}

/// Why a command could not do what it was asked to.
#[derive(Debug)]
pub enum Failure {
    /// For people: what went wrong, and what to do.
    Told {
        /// With which code to exit.
        exit: Exit,
        /// A fragment that follows `error:`.
        message: String,
        /// What follows `hint:`.
        hint: Option<String>,
    },
    /// Whoever read our output has gone, as `head` does: no failure of ours.
    ReaderGone,
}

impl Failure {
    /// Something was asked for in a way that can't be done.
    pub fn usage(message: impl fmt::Display) -> Self {
        Self::told(Exit::Usage, &message)
    }

    /// The server or this machine could not do its part.
    pub fn unable(message: impl fmt::Display) -> Self {
        Self::told(Exit::Unable, &message)
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn hint(mut self, text: impl fmt::Display) -> Self {
        if let Self::Told { hint, .. } = &mut self {
            *hint = Some(text.to_string());
        }
        self
    }

    /// What failing to write our output means.
    pub fn output(error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::ReaderGone;
        }
        Self::unable(format_args!("could not write the output: {error}"))
    }

    fn told(exit: Exit, message: &dyn fmt::Display) -> Self {
        Self::Told {
            exit,
            message: message.to_string(),
            hint: None,
        }
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        // What the caller named is not there, or can't be done: that is the caller's to mend.
        let exit = match &error {
            ClientError::BadUrl { .. } | ClientError::BadToken => Exit::Usage,
            ClientError::Refused {
                status: 400 | 404 | 409 | 422,
                ..
            } => Exit::Usage,
            ClientError::Setup(_)
            | ClientError::Unreachable { .. }
            | ClientError::TimedOut { .. }
            | ClientError::Refused { .. }
            | ClientError::NotPopsicle { .. }
            | ClientError::Lost { .. } => Exit::Unable,
        };
        Self::Told {
            exit,
            message: error.to_string(),
            hint: error.hint().map(str::to_owned),
        }
    }
}

impl From<SettingsError> for Failure {
    fn from(error: SettingsError) -> Self {
        Self::Told {
            exit: Exit::Usage,
            message: error.to_string(),
            hint: error.hint(),
        }
    }
}
