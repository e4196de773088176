//! What a run of `cwm fix` looks like while it works, and what is said of it at its end.
//!
//! What enters are the journal's records as they are written, and counts of tokens; what leaves goes through the printer. On a terminal:
//! lines that stay, and below them a live area. Elsewhere: the lines that stay. With `--quiet` nothing, with `--json` every record as an
//! event and nothing else. Records hold what models and commands said; none of it reaches a terminal raw.

mod events;
mod lines;
mod screen;
mod state;
mod summary;
pub(crate) mod words;

use std::time::{Duration, Instant};

use crate::cli::{Environment, Printer};
use crate::rollout::journal::Record;

pub(crate) use summary::{Summary, summary};

use state::Overview;

/// What happened in a run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Update {
    /// Something that stands in the journal.
    Record(Box<Record>),
    /// A model said something.
    Tokens {
        /// For which attempt.
        attempt: String,
        /// How many tokens more.
        tokens: usize,
    },
}

/// Shows a run.
pub(crate) struct View {
    started: Instant,
    /// When the live area was last drawn.
    drawn: Option<Instant>,
    /// Whether the user wants it to end.
    ending: bool,
    overview: Overview,
}

/// Between two drawings of the live area.
const REDRAW: Duration = Duration::from_millis(100);

impl View {
    /// A view of a run that begins now.
    pub(crate) fn new(_printer: &Printer, _environment: &Environment) -> View {
        View {
            started: Instant::now(),
            drawn: None,
            ending: false,
            overview: Overview::default(),
        }
    }

    /// The same for a run that may take no longer than this.
    #[must_use]
    pub(crate) fn limited_to(mut self, time: Option<Duration>) -> View {
        self.overview.limit = time;
        self
    }

    /// The same for a run that goes on: what happened before is known, and not said again.
    #[must_use]
    pub(crate) fn recalling(mut self, earlier: &[Record]) -> View {
        for record in earlier {
            self.overview.record(record);
        }
        self
    }

    /// Takes in what happened, and says what is notable.
    ///
    /// # Errors
    ///
    /// When stdout, which takes the events of `--json`, cannot be written.
    pub(crate) fn take(&mut self, update: &Update, printer: &mut Printer) -> anyhow::Result<()> {
        let now = self.now();
        match update {
            Update::Record(record) => {
                self.overview.record(record);
                if printer.is_json() {
                    return events::print(record, &self.overview.baseline, printer);
                }
                lines::print(record, &self.overview, printer);
            }
            Update::Tokens { attempt, tokens } => self.overview.tokens(attempt, *tokens, now),
        }
        // Updates can come so fast that nobody finds the time to tick.
        if self.drawn.is_none_or(|drawn| drawn.elapsed() >= REDRAW) {
            self.tick(printer);
        }
        Ok(())
    }

    /// Draws the live area anew; to be called some ten times a second.
    pub(crate) fn tick(&mut self, printer: &mut Printer) {
        if printer.is_json() || !printer.shows_progress() {
            return;
        }
        self.drawn = Some(Instant::now());
        let size = printer.screen();
        printer.live(screen::lines(&self.overview, self.now(), size.columns, size.rows));
    }

    /// Says, once, that the user's word to end was heard.
    pub(crate) fn ending(&mut self, printer: &mut Printer) {
        if !std::mem::replace(&mut self.ending, true) && !printer.is_json() {
            printer.note("ending after the steps that are being done; Ctrl-C again ends at once");
        }
    }

    /// Takes the live area away.
    pub(crate) fn finish(&mut self, printer: &mut Printer) {
        printer.clear_progress();
    }

    fn now(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }
}

#[cfg(test)]
mod tests;
