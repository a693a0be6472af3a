//! The script that a job's container runs as its first process.
//!
//! One POSIX `sh` script runs all the steps, each in a shell of its own, and says between them what
//! happens (see `logs::marker`). Nothing else has to be in the image. Because one process runs them
//! all, a step costs a fork and not a call to a daemon, and the server may be away meanwhile.
//!
//! The users' commands are not in the script but in files beside it, so that nothing needs quoting
//! and a syntax error in one is that step's failure and no other's.

use std::fmt::Write as _;

use executor::UNHEARD;
use model::{JobSpec, RunStep, StepAction, StepSpec, StepWhen};

use super::silence;
use super::tool::FOLDER;
use crate::logs::Nonce;

/// A generated script and the files beside it.
#[derive(Debug)]
pub(crate) struct Script {
    /// The script itself.
    pub(crate) text: String,
    /// For each step that has one, its index and its command, for `steps/<index>`.
    pub(crate) commands: Vec<(u32, String)>,
}

/// The code to exit with where a marker could not be written (`EX_IOERR` of sysexits.h). The file `exit`
/// says so then; after a signal it says nothing; otherwise it says the code.
const UNHEARD_CODE: i32 = 74;

/// Where a job's working directory is, inside.
const WORK: &str = executor::WORK_DIR_VARIABLE;

/// Generates the script of a job whose `io/` folder is found at `dir`.
pub(crate) fn generate(spec: &JobSpec, nonce: &Nonce, dir: &str) -> Script {
    let job_shell = spec.build().and_then(|build| build.shell.as_deref());
    let mut script = Script {
        text: prelude(nonce, dir),
        commands: Vec::new(),
    };
    for (index, step) in (0..).zip(spec.steps()) {
        add_step(&mut script, index, step, job_shell);
    }
    script.text.push_str("leave\n");
    script
}

fn prelude(nonce: &Nonce, dir: &str) -> String {
    let dir = quote(dir);
    format!(
        r#"# Runs a job's steps. The lines that begin with an escape are for Popsicle.
dir={dir}

# POSIX lets a shell ignore SIGINT and SIGQUIT in what it starts in the background, and only job
# control, which bash alone has without a terminal, keeps it from that. It also gives each step a
# process group of its own: what a step sends to its group (`kill 0`) is not for us.
if [ -z "$BASH_VERSION" ] && command -v bash >/dev/null 2>&1; then exec bash --posix "$0"; fi
[ -z "$BASH_VERSION" ] || set -m

# What a step can ask of us (see `tool`) is found before all else.
PATH=$dir/{FOLDER}${{PATH:+:$PATH}}
export PATH

# How it ended goes where there is room for it already: a job may fill the disk.
note() {{ printf '%s\n' "$1" 1<>"$dir/exit"; }}
printf '%15s\n' '' >"$dir/exit" || exit {UNHEARD_CODE}

# What goes on unheard would count as done.
say() {{
  printf '\033]7770;{nonce};%s\007\n' "$1" && return
  note {UNHEARD}
  exit {UNHEARD_CODE}
}}

# The engine's answers come through this FIFO; held open, so that neither side waits to open it.
exec 9<>"$dir/answer"

# Bash reads this before each step; a step can leave variables for the next ones in it.
BASH_ENV=$dir/env
: >>"$BASH_ENV"
export BASH_ENV

failed=0
stopping=
silent=
# Whether that was said before there was a child to hear it.
early=
child=
pause=
# What runs in the background: `<step>:<process>`, each.
behind=

leave() {{
  for one in $behind; do
    kill -s KILL -- "-${{one#*:}}" 2>/dev/null || kill -s KILL "${{one#*:}}" 2>/dev/null
    # It did what it is there for, to the end. If it ended by itself it has said so.
    [ -n "$stopping" ] || say "end;${{one%%:*}};0"
  done
  # Whoever stopped us knows why, and this is no end that the job came to.
  [ -z "$stopping" ] || exit 143
  note "$failed"
  exit "$failed"
}}

# As the first process of a container we would get no signal without a trap, and pass on none.
stop() {{
  stopping=1
  if [ "$$" = 1 ]; then
    kill -TERM -1 2>/dev/null
  else
    for one in $child $pause $behind; do kill -TERM "${{one#*:}}" 2>/dev/null; done
  fi
}}
trap stop TERM INT

# The engine's word that the step that runs has written nothing for too long; said again, what was a
# request is an order.
silence() {{
  if [ -z "$child" ]; then early=1; return; fi
  if [ -z "$silent" ]; then silent=TERM; else silent=KILL; fi
  kill -s "$silent" -- "-$child" 2>/dev/null || kill -s "$silent" "$child" 2>/dev/null
}}
trap silence USR1

# Whether step $1, which runs $2, has its turn.
begin() {{
  [ -z "$stopping" ] || leave
  early=
  # A step may have asked that no other runs.
  if [ -e "$dir/halt" ]; then say "skip;$1"; return 1; fi
  case $2/$failed in
    always/* | on_success/0 | on_fail/[!0]*) say "start;$1" ;;
    *) say "skip;$1"; return 1 ;;
  esac
}}

# Waits for the child; a signal interrupts a wait. $1 is what to say if it was silent for too long.
await() {{
  code=0
  if [ -n "$early" ]; then early=; silence; fi
  # Bash has something to say of each child that a signal ends.
  {{
    wait "$child" || code=$?
    while [ -n "$stopping$silent" ] && kill -0 "$child"; do
      code=0
      wait "$child" || code=$?
    done
    if [ -n "$silent" ]; then
      # It may have ended between a signal and that look; a shell that has told how says 127.
      told=0
      wait "$child" || told=$?
      [ "$told" = 127 ] || code=$told
    fi
  }} 2>/dev/null
  child=
  if [ -n "$silent" ]; then
    silent=
    printf '\n%s\n' "$1"
    [ "$code" != 0 ] || code=143
  fi
}}

# Whether a command that was run again $1 times, and may be $2 times, is to be once more; after $3 seconds.
again() {{
  [ "$code" != 0 ] && [ "$1" -lt "$2" ] && [ -z "$stopping" ] || return 1
  printf '\n%s\n' "exit code $code: running it again ($(($1 + 1)) of $2)"
  if [ "$3" != 0 ]; then
    sleep "$3" </dev/null 9<&- &
    pause=$!
    # The signal may have come before there was anything to end.
    [ -z "$stopping" ] || kill -TERM "$pause" 2>/dev/null
    wait "$pause" 2>/dev/null
    pause=
  fi
  [ -z "$stopping" ]
}}

close() {{
  say "end;$1;$2"
  if [ "$2" != 0 ] && [ "$failed" = 0 ]; then failed=$2; fi
}}

# Waits for the engine's answer to step $1: the step's number, an exit code, and what there is to say
# of it. Lines with a `-` come before. After a crash an answer may come twice: who it is for comes with it.
ask() {{
  say "ask;$1"
  code=1
  while read -r step answer line <&9; do
    [ "$step" = "$1" ] || continue
    if [ "$answer" = - ]; then printf '%s\n' "$line"; else code=$answer; break; fi
  done
  [ -z "$line" ] || printf '%s\n' "$line"
}}

# The default shell runs a step's file; without bash, what bash would read is read here.
if command -v bash >/dev/null 2>&1; then
  default() {{ exec bash -eo pipefail "$1"; }}
else
  default() {{ exec sh -e -c '. "$BASH_ENV"; . "$1"' sh "$1"; }}
fi

if [ ! -d "${WORK}" ]; then mkdir -p "${WORK}" || exit 1; fi
"#
    )
}

fn add_step(script: &mut Script, index: u32, step: &StepSpec, job_shell: Option<&str>) {
    let when = match step.when {
        StepWhen::OnSuccess => "on_success",
        StepWhen::OnFail => "on_fail",
        StepWhen::Always => "always",
    };
    let body = match &step.action {
        StepAction::Run(run) => {
            script.commands.push((index, run.command.clone()));
            if run.background {
                behind_body(index, run, job_shell)
            } else {
                run_body(index, &step.name, run, job_shell)
            }
        }
        StepAction::Checkout { path } => checkout_body(index, path.as_deref()),
        StepAction::RestoreCache { .. }
        | StepAction::SaveCache { .. }
        | StepAction::StoreArtifacts { .. }
        | StepAction::StoreTestResults { .. }
        | StepAction::PersistToWorkspace { .. }
        | StepAction::AttachWorkspace { .. } => ask_body(index),
        // A job with one of these was refused before.
        StepAction::AddSshKeys { .. } | StepAction::SetupRemoteDocker { .. } => {
            format!("  close {index} 1\n")
        }
    };
    // Writing to a string can't fail.
    let _ = write!(script.text, "\nif begin {index} {when}; then\n{body}fi\n");
}

fn run_body(index: u32, name: &str, run: &RunStep, job_shell: Option<&str>) -> String {
    let command = command(index, run, job_shell);
    let silent = quote(&format!("error: {}", silence::failure(index, name, run)));
    let once = format!("  {command} </dev/null 9<&- &\n  child=$!\n  await {silent}\n");
    format!("{}  close {index} \"$code\"\n", tries(run, &once))
}

/// Runs in the background, in a process that outlives what the command does to itself, with all that it
/// writes going to a file of its own: only how it ended is said in the stream of the others.
fn behind_body(index: u32, run: &RunStep, job_shell: Option<&str>) -> String {
    let command = command(index, run, job_shell);
    let once = format!("  code=0\n  {command} >&7 2>&1 7>&- 8>&- || code=$?\n");
    let tries = tries(run, &once);
    format!(
        r#"  (
  # Caught, and so not ignored by the command; its end is waited for.
  trap : TERM INT USR1
  behind=
  exec 7>>"$dir/out.{index}" 8>&1 >/dev/null 2>&1
{tries}  say "end;{index};$code" >&8
  ) </dev/null 9<&- &
  behind="$behind {index}:$!"
  # Bash has something to say of each child that a signal ends.
  [ -z "$BASH_VERSION" ] || disown "$!"
"#
    )
}

/// The command as a subshell that it replaces.
fn command(index: u32, run: &RunStep, job_shell: Option<&str>) -> String {
    let place = directory(run.working_directory.as_deref());
    let mut exports = String::new();
    for (name, value) in &run.environment {
        let _ = writeln!(exports, "    export {name}={}", quote(value));
    }
    let shell = match run.shell.as_deref().or(job_shell) {
        None => format!("default \"$dir/steps/{index}\""),
        Some(shell) => {
            let words: Vec<String> = shell.split_whitespace().map(quote).collect();
            // `sh -c` takes the command itself, every other shell a file.
            match shell.split_whitespace().next_back() {
                Some(last) if takes_command(last) => {
                    format!("exec {} {}", words.join(" "), quote(&run.command))
                }
                _ => format!("exec {} \"$dir/steps/{index}\"", words.join(" ")),
            }
        }
    };
    format!("(\n    trap - TERM INT USR1\n    cd {place} || exit 1\n{exports}    {shell}\n  )")
}

/// The lines that run it `once`, until it does not fail or may not be run again.
fn tries(run: &RunStep, once: &str) -> String {
    match run.max_auto_reruns {
        0 => once.to_owned(),
        reruns => {
            let delay = run.auto_rerun_delay_ms.div_ceil(1000);
            let to = if run.background { " >&7" } else { "" };
            format!(
                "  tries=0\n  while\n{once}  again \"$tries\" {reruns} {delay}{to}\n  do\n    tries=$((tries + 1))\n  done\n"
            )
        }
    }
}

/// Whether that is `-c`, alone or after other short options: `-ec`.
fn takes_command(word: &str) -> bool {
    word.strip_prefix('-').is_some_and(|options| {
        options.ends_with('c') && options.bytes().all(|byte| byte.is_ascii_alphabetic())
    })
}

fn ask_body(index: u32) -> String {
    format!("  ask {index}\n  close {index} \"$code\"\n")
}

fn checkout_body(index: u32, path: Option<&str>) -> String {
    match CheckoutPlace::of(path) {
        CheckoutPlace::Work => ask_body(index),
        CheckoutPlace::Elsewhere => {
            let place = directory(path);
            let tree = format!("\"$dir/tree.{index}\"");
            format!(
                "  ask {index}\n  if [ \"$code\" = 0 ]; then\n    mkdir -p {place} && cp -a {tree}/. {place}/ || code=1\n  fi\n  rm -rf {tree} 2>/dev/null\n  close {index} \"$code\"\n"
            )
        }
    }
}

/// Where the engine lays out the code for a checkout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CheckoutPlace {
    /// Right in the job's working directory.
    Work,
    /// In `io/tree.<index>`, from where the script copies it to the place that it alone can reach.
    Elsewhere,
}

impl CheckoutPlace {
    pub(crate) fn of(path: Option<&str>) -> Self {
        match path.map(|path| path.trim_end_matches('/')) {
            None | Some("" | ".") => Self::Work,
            Some(_) => Self::Elsewhere,
        }
    }
}

/// A directory as a word of the script: from the working directory, from `~`, or absolute.
fn directory(path: Option<&str>) -> String {
    let Some(path) = path else {
        return format!("\"${WORK}\"");
    };
    if path.starts_with('/') {
        return quote(path);
    }
    match path.strip_prefix('~') {
        Some("") => "\"$HOME\"".to_owned(),
        Some(rest) if rest.starts_with('/') => format!("\"$HOME\"{}", quote(rest)),
        Some(_) | None => format!("\"${WORK}\"/{}", quote(path)),
    }
}

/// A word of `sh` that stands for exactly this text.
fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests;
