//! An attempt's part of the journal: does each effect once, and hands out what was recorded when the attempt is done again.

use std::collections::VecDeque;

use super::file::{Journal, JournalError};
use super::record::{Generated, Record, ToolUsed};
use crate::rollout::types::Candidate;
use crate::suite::TestRun;

/// What an attempt records, in the order of its steps.
pub struct AttemptLog<'a> {
    journal: &'a Journal,
    attempt: String,
    /// Effects that were recorded before, the oldest first.
    recorded: VecDeque<Record>,
    candidate: Option<Candidate>,
    diverged: bool,
}

impl<'a> AttemptLog<'a> {
    /// The part of that attempt.
    pub fn new(journal: &'a Journal, attempt: &str) -> AttemptLog<'a> {
        let own = journal
            .earlier()
            .iter()
            .filter(|record| record.attempt() == Some(attempt));
        let mut recorded = VecDeque::new();
        let mut candidate = None;
        for record in own {
            match record {
                Record::Candidate(ended) => candidate = Some((**ended).clone()),
                Record::Validation(_) | Record::Notice { .. } => {}
                other => recorded.push_back(other.clone()),
            }
        }
        AttemptLog {
            journal,
            attempt: attempt.to_owned(),
            recorded,
            candidate,
            diverged: false,
        }
    }

    /// The candidate, when the attempt had ended.
    pub fn candidate(&self) -> Option<&Candidate> {
        self.candidate.as_ref()
    }

    /// Whether steps of an earlier process are being done again.
    pub fn replaying(&self) -> bool {
        !self.recorded.is_empty()
    }

    /// What was recorded next, when steps of an earlier process are being done again.
    pub fn upcoming(&self) -> Option<&Record> {
        self.recorded.front()
    }

    /// Whether a tool said something else than it did before, so that the copy may differ from what the model was told.
    pub fn diverged(&self) -> bool {
        self.diverged
    }

    /// Records something that has no effect of its own, a message or an elision say, unless it was recorded before.
    ///
    /// # Errors
    ///
    /// When the journal cannot be written.
    pub fn note(&mut self, record: Record) -> Result<(), JournalError> {
        if matches!(record, Record::Notice { .. }) {
            return if self.replaying() {
                Ok(())
            } else {
                self.journal.append(&record)
            };
        }
        let kind = std::mem::discriminant(&record);
        if self
            .recorded
            .front()
            .is_some_and(|next| std::mem::discriminant(next) == kind)
        {
            self.recorded.pop_front();
            return Ok(());
        }
        self.leave_replay();
        self.journal.append(&record)
    }

    /// What the model said: recorded before, or said and recorded now.
    ///
    /// # Errors
    ///
    /// Those of `generate`, and when the journal cannot be written.
    pub fn generation<E: From<JournalError>>(
        &mut self,
        generate: impl FnOnce() -> Result<Generated, E>,
    ) -> Result<Generated, E> {
        if let Some(Record::Generation { .. }) = self.recorded.front()
            && let Some(Record::Generation { generated, .. }) = self.recorded.pop_front()
        {
            return Ok(generated);
        }
        self.leave_replay();
        let generated = generate()?;
        self.journal.append(&Record::Generation {
            attempt: self.attempt.clone(),
            generated: generated.clone(),
        })?;
        Ok(generated)
    }

    /// What a tool did. It acts in any case, for the copy is a fresh one; what it said before counts if it was recorded.
    ///
    /// # Errors
    ///
    /// Those of `act`, and when the journal cannot be written.
    pub fn tool<E: From<JournalError>>(
        &mut self,
        act: impl FnOnce() -> Result<ToolUsed, E>,
    ) -> Result<ToolUsed, E> {
        let used = act()?;
        if let Some(Record::Tool { .. }) = self.recorded.front()
            && let Some(Record::Tool { used: before, .. }) = self.recorded.pop_front()
        {
            self.diverged |= (&before.result, before.done) != (&used.result, used.done);
            return Ok(before);
        }
        self.leave_replay();
        self.journal.append(&Record::Tool {
            attempt: self.attempt.clone(),
            used: used.clone(),
        })?;
        Ok(used)
    }

    /// What tests said: recorded before, or run and recorded now.
    ///
    /// # Errors
    ///
    /// Those of `run`, and when the journal cannot be written.
    pub fn tests<E: From<JournalError>>(
        &mut self,
        run: impl FnOnce() -> Result<Vec<TestRun>, E>,
    ) -> Result<Vec<TestRun>, E> {
        if let Some(Record::Tests { .. }) = self.recorded.front()
            && let Some(Record::Tests { runs, .. }) = self.recorded.pop_front()
        {
            return Ok(runs);
        }
        self.leave_replay();
        let runs = run()?;
        self.journal.append(&Record::Tests {
            attempt: self.attempt.clone(),
            runs: runs.clone(),
        })?;
        Ok(runs)
    }

    /// Records the attempt's end. One that was interrupted is not recorded as ended: it can go on.
    ///
    /// # Errors
    ///
    /// When the journal cannot be written.
    pub fn end(&mut self, candidate: &Candidate) -> Result<(), JournalError> {
        if candidate.ending == crate::rollout::types::Ending::Interrupted {
            return Ok(());
        }
        self.journal
            .append(&Record::Candidate(Box::new(candidate.clone())))
    }

    /// From here on nothing that was recorded is of use: the steps are not the same any more.
    fn leave_replay(&mut self) {
        if !self.recorded.is_empty() {
            self.recorded.clear();
            self.diverged = true;
        }
    }
}
