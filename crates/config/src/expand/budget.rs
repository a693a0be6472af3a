//! How much a config may expand to. A file is small, but what it defines can be used any number of times.

use crate::diagnostic::Problems;
use crate::read::Region;

/// How many values a config may expand to, over all its jobs. Values are what YAML has: an entry of a list
/// or of a map. CircleCI refuses expanded configs of more than 3 MB, which is some 100,000.
pub const MAX_EXPANDED_NODES: usize = 500_000;

/// How many bytes of text a config may expand to, over all its jobs.
pub const MAX_EXPANDED_BYTES: usize = 16 * 1024 * 1024;

/// The same for what is only looked over, because nothing runs it.
const LOOK_NODES: usize = MAX_EXPANDED_NODES / 5;
const LOOK_BYTES: usize = MAX_EXPANDED_BYTES / 4;

/// What is left of both.
pub(crate) struct Budget {
    nodes: usize,
    bytes: usize,
    is_spent: bool,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            nodes: MAX_EXPANDED_NODES,
            bytes: MAX_EXPANDED_BYTES,
            is_spent: false,
        }
    }
}

impl Budget {
    /// For what nothing runs. Once it is spent the rest is not looked over; that is no fault.
    pub(super) fn for_looks() -> Self {
        Self {
            nodes: LOOK_NODES,
            bytes: LOOK_BYTES,
            is_spent: false,
        }
    }

    /// Takes what something costs; false if there is not so much left. From then on it is spent.
    pub(super) fn take(&mut self, nodes: usize, bytes: usize) -> bool {
        if self.is_spent {
            return false;
        }
        let left = (self.nodes.checked_sub(nodes), self.bytes.checked_sub(bytes));
        let (Some(nodes), Some(bytes)) = left else {
            self.is_spent = true;
            return false;
        };
        self.nodes = nodes;
        self.bytes = bytes;
        true
    }

    /// Takes what something costs; false if there is not so much left, which is told once. From then on
    /// nothing is expanded any more.
    pub(super) fn spend(
        &mut self,
        nodes: usize,
        bytes: usize,
        region: Region,
        problems: &mut Problems,
    ) -> bool {
        let was_spent = self.is_spent;
        if self.take(nodes, bytes) {
            return true;
        }
        if was_spent {
            return false;
        }
        problems
            .error(
                region,
                format!(
                    "the config expands to more than {MAX_EXPANDED_NODES} values or {} MiB of text",
                    MAX_EXPANDED_BYTES / (1024 * 1024)
                ),
            )
            .help("commands and jobs count as often as they are used");
        false
    }

    /// How many bytes are left.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether nothing is expanded any more.
    pub(super) fn is_spent(&self) -> bool {
        self.is_spent
    }
}
