//! `popsicle orb`: the orbs that configs import, on disk.

mod add;
mod list;
mod vendor;

use std::collections::BTreeMap;

use clap::Subcommand;
use engine::ImportedOrbs;
use source::orbs::{FetchError, FindError, FoundOrb, StoreOrbError, UnpackedError};

use crate::error::{Exit, Failure};
use crate::output::Output;
use crate::settings::{Given, Settings};

/// What to do.
#[derive(Debug, Subcommand)]
pub enum OrbCommand {
    /// Put an orb into the store: from a file, an unpacked source, or the registry
    Add(add::AddArgs),
    /// List the orbs at hand, and what the config here needs and lacks
    List(list::ListArgs),
    /// Copy the orbs that the config imports into the project, and pin them
    Vendor(vendor::VendorArgs),
}

impl OrbCommand {
    /// What was said with flags.
    pub fn given(&self) -> Given {
        let flags = match self {
            Self::Add(args) => &args.flags,
            Self::List(args) => &args.config.flags,
            Self::Vendor(args) => &args.config.flags,
        };
        flags.given.clone()
    }
}

/// Carries out the command.
pub async fn run(
    command: &OrbCommand,
    settings: &Settings,
    out: &mut Output,
) -> Result<Exit, Failure> {
    match command {
        OrbCommand::Add(args) => add::run(args, settings, out).await,
        OrbCommand::List(args) => list::run(args, settings, out),
        OrbCommand::Vendor(args) => vendor::run(args, settings, out),
    }
}

/// What a config imports, and what that imports: by reference.
type Imports = BTreeMap<String, Result<FoundOrb, FindError>>;

/// Refuses to go on without an orb.
fn all_found(orbs: ImportedOrbs) -> Result<BTreeMap<String, FoundOrb>, Failure> {
    let imports: Imports = orbs.into_asked();
    let mut found = BTreeMap::new();
    let mut missing = Vec::new();
    for (reference, result) in imports {
        match result {
            Ok(orb) => {
                found.insert(reference, orb);
            }
            Err(why) => missing.push((reference, why)),
        }
    }
    match missing.as_slice() {
        [] => Ok(found),
        [(reference, why)] => {
            let failure = Failure::usage(format_args!("the orb `{reference}` {why}"));
            let remedy = reference.parse().ok().and_then(|orb| why.remedy(&orb));
            Err(match remedy {
                Some(remedy) => failure.hint(remedy),
                None => failure,
            })
        }
        [..] => {
            let told = missing
                .iter()
                .map(|(reference, why)| format!("\n  `{reference}` {why}"));
            let told: String = told.collect();
            Err(
                Failure::usage(format_args!("{} orbs can't be used:{told}", missing.len()))
                    .hint("`popsicle orb add REFERENCE` fetches one that is missing"),
            )
        }
    }
}

impl From<FetchError> for Failure {
    fn from(error: FetchError) -> Self {
        match error {
            FetchError::Setup(_) => Self::unable(&error),
            FetchError::Unreachable { .. } => Self::unable(&error).hint(
                "without a network, `popsicle orb add REFERENCE FILE` takes the orb from a file",
            ),
            FetchError::Refused { .. } => Self::usage(&error),
        }
    }
}

impl From<StoreOrbError> for Failure {
    fn from(error: StoreOrbError) -> Self {
        match error {
            StoreOrbError::TooLarge { .. }
            | StoreOrbError::NotExact { .. }
            | StoreOrbError::Link(_) => Self::usage(&error),
            StoreOrbError::Differs { .. } => Self::usage(&error).hint("`--replace` replaces it"),
            StoreOrbError::Source(error) => Self::unable(error),
        }
    }
}

impl From<UnpackedError> for Failure {
    fn from(error: UnpackedError) -> Self {
        match error {
            UnpackedError::NoOrb(_) | UnpackedError::TooLarge(_) => Self::usage(error),
            UnpackedError::Source(error) => Self::unable(error),
        }
    }
}
