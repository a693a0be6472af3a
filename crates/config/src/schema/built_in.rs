//! The steps that are no commands of the user's: `checkout`, caches, workspaces, artifacts.

use model::{StepAction, StepSpec, StepWhen};

use crate::diagnostic::Diagnostic;
use crate::keys::{Meant, Place, meant};
use crate::read::{Entry, Key, Map, Node};
use crate::template;

use super::ignored as no;
use super::is_empty;
use super::reader::{Reader, UnknownKeys, is_unknown};
use super::step::{one_line, run_when};

/// Reads one; none if it is wrong, which has been told.
pub(super) fn step(key: &Key, value: &Node, reader: &mut Reader<'_>) -> Option<StepSpec> {
    let empty = Map::default();
    let map = if value.is_null() {
        &empty
    } else {
        reader.map(key, value)?
    };
    let when = match &*key.text {
        // What went wrong is what people want to look into.
        "store_artifacts" | "store_test_results" => StepWhen::Always,
        _ => StepWhen::OnSuccess,
    };
    let mut step = Step {
        key,
        map,
        place: Place::Step,
        reader,
        name: None,
        when,
    };
    let (shown, action) = match &*key.text {
        "checkout" => ("Checkout code", step.checkout()),
        "restore_cache" => ("Restoring cache", step.restore_cache()),
        "save_cache" => ("Saving cache", step.save_cache()),
        "store_artifacts" => ("Uploading artifacts", step.store_artifacts()),
        "store_test_results" => ("Uploading test results", step.store_test_results()),
        "persist_to_workspace" => ("Persisting to workspace", step.persist_to_workspace()),
        "attach_workspace" => ("Attaching workspace", step.attach_workspace()),
        "add_ssh_keys" => ("Installing additional SSH keys", step.add_ssh_keys()),
        "setup_remote_docker" => ("Setup a remote Docker engine", step.setup_remote_docker()),
        // Whatever has another name was looked up as a command.
        _ => return None,
    };
    Some(StepSpec {
        name: step.name.unwrap_or_else(|| shown.to_owned()),
        when: step.when,
        action: action?,
    })
}

/// What steps can't be without.
const NEEDED: [(Place, &str); 7] = [
    (Place::SaveCache, "key"),
    (Place::SaveCache, "paths"),
    (Place::StoreArtifacts, "path"),
    (Place::StoreTestResults, "path"),
    (Place::PersistToWorkspace, "root"),
    (Place::PersistToWorkspace, "paths"),
    (Place::AttachWorkspace, "at"),
];

struct Step<'s, 'r> {
    key: &'s Key,
    map: &'s Map,
    place: Place,
    reader: &'s mut Reader<'r>,
    name: Option<String>,
    when: StepWhen,
}

impl Step<'_, '_> {
    /// Reads `name` and `when`, which every step may have, and tells what is none of the step's keys.
    fn others(&mut self, place: Place) {
        self.place = place;
        for Entry { key, value } in self.map.iter() {
            match place.own(&key.text) {
                "name" => {
                    let name = self.reader.optional_text(key, value);
                    self.name = name.as_deref().and_then(one_line);
                }
                "when" => self.when = run_when(key, value, self.reader),
                // Told as what is missing.
                "" if self.is_mistaken(&key.text) => {}
                "" => {
                    let shown = format!("`{}`", self.key.text);
                    self.reader
                        .unknown_key(key, &shown, place, UnknownKeys::Doubted);
                }
                _ => {}
            }
        }
    }

    /// Whether a key stands in place of one that the step can't be without.
    fn is_mistaken(&self, key: &str) -> bool {
        match meant(self.place, key) {
            Some(Meant::Key(name)) => {
                NEEDED.contains(&(self.place, name)) && self.map.get(name).is_none()
            }
            Some(Meant::Help(_)) | None => false,
        }
    }

    /// The key that stands in place of one that is missing; it has been passed over by [`Step::others`].
    fn mistaken(&self, name: &'static str) -> Option<&Key> {
        let place = self.place;
        let mut keys = self.map.iter().map(|entry| &entry.key);
        keys.find(|key| {
            place.key(&key.text).is_none() && meant(place, &key.text) == Some(Meant::Key(name))
        })
    }

    /// Tells that something is missing; where it is misspelt, there.
    fn missing(&mut self, name: &'static str) -> &mut Diagnostic {
        let mistaken = self.mistaken(name).map(|key| key.region);
        let problem = self.reader.problems.error(
            mistaken.unwrap_or(self.key.region),
            format!("`{}` has no `{name}`", self.key.text),
        );
        problem.suggest(mistaken.map(|_| name))
    }

    /// A text that the step can't be without.
    fn needed(&mut self, name: &'static str) -> Option<String> {
        match self.map.get(name) {
            Some(entry) => {
                let text = self.reader.text(&entry.key, &entry.value)?;
                if text.is_empty() {
                    self.reader
                        .problems
                        .error(entry.key.region, format!("`{name}` is empty"));
                    return None;
                }
                Some(text)
            }
            None => {
                self.missing(name);
                None
            }
        }
    }

    fn optional(&mut self, name: &str) -> Option<String> {
        let entry = self.map.get(name)?;
        self.reader.optional_text(&entry.key, &entry.value)
    }

    /// A list of paths that the step can't be without.
    fn paths(&mut self) -> Option<Vec<String>> {
        let Some(Entry { key, value }) = self
            .map
            .get("paths")
            .filter(|entry| !is_empty(&entry.value))
        else {
            let is_mistaken = self.mistaken("paths").is_some();
            let problem = self.missing("paths");
            if !is_mistaken {
                problem.help("write `paths: [one, other]`");
            }
            return None;
        };
        Some(self.reader.texts(key, value))
    }

    fn checkout(&mut self) -> Option<StepAction> {
        self.others(Place::Checkout);
        if let Some(Entry { key, value }) = self.map.get("method") {
            let word = self.reader.text(key, value).unwrap_or_default();
            match word.as_str() {
                "full" => {}
                "blobless" | "shallow" => self.reader.ignore(key.region, no::CHECKOUT_METHOD),
                _ if is_unknown(&word) => {}
                _ => {
                    self.reader
                        .problems
                        .error_of(key, value, format!("`method` can't be `{word}`"))
                        .help("it is `full`, `blobless` or `shallow`");
                }
            }
        }
        if let Some(Entry { key, value }) = self.map.get("depth") {
            let method = self
                .map
                .get("method")
                .and_then(|entry| entry.value.as_text());
            self.reader.number(key, value, 1);
            if method != Some("shallow") && !method.is_some_and(is_unknown) {
                self.reader.problems.error(
                    key.region,
                    "`depth` means nothing without `method: shallow`",
                );
            }
        }
        let path = self.optional("path");
        Some(StepAction::Checkout { path })
    }

    fn restore_cache(&mut self) -> Option<StepAction> {
        self.others(Place::RestoreCache);
        let mut keys = Vec::new();
        for name in ["key", "keys"] {
            if let Some(Entry { key, value }) = self.map.get(name) {
                let texts = self.reader.texts(key, value);
                for text in &texts {
                    self.check_template(text, key, value);
                }
                keys.extend(texts);
            }
        }
        if keys.is_empty() {
            self.reader
                .problems
                .error(self.key.region, "`restore_cache` has no `keys`")
                .help("write `keys: [one, other]`");
            return None;
        }
        Some(StepAction::RestoreCache { keys })
    }

    fn save_cache(&mut self) -> Option<StepAction> {
        self.others(Place::SaveCache);
        let key = self.needed("key");
        if let (Some(text), Some(entry)) = (&key, self.map.get("key")) {
            self.check_template(text, &entry.key, &entry.value);
        }
        let paths = self.paths();
        Some(StepAction::SaveCache {
            key: key?,
            paths: paths?,
        })
    }

    fn check_template(&mut self, text: &str, key: &Key, value: &Node) {
        if is_unknown(text) {
            return;
        }
        let faults = template::parse(text).err();
        for fault in faults.into_iter().flatten() {
            let problem = self.reader.problems.error_of(
                key,
                value,
                format!("the key `{text}` is wrong: {}", fault.message),
            );
            if let Some(help) = fault.help {
                problem.help(help);
            }
        }
    }

    fn store_artifacts(&mut self) -> Option<StepAction> {
        self.others(Place::StoreArtifacts);
        let destination = self.optional("destination");
        let path = self.needed("path")?;
        Some(StepAction::StoreArtifacts { path, destination })
    }

    fn store_test_results(&mut self) -> Option<StepAction> {
        self.others(Place::StoreTestResults);
        let path = self.needed("path")?;
        Some(StepAction::StoreTestResults { path })
    }

    fn persist_to_workspace(&mut self) -> Option<StepAction> {
        self.others(Place::PersistToWorkspace);
        let root = self.needed("root");
        let paths = self.paths();
        Some(StepAction::PersistToWorkspace {
            root: root?,
            paths: paths?,
        })
    }

    fn attach_workspace(&mut self) -> Option<StepAction> {
        self.others(Place::AttachWorkspace);
        let at = self.needed("at")?;
        Some(StepAction::AttachWorkspace { at })
    }

    fn add_ssh_keys(&mut self) -> Option<StepAction> {
        self.others(Place::AddSshKeys);
        let fingerprints = match self.map.get("fingerprints") {
            Some(Entry { key, value }) => self.reader.texts(key, value),
            None => Vec::new(),
        };
        Some(StepAction::AddSshKeys { fingerprints })
    }

    fn setup_remote_docker(&mut self) -> Option<StepAction> {
        self.others(Place::SetupRemoteDocker);
        if let Some(Entry { key, value }) = self.map.get("docker_layer_caching")
            && self.reader.boolean(key, value) == Some(true)
        {
            self.reader.ignore(key.region, no::LAYER_CACHING);
        }
        let version = self.optional("version");
        Some(StepAction::SetupRemoteDocker { version })
    }
}
