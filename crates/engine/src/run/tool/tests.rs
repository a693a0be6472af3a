//! What the program does, in each shell that an image may have.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::*;

const SHELLS: [&[&str]; 3] = [&["bash"], &["dash"], &["busybox", "sh"]];

/// A job's `io/` folder, and one that it works in.
struct Job {
    dir: tempfile::TempDir,
    shell: &'static [&'static str],
}

/// Does it in each shell that is here.
fn in_each_shell(check: impl Fn(&Job)) {
    for shell in SHELLS {
        if Command::new(shell[0]).arg("-c").arg(":").output().is_err() {
            ::tests::skip(&format!("no {}", shell[0]));
            continue;
        }
        let dir = tempfile::tempdir().unwrap();
        lay_out(dir.path()).unwrap();
        std::fs::create_dir(dir.path().join("work")).unwrap();
        check(&Job { dir, shell });
    }
}

impl Job {
    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn command(&self, words: &[&str]) -> Command {
        let path = std::env::var("PATH").unwrap();
        let mut command = Command::new(self.shell[0]);
        command
            .args(&self.shell[1..])
            .arg(self.path("bin").join(words[0]))
            .args(&words[1..])
            .current_dir(self.path("work"))
            .env("PATH", format!("{}:{path}", self.path("bin").display()));
        command
    }

    /// What it writes, what it complains of, and its exit code.
    fn run(&self, words: &[&str]) -> (String, String, i32) {
        let mut command = self.command(words);
        let output = command.stdin(Stdio::null()).output().unwrap();
        (
            String::from_utf8(output.stdout).unwrap(),
            String::from_utf8(output.stderr).unwrap(),
            output.status.code().unwrap(),
        )
    }
}

fn write_program(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn what_it_does_not_know_is_for_the_next_program_of_its_name() {
    in_each_shell(|job| {
        std::fs::create_dir(job.path("own")).unwrap();
        // Its own folder by another name is not the next.
        symlink("bin", job.path("again")).unwrap();
        let program = "#!/bin/sh\nprintf '%s|' own \"$@\"\nexit 5\n";
        write_program(&job.path("own").join("circleci"), program);
        let folders = ["bin", "again", "no such", "own"].map(|folder| job.path(folder));
        let path = folders.map(|folder| folder.display().to_string()).join(":");
        let path = path + ":/usr/bin:/bin";
        let mut command = job.command(&["circleci", "orb", "a b", ""]);
        let output = command.env("PATH", path).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "own|orb|a b||");
        assert_eq!(output.status.code(), Some(5), "{output:?}");
    });
}

#[test]
fn without_another_program_it_says_what_it_can_do() {
    in_each_shell(|job| {
        let (text, told, code) = job.run(&["circleci-agent", "dance", "slowly"]);
        assert_eq!((text.as_str(), code), ("", 127));
        let expected = "circleci-agent: in a job there is `circleci-agent step halt`, \
            and no other program `circleci-agent` to do this: dance slowly\n";
        assert_eq!(told, expected, "{:?}", job.shell);
    });
}
