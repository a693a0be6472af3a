//! What holds of every config that is right, whatever is in it.

use std::collections::BTreeMap;

use config::{Inputs, TriggerValues, compile, process};
use model::{GitRef, ParameterValue, Plan};
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::Value;

use crate::never_panics::{check, check_plan};
use crate::{file, generated};

/// Nothing known of a trigger, as for whoever looks a config over; two branches; a tag.
fn triggers() -> [Option<TriggerValues>; 4] {
    let on = |git_ref: GitRef| {
        let (name, text) = match &git_ref {
            GitRef::Branch(branch) => ("git.branch", branch.clone()),
            GitRef::Tag(tag) => ("git.tag", tag.clone()),
        };
        Some(TriggerValues {
            values: BTreeMap::from([
                (name.to_owned(), ParameterValue::Text(text)),
                ("number".to_owned(), ParameterValue::Integer(7)),
            ]),
            git_ref: Some(git_ref),
            ..TriggerValues::default()
        })
    };
    [
        None,
        on(GitRef::Branch("main".into())),
        on(GitRef::Branch("dev".into())),
        on(GitRef::Tag("v1".into())),
    ]
}

fn planned(text: &str, inputs: &Inputs<'_>) -> Plan {
    let compiled = compile(&[file("ci.yml", text)], inputs);
    if let Some(error) = compiled.errors().next() {
        panic!("{error}\n{text}");
    }
    compiled.plan.expect("a config without errors has a plan")
}

fn processed(text: &str, inputs: &Inputs<'_>) -> String {
    let processed = process(&file("ci.yml", text), inputs);
    processed
        .text
        .unwrap_or_else(|| panic!("{:?}\n{text}", processed.diagnostics))
}

fn choices() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..800)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 50, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_expansion_is_the_config_it_is_of(choices in choices()) {
        let text = generated::config(&choices);
        for trigger in triggers() {
            let inputs = Inputs { trigger: trigger.as_ref(), ..Inputs::default() };
            let plan = planned(&text, &inputs);
            check_plan(&plan);
            prop_assert_eq!(&planned(&text, &inputs), &plan);
            let expanded = processed(&text, &inputs);
            prop_assert_eq!(&processed(&text, &inputs), &expanded);
            prop_assert_eq!(&planned(&expanded, &inputs), &plan, "{}", expanded);
            prop_assert_eq!(&processed(&expanded, &inputs), &expanded);
        }
    }

    #[test]
    fn a_workflow_is_the_same_without_the_others(choices in choices()) {
        let text = generated::config(&choices);
        let all = planned(&text, &Inputs::default());
        for workflow in all.workflows {
            let mut config: Value = serde_json::from_str(&text).expect("it was written as JSON");
            let workflows = config["workflows"].as_object_mut().expect("it has workflows");
            workflows.retain(|name, _| *name == workflow.name);
            let alone = planned(&config.to_string(), &Inputs::default());
            prop_assert_eq!(&alone.workflows, &[workflow]);
        }
    }

    #[test]
    fn what_is_cut_gets_an_answer(
        choices in choices(),
        ends in proptest::collection::vec(any::<Index>(), 10),
    ) {
        let text = generated::config(&choices).into_bytes();
        for end in ends {
            check(&text[..end.index(text.len())]);
        }
    }

    #[test]
    fn what_is_mixed_up_gets_an_answer(
        choices in choices(),
        moves in proptest::collection::vec((any::<Index>(), any::<Index>()), 1..6),
    ) {
        let text = generated::config(&choices);
        let mut config: Value = serde_json::from_str(&text).expect("it was written as JSON");
        for (from, to) in moves {
            let mut places = Vec::new();
            places_in(&config, String::new(), &mut places);
            if places.is_empty() {
                break;
            }
            let part = config.pointer(from.get::<String>(&places)).cloned().unwrap_or_default();
            if let Some(place) = config.pointer_mut(to.get::<String>(&places)) {
                *place = part;
            }
            check(config.to_string().as_bytes());
        }
    }
}

/// Where its parts are, as JSON pointers.
fn places_in(value: &Value, at: String, places: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let key = key.replace('~', "~0").replace('/', "~1");
                places_in(value, format!("{at}/{key}"), places);
            }
        }
        Value::Array(items) => {
            for (place, item) in items.iter().enumerate() {
                places_in(item, format!("{at}/{place}"), places);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    if !at.is_empty() {
        places.push(at);
    }
}
