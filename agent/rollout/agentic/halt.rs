//! What takes an attempt out of its loop.

use cwm_runtime::source::ModelError;

use crate::prompts::PromptError;
use crate::rollout::RolloutError;
use crate::rollout::journal::JournalError;
use crate::rollout::types::Ending;

/// Why the loop is left.
#[derive(Debug)]
pub(super) enum Halt {
    /// The attempt ended.
    Ended(Ending),
    /// It cannot go on.
    Failed(Box<RolloutError>),
}

impl From<RolloutError> for Halt {
    fn from(error: RolloutError) -> Halt {
        Halt::Failed(Box::new(error))
    }
}

impl From<JournalError> for Halt {
    fn from(error: JournalError) -> Halt {
        RolloutError::from(error).into()
    }
}

impl From<PromptError> for Halt {
    fn from(error: PromptError) -> Halt {
        RolloutError::from(error).into()
    }
}

impl From<ModelError> for Halt {
    fn from(error: ModelError) -> Halt {
        RolloutError::from(error).into()
    }
}
