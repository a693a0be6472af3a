//! What a config is compiled for: the values that its trigger brings, and the orbs that are at hand.

use std::collections::BTreeMap;

use model::{GitRef, ParameterValue};

/// What a config is compiled for. The default is what `config validate` takes: nothing is known of the
/// trigger, every filter lets pass, no orb is at hand.
#[derive(Clone, Copy, Default)]
pub struct Inputs<'a> {
    /// What is known of the trigger.
    pub trigger: Option<&'a TriggerValues>,
    /// Values for the config's `parameters`, by name.
    pub parameters: Option<&'a BTreeMap<String, ParameterValue>>,
    /// Where imported orbs come from.
    pub orbs: Option<&'a dyn Orbs>,
    /// Whether the conditions of workflows are passed over: the plan then has all workflows that the
    /// config could ever have, for those who ask what is in it.
    pub all_workflows: bool,
    /// Whether what imported orbs define is looked over even where nothing uses it: for those who ask
    /// whether an orb is right.
    pub orb_bodies: bool,
}

/// What is known of the trigger.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TriggerValues {
    /// Values of the pipeline (`pipeline.git.branch`), by their name without `pipeline.`. What is not
    /// here has an empty value.
    pub values: BTreeMap<String, ParameterValue>,
    /// The branch or tag, for filters.
    pub git_ref: Option<GitRef>,
    /// The workflow whose schedule started the pipeline, if one did. It runs alone, and workflows with
    /// `triggers` run for no other reason.
    pub scheduled: Option<String>,
    /// The files that changed, from the root of the tree; none if that is not known.
    pub changed_files: Option<Vec<String>>,
}

/// Where imported orbs come from. What it answers must not change while a config is compiled.
pub trait Orbs {
    /// The source of an orb, as `orbs` names it: `circleci/node@5.2`, `https://…`.
    ///
    /// # Errors
    /// Why it is not at hand, for people: a lower-case fragment that reads well after the orb's name
    /// (`is not at hand: …`).
    fn source(&self, reference: &str) -> Result<OrbSource, String>;

    /// What people can do about an orb that was refused: a lower-case fragment.
    fn remedy(&self, reference: &str) -> Option<String> {
        let _ = reference;
        None
    }
}

/// One version of an orb, packed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrbSource {
    /// As people see it: `circleci/node@5.2.0`.
    pub name: String,
    /// Its text.
    pub text: Vec<u8>,
}
