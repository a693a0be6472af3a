//! What the program does, in each shell that an image may have.

use std::io::Write;
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
            .env_remove("CIRCLE_NODE_INDEX")
            .env_remove("CIRCLE_NODE_TOTAL")
            .env("PATH", format!("{}:{path}", self.path("bin").display()));
        command
    }

    /// What it writes, what it complains of, and its exit code.
    fn run(&self, words: &[&str]) -> (String, String, i32) {
        self.run_with("", words)
    }

    /// The same, with that to read.
    fn run_with(&self, input: &str, words: &[&str]) -> (String, String, i32) {
        let mut child = self
            .command(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // It may end without having read it.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let output = child.wait_with_output().unwrap();
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
        let expected = "circleci-agent: in a job there are `step halt`, `tests glob`, \
            `tests split` and `tests run`, and no other program `circleci-agent` to do this: dance slowly\n";
        assert_eq!(told, expected, "{:?}", job.shell);
    });
}

#[test]
fn patterns_find_what_is_there() {
    in_each_shell(|job| {
        let work = job.path("work");
        for folder in ["a/b c/d", ".h", "n"] {
            std::fs::create_dir_all(work.join(folder)).unwrap();
        }
        for file in [
            "top_test.go",
            "a/one_test.go",
            "a/b c/two_test.go",
            "a/b c/d/three_test.go",
            ".h/hidden_test.go",
            "a/.hidden_test.go",
            "a/x.rb",
            "a/x.py",
            "n/[q].go",
        ] {
            std::fs::write(work.join(file), "").unwrap();
        }
        symlink("../a", work.join("n/a")).unwrap();
        symlink(".", work.join("a/circle")).unwrap();
        let all = "a/b c/d/three_test.go\na/b c/two_test.go\na/one_test.go\ntop_test.go\n";
        for (patterns, found) in [
            (&["**/*_test.go"][..], all),
            (&["**/**/*_test.go", "a/**/*_test.go"], all),
            (&["a/*.{rb,py}", "./a/x.rb"], "./a/x.rb\na/x.py\na/x.rb\n"),
            (&["a/{x.{rb,py},on?_t*}"], "a/one_test.go\na/x.py\na/x.rb\n"),
            (&["n/[[]q].go", "a/[x-z].[!r]*"], "a/x.py\nn/[q].go\n"),
            (
                &["a/b*/**"],
                "a/b c/d\na/b c/d/three_test.go\na/b c/two_test.go\n",
            ),
            (&["no/**/*", "a/{no}", "a{"], ""),
            (&["*/"], "a\nn\n"),
        ] {
            let words = [&["circleci", "tests", "glob"], patterns].concat();
            let expected = (found.to_owned(), String::new(), 0);
            assert_eq!(job.run(&words), expected, "{:?} {patterns:?}", job.shell);
        }
        let absolute = work.join("a").join("*.rb").display().to_string();
        let (text, ..) = job.run(&["circleci", "tests", "glob", &absolute]);
        assert_eq!(text, format!("{}\n", work.join("a/x.rb").display()));
    });
}

/// What each of two nodes gets of those names.
fn halves(job: &Job, names: &str, options: &[&str]) -> [String; 2] {
    ["0", "1"].map(|index| {
        let place = ["circleci", "tests", "split", "--index", index, "--total=2"];
        let (text, _, code) = job.run_with(names, &[&place[..], options].concat());
        assert_eq!(code, 0, "{:?}", job.shell);
        text
    })
}

#[test]
fn each_name_goes_to_one_node() {
    in_each_shell(|job| {
        let expected = ["a a\nc\ne\n", "b\nd\n"];
        assert_eq!(halves(job, "e\nd\n\nc\nb\na a", &[]), expected);
        std::fs::write(job.path("work/list"), "d\ne\na a\n").unwrap();
        std::fs::write(job.path("work/more"), "c\nb\n").unwrap();
        assert_eq!(halves(job, "", &["list", "more"]), expected);
        // Alone, a node has all.
        let (text, ..) = job.run_with("b\na\n", &["popsicle", "tests", "split"]);
        assert_eq!(text, "a\nb\n");
        let mut command = job.command(&["circleci", "tests", "split", "list"]);
        command.env("CIRCLE_NODE_INDEX", "2");
        let output = command.env("CIRCLE_NODE_TOTAL", "3").output().unwrap();
        assert_eq!(output.stdout, b"e\n");
    });
}

#[test]
fn files_are_split_by_their_size() {
    in_each_shell(|job| {
        for (name, bytes) in [("big file", 100), ("mid", 60), ("less", 50), ("none", 0)] {
            std::fs::write(job.path("work").join(name), "x".repeat(bytes)).unwrap();
        }
        let names = "none\nless\nmid\nbig file\ngone\n";
        let shares = halves(job, names, &["--split-by=filesize"]);
        assert_eq!(shares, ["big file\ngone\nnone\n", "mid\nless\n"]);
        let words = ["circleci", "tests", "split", "--split-by", "filesize"];
        let (_, told, _) = job.run_with("gone\n", &words);
        let expected = "circleci: `gone` is no file: it counts as an empty one\n";
        assert_eq!(told, expected);
    });
}

#[test]
fn without_times_it_says_that_it_splits_by_name() {
    in_each_shell(|job| {
        let options = ["--split-by=timings", "--timings-type=classname"];
        assert_eq!(halves(job, "b\na\n", &options), ["a\n", "b\n"]);
        let words = ["circleci", "tests", "split", "--split-by=timings"];
        let (_, told, _) = job.run_with("a\n", &words);
        let expected = "circleci: no times of earlier runs are at hand here: splitting by name\n";
        assert_eq!(told, expected);
    });
}

#[test]
fn a_command_gets_its_nodes_names_and_its_code_counts() {
    in_each_shell(|job| {
        let run = |options: &[&str]| {
            let words = [&["circleci", "tests", "run"], options].concat();
            job.run_with("c b\na d\n", &words)
        };
        let (text, told, code) = run(&["--command=xargs echo ran; exit 4"]);
        assert_eq!(
            (text.as_str(), told.as_str(), code),
            ("ran a b c d\n", "", 4)
        );
        let second = ["--index=1", "--total=2", "--verbose", "--command", "cat"];
        let (text, told, code) = run(&second);
        assert_eq!((text.as_str(), code), ("b\nd\n", 0));
        assert_eq!(told, "circleci: node 1 of 2 runs:\nb\nd\n");
        let (text, told, code) = run(&["--index=5", "--total=6", "--command=echo no"]);
        assert_eq!((text.as_str(), code), ("", 0));
        assert_eq!(told, "circleci: no tests for node 5 of 6\n");
    });
}

#[test]
fn what_it_can_not_be_told_is_an_error() {
    in_each_shell(|job| {
        for (words, error) in [
            (&["glob"][..], "say which patterns"),
            (&["split", "--by", "name"], "no option `--by`"),
            (&["split", "--split-by=luck"], "not `luck`"),
            (&["split", "--index"], "`--index` needs a value"),
            (&["split", "--index=x"], "not `x`"),
            (&["split", "--index=2", "--total=2"], "no node 2 of 2"),
            (&["split", "no such list"], "can't be read"),
            (&["run"], "say what to run"),
            (&["run", "--command=cat", "list"], "standard input"),
        ] {
            let (text, told, code) = job.run(&[&["circleci", "tests"], words].concat());
            assert_eq!((text.as_str(), code), ("", 2), "{:?} {words:?}", job.shell);
            assert!(told.contains(error), "{:?} {words:?}: {told}", job.shell);
        }
    });
}
