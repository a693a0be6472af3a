//! What whole configs stand for: the expansion and the plan of each of `tests/corpus/`, for one trigger.
//!
//! The answers are in `tests/snapshots/`, a file for each, and were read against CircleCI's reference.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use config::{Inputs, LeftOut, OrbSource, Orbs, TriggerValues, compile, process};
use insta::assert_snapshot;
use model::{GitRef, ParameterValue, Schedule};

use crate::{file, outline, told};

/// The configs, and for what each is compiled: a branch or a tag, what else differs from [`trigger`], and
/// values for the config's own parameters.
const CONFIGS: &[(&str, &str)] = &[
    ("android_app", "branch=release/4.2"),
    ("booking_service", "branch=main"),
    ("compiler_matrix", "branch=main"),
    ("data_pipeline", "branch=main"),
    ("desktop_app", "branch=main"),
    (
        "docker_publish",
        "branch=main registry=registry.acme.example/eu",
    ),
    ("expressions", "branch=main gpu=true model=huge suffix=v2"),
    ("fan_out", "branch=main"),
    ("firmware", "branch=main"),
    ("first_version", "branch=main"),
    ("from_windows", "branch=main"),
    ("go_service", "branch=main"),
    ("inline_orbs", "branch=main"),
    ("legacy_suite", "branch=main"),
    ("misindented", "branch=main"),
    (
        "monorepo_services",
        "branch=main web=true channel=beta shards=3",
    ),
    ("monorepo_setup", "branch=topic base-branch=develop"),
    (
        "nightly",
        "branch=main schedule=by-night trigger_source=scheduled_pipeline schedule.name=weekly",
    ),
    ("old_ruby", "branch=main"),
    ("own_words", "branch=main changed=docs/index.md"),
    ("plain_site", "branch=main"),
    ("release_by_tag", "tag=v2.0.0-beta.1"),
    ("reusable", "branch=main channel=stable"),
    ("rust_crate", "tag=v1.2.3"),
    ("setup", "branch=main"),
    ("statuses", "branch=main"),
    ("terraform_live", "branch=main"),
    ("web_service", "branch=main"),
    ("web_shop", "branch=main skip-browser-tests=true"),
    ("yaml_1_1", "branch='1.10'"),
];

/// The orbs that the configs import.
struct Published;

impl Orbs for Published {
    fn source(&self, reference: &str) -> Result<OrbSource, String> {
        let text = match reference {
            "circleci/node@7.1.0" => include_str!("../orbs/node.yml"),
            "https://orbs.acme.example/3.10/device.yml" => include_str!("../orbs/device.yml"),
            _ => return Err("is not published".to_owned()),
        };
        Ok(OrbSource {
            name: reference.to_owned(),
            text: text.into(),
        })
    }
}

/// What every trigger here brings.
fn trigger() -> TriggerValues {
    let text = |text: &str| ParameterValue::Text(text.to_owned());
    let values = [
        ("id", text("7d9c5f1e-0000-4000-8000-000000000001")),
        ("number", ParameterValue::Integer(128)),
        ("project.slug", text("gh/acme/project")),
        (
            "git.revision",
            text("5f0c3a1d9e8b7c6a5f4e3d2c1b0a99887766554a"),
        ),
        ("git.branch.is_default", ParameterValue::Boolean(true)),
        ("trigger_source", text("webhook")),
    ];
    TriggerValues {
        values: values.map(|(name, value)| (name.to_owned(), value)).into(),
        ..TriggerValues::default()
    }
}

/// A value as a line of [`CONFIGS`] has it; in quotes it is a text, whatever it looks like.
fn value(written: &str) -> ParameterValue {
    match (written.parse(), written.parse()) {
        (Ok(truth), _) => ParameterValue::Boolean(truth),
        (_, Ok(number)) => ParameterValue::Integer(number),
        _ => ParameterValue::Text(written.trim_matches('\'').to_owned()),
    }
}

fn read_trigger(line: &str) -> (TriggerValues, BTreeMap<String, ParameterValue>) {
    let mut trigger = trigger();
    let mut parameters = BTreeMap::new();
    for word in line.split(' ') {
        let (name, written) = word.split_once('=').expect("a word is NAME=VALUE");
        let text = written.trim_matches('\'').to_owned();
        match name {
            "branch" | "tag" => {
                trigger
                    .values
                    .insert(format!("git.{name}"), ParameterValue::Text(text.clone()));
                trigger.git_ref = Some(match name {
                    "branch" => GitRef::Branch(text),
                    _ => GitRef::Tag(text),
                });
            }
            "schedule" => trigger.scheduled = Some(text),
            "changed" => trigger.changed_files = Some(vec![text]),
            "trigger_source" | "schedule.name" => {
                trigger.values.insert(name.to_owned(), value(written));
            }
            _ => {
                parameters.insert(name.to_owned(), value(written));
            }
        }
    }
    (trigger, parameters)
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus")
}

/// All that became of a config.
fn answer(name: &str, line: &str) -> String {
    let (trigger, parameters) = read_trigger(line);
    let inputs = Inputs {
        trigger: Some(&trigger),
        parameters: Some(&parameters),
        orbs: Some(&Published),
        ..Inputs::default()
    };
    let path = folder().join(format!("{name}.yml"));
    let text = fs::read(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    let source = file("ci.yml", text);
    let compiled = compile(std::slice::from_ref(&source), &inputs);
    let mut parts = vec![told(&compiled)];
    parts.retain(|told| !told.is_empty());
    let Some(plan) = compiled.plan else {
        return parts.concat();
    };
    let processed = process(&source, &inputs);
    let text = processed.text.expect("what compiles can be expanded");
    let mut lines = vec![outline(&plan)];
    for Schedule {
        workflow,
        cron,
        branches,
    } in &plan.schedules
    {
        lines.push(format!("{workflow} at {cron} {branches:?}"));
    }
    for LeftOut { workflow, job, why } in &compiled.left_out {
        let job = job.as_deref().map(|job| format!("/{job}"));
        lines.push(format!("not {workflow}{}: {why}", job.unwrap_or_default()));
    }

    // Its parameters have their values, and are gone.
    let inputs = Inputs {
        parameters: None,
        ..inputs
    };
    let again = file("ci.yml", &text);
    let expanded = compile(std::slice::from_ref(&again), &inputs);
    assert_eq!(
        expanded.plan.as_ref(),
        Some(&plan),
        "{name}: {}",
        told(&expanded)
    );
    assert_eq!(
        process(&again, &inputs).text.as_ref(),
        Some(&text),
        "{name}"
    );
    parts.extend([text, lines.join("\n")]);
    parts.join("\n\n")
}

#[test]
fn every_config_stands_for_what_its_snapshot_says() {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    for (name, line) in CONFIGS {
        settings.set_description(*line);
        settings.bind(|| assert_snapshot!(*name, answer(name, line)));
    }
}

#[test]
fn every_config_has_a_snapshot() {
    let files: BTreeSet<_> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let named: BTreeSet<_> = CONFIGS
        .iter()
        .map(|(name, _)| format!("{name}.yml"))
        .collect();
    assert_eq!(files, named);
}
