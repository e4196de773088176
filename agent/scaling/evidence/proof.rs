//! What shows that a patch solves the issue: the repository's own tests, or tests that were written for it and agree.

use crate::rollout::journal::Verdict;
use crate::scaling::ranking::{Evidence, Place};

/// How probable it must be that a patch is right which only written tests verify, from 0 to 1, unless the user says otherwise.
pub const MIN_EVIDENCE: f64 = 0.8;

/// What shows that a patch solves the issue.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Proof {
    /// Tests of the user's that failed pass, and nothing is broken.
    OwnTests,
    /// Nothing of the user's failed; tests that were written for the issue did, and pass now.
    WrittenTests {
        /// How many pass.
        passed: usize,
        /// Of how many.
        of: usize,
        /// How probable it is that the patch is right.
        confidence: f64,
    },
}

impl Proof {
    /// What shows that a candidate solves the issue, if anything does. Written tests do only where nothing of the user's failed, nothing is
    /// broken, no sign speaks against it, and it is probable enough that it is right.
    pub fn of(verdict: &Verdict, evidence: &Evidence, place: &Place, min_evidence: f64) -> Option<Proof> {
        if verdict.refused.is_some() {
            return None;
        }
        if verdict.verified {
            return Some(Proof::OwnTests);
        }
        let confidence = place.confidence?;
        let (passed, of) = evidence.written(place.index);
        let candidate = evidence.candidates.get(place.index)?;
        let shown = verdict.but_for_nothing_failing
            && passed > 0
            && candidate.signs.is_empty()
            && confidence >= min_evidence;
        shown.then_some(Proof::WrittenTests {
            passed,
            of,
            confidence,
        })
    }
}
