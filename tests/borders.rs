//! Who may use whom: the table of ARCHITECTURE.md, held against what `cargo metadata` says.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};

use crate::world::root;

/// What a crate may use, as the table says.
#[derive(Debug, PartialEq, Eq)]
enum May {
    /// These of ours.
    Use(BTreeSet<String>),
    /// All of them.
    UseAll,
}

/// Which of our crates alone may use a library, because it is what that crate is about.
const KEPT: [(&str, &[&str]); 9] = [
    ("axum", &["server"]),
    ("bollard", &["executor"]),
    ("oci-client", &["image"]),
    ("sqlx", &["store"]),
    ("saphyr-parser", &["config"]),
    ("maud", &["server"]),
    ("reqwest", &["client", "forge", "source"]),
    ("clap", &["popsicle"]),
    ("tower-http", &["server"]),
];

/// What does I/O, for the crates that do none.
const IO: [&str; 7] = [
    "axum",
    "bollard",
    "hyper-util",
    "reqwest",
    "rustix",
    "sqlx",
    "tokio",
];

/// The crates whose row says that they do no I/O.
const WITHOUT_IO: [&str; 3] = ["api", "config", "model"];

#[test]
fn each_crate_uses_only_what_the_table_of_the_map_allows() {
    let table = table();
    let packages = ours();
    let names: BTreeSet<&String> = packages.keys().collect();
    let rows: BTreeSet<&String> = table.keys().collect();
    assert_eq!(names, rows, "the crates, and the rows of the table");

    let mut wrong = Vec::new();
    for (name, package) in &packages {
        for used in dependencies(package).filter(|used| packages.contains_key(used)) {
            let allowed = match &table[name] {
                May::UseAll => true,
                May::Use(allowed) => allowed.contains(&used),
            };
            if !allowed {
                wrong.push(format!("`{name}` uses `{used}`"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn libraries_stay_in_the_rooms_that_are_about_them() {
    let mut wrong = Vec::new();
    for (name, package) in ours() {
        let used: BTreeSet<String> = dependencies(&package).collect();
        let kept = KEPT.iter().filter(|(_, by)| !by.contains(&name.as_str()));
        let mut forbidden: BTreeSet<&str> = kept.map(|(library, _)| *library).collect();
        if WITHOUT_IO.contains(&name.as_str()) {
            forbidden.extend(IO);
        }
        wrong.extend(
            forbidden
                .into_iter()
                .filter(|library| used.contains(*library))
                .map(|library| format!("`{name}` uses `{library}`")),
        );
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_lists_above_name_what_is_there() {
    let metadata = metadata();
    let known: BTreeSet<&str> = metadata
        .packages
        .iter()
        .map(|package| package.name.as_str())
        .collect();
    let libraries = KEPT.iter().map(|(library, _)| *library).chain(IO);
    let stale: Vec<&str> = libraries
        .filter(|library| !known.contains(library))
        .collect();
    assert!(stale.is_empty(), "nobody uses {stale:?} any more");
}

/// The packages of `crates/`, by name.
fn ours() -> BTreeMap<String, Package> {
    let crates = root().join("crates");
    let packages = metadata().packages.into_iter();
    let ours = packages.filter(|package| package.manifest_path.starts_with(&crates));
    ours.map(|package| (package.name.to_string(), package))
        .collect()
}

fn metadata() -> Metadata {
    let host = host();
    MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        // What other platforms need is not there where only this one was built for.
        .other_options(["--offline", "--filter-platform", &host].map(str::to_owned))
        .exec()
        .expect("cargo tells its metadata")
}

/// The platform that cargo itself is for, and that it builds for.
fn host() -> String {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo).arg("-vV").output().expect("cargo runs");
    let told = String::from_utf8(output.stdout).expect("cargo tells text");
    let host = told.lines().find_map(|line| line.strip_prefix("host: "));
    host.expect("cargo tells its host").to_owned()
}

/// What a package is built of; what only its tests use is no concern of the map's.
fn dependencies(package: &Package) -> impl Iterator<Item = String> {
    let built = package
        .dependencies
        .iter()
        .filter(|used| used.kind != DependencyKind::Development);
    built.map(|used| used.name.clone())
}

/// The table under "The rooms" of ARCHITECTURE.md, by crate.
fn table() -> BTreeMap<String, May> {
    let map = std::fs::read_to_string(root().join("ARCHITECTURE.md")).expect("there is a map");
    let rows = map
        .lines()
        .skip_while(|line| !line.starts_with("| crate |"))
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    let mut table: BTreeMap<String, May> = BTreeMap::new();
    let rows: Vec<Vec<&str>> = rows
        .map(|row| row.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    assert!(!rows.is_empty(), "the map has its table");
    for row in rows {
        let name = row[0].trim_matches('`').to_owned();
        let may = match row[2] {
            "all" => May::UseAll,
            "–" => May::Use(BTreeSet::new()),
            // The five that come before it in the way of a push.
            "model and the five above" => {
                let five = ["forge", "source", "config", "store", "executor"];
                assert!(
                    five.iter().all(|name| table.contains_key(*name)),
                    "the five are above"
                );
                May::Use(
                    ["model"]
                        .into_iter()
                        .chain(five)
                        .map(str::to_owned)
                        .collect(),
                )
            }
            names => May::Use(
                names
                    .split(',')
                    .filter_map(|name| name.split_whitespace().next())
                    .map(str::to_owned)
                    .collect(),
            ),
        };
        table.insert(name, may);
    }
    table
}
