//! `popsicle orb vendor`: a project brings along what its config imports, so that it builds without a store.

use clap::Args;
use source::orbs::{LOCK_FILE, OrbLock, OrbReference, OrbStore, Pin, VENDORED_DIR, write_lock};

use super::all_found;
use crate::command::config::{ConfigArgs, Project, Workflows, refuse};
use crate::error::{Exit, Failure};
use crate::output::{Output, plural};
use crate::settings::Settings;

/// Of which project.
#[derive(Debug, Args)]
pub struct VendorArgs {
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Pin anew: take the newest versions at hand, whatever was pinned
    #[arg(long)]
    relock: bool,
}

/// Carries out the command.
pub fn run(args: &VendorArgs, settings: &Settings, out: &mut Output) -> Result<Exit, Failure> {
    let open = if args.relock {
        Project::relocking
    } else {
        Project::pinning
    };
    let project = open(&args.config.path, &args.config.context, settings)?;
    let (compiled, orbs) = project.compile(Workflows::Triggered);
    let found = all_found(orbs)?;
    // An error may hide what is imported.
    if compiled.plan.is_none() {
        return Ok(refuse(&compiled.diagnostics, out));
    }
    let store = OrbStore::of_project(&project.root);
    let mut lock = OrbLock::default();
    for (asked, orb) in &found {
        let asked: OrbReference = asked.parse().map_err(Failure::usage)?;
        store.put(&orb.reference, &orb.text, true)?;
        out.line(format_args!("{asked} is {}", orb.reference))?;
        let pin = Pin {
            version: orb.reference.version().cloned(),
            sha256: orb.sha256.clone(),
        };
        lock.insert(asked, pin);
    }
    write_lock(&project.root, &lock)?;
    // After the lock: what it pinned until now is needed as long as it does.
    let kept: Vec<&OrbReference> = found.values().map(|orb| &orb.reference).collect();
    for removed in store.keep_only(&kept)? {
        out.say(format_args!("removed {removed}, which nothing imports"));
    }
    out.say(format_args!(
        "{} in {VENDORED_DIR}, pinned in {LOCK_FILE}; commit both",
        plural(found.len(), "orb")
    ));
    Ok(Exit::Success)
}
