//! Writes the `.git` of a job's work tree: whole, its own, and writable for whoever the job runs as.
//!
//! `git clone --local` starts four processes for this, and shares its objects by hard links. We write
//! the few files ourselves and *copy* the objects. A job may be root in its container: with a shared
//! inode, a `chown -R` would take the mirror's objects away from the server, and a hostile pull request
//! could write other code into the pack that the next job of `main` checks out. Where the file system
//! can (Btrfs, XFS, APFS), the copy shares its blocks until one of them is written to.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fmt::Write;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::{SourceError, Stop};

/// How often objects are looked for again while somebody repacks them.
const TRIES: usize = 10;
/// How far repositories may borrow objects from each other (git's own limit).
const BORROWING_DEPTH: usize = 5;

/// What the `.git` says.
#[derive(Debug, Default)]
pub(crate) struct GitDir {
    /// What `HEAD` holds: `ref: refs/heads/main`, or a commit's id.
    pub(crate) head: String,
    /// Refs with their objects' ids.
    pub(crate) refs: BTreeMap<String, String>,
    /// Configuration as git names it: `remote.origin.url`.
    pub(crate) config: Vec<(String, String)>,
}

impl GitDir {
    /// Writes it to `path`, which must not exist, and copies the objects of `objects` to it.
    pub(crate) fn write(
        &self,
        path: &Path,
        objects: &Path,
        stop: &Stop,
    ) -> Result<(), SourceError> {
        for folder in [
            "",
            "info",
            "objects",
            "objects/info",
            "objects/pack",
            "refs",
            "refs/heads",
            "refs/tags",
        ] {
            create_folder(&path.join(folder))?;
        }
        create_file(&path.join("HEAD"), &format!("{}\n", self.head))?;
        create_file(&path.join("config"), &config_text(&self.config))?;
        let mut packed = "# pack-refs with: sorted \n".to_owned();
        for (name, id) in &self.refs {
            // Writing to a string can't fail.
            let _ = writeln!(packed, "{id} {name}");
        }
        create_file(&path.join("packed-refs"), &packed)?;
        copy_objects(objects, &path.join("objects"), BORROWING_DEPTH, stop)
    }
}

/// The branches and tags of a bare repository of ours. To be read before its objects are copied, so
/// that none of them points at what came later.
pub(crate) fn branches_and_tags(git_dir: &Path) -> Result<BTreeMap<String, String>, SourceError> {
    let mut refs = BTreeMap::new();
    // Loose ones first: they win, and one that is packed meanwhile is seen in the one place or the other.
    for folder in ["refs/heads", "refs/tags"] {
        loose_refs(git_dir, folder, &mut refs)?;
    }
    let path = git_dir.join("packed-refs");
    let packed = match fs::read(&path) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Vec::new(),
        read => read.map_err(|cause| SourceError::io("read", &path, cause))?,
    };
    // A name that is not UTF-8 is passed over; few repositories have one.
    let lines = packed.split(|byte| *byte == b'\n');
    for line in lines.filter_map(|line| std::str::from_utf8(line).ok()) {
        // Others are comments, and what tags peel to.
        if let Some((id, name)) = line.split_once(' ')
            && (name.starts_with("refs/heads/") || name.starts_with("refs/tags/"))
        {
            refs.entry(name.to_owned()).or_insert_with(|| id.to_owned());
        }
    }
    Ok(refs)
}

fn loose_refs(
    git_dir: &Path,
    folder: &str,
    refs: &mut BTreeMap<String, String>,
) -> Result<(), SourceError> {
    let path = git_dir.join(folder);
    for (name, kind) in entries(&path)? {
        let Ok(name) = name.into_string() else {
            continue;
        };
        let name = format!("{folder}/{name}");
        if kind.is_dir() {
            loose_refs(git_dir, &name, refs)?;
        } else if !name.ends_with(".lock")
            && let Ok(id) = fs::read_to_string(git_dir.join(&name))
            && id.trim_end().bytes().all(|byte| byte.is_ascii_hexdigit())
        {
            refs.insert(name, id.trim_end().to_owned());
        }
    }
    Ok(())
}

/// Copies all objects, those borrowed from other repositories too.
fn copy_objects(from: &Path, to: &Path, depth: usize, stop: &Stop) -> Result<(), SourceError> {
    for _ in 0..TRIES {
        // A repack puts the new pack in place before it removes the old ones. If nothing has changed
        // while we copied, we have seen all of them.
        let files = object_files(from)?;
        if copy_files(from, to, &files, stop)? && object_files(from)? == files {
            return borrowed(from)?
                .iter()
                .filter(|_| depth > 0)
                .try_for_each(|lender| copy_objects(lender, to, depth - 1, stop));
        }
    }
    let cause = io::Error::other("it changes all the time");
    Err(SourceError::io("copy", from, cause))
}

/// False where one of them is gone.
fn copy_files(
    from: &Path,
    to: &Path,
    files: &BTreeSet<PathBuf>,
    stop: &Stop,
) -> Result<bool, SourceError> {
    for file in files {
        stop.check()?;
        let target = to.join(file);
        if target.exists() {
            continue;
        }
        let copied = fs::copy(from.join(file), &target).or_else(|cause| {
            let fan_out = target.parent().filter(|folder| !folder.exists());
            match fan_out {
                Some(folder) if cause.kind() == io::ErrorKind::NotFound => {
                    create_folder(folder).map_err(io::Error::other)?;
                    fs::copy(from.join(file), &target)
                }
                _ => Err(cause),
            }
        });
        match copied {
            Ok(_) => {}
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(cause) => return Err(SourceError::io("copy", &from.join(file), cause)),
        }
    }
    Ok(true)
}

/// The packs and single objects in a folder of objects, by their paths in it.
fn object_files(objects: &Path) -> Result<BTreeSet<PathBuf>, SourceError> {
    let mut files = BTreeSet::new();
    for (folder, kind) in entries(objects)? {
        let is_fan_out = folder.len() == 2 && kind.is_dir();
        if !is_fan_out && folder != "pack" {
            continue;
        }
        for (name, _) in entries(&objects.join(&folder))? {
            let path = Path::new(&folder).join(name);
            let extension = path.extension().and_then(|extension| extension.to_str());
            let is_wanted = match extension {
                Some("pack" | "idx" | "promisor") => true,
                Some(_) => false,
                None => is_fan_out,
            };
            let is_unfinished = ["tmp_", ".tmp-"]
                .iter()
                .any(|mark| path.to_string_lossy().contains(mark));
            if is_wanted && !is_unfinished {
                files.insert(path);
            }
        }
    }
    Ok(files)
}

/// The folders of objects that this one borrows from (gitrepository-layout, `objects/info/alternates`).
fn borrowed(objects: &Path) -> Result<Vec<PathBuf>, SourceError> {
    let path = objects.join("info/alternates");
    match fs::read_to_string(&path) {
        Ok(text) => Ok(text
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .map(|line| objects.join(line))
            .collect()),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(cause) => Err(SourceError::io("read", &path, cause)),
    }
}

/// What is in a folder; nothing where there is none.
fn entries(folder: &Path) -> Result<Vec<(OsString, fs::FileType)>, SourceError> {
    let read = || -> io::Result<Vec<_>> {
        fs::read_dir(folder)?
            .map(|entry| entry.and_then(|entry| Ok((entry.file_name(), entry.file_type()?))))
            .collect()
    };
    match read() {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        read => read.map_err(|cause| SourceError::io("read", folder, cause)),
    }
}

/// Makes a folder that everybody may write to.
pub(crate) fn create_folder(path: &Path) -> Result<(), SourceError> {
    fs::create_dir(path)
        .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(0o777)))
        .map_err(|cause| SourceError::io("create", path, cause))
}

/// Makes a file that everybody may write to.
fn create_file(path: &Path, content: &str) -> Result<(), SourceError> {
    fs::write(path, content)
        .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(0o666)))
        .map_err(|cause| SourceError::io("write", path, cause))
}

/// Syntax: git-config, "CONFIGURATION FILE".
fn config_text(config: &[(String, String)]) -> String {
    let quoted = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
    let mut text = String::new();
    for (key, value) in config {
        let (section, name) = key.rsplit_once('.').unwrap_or(("popsicle", key));
        let heading = match section.split_once('.') {
            Some((section, part)) => format!("{section} \"{}\"", quoted(part)),
            None => section.to_owned(),
        };
        let value = quoted(value).replace('\n', "\\n").replace('\t', "\\t");
        // Writing to a string can't fail.
        let _ = writeln!(text, "[{heading}]\n\t{name} = \"{value}\"");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configuration_is_quoted() {
        let config = [
            ("core.bare".to_owned(), "false".to_owned()),
            ("branch.a.\"b\\.merge".to_owned(), "x # \"y\"\n".to_owned()),
        ];
        let expected = "[core]\n\tbare = \"false\"\n\
                        [branch \"a.\\\"b\\\\\"]\n\tmerge = \"x # \\\"y\\\"\\n\"\n";
        assert_eq!(config_text(&config), expected);
    }
}
