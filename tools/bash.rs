//! The `bash` tool: one call's content is run in the session's persistent shell.
//!
//! What the model was trained with: standard output and standard error come as one; a timeout, or the shell's own
//! end, ends the session, and the next call finds a fresh one at the default directory. Mended here: a command that
//! prints a lot does not end the session, and what a command printed before its timeout is not lost.

use thiserror::Error;

use crate::sandbox::{SandboxError, Sink};
use crate::session::{CommandResult, Session};

/// Why a call was not run.
#[derive(Debug, Error)]
pub enum BashError {
    /// There is nothing to run.
    #[error("the call holds no command")]
    Empty,
    /// The sandbox is lost or refuses.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
}

/// Runs a call's content, passing its output on as it comes.
pub fn run(session: &mut Session, content: &str, sink: &mut dyn Sink) -> Result<CommandResult, BashError> {
    if content.trim().is_empty() {
        return Err(BashError::Empty);
    }
    Ok(session.run_streaming(content, sink)?)
}
