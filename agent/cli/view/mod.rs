//! What a run looks like while it works.

use crate::cli::{Environment, Printer};
use crate::rollout::journal::Record;

/// Something that happened in a run.
pub(crate) enum Update {
    /// A record of its journal.
    Record(Box<Record>),
    /// A model said so many tokens more.
    Tokens {
        /// The attempt.
        attempt: String,
        /// How many.
        tokens: usize,
    },
}

/// Shows a run.
pub(crate) struct View;

impl View {
    pub(crate) fn new(_printer: &Printer, _environment: &Environment) -> View {
        View
    }

    pub(crate) fn take(&mut self, update: &Update, printer: &mut Printer) -> anyhow::Result<()> {
        match update {
            Update::Record(record) => printer.detail(format_args!("{record:?}")),
            Update::Tokens { attempt, tokens } => printer.progress(format_args!("{attempt}: {tokens}")),
        }
        Ok(())
    }

    pub(crate) fn tick(&mut self, _printer: &mut Printer) {}

    pub(crate) fn finish(&mut self, printer: &mut Printer) {
        printer.clear_progress();
    }
}
