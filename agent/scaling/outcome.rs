//! What a run yields: its attempts in order, and what the order goes by.

use super::decide::Decision;
use super::evidence::{Case, Proof};
use super::validation::ValidateError;
use crate::rollout::Candidate;
use crate::rollout::journal::{JournalError, Verdict};

/// An attempt that ended, and what its candidate did.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempted {
    /// What it yielded.
    pub candidate: Candidate,
    /// What that did in a fresh copy.
    pub verdict: Verdict,
}

impl Attempted {
    /// The same as a candidate to be ranked.
    pub(super) fn case(&self) -> Case<'_> {
        Case {
            name: &self.candidate.attempt,
            patch: &self.candidate.patch,
            tokens: self.candidate.completion_tokens,
            verdict: &self.verdict,
        }
    }
}

/// What a run yields.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// The attempts that ended, best first.
    pub attempts: Vec<Attempted>,
    /// Attempts that failed for good, and why.
    pub failures: Vec<(String, String)>,
    /// Whether the user ended it before its end.
    pub interrupted: bool,
    /// What the order goes by.
    pub decision: Decision,
    /// How probable it must be that a patch is right, where nothing but written tests shows it.
    pub min_evidence: f64,
    /// How long it took.
    pub seconds: f64,
}

impl Outcome {
    /// The best attempt whose patch changes something and can be applied.
    pub fn best(&self) -> Option<&Attempted> {
        let usable = |attempted: &&Attempted| attempted.verdict.refused.is_none();
        self.attempts.first().filter(usable)
    }

    /// Puts the attempts in the order that was decided.
    pub(super) fn take(&mut self, decision: Decision) {
        for (index, verdict) in &decision.settled {
            if let Some(attempted) = self.attempts.get_mut(*index) {
                attempted.verdict = verdict.clone();
            }
        }
        let mut attempts: Vec<Option<Attempted>> = self.attempts.drain(..).map(Some).collect();
        for place in &decision.places {
            self.attempts
                .extend(attempts.get_mut(place.index).and_then(Option::take));
        }
        self.decision = decision;
    }

    /// Whether the best one is verified.
    pub fn verified(&self) -> bool {
        self.proof().is_some()
    }

    /// What shows that the best one solves the issue, if anything does.
    pub fn proof(&self) -> Option<Proof> {
        let (best, place) = self.best().zip(self.decision.places.first())?;
        Proof::of(&best.verdict, &self.decision.evidence, place, self.min_evidence)
    }
}

/// Why a run cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum SolveError {
    /// The journal cannot be written.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A candidate could not be tried.
    #[error(transparent)]
    Validate(#[from] ValidateError),
}
