//! Tests for the issue that are written beside the attempts, where nothing of the repository's own tells of it: so a run can end as soon as the
//! attempts that are still to be made are needless.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::evidence::{Base, Heard, Matrix};
use super::ranking::{Weights, is_settled};
use super::solve::{Attempted, SolveError};
use super::validation::{ValidateError, form};
use super::writers::Writers;
use crate::rollout::TESTS_SAMPLE;

/// Tests for the issue, written early.
pub(super) struct Early<'a> {
    writers: Writers<'a>,
    /// None until they are written.
    heard: Mutex<Option<Heard>>,
}

impl<'a> Early<'a> {
    /// None are written yet.
    pub(super) fn new(writers: Writers<'a>) -> Early<'a> {
        Early {
            writers,
            heard: Mutex::new(None),
        }
    }

    /// Has the tests written, and keeps those that count.
    pub(super) fn write(&self) -> Result<(), SolveError> {
        let written = self.writers.all()?;
        let count = written.len();
        let tests = self.writers.stand().kept(written)?;
        self.writers.tell_kept(count, tests.len())?;
        let said = BTreeMap::new();
        *self.lock() = Some(Heard { tests, said });
        Ok(())
    }

    /// Runs the tests, if they are there, on what an attempt yielded, unless they were on the same.
    pub(super) fn hear(&self, attempted: &Attempted) -> Result<(), ValidateError> {
        let patch = &attempted.candidate.patch;
        let exact = form(patch, &self.writers.bench.problem.tree).exact;
        let known = |heard: &Heard| heard.tests.is_empty() || heard.said.contains_key(&exact);
        let tests = match &*self.lock() {
            Some(heard) if attempted.verdict.refused.is_none() && !known(heard) => heard.tests.clone(),
            _ => return Ok(()),
        };
        let name = format!("{TESTS_SAMPLE}{}", attempted.candidate.attempt);
        let cells = self.writers.stand().cells(&name, patch, &tests)?;
        if let Some(heard) = &mut *self.lock() {
            heard.said.insert(exact, cells);
        }
        Ok(())
    }

    /// Whether further attempts are needless, by what is known of the first ones.
    pub(super) fn is_settled(&self, attempts: &[Attempted], to_come: usize, least: f64) -> bool {
        let Some(heard) = self.lock().clone() else {
            return false;
        };
        let problem = self.writers.bench.problem;
        let base = Base {
            tree: &problem.tree,
            issue: &problem.issue,
            runs: &problem.baseline,
        };
        let mut matrix = Matrix::of(base, attempts.iter().map(Attempted::case).collect());
        // Without any test that counts only frequency speaks, and that is too little to end with.
        let is_told = !heard.tests.is_empty() && matrix.is_told(&heard);
        is_told
            && matrix.add(heard, self.writers.stand()).is_ok()
            && is_settled(matrix.evidence(), to_come, least, &Weights::default())
    }

    /// Whether the tests are there, be it none.
    pub(super) fn is_written(&self) -> bool {
        self.lock().is_some()
    }

    /// What was heard.
    pub(super) fn into_heard(self) -> Option<Heard> {
        self.heard.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Heard>> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
