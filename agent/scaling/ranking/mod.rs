//! From a matrix of evidence to an order of candidates, with reasons. Pure functions: nothing is run, and the same evidence always gives the
//! same order, so that it can be replayed and tuned.
//!
//! Three rules: the most frequent patch ([`Rule::Majority`]), the rule that CWM's results were published with ([`Rule::Published`]), and our
//! own ([`Rule::Weighed`]), which reckons how probable each behaviour is the right one.

mod evidence;
mod posterior;
mod published;
mod reasons;
mod settled;
mod weights;

pub use evidence::{CandidateEvidence, Cell, Cells, EVIDENCE_SCHEMA, Evidence, Sign, TestColumn, TestSource};
pub(super) use settled::settled;
pub use weights::Weights;

/// By what candidates are put in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// The most frequent patch.
    Majority,
    /// As published: most tests passed, then most frequent, then fewest tokens.
    Published,
    /// By how probable it is that it is right.
    Weighed,
}

/// A candidate's place.
#[derive(Debug, Clone, PartialEq)]
pub struct Place {
    /// Its index in the evidence.
    pub index: usize,
    /// How probable it is that it is right, from 0 to 1, as far as the evidence tells; none by the other rules.
    pub confidence: Option<f64>,
    /// How many of the candidates come to the same code, this one included.
    pub same: usize,
    /// How many behave alike in all tests that tell of the issue, this one included.
    pub alike: usize,
    /// Why it stands here, for people, the weightiest first.
    pub reasons: Vec<String>,
}

/// Puts candidates in order, best first. Those that could not be tried come last, by whatever rule.
pub fn order(evidence: &Evidence, rule: Rule, weights: &Weights) -> Vec<Place> {
    match rule {
        Rule::Majority => published::by_majority(evidence),
        Rule::Published => published::as_published(evidence),
        Rule::Weighed => posterior::weighed(evidence, weights).places,
    }
}

/// Candidates of different code that nothing but the order in which they were made tells from the first one, by our own rule, it included;
/// none where it passes no test of the issue, or where it is the only one.
pub(super) fn tied(evidence: &Evidence, weights: &Weights) -> Vec<usize> {
    let mut tied = posterior::weighed(evidence, weights).tied;
    let mut telling = evidence.tests.iter().filter(|test| test.source.tells());
    let first = tied.first().copied().unwrap_or_default();
    let passes_one = telling.any(|test| test.cells.of(first) == Cell::Passed);
    let mut forms = std::collections::BTreeSet::new();
    tied.retain(|index| {
        let candidate = evidence.candidates.get(*index);
        candidate.is_some_and(|candidate| forms.insert(&candidate.form))
    });
    if passes_one && tied.len() > 1 {
        tied
    } else {
        Vec::new()
    }
}

#[cfg(test)]
#[path = "ranking_tests.rs"]
mod tests;

#[cfg(test)]
mod bench_tests;
