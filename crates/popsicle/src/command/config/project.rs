//! The config that a command is about: its files, the orbs at hand, and what it is to be read for.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use ::config::{
    Compiled, Diagnostic, Inputs, POPSICLE_DIR, Processed, Severity, SourceFile, TriggerValues,
};
use clap::Args;
use engine::ImportedOrbs;
use model::{GitRef, ParameterValue, PipelineId};
use owo_colors::OwoColorize;
use source::orbs::{OrbFinder, OrbFolders, ProjectError};

use crate::cli::parameter;
use crate::command::run::local_trigger;
use crate::error::{Exit, Failure};
use crate::output::Output;
use crate::settings::{Configuring, Flags, Settings};
use crate::wiring;

/// The most of a file that is read; the compiler refuses long before.
const READ_LIMIT: u64 = 32 << 20;

/// Which config, and what for.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// A config file, or a project's directory
    #[arg(default_value = ".")]
    pub path: PathBuf,
    #[command(flatten)]
    pub context: ContextArgs,
    #[command(flatten)]
    pub flags: Flags<Configuring>,
}

/// What a config is read for.
#[derive(Clone, Debug, Default, Args)]
pub struct ContextArgs {
    /// Read it as for a push of this branch
    #[arg(long, value_name = "NAME", conflicts_with = "tag")]
    pub branch: Option<String>,
    /// Read it as for a push of this tag
    #[arg(long, value_name = "NAME")]
    pub tag: Option<String>,
    /// Set a pipeline parameter; may be given several times
    #[arg(long = "param", short, value_name = "NAME=VALUE", value_parser = parameter)]
    pub parameters: Vec<(String, ParameterValue)>,
    /// Folder of orbs (namespace/name@1.2.3.yml) that is looked in before all others
    #[arg(long, value_name = "DIR")]
    pub orbs: Option<PathBuf>,
}

impl ConfigArgs {
    /// Whether somebody named a config.
    pub fn is_given(&self) -> bool {
        self.path != Path::new(".")
    }
}

impl ContextArgs {
    /// The branch or tag that was named.
    pub fn git_ref(&self) -> Result<Option<GitRef>, Failure> {
        let named = match (&self.branch, &self.tag) {
            (Some(branch), _) => GitRef::Branch(branch.clone()),
            (None, Some(tag)) => GitRef::Tag(tag.clone()),
            (None, None) => return Ok(None),
        };
        match named.full().parse::<GitRef>() {
            Ok(named) => Ok(Some(named)),
            Err(_) => Err(Failure::usage(format_args!(
                "`{}` can't be the name of a branch or tag",
                named.short()
            ))),
        }
    }

    /// Where orbs are looked for, besides what the project brings along.
    pub fn folders(&self, settings: &Settings) -> Result<OrbFolders, Failure> {
        if let Some(folder) = &self.orbs
            && !folder.is_dir()
        {
            return Err(Failure::usage(format_args!(
                "the folder of orbs `{}` is not there",
                folder.display()
            )));
        }
        Ok(wiring::orb_folders(settings, self.orbs.clone()))
    }
}

/// Which workflows of a config are compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workflows {
    /// Those that what was named starts.
    Triggered,
    /// The same, to tell what is wrong with them: where nothing was said of what the config is for, no
    /// condition keeps a workflow from being looked at.
    Checked,
    /// All, as for no trigger in particular: no filter and no condition of a workflow keeps anything out.
    All,
}

/// A config that was found.
pub struct Project {
    /// The folder of the project.
    pub root: PathBuf,
    /// Its config.
    pub files: Vec<SourceFile>,
    finder: OrbFinder,
    trigger: Option<TriggerValues>,
    parameters: BTreeMap<String, ParameterValue>,
}

impl Project {
    /// Reads the config at `path`: the file itself, or what a pipeline of that directory would use.
    pub fn open(path: &Path, context: &ContextArgs, settings: &Settings) -> Result<Self, Failure> {
        Self::with(path, context, settings, OrbFinder::of_folder)
    }

    /// The same for pinning those of its orbs that are not pinned yet.
    pub fn pinning(
        path: &Path,
        context: &ContextArgs,
        settings: &Settings,
    ) -> Result<Self, Failure> {
        Self::with(path, context, settings, |project, folders| {
            OrbFinder::of_folder(project, folders).map(OrbFinder::adding_pins)
        })
    }

    /// The same for pinning its orbs anew, whatever is pinned.
    pub fn relocking(
        path: &Path,
        context: &ContextArgs,
        settings: &Settings,
    ) -> Result<Self, Failure> {
        Self::with(path, context, settings, OrbFinder::relocking)
    }

    fn with(
        path: &Path,
        context: &ContextArgs,
        settings: &Settings,
        finder: fn(&Path, &OrbFolders) -> Result<OrbFinder, ProjectError>,
    ) -> Result<Self, Failure> {
        let files = files(path)?;
        let root = root(path);
        let folders = context.folders(settings)?;
        let finder = finder(&root, &folders).map_err(unusable)?;
        let trigger = match context.git_ref()? {
            Some(git_ref) => {
                let root = root.canonicalize().unwrap_or_else(|_| root.clone());
                let mut trigger = local_trigger(&root, &context.parameters)?;
                trigger.git_ref = Some(git_ref);
                Some(engine::trigger_values(PipelineId(1), &trigger, None))
            }
            None => None,
        };
        Ok(Self {
            root,
            files,
            finder,
            trigger,
            parameters: context.parameters.iter().cloned().collect(),
        })
    }

    /// Compiles it. The orbs tell what was asked of them.
    pub fn compile(&self, workflows: Workflows) -> (Compiled, ImportedOrbs) {
        let is_for_nothing = self.trigger.is_none() && self.parameters.is_empty();
        let orbs = self.orbs();
        let inputs = Inputs {
            trigger: match workflows {
                Workflows::Triggered | Workflows::Checked => self.trigger.as_ref(),
                Workflows::All => None,
            },
            all_workflows: match workflows {
                Workflows::Triggered => false,
                Workflows::Checked => is_for_nothing,
                Workflows::All => true,
            },
            ..self.inputs(&orbs)
        };
        let compiled = ::config::compile(&self.files, &inputs);
        (compiled, orbs)
    }

    /// Expands each file of it.
    pub fn process(&self) -> Vec<(&SourceFile, Processed)> {
        let orbs = self.orbs();
        let inputs = self.inputs(&orbs);
        let files = self.files.iter();
        files
            .map(|file| (file, ::config::process(file, &inputs)))
            .collect()
    }

    fn orbs(&self) -> ImportedOrbs {
        ImportedOrbs::new(self.finder.clone())
    }

    fn inputs<'a>(&'a self, orbs: &'a ImportedOrbs) -> Inputs<'a> {
        Inputs {
            trigger: self.trigger.as_ref(),
            parameters: Some(&self.parameters),
            orbs: Some(orbs),
            ..Inputs::default()
        }
    }
}

/// A failure of a project's orbs, for people.
fn unusable(error: ProjectError) -> Failure {
    match error {
        ProjectError::Lock(_) | ProjectError::LockTooLarge => Failure::usage(error),
        ProjectError::Source(error) => Failure::unable(error),
    }
}

/// The project that a config file is of.
fn root(path: &Path) -> PathBuf {
    if path.is_dir() {
        return path.to_owned();
    }
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        Some(_) | None => return PathBuf::from("."),
    };
    let is_config_dir = [POPSICLE_DIR, ".circleci"]
        .iter()
        .any(|name| folder.file_name().is_some_and(|found| found == *name));
    match folder.parent() {
        Some(above) if is_config_dir && above.as_os_str().is_empty() => PathBuf::from("."),
        Some(above) if is_config_dir => above.to_owned(),
        Some(_) | None => folder.to_owned(),
    }
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::usage(format_args!("could not read `{}`: {error}", path.display()))
}

/// The files of the config at `path`.
fn files(path: &Path) -> Result<Vec<SourceFile>, Failure> {
    let metadata = fs::metadata(path).map_err(|error| unreadable(path, &error))?;
    if !metadata.is_dir() {
        let text = read(path).map_err(|error| unreadable(path, &error))?;
        return Ok(vec![SourceFile {
            path: path.display().to_string(),
            text,
        }]);
    }
    let selected = selected(path)?;
    if selected.is_empty() {
        return Err(Failure::usage(format_args!(
            "there is no config in `{}`: neither .popsicle/*.yml nor .circleci/config.yml",
            path.display()
        ))
        .hint("`popsicle init` writes a first one"));
    }
    selected
        .into_iter()
        .map(|name| {
            let file = path.join(&name);
            let text = read(&file).map_err(|error| unreadable(&file, &error))?;
            Ok(SourceFile { path: name, text })
        })
        .collect()
}

/// The names of the files that a pipeline of a directory would use; none where it has no config.
pub fn selected(dir: &Path) -> Result<Vec<String>, Failure> {
    let mut found = Vec::new();
    for name in [POPSICLE_DIR, ".circleci"] {
        let path = dir.join(name);
        let entries = match fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(unreadable(&path, &error)),
        };
        for entry in entries {
            let entry = entry.map_err(|error| unreadable(&path, &error))?;
            found.push(format!("{name}/{}", entry.file_name().to_string_lossy()));
        }
    }
    let selected = ::config::select(found.iter().map(String::as_str));
    Ok(selected.into_iter().map(str::to_owned).collect())
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    fs::File::open(path)?
        .take(READ_LIMIT)
        .read_to_end(&mut text)?;
    Ok(text)
}

/// Says all that is wrong or doubtful.
pub fn tell(diagnostics: &[Diagnostic], out: &mut Output) {
    for diagnostic in diagnostics {
        out.say(painted(diagnostic));
        out.say("");
    }
}

/// Says what keeps a config from running; the exit code that it means.
pub fn refuse(diagnostics: &[Diagnostic], out: &mut Output) -> Exit {
    let errors = diagnostics
        .iter()
        .filter(|diagnostic| diagnostic.severity == Severity::Error);
    tell(&errors.cloned().collect::<Vec<_>>(), out);
    Exit::Usage
}

/// The diagnostic with its first word in colour.
fn painted(diagnostic: &Diagnostic) -> String {
    let text = diagnostic.to_string();
    let word = diagnostic.severity.as_str();
    let rest = text.strip_prefix(word).unwrap_or(&text);
    match diagnostic.severity {
        Severity::Error => format!("{}{rest}", word.red().bold()),
        Severity::Warning => format!("{}{rest}", word.yellow().bold()),
    }
}
