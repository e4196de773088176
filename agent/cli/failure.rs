//! A failure that knows its exit code and what the user can do about it.

use crate::cli::ExitCode;

/// Why a command stopped: a sentence, an exit code and, where there is one, a remedy.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// The exit code that it leads to.
    pub code: ExitCode,
    /// What is wrong and where.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Failure {
    /// A failure with the given exit code.
    pub fn new(code: ExitCode, message: impl Into<String>) -> Failure {
        Failure {
            code,
            message: message.into(),
            hint: None,
        }
    }

    /// The same with a remedy.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Failure {
        self.hint = Some(hint.into());
        self
    }

    /// The failure that an error is, or was caused by.
    pub fn behind(error: &anyhow::Error) -> Option<&Failure> {
        error
            .downcast_ref()
            .or_else(|| error.chain().find_map(|cause| cause.downcast_ref()))
    }
}

/// Whoever read our stdout has gone. That is no error: `cwm … | head` has shown all that was wanted.
#[derive(Debug, thiserror::Error)]
#[error("the reader of standard output closed it")]
pub struct ReaderGone;
