//! What must hold for every config, whatever its bytes are. See `README.md` for how to run it.
#![forbid(unsafe_code)]

use config::{Compiled, Inputs, OrbSource, Orbs, Severity, SourceFile, TriggerValues};
use model::{GitRef, ParameterValue, Plan};

/// A push to a branch that changed two files.
pub fn trigger() -> TriggerValues {
    let text = |text: &str| ParameterValue::Text(text.to_owned());
    TriggerValues {
        values: [
            ("id".to_owned(), text("5f3c")),
            ("number".to_owned(), ParameterValue::Integer(7)),
            ("git.branch".to_owned(), text("main")),
            (
                "git.branch.is_default".to_owned(),
                ParameterValue::Boolean(true),
            ),
        ]
        .into(),
        git_ref: Some(GitRef::Branch("main".to_owned())),
        scheduled: None,
        changed_files: Some(vec!["src/main.rs".to_owned(), "docs/a.md".to_owned()]),
    }
}

/// The bytes as a config.
pub fn file(bytes: &[u8]) -> SourceFile {
    SourceFile {
        path: ".circleci/config.yml".to_owned(),
        text: bytes.to_vec(),
    }
}

/// Compiles, and holds the answer to what is promised of it.
///
/// # Panics
/// A promise is broken.
pub fn check(bytes: &[u8], inputs: &Inputs<'_>) -> Compiled {
    let files = [file(bytes)];
    let compiled = config::compile(&files, inputs);
    assert_eq!(
        compiled,
        config::compile(&files, inputs),
        "the same input, the same answer"
    );
    let has_errors = compiled
        .diagnostics
        .iter()
        .any(|diagnostic| diagnostic.severity == Severity::Error);
    assert_eq!(compiled.plan.is_none(), has_errors);
    for diagnostic in &compiled.diagnostics {
        assert!(!diagnostic.to_string().is_empty());
        if let Some(span) = diagnostic.span {
            assert!(span.line > 0 && span.column > 0 && span.length > 0);
        }
    }
    if let Some(plan) = &compiled.plan {
        check_plan(plan);
    }
    compiled
}

/// What the engine takes for granted: needs come first, so that there is no circle.
fn check_plan(plan: &Plan) {
    let stored = serde_json::to_string(plan).expect("a plan can be stored");
    assert_eq!(
        serde_json::from_str::<Plan>(&stored).ok().as_ref(),
        Some(plan)
    );
    for workflow in &plan.workflows {
        let mut before = std::collections::HashSet::new();
        for job in &workflow.jobs {
            for required in &job.requires {
                assert!(
                    before.contains(required.job.as_str()),
                    "what is required comes first"
                );
            }
            assert!(before.insert(job.name.as_str()), "no name twice");
        }
    }
}

/// One orb, whatever is asked for.
pub struct OneOrb<'b>(pub &'b [u8]);

impl Orbs for OneOrb<'_> {
    fn source(&self, reference: &str) -> Result<OrbSource, String> {
        Ok(OrbSource {
            name: reference.to_owned(),
            text: self.0.to_vec(),
        })
    }
}
