//! `popsicle init`: a first config for a project, made from what lies in it.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use ::config::{CIRCLECI_FILES, POPSICLE_DIR, detect};
use clap::Args;

use crate::error::{Exit, Failure};
use crate::output::Output;

/// How deep and how far to look for what the project is made of.
const DEPTH: usize = 3;
const FILES: usize = 20_000;

/// Folders that say nothing about the project: other people's code and built things.
const PASSED_OVER: [&str; 8] = [
    ".git",
    ".venv",
    "build",
    "dist",
    "node_modules",
    "target",
    "vendor",
    "venv",
];

/// For which project.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// The project's directory
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// Write over a config that is there, or beside one that would be used otherwise
    #[arg(long)]
    force: bool,
}

/// Carries out the command.
pub fn run(args: &InitArgs, out: &mut Output) -> Result<Exit, Failure> {
    let failed = |what: &str, path: &Path, error: &io::Error| {
        Failure::usage(format_args!(
            "could not {what} `{}`: {error}",
            path.display()
        ))
    };
    let paths = paths(&args.dir).map_err(|error| failed("read", &args.dir, &error))?;
    let folder = args.dir.join(POPSICLE_DIR);
    let file = folder.join("ci.yml");
    if !args.force {
        refuse_if_there(&paths, &file)?;
    }
    let names: Vec<&str> = paths.iter().map(String::as_str).collect();
    let starter = detect::starter(&names);
    fs::create_dir_all(&folder).map_err(|error| failed("make", &folder, &error))?;
    write(&file, &starter.yaml, args.force).map_err(|error| failed("write", &file, &error))?;

    if starter.kind == detect::ProjectKind::Other {
        out.say("nothing in this project tells how it is built or tested: put its commands into the config");
    } else {
        out.say(format_args!("detected {}", starter.kind));
    }
    out.line(format_args!("wrote {}", file.display()))?;
    let dir = args.dir.display();
    if args.dir == Path::new(".") {
        out.say("next: run it here with `popsicle run`");
    } else {
        out.say(format_args!("next: run it here with `popsicle run {dir}`"));
    }
    Ok(Exit::Success)
}

fn refuse_if_there(paths: &[String], file: &Path) -> Result<(), Failure> {
    let found = ::config::select(paths.iter().map(String::as_str));
    let Some(first) = found.first() else {
        return Ok(());
    };
    let failure = Failure::usage(format_args!("the project already has the config `{first}`"));
    Err(if CIRCLECI_FILES.contains(first) {
        failure.hint(format_args!(
            "Popsicle uses it as it is; with --force, {} is written and used instead",
            file.display()
        ))
    } else if file.exists() {
        failure.hint("--force writes over it")
    } else {
        failure.hint(format_args!("--force adds {} to it", file.display()))
    })
}

/// Writes the file so that it is there whole or not at all.
fn write(path: &Path, text: &str, force: bool) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut draft = tempfile::Builder::new()
        .permissions(fs::Permissions::from_mode(0o644))
        .tempfile_in(folder)?;
    draft.write_all(text.as_bytes())?;
    if force {
        draft.persist(path)
    } else {
        draft.persist_noclobber(path)
    }
    .map(drop)
    .map_err(|error| error.error)
}

/// The project's files, from its root, with `/`; the nearest ones where there are very many.
fn paths(root: &Path) -> io::Result<Vec<String>> {
    let mut found = Vec::new();
    let mut level = vec![(root.to_owned(), String::new())];
    for _ in 0..DEPTH {
        let mut next = Vec::new();
        for (dir, prefix) in level {
            let entries = match fs::read_dir(&dir) {
                Ok(entries) => entries,
                // The root has to be there; a folder that we may not see says nothing.
                Err(error) if prefix.is_empty() => return Err(error),
                Err(_) => continue,
            };
            for entry in entries.flatten() {
                let Ok(name) = entry.file_name().into_string() else {
                    continue;
                };
                let path = format!("{prefix}{name}");
                match entry.file_type() {
                    Ok(kind) if kind.is_dir() => {
                        if !PASSED_OVER.contains(&name.as_str()) {
                            next.push((entry.path(), format!("{path}/")));
                        }
                    }
                    Ok(_) if found.len() < FILES => found.push(path),
                    Ok(_) | Err(_) => {}
                }
            }
        }
        level = next;
    }
    found.sort_unstable();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_found_from_the_root_without_what_is_not_the_projects() {
        let root = tempfile::tempdir().unwrap();
        for path in [
            "a/b/c/too-deep",
            "a/b/deep",
            "node_modules/x",
            ".git/config",
            "z",
            ".ci/run",
        ] {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        assert_eq!(paths(root.path()).unwrap(), [".ci/run", "a/b/deep", "z"]);
        assert!(paths(&root.path().join("none")).is_err());
    }

    #[test]
    fn nothing_is_written_over_unless_asked() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("ci.yml");
        write(&path, "a", false).unwrap();
        assert!(write(&path, "b", false).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "a");
        write(&path, "b", true).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "b");
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
    }
}
