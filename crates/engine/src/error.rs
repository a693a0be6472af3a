//! Why the engine could not do what somebody asked of it.

use model::{IllegalTransition, PipelineId};
use source::SourceError;
use store::StoreError;

/// Why the engine could not do what somebody asked of it. What goes wrong inside a pipeline is not an
/// error but that pipeline's outcome.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// Too many triggers wait to be stored, or the server is stopping.
    #[error("the server is too busy to take this now; try again in a moment")]
    Busy,
    /// The request makes no sense for the thing's state.
    #[error("{0}")]
    Conflict(String),
    /// The request names something that can't be.
    #[error("{0}")]
    Invalid(String),
    /// The pipeline can't be run again.
    #[error("pipeline {of} can't be run again: {why}")]
    NotRerunnable {
        /// Which.
        of: PipelineId,
        /// Why.
        why: String,
    },
    /// The store could not, or knows no such thing.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A hosted repository could not be made, read or served.
    #[error(transparent)]
    Source(#[from] SourceError),
}

impl EngineError {
    /// Whether the thing does not exist.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Store(StoreError::NotFound { .. }))
    }

    /// Whether the thing's state forbids it.
    pub fn is_conflict(&self) -> bool {
        match self {
            Self::Conflict(_) | Self::NotRerunnable { .. } => true,
            Self::Store(error) => error.is_conflict(),
            Self::Busy | Self::Invalid(_) | Self::Source(_) => false,
        }
    }

    /// Whether it may work in a moment.
    pub fn is_busy(&self) -> bool {
        matches!(self, Self::Busy)
    }
}

impl From<IllegalTransition> for EngineError {
    fn from(error: IllegalTransition) -> Self {
        Self::Conflict(error.to_string())
    }
}
