//! `popsicle config process`: the config that a config stands for. Where a config has several files, each
//! becomes a YAML document of its own, under a comment that names it.

use clap::Args;

use super::project::{ConfigArgs, Project, refuse, tell};
use crate::error::{Exit, Failure};
use crate::output::Output;
use crate::settings::Settings;

/// Which config.
#[derive(Debug, Args)]
pub struct ProcessArgs {
    #[command(flatten)]
    pub config: ConfigArgs,
}

/// Carries out the command.
pub fn run(args: &ProcessArgs, settings: &Settings, out: &mut Output) -> Result<Exit, Failure> {
    let project = Project::open(&args.config.path, &args.config.context, settings)?;
    // What is wrong with the expanded config is told by compiling it.
    let (compiled, _) = project.compile();
    if compiled.plan.is_none() {
        return Ok(refuse(&compiled.diagnostics, out));
    }
    tell(&compiled.diagnostics, out);
    let is_one = project.files.len() == 1;
    let mut text = String::new();
    for (file, processed) in project.process() {
        let Some(expanded) = processed.text else {
            return Ok(refuse(&processed.diagnostics, out));
        };
        if !is_one {
            text.push_str(&format!("---\n# {}\n", file.path));
        }
        text.push_str(&expanded);
    }
    out.bytes(text.as_bytes())?;
    Ok(Exit::Success)
}
