//! Tries the candidates of one issue, each tree once: patches that come to the same files have the same verdict.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::form::form;
use super::measure::Measure;
use super::screen::Screen;
use super::validate::{Court, Extent, ValidateError, ValidateOptions};
use crate::rollout::journal::Verdict;
use crate::rollout::{Control, Copies};
use crate::suite::TestRun;

/// A verdict that is there, or is being found by who holds the lock.
type Slot = Arc<Mutex<Option<Verdict>>>;

/// What candidates are tried with, and what came of those that were.
pub struct Trials<'a> {
    court: Court<'a>,
    /// By what patches come to.
    known: Mutex<BTreeMap<String, Slot>>,
}

impl<'a> Trials<'a> {
    /// Trials against a baseline.
    pub fn new(copies: &'a Copies, baseline: &'a [TestRun], options: &'a ValidateOptions) -> Trials<'a> {
        let tree = copies.snapshot.tree();
        Trials {
            court: Court {
                copies,
                baseline,
                options,
                screen: Screen::new(tree, baseline, &options.flaky, options.budget),
            },
            known: Mutex::new(BTreeMap::new()),
        }
    }

    /// What a patch does in a fresh copy named `name`: found out now, or known of another patch to the same files.
    ///
    /// # Errors
    ///
    /// When nothing can be tried at all, or the user ends it. What failed is not known: the next one tries again.
    pub fn verdict(&self, name: &str, patch: &[u8], control: &Control) -> Result<Verdict, ValidateError> {
        self.found(name, patch, Extent::AsNeeded, control)
    }

    /// What the patch of an attempt does with all tests, also those that were left for later.
    ///
    /// # Errors
    ///
    /// As above.
    pub(in crate::scaling) fn whole(
        &self,
        attempt: &str,
        patch: &[u8],
        control: &Control,
    ) -> Result<Verdict, ValidateError> {
        let found = self.found(&format!("{attempt}-whole"), patch, Extent::Everything, control)?;
        Ok(Verdict {
            attempt: attempt.to_owned(),
            ..found
        })
    }

    fn found(
        &self,
        name: &str,
        patch: &[u8],
        extent: Extent,
        control: &Control,
    ) -> Result<Verdict, ValidateError> {
        let slot = {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            known.entry(self.key(patch)).or_default().clone()
        };
        // Who comes second waits here for the first.
        let mut verdict = slot.lock().unwrap_or_else(PoisonError::into_inner);
        let is_enough = |known: &&Verdict| extent == Extent::AsNeeded || !known.postponed;
        if let Some(known) = verdict.as_ref().filter(is_enough) {
            return Ok(Verdict {
                attempt: name.to_owned(),
                seconds: 0.0,
                ..known.clone()
            });
        }
        let found = self.court.validate(name, patch, extent, control)?;
        *verdict = Some(found.clone());
        Ok(found)
    }

    /// What a patch comes to, and what it does to tests, of which verdicts tell too.
    fn key(&self, patch: &[u8]) -> String {
        let measure = Measure::of(patch);
        let exact = form(patch, &self.court.copies.snapshot.tree()).exact;
        format!(
            "{exact} {:?} {:?} {:?} {}",
            measure.tests, measure.deleted_tests, measure.weakened_tests, measure.only_tests
        )
    }
}
