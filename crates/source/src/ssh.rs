//! How git is to call `ssh`: without questions that nobody would answer.

use std::path::Path;

use crate::git::{Git, Hears};

/// No prompt, no endless wait, and a host's key taken at first sight but never another one after it.
const COMMAND: &str = "ssh -o BatchMode=yes -o StrictHostKeyChecking=accept-new \
     -o ConnectTimeout=15 -o ServerAliveInterval=30 -o ServerAliveCountMax=10";

/// Gives a call that command, unless the operator named another one, by `GIT_SSH_COMMAND`, `GIT_SSH`
/// or git's `core.sshCommand`. Whatever the remote's address: the operator's `url.insteadOf` may make
/// an SSH one of it.
pub(crate) async fn prepare(git: Git) -> Git {
    let in_environment = ["GIT_SSH_COMMAND", "GIT_SSH"]
        .iter()
        .any(|name| std::env::var_os(name).is_some());
    if in_environment {
        return git;
    }
    let in_config = Git::new("config", Hears::Operator)
        .in_directory(Path::new("/"))
        .args(["--get", "core.sshCommand"])
        .run()
        .await
        .is_ok();
    if in_config {
        return git;
    }
    git.env("GIT_SSH_COMMAND", COMMAND)
}
