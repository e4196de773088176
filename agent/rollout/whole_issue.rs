//! Whether models read the whole issue. A long one is cut to its share of the window, which the user is told once a run.

use cwm_runtime::source::ChatMessage;

use super::journal::JournalError;
use super::types::Workbench;

/// Tells the user when the messages that an attempt begins with hold only a part of the issue.
pub(super) fn check(bench: &Workbench<'_>, messages: &[ChatMessage]) -> Result<(), JournalError> {
    let issue = bench.problem.issue.trim();
    if messages.iter().any(|message| message.content.contains(issue)) {
        return Ok(());
    }
    bench.journal.tell_once(&format!(
        "the issue was cut: its {} bytes are more than its share of the model's window, and only a part of them is read",
        issue.len()
    ))
}
