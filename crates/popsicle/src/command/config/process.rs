//! `popsicle config process`: the config that a config stands for. Where a config has several files, each
//! becomes a YAML document of its own, under a comment that names it, or a file again.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;

use super::project::{ConfigArgs, Project, Workflows, refuse, tell};
use crate::error::{Exit, Failure};
use crate::output::{Output, plural};
use crate::settings::Settings;

/// Which config.
#[derive(Debug, Args)]
pub struct ProcessArgs {
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Write each file of it to this directory, under its own name, instead of printing all
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Carries out the command.
pub fn run(args: &ProcessArgs, settings: &Settings, out: &mut Output) -> Result<Exit, Failure> {
    let project = Project::open(&args.config.path, &args.config.context, settings)?;
    // What is wrong with the expanded config is told by compiling it.
    let (compiled, _) = project.compile(Workflows::Triggered);
    if compiled.plan.is_none() {
        return Ok(refuse(&compiled.diagnostics, out));
    }
    tell(&compiled.diagnostics, out);
    let is_one = project.files.len() == 1;
    let mut text = String::new();
    let mut written = 0;
    for (file, processed) in project.process() {
        let Some(expanded) = processed.text else {
            return Ok(refuse(&processed.diagnostics, out));
        };
        if let Some(dir) = &args.out {
            write(dir, &file.path, &expanded)?;
            written += 1;
            continue;
        }
        if !is_one {
            text.push_str(&format!("---\n# {}\n", file.path));
        }
        text.push_str(&expanded);
    }
    if let Some(dir) = &args.out {
        out.say(format_args!(
            "{} in {}",
            plural(written, "file"),
            dir.display()
        ));
        return Ok(Exit::Success);
    }
    out.bytes(text.as_bytes())?;
    if !is_one {
        out.say("these are several files; `--out DIR` writes each to one that can be read back");
    }
    Ok(Exit::Success)
}

/// Writes a file to a directory, which is made if it is not there.
fn write(dir: &Path, path: &str, text: &str) -> Result<(), Failure> {
    let name = Path::new(path).file_name().unwrap_or(path.as_ref());
    let file = dir.join(name);
    let failed = |error| {
        Failure::unable(format_args!(
            "could not write `{}`: {error}",
            file.display()
        ))
    };
    fs::create_dir_all(dir).map_err(failed)?;
    fs::write(&file, text).map_err(failed)
}
