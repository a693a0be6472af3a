//! Configs of others, as many as there are, held against the language.
//!
//! `POPSICLE_CORPUS=<folder> cargo test -p config conformance -- --nocapture` takes the configs in its
//! `configs/` (or, without such a folder, in itself), hands them the orbs in its `orbs/`, which lie there as
//! `<namespace>/<name>@<version>.yml`, and prints what came of each.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use config::{Compiled, ErrorKind, Inputs, OrbSource, Orbs, compile, process};

use crate::corpus::{configs, name};
use crate::file;

/// Configs that are wrong by themselves, and a part of what is said of each: pieces that a `setup` config
/// adds to before it runs them.
const WRONG: &[(&str, &str)] = &[
    // No workflows, and no job `build`.
    (
        "OpenLineage__OpenLineage__continue_config.yml",
        "no job `build`",
    ),
    // Jobs or orbs of another piece.
    (
        "cypress-io__circleci-orb__test-deploy.yml",
        "is of an orb `cypress`, which is not imported",
    ),
    (
        "electron__electron__config__base.yml",
        "runs `lint`, which is not in `jobs`",
    ),
    (
        "giantswarm__backstage__custom.yml",
        "is of an orb `architect`, which is not imported",
    ),
];

/// The orbs in a folder.
struct Folder(PathBuf);

impl Orbs for Folder {
    fn source(&self, reference: &str) -> Result<OrbSource, String> {
        let absent = || "is not at hand".to_owned();
        let (orb, version) = reference.split_once('@').ok_or_else(absent)?;
        let (namespace, orb) = orb.split_once('/').ok_or_else(absent)?;
        let wanted: Vec<&str> = match version {
            "volatile" => Vec::new(),
            version => version.split('.').collect(),
        };
        let entries = fs::read_dir(self.0.join(namespace)).map_err(|_| absent())?;
        let newest = entries
            .filter_map(|entry| {
                let path = entry.ok()?.path();
                let stem = path.file_name()?.to_str()?.strip_suffix(".yml")?;
                let version = stem.strip_prefix(orb)?.strip_prefix('@')?;
                let numbers = version.split('.').map(str::parse).collect();
                let numbers: Vec<u64> = Result::ok(numbers)?;
                let parts: Vec<&str> = version.split('.').collect();
                parts.starts_with(&wanted).then_some((numbers, path))
            })
            .max();
        let (_, path) = newest.ok_or_else(absent)?;
        Ok(OrbSource {
            name: format!("{namespace}/{}", name(&path).trim_end_matches(".yml")),
            text: fs::read(&path).expect("the orb can be read"),
        })
    }
}

/// What came of a config.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Came {
    Compiled,
    LacksOrbs,
    Refused,
}

fn came(compiled: &Compiled) -> Came {
    let is_lack = |kind| match kind {
        ErrorKind::OrbNotAtHand => true,
        ErrorKind::Config => false,
    };
    if compiled.plan.is_some() {
        Came::Compiled
    } else if compiled.errors().all(|error| is_lack(error.kind)) {
        Came::LacksOrbs
    } else {
        Came::Refused
    }
}

#[test]
fn configs_of_others_are_refused_only_for_what_is_wrong_with_them() {
    let Some(corpus) = std::env::var_os("POPSICLE_CORPUS") else {
        return;
    };
    let corpus = Path::new(&corpus);
    let folder = corpus.join("configs");
    let paths = configs(if folder.is_dir() { &folder } else { corpus });
    let orbs = Folder(corpus.join("orbs"));
    let inputs = Inputs {
        orbs: Some(&orbs),
        ..Inputs::default()
    };
    let mut table: BTreeMap<Came, Vec<String>> = BTreeMap::new();
    let mut lacking: BTreeMap<String, usize> = BTreeMap::new();
    let mut surprises = Vec::new();
    for path in &paths {
        let name = name(path);
        let text = fs::read(path).expect("the config can be read");
        let source = file(&name, &text);
        let compiled = compile(std::slice::from_ref(&source), &inputs);
        let came = came(&compiled);
        let mut line = name.clone();
        for error in compiled.errors() {
            match error.kind {
                ErrorKind::OrbNotAtHand => {
                    *lacking.entry(error.message.clone()).or_default() += 1;
                }
                ErrorKind::Config => {
                    let place = error.span.map_or(0, |span| span.line);
                    line.push_str(&format!(
                        "\n        {}:{place}: {}",
                        error.path, error.message
                    ));
                }
            }
        }
        let expected = WRONG.iter().find(|(wrong, _)| *wrong == name);
        let is_as_expected = match (expected, came) {
            (Some((_, why)), Came::Refused) => line.contains(why),
            (Some(_), Came::Compiled | Came::LacksOrbs) | (None, Came::Refused) => false,
            (None, Came::Compiled | Came::LacksOrbs) => true,
        };
        if !is_as_expected {
            surprises.push(line.clone());
        }
        if came == Came::Compiled {
            let expanded = process(&source, &inputs)
                .text
                .expect("what compiles can be expanded");
            // It needs no orb any more.
            let again = compile(&[file(&name, expanded)], &Inputs::default());
            assert!(
                again.plan == compiled.plan,
                "{name}: the expanded config means something else"
            );
        }
        table.entry(came).or_default().push(line);
    }
    println!("{} configs", paths.len());
    for (came, lines) in &table {
        let (what, shown): (_, &[String]) = match came {
            Came::Compiled => ("compiled", &[]),
            Came::LacksOrbs => ("compiled except for orbs that are not at hand", &[]),
            Came::Refused => ("refused", lines),
        };
        println!("{:5} {what}", lines.len());
        for line in shown {
            println!("      {line}");
        }
    }
    println!("orbs that are not at hand, by the configs that import them:");
    for (reason, count) in lacking {
        println!("{count:5} {reason}");
    }
    assert!(
        surprises.is_empty(),
        "unexpected:\n{}",
        surprises.join("\n")
    );
}
