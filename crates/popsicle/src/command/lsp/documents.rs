//! The documents that are open in the editor, and the configs that they are part of.
//!
//! The files of a `.popsicle` folder are one config. What is open of them goes before what is on disk, and
//! the others are read at each look, so that nothing has to be told of them. Any other document is a config
//! of its own.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use config::{MAX_FILE_BYTES, MAX_FILES, POPSICLE_DIR, select};
use gen_lsp_types::{TextDocumentItem, Uri};
use url::Url;

/// How many documents are kept open; more are not answered for.
const MAX_DOCUMENTS: usize = 1_000;

/// How many entries of a folder are looked at.
const MAX_ENTRIES: usize = 10_000;

/// A document that is open in the editor.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) text: String,
    /// The editor's own number for this text.
    pub(super) version: i32,
    /// Where it is on disk; none if it is not, or on another machine.
    path: Option<PathBuf>,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Documents(HashMap<Uri, Document>);

/// A config, as it is in the editor and on disk.
#[derive(Debug)]
pub(super) struct Config {
    pub(super) files: Vec<ConfigFile>,
    /// The folder of the project, if it is on disk.
    pub(super) root: Option<PathBuf>,
}

/// A file of a config.
#[derive(Debug)]
pub(super) struct ConfigFile {
    pub(super) uri: Uri,
    /// As people see it: `.popsicle/ci.yml`.
    pub(super) path: String,
    pub(super) text: Vec<u8>,
    /// Of what is open in the editor, its version.
    pub(super) version: Option<i32>,
}

impl Documents {
    /// Whether there is room for it.
    pub(super) fn open(&mut self, item: TextDocumentItem) -> bool {
        if self.0.len() >= MAX_DOCUMENTS && !self.0.contains_key(&item.uri) {
            return false;
        }
        let document = Document {
            path: path_of(&item.uri),
            text: item.text,
            version: item.version,
        };
        self.0.insert(item.uri, document);
        true
    }

    pub(super) fn get(&self, uri: &Uri) -> Option<&Document> {
        self.0.get(uri)
    }

    pub(super) fn get_mut(&mut self, uri: &Uri) -> Option<&mut Document> {
        self.0.get_mut(uri)
    }

    /// Forgets one; the others of its config.
    pub(super) fn close(&mut self, uri: &Uri) -> Option<Vec<Uri>> {
        let closed = self.0.remove(uri)?;
        let folder = closed.path.as_deref().and_then(popsicle_folder);
        let is_sibling = |document: &Document| {
            let of = document.path.as_deref().and_then(popsicle_folder);
            folder.is_some() && of == folder
        };
        let others = self.0.iter().filter(|(_, other)| is_sibling(other));
        Some(others.map(|(uri, _)| uri.clone()).collect())
    }

    pub(super) fn uris(&self) -> impl Iterator<Item = &Uri> {
        self.0.keys()
    }

    /// The config that an open document is part of.
    pub(super) fn config_of(&self, uri: &Uri) -> Option<Config> {
        let document = self.0.get(uri)?;
        let folder = document.path.as_deref().and_then(popsicle_folder);
        if let Some(folder) = folder {
            return Some(Config {
                files: self.files_in(folder),
                root: self.root_of(uri),
            });
        }
        let shown = document.path.as_deref().map(shown);
        let file = ConfigFile {
            uri: uri.clone(),
            path: shown.unwrap_or_else(|| uri.0.clone()),
            text: document.text.clone().into_bytes(),
            version: Some(document.version),
        };
        Some(Config {
            files: vec![file],
            root: self.root_of(uri),
        })
    }

    /// The folder of the project that an open document is part of.
    pub(super) fn root_of(&self, uri: &Uri) -> Option<PathBuf> {
        let path = self.0.get(uri)?.path.as_deref()?;
        let folder = path.parent()?;
        let is_config = !select([shown(path).as_str()]).is_empty();
        let above = folder.parent().filter(|_| is_config);
        Some(above.unwrap_or(folder).to_owned())
    }

    /// The config in a `.popsicle` folder.
    fn files_in(&self, folder: &Path) -> Vec<ConfigFile> {
        let open = self.0.iter().filter_map(|(uri, document)| {
            let path = document.path.as_deref()?;
            (path.parent() == Some(folder)).then_some((shown(path), (uri, document)))
        });
        let open: HashMap<String, (&Uri, &Document)> = open.collect();
        let entries = fs::read_dir(folder).into_iter().flatten();
        let names = entries.take(MAX_ENTRIES).filter_map(Result::ok);
        let mut paths: Vec<String> = names
            .map(|entry| format!("{POPSICLE_DIR}/{}", entry.file_name().to_string_lossy()))
            .collect();
        paths.extend(open.keys().cloned());
        let files = select(paths.iter().map(String::as_str)).into_iter();
        files
            // One too many is told of.
            .take(MAX_FILES + 1)
            .filter_map(|path| match open.get(path) {
                Some((uri, document)) => Some(ConfigFile {
                    uri: (*uri).clone(),
                    path: path.to_owned(),
                    text: document.text.clone().into_bytes(),
                    version: Some(document.version),
                }),
                None => {
                    let on_disk = folder.join(path.strip_prefix(POPSICLE_DIR)?.get(1..)?);
                    Some(ConfigFile {
                        uri: Uri(Url::from_file_path(&on_disk).ok()?.into()),
                        path: path.to_owned(),
                        // What can't be read is told by who opens it.
                        text: read(&on_disk).ok()?,
                        version: None,
                    })
                }
            })
            .collect()
    }
}

fn path_of(uri: &Uri) -> Option<PathBuf> {
    let url = Url::parse(&uri.0).ok()?;
    let is_file = url.scheme() == "file";
    url.to_file_path().ok().filter(|_| is_file)
}

/// The folder whose files are one config, if a file is one of them.
fn popsicle_folder(path: &Path) -> Option<&Path> {
    let is_one = !select([shown(path).as_str()]).is_empty();
    let folder = path.parent()?;
    (is_one && folder.file_name()? == POPSICLE_DIR).then_some(folder)
}

/// A path's last two parts: `.circleci/config.yml`.
fn shown(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let folder = path.parent().and_then(Path::file_name);
    match folder {
        Some(folder) => format!("{}/{name}", folder.to_string_lossy()),
        None => name.into_owned(),
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    // A pipe would be waited for.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    let mut text = Vec::new();
    File::open(path)?
        .take(MAX_FILE_BYTES as u64 + 1)
        .read_to_end(&mut text)?;
    Ok(text)
}
