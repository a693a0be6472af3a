//! Real configs, where they are at hand: each gets an answer soon, and one that blames what is at fault.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use config::SourceFile;

/// Configs that are wrong by themselves: pieces that a `setup` config adds to before it runs them.
const INCOMPLETE: &[&str] = &[
    // No workflows, and no job `build`.
    "OpenLineage__OpenLineage__continue_config.yml",
    // Jobs or orbs of another piece.
    "algas__circleci-split-example__continue.yml",
    "cypress-io__circleci-orb__test-deploy.yml",
    "electron__electron__config__base.yml",
    "giantswarm__backstage__custom.yml",
    // `filters` beside a workflow's job, not below it.
    "kedro-org__kedro__continue_config.yml",
];

#[test]
fn real_configs_are_refused_only_for_what_is_not_supported() {
    let folder =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpus/circleci/configs");
    let Ok(entries) = std::fs::read_dir(&folder) else {
        println!("skipped: there is no corpus at {}", folder.display());
        return;
    };
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let mut compiled_count = 0;
    let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
    for path in &paths {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let file = SourceFile {
            path: name.clone(),
            text: std::fs::read(path).unwrap(),
        };
        let start = Instant::now();
        let compiled = config::compile(&[file]);
        let took = start.elapsed();
        assert!(took < Duration::from_secs(2), "{name} took {took:?}");
        if compiled.plan.is_some() {
            compiled_count += 1;
        }
        for error in compiled.errors() {
            let is_known = error.message.contains("supported yet");
            assert!(is_known || INCOMPLETE.contains(&name.as_str()), "{error}");
            if is_known {
                *reasons.entry(error.message.clone()).or_default() += 1;
            }
        }
    }
    println!(
        "{compiled_count} of {} configs compile; the others use:",
        paths.len()
    );
    for (reason, count) in reasons {
        println!("{count:5} {reason}");
    }
}
