//! The orbs that a config imports, as the compiler asks for them: what is on disk, found by the rules of
//! [`source::orbs`].

use std::cell::RefCell;
use std::collections::BTreeMap;

use config::OrbSource;
use source::orbs::{FindError, FoundOrb, MAX_ORB_BYTES, OrbFinder};

// What is stored can be compiled.
const _: () = assert!(MAX_ORB_BYTES == config::MAX_FILE_BYTES);

/// Hands the orbs of one project to the compiler, and remembers what was asked for. Looking blocks.
#[derive(Debug)]
pub struct ImportedOrbs {
    finder: OrbFinder,
    asked: RefCell<BTreeMap<String, Result<FoundOrb, FindError>>>,
}

impl ImportedOrbs {
    /// Those that the finder finds.
    pub fn new(finder: OrbFinder) -> Self {
        Self {
            finder,
            asked: RefCell::default(),
        }
    }

    /// What was asked for, by reference, and what came of it: all that the config imports, and what that
    /// imports.
    pub fn into_asked(self) -> BTreeMap<String, Result<FoundOrb, FindError>> {
        self.asked.into_inner()
    }

    /// The references that are not at hand, sorted.
    pub fn missing(&self) -> Vec<String> {
        let asked = self.asked.borrow();
        let missing =
            asked.iter().filter(|(_, found)| match found {
                Err(FindError::NotAtHand { .. } | FindError::Bad(_)) => true,
                Ok(_)
                | Err(
                    FindError::NotPinned { .. } | FindError::Changed { .. } | FindError::Source(_),
                ) => false,
            });
        missing.map(|(reference, _)| reference.clone()).collect()
    }
}

impl config::Orbs for ImportedOrbs {
    fn source(&self, reference: &str) -> Result<OrbSource, String> {
        let mut asked = self.asked.borrow_mut();
        let found = asked.entry(reference.to_owned()).or_insert_with(|| {
            let reference = reference.parse().map_err(FindError::Bad)?;
            self.finder.find(&reference)
        });
        match found {
            Ok(found) => Ok(OrbSource {
                name: found.reference.to_string(),
                text: found.text.clone(),
            }),
            Err(error) => Err(error.to_string()),
        }
    }

    fn remedy(&self, reference: &str) -> Option<String> {
        let asked = self.asked.borrow();
        let error = asked.get(reference)?.as_ref().err()?;
        error.remedy(&reference.parse().ok()?)
    }
}
