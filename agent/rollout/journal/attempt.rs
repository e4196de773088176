//! An attempt's part of the journal: does each effect once, and hands out what was recorded when the attempt is done again.

use std::collections::VecDeque;

use super::file::{Journal, JournalError};
use super::record::{Generated, Record, ToolUsed};
use crate::rollout::types::{Candidate, WrittenTest};
use crate::suite::TestRun;

/// What an attempt records, in the order of its steps.
pub struct AttemptLog<'a> {
    journal: &'a Journal,
    attempt: String,
    /// Steps that were recorded before and are still to be done again, the oldest first, with the notices between them.
    recorded: VecDeque<Record>,
    /// How many steps were recorded and count, those that were done again and those that are new.
    steps: usize,
    candidate: Option<Candidate>,
    diverged: bool,
}

impl<'a> AttemptLog<'a> {
    /// The part of that attempt.
    pub fn new(journal: &'a Journal, attempt: &str) -> AttemptLog<'a> {
        let steps = steps_of(journal.earlier(), attempt);
        let candidates = journal.earlier().iter().rev();
        let candidate = candidates
            .filter_map(|record| match record {
                Record::Candidate(ended) if ended.attempt == attempt => Some((**ended).clone()),
                _ => None,
            })
            .next();
        let recorded = steps.into_iter().cloned().collect();
        AttemptLog {
            journal,
            attempt: attempt.to_owned(),
            recorded,
            steps: 0,
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
        self.upcoming().is_some()
    }

    /// The step that was recorded next, when steps of an earlier process are being done again.
    pub fn upcoming(&self) -> Option<&Record> {
        self.recorded.iter().find(|record| is_step(record))
    }

    /// Whether a tool said something else than it did before, but for numbers, so that the copy may differ from what the model was told.
    pub fn diverged(&self) -> bool {
        self.diverged
    }

    /// Records something that has no effect of its own, a message or an elision say, unless it was recorded before.
    ///
    /// # Errors
    ///
    /// When the journal cannot be written.
    pub fn note(&mut self, record: Record) -> Result<(), JournalError> {
        if !is_step(&record) {
            return match self.recorded.front() {
                Some(next) if !is_step(next) => {
                    self.recorded.pop_front();
                    Ok(())
                }
                _ if self.replaying() => Ok(()),
                _ => self.journal.append(&record),
            };
        }
        let kind = std::mem::discriminant(&record);
        match self.recall(|next| std::mem::discriminant(next) == kind) {
            Some(_) => Ok(()),
            None => self.record(&record),
        }
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
        let is_generation = |next: &Record| matches!(next, Record::Generation { .. });
        if let Some(Record::Generation { generated, .. }) = self.recall(is_generation) {
            return Ok(generated);
        }
        let generated = generate()?;
        self.record(&Record::Generation {
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
        let is_tool = |next: &Record| matches!(next, Record::Tool { .. });
        if let Some(Record::Tool { used: before, .. }) = self.recall(is_tool) {
            self.diverged |=
                before.done != used.done || without_numbers(&before.result) != without_numbers(&used.result);
            return Ok(before);
        }
        self.record(&Record::Tool {
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
        let is_tests = |next: &Record| matches!(next, Record::Tests { .. });
        if let Some(Record::Tests { runs, .. }) = self.recall(is_tests) {
            return Ok(runs);
        }
        let runs = run()?;
        self.record(&Record::Tests {
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
        self.leave_replay()?;
        self.journal
            .append(&Record::Candidate(Box::new(candidate.clone())))
    }

    /// The tests that the sample wrote, when it had ended.
    pub fn written_tests(&self) -> Option<Vec<WrittenTest>> {
        self.journal
            .earlier()
            .iter()
            .rev()
            .find_map(|record| match record {
                Record::WrittenTests { attempt, tests } if *attempt == self.attempt => Some(tests.clone()),
                _ => None,
            })
    }

    /// Records the end of a sample that wrote tests.
    ///
    /// # Errors
    ///
    /// When the journal cannot be written.
    pub fn end_with_tests(&mut self, tests: &[WrittenTest]) -> Result<(), JournalError> {
        self.leave_replay()?;
        self.journal.append(&Record::WrittenTests {
            attempt: self.attempt.clone(),
            tests: tests.to_vec(),
        })
    }

    /// The step that was recorded next, if it is such a one. It counts as done again.
    fn recall(&mut self, is: impl Fn(&Record) -> bool) -> Option<Record> {
        if !self.upcoming().is_some_and(is) {
            return None;
        }
        // Notices before it were not given again: they have been read.
        while self.recorded.front().is_some_and(|record| !is_step(record)) {
            self.recorded.pop_front();
        }
        self.steps += 1;
        self.recorded.pop_front()
    }

    /// Records a step that is new.
    fn record(&mut self, record: &Record) -> Result<(), JournalError> {
        self.leave_replay()?;
        self.journal.append(record)?;
        self.steps += 1;
        Ok(())
    }

    /// From here on nothing that was recorded is of use: the steps are not the same any more. That is recorded, so that the next to do
    /// them again goes the new way.
    fn leave_replay(&mut self) -> Result<(), JournalError> {
        if self.replaying() {
            self.journal.append(&Record::Diverged {
                attempt: self.attempt.clone(),
                kept: self.steps,
            })?;
            self.diverged = true;
        }
        self.recorded.clear();
        Ok(())
    }
}

/// Whether a record is a step, which is done again, and no notice.
fn is_step(record: &Record) -> bool {
    !matches!(record, Record::Notice { .. })
}

/// The steps of an attempt that count, and the notices between them: without those of ways that were left when it was done again, and
/// without its candidate and what was found out about that.
pub fn steps_of<'r>(records: impl IntoIterator<Item = &'r Record>, attempt: &str) -> Vec<&'r Record> {
    let mut steps: Vec<&Record> = Vec::new();
    for record in records {
        match record {
            _ if record.attempt() != Some(attempt) => {}
            Record::Candidate(_) | Record::Validation(_) | Record::WrittenTests { .. } => {}
            Record::Diverged { kept, .. } => {
                let mut places = steps.iter().enumerate().filter(|(_, record)| is_step(record));
                if let Some((end, _)) = places.nth(*kept) {
                    steps.truncate(end);
                }
            }
            _ => steps.push(record),
        }
    }
    steps
}

/// Times and process numbers differ from call to call without telling anything: runs of digits count as one.
pub(in crate::rollout) fn without_numbers(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut digits = false;
    for character in text.chars() {
        let digit = character.is_ascii_digit();
        if !(digit && digits) {
            out.push(if digit { '0' } else { character });
        }
        digits = digit;
    }
    out
}

#[cfg(test)]
#[path = "attempt_tests.rs"]
mod tests;
