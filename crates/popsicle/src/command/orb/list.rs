//! `popsicle orb list`: which orbs are at hand, and what the config here needs and lacks.

use ::config::{Diagnostic, ErrorKind};
use clap::Args;
use serde::Serialize;
use source::orbs::{OrbStore, VENDORED_DIR};

use super::Imports;
use crate::command::config::{ConfigArgs, Project, Workflows, refuse, selected};
use crate::error::{Exit, Failure};
use crate::output::{Output, clean};
use crate::settings::Settings;

/// Of which project.
#[derive(Debug, Args)]
pub struct ListArgs {
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What is told to programs.
#[derive(Debug, Serialize)]
struct Report {
    store: String,
    orbs: Vec<Stored>,
    needed: Vec<Needed>,
    missing: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Stored {
    reference: String,
    place: &'static str,
    path: String,
}

#[derive(Debug, Serialize)]
struct Needed {
    reference: String,
    found: Option<String>,
    sha256: Option<String>,
    why: Option<String>,
}

/// Carries out the command.
pub fn run(args: &ListArgs, settings: &Settings, out: &mut Output) -> Result<Exit, Failure> {
    let ConfigArgs { path, context, .. } = &args.config;
    let folders = context.folders(settings)?;
    // Where there is no config, there is still a store to look at.
    let project = if args.config.is_given() || !selected(path)?.is_empty() {
        Some(Project::open(path, context, settings)?)
    } else {
        None
    };
    let mut orbs = Vec::new();
    let vendored = project
        .as_ref()
        .map(|project| project.root.join(VENDORED_DIR));
    let places = [
        ("--orbs", folders.first),
        ("project", vendored),
        ("store", folders.store),
    ];
    for (place, folder) in places {
        let Some(folder) = folder else { continue };
        let found = OrbStore::new(folder).list().map_err(Failure::unable)?;
        orbs.extend(found.into_iter().map(|orb| Stored {
            reference: orb.reference.to_string(),
            place,
            path: orb.path.display().to_string(),
        }));
    }
    let mut faults = Vec::new();
    let imports: Imports = match &project {
        Some(project) => {
            let (compiled, orbs) = project.compile(Workflows::Checked);
            // What orbs lack is told below.
            let is_own = |fault: &Diagnostic| fault.kind == ErrorKind::Config;
            faults.extend(compiled.errors().filter(|fault| is_own(fault)).cloned());
            orbs.into_asked()
        }
        None => Imports::new(),
    };
    let needed = imports.into_iter().map(|(reference, found)| match found {
        Ok(orb) => Needed {
            reference,
            found: Some(orb.reference.to_string()),
            sha256: Some(orb.sha256),
            why: None,
        },
        Err(why) => Needed {
            reference,
            found: None,
            sha256: None,
            why: Some(why.to_string()),
        },
    });
    let needed: Vec<Needed> = needed.collect();
    let missing = needed.iter().filter(|orb| orb.found.is_none());
    let report = Report {
        store: settings.orb_store.display().to_string(),
        missing: missing.map(|orb| orb.reference.clone()).collect(),
        orbs,
        needed,
    };
    if args.json {
        out.json(&report)?;
    } else {
        tell(&report, out)?;
    }
    if faults.is_empty() {
        return Ok(Exit::Success);
    }
    out.say("the config is wrong, and may import more than that:\n");
    Ok(refuse(&faults, out))
}

fn tell(report: &Report, out: &mut Output) -> Result<(), Failure> {
    let width = report.orbs.iter().map(|orb| orb.reference.len()).max();
    let width = width.unwrap_or_default();
    for orb in &report.orbs {
        out.line(format_args!("{:width$}  {}", orb.reference, orb.place))?;
    }
    if report.orbs.is_empty() {
        out.say(format_args!(
            "no orbs are at hand; the store is {}",
            report.store
        ));
    }
    for orb in &report.needed {
        let line = match (&orb.found, &orb.why) {
            (Some(found), _) if found == &orb.reference => format!("needed: {found}"),
            (Some(found), _) => format!("needed: {}, which is {found}", orb.reference),
            (None, why) => format!(
                "needed: {}, which {}",
                orb.reference,
                why.as_deref().unwrap_or("is not at hand")
            ),
        };
        out.line(clean(&line))?;
    }
    if !report.missing.is_empty() {
        out.say("`popsicle orb add REFERENCE` fetches what is missing");
    }
    Ok(())
}
