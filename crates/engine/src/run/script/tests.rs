//! What the script does, run for real by each shell that may be there.

use std::path::Path;
use std::process::Command;

use model::{BuildSpec, JobKind, RunsIn};

use super::*;
use crate::logs::Nonce;

fn step(command: &str) -> StepSpec {
    StepSpec {
        name: command.to_owned(),
        when: StepWhen::OnSuccess,
        action: StepAction::Run(RunStep {
            command: command.to_owned(),
            ..RunStep::default()
        }),
    }
}

fn job(steps: Vec<StepSpec>) -> JobSpec {
    JobSpec {
        name: "build".to_owned(),
        requires: Vec::new(),
        contexts: Vec::new(),
        kind: JobKind::Build(Box::new(BuildSpec::new(RunsIn::Machine, steps))),
    }
}

fn checkout(path: Option<&str>) -> StepSpec {
    StepSpec {
        name: "Checkout code".into(),
        when: StepWhen::OnSuccess,
        action: StepAction::Checkout {
            path: path.map(str::to_owned),
        },
    }
}

fn in_shell(shell: &str, command: &str) -> StepSpec {
    let mut step = step(command);
    if let StepAction::Run(run) = &mut step.action {
        run.shell = Some(shell.to_owned());
    }
    step
}

fn write(spec: &JobSpec, dir: &Path) {
    let nonce = Nonce::parse(&"0".repeat(32)).unwrap();
    let script = generate(spec, &nonce, dir.to_str().unwrap());
    std::fs::write(dir.join("steps.sh"), script.text).unwrap();
    std::fs::create_dir_all(dir.join("steps")).unwrap();
    crate::run::tool::lay_out(dir).unwrap();
    for (index, command) in script.commands {
        std::fs::write(dir.join("steps").join(index.to_string()), command).unwrap();
    }
    assert!(
        Command::new("mkfifo")
            .arg(dir.join("answer"))
            .status()
            .unwrap()
            .success()
    );
}

/// The command that runs the script in `dir` with that shell, at home in `dir`.
fn command(shell: &[&str], dir: &Path) -> Command {
    // Whoever runs these tests may ignore signals, as a shell does for what it runs in the background.
    let mut command = Command::new("/usr/bin/env");
    command
        .arg("--default-signal")
        .args(shell)
        .arg(dir.join("steps.sh"))
        .env(WORK, dir.join("work"))
        .env("HOME", dir);
    if shell != ["sh"] && shell != ["bash"] {
        // Otherwise it would hand over to bash.
        command.env("PATH", path_without_bash(dir));
    }
    command
}

/// A search path on which there is no bash, made in `dir`.
fn path_without_bash(dir: &Path) -> std::path::PathBuf {
    let path = dir.join("path");
    std::fs::create_dir(&path).unwrap();
    for tool in ["cat", "cp", "dash", "busybox", "mkdir", "rm", "sh", "sleep"] {
        let found = ["/bin", "/usr/bin"].map(|folder| Path::new(folder).join(tool));
        if let Some(found) = found.iter().find(|found| found.exists()) {
            std::os::unix::fs::symlink(found, path.join(tool)).unwrap();
        }
    }
    path
}

fn exit_file(dir: &Path) -> String {
    let text = std::fs::read_to_string(dir.join("exit")).unwrap();
    text.trim().to_owned()
}

/// Runs a job's script with that shell; its output with markers as `<…>`, and its exit code.
fn run_with(shell: &[&str], spec: &JobSpec) -> (String, i32) {
    let dir = tempfile::tempdir().unwrap();
    write(spec, dir.path());
    let output = command(shell, dir.path()).output().unwrap();
    let code = output.status.code().unwrap();
    assert_eq!(exit_file(dir.path()), code.to_string());
    let text =
        String::from_utf8(output.stdout).unwrap() + std::str::from_utf8(&output.stderr).unwrap();
    let text = text
        .replace(&format!("\x1b]7770;{};", "0".repeat(32)), "<")
        .replace("\x07\n", ">")
        .replace(dir.path().to_str().unwrap(), "DIR");
    (text, code)
}

fn run(spec: &JobSpec) -> (String, i32) {
    run_with(&["sh"], spec)
}

/// Waits until a step has written a line to that file.
fn until_written(path: &Path) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while !std::fs::read_to_string(path).is_ok_and(|line| line.ends_with('\n')) {
        let in_time = std::time::Instant::now() < deadline;
        assert!(in_time, "the step never got that far");
        std::thread::yield_now();
    }
}

#[test]
fn steps_run_in_order_each_in_its_own_shell() {
    let job = job(vec![step("x=1; echo one"), step("echo \"two $x\"; pwd")]);
    let (text, code) = run(&job);
    assert_eq!(
        text,
        "<start;0>one\n<end;0;0><start;1>two \nDIR/work\n<end;1;0>"
    );
    assert_eq!(code, 0);
}

#[test]
fn every_shell_that_an_image_may_have_runs_it() {
    let job = job(vec![step("echo one"), step("false\necho never")]);
    for shell in [&["dash"][..], &["bash"], &["busybox", "sh"]] {
        if Command::new(shell[0]).arg("-c").arg(":").output().is_err() {
            ::tests::skip(&format!("no {}", shell[0]));
            continue;
        }
        let (text, code) = run_with(shell, &job);
        assert_eq!(
            text, "<start;0>one\n<end;0;0><start;1><end;1;1>",
            "{shell:?}"
        );
        assert_eq!(code, 1, "{shell:?}");
    }
}

#[test]
fn signals_do_to_a_step_what_they_do_anywhere() {
    let by_default = "for name in INT QUIT; do sh -c \"kill -s $name \\$\\$; echo no\" || echo $?; done 2> /dev/null";
    let to_all = "trap 'exit 9' TERM; kill 0; echo never";
    let mut steps = vec![step(by_default), step(to_all), step("echo still")];
    steps[2].when = StepWhen::Always;
    let (text, code) = run(&job(steps));
    assert_eq!(
        text,
        "<start;0>130\n131\n<end;0;0><start;1><end;1;9><start;2>still\n<end;2;0>"
    );
    assert_eq!(code, 9);
}

#[test]
fn after_a_failure_only_what_asks_for_it_runs() {
    let mut steps = vec![
        step("exit 3"),
        step("echo no"),
        step("echo cleanup"),
        step("echo always; exit 4"),
    ];
    steps[2].when = StepWhen::OnFail;
    steps[3].when = StepWhen::Always;
    let (text, code) = run(&job(steps));
    assert_eq!(
        text,
        "<start;0><end;0;3><skip;1><start;2>cleanup\n<end;2;0><start;3>always\n<end;3;4>"
    );
    assert_eq!(code, 3);
}

#[test]
fn variables_left_in_bash_env_reach_later_steps() {
    let job = job(vec![
        step("echo 'export X=\"a b\"' >> \"$BASH_ENV\""),
        step("echo \"$X\""),
    ]);
    assert!(run(&job).0.contains("a b\n"));
}

#[test]
fn a_pipe_fails_with_any_of_its_parts() {
    assert_eq!(run(&job(vec![step("false | cat")])).1, 1);
}

#[test]
fn environment_shell_and_directory_are_the_steps_own() {
    let awkward = "it's $HOME \"quoted\"\n`id`";
    let mut steps = vec![
        step("mkdir -p sub"),
        step("printf '%s|' \"$A\"; pwd"),
        step("echo ${A:-unset} $0"),
    ];
    if let StepAction::Run(run) = &mut steps[1].action {
        run.environment = vec![("A".into(), awkward.into())];
        run.working_directory = Some("sub".into());
    }
    if let StepAction::Run(run) = &mut steps[2].action {
        run.shell = Some("/bin/sh -c".into());
    }
    let (text, code) = run(&job(steps));
    assert!(
        text.contains(&format!("{awkward}|DIR/work/sub\n")),
        "{text}"
    );
    assert!(text.contains("unset /bin/sh\n"), "{text}");
    assert_eq!(code, 0);
}

#[test]
fn a_shells_last_word_tells_whether_it_takes_a_command() {
    for shell in [
        "bash -c",
        "bash -ec",
        "bash -exo pipefail -c",
        "/bin/sh -euc",
        "bash -lc",
    ] {
        let (text, code) = run(&job(vec![in_shell(shell, "echo \"<$0> $((1+1))\"")]));
        let program = shell.split(' ').next().unwrap();
        assert!(
            text.contains(&format!("<{program}> 2\n")),
            "{shell}: {text}"
        );
        assert_eq!(code, 0, "{shell}: {text}");
    }
    for shell in ["bash -e", "bash --noprofile --norc", "sh"] {
        let (text, code) = run(&job(vec![in_shell(shell, "echo \"<$0>\"")]));
        assert!(text.contains("<DIR/steps/0>\n"), "{shell}: {text}");
        assert_eq!(code, 0, "{shell}: {text}");
    }
}

#[test]
fn a_directory_that_is_not_there_fails_the_step() {
    let mut steps = vec![step("echo no")];
    if let StepAction::Run(run) = &mut steps[0].action {
        run.working_directory = Some("/no/such".into());
    }
    let (text, code) = run(&job(steps));
    assert!(text.contains("/no/such"), "{text}");
    assert_ne!(code, 0);
}

#[test]
fn a_syntax_error_is_one_steps_failure() {
    let mut steps = vec![step("if ["), step("echo still")];
    steps[1].when = StepWhen::Always;
    let (text, code) = run(&job(steps));
    assert!(text.contains("<start;1>still\n<end;1;0>"), "{text}");
    assert_eq!(code, 2);
}

#[test]
fn a_step_waits_for_the_engines_answer() {
    let job = job(vec![checkout(None), step("echo after")]);
    let dir = tempfile::tempdir().unwrap();
    write(&job, dir.path());
    let child = Command::new("sh")
        .arg(dir.path().join("steps.sh"))
        .env(WORK, dir.path().join("work"))
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let answers = "7 1 no\n7 - no\n0 - one  line\n0 0 HEAD is  at \\1 'x'\n";
    std::fs::write(dir.path().join("answer"), answers).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let markers = Nonce::parse(&"0".repeat(32)).unwrap();
    let text = text.replace(&format!("\x1b]7770;{markers};"), "<");
    assert_eq!(
        text.replace("\x07\n", ">"),
        "<start;0><ask;0>one  line\nHEAD is  at \\1 'x'\n<end;0;0><start;1>after\n<end;1;0>"
    );
}

#[test]
fn what_a_step_keeps_is_asked_for_after_a_failure() {
    let mut keep = step("");
    keep.when = StepWhen::Always;
    keep.action = StepAction::StoreTestResults { path: "a".into() };
    let job = job(vec![step("exit 3"), keep]);
    let dir = tempfile::tempdir().unwrap();
    write(&job, dir.path());
    let child = command(&["sh"], dir.path())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    std::fs::write(dir.path().join("answer"), "1 0 Stored\n").unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains(";ask;1\x07\nStored\n"), "{text:?}");
    assert_eq!(exit_file(dir.path()), "3");
}

#[test]
fn code_for_elsewhere_is_copied_there_and_not_kept() {
    let steps = vec![
        checkout(Some("a b/c")),
        checkout(Some("~/d")),
        step("cat 'a b/c/file' ~/d/file; ls -A \"$HOME\""),
    ];
    let dir = tempfile::tempdir().unwrap();
    write(&job(steps), dir.path());
    for index in 0..2 {
        let tree = dir.path().join(format!("tree.{index}"));
        std::fs::create_dir(&tree).unwrap();
        std::fs::write(tree.join("file"), format!("code {index}\n")).unwrap();
    }
    let child = command(&["sh"], dir.path())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    std::fs::write(dir.path().join("answer"), "0 0\n1 0\n").unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("code 0\ncode 1\n"), "{text}");
    assert!(!text.contains("tree."), "{text}");
    assert_eq!(output.status.code(), Some(0), "{text}");
}

#[test]
fn where_nothing_can_be_said_nothing_goes_on() {
    // The second asks, and would wait for an answer to what nobody heard.
    for steps in [vec![step("touch ~/ran")], vec![checkout(None)]] {
        for shell in [&["bash"][..], &["dash"], &["busybox", "sh"]] {
            if Command::new(shell[0]).arg("-c").arg(":").output().is_err() {
                ::tests::skip(&format!("no {}", shell[0]));
                continue;
            }
            let dir = tempfile::tempdir().unwrap();
            write(&job(steps.clone()), dir.path());
            let full = std::fs::File::options()
                .write(true)
                .open("/dev/full")
                .unwrap();
            let output = command(shell, dir.path()).stdout(full).output().unwrap();
            assert_eq!(output.status.code(), Some(UNHEARD_CODE), "{shell:?}");
            assert_eq!(exit_file(dir.path()), UNHEARD, "{shell:?}");
            assert!(!dir.path().join("ran").exists(), "{shell:?}");
        }
    }
}

#[test]
fn a_silent_step_is_ended_and_what_follows_a_failure_runs() {
    let listening = "echo $$ > $HOME/pid; exec sleep 600";
    let tidying = "trap 'exit 0' TERM; echo $$ > $HOME/pid; while :; do sleep 1 || :; done";
    let deaf =
        "trap 'echo $$ > $HOME/again' TERM; echo $$ > $HOME/pid; while :; do sleep 1 || :; done";
    for (command, code) in [(listening, 143), (tidying, 143), (deaf, 137)] {
        for shell in [&["bash"][..], &["dash"], &["busybox", "sh"]] {
            if Command::new(shell[0]).arg("-c").arg(":").output().is_err() {
                ::tests::skip(&format!("no {}", shell[0]));
                continue;
            }
            let mut steps = vec![step(command), step("echo no"), step("echo tidy")];
            steps[0].name = "Wait".into();
            steps[2].when = StepWhen::Always;
            let dir = tempfile::tempdir().unwrap();
            write(&job(steps), dir.path());
            let child = self::command(shell, dir.path())
                .stdout(std::process::Stdio::piped())
                .spawn()
                .unwrap();
            let pid = rustix::process::Pid::from_child(&child);
            let interrupt = || {
                rustix::process::kill_process(pid, rustix::process::Signal::USR1).unwrap();
            };
            until_written(&dir.path().join("pid"));
            interrupt();
            if code == 137 {
                until_written(&dir.path().join("again"));
                interrupt();
            }
            let output = child.wait_with_output().unwrap();
            let text = String::from_utf8(output.stdout).unwrap();
            let text = text.replace(&format!("\x1b]7770;{};", "0".repeat(32)), "<");
            let expected = format!(
                "<start;0>\nerror: step \"Wait\" wrote nothing for its limit of 600 s\n<end;0;{code}><skip;1><start;2>tidy\n<end;2;0>"
            );
            assert_eq!(text.replace("\x07\n", ">"), expected, "{shell:?}");
            assert_eq!(output.status.code(), Some(code), "{shell:?}");
        }
    }
}

#[test]
fn a_command_that_fails_is_run_again_as_often_as_it_may_be() {
    let often = |command: &str, reruns| {
        let mut step = step(command);
        if let StepAction::Run(run) = &mut step.action {
            run.max_auto_reruns = reruns;
        }
        step
    };
    let second = "echo run; [ -e ~/ran ] || { : > ~/ran; exit 3; }";
    let never = "echo no; exit 4";
    let steps = vec![often(second, 5), often(never, 2), step("echo after")];
    for shell in [&["bash"][..], &["dash"], &["busybox", "sh"]] {
        if Command::new(shell[0]).arg("-c").arg(":").output().is_err() {
            ::tests::skip(&format!("no {}", shell[0]));
            continue;
        }
        let (text, code) = run_with(shell, &job(steps.clone()));
        let again =
            |code, count, of| format!("\nexit code {code}: running it again ({count} of {of})\n");
        let expected = [
            "<start;0>run\n",
            &again(3, 1, 5),
            "run\n<end;0;0><start;1>no\n",
            &again(4, 1, 2),
            "no\n",
            &again(4, 2, 2),
            "no\n<end;1;4><skip;2>",
        ];
        assert_eq!(text, expected.concat(), "{shell:?}");
        assert_eq!(code, 4);
    }
}

#[test]
fn a_signal_ends_the_wait_before_a_command_runs_again() {
    let mut steps = vec![step("echo x >> ~/ran; exit 3")];
    if let StepAction::Run(run) = &mut steps[0].action {
        run.max_auto_reruns = 1;
        run.auto_rerun_delay_ms = 60_000;
    }
    let dir = tempfile::tempdir().unwrap();
    write(&job(steps), dir.path());
    let log = dir.path().join("log");
    let mut child = command(&["sh"], dir.path())
        .stdout(std::fs::File::create(&log).unwrap())
        .spawn()
        .unwrap();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while !std::fs::read_to_string(&log).unwrap().contains("again") {
        let in_time = std::time::Instant::now() < deadline;
        assert!(in_time, "it is never to run again");
        std::thread::yield_now();
    }
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(143));
    assert_eq!(
        std::fs::read_to_string(dir.path().join("ran")).unwrap(),
        "x\n"
    );
}

#[test]
fn a_signal_stops_the_step_and_no_other_starts() {
    let mut steps = vec![step("echo $$ > $HOME/pid; exec sleep 60"), step("echo no")];
    steps[1].when = StepWhen::Always;
    let dir = tempfile::tempdir().unwrap();
    write(&job(steps), dir.path());
    let mut child = Command::new("sh")
        .arg(dir.path().join("steps.sh"))
        .env(WORK, dir.path().join("work"))
        .env("HOME", dir.path())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    until_written(&dir.path().join("pid"));
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(143));
    assert_eq!(exit_file(dir.path()), "");
}

fn behind(command: &str) -> StepSpec {
    let mut step = step(command);
    if let StepAction::Run(run) = &mut step.action {
        run.background = true;
    }
    step
}

/// Runs a job's script with that shell, its output going to a file that its steps can read: that output
/// with markers as `<…>`, the exit code, and its folder.
fn run_into_file(shell: &[&str], spec: &JobSpec) -> (String, Option<i32>, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    write(spec, dir.path());
    let log = dir.path().join("log");
    let file = std::fs::File::create(&log).unwrap();
    let mut command = command(shell, dir.path());
    let code = command.stdout(file).status().unwrap().code();
    let text = std::fs::read_to_string(log).unwrap();
    let text = text.replace(&format!("\x1b]7770;{};", "0".repeat(32)), "<");
    (text.replace("\x07\n", ">"), code, dir)
}

#[test]
fn what_runs_in_the_background_is_not_waited_for_and_fails_alone() {
    let until_told = "case $(cat ~/log) in *'end;0;3'*) ! : ;; esac";
    let steps = vec![
        behind("echo started; until [ -e ~/go ]; do sleep 0.01; done; echo went >&2; exit 3"),
        step(&format!(
            ": >~/go; while {until_told}; do sleep 0.01; done; echo seen"
        )),
        step("echo after"),
    ];
    for shell in [&["bash"][..], &["dash"], &["busybox", "sh"]] {
        if Command::new(shell[0]).arg("-c").arg(":").output().is_err() {
            ::tests::skip(&format!("no {}", shell[0]));
            continue;
        }
        let (text, code, dir) = run_into_file(shell, &job(steps.clone()));
        assert_eq!(
            text, "<start;0><start;1><end;0;3>seen\n<end;1;0><start;2>after\n<end;2;0><end;0;0>",
            "{shell:?}"
        );
        assert_eq!(code, Some(0), "{shell:?}");
        let output = std::fs::read_to_string(dir.path().join("out.0")).unwrap();
        assert_eq!(output, "started\nwent\n", "{shell:?}");
    }
}

#[test]
fn what_runs_in_the_background_ends_with_the_job() {
    // It does to itself what a step may, and is run again as one.
    let mut all = behind("echo x; [ $(cat ~/out.0 | wc -l) -gt 3 ] || kill 0; sleep 600");
    if let StepAction::Run(run) = &mut all.action {
        run.max_auto_reruns = 1;
    }
    let steps = vec![
        all,
        behind("echo $$ >~/pid; trap : TERM; echo up; while :; do sleep 1; done"),
        step(
            "until [ -s ~/pid ]; do sleep 0.01; done; until [ \"$(cat ~/out.0 | wc -l)\" -gt 3 ]; do sleep 0.01; done; exit 4",
        ),
    ];
    let (text, code, dir) = run_into_file(&["sh"], &job(steps));
    assert_eq!(
        text,
        "<start;0><start;1><start;2><end;2;4><end;0;0><end;1;0>"
    );
    assert_eq!(code, Some(4));
    let output = std::fs::read_to_string(dir.path().join("out.0")).unwrap();
    assert_eq!(output, "x\n\nexit code 143: running it again (1 of 1)\nx\n");
    let pid = std::fs::read_to_string(dir.path().join("pid")).unwrap();
    let alive = || std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while alive().is_ok_and(|stat| !stat.contains(") Z ")) {
        assert!(std::time::Instant::now() < deadline, "it goes on");
        std::thread::yield_now();
    }
}

/// What those steps come to in each shell, and with which exit code.
fn in_each_shell(steps: &[StepSpec], text: &str, code: i32) {
    for shell in [&["bash"][..], &["dash"], &["busybox", "sh"]] {
        if Command::new(shell[0]).arg("-c").arg(":").output().is_err() {
            ::tests::skip(&format!("no {}", shell[0]));
            continue;
        }
        let ran = run_with(shell, &job(steps.to_vec()));
        assert_eq!(ran, (text.to_owned(), code), "{shell:?}");
    }
}

#[test]
fn after_a_step_that_halts_the_job_no_other_runs() {
    for name in ["circleci-agent", "circleci", "popsicle"] {
        let halt = format!("echo one; {name} step halt; echo two");
        let mut steps = vec![
            step(&halt),
            step("echo no"),
            step("echo no"),
            checkout(None),
        ];
        steps[1].when = StepWhen::Always;
        let expected = "<start;0>one\ntwo\n<end;0;0><skip;1><skip;2><skip;3>";
        in_each_shell(&steps, expected, 0);
    }
}

#[test]
fn halting_does_not_make_a_failure_good() {
    let mut steps = vec![
        step("exit 3"),
        step("circleci-agent step halt"),
        step("echo no"),
    ];
    steps[1].when = StepWhen::OnFail;
    steps[2].when = StepWhen::Always;
    let expected = "<start;0><end;0;3><start;1><end;1;0><skip;2>";
    in_each_shell(&steps, expected, 3);
    let mut steps = vec![step("circleci step halt; exit 4"), step("echo no")];
    steps[1].when = StepWhen::Always;
    in_each_shell(&steps, "<start;0><end;0;4><skip;1>", 4);
}
