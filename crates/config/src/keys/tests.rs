//! Holds the table and the compiler to each other: every key of the table means something where the
//! table has it, and nothing anywhere else.

use std::collections::BTreeSet;

use super::*;
use crate::ide::{Document, Position};
use crate::{Inputs, SourceFile, compile};

/// All kinds of maps that a config can hold, by following what each key takes.
fn places() -> Vec<Place> {
    let mut found = vec![Place::Top, Place::Idle];
    let mut next = 0;
    while let Some(place) = found.get(next).copied() {
        let keys = place.keys().iter().map(|key| key.takes);
        let others = match place.others() {
            Others::Chosen(takes) | Others::Named(_, takes) => Some(takes),
            Others::None | Others::Parameters => None,
        };
        for inner in keys.chain(others).filter_map(Takes::place) {
            if !found.contains(&inner) {
                found.push(inner);
            }
        }
        next += 1;
    }
    found
}

/// A config with a map of a kind in it, at `@`, and what such a map has at least.
fn home(place: Place) -> Option<(&'static str, &'static [(&'static str, &'static str)])> {
    Some(match place {
        Place::Top => (
            "@",
            &[
                ("version", "2.1"),
                ("jobs", "{build: {machine: true, steps: [checkout]}}"),
            ],
        ),
        Place::Job => (
            "{version: 2.1, jobs: {build: @}}",
            &[("machine", "true"), ("steps", "[checkout]")],
        ),
        Place::Idle => (
            "{version: 2.1, workflows: {w: {jobs: [a: @]}}}",
            &[("type", "lock")],
        ),
        Place::Command => (
            "{version: 2.1, commands: {c: @}, jobs: {build: {machine: true, steps: [c]}}}",
            &[("steps", "[checkout]")],
        ),
        Place::Executor => (
            "{version: 2.1, executors: {e: @}, jobs: {build: {executor: e, steps: [checkout]}}}",
            &[("machine", "true")],
        ),
        Place::ExecutorUse => (
            "{version: 2.1, executors: {e: {machine: true}}, jobs: {build: {executor: @, steps: [checkout]}}}",
            &[("name", "e")],
        ),
        Place::Orb => (
            "{version: 2.1, orbs: {o: @}, jobs: {build: {machine: true, steps: [checkout]}}}",
            &[],
        ),
        Place::Group => (
            "{version: 2.1, jobs: {a: {machine: true, steps: [checkout]}}, job-groups: {g: @}, workflows: {w: {jobs: [g]}}}",
            &[("jobs", "[a]")],
        ),
        Place::Parameter => (
            "{version: 2.1, parameters: {p: @}, jobs: {build: {machine: true, steps: [checkout]}}}",
            &[("type", "string"), ("default", "a")],
        ),
        Place::Workflow => (
            "{version: 2.1, jobs: {a: {machine: true, steps: [checkout]}}, workflows: {w: @}}",
            &[("jobs", "[a]")],
        ),
        Place::Use => (
            "{version: 2.1, jobs: {a: {machine: true, steps: [checkout]}}, workflows: {w: {jobs: [a: @]}}}",
            &[],
        ),
        Place::Matrix => (
            "{version: 2.1, jobs: {a: {machine: true, parameters: {p: {type: string}}, steps: [checkout]}}, workflows: {w: {jobs: [a: {matrix: @}]}}}",
            &[("parameters", "{p: [x]}")],
        ),
        Place::Filters => (
            "{version: 2.1, jobs: {a: {machine: true, steps: [checkout]}}, workflows: {w: {jobs: [a: {filters: @}]}}}",
            &[],
        ),
        Place::Filter => (
            "{version: 2.1, jobs: {a: {machine: true, steps: [checkout]}}, workflows: {w: {jobs: [a: {filters: {branches: @}}]}}}",
            &[],
        ),
        Place::Trigger => (
            "{version: 2.1, jobs: {a: {machine: true, steps: [checkout]}}, workflows: {w: {triggers: [@], jobs: [a]}}}",
            &[],
        ),
        Place::Schedule => (
            "{version: 2.1, jobs: {a: {machine: true, steps: [checkout]}}, workflows: {w: {triggers: [schedule: @], jobs: [a]}}}",
            &[
                ("cron", "'0 0 * * *'"),
                ("filters", "{branches: {only: main}}"),
            ],
        ),
        Place::Concurrency => (
            "{version: 2.1, jobs: {a: {machine: true, steps: [checkout]}}, workflows: {w: {concurrency: @, jobs: [a]}}}",
            &[("group", "g")],
        ),
        Place::Paths => (
            "{version: 2.1, jobs: {a: {machine: true, steps: [checkout]}}, workflows: {w: {paths: @, jobs: [a]}}}",
            &[],
        ),
        Place::Condition => (
            "{version: 2.1, jobs: {a: {machine: true, steps: [checkout]}}, workflows: {w: {when: @, jobs: [a]}}}",
            &[],
        ),
        Place::Matches => (
            "{version: 2.1, jobs: {a: {machine: true, steps: [checkout]}}, workflows: {w: {when: {matches: @}, jobs: [a]}}}",
            &[("pattern", "a"), ("value", "a")],
        ),
        Place::Image => (
            "{version: 2.1, jobs: {build: {docker: [@], steps: [checkout]}}}",
            &[("image", "a")],
        ),
        Place::Auth => (
            "{version: 2.1, jobs: {build: {docker: [{image: a, auth: @}], steps: [checkout]}}}",
            &[("username", "a"), ("password", "b")],
        ),
        Place::AwsAuth => (
            "{version: 2.1, jobs: {build: {docker: [{image: a, aws_auth: @}], steps: [checkout]}}}",
            &[("oidc_role_arn", "a")],
        ),
        Place::Machine => (
            "{version: 2.1, jobs: {build: {machine: @, steps: [checkout]}}}",
            &[("image", "a")],
        ),
        Place::Macos => (
            "{version: 2.1, jobs: {build: {macos: @, steps: [checkout]}}}",
            &[("xcode", "16.4")],
        ),
        Place::Retention => (
            "{version: 2.1, jobs: {build: {machine: true, retention: @, steps: [checkout]}}}",
            &[("caches", "1d")],
        ),
        Place::Step => (
            "{version: 2.1, jobs: {build: {machine: true, steps: [@]}}}",
            &[],
        ),
        Place::Conditional => (
            "{version: 2.1, jobs: {build: {machine: true, steps: [checkout, when: @]}}}",
            &[("condition", "true"), ("steps", "[checkout]")],
        ),
        Place::Run => (
            "{version: 2.1, jobs: {build: {machine: true, steps: [run: @]}}}",
            &[("command", "a")],
        ),
        Place::Checkout => (
            "{version: 2.1, jobs: {build: {machine: true, steps: [checkout: @]}}}",
            &[],
        ),
        Place::SaveCache => (
            "{version: 2.1, jobs: {build: {machine: true, steps: [save_cache: @]}}}",
            &[("key", "a"), ("paths", "[a]")],
        ),
        Place::RestoreCache => (
            "{version: 2.1, jobs: {build: {machine: true, steps: [restore_cache: @]}}}",
            &[("keys", "[a]")],
        ),
        Place::StoreArtifacts => (
            "{version: 2.1, jobs: {build: {machine: true, steps: [store_artifacts: @]}}}",
            &[("path", "a")],
        ),
        Place::StoreTestResults => (
            "{version: 2.1, jobs: {build: {machine: true, steps: [store_test_results: @]}}}",
            &[("path", "a")],
        ),
        Place::PersistToWorkspace => (
            "{version: 2.1, jobs: {build: {machine: true, steps: [persist_to_workspace: @]}}}",
            &[("root", "a"), ("paths", "[a]")],
        ),
        Place::AttachWorkspace => (
            "{version: 2.1, jobs: {build: {machine: true, steps: [attach_workspace: @]}}}",
            &[("at", "a")],
        ),
        Place::AddSshKeys => (
            "{version: 2.1, jobs: {build: {machine: true, steps: [add_ssh_keys: @]}}}",
            &[],
        ),
        Place::SetupRemoteDocker => (
            "{version: 2.1, jobs: {build: {machine: true, steps: [setup_remote_docker: @]}}}",
            &[],
        ),
        // Their keys are anybody's.
        Place::Jobs
        | Place::Commands
        | Place::Executors
        | Place::Orbs
        | Place::Groups
        | Place::PipelineParameters
        | Place::Parameters
        | Place::Workflows
        | Place::Uses
        | Place::MatrixValues
        | Place::Requires
        | Place::Arguments => return None,
    })
}

/// Something that a key may have.
fn value(takes: Takes) -> &'static str {
    match takes {
        Takes::Number => "1",
        Takes::Boolean => "true",
        Takes::Duration => "1m",
        Takes::Texts | Takes::List(_) | Takes::Words(_) => "[]",
        Takes::Map(Place::Run) => "a",
        Takes::Map(_) | Takes::Free => "{}",
        Takes::Word(words) => words[0],
        Takes::Text | Takes::Name(_) | Takes::Typed => "a",
    }
}

fn config(place: Place, key: &str, value: &str) -> Option<String> {
    let (home, least) = home(place)?;
    // A trigger, a step and a condition have one key.
    let others = least.iter().filter(|(name, _)| *name != key);
    let entries: Vec<String> = others
        .chain([&(key, value)])
        .map(|(name, value)| format!("{name}: {value}"))
        .collect();
    Some(home.replace('@', &format!("{{{}}}", entries.join(", "))))
}

/// Whether the compiler says that a key means nothing where it is.
fn is_refused(text: &str, key: &str) -> bool {
    let file = SourceFile {
        path: "config.yml".into(),
        text: text.into(),
    };
    let compiled = compile(&[file], &Inputs::default());
    let quoted = format!("`{key}`");
    compiled.diagnostics.iter().any(|found| {
        let message = &found.message;
        let is_about = message.contains(&quoted) || message.contains("a trigger of a workflow");
        let says = [
            "means nothing in",
            "has no parameter",
            "there is no step",
            "there is no logic statement",
            "must be a `schedule`",
        ];
        is_about && says.iter().any(|says| message.contains(says))
    })
}

#[test]
fn every_key_of_the_table_means_something_where_it_is() {
    for place in places() {
        for key in place.keys() {
            let Some(text) = config(place, key.name, value(key.takes)) else {
                continue;
            };
            assert!(!is_refused(&text, key.name), "{place:?}: {text}");
        }
    }
}

#[test]
fn no_other_key_means_anything() {
    let places = places();
    let mut names: BTreeSet<&str> = places.iter().flat_map(|place| place.names()).collect();
    names.insert("nonsense");
    for place in places {
        // At the top and in an orb people keep anchors under names of their own.
        if matches!(place, Place::Top | Place::Orb) {
            continue;
        }
        for name in &names {
            let Some(text) = config(place, name, "a") else {
                continue;
            };
            let is_known = place.key(name).is_some()
                || (place == Place::Idle && Place::Use.key(name).is_some())
                // What workflows add to a job is left out of it without a word.
                || (place == Place::Job && matches!(*name, "pre-steps" | "post-steps"));
            assert_eq!(is_refused(&text, name), !is_known, "{place:?}: {text}");
        }
    }
}

#[test]
fn every_key_of_the_table_is_explained_where_it_is() {
    for place in places() {
        for key in place.keys() {
            let Some(text) = config(place, key.name, value(key.takes)) else {
                continue;
            };
            let entry = format!("{}: {}", key.name, value(key.takes));
            // The last entry of the map, so that no other is meant.
            let at = text
                .rfind(&format!("{entry}}}"))
                .expect("the key is in the text");
            let position = Position {
                line: 1,
                column: text[..at].chars().count() + 1,
            };
            let hover = Document::new(&text, None).hover(position);
            let markdown = hover.map(|hover| hover.markdown).unwrap_or_default();
            assert!(markdown.contains(key.doc), "{place:?}: {text}: {markdown}");
            assert!(key.doc.ends_with('.'), "{place:?}: {}", key.doc);
        }
    }
}
