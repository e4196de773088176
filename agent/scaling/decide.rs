//! From attempts to an order with reasons: tests for the issue are written and kept, every candidate is run on them, and the matrix is
//! weighed. Where two behaviours lead side by side, tests that tell them apart are asked for.

use std::collections::BTreeMap;

use cwm_tools::truncate::{beginning, display_text};

use super::evidence::{Base, Case, Heard, Matrix};
use super::issue_tests::IssueTest;
use super::outcome::SolveError;
use super::ranking::{Evidence, Place, Rule, Weights, order, tied};
use super::validation::Trials;
use super::writers::{Hearing, Writers};
use crate::rollout::Workbench;
use crate::rollout::journal::Verdict;

/// How often tests are asked for that tell the leading two apart.
const MOST_DUELS: usize = 3;
/// Of more candidates that nothing tells apart the model is not asked.
const MOST_COMPARED: usize = 4;
/// Behaviours less probable than this share of the leader's are no rivals.
const RIVAL: f64 = 0.35;
/// Bytes of a rival's diff that a model reads.
const MOST_DIFF: usize = 3000;

/// The order of the candidates, and what it goes by.
#[derive(Debug, Clone, Default)]
pub struct Decision {
    /// Everything that is known of them.
    pub evidence: Evidence,
    /// Best first.
    pub places: Vec<Place>,
    /// The scripts behind the written tests, in the order of their columns.
    pub tests: Vec<IssueTest>,
    /// Verdicts of candidates that all tests were run on only now, by their places.
    pub settled: BTreeMap<usize, Verdict>,
}

impl Decision {
    /// By what is known in a matrix.
    pub fn of(matrix: &Matrix<'_>) -> Decision {
        Decision {
            places: order(matrix.evidence(), Rule::Weighed, &Weights::default()),
            evidence: matrix.evidence().clone(),
            tests: matrix.tests().to_vec(),
            settled: matrix.settled().clone(),
        }
    }
}

/// Puts candidates in order, with tests for the issue that were heard already, or written now. When the user ends it on the way, what is known
/// by then decides. Who comes first by the given rule is tried with all tests.
///
/// # Errors
///
/// When nothing can be run, or the journal cannot be written. A model that writes no tests is no error.
pub fn decide(
    bench: &Workbench<'_>,
    hearing: &Hearing,
    cases: Vec<Case<'_>>,
    trials: &Trials<'_>,
    heard: Option<Heard>,
    (rule, weights): (Rule, &Weights),
) -> Result<Decision, SolveError> {
    let problem = bench.problem;
    let base = Base {
        tree: &problem.tree,
        issue: &problem.issue,
        runs: &problem.baseline,
    };
    let matrix = Matrix::of(base, cases);
    let mut council = Council {
        writers: Writers { bench, hearing },
        matrix,
    };
    let settled = council
        .sit(heard)
        .and_then(|()| council.compare())
        .and_then(|()| Ok(council.matrix.settle(trials, rule, weights, bench.control)?));
    match settled {
        Err(_) if bench.control.stopped() => {}
        other => other?,
    }
    Ok(Decision::of(&council.matrix))
}

/// A decision while it is made.
struct Council<'a> {
    writers: Writers<'a>,
    matrix: Matrix<'a>,
}

impl Council<'_> {
    /// Has tests written, and tests that tell the leading two apart.
    fn sit(&mut self, heard: Option<Heard>) -> Result<(), SolveError> {
        let Writers { bench, hearing } = self.writers;
        if hearing.samples == 0 || !self.is_worth_tests() || bench.control.stopped() {
            return Ok(());
        }
        let stand = self.writers.stand();
        match heard {
            Some(heard) => self.matrix.add(heard, stand)?,
            None => {
                let written = self.writers.all()?;
                self.matrix.hear(&written, stand)?;
                self.writers.tell_kept(written.len(), self.matrix.tests().len())?;
            }
        }
        for duel in 1..=MOST_DUELS {
            let Some(rivals) = self.rivals() else { break };
            let written = self.writers.between(duel, &rivals)?;
            if !self.matrix.hear(&written, stand)? {
                break;
            }
        }
        Ok(())
    }

    /// Asks the model which of those it takes for right that nothing else tells apart: each against the best so far, shown first and shown second. What
    /// it says only when shown in one order is no opinion.
    fn compare(&mut self) -> Result<(), SolveError> {
        let tied = tied(self.matrix.evidence(), &Weights::default());
        let mut rivals = tied.into_iter().take(MOST_COMPARED);
        let Some(mut best) = rivals.next() else {
            return Ok(());
        };
        if self.writers.bench.control.stopped() {
            return Ok(());
        }
        let mut preferred = false;
        for (number, rival) in (1..).zip(rivals) {
            let diffs = self.diff(best).zip(self.diff(rival));
            let Some(diffs) = diffs else { continue };
            if let Some(choice) = self.writers.preferred(number, diffs)? {
                preferred = true;
                best = [best, rival].get(choice).copied().unwrap_or(best);
            }
        }
        if preferred {
            self.matrix.prefer(best);
        }
        Ok(())
    }

    /// A candidate's diff as a model reads it.
    fn diff(&self, index: usize) -> Option<String> {
        let text = display_text(self.matrix.patch(index)?);
        Some(beginning(&text, MOST_DIFF).to_owned())
    }

    /// Tests are worth their time where there is something to choose, or where nothing else can show that the issue is gone.
    fn is_worth_tests(&self) -> bool {
        self.matrix.evidence().tried() > usize::from(!self.writers.nothing_failed())
    }

    /// The diffs of the leading two behaviours, when the second is nearly as probable as the first.
    fn rivals(&self) -> Option<Vec<String>> {
        let evidence = self.matrix.evidence();
        let places = order(evidence, Rule::Weighed, &Weights::default());
        let first = places.first()?;
        let row = |index: usize| evidence.outcomes(index);
        let form = |index: usize| {
            evidence
                .candidates
                .get(index)
                .map(|candidate| candidate.form.as_str())
        };
        let confidence = |place: &Place| place.confidence.unwrap_or(0.0);
        let differs =
            |place: &&Place| row(place.index) != row(first.index) || form(place.index) != form(first.index);
        let mut tried = places
            .iter()
            .skip(1)
            .filter(|place| evidence.is_tried(place.index));
        let second = tried.find(differs)?;
        let close =
            confidence(second) >= RIVAL * confidence(first) && form(second.index) != form(first.index);
        if close {
            Some(vec![self.diff(first.index)?, self.diff(second.index)?])
        } else {
            None
        }
    }
}
