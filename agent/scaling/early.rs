//! Tests for the issue that are written beside the attempts, where nothing of the repository's own tells of it: so a run can end as soon as the
//! attempts that are still to be made are needless.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::evidence::{Base, Heard, Matrix};
use super::issue_tests::Stand;
use super::outcome::{Attempted, SolveError};
use super::ranking::{Weights, settled};
use super::validation::{ValidateError, form};
use super::writers::Writers;
use crate::rollout::{Control, TESTS_SAMPLE};

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

    /// Runs the tests, if they are there, on what an attempt yielded, unless they were on the same; `control` ends that.
    pub(super) fn hear(&self, attempted: &Attempted, control: &Control) -> Result<(), ValidateError> {
        let patch = &attempted.candidate.patch;
        let exact = form(patch, &self.writers.bench.problem.tree).exact;
        let known = |heard: &Heard| heard.tests.is_empty() || heard.said.contains_key(&exact);
        let tests = match &*self.lock() {
            Some(heard) if attempted.verdict.refused.is_none() && !known(heard) => heard.tests.clone(),
            _ => return Ok(()),
        };
        let name = format!("{TESTS_SAMPLE}{}", attempted.candidate.attempt);
        let stand = Stand {
            control,
            ..self.writers.stand()
        };
        let cells = stand.cells(&name, patch, &tests)?;
        if let Some(heard) = &mut *self.lock() {
            heard.said.entry(exact).or_insert(cells);
        }
        Ok(())
    }

    /// The attempt that is first, where further ones are needless by what is known of the first ones, and nothing but tests that are still to be run
    /// keeps written tests from verifying it. None at all while tests for the issue have not been run on each of them.
    pub(super) fn settled(
        &self,
        attempts: &[Attempted],
        to_come: usize,
        least: f64,
    ) -> Option<Option<usize>> {
        let heard = self.lock().clone()?;
        let problem = self.writers.bench.problem;
        let base = Base {
            tree: &problem.tree,
            issue: &problem.issue,
            runs: &problem.baseline,
        };
        let mut matrix = Matrix::of(base, attempts.iter().map(Attempted::case).collect());
        // Without any test that counts only frequency speaks, and that is too little to end with.
        if heard.tests.is_empty() {
            return Some(None);
        }
        if !matrix.is_told(&heard) || matrix.add(heard, self.writers.stand()).is_err() {
            return None;
        }
        let first = settled(matrix.evidence(), to_come, least, &Weights::default());
        let can_win = |first: &usize| {
            let verdict = attempts.get(*first).map(|attempted| &attempted.verdict);
            verdict.is_some_and(|verdict| verdict.postponed || verdict.but_for_nothing_failing)
        };
        Some(first.filter(can_win))
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
