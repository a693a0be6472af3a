//! `popsicle orb add`: an orb comes into the store.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use ::config::{Diagnostic, ErrorKind, Inputs, OrbSource, Orbs, Severity, SourceFile};
use clap::Args;
use source::orbs::{
    FetchedOrb, MAX_ORB_BYTES, OrbFinder, OrbFolders, OrbReference, OrbRegistry, OrbStore,
    read_unpacked,
};

use crate::command::config::{refuse, tell};
use crate::error::{Exit, Failure};
use crate::output::Output;
use crate::settings::{Configuring, Flags, Settings};

/// Which orb.
#[derive(Debug, Args)]
pub struct AddArgs {
    /// What configs call it: namespace/name@1.2.3, or an https address
    reference: String,
    /// A packed orb, a folder with its unpacked source, or `-` for stdin; fetched if absent
    file: Option<PathBuf>,
    /// Replace a version that is there with another text
    #[arg(long)]
    replace: bool,
    #[command(flatten)]
    pub flags: Flags<Configuring>,
}

/// Carries out the command.
pub async fn run(args: &AddArgs, settings: &Settings, out: &mut Output) -> Result<Exit, Failure> {
    let reference: OrbReference = args.reference.parse().map_err(Failure::usage)?;
    let FetchedOrb { reference, text } = match &args.file {
        None => {
            let registry = OrbRegistry::new(settings.orb_registry_url.value.clone())?;
            registry.fetch(&reference).await?
        }
        Some(file) => match read(file, out)? {
            Some(text) => FetchedOrb { reference, text },
            None => return Ok(Exit::Usage),
        },
    };
    let store = OrbStore::new(settings.orb_store.value.clone());
    let checked = check(&reference, &text);
    if checked
        .faults
        .iter()
        .any(|fault| fault.severity == Severity::Error)
    {
        return Ok(refuse(&checked.faults, out));
    }
    tell(&checked.faults, out);
    let path = store.put(&reference, &text, args.replace)?;
    out.line(format_args!("{reference} is in {}", path.display()))?;
    let folders = OrbFolders {
        first: None,
        store: Some(store.folder().to_owned()),
    };
    let finder = OrbFinder::of_folder(store.folder(), &folders).map_err(Failure::unable)?;
    for import in checked.imports {
        let found = import.parse().map(|import| finder.find(&import));
        if !matches!(found, Ok(Ok(_))) {
            out.say(format_args!(
                "it imports `{import}`, which is not in the store; `popsicle orb add {import}` fetches it"
            ));
        }
    }
    Ok(Exit::Success)
}

/// The packed orb that somebody named; none if it can't be packed, which has been told.
fn read(path: &Path, out: &mut Output) -> Result<Option<Vec<u8>>, Failure> {
    let is_stdin = path == Path::new("-");
    if !is_stdin && path.is_dir() {
        let files = read_unpacked(path)?.into_iter();
        let files: Vec<SourceFile> = files
            .map(|(path, text)| SourceFile { path, text })
            .collect();
        let packed = ::config::pack(&files);
        if packed.text.is_none() {
            refuse(&packed.diagnostics, out);
        }
        return Ok(packed.text.map(String::into_bytes));
    }
    let mut text = Vec::new();
    let limit = MAX_ORB_BYTES as u64 + 1;
    let read = if is_stdin {
        io::stdin().lock().take(limit).read_to_end(&mut text)
    } else {
        File::open(path).and_then(|file| file.take(limit).read_to_end(&mut text))
    };
    read.map_err(|error| {
        Failure::usage(format_args!("could not read `{}`: {error}", path.display()))
    })?;
    if text.len() > MAX_ORB_BYTES {
        return Err(Failure::usage(format_args!(
            "`{}` is too large for an orb: at most {} KiB are stored",
            path.display(),
            MAX_ORB_BYTES / 1024
        )));
    }
    Ok(Some(text))
}

/// What is to be said of an orb.
struct Checked {
    faults: Vec<Diagnostic>,
    imports: BTreeSet<String>,
}

/// Reads an orb as a config that imports it would.
fn check(reference: &OrbReference, text: &[u8]) -> Checked {
    let name = reference.to_string();
    let only = Only {
        name: name.clone(),
        text,
        imports: RefCell::default(),
    };
    let config = format!("version: 2.1\norbs:\n  it: {name}\njobs: {{}}\n");
    let file = SourceFile {
        path: String::new(),
        text: config.into_bytes(),
    };
    let inputs = Inputs {
        orbs: Some(&only),
        orb_bodies: true,
        ..Inputs::default()
    };
    let compiled = ::config::compile(&[file], &inputs);
    let of_orb = |fault: &Diagnostic| fault.path == name && fault.kind == ErrorKind::Config;
    let mut faults: Vec<Diagnostic> = compiled.diagnostics.into_iter().filter(of_orb).collect();
    for fault in &mut faults {
        // The config that imports it is none of the user's.
        fault.related.retain(|related| !related.path.is_empty());
    }
    Checked {
        faults,
        imports: only.imports.into_inner(),
    }
}

/// One orb, and a note of what it imports.
struct Only<'a> {
    name: String,
    text: &'a [u8],
    imports: RefCell<BTreeSet<String>>,
}

impl Orbs for Only<'_> {
    fn source(&self, reference: &str) -> Result<OrbSource, String> {
        if reference == self.name {
            return Ok(OrbSource {
                name: self.name.clone(),
                text: self.text.to_vec(),
            });
        }
        self.imports.borrow_mut().insert(reference.to_owned());
        Err("is not at hand".to_owned())
    }
}
